import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Codec } from '@etcd/api';
import { MESSAGES } from '@etcd/api/descriptors';
import {
  decodeInternalRaftRequest,
  encodeInternalRaftRequest,
  encodePutRequest,
  InternalRaftRequest,
  PutRequest,
  Request,
} from '@etcd/api/etcdserverpb';
import { Entry, EntryType } from '@etcd/api/raftpb';
import { randomMessage } from '@etcd/api/testing';
import { SeededRandom } from '@etcd/base';
import { NO_IDENTITY } from '@etcd/storage/auth';
import { KINDS, type Kind, type RequestOf } from './kinds.ts';
import { RequestEncoder, RequestEnvelope } from './raft-request.ts';
import { RequestIds } from './request-ids.ts';
import { CompactionResult } from './results.ts';
import { lastV2Index } from './v2-entries.ts';

const ENVELOPE = MESSAGES.get('etcdserverpb.InternalRaftRequest')!;
const NAMES = Object.keys(KINDS) as Kind[];
const ALICE = { name: 'alice', revision: 7 };
const CHUNK_BYTES = 128 * 1024;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function encode<K extends Kind>(kind: K, request: RequestOf<K>): Uint8Array {
  return new RequestEncoder(new RequestIds(0xabcdn, 5)).encode(kind, request, ALICE, 6);
}

function encodedBy<T extends object>(codec: Codec<T>, message: T): Uint8Array {
  const bytes = new Uint8Array(codec.size(message));
  assert.equal(codec.write(message, bytes, 0), bytes.length);
  return bytes;
}

/** Where etcd's own definition has the kind. */
function fieldOf(kind: Kind): (typeof ENVELOPE.fields)[number] {
  return ENVELOPE.fields.find(({ number }) => number === KINDS[kind].field)!;
}

test('an envelope is the request in its field, then field 100 with id, user and auth revision', () => {
  const put = new PutRequest({ key: Buffer.from('k'), value: Buffer.from('v') });
  const request = '0a016b120176';
  const header = `08868080808080c0e6ab011205${Buffer.from('alice').toString('hex')}1807`;
  const length = (text: string): string => (text.length / 2).toString(16).padStart(2, '0');
  assert.equal(hex(encode('put', put)), `22${length(request)}${request}a206${length(header)}${header}`);
});

test('every kind of request lies in its field of the envelope, and the codec of etcd reads it from there', () => {
  const random = new SeededRandom(3);
  for (const kind of NAMES) {
    const { codec, field } = KINDS[kind] as (typeof KINDS)['put'];
    const request = randomMessage(random, fieldOf(kind).type) as PutRequest;
    const encoded = encode(kind as 'put', request);
    const decoded = decodeInternalRaftRequest(encoded);
    const { property } = fieldOf(kind);
    const inside = (decoded as unknown as Record<string, PutRequest | null>)[property];
    assert.ok(inside !== undefined && inside !== null, kind);
    assert.equal(hex(encodedBy(codec, inside)), hex(encodedBy(codec, request)), kind);
    assert.deepEqual([decoded.header!.username, decoded.header!.authRevision], ['alice', 7]);
    const envelope = new RequestEnvelope();
    assert.ok(envelope.parse(encoded), kind);
    assert.equal(envelope.field, field);
    assert.equal(hex(encoded.subarray(envelope.start, envelope.end)), hex(encodedBy(codec, request)));
  }
});

test('kinds have fields of their own, and names under which metrics count them', () => {
  const rows = NAMES.map((kind) => KINDS[kind]);
  assert.equal(new Set(rows.map(({ field }) => field)).size, rows.length);
  assert.equal(new Set(rows.map(({ operation }) => operation)).size, rows.length);
  for (const kind of NAMES) assert.equal(KINDS[kind].operation.toLowerCase(), kind.toLowerCase());
});

test('small requests share memory, which nobody writes again; a large one has its own', () => {
  const encoder = new RequestEncoder(new RequestIds(1n, 0));
  const value = (size: number): PutRequest => new PutRequest({ value: new Uint8Array(size).fill(7) });
  const first = encoder.encode('put', value(100), NO_IDENTITY, 1);
  const copy = hex(first);
  const second = encoder.encode('put', value(100), NO_IDENTITY, 2);
  assert.equal(second.buffer, first.buffer);
  assert.ok(second.byteOffset >= first.byteOffset + first.length);
  const large = encoder.encode('put', value(CHUNK_BYTES), NO_IDENTITY, 3);
  assert.notEqual(large.buffer, first.buffer);
  assert.ok(large.buffer.byteLength < CHUNK_BYTES + 64, 'no more than it needs');
  for (let i = 0; i < 3000; i++) encoder.encode('put', value(100), NO_IDENTITY, 4 + i);
  assert.equal(hex(first), copy);
});

