import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { AccessControl } from './access-control.ts';
import { ClientFront } from './client-front.ts';
import type { Gateway } from './gateway.ts';
import type { HttpCall } from './http-call.ts';
import { WebSockets } from './web-sockets.ts';

const MAX_MESSAGE_BYTES = 1000;
const OURS = 'http://ours.example';

let onCall: (call: HttpCall) => void = () => {};
let server: Server;
const certificatesAreRefused = false;

before(async () => {
  const webSockets = new WebSockets(MAX_MESSAGE_BYTES);
  const gateway = {
    openSocket: (_path, request, socket, head) =>
      webSockets.open(request, socket, head, (call) => onCall(call)),
  } as Pick<Gateway, 'openSocket'> as Gateway;
  const access = new AccessControl({ cors: [OURS], hostWhitelist: ['127.0.0.1'] }, () => {});
  const pages = { onHttp1: () => {}, onHttp2: () => {} };
  const facts = { refusesCertificates: () => certificatesAreRefused };
  const front = new ClientFront(access, () => Promise.resolve(gateway), pages, facts);
  server = createServer(
    { shouldUpgradeCallback: (request) => front.takesUpgrade(request) },
    (_request, response) => response.end('ordinary'),
  );
  server.on('upgrade', (request, socket, head) => front.onUpgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const port = (): number => (server.address() as AddressInfo).port;

/** Node's own client, which is not that of the server; and the call that it has become. */
async function open(protocols: string[] = []): Promise<{ call: HttpCall; client: WebSocket }> {
  const called = Promise.withResolvers<HttpCall>();
  onCall = called.resolve;
  const client = new WebSocket(`ws://127.0.0.1:${port()}/v3/watch?x=1`, protocols);
  const opened = new Promise((resolve) => client.addEventListener('open', resolve));
  const call = await called.promise;
  await opened;
  return { call, client };
}

function nextMessage(client: WebSocket): Promise<unknown> {
  return new Promise((resolve) =>
    client.addEventListener('message', (event) => resolve((event as MessageEvent).data), { once: true }),
  );
}

function closing(client: WebSocket): Promise<number> {
  return new Promise((resolve) => client.addEventListener('close', (event) => resolve(event.code)));
}

/** The head of the answer to a request for a WebSocket with these headers. */
async function upgrade(headers: Readonly<Record<string, string>>, path = '/v3/watch'): Promise<string> {
  const socket: Socket = connect(port(), '127.0.0.1');
  const all = {
    Host: `127.0.0.1:${port()}`,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  let text = '';
  for await (const bytes of socket) {
    text += String(bytes);
    if (text.includes('\r\n\r\n')) break;
  }
  socket.destroy();
  return text.split('\r\n', 1)[0]!;
}

test('messages are pieces of a body, and lines are messages', async () => {
  const { call, client } = await open();
  assert.deepEqual([call.method, call.target, call.isOfMessages], ['POST', '/v3/watch?x=1', true]);
  const pieces: string[] = [];
  const got = Promise.withResolvers<void>();
  call.readBody(
    (bytes) => {
      pieces.push(String(Buffer.from(bytes)));
      if (pieces.length === 4) got.resolve();
    },
    () => {},
  );
  client.send('{"a":1}');
  client.send(Buffer.from('{"b":2}'));
  await got.promise;
  assert.deepEqual(pieces, ['{"a":1}', '\n', '{"b":2}', '\n']);
  call.start(200, []);
  const first = nextMessage(client);
  call.write(Buffer.from('{"result":1}\n'));
  assert.equal(await first, '{"result":1}');
  const last = nextMessage(client);
  const closed = closing(client);
  call.respond(400, [], Buffer.from('{"code":3}'));
  assert.equal(await last, '{"code":3}');
  assert.equal(await closed, 1000);
});

test('a client that leaves is gone, and one that says too much at once is sent away', async () => {
  const { call, client } = await open();
  const gone = new Promise<void>((resolve) => call.onCancel(resolve));
  client.close();
  await gone;
  const other = await open();
  const closed = closing(other.client);
  other.client.send('x'.repeat(MAX_MESSAGE_BYTES + 1));
  assert.equal(await closed, 1009);
});

test('S20 a client that does not read is not written to without end', async () => {
  const { call, client } = await open();
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let written = 0;
  const room = new Promise<void>((resolve) => call.onWritable(resolve));
  while (call.write(chunk)) assert.ok(++written < 1000);
  await room;
  assert.ok(call.write(Buffer.from('y')), 'there is room again');
  client.close();
});

test('a token may stand behind Bearer in the list of protocols', async () => {
  const { call, client } = await open(['Bearer', 'abc.1']);
  assert.equal(client.protocol, 'Bearer');
  assert.equal(call.header('authorization'), 'Bearer abc.1');
  client.close();
  const plain = await open();
  assert.equal(plain.call.header('authorization'), null);
  plain.client.close();
});

test('S12 a page may open a WebSocket if it may read answers, or is one of this server', async () => {
  onCall = (call) => call.end();
  const opened = 'HTTP/1.1 101 Switching Protocols';
  assert.equal(await upgrade({}), opened, 'no browser');
  assert.equal(await upgrade({ Origin: OURS }), opened);
  assert.equal(await upgrade({ Origin: `http://127.0.0.1:${port()}` }), opened);
  assert.equal(await upgrade({ Origin: 'http://evil.example' }), 'HTTP/1.1 403 Forbidden');
  assert.equal(await upgrade({ Origin: 'null' }), 'HTTP/1.1 403 Forbidden');
  assert.equal(await upgrade({ Host: 'evil.example' }), 'HTTP/1.1 421 Misdirected Request');
});

test('S12 a cookie counts only for pages of this server', async () => {
  const seen: (string | null)[] = [];
  onCall = (call) => {
    seen.push(call.header('authorization'));
    call.end();
  };
  const Cookie = 'a=b; token=abc.1';
  await upgrade({ Cookie });
  await upgrade({ Cookie, Origin: `http://127.0.0.1:${port()}` });
  await upgrade({ Cookie, Origin: OURS });
  assert.deepEqual(seen, ['Bearer abc.1', 'Bearer abc.1', null]);
});

test('requests for other protocols, and for other places, are ordinary ones', async () => {
  assert.equal(await upgrade({ Upgrade: 'h2c' }), 'HTTP/1.1 200 OK');
  assert.equal(await upgrade({}, '/health'), 'HTTP/1.1 200 OK');
  assert.equal(await upgrade({ 'Sec-WebSocket-Key': 'x' }), 'HTTP/1.1 400 Bad Request');
});
