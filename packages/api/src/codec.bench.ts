/**
 * What the hot path's messages cost to decode and to encode: `node packages/api/src/codec.bench.ts [words of the name]`
 * prints nanoseconds each. A case per process (`… decode PutRequest`) is free of what other cases teach the compiler.
 */

import type { Codec } from './codec.ts';
import {
  Compare,
  CompareCodec,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  InternalRaftRequest,
  InternalRaftRequestCodec,
  PutRequest,
  PutRequestCodec,
  RangeRequest,
  RangeRequestCodec,
  RangeResponse,
  RangeResponseCodec,
  RequestHeader,
  RequestOp,
  ResponseHeader,
  TxnRequest,
  TxnRequestCodec,
  WatchResponse,
  WatchResponseCodec,
} from './gen/etcdserverpb.ts';
import { Event, KeyValue } from './gen/mvccpb.ts';
import {
  Entry,
  EntryCodec,
  HardState,
  HardStateCodec,
  Message,
  MessageCodec,
  MessageType,
} from './gen/raftpb.ts';

const ITERATIONS = 1_000_000;
const ROUNDS = 5;

const key = Buffer.from('/registry/pods/default/web-7d4b9c6f5d-abcde'.slice(0, 40));
const value = Buffer.alloc(256, 'v');
const header = new ResponseHeader({
  clusterId: 0xcdf818194e3a8c32n,
  memberId: 0x8e9e05c52164694dn,
  revision: 1_234_567,
  raftTerm: 3,
});
const kv = new KeyValue({ key, value, createRevision: 1_000_000, modRevision: 1_234_567, version: 7 });
const put = new PutRequest({ key, value });
const leasedPut = new PutRequest({ key, value, lease: 0x32698c2d5a1f1204n });
const entry = new Entry({ term: 3, index: 1_234_567, data: Buffer.alloc(320, 'd') });
const range = new RangeRequest({ key });
const compare = new Compare({
  result: CompareResult.EQUAL,
  target: CompareTarget.MOD,
  key,
  modRevision: 1_234_566,
  targetUnion: CompareTargetUnion.modRevision,
});

const CASES: readonly [string, Codec<object>, object][] = [
  ['PutRequest', PutRequestCodec, put],
  ['PutRequest with a lease', PutRequestCodec, leasedPut],
  ['RangeRequest', RangeRequestCodec, range],
  ['Compare', CompareCodec, compare],
  [
    'TxnRequest of Kubernetes',
    TxnRequestCodec,
    new TxnRequest({
      compare: [compare],
      success: [new RequestOp({ requestPut: put })],
      failure: [new RequestOp({ requestRange: range })],
    }),
  ],
  [
    'InternalRaftRequest with a put',
    InternalRaftRequestCodec,
    new InternalRaftRequest({ header: new RequestHeader({ id: 0x694d0198_f3a1_0001n }), put }),
  ],
  ['RangeResponse of 1', RangeResponseCodec, new RangeResponse({ header, kvs: [kv], count: 1 })],
  [
    'RangeResponse of 100',
    RangeResponseCodec,
    new RangeResponse({ header, kvs: new Array(100).fill(kv), count: 100 }),
  ],
  [
    'WatchResponse of 1',
    WatchResponseCodec,
    new WatchResponse({ header, watchId: 3n, events: [new Event({ kv })] }),
  ],
  ['HardState', HardStateCodec, new HardState({ term: 3, vote: 0x8e9e05c52164694dn, commit: 1_234_567 })],
  ['Entry', EntryCodec, entry],
  [
    'Message with 10 entries',
    MessageCodec,
    new Message({
      type: MessageType.MsgApp,
      to: 0x8e9e05c52164694dn,
      from: 0x91bc3c398fb3c146n,
      term: 3,
      logTerm: 3,
      index: 1_234_556,
      entries: new Array(10).fill(entry),
      commit: 1_234_550,
    }),
  ],
];

const words = process.argv.slice(2);
let sink = 0;

for (const [name, codec, message] of CASES) {
  const size = codec.size(message);
  // As in a socket's buffer: a message somewhere in the middle of a larger one.
  const buffer = Buffer.alloc(size + 1000);
  codec.write(message, buffer, 500);
  run(`decode ${name}`, size, () => {
    sink += Object.hasOwn(codec.decode(buffer, 500, 500 + size), 'unknown') ? 1 : 0;
  });
  run(`encode ${name}`, size, () => {
    sink += codec.write(message, buffer, 500 + (codec.size(message) & 1));
  });
}
if (sink === 0) throw new Error('nothing was measured');

function run(name: string, sizeBytes: number, operation: () => void): void {
  if (!words.every((word) => name.includes(word))) return;
  const iterations = Math.ceil(ITERATIONS / Math.max(1, sizeBytes / 300));
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < iterations; i++) operation();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / iterations);
  }
  process.stdout.write(`${name.padEnd(40)} ${best.toFixed(0).padStart(7)} ns\n`);
}
