import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get, type IncomingMessage, type ServerResponse } from 'node:http';
import { get as getTls } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type Logger, parseUrls, SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { SimClock } from '@etcd/testing';
import { GrpcServer } from '@etcd/transport';
import { NO_TLS_FILES, TlsSide } from '../tls/index.ts';
import { TestAuthority } from '../tls/testing/certificates.ts';
import { Listener, type ListenerOptions } from './listener.ts';
import type { WholeRequest } from './whole-requests.ts';

/** In `/proc/net/tcp`: the connection's timer that runs while nothing is on its way is the one of its probes. */
const KEEPALIVE_TIMER = '02';
/** Type of a frame of HTTP/2, its fourth byte. */
const SETTINGS_FRAME = 4;
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

/** One that speaks HTTP/1, in plain text unless told. */
async function openListener(
  context: TestContext,
  options: Pick<ListenerOptions, 'clock' | 'logger' | 'refusals'> & Partial<ListenerOptions>,
  onHttp1: () => void,
): Promise<number> {
  const { urls } = parseUrls(['http://127.0.0.1:0']);
  const listener = new Listener({
    url: urls![0]!,
    services: { grpc: null, http: { onHttp1 } },
    connectionLimit: null,
    limitsRequestTime: false,
    reusePort: false,
    secure: null,
    ...options,
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

test('S20 a client that does not get to the end of a head is hung up on, wherever it is read', async (context) => {
  const clock = new NodeClock();
  const options = { clock, logger: SILENT_LOGGER, refusals: REFUSALS, headersTimeoutMs: 50 };
  const whole = { takesWhole: () => true, onWhole: (each: WholeRequest) => each.respond(200, [], [], '') };
  for (const services of [{ onHttp1: () => {} }, { onHttp1: () => {}, ...whole }]) {
    const port = await openListener(
      context,
      { ...options, services: { grpc: null, http: services } },
      () => {},
    );
    for (const sent of ['POST /a HTTP/1.1\r\nHost:', '\r\n\r\n']) {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      context.after(() => socket.destroy());
      socket.write(sent);
      await new Promise((resolve) => socket.resume().once('close', resolve));
    }
  }
});

/** The first bytes that a server on TLS sends, while its client says nothing but `greeting`. */
async function firstBytes(port: number, caFile: string, protocols: string[], greeting = ''): Promise<Buffer> {
  const ca = readFileSync(caFile);
  const socket = connectTls({ port, host: '127.0.0.1', ca, ALPNProtocols: protocols });
  try {
    if (greeting !== '') socket.write(greeting);
    return await new Promise((resolve, reject) => socket.once('data', resolve).once('error', reject));
  } finally {
    socket.destroy();
  }
}

/** What makes a listener's connections secure, and the file of whom its clients trust. */
async function openSide(
  context: TestContext,
): Promise<{ secure: NonNullable<ListenerOptions['secure']>; caFile: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'listener-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const authority = await TestAuthority.create(directory);
  const { certFile, keyFile } = await authority.issue('server', { hosts: ['127.0.0.1'] });
  const [clock, logger] = [new NodeClock(), SILENT_LOGGER];
  const protocol = { cipherSuites: [], minVersion: 'TLS1.2', maxVersion: '' } as const;
  const side = await TlsSide.open({ files: { ...NO_TLS_FILES, certFile, keyFile }, protocol, clock, logger });
  context.after(() => side.stop());
  const nobody = (): Promise<readonly string[]> => Promise.resolve([]);
  return {
    secure: { ...REFUSALS, side, hosts: { reverse: nobody, lookup: nobody } },
    caFile: authority.caFile,
  };
}

test('who has agreed on HTTP/2 is greeted at once, who has not when it is known what it speaks', async (context) => {
  const { secure, caFile } = await openSide(context);
  const [clock, logger] = [new NodeClock(), SILENT_LOGGER];
  const grpc = new GrpcServer({ clock });
  context.after(() => grpc.close());
  const services = { grpc, http: { onHttp1: () => {} } };
  const port = await openListener(context, { clock, logger, refusals: REFUSALS, secure, services }, () => {});
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  for (const [protocols, greeting] of [
    [['h2'], ''],
    [['h2', 'http/1.1'], ''],
    [[], preface],
  ] as const) {
    const bytes = await firstBytes(port, caFile, [...protocols], greeting);
    assert.equal(bytes[3], SETTINGS_FRAME);
  }
});

test('S20 over TLS, too, requests that come behind answers that wait are read to their ends', async (context) => {
  const { secure, caFile } = await openSide(context);
  const big = Buffer.alloc(150_000, 'a');
  const bodies: number[] = [];
  const onHttp1 = (request: IncomingMessage, response: ServerResponse): void => {
    let length = 0;
    request.on('data', (bytes: Buffer) => (length += bytes.length));
    request.on('end', () => {
      bodies.push(length);
      setImmediate(() => response.end(big));
    });
  };
  const services = { grpc: null, http: { onHttp1 } };
  const options = { clock: new NodeClock(), logger: SILENT_LOGGER, refusals: REFUSALS, secure, services };
  const port = await openListener(context, options, () => {});
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    ca: readFileSync(caFile),
    ALPNProtocols: ['http/1.1'],
  });
  context.after(() => socket.destroy());
  const lengths = Array.from({ length: 30 }, (_, i) => (i % 3 === 0 ? 50 : 40_000 + 3000 * i));
  let received = 0;
  const ended = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
    socket.on('data', (bytes) => {
      received += bytes.length;
      if (received > lengths.length * big.length) resolve();
    });
  });
  for (const length of lengths) {
    const head = `PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), big.subarray(0, length)]));
  }
  await ended;
  assert.deepEqual(bodies, lengths);
});

const IDLE = 250;
/** Longer than it takes to find out that a connection says nothing. */
const SILENCE_MS = 11_000;

/** A client of a page. */
function fetchPage(port: number, secure: boolean, caFile: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', path: '/health', agent: false };
    const request = secure ? getTls({ ...options, ca: readFileSync(caFile) }) : get(options);
    request.on('response', (response) => resolve(response.resume().statusCode!)).on('error', reject);
  });
}

for (const isSecure of [false, true]) {
  for (const port of ['client', 'peer'] as const) {
    test(`S15 connections that say nothing end at a deadline and keep nobody out: ${port} port, ${isSecure ? 'TLS' : 'plain'}`, async (context) => {
      // What is plain text waits by this clock, a handshake by the machine's.
      const clock = new SimClock();
      const side = await openSide(context);
      const secure = isSecure ? { ...side.secure, handshakeTimeoutMs: 500 } : null;
      const grpc = port === 'client' ? new GrpcServer({ clock }) : null;
      context.after(() => grpc?.close());
      const http = {
        onHttp1: (_request: IncomingMessage, response: ServerResponse) => void response.end('ok'),
      };
      const options = { clock, logger: SILENT_LOGGER, refusals: REFUSALS, secure, services: { grpc, http } };
      const number = await openListener(context, options, () => {});
      const closed: Promise<void>[] = [];
      for (let i = 0; i < IDLE; i++) {
        const socket = connect(number, '127.0.0.1').on('error', () => {});
        context.after(() => socket.destroy());
        closed.push(new Promise((resolve) => socket.resume().once('close', () => resolve())));
        await new Promise((resolve) => socket.once('connect', resolve));
      }
      assert.equal(await fetchPage(number, isSecure, side.caFile), 200);
      clock.advance(SILENCE_MS);
      await Promise.all(closed);
      assert.equal(await fetchPage(number, isSecure, side.caFile), 200);
    });
  }
}
