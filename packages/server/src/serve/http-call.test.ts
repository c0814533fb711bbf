import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { WholeHead, type WholeRequest } from '@etcd/host/net';
import type { HttpExchange } from '@etcd/transport';
import { type HttpCall, http1Call, http2Call, WholeCall } from './http-call.ts';

/** What becomes of the next request. */
let onCall: (call: HttpCall) => void = () => {};
let server: Server;

before(async () => {
  server = createServer((request, response) => onCall(http1Call(request, response)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => {
  server.closeAllConnections();
  server.close();
});

/** A connection of its own, and the call that this text on it becomes. */
async function request(text: string): Promise<{ call: HttpCall; socket: Socket }> {
  const called = Promise.withResolvers<HttpCall>();
  onCall = called.resolve;
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(text);
  return { call: await called.promise, socket };
}

/** All that the server says until it closes the connection. */
async function allOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const bytes of socket) text += String(bytes);
  return text;
}

const POST = 'POST /p?q=1 HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n';
const EMPTY = `${POST}Content-Length: 0\r\n\r\n`;

test('a request says what it asks for, and who asks', async () => {
  const { call, socket } = await request(`${POST}X-Two: a\r\nX-Two: b\r\nContent-Length: 0\r\n\r\n`);
  assert.deepEqual([call.method, call.target, call.isSecure, call.commonName], ['POST', '/p?q=1', false, '']);
  assert.deepEqual([call.header('host'), call.header('x-two'), call.header('none')], ['h:1', 'a, b', null]);
  socket.destroy();
});

test('a body is handed over as it comes, and its end once', async () => {
  const { call, socket } = await request(`${POST}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n`);
  const ended = Promise.withResolvers<void>();
  const pieces: string[] = [];
  call.readBody((bytes) => pieces.push(Buffer.from(bytes).toString()), ended.resolve);
  socket.write('1\r\nc\r\n0\r\n\r\n');
  await ended.promise;
  assert.equal(pieces.join(''), 'abc');
  socket.destroy();
});

test('S17 there is one answer: what comes too late or twice goes nowhere, and throws nothing', async () => {
  const { call, socket } = await request(EMPTY);
  call.respond(200, [['x-a', 'b']], Buffer.from('first'));
  call.respond(500, [], Buffer.from('second'));
  call.start(500, []);
  assert.equal(call.write(Buffer.from('third')), false);
  call.end();
  const text = await allOf(socket);
  assert.match(text, /^HTTP\/1\.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\n/);
  assert.match(text, /\r\n\r\nfirst$/);
  const late = await request(EMPTY);
  late.call.start(200, []);
  late.call.write(Buffer.from('begun'));
  late.call.respond(400, [], Buffer.from('refused'));
  late.call.end();
  const begun = await allOf(late.socket);
  assert.match(begun, /^HTTP\/1\.1 200 .*begun/s);
  assert.doesNotMatch(begun, /refused/);
});

test('an answer in pieces has its head before there is a piece', async () => {
  const { call, socket } = await request(EMPTY);
  call.start(200, [['content-type', 'application/json']]);
  const [head] = (await socket.take(1).toArray()) as Buffer[];
  assert.match(String(head), /^HTTP\/1\.1 200 OK\r\ncontent-type: application\/json\r\n/);
  call.end();
});

test('a client that takes nothing is noticed, and again when it does', async () => {
  const { call, socket } = await request(EMPTY);
  socket.pause();
  call.start(200, []);
  const piece = Buffer.alloc(1024 * 1024);
  let pieces = 0;
  const writable = Promise.withResolvers<void>();
  call.onWritable(writable.resolve);
  while (call.write(piece)) assert.ok(++pieces < 1000, 'there was always room');
  socket.resume();
  await writable.promise;
  socket.destroy();
});

test('a client that goes before its answer is complete is told of, however late one asks', async () => {
  const { call, socket } = await request(EMPTY);
  const gone = Promise.withResolvers<void>();
  call.onCancel(gone.resolve);
  socket.destroy();
  await gone.promise;
  let isToldLater = false;
  call.onCancel(() => {
    isToldLater = true;
  });
  assert.ok(isToldLater);
  call.respond(200, [], Buffer.from('nobody reads this'));
});

test('a client that has its answer is not told of when it goes', async () => {
  const { call, socket } = await request(EMPTY);
  call.onCancel(() => assert.fail('it was answered'));
  call.respond(200, [], Buffer.from('all'));
  await allOf(socket);
});

test('over HTTP/2 the host is the authority, and the body is there at once', () => {
  const told: string[] = [];
  const exchange = {
    method: 'POST',
    path: '/p',
    authority: 'a:1',
    info: { isSecure: true, commonName: 'cn' },
    header: (name: string) => (name === 'host' ? 'other' : name),
    body: Buffer.from('body'),
    onCancel: null as (() => void) | null,
    onWritable: null as (() => void) | null,
    start: () => told.push('start'),
    write: () => told.push('write') > 0,
    end: () => told.push('end'),
  };
  const call = http2Call(exchange as unknown as HttpExchange);
  assert.deepEqual(
    [call.header('host'), call.header('x'), call.isSecure, call.commonName],
    ['a:1', 'x', true, 'cn'],
  );
  call.readBody(
    (bytes) => told.push(Buffer.from(bytes).toString()),
    () => told.push('no more'),
  );
  call.start(200, []);
  call.write(new Uint8Array(1));
  call.end();
  call.onCancel(() => told.push('gone'));
  call.onWritable(() => told.push('room'));
  exchange.onCancel?.();
  exchange.onWritable?.();
  assert.deepEqual(told, ['body', 'no more', 'start', 'write', 'end', 'gone', 'room']);
});

/** A request that has come whole, and what it is answered. */
function wholeRequest(): { request: WholeRequest; answers: string[] } {
  const answers: string[] = [];
  const request = {
    head: new WholeHead('/v3/kv/put', 4, new Map([['host', 'h:1']])),
    body: Buffer.from('body'),
    info: { isSecure: true, commonName: 'cn', remoteAddress: '10.0.0.1:5', localAddress: '' },
    onCancel: null as (() => void) | null,
    respond: (status: number, headers: object, more: object, body: Uint8Array | string) =>
      answers.push(`${status} ${JSON.stringify([headers, more])} ${body}`),
  };
  return { request: request as unknown as WholeRequest, answers };
}

test('of a whole request all is there at once, and its answer leaves when it is whole, too', () => {
  const { request, answers } = wholeRequest();
  const call = new WholeCall(request);
  assert.deepEqual(
    [call.method, call.target, call.isSecure, call.commonName],
    ['POST', '/v3/kv/put', true, 'cn'],
  );
  assert.deepEqual(
    [call.header('host'), call.header('none'), call.remoteAddress],
    ['h:1', null, '10.0.0.1:5'],
  );
  assert.equal(new WholeCall(request).headKey, call.headKey);
  const pieces: string[] = [];
  call.readBody(
    (bytes) => pieces.push(String(bytes)),
    () => pieces.push('no more'),
  );
  assert.deepEqual([String(call.wholeBody), ...pieces], ['body', 'body', 'no more']);
  let isGone = false;
  call.onCancel(() => (isGone = true));
  request.onCancel?.();
  assert.ok(isGone);
  let isGoneBefore = false;
  new WholeCall({ ...request, isCancelled: true } as WholeRequest).onCancel(() => (isGoneBefore = true));
  assert.ok(isGoneBefore, 'who asks too late is told at once');
  call.carried = [['x', 'y']];
  call.start(200, [['a', 'b']]);
  assert.ok(call.write('one '));
  call.write(Buffer.from('two'));
  assert.deepEqual(answers, []);
  call.end();
  assert.deepEqual(answers, ['200 [[["a","b"]],[["x","y"]]] one two']);
});
