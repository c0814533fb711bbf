import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import fc from 'fast-check';
import { IntervalSet } from './interval-set.ts';
import { checkDelete, checkPut, checkRange, checkRangeStream, checkTxn } from './kv-checks.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const put = (key: string): RequestOp => new RequestOp({ requestPut: new PutRequest({ key: bytes(key) }) });
const del = (key: string, rangeEnd = ''): RequestOp =>
  new RequestOp({
    requestDeleteRange: new DeleteRangeRequest({ key: bytes(key), rangeEnd: bytes(rangeEnd) }),
  });
const txn = (success: RequestOp[], failure: RequestOp[] = []): RequestOp =>
  new RequestOp({ requestTxn: new TxnRequest({ success, failure }) });

test('requests without a key, with unknown sort options or contradictory flags are refused', () => {
  assert.equal(checkRange(new RangeRequest()), RPC_ERRORS.ErrGRPCEmptyKey);
  assert.equal(checkPut(new PutRequest()), RPC_ERRORS.ErrGRPCEmptyKey);
  assert.equal(checkDelete(new DeleteRangeRequest()), RPC_ERRORS.ErrGRPCEmptyKey);
  const key = bytes('k');
  assert.equal(checkRange(new RangeRequest({ key, sortOrder: 3 })), RPC_ERRORS.ErrGRPCInvalidSortOption);
  assert.equal(checkRange(new RangeRequest({ key, sortTarget: -1 })), RPC_ERRORS.ErrGRPCInvalidSortOption);
  assert.equal(
    checkPut(new PutRequest({ key, value: key, ignoreValue: true })),
    RPC_ERRORS.ErrGRPCValueProvided,
  );
  assert.equal(
    checkPut(new PutRequest({ key, lease: 1n, ignoreLease: true })),
    RPC_ERRORS.ErrGRPCLeaseProvided,
  );
  assert.equal(checkRangeStream(new RangeRequest({ key, sortOrder: 1 })), null);
  assert.match(checkRangeStream(new RangeRequest({ key, sortOrder: 2 }))!.message, /custom sort orders/);
  assert.match(checkRangeStream(new RangeRequest({ key, minModRevision: 1 }))!.message, /revision filters/);
});

test('operations are counted level by level, nested levels share what is left', () => {
  const list = (count: number): RequestOp[] => Array.from({ length: count }, (_, i) => put(`k${i}`));
  assert.equal(checkTxn(new TxnRequest({ success: list(4) }), 4), null);
  assert.equal(checkTxn(new TxnRequest({ success: list(5) }), 4), RPC_ERRORS.ErrGRPCTooManyOps);
  assert.equal(checkTxn(new TxnRequest({ success: [txn(list(3))] }), 4), null);
  assert.equal(checkTxn(new TxnRequest({ success: [txn(list(4))] }), 4), RPC_ERRORS.ErrGRPCTooManyOps);
  assert.equal(checkTxn(new TxnRequest({ success: [new RequestOp()] }), 4), RPC_ERRORS.ErrGRPCKeyNotFound);
  assert.equal(checkTxn(new TxnRequest({ compare: [new Compare()] }), 4), RPC_ERRORS.ErrGRPCEmptyKey);
});

test('a key is put once and not put where it is deleted', () => {
  const cases: readonly [string, RequestOp[], boolean][] = [
    ['two puts', [put('a'), put('a')], false],
    ['put and point delete', [put('a'), del('a')], false],
    ['delete first', [del('a', 'c'), put('b')], false],
    ['put at the end of a deleted range', [del('a', 'c'), put('c')], true],
    ['overlapping deletes', [del('a', 'c'), del('b', 'd')], true],
    ['the open end overlaps nothing', [del('a', '\0'), put('b')], true],
    ['an inverted range deletes nothing', [del('c', 'a'), put('b')], true],
    ['both branches of one nested txn', [txn([put('a')], [put('a')])], true],
    ['branches of two nested txns', [txn([put('a')]), txn([], [put('a')])], false],
    ['nested put, outer delete', [txn([put('a')]), del('a')], false],
    ['nested delete, outer put', [txn([del('a')]), put('a')], false],
    ['nested delete behind a nested put', [txn([put('a')]), txn([del('a')])], true],
    ['nested delete before a nested put', [txn([del('a')]), txn([put('a')])], false],
  ];
  for (const [name, success, allowed] of cases) {
    const error = checkTxn(new TxnRequest({ success }), 128);
    assert.equal(error, allowed ? null : RPC_ERRORS.ErrGRPCDuplicateKey, name);
  }
});

test('S18 a deep tower of transactions around many keys is judged in reasonable time', () => {
  let ops = Array.from({ length: 100 }, (_, i) =>
    txn(Array.from({ length: 100 }, (_, j) => put(`${i}/${j}`))),
  );
  ops.push(...Array.from({ length: 20 }, (_, i) => del(`x${i}`, `x${i}~`)));
  for (let level = 0; level < 300; level++) ops = [txn(ops)];
  assert.equal(checkTxn(new TxnRequest({ success: ops }), 1000), null);
});

test('interval set agrees with a list of intervals', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 3 });
  fc.assert(
    fc.property(fc.array(fc.tuple(key, key)), fc.array(key), (ranges, probes) => {
      const set = new IntervalSet();
      for (const [begin, end] of ranges) set.addRange(begin, end);
      for (const probe of probes) {
        const expected = ranges.some(([begin, end]) => begin <= probe && probe < end);
        assert.equal(set.has(probe), expected, probe);
      }
    }),
  );
});
