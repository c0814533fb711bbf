import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeInternalRaftRequest,
  decodePutRequest,
  decodeRangeRequest,
  decodeRequest,
  decodeRequestOp,
  decodeTxnRequest,
  decodeWatchCreateRequest,
  encodeInternalRaftRequest,
  encodePutRequest,
  encodeRequest,
  encodeRequestOp,
  encodeTxnRequest,
  InternalRaftRequest,
  PutRequest,
  RangeRequest,
  Request,
  RequestOp,
  TxnRequest,
} from '../gen/etcdserverpb.ts';
import { decodeLease, encodeLease, Lease } from '../gen/leasepb.ts';
import { decodeConfState, decodeEntry, decodeMessage, decodeSnapshot } from '../gen/raftpb.ts';
import { DecodeError, type DecodeErrorCode, MAX_MESSAGE_DEPTH } from './decode-error.ts';
import { sizeDelimited, WIRE_DELIMITED, writeBytes } from './index.ts';
import {
  cursor,
  readBigInt64,
  readBigUint64,
  readBool,
  readInt32,
  readInt64,
  readString,
  readStringLossy,
  readUint32,
  readUint64,
} from './read.ts';
import {
  sizeBigInt,
  sizeInt32,
  sizeInt64,
  sizeString,
  sizeUint32,
  sizeUint64,
  writeBigInt,
  writeInt32,
  writeInt64,
  writeString,
  writeUint32,
  writeUint64,
} from './write.ts';

type Writer<T> = (target: Uint8Array, position: number, value: T) => number;

/** Bytes written, checked against the size that was announced. */
function written<T>(size: (value: T) => number, write: Writer<T>, value: T): Uint8Array {
  const target = new Uint8Array(40).fill(0xee);
  const end = write(target, 3, value);
  assert.equal(end - 3, size(value), `size of ${String(value)}`);
  assert.equal(target[end], 0xee);
  return target.subarray(3, end);
}

/** A varint as the definition has it. */
function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

const EDGES = [7, 14, 21, 28, 31, 32, 35, 42, 49, 53].flatMap((bits) => [
  2 ** bits - 1,
  2 ** bits,
  2 ** bits + 1,
]);

test('counters are written exactly and read back', () => {
  const counter = fc.oneof(fc.constantFrom(0, 1, ...EDGES), fc.maxSafeNat());
  fc.assert(
    fc.property(counter, (value) => {
      const unsigned = written(sizeUint64, writeUint64, value);
      assert.deepEqual(unsigned, varint(BigInt(value)));
      assert.equal(readUint64(unsigned, 0, unsigned.length), value);
      for (const signed of [value, -value]) {
        const bytes = written(sizeInt64, writeInt64, signed);
        assert.deepEqual(bytes, varint(BigInt(signed)));
        assert.equal(readInt64(bytes, 0, bytes.length), signed + 0);
        assert.equal(cursor, bytes.length);
      }
    }),
  );
});

test('a counter beyond 2^53 is read as the nearest double', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const bytes = varint(value);
      assert.equal(readInt64(bytes, 0, bytes.length), Number(value));
      assert.equal(readUint64(bytes, 0, bytes.length), Number(BigInt.asUintN(64, value)));
    }),
  );
});

test('a counter that its type cannot hold is written as the nearest that it can', () => {
  for (const value of [2 ** 63, 2 ** 64, 1e300, Number.MAX_VALUE]) {
    assert.deepEqual(written(sizeInt64, writeInt64, value), varint(2n ** 63n - 1n));
    assert.deepEqual(written(sizeInt64, writeInt64, -value), varint(-(2n ** 63n)));
  }
  assert.deepEqual(written(sizeUint64, writeUint64, 2 ** 64), varint(2n ** 64n - 1n));
  assert.deepEqual(written(sizeUint64, writeUint64, 2 ** 63), varint(2n ** 63n));
  assert.deepEqual(written(sizeUint64, writeUint64, -1), varint(0n));
});

