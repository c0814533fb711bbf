import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Logger, parseUrls, SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { SimClock } from '@etcd/testing';
import { Listener, type ListenerOptions } from './listener.ts';

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

/** One that speaks HTTP/1 in plain text. */
async function openListener(
  context: TestContext,
  options: Pick<ListenerOptions, 'clock' | 'logger' | 'refusals'>,
  onHttp1: () => void,
): Promise<number> {
  const { urls } = parseUrls(['http://127.0.0.1:0']);
  const listener = new Listener({
    ...options,
    url: urls![0]!,
    services: { grpc: null, http: { onHttp1 } },
    connectionLimit: null,
    limitsRequestTime: false,
    reusePort: false,
    secure: null,
  });
  context.after(() => listener.close());
  await listener.listen();
  listener.open();
  return Number(listener.address.split(':')[1]);
}

test('S20 whoever speaks TLS to a plain port again and again fills no log, and is counted', async (context) => {
  const lines: string[] = [];
  const logger: Logger = { ...SILENT_LOGGER, warn: (message) => lines.push(message) };
  let rejected = 0;
  const refusals = { rejectedMessage: 'rejected', onRejected: () => rejected++ };
  const port = await openListener(context, { clock: new SimClock(), logger, refusals }, () => {});
  for (let i = 0; i < 120; i++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}).write('\x16\x03\x01');
    await new Promise((resolve) => socket.once('close', resolve));
  }
  assert.deepEqual([lines.length, new Set(lines).size, rejected], [100, 1, 120]);
});

test('S20 a client that has vanished is found out: its connection is probed', OPTIONS, async (context) => {
  let isServed = false;
  const options = { clock: new NodeClock(), logger: SILENT_LOGGER, refusals: REFUSALS };
  const port = await openListener(context, options, () => (isServed = true));
  const socket = connect(port, '127.0.0.1');
  context.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  while (!isServed) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(timerOf(socket), KEEPALIVE_TIMER);
});
