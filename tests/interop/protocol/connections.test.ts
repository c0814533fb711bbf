/**
 * Connections that break the rules, or just break: each ends as it should, and a client on another connection never
 * notices.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import {
  FLAG,
  FRAME,
  frame,
  grpcHeaders,
  grpcMessage,
  headerBlock,
  PREFACE,
  RawConnection,
} from '../../support/http2-raw.ts';
import { isGo, SUBJECT } from '../../support/programs.ts';
import { encode } from '../../support/proto.ts';
import { eventually, sleep } from '../../support/run.ts';

let server: EtcdServer;
let bystander: EtcdRpc;
let revision = 0n;
before(async () => {
  server = await EtcdServer.start({ flags: FAST_ELECTION });
  bystander = new EtcdRpc(server.address);
});
after(async () => {
  bystander.close();
  await server.stop();
});

/** The same connection goes on working, and everything it wrote is there. */
async function assertUnharmed(): Promise<void> {
  const put = await bystander.call('KV.Put', { key: 'bystander', value: 'x' });
  assert(revision === 0n || put.header!.revision === revision + 1n, 'nothing else was written');
  revision = put.header!.revision;
}
beforeEach(assertUnharmed);

const range = encode('RangeRequest', { key: 'bystander' });
const headers = (stream: number, path: string, flags: number = FLAG.END_HEADERS): Buffer =>
  frame(FRAME.HEADERS, flags, stream, headerBlock(grpcHeaders(path)));

test('bytes that are no protocol at all end the connection', async () => {
  for (const bytes of [
    Buffer.from(`\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${'x'.repeat(600)}`, 'latin1'),
    Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
    Buffer.alloc(4096, 0xff),
  ]) {
    const connection = await RawConnection.open(server.clientPort, false);
    connection.send(bytes);
    connection.end();
    assert(await connection.waitForClose(10_000), 'closed');
    await assertUnharmed();
  }
});

test('half a preface, then nothing', async () => {
  const connection = await RawConnection.open(server.clientPort, false);
  connection.send(PREFACE.subarray(0, 10));
  await sleep(100);
  connection.vanish();
  await assertUnharmed();
});