test('a revision from the far future is read, written and read as one', () => {
  const request = Uint8Array.from([32, ...varint(2n ** 63n - 1n)]);
  const { revision } = decodeRangeRequest(request);
  assert.equal(revision, 2 ** 63);
  assert.ok(revision > Number.MAX_SAFE_INTEGER);
});

test('something that is no integer does not get into a message', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40 + 0.5, -0.5]) {
    assert.throws(() => sizeInt64(value), { name: 'InvariantError' });
  }
});

test('identifiers keep all 64 bits, signed and unsigned', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
      const bytes = written(sizeBigInt, writeBigInt, value);
      assert.deepEqual(bytes, varint(value));
      assert.equal(readBigUint64(bytes, 0, bytes.length), value);
      const signed = BigInt.asIntN(64, value);
      assert.deepEqual(written(sizeBigInt, writeBigInt, signed), bytes);
      assert.equal(readBigInt64(bytes, 0, bytes.length), signed);
    }),
  );
  const lease = new Lease({ id: -1n, ttl: -5 });
  assert.deepEqual(decodeLease(encodeLease(lease)), lease);
});

test('32-bit integers, enums and booleans take what they can of a long varint', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
      const bytes = varint(value);
      assert.equal(readUint32(bytes, 0, bytes.length), Number(BigInt.asUintN(32, value)));
      assert.equal(readInt32(bytes, 0, bytes.length), Number(BigInt.asIntN(32, value)));
      assert.equal(readBool(bytes, 0, bytes.length), value !== 0n);
    }),
  );
  fc.assert(
    fc.property(fc.integer(), (value) => {
      assert.deepEqual(written(sizeInt32, writeInt32, value), varint(BigInt(value)));
      assert.deepEqual(written(sizeUint32, writeUint32, value >>> 0), varint(BigInt(value >>> 0)));
    }),
  );
});

test('strings are UTF-8, lone surrogates become U+FFFD', () => {
  const text = fc.string({
    unit: fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\ud800', '\udfff')),
  });
  fc.assert(
    fc.property(text, (value) => {
      const encoded = new TextEncoder().encode(value);
      const target = new Uint8Array(encoded.length + 5);
      const end = writeString(target, 0, value);
      assert.equal(end, sizeString(value));
      assert.deepEqual(target.subarray(end - encoded.length, end), encoded);
      assert.equal(readString(target, 0, end), value.toWellFormed());
      assert.equal(readStringLossy(Buffer.from(target), 0, end), value.toWellFormed());
    }),
  );
});

test('the last of a repeated scalar counts, a repeated sub-message merges', () => {
  assert.equal(decodeRangeRequest(Uint8Array.from([24, 1, 24, 2])).limit, 2);
  // Txn, twice a RequestOp with a range: first with a key, then with a limit.
  const op = decodeRequestOp(Uint8Array.from([0x0a, 3, 0x0a, 1, 0x6b, 0x0a, 2, 24, 9]));
  assert.equal(Buffer.from(op.requestRange!.key).toString(), 'k');
  assert.equal(op.requestRange!.limit, 9);
  const snapshot = decodeSnapshot(Uint8Array.from([0x12, 2, 16, 5, 0x12, 2, 24, 6]));
  assert.equal(snapshot.metadata.index, 5);
  assert.equal(snapshot.metadata.term, 6);
});

test('the last member of a oneof counts', () => {
  const op = decodeRequestOp(Uint8Array.from([0x0a, 2, 24, 9, 0x12, 0]));
  assert.equal(op.requestRange, null);
  assert.notEqual(op.requestPut, null);
  assert.deepEqual([...encodeRequestOp(op)], [0x12, 0]);
  const both = Uint8Array.from([0x0a, 2, 24, 9, 0x12, 0, 0x0a, 0]);
  assert.deepEqual(decodeRequestOp(both), new RequestOp({ requestRange: new RangeRequest() }));
});

test('repeated scalars are read packed and unpacked, in any mixture', () => {
  assert.deepEqual(
    decodeWatchCreateRequest(Uint8Array.from([40, 1, 42, 2, 0, 1, 40, 0])).filters,
    [1, 0, 1, 0],
  );
  assert.deepEqual(decodeConfState(Uint8Array.from([8, 1, 10, 2, 2, 3, 8, 4])).voters, [1n, 2n, 3n, 4n]);
});

