/**
 * Requests that are well-formed HTTP/2 but no proper gRPC, or no proper etcd: both servers are asked, and must
 * answer alike. Status numbers always count; texts only where etcd itself, not its gRPC library, has chosen them.
 */
import assert from 'node:assert/strict';
import {
  type ClientHttp2Session,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { grpcMessage } from '../../support/http2-raw.ts';
import { atLeast, needs, REFERENCE, SUBJECT } from '../../support/programs.ts';
import { encode } from '../../support/proto.ts';

let ours: EtcdServer;
let theirs: EtcdServer;
before(async () => {
  [ours, theirs] = await Promise.all([
    EtcdServer.start({ program: SUBJECT, flags: FAST_ELECTION }),
    EtcdServer.start({ program: REFERENCE, flags: FAST_ELECTION }),
  ]);
});
after(() => Promise.all([ours.stop(), theirs.stop()]));

interface Answer {
  readonly http: string | undefined;
  readonly grpc: string | undefined;
  readonly message: string | undefined;
  readonly bytes: number;
  /** How the stream ended, if not properly. */
  readonly reset: number;
}

const GOOD_HEADERS: OutgoingHttpHeaders = {
  [constants.HTTP2_HEADER_METHOD]: 'POST',
  [constants.HTTP2_HEADER_PATH]: '/etcdserverpb.KV/Range',
  'content-type': 'application/grpc',
  te: 'trailers',
};
const GOOD_BODY = grpcMessage(encode('RangeRequest', { key: 'a' }));

function ask(server: EtcdServer, headers: OutgoingHttpHeaders, body: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session: ClientHttp2Session = connect(server.clientUrl);
    session.on('error', reject);
    const merged = Object.fromEntries(
      Object.entries({ ...GOOD_HEADERS, ...headers }).filter(([, value]) => value !== undefined),
    );
    const stream = session.request(merged);
    let head: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    let bytes = 0;
    stream.on('response', (received) => (head = received));
    stream.on('trailers', (received) => (trailers = received));
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
    stream.on('error', () => {});
    stream.on('close', () => {
      session.destroy();
      const status = head[':status'];
      resolve({
        http: status === undefined ? undefined : String(status),
        grpc: (trailers['grpc-status'] ?? head['grpc-status']) as string | undefined,
        message: (trailers['grpc-message'] ?? head['grpc-message']) as string | undefined,
        bytes,
        reset: stream.rstCode ?? 0,
      });
    });
    stream.end(body);
    setTimeout(() => reject(new Error('no answer in 10 s')), 10_000).unref();
  });
}

interface Case {
  readonly what: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Uint8Array;
  /** The text is etcd's own, or so widely matched that it must be the same. */
  readonly sameText?: boolean;
}

const path = (value: string): OutgoingHttpHeaders => ({ [constants.HTTP2_HEADER_PATH]: value });
const raw = (...bytes: number[]): Uint8Array => grpcMessage(Buffer.from(bytes));

function nestedTxn(depth: number): Buffer {
  let message = Buffer.alloc(0);
  for (let i = 0; i < depth; i++) {
    const inner = Buffer.concat([Buffer.from([0x22]), varint(message.length), message]);
    message = Buffer.concat([Buffer.from([0x12]), varint(inner.length), inner]);
  }
  return message;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 128; value >>= 7) bytes.push((value & 127) | 128);
  bytes.push(value);
  return Buffer.from(bytes);
}

