import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { parseUrls, SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { Listener } from './listener.ts';

/** In `/proc/net/tcp`: the connection's timer that runs while nothing is on its way is the one of its probes. */
const KEEPALIVE_TIMER = '02';
const REFUSALS = { rejectedMessage: '', onRejected: () => {} };

const OPTIONS = {
  skip: process.platform === 'linux' ? false : 'only Linux tells of the timers of a connection',
};

/** The timer of the server's end of a connection; null while it is not there. */
function timerOf(socket: Socket): string | null {
  const { port } = socket.address() as AddressInfo;
  const portHex = (each: number): string => each.toString(16).toUpperCase().padStart(4, '0');
  const ends = new RegExp(`:${portHex(socket.remotePort!)} \\w+:${portHex(port)} 01 \\S+ (\\d\\d):`);
  return ends.exec(readFileSync('/proc/net/tcp', 'utf8'))?.[1] ?? null;
}

test('S20 a client that has vanished is found out: its connection is probed', OPTIONS, async (context) => {
  const { urls } = parseUrls(['http://127.0.0.1:0']);
  let isServed = false;
  const listener = new Listener({
    url: urls![0]!,
    services: { grpc: null, http: { onHttp1: () => (isServed = true) } },
    clock: new NodeClock(),
    logger: SILENT_LOGGER,
    connectionLimit: null,
    limitsRequestTime: false,
    reusePort: false,
    secure: null,
    refusals: REFUSALS,
  });
  context.after(() => listener.close());
  await listener.listen();
  listener.open();
  const socket = connect(Number(listener.address.split(':')[1]), '127.0.0.1');
  context.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  while (!isServed) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(timerOf(socket), KEEPALIVE_TIMER);
});