test('unknown fields, and known ones of another wire type, are kept and written behind the known ones', () => {
  const unknown = [
    [0xf8, 0x3f, 1], // 1023: varint
    [0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8], // 1023: 64 bits
    [0xfa, 0x3f, 2, 9, 9], // 1023: length
    [0xfb, 0x3f, 8, 1, 0x0b, 0x0c, 0xfc, 0x3f], // 1023: group with a field and a group inside
    [0xfd, 0x3f, 1, 2, 3, 4], // 1023: 32 bits
    [0x08, 5], // key as a varint
    [0x18 | 2, 0], // lease as bytes
  ];
  const known = [0x0a, 1, 0x6b, 24, 7];
  const input = [...unknown.slice(0, 4).flat(), ...known, ...unknown.slice(4).flat()];
  const put = decodePutRequest(Uint8Array.from(input));
  assert.equal(put.lease, 7n);
  assert.equal(put.unknown!.length, unknown.flat().length);
  assert.deepEqual([...encodePutRequest(put)], [...known, ...unknown.flat()]);
});

test('unknown fields are copies, and many of them take linear time', () => {
  const input = new Uint8Array(400_000);
  // Every second field is known, so that no two unknown ones are neighbours.
  for (let i = 0; i < input.length; i += 4) input.set([0x78, 1, 24, 1], i);
  const put = decodePutRequest(input);
  input.fill(0);
  assert.equal(put.unknown!.length, 200_000);
  assert.deepEqual([...put.unknown!.bytes().subarray(0, 4)], [0x78, 1, 0x78, 1]);
});

test('a tag that is longer than it need be still names its field', () => {
  const key = decodePutRequest(Uint8Array.from([0x8a, 0x80, 0, 1, 0x6b])).key;
  assert.deepEqual([...key], [0x6b]);
});

const MALFORMED: readonly [string, DecodeErrorCode, readonly number[], number][] = [
  ['ends inside a tag', 'truncated', [0x0a, 0, 0x8a], 3],
  ['ends after a tag', 'truncated', [0x18], 1],
  ['ends inside a varint', 'truncated', [0x18, 0xff, 0xff], 3],
  ['ends inside a length', 'truncated', [0x0a, 0x80], 2],
  ['has a length beyond the end', 'truncated', [0x0a, 2, 1], 1],
  ['has a length of 2^63', 'truncated', [0x0a, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1], 1],
  ['has a varint of eleven bytes', 'varint', [0x18, ...new Array(10).fill(0x80), 0], 11],
  ['has a varint of 65 bits', 'varint', [0x18, ...new Array(9).fill(0xff), 2], 11],
  ['has field number 0', 'field-number', [0, 0], 1],
  ['has a field number beyond 2^29', 'field-number', [0x80, 0x80, 0x80, 0x80, 0x10, 0], 0],
  ['has wire type 6', 'wire-type', [0x7e], 1],
  ['has wire type 7 inside a group', 'wire-type', [0x7b, 0x7f], 2],
  ['ends a group that was not begun', 'group', [0x7c], 1],
  ['ends another group than was begun', 'group', [0x7b, 0x74], 2],
  ['ends inside a group', 'truncated', [0x7b, 0x08, 1], 3],
  ['ends inside 64 bits', 'truncated', [0x79, 1, 2, 3], 1],
  ['ends inside 32 bits', 'truncated', [0x7d, 1, 2, 3], 1],
];

