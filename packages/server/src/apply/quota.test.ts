import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest } from '@etcd/api/etcdserverpb';
import { InvariantError } from '@etcd/base';
import type { Backend } from '@etcd/storage/backend';
import { putCost, Quota, txnCost } from './quota.ts';

const key = Buffer.from('key');
const put = (valueBytes: number): RequestOp =>
  new RequestOp({ requestPut: new PutRequest({ key, value: new Uint8Array(valueBytes) }) });
const txn = (success: RequestOp[], failure: RequestOp[] = []): TxnRequest =>
  new TxnRequest({ success, failure });
const nested = (requestTxn: TxnRequest): RequestOp => new RequestOp({ requestTxn });

test('there is room up to the limit and not at it, and always for what costs nothing', () => {
  const backend = { sizeBytes: 900 };
  const quota = new Quota(backend as Backend, 1000);
  assert.deepEqual([quota.hasRoomFor(99), quota.hasRoomFor(100)], [true, false]);
  backend.sizeBytes = 5000;
  assert.deepEqual([quota.hasRoomFor(0), quota.hasRoomFor(1)], [true, false]);
  assert.ok(new Quota(backend as Backend, Number.POSITIVE_INFINITY).hasRoomFor(Number.MAX_SAFE_INTEGER));
  assert.throws(() => new Quota(backend as Backend, 0), InvariantError);
});

test('a put costs its key, its value and what goes with them', () => {
  assert.equal(putCost(new PutRequest({ key, value: new Uint8Array(10) })), 3 + 10 + 256);
});

test('a transaction costs its dearer branch, at any depth, and nothing if it only reads and deletes', () => {
  const reads = [
    new RequestOp({ requestRange: new RangeRequest({ key }) }),
    new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ key }) }),
    new RequestOp(),
  ];
  assert.equal(txnCost(txn(reads, reads)), 0);
  assert.equal(txnCost(txn([put(1), put(2)], [put(100)])), 2 * 259 + 3);
  assert.equal(txnCost(txn([put(1)], [put(1000)])), 259 + 1000);
  assert.equal(txnCost(txn([nested(txn([put(5)], [put(6), put(7)])), put(1)])), 3 * 259 + 14);
});
