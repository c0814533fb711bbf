import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import { after, type TestContext, test } from 'node:test';
import { SimClock } from '@etcd/testing';
import fc from 'fast-check';
import { parseWholeHead } from './whole-head.ts';
import { type WholeRequest, WholeRequests, type WholeRequestsOptions } from './whole-requests.ts';

const HEAD = 'POST /v3/kv/put HTTP/1.1\r\nHost: a:1\r\n';
const WHOLE = `${HEAD}Content-Length: 4\r\n\r\nbody`;

/** What a reader understood: one line for each request, `node:http`'s and this one's alike. */
interface Site {
  readonly port: number;
  readonly seen: string[];
  /** Requests that did not come to `node:http`. */
  readonly whole: WholeRequest[];
}

/** Answers each request with what was understood, by `node:http` alone if that is asked for. */
async function openSite(
  context: TestContext | null,
  given: Partial<WholeRequestsOptions> = {},
  isPlain = false,
): Promise<Site> {
  const seen: string[] = [];
  const whole: WholeRequest[] = [];
  const http = createServer((request, response) => void echo(request, response, seen));
  const requests = new WholeRequests({
    clock: new SimClock(),
    takes: (target) => target.startsWith('/v3/'),
    onRequest: (request) => {
      whole.push(request);
      const { head, body } = request;
      seen.push(`POST ${head.target} ${[...head.headers].sort()} ${Buffer.from(body).toString('latin1')}`);
      request.respond(200, [], [], seen.at(-1)!);
    },
    onOther: (socket) => http.emit('connection', socket),
    ...given,
  });
  const server = createTcpServer({ pauseOnConnect: true }, (socket) => {
    if (isPlain) http.emit('connection', socket);
    else requests.serve(socket);
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => closeAll(http, server);
  if (context === null) after(close);
  else context.after(close);
  return { port: (server.address() as AddressInfo).port, seen, whole };
}

function closeAll(http: Server, server: TcpServer): void {
  http.closeAllConnections();
  server.close();
}

async function echo(request: IncomingMessage, response: ServerResponse, seen: string[]): Promise<void> {
  let body = '';
  for await (const piece of request.setEncoding('latin1')) body += piece;
  const headers = Object.entries(request.headers).sort().join(',');
  seen.push(`${request.method} ${request.url} ${headers} ${body}`);
  response.end(seen.at(-1)!);
}

/** A client that keeps all that it is told. */
class Client {
  readonly socket: Socket;
  text = '';
  readonly #closed: Promise<void>;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1');
    });
    this.socket.on('error', () => {});
    this.#closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  /** Sends each piece when the one before has left. */
  async send(...pieces: string[]): Promise<void> {
    for (const piece of pieces) {
      await new Promise((resolve) => this.socket.write(piece, 'latin1', resolve));
      await new Promise(setImmediate);
    }
  }

  /** Until there are so many answers, or there will be no more. */
  async answers(count: number): Promise<string> {
    while (this.text.split('HTTP/1.1 ').length <= count) {
      const more = new Promise<void>((resolve) => this.socket.once('data', () => resolve()));
      await Promise.race([more, this.#closed]);
      if (this.socket.destroyed) break;
    }
    return this.text;
  }
}

/** What is said to a whole request, then to these pieces. */
async function talk(port: number, pieces: readonly string[] = [], answers = 0): Promise<string> {
  const client = new Client(port);
  await client.send(WHOLE);
  await client.answers(1);
  await client.send(...pieces);
  const text = await client.answers(1 + answers);
  client.socket.destroy();
  return text;
}

test('one whole request after another is answered on a connection; those with the same head share it', async (context) => {
  const site = await openSite(context);
  const text = await talk(site.port);
  assert.match(
    text,
    /^HTTP\/1\.1 200 OK\r\ncontent-length: \d+\r\nDate: .* GMT\r\nConnection: keep-alive\r\n/,
  );
  const socket = connect(site.port, '127.0.0.1');
  context.after(() => socket.destroy());
  const heads = [];
  for (const body of ['one!', 'two!', 'ä!']) {
    socket.write(
      `${HEAD}Content-Length: ${Buffer.byteLength(body) + (body === 'ä!' ? 1 : 0)}\r\n\r\n${body}${body === 'ä!' ? ' ' : ''}`,
    );
    await new Promise((resolve) => socket.once('data', resolve));
    heads.push(site.whole.at(-1)!.head);
  }
  assert.equal(site.whole.length, 4);
  assert.ok(heads[0] === heads[1] && heads[1] === heads[2]);
});

test('S17 what is anything else goes to the whole of HTTP, every byte of it', async (context) => {
  const others: [pieces: string[], answers?: number][] = [
    [['GET /v3/kv/put HTTP/1.1\r\nHost: a\r\n\r\n']],
    [['POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n']],
    [[`${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n`]],
    [[`${HEAD}Connection: close\r\nContent-Length: 2\r\n\r\nab`]],
    [[HEAD, 'Content-Length: 4\r\n\r\n', 'bo', 'dy']],
    [[`${HEAD}Content-Length: 4\r\n\r\n`, 'body']],
    [[WHOLE + WHOLE], 2],
    [[`${HEAD}X-Long: ${'x'.repeat(5000)}\r\nContent-Length: 0\r\n\r\n`]],
    [[`${HEAD}X: a\r\nX: b\r\nContent-Length: 0\r\n\r\n`]],
    [['POST /v3/kv/put HTTP/1.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n']],
  ];
  for (const [pieces, answers = 1] of others) {
    const site = await openSite(context);
    const plain = await openSite(context, {}, true);
    await talk(site.port, pieces, answers);
    await talk(plain.port, pieces, answers);
    assert.deepEqual(site.seen, plain.seen, pieces.join('|'));
    assert.equal(site.seen.length, answers + 1);
    // Pieces may arrive as one.
    if (pieces.length === 1) assert.equal(site.whole.length, 1);
  }
});

test('S17 an empty line, which is shorter than any request, is left to the whole of HTTP', async (context) => {
  for (const greeting of ['', WHOLE]) {
    const { promise: passedOn, resolve } = Promise.withResolvers<Buffer>();
    const { port } = await openSite(context, { onOther: (socket) => socket.once('data', resolve) });
    const client = new Client(port);
    context.after(() => client.socket.destroy());
    if (greeting !== '') await client.send(greeting);
    await client.answers(greeting === '' ? 0 : 1);
    await client.send('\r\n\r\n');
    assert.equal(String(await passedOn), '\r\n\r\n');
  }
});

test('S17 nobody hears anything that the whole of HTTP would not have heard', async () => {
  const site = await openSite(null);
  const plain = await openSite(null, {}, true);
  const inserted = fc.constantFrom(
    '\r',
    '\n',
    '\r\n',
    ' ',
    ':',
    '\0',
    'é',
    '0',
    'x: y\r\n',
    'Content-Length: 1\r\n',
    'Transfer-Encoding: chunked\r\n',
    ' \r\n z',
  );
  const cases = fc.sample(fc.tuple(fc.nat({ max: WHOLE.length }), fc.nat({ max: 2 }), inserted), {
    numRuns: 120,
    seed: 7,
  });
  for (const [at, removed, piece] of cases) {
    const text = WHOLE.slice(0, at) + piece + WHOLE.slice(at + removed);
    site.seen.length = 0;
    site.whole.length = 0;
    await talkToEnd(site.port, text);
    if (site.whole.length === 0) continue;
    plain.seen.length = 0;
    await talkToEnd(plain.port, text);
    assert.deepEqual(site.seen, plain.seen, JSON.stringify(text));
  }
});

/** Sends all, and waits until the server has answered or hung up. A request that never ends is ended by leaving. */
async function talkToEnd(port: number, text: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  const told = new Promise<void>((resolve) => {
    socket.on('data', () => resolve());
    socket.on('close', () => resolve());
  });
  socket.end(text, 'latin1');
  await told;
  socket.destroy();
}

test('a head is understood in one way, or not at all', () => {
  const head = parseWholeHead('POST /v3/kv/put HTTP/1.1\r\nHOST:  a \r\nX-Y:\t1 2\r\nConnection: Keep-Alive');
  assert.equal(head?.target, '/v3/kv/put');
  assert.deepEqual(
    [...head.headers],
    [
      ['host', 'a'],
      ['x-y', '1 2'],
      ['connection', 'Keep-Alive'],
    ],
  );
  assert.equal(head.contentLength, 0);
  const first = 'POST / HTTP/1.1\r\nHost: a';
  for (const bad of [
    'POST / HTTP/1.1',
    `${first}\r\n folded`,
    `${first}\r\nX : 1`,
    `${first}\r\nX: 1\n`,
    `${first}\r\nX: \n1`,
    `${first}\r\nX: \x7f`,
    `${first}\r\nX: é`,
    `${first}\r\nno colon`,
    `${first}\r\n: none`,
    `${first}\r\nHost: b`,
    `${first}\r\nContent-Length: -1`,
    `${first}\r\nContent-Length: 1, 1`,
    `${first}\r\nContent-Length: 1\r\ncontent-length: 1`,
    `${first}\r\nContent-Length: 10000000000`,
    `${first}\r\nExpect: 100-continue`,
    `${first}\r\nUpgrade: h2c`,
    `${first}\r\nConnection: upgrade`,
    `${first}\r\nTransfer-Encoding: identity`,
    'POST  / HTTP/1.1\r\nHost: a',
    'POST http://a/ HTTP/1.1\r\nHost: a',
    'POST /ä HTTP/1.1\r\nHost: a',
    'POST / HTTP/1.1 \r\nHost: a',
  ]) {
    assert.equal(parseWholeHead(bad), null, JSON.stringify(bad));
  }
});

test('S17 there is one answer, and none to a client that has gone, of which the request is told', async (context) => {
  const asked = Promise.withResolvers<WholeRequest>();
  const { port } = await openSite(context, { onRequest: asked.resolve });
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.write(WHOLE);
  const request = await asked.promise;
  const gone = new Promise<void>((resolve) => {
    request.onCancel = resolve;
  });
  assert.equal(request.isCancelled, false);
  socket.destroy();
  await gone;
  assert.equal(request.isCancelled, true);
  request.respond(200, [], [], 'nobody');
  const answered: WholeRequest[] = [];
  const site = await openSite(context, {
    onRequest: (each) => {
      answered.push(each);
      each.onCancel = () => assert.fail('it was answered');
      each.respond(404, [['x-a', 'b']], [['x-c', 'd']], Buffer.from('first'));
      each.respond(200, [], [], 'second');
    },
  });
  const text = await talk(site.port);
  assert.match(
    text,
    /^HTTP\/1\.1 404 Not Found\r\nx-a: b\r\nx-c: d\r\ncontent-length: 5\r\n[\s\S]*\r\n\r\nfirst$/,
  );
  assert.throws(
    () => new WholeRequests({} as WholeRequestsOptions).answerHead(200, [['a', 'b\r\nc: d']], [], 0),
    /line end/,
  );
  const requests = new WholeRequests({ clock: new SimClock() } as unknown as WholeRequestsOptions);
  assert.match(requests.answerHead(499, [], [], 0), /^HTTP\/1\.1 499 unknown\r\n/);
});

test('S20 what comes before an answer waits, and is answered behind it', async (context) => {
  const first = Promise.withResolvers<WholeRequest>();
  const { port, seen } = await openSite(context, { onRequest: first.resolve });
  const client = new Client(port);
  await client.send(WHOLE);
  const request = await first.promise;
  await client.send(WHOLE + WHOLE);
  assert.deepEqual([seen.length, client.text], [0, '']);
  request.respond(200, [], [], 'one');
  const text = await client.answers(3);
  assert.match(text, /\r\none[\s\S]*POST \/v3[\s\S]*POST \/v3/);
  assert.equal(seen.length, 2);
  client.socket.destroy();
});

test('S20 a client that reads no answers is given no more of them', async (context) => {
  let answers = 0;
  const answered = Promise.withResolvers<void>();
  const onRequest = (request: WholeRequest): void => {
    answers++;
    answered.resolve();
    request.respond(200, [], [], 'x'.repeat(32 * 1024 * 1024));
  };
  const { port, seen } = await openSite(context, { onRequest });
  const client = new Client(port);
  context.after(() => client.socket.destroy());
  client.socket.pause();
  await client.send(WHOLE);
  await answered.promise;
  const many = WHOLE.repeat(1000);
  while (client.socket.writableLength < many.length) {
    client.socket.write(many);
    await new Promise(setImmediate);
  }
  assert.deepEqual([answers, seen.length], [1, 0]);
});

test('S20 a connection without a request is closed, one whose request is not answered yet is not', async (context) => {
  const asked = Promise.withResolvers<WholeRequest>();
  const { port } = await openSite(context, { idleMs: 20, onRequest: asked.resolve });
  const idle = connect(port, '127.0.0.1').on('error', () => {});
  const busy = connect(port, '127.0.0.1');
  busy.write(WHOLE);
  const request = await asked.promise;
  // One that came later is idle as long as this one waits.
  await new Promise((resolve) => idle.resume().once('close', resolve));
  const later = connect(port, '127.0.0.1').on('error', () => {});
  await new Promise((resolve) => later.resume().once('close', resolve));
  request.respond(200, [], [], 'late');
  const [text] = (await busy.take(1).toArray()) as Buffer[];
  assert.match(String(text), /late$/);
  busy.destroy();
});
