import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import { type LogFields, type Logger, SeededRandom } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import type { RemoteAddress } from './remotes.ts';
import { TcpGateway, type TcpGatewayOptions } from './tcp-gateway.ts';

/** An address of this process alone: a port that is given up here is taken by nobody else meanwhile. */
const HOST = `127.1.${(process.pid >> 8) & 255}.${process.pid & 255 || 1}`;
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Line {
  readonly message: string;
  readonly fields: LogFields;
}

function newLogger(lines: Line[]): Logger {
  const log = (message: string, fields: LogFields = {}): void => void lines.push({ message, fields });
  return { enabled: () => true, debug: log, info: log, warn: log, error: log } as unknown as Logger;
}

async function listening(onSocket: (socket: Socket) => void, port = 0): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    ends.push(() => socket.destroy());
    onSocket(socket);
  });
  server.listen(port, HOST);
  await once(server, 'listening');
  ends.push(() => server.close());
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}

/** Answers with its name, after everything has been said. */
function named(name: string): (socket: Socket) => void {
  return (socket) => {
    let said = '';
    socket.setEncoding('utf8').on('data', (text) => (said += text));
    socket.on('end', () => socket.end(`${name}:${said}`));
  };
}

async function gatewayTo(
  ports: readonly number[],
  more: Partial<TcpGatewayOptions> = {},
): Promise<{ gateway: TcpGateway; lines: Line[] }> {
  const lines: Line[] = [];
  const addresses = ports.map(
    (port): RemoteAddress => ({ host: HOST, port, priority: 0, weight: 0, isVerified: false }),
  );
  const gateway = new TcpGateway({
    addresses,
    retryDelayMs: 10,
    connectionLimit: null,
    verify: () => Promise.resolve(),
    clock: new NodeClock(),
    logger: newLogger(lines),
    random: new SeededRandom(1),
    ...more,
  });
  await gateway.listen(HOST, 0);
  ends.push(() => gateway.close());
  return { gateway, lines };
}

/** Says something, ends its half, and hears the answer out; the empty string when it is hung up on. */
async function ask(gateway: TcpGateway, text: string): Promise<string> {
  const socket = dial({ host: HOST, port: gateway.port, allowHalfOpen: true });
  let answer = '';
  socket.setEncoding('utf8').on('data', (piece) => (answer += piece));
  socket.on('error', () => {});
  socket.end(text);
  await new Promise((resolve) => socket.on('close', resolve));
  return answer;
}