const CASES: readonly Case[] = [
  { what: 'a proper request' },
  { what: 'an unknown method', headers: path('/etcdserverpb.KV/Nothing'), sameText: true },
  { what: 'an unknown service', headers: path('/nothing.Nothing/Range'), sameText: true },
  { what: 'S10 the root path', headers: path('/') },
  { what: 'S10 a path without a slash', headers: path('etcdserverpb.KV/Range') },
  { what: 'S10 a path with two slashes', headers: path('//etcdserverpb.KV/Range') },
  { what: 'S10 a path without a method', headers: path('/etcdserverpb.KV') },
  { what: 'S10 a path with a slash at its end', headers: path('/etcdserverpb.KV/Range/') },
  { what: 'S10 a path with dots', headers: path('/./etcdserverpb.KV/Range') },
  { what: 'S10 a path that climbs', headers: path('/etcdserverpb.Watch/../etcdserverpb.KV/Range') },
  { what: 'S10 a percent-encoded path', headers: path('/etcdserverpb.KV/%52ange') },
  { what: 'S10 an upper-case path', headers: path('/ETCDSERVERPB.KV/RANGE') },
  { what: 'S10 a path with a query', headers: path('/etcdserverpb.KV/Range?x=1') },
  { what: 'S10 a path with a zero byte encoded', headers: path('/etcdserverpb.KV/Range%00') },
  { what: 'no content-type', headers: { 'content-type': undefined } },
  { what: 'content-type application/json', headers: { 'content-type': 'application/json' } },
  { what: 'content-type application/grpc+proto', headers: { 'content-type': 'application/grpc+proto' } },
  {
    what: 'content-type application/grpc;charset=utf-8',
    headers: { 'content-type': 'application/grpc;charset=utf-8' },
  },
  { what: 'content-type application/grpcx', headers: { 'content-type': 'application/grpcx' } },
  { what: 'content-type in capitals', headers: { 'content-type': 'Application/GRPC' } },
  { what: 'method GET', headers: { ':method': 'GET' } },
  { what: 'method PUT', headers: { ':method': 'PUT' } },
  { what: 'no te header', headers: { te: undefined } },
  { what: 'a deadline that is no number', headers: { 'grpc-timeout': 'abc' } },
  { what: 'a deadline without a unit', headers: { 'grpc-timeout': '100' } },
  { what: 'a deadline too long to write', headers: { 'grpc-timeout': '123456789S' } },
  { what: 'a generous deadline', headers: { 'grpc-timeout': '99999999H' } },
  {
    what: 'an unknown encoding',
    headers: { 'grpc-encoding': 'snappy' },
    body: grpcMessage(Buffer.alloc(4), 4, 1),
  },
  { what: 'an unknown encoding that is not used', headers: { 'grpc-encoding': 'snappy' } },
  { what: 'identity encoding', headers: { 'grpc-encoding': 'identity' } },
  {
    what: 'gzip',
    headers: { 'grpc-encoding': 'gzip' },
    body: grpcMessage(gzipSync(encode('RangeRequest', { key: 'a' })), undefined, 1),
  },
  { what: 'a compressed message without an encoding', body: grpcMessage(Buffer.from([10, 1, 97]), 3, 1) },
  {
    what: 'what should be gzip and is not',
    headers: { 'grpc-encoding': 'gzip' },
    body: grpcMessage(Buffer.alloc(9), 9, 1),
  },
  {
    what: 'a gzip bomb',
    headers: { 'grpc-encoding': 'gzip' },
    body: grpcMessage(gzipSync(Buffer.alloc(200 * 1024 * 1024)), undefined, 1),
  },
  { what: 'an unknown flag before the message', body: grpcMessage(Buffer.from([10, 1, 97]), 3, 2) },
  { what: 'no message', body: Buffer.alloc(0) },
  { what: 'half a message header', body: Buffer.from([0, 0, 0]) },
  { what: 'a message shorter than announced', body: grpcMessage(Buffer.from([10, 1, 97]), 100) },
  { what: 'a message announced as four gigabytes', body: grpcMessage(Buffer.from([10, 1, 97]), 0xffff_ffff) },
  { what: 'an empty message', body: grpcMessage(Buffer.alloc(0)), sameText: true },
  { what: 'two messages', body: Buffer.concat([GOOD_BODY, GOOD_BODY]) },
  { what: 'S17 a truncated tag', body: raw(0x80) },
  { what: 'S17 a truncated length', body: raw(0x0a, 0x80) },
  { what: 'S17 a length beyond the end', body: raw(0x0a, 0x7f, 0x61) },
  { what: 'S17 an enormous length', body: raw(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f) },
  { what: 'S17 a varint of eleven bytes', body: raw(0x18, ...Array<number>(10).fill(0xff), 0x01) },
  { what: 'S17 field number zero', body: raw(0x02, 0x01, 0x61) },
  { what: 'S17 wire type seven', body: raw(0x0f) },
  { what: 'S17 the key as a varint', body: raw(0x08, 0x01) },
  { what: 'S17 the limit as bytes', body: raw(0x0a, 0x01, 0x61, 0x1a, 0x01, 0x61) },
  { what: 'S17 a group that ends but never began', body: raw(0x0a, 0x01, 0x61, 0xfc, 0x07) },
  { what: 'S17 a group that never ends', body: raw(0x0a, 0x01, 0x61, 0xfb, 0x07) },
  { what: 'an unknown group is skipped', body: raw(0x0a, 0x01, 0x61, 0xfb, 0x07, 0x08, 0x01, 0xfc, 0x07) },
  { what: 'an unknown field is skipped', body: raw(0x0a, 0x01, 0x61, 0xfa, 0x07, 0x02, 0x61, 0x62) },
  {
    what: 'unknown fields of every type',
    body: raw(0x0a, 0x01, 0x61, 0xf8, 0x07, 0x05, 0xfd, 0x07, 1, 2, 3, 4),
  },
  { what: 'a field twice: the last one counts', body: raw(0x0a, 0x00, 0x0a, 0x01, 0x61) },
  {
    what: 'S17 text that is not UTF-8 in a string field',
    headers: path('/etcdserverpb.Cluster/MemberAdd'),
    body: raw(0x0a, 0x01, 0xff),
  },
  {
    what: 'S18 a transaction a thousand levels deep',
    headers: path('/etcdserverpb.KV/Txn'),
    body: grpcMessage(nestedTxn(1000)),
  },
  { what: 'metadata that is not base64', headers: { 'x-bin': '!!!' } },
  { what: 'an unknown token without authentication', headers: { token: 'nonsense.1' } },
  { what: 'a client-api-version that is not one', headers: { 'client-api-version': 'nonsense' } },
  { what: 'the leader is required and there is one', headers: { hasleader: 'true' } },
];