for (const [what, code, input, offset] of MALFORMED) {
  test(`input that ${what} is an error that says where`, () => {
    // In the middle of a larger array whose other bytes would complete it.
    const array = Uint8Array.from([1, 1, ...input, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert.throws(
      () => decodePutRequest(array, 2, 2 + input.length),
      (error) => {
        assert.ok(error instanceof DecodeError);
        assert.equal(error.code, code);
        assert.equal(error.messageType, 'etcdserverpb.PutRequest');
        assert.equal(error.offset, offset);
        assert.match(error.message, /^etcdserverpb\.PutRequest: .* at offset \d+$/);
        return true;
      },
    );
  });
}

test('a proto3 string must be UTF-8, a proto2 string is repaired', () => {
  const invalid = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe6, 0x97]];
  for (const bytes of invalid) {
    const input = Uint8Array.from([bytes.length, ...bytes]);
    assert.throws(() => readString(input, 0, input.length), { code: 'utf8', offset: 1 });
    assert.match(readStringLossy(input, 0, input.length), /^\ufffd+$/);
  }
});

test('a nested length cannot reach beyond the message that contains it', () => {
  const input = Uint8Array.from([0x0a, 2, 0x0a, 1, 0x6b]);
  assert.throws(() => decodeTxnRequest(input), { code: 'truncated', offset: 3 });
});

/** A transaction in a transaction …, `levels` RequestOps deep, from the inside out. */
function nestedTxn(levels: number): Uint8Array {
  const target = new Uint8Array(levels * 12);
  let start = target.length;
  const prepend = (tag: number): void => {
    const length = target.length - start;
    start -= sizeUint32(length);
    writeUint32(target, start, length);
    target[--start] = tag;
  };
  for (let i = 0; i < levels; i++) {
    prepend(0x22);
    prepend(0x12);
  }
  return target.subarray(start);
}

test('S17 messages nested to the limit are read and written, one level more is an error', () => {
  const deepest = nestedTxn(MAX_MESSAGE_DEPTH / 2);
  const txn = decodeTxnRequest(deepest);
  assert.deepEqual(encodeTxnRequest(txn), deepest);
  assert.ok(txn instanceof TxnRequest);
  assert.throws(() => decodeTxnRequest(nestedTxn(MAX_MESSAGE_DEPTH / 2 + 1)), { code: 'depth' });
  assert.throws(() => decodeTxnRequest(nestedTxn(100_000)), { code: 'depth' });
});

test('S17 groups and raft messages nested without end are an error', () => {
  assert.throws(() => decodePutRequest(new Uint8Array(100_000).fill(0x7b)), { code: 'depth' });
  assert.throws(() => decodeEntry(new Uint8Array(100_000).fill(0x7b)), { code: 'depth' });
  let message = new Uint8Array(0);
  for (let i = 0; i <= MAX_MESSAGE_DEPTH; i++) {
    const outer = new Uint8Array(1 + sizeUint32(message.length) + message.length);
    outer[0] = 0x72;
    outer.set(message, writeUint32(outer, 1, message.length));
    message = outer;
  }
  assert.throws(() => decodeMessage(message), { code: 'depth' });
});

test('a bare v2 request, which old logs hold in place of an InternalRaftRequest, is not one', () => {
  for (const method of ['PUT', 'POST', 'DELETE', 'QGET', 'SYNC', '']) {
    const request = new Request({ id: 0x694d0198_f3a1_0001n, method, path: '/0/version', val: '3.4.0' });
    const bytes = encodeRequest(request);
    assert.throws(() => decodeInternalRaftRequest(bytes), { name: 'DecodeError' });
    assert.deepEqual(decodeRequest(bytes), request);
  }
});

test('a message put together from encoded parts is what its writer writes', () => {
  const put = new PutRequest({ key: Buffer.from('key'), value: Buffer.alloc(200, 'v') });
  const part = encodePutRequest(put);
  const target = new Uint8Array(1 + sizeDelimited(part.length));
  target[0] = 4 * 8 + WIRE_DELIMITED;
  assert.equal(writeBytes(target, 1, part), target.length);
  assert.deepEqual(target, encodeInternalRaftRequest(new InternalRaftRequest({ put })));
});

test('what the caller promises about the range is asserted', () => {
  const bytes = new Uint8Array(4);
  for (const [start, end] of [
    [-1, 2],
    [3, 2],
    [0, 5],
  ] as const) {
    assert.throws(() => decodeEntry(bytes, start, end), { name: 'InvariantError' });
  }
});