async function until(what: string, probe: () => boolean): Promise<void> {
  for (let i = 0; i < 6_000 && !probe(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(probe(), what);
}

test('connections go around the members, and a half that has ended leaves the other open', async () => {
  const servers = [await listening(named('a')), await listening(named('b'))];
  const { gateway } = await gatewayTo(servers.map(portOf));
  const answers = [await ask(gateway, 'x'), await ask(gateway, 'y'), await ask(gateway, 'z')];
  assert.deepEqual(answers, ['a:x', 'b:y', 'a:z']);
});

/** Timers of the connections of `port` that are open, as Linux tells them: 2 where nothing but a probe is to be sent. */
function timersOf(port: number, side: 'local' | 'remote'): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const ends = side === 'local' ? `:${hex} \\w+:\\w+` : `\\w+:\\w+ \\w+:${hex}`;
  const lines = readFileSync('/proc/net/tcp', 'utf8').matchAll(new RegExp(`${ends} 01 \\S+ 0(\\d):`, 'g'));
  return [...lines].map(([, timer]) => timer!);
}

const LINUX = {
  skip: process.platform === 'linux' ? false : 'only Linux tells of the timers of a connection',
};

test('S20 sides that have vanished are found out: both connections are probed', LINUX, async () => {
  let isThere = false;
  const server = await listening(() => (isThere = true));
  const { gateway } = await gatewayTo([portOf(server)]);
  const socket = dial({ host: HOST, port: gateway.port });
  ends.push(() => socket.destroy());
  socket.on('error', () => {});
  await until('the server is reached', () => isThere);
  assert.deepEqual([timersOf(gateway.port, 'local'), timersOf(portOf(server), 'remote')], [['2'], ['2']]);
});

test('what a server has said before it hangs up arrives, however slow the reader', async () => {
  const big = Buffer.alloc(8 * 1024 * 1024, 'v');
  const server = await listening((socket) => {
    socket.resume();
    socket.end(big);
  });
  const { gateway } = await gatewayTo([portOf(server)]);
  const socket = dial({ host: HOST, port: gateway.port, allowHalfOpen: true });
  let bytes = 0;
  socket.on('data', (piece) => {
    bytes += piece.length;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  await once(socket, 'end');
  assert.equal(bytes, big.length);
  socket.destroy();
});

test('a member that is down costs no connection, and is used again when it is back', async () => {
  const alive = await listening(named('alive'));
  const gone = await listening(named('back'));
  const port = portOf(gone);
  gone.close();
  await once(gone, 'close');
  const { gateway, lines } = await gatewayTo([port, portOf(alive)]);
  assert.equal(await ask(gateway, '1'), 'alive:1');
  assert.equal(await ask(gateway, '2'), 'alive:2');
  const [ready, down] = lines;
  assert.equal(ready!.message, 'ready to proxy client requests');
  assert.equal(down!.message, 'deactivated endpoint');
  assert.equal(down!.fields['error'], `dial tcp ${HOST}:${port}: connect: connection refused`);
  assert.equal(down!.fields['interval'], '10ms');
  await until('it is tried again', () =>
    lines.some(({ message }) => message.startsWith('failed to activate endpoint (stay inactive')),
  );
  await listening(named('back'), port);
  await until('it is active again', () => lines.some(({ message }) => message === 'activated'));
  const answers = new Set(
    [await ask(gateway, '3'), await ask(gateway, '4')].map((text) => text.slice(0, -2)),
  );
  assert.deepEqual([...answers].sort(), ['alive', 'back']);
});

test('without any member a connection is ended', async () => {
  const gone = await listening(named('x'));
  const port = portOf(gone);
  gone.close();
  await once(gone, 'close');
  const { gateway } = await gatewayTo([port], { retryDelayMs: 60_000 });
  assert.equal(await ask(gateway, 'x'), '');
  assert.equal(gateway.connectionCount, 0);
});

test('S13 a gateway that leads to itself notices, and stops using that way', async () => {
  const held = await listening(() => {});
  const port = portOf(held);
  held.close();
  await once(held, 'close');
  const addresses = [{ host: HOST, port, priority: 0, weight: 0, isVerified: false }];
  const lines: Line[] = [];
  const gateway = new TcpGateway({
    addresses,
    retryDelayMs: 60_000,
    connectionLimit: null,
    verify: () => Promise.resolve(),
    clock: new NodeClock(),
    logger: newLogger(lines),
    random: new SeededRandom(1),
  });
  ends.push(() => gateway.close());
  await gateway.listen(HOST, port);
  assert.equal(await ask(gateway, 'x'), '');
  await until('nothing goes round', () => gateway.connectionCount === 0);
  const refused = lines.filter(({ message }) => message === 'deactivated endpoint');
  assert.equal(refused.length, 1);
  assert.equal(refused[0]!.fields['error'], 'the endpoint leads back to this gateway');
  assert.equal(await ask(gateway, 'y'), '');
});

test('S13 a member whose certificate is not good gets no connection until it is', async () => {
  const server = await listening(named('a'));
  let isGood = false;
  const addresses = [{ host: HOST, port: portOf(server), priority: 0, weight: 0, isVerified: true }];
  const verify = (): Promise<void> => (isGood ? Promise.resolve() : Promise.reject(new Error('x509: bad')));
  const { gateway, lines } = await gatewayTo([], { addresses, verify });
  assert.equal(await ask(gateway, 'x'), '');
  assert.ok(lines.some(({ fields }) => fields['error'] === 'x509: bad'));
  isGood = true;
  await until('it is active', () => lines.some(({ message }) => message === 'activated'));
  assert.equal(await ask(gateway, 'y'), 'a:y');
});

test('S15 connections are bounded: one more is refused, and those that are there go on', async () => {
  const server = await listening(named('a'));
  const { gateway } = await gatewayTo([portOf(server)], { connectionLimit: 3 });
  const idle = [0, 1, 2].map(() => dial({ host: HOST, port: gateway.port, allowHalfOpen: true }));
  for (const socket of idle) await once(socket, 'connect');
  await until('all are there', () => gateway.connectionCount === 3);
  assert.equal(await ask(gateway, 'x'), '');
  let answer = '';
  idle[0]!.setEncoding('utf8').on('data', (text) => (answer += text));
  idle[0]!.end('still');
  await once(idle[0]!, 'close');
  assert.equal(answer, 'a:still');
  for (const socket of idle) socket.destroy();
});