test('a request is cut out of the bytes around it as its client has sent it', () => {
  const put = encodePutRequest(new PutRequest({ key: Buffer.from('k') }));
  const around = Buffer.concat([Buffer.from([1, 2, 3]), put, Buffer.from([4, 5])]);
  const encoder = new RequestEncoder(new RequestIds(1n, 0));
  const cut = encoder.encodeBytes('put', around, 3, 3 + put.length, ALICE, 9);
  assert.equal(hex(cut), hex(encoder.encodeBytes('put', put, 0, put.length, ALICE, 9)));
  assert.equal(hex(decodeInternalRaftRequest(cut).put!.key), hex(Buffer.from('k')));
});

test('S17 what is no envelope of the usual form is left to the codec', () => {
  const envelope = new RequestEnvelope();
  for (const text of ['2200', '2200a206020805', 'a2060208052200', '22020a00'])
    assert.ok(envelope.parse(Buffer.from(text, 'hex')), text);
  const cases: Readonly<Record<string, string>> = {
    empty: '',
    'a header alone': 'a206020805',
    'two requests': '22002a00',
    'a request twice': '22002200',
    'a length beyond the end': '220500',
    'a tag without a length': '22',
    'a varint field': '2000',
    'a fixed field': '2500000000',
    'an endless tag': 'ff'.repeat(12),
    'an endless length': `22${'ff'.repeat(12)}`,
    'a length beyond 32 bits': '2280808080800100',
    'an unknown field of the header': '2200a206022005',
    'a header cut in its id': '2200a2060208ff',
    'a user longer than the header': '2200a20603120561',
    'a bare request of the v2 API': '080112035055541a012f',
  };
  for (const [what, text] of Object.entries(cases)) {
    assert.equal(envelope.parse(Buffer.from(text, 'hex')), false, what);
  }
});

test('an envelope parser remembers nothing of the envelope before', () => {
  const envelope = new RequestEnvelope();
  assert.ok(envelope.parse(encode('put', new PutRequest())));
  const bare = encodeInternalRaftRequest(new InternalRaftRequest({ put: new PutRequest() }));
  assert.ok(envelope.parse(bare));
  assert.deepEqual([envelope.idPrefix, envelope.idSuffix, envelope.authRevision], [0, 0, 0]);
  assert.equal(envelope.identity(bare), NO_IDENTITY);
});

test('ids are the low bits of the member over a count that ends at 48 bits and begins again', () => {
  const ids = new RequestIds(0x1234_5678_9abc_def0n, 2 ** 48 - 2);
  assert.equal(ids.prefix, 0xdef0);
  assert.deepEqual([ids.next(), ids.next(), ids.next()], [2 ** 48 - 1, 0, 1]);
  assert.equal(ids.full(5), 0xdef0_0000_0000_0005n);
});

test('an id takes as many bytes as it says, for every length of a varint', () => {
  for (const member of [0n, 1n, 0x7fn, 0xffffn]) {
    const ids = new RequestIds(member, 0);
    for (let bits = 0; bits <= 48; bits++) {
      const suffix = Math.max(0, 2 ** bits - 1);
      const target = new Uint8Array(10);
      const size = ids.write(suffix, target, 0);
      assert.equal(ids.size(suffix), size, `${member} ${bits}`);
      let value = 0n;
      for (let i = size - 1; i >= 0; i--) value = (value << 7n) | BigInt(target[i]! & 0x7f);
      assert.equal(value, ids.full(suffix));
    }
  }
});

// --- requests of the v2 API in a log

function log(...datas: readonly (Uint8Array | null)[]): Parameters<typeof lastV2Index>[0] {
  const entries = datas.map(
    (data, i) =>
      new Entry({
        index: 11 + i,
        term: 1,
        type: data === null ? EntryType.EntryConfChange : EntryType.EntryNormal,
        data: data ?? Buffer.from('conf change'),
      }),
  );
  return { entries: () => entries, firstIndex: () => 11, lastIndex: () => 10 + entries.length };
}

const BARE_V2 = Buffer.from('080112035055541a012f', 'hex');
const WRAPPED_V2 = encodeInternalRaftRequest(new InternalRaftRequest({ v2: new Request({ method: 'PUT' }) }));
const PUT = encode('put', new PutRequest({ key: Buffer.from('k') }));

test('the last request of the v2 API in a log is found, in an envelope or without', () => {
  const cases: readonly [readonly (Uint8Array | null)[], number][] = [
    [[], 0],
    [[PUT, PUT], 0],
    [[new Uint8Array(0), null], 0],
    [[WRAPPED_V2, PUT, PUT], 11],
    [[PUT, BARE_V2, WRAPPED_V2, PUT], 13],
    [[BARE_V2, PUT, BARE_V2, null], 13],
  ];
  for (const [datas, index] of cases) assert.equal(lastV2Index(log(...datas)), index);
});

test('a log that is compacted away has none', () => {
  const gone = { entries: () => null, firstIndex: () => 5, lastIndex: () => 4 };
  assert.equal(lastV2Index(gone), 0);
});

test('who waits for a compaction is told once it is done, early or late, and once', () => {
  const result = new CompactionResult(null, 5);
  const told: string[] = [];
  result.whenDone(() => told.push('early'));
  assert.equal(told.length, 0);
  result.finish();
  result.finish();
  result.whenDone(() => told.push('late'));
  assert.deepEqual(told, ['early', 'late']);
});