test('HTTP/1.1 is answered on the same port', async () => {
  const connection = await RawConnection.open(server.clientPort, false);
  connection.send(Buffer.from('GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'));
  assert(await connection.waitForClose(5000));
  assert.match(connection.received.toString(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*"etcdserver":"\d/);
});

test('HTTP/1.1 in pieces, and requests that are none', async () => {
  const connection = await RawConnection.open(server.clientPort, false);
  for (const piece of [
    'GE',
    'T /ver',
    'sion HTTP/1.1\r\nHo',
    'st: localhost\r\nConnection: close\r\n',
    '\r\n',
  ]) {
    connection.send(Buffer.from(piece));
    await sleep(20);
  }
  assert(await connection.waitForClose(5000));
  assert.match(connection.received.toString(), /^HTTP\/1\.1 200 OK/);
  for (const request of [
    'GET\r\n\r\n',
    'GET /version HTTP/9.9\r\n\r\n',
    'GET /version HTTP/1.1\r\nno colon\r\n\r\n',
  ]) {
    const bad = await RawConnection.open(server.clientPort, false);
    bad.send(Buffer.from(request));
    bad.end();
    assert(await bad.waitForClose(10_000), request);
  }
  await assertUnharmed();
});

interface Violation {
  readonly what: string;
  readonly bytes: readonly Uint8Array[];
  /** Connection errors that the standard asks for. */
  readonly goaway?: readonly number[];
}

const PROTOCOL_ERROR = 1;
const FLOW_CONTROL_ERROR = 3;
const STREAM_CLOSED = 5;
const FRAME_SIZE_ERROR = 6;
const COMPRESSION_ERROR = 9;

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

const VIOLATIONS: readonly Violation[] = [
  { what: 'DATA on stream 0', bytes: [frame(FRAME.DATA, 0, 0, Buffer.alloc(8))], goaway: [PROTOCOL_ERROR] },
  { what: 'HEADERS on stream 0', bytes: [headers(0, '/x')], goaway: [PROTOCOL_ERROR] },
  {
    what: 'HEADERS on an even stream',
    bytes: [headers(2, '/etcdserverpb.KV/Range')],
    goaway: [PROTOCOL_ERROR],
  },
  {
    what: 'a frame larger than allowed',
    bytes: [frame(FRAME.DATA, 0, 1, Buffer.alloc(20_000))],
    goaway: [FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED],
  },
  {
    what: 'SETTINGS of a wrong size',
    bytes: [frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(5))],
    goaway: [FRAME_SIZE_ERROR, PROTOCOL_ERROR],
  },
  {
    what: 'PING of a wrong size',
    bytes: [frame(FRAME.PING, 0, 0, Buffer.alloc(7))],
    goaway: [FRAME_SIZE_ERROR],
  },
  {
    what: 'a header block that is no HPACK',
    bytes: [frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
    goaway: [COMPRESSION_ERROR],
  },
  {
    what: 'a header that refers beyond the table',
    bytes: [frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, Buffer.from([0xfe]))],
    goaway: [COMPRESSION_ERROR],
  },
  {
    what: 'CONTINUATION without HEADERS',
    bytes: [frame(FRAME.CONTINUATION, FLAG.END_HEADERS, 1, Buffer.alloc(0))],
    goaway: [PROTOCOL_ERROR],
  },
  {
    what: 'another frame inside a header block',
    bytes: [headers(1, '/etcdserverpb.KV/Range', 0), frame(FRAME.PING, 0, 0, Buffer.alloc(8))],
    goaway: [PROTOCOL_ERROR],
  },
  {
    what: 'a window that overflows',
    bytes: [
      frame(FRAME.WINDOW_UPDATE, 0, 0, u32(0x7fff_ffff)),
      frame(FRAME.WINDOW_UPDATE, 0, 0, u32(0x7fff_ffff)),
    ],
    goaway: [FLOW_CONTROL_ERROR],
  },
  {
    what: 'PUSH_PROMISE from a client',
    bytes: [frame(FRAME.PUSH_PROMISE, 4, 1, u32(2))],
    goaway: [PROTOCOL_ERROR],
  },
  {
    what: 'a stream id that goes back',
    bytes: [headers(5, '/etcdserverpb.Watch/Watch'), headers(3, '/etcdserverpb.Watch/Watch')],
    goaway: [PROTOCOL_ERROR, STREAM_CLOSED],
  },
];

for (const { what, bytes, goaway } of VIOLATIONS) {
  test(`ended: ${what}`, async () => {
    const connection = await RawConnection.http2(server.clientPort);
    connection.send(...bytes);
    const isClosed = await connection.waitForClose(3000);
    // Go's library lets some of these pass; what counts for it is that others do not notice.
    if (!isGo(SUBJECT)) {
      const ending = connection.ending();
      assert(ending !== null && 'goaway' in ending, `GOAWAY, not ${JSON.stringify(ending)}`);
      if (goaway !== undefined) assert(goaway.includes(ending.goaway), `code ${ending.goaway}`);
      assert(isClosed, 'closed after the GOAWAY');
    }
    connection.vanish();
    await assertUnharmed();
  });
}

test('unknown frame types are ignored', async () => {
  const connection = await RawConnection.http2(server.clientPort);
  connection.send(frame(0x42, 0xff, 0, Buffer.alloc(100)), frame(0x42, 0, 77, Buffer.alloc(10)));
  connection.send(
    headers(1, '/etcdserverpb.KV/Range'),
    frame(FRAME.DATA, FLAG.END_STREAM, 1, grpcMessage(range)),
  );
  await connection.waitFor((f) => f.type === FRAME.HEADERS && (f.flags & FLAG.END_STREAM) !== 0);
  connection.vanish();
});

test('a request in single bytes is answered', async () => {
  const connection = await RawConnection.http2(server.clientPort);
  const request = Buffer.concat([
    headers(1, '/etcdserverpb.KV/Range'),
    frame(FRAME.DATA, FLAG.END_STREAM, 1, grpcMessage(range)),
  ]);
  for (const byte of request) {
    connection.send(Buffer.from([byte]));
    if (byte % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await connection.waitFor((f) => f.type === FRAME.HEADERS && (f.flags & FLAG.END_STREAM) !== 0);
  connection.vanish();
});

test('a message in many DATA frames, some of them empty', async () => {
  const connection = await RawConnection.http2(server.clientPort);
  connection.send(headers(1, '/etcdserverpb.KV/Range'));
  for (const byte of grpcMessage(range)) {
    connection.send(frame(FRAME.DATA, 0, 1, Buffer.from([byte])), frame(FRAME.DATA, 0, 1));
  }
  connection.send(frame(FRAME.DATA, FLAG.END_STREAM, 1));
  await connection.waitFor((f) => f.type === FRAME.HEADERS && (f.flags & FLAG.END_STREAM) !== 0);
  connection.vanish();
});

test('headers over many CONTINUATION frames', async () => {
  const connection = await RawConnection.http2(server.clientPort);
  const block = headerBlock([...grpcHeaders('/etcdserverpb.KV/Range'), ['x-long', 'y'.repeat(2000)]]);
  const third = Math.ceil(block.length / 3);
  connection.send(
    frame(FRAME.HEADERS, 0, 1, block.subarray(0, third)),
    frame(FRAME.CONTINUATION, 0, 1, block.subarray(third, 2 * third)),
    frame(FRAME.CONTINUATION, FLAG.END_HEADERS, 1, block.subarray(2 * third)),
    frame(FRAME.DATA, FLAG.END_STREAM, 1, grpcMessage(range)),
  );
  await connection.waitFor((f) => f.type === FRAME.HEADERS && (f.flags & FLAG.END_STREAM) !== 0);
  connection.vanish();
});

test('a client that vanishes in the middle of a request writes nothing', async () => {
  for (let i = 0; i < 50; i++) {
    const connection = await RawConnection.http2(server.clientPort);
    const put = grpcMessage(encode('PutRequest', { key: 'vanished', value: 'x'.repeat(1000) }));
    connection.send(headers(1, '/etcdserverpb.KV/Put'), frame(FRAME.DATA, 0, 1, put.subarray(0, 500)));
    if (i % 2 === 0) await sleep(5);
    connection.vanish();
  }
  await sleep(100);
  const { count } = await bystander.call('KV.Range', { key: 'vanished' });
  assert.equal(count, 0n);
});

async function watcherCount(): Promise<number> {
  const response = await fetch(`${server.clientUrl}/metrics`);
  const line = /^etcd_debugging_mvcc_watcher_total (\d+)$/m.exec(await response.text());
  assert(line !== null, 'the metric is there');
  return Number(line[1]);
}

test('clients that vanish in the middle of a watch leave nothing behind', async () => {
  const baseline = await watcherCount();
  const connections: RawConnection[] = [];
  for (let i = 0; i < 100; i++) {
    const connection = await RawConnection.http2(server.clientPort);
    connections.push(connection);
    for (const stream of [1, 3, 5]) {
      const create = grpcMessage(encode('WatchRequest', { create_request: { key: 'bystander' } }));
      connection.send(headers(stream, '/etcdserverpb.Watch/Watch'), frame(FRAME.DATA, 0, stream, create));
    }
  }
  await eventually('all watches are there', async () => (await watcherCount()) === baseline + 300);
  await assertUnharmed();
  for (const connection of connections) connection.vanish();
  await assertUnharmed();
  await eventually('all watches are gone', async () => (await watcherCount()) === baseline);
});

test('S20 a client that asks for much and reads nothing slows down nobody', async () => {
  const rpc = new EtcdRpc(server.address);
  for (let i = 0; i < 40; i++) {
    revision = (await rpc.call('KV.Put', { key: `big/${i}`, value: 'x'.repeat(500_000) })).header!.revision;
  }
  const all = encode('RangeRequest', { key: 'big/', range_end: 'big0' });
  const connections: RawConnection[] = [];
  for (let i = 0; i < 5; i++) {
    const connection = await RawConnection.http2(server.clientPort);
    connections.push(connection);
    for (const stream of [1, 3]) {
      connection.send(headers(stream, '/etcdserverpb.KV/Range'));
      connection.send(frame(FRAME.DATA, FLAG.END_STREAM, stream, grpcMessage(all)));
    }
    connection.pause();
  }
  await sleep(300);
  // Answered while the others still do not read.
  for (let i = 0; i < 20; i++) await assertUnharmed();
  for (const connection of connections) connection.vanish();
  await bystander.call('KV.DeleteRange', { key: 'big/', range_end: 'big0' });
  revision = 0n;
  rpc.close();
});

test('S15 idle connections do not keep others out', async () => {
  const sockets: Socket[] = [];
  for (let i = 0; i < 500; i++) {
    sockets.push(
      await new Promise<Socket>((resolve, reject) => {
        const socket = connect(server.clientPort, '127.0.0.1', () => resolve(socket)).on('error', reject);
      }),
    );
  }
  const another = new EtcdRpc(server.address);
  await another.call('KV.Range', { key: 'bystander' });
  another.close();
  await assertUnharmed();
  for (const socket of sockets) socket.destroy();
});

test('S16 streams that are opened and reset at once, by the thousand', async () => {
  const connection = await RawConnection.http2(server.clientPort);
  for (let stream = 1; stream < 20_000 && !connection.isClosed; stream += 2) {
    const reset = frame(FRAME.RST_STREAM, 0, stream, u32(8));
    connection.send(headers(stream, '/etcdserverpb.KV/Range', FLAG.END_HEADERS), reset);
    if (stream % 500 === 1) await new Promise((resolve) => setImmediate(resolve));
  }
  await assertUnharmed();
  connection.vanish();
});

test('keepalive: a ping every six seconds is welcome, a storm of pings is not', async () => {
  const patient = await RawConnection.http2(server.clientPort);
  patient.send(headers(1, '/etcdserverpb.Watch/Watch'));
  patient.send(
    frame(FRAME.DATA, 0, 1, grpcMessage(encode('WatchRequest', { create_request: { key: 'a' } }))),
  );
  const impatient = await RawConnection.http2(server.clientPort);
  impatient.send(headers(1, '/etcdserverpb.Watch/Watch'));
  impatient.send(
    frame(FRAME.DATA, 0, 1, grpcMessage(encode('WatchRequest', { create_request: { key: 'a' } }))),
  );
  for (let i = 0; i < 10; i++) {
    impatient.send(frame(FRAME.PING, 0, 0, Buffer.from('ping-abc')));
    await sleep(50);
  }
  const goaway = await impatient.waitFor((f) => f.type === FRAME.GOAWAY);
  assert.equal(goaway.payload.readUInt32BE(4), 11, 'ENHANCE_YOUR_CALM');
  assert.equal(goaway.payload.subarray(8).toString(), 'too_many_pings');
  for (let i = 1; i <= 3; i++) {
    await sleep(6000);
    patient.send(frame(FRAME.PING, 0, 0, Buffer.from(`ping--${i}.`)));
    await patient.waitFor(
      (f) => f.type === FRAME.PING && (f.flags & FLAG.ACK) !== 0 && f.payload.toString() === `ping--${i}.`,
    );
  }
  assert(!patient.isClosed);
  assert.equal(patient.ending(), null);
  patient.vanish();
  impatient.vanish();
});
