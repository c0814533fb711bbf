/** Counts what the store was asked to do, each operation of a transaction by itself, as etcd counts it. */
import type { PutRequest, TxnRequest } from '@etcd/api/etcdserverpb';
import { assert } from '@etcd/base';
import { TXN, type TxnResult } from '@etcd/storage/mvcc';
import type { MetricHandles } from '../metrics/index.ts';

export function countPut({ putTotal, totalPutSizeBytes }: MetricHandles, { key, value }: PutRequest): void {
  putTotal.value++;
  totalPutSizeBytes.add(key.length + value.length);
}

/** Counts the operations of the branches that ran, and a transaction if they were several. */
export function countTxn(metrics: MetricHandles, request: TxnRequest, result: TxnResult): void {
  if (countBranch(metrics, request, result) > 1) metrics.txnTotal.value++;
}

function countBranch(metrics: MetricHandles, request: TxnRequest, result: TxnResult): number {
  const ops = result.succeeded ? request.success : request.failure;
  let count = 0;
  for (let i = 0; i < ops.length; i++) {
    const { requestRange, requestPut, requestDeleteRange, requestTxn } = ops[i]!;
    count++;
    if (requestRange !== null) metrics.rangeTotal.value++;
    else if (requestPut !== null) countPut(metrics, requestPut);
    else if (requestDeleteRange !== null) metrics.deleteTotal.value++;
    else if (requestTxn !== null) {
      const nested = result.responses[i];
      assert(nested?.kind === TXN, 'apply: a transaction was answered as something else');
      count += countBranch(metrics, requestTxn, nested) - 1;
    }
  }
  return count;
}