/**
 * Where 3.7 differs from earlier releases, which had another protobuf library: HTTP and gRPC status. A known field
 * number with an unexpected wire type is now an unknown field, and text has to be UTF-8.
 */
const SINCE_3_7: Readonly<Record<string, readonly [string, string]>> = {
  'S17 the key as a varint': ['200', '3'],
  'S17 the limit as bytes': ['200', '0'],
  'S17 text that is not UTF-8 in a string field': ['200', '13'],
};

/** The answer of the reference, or what has changed since its release. */
function expected(what: string, their: Answer): (string | undefined)[] {
  const changed = atLeast(SUBJECT, 3, 7) && !atLeast(REFERENCE, 3, 7) ? SINCE_3_7[what] : undefined;
  return changed === undefined ? [their.http, their.grpc] : [...changed];
}

for (const { what, headers = {}, body = GOOD_BODY, sameText } of CASES) {
  test(`answered like etcd: ${what}`, needs('etcd 3.5'), async () => {
    const [our, their] = await Promise.all([ask(ours, headers, body), ask(theirs, headers, body)]);
    if (process.env['ETCD_TEST_PRINT'] !== undefined) console.log(what, our, their);
    assert.deepEqual([our.http, our.grpc], expected(what, their), JSON.stringify({ our, their }));
    if (sameText === true) assert.equal(our.message, their.message);
    assert.equal(our.bytes > 0, our.grpc === '0');
    // It still answers.
    const again = await ask(ours, {}, GOOD_BODY);
    assert.deepEqual([again.http, again.grpc], ['200', '0']);
  });
}

test('a deadline that passes ends a watch', async () => {
  for (const server of [ours, theirs]) {
    const answer = await ask(
      server,
      { ...path('/etcdserverpb.Watch/Watch'), 'grpc-timeout': '300m' },
      grpcMessage(encode('WatchRequest', { create_request: { key: 'a' } })),
    );
    // Half-closed by us, a watch is ended by the server at once; either end is an answer.
    assert(answer.grpc !== undefined || answer.reset !== 0);
  }
});
