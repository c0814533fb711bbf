/**
 * The limit on the size of the database file. What a request will add is only estimated, and the file grows by whole
 * steps, so the limit is a line to stop at, not an exact one. (Estimates as etcd makes them.)
 */
import type { PutRequest, RequestOp, TxnRequest } from '@etcd/api/etcdserverpb';
import { assert } from '@etcd/base';
import type { Backend } from '@etcd/storage/backend';

/** What a lease takes in the database. */
export const LEASE_COST_BYTES = 64;
/** What a key-value pair takes besides its key and value. */
const KEY_VALUE_OVERHEAD_BYTES = 256;

export class Quota {
  readonly #backend: Backend;
  /** Infinity: no limit. */
  readonly limitBytes: number;

  constructor(backend: Backend, limitBytes: number) {
    assert(limitBytes > 0, 'quota: no room for anything');
    this.#backend = backend;
    this.limitBytes = limitBytes;
  }

  /** Whether something of this cost may be added. What costs nothing always may. */
  hasRoomFor(costBytes: number): boolean {
    return costBytes === 0 || this.#backend.sizeBytes + costBytes < this.limitBytes;
  }
}

export function putCost({ key, value }: PutRequest): number {
  return KEY_VALUE_OVERHEAD_BYTES + key.length + value.length;
}

/** The dearer of the two branches, in nested transactions too. */
export function txnCost({ success, failure }: TxnRequest): number {
  return Math.max(opsCost(success), opsCost(failure));
}

function opsCost(ops: readonly RequestOp[]): number {
  let cost = 0;
  for (const { requestPut, requestTxn } of ops) {
    if (requestPut !== null) cost += putCost(requestPut);
    else if (requestTxn !== null) cost += txnCost(requestTxn);
  }
  return cost;
}
