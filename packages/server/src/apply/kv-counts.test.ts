import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Compare,
  CompareTarget,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { SingleLog } from './testing/single-log.ts';

const op = {
  put: (key: string) =>
    new RequestOp({ requestPut: new PutRequest({ key: Buffer.from(key), value: Buffer.from('12345') }) }),
  range: () => new RequestOp({ requestRange: new RangeRequest({ key: Buffer.from('k') }) }),
  del: () => new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ key: Buffer.from('d') }) }),
  txn: (success: RequestOp[]) => new RequestOp({ requestTxn: new TxnRequest({ success }) }),
};

/** What is counted when a transaction is applied: puts, their bytes, ranges, deletes, transactions. */
function counted(success: RequestOp[], failure: RequestOp[] = [], succeeds = true): number[] {
  const log = new SingleLog();
  const version = succeeds ? 0 : 1;
  const compare = [new Compare({ key: Buffer.from('c'), target: CompareTarget.VERSION, version })];
  assert.ok(log.propose('txn', new TxnRequest({ compare, success, failure }))!.result);
  const { putTotal, totalPutSizeBytes, rangeTotal, deleteTotal, txnTotal } = log.metrics;
  return [putTotal.value, totalPutSizeBytes.value, rangeTotal.value, deleteTotal.value, txnTotal.value];
}

test('a transaction counts as one where it does more than one thing, and each of its operations by itself', () => {
  assert.deepEqual(counted([]), [0, 0, 0, 0, 0]);
  assert.deepEqual(counted([op.put('k')]), [1, 6, 0, 0, 0]);
  assert.deepEqual(counted([op.put('k'), op.range(), op.del()]), [1, 6, 1, 1, 1]);
});

test('only the branch that ran is counted', () => {
  const branches = [[op.put('a'), op.put('b')], [op.range()]] as const;
  assert.deepEqual(counted([...branches[0]], [...branches[1]]), [2, 12, 0, 0, 1]);
  assert.deepEqual(counted([...branches[0]], [...branches[1]], false), [0, 0, 1, 0, 0]);
});

test('what is nested counts for what is in it', () => {
  assert.deepEqual(counted([op.txn([op.put('a'), op.txn([op.range(), op.del()])])]), [1, 6, 1, 1, 1]);
  assert.deepEqual(counted([op.txn([op.put('a')])]), [1, 6, 0, 0, 0], 'one thing is done');
});
