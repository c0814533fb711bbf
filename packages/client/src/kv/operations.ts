/** Requests on keys, as plain functions: what {@link KV} sends and what transactions are made of. */
import {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  SortOrder,
  SortTarget,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES } from '@etcd/base';
import { type Bytes, keyRange, type RangeOptions, toBytes } from '../keys.ts';

export type SortKey = 'key' | 'version' | 'create' | 'mod' | 'value';

export interface GetOptions extends RangeOptions {
  /** At most so many pairs; 0 for all. */
  readonly limit?: number | undefined;
  /** As of this revision; 0 for the latest. */
  readonly revision?: number | undefined;
  readonly sortBy?: SortKey | undefined;
  readonly order?: 'none' | 'ascend' | 'descend' | undefined;
  /** Answered by the member alone, which may be behind. */
  readonly serializable?: boolean | undefined;
  readonly keysOnly?: boolean | undefined;
  readonly countOnly?: boolean | undefined;
  readonly minModRevision?: number | undefined;
  readonly maxModRevision?: number | undefined;
  readonly minCreateRevision?: number | undefined;
  readonly maxCreateRevision?: number | undefined;
}

export interface PutOptions {
  /** The pair goes when the lease does. */
  readonly lease?: bigint | undefined;
  /** Answer with the pair that was there before. */
  readonly prevKv?: boolean | undefined;
  /** Keep the value that is there: the key must exist, and no value may be given. */
  readonly ignoreValue?: boolean | undefined;
  /** Keep the lease that is there: the key must exist. */
  readonly ignoreLease?: boolean | undefined;
}

export interface DeleteOptions extends RangeOptions {
  /** Answer with the pairs that were there. */
  readonly prevKv?: boolean | undefined;
}

const SORT_TARGETS: Readonly<Record<SortKey, number>> = {
  key: SortTarget.KEY,
  version: SortTarget.VERSION,
  create: SortTarget.CREATE,
  mod: SortTarget.MOD,
  value: SortTarget.VALUE,
};

const SORT_ORDERS = { none: SortOrder.NONE, ascend: SortOrder.ASCEND, descend: SortOrder.DESCEND } as const;

export function rangeRequest(key: Bytes, options: GetOptions): RangeRequest {
  const sortBy = options.sortBy ?? 'key';
  let order = options.order ?? 'none';
  // Keys come in ascending order anyway, so nothing is asked for that costs the server a sort.
  if (sortBy === 'key' && order === 'ascend') order = 'none';
  if (sortBy !== 'key' && order === 'none' && options.sortBy !== undefined) order = 'ascend';
  return new RangeRequest({
    ...keyRange(key, options),
    limit: options.limit ?? 0,
    revision: options.revision ?? 0,
    sortOrder: SORT_ORDERS[order],
    sortTarget: SORT_TARGETS[sortBy],
    serializable: options.serializable ?? false,
    keysOnly: options.keysOnly ?? false,
    countOnly: options.countOnly ?? false,
    minModRevision: options.minModRevision ?? 0,
    maxModRevision: options.maxModRevision ?? 0,
    minCreateRevision: options.minCreateRevision ?? 0,
    maxCreateRevision: options.maxCreateRevision ?? 0,
  });
}

export function putRequest(key: Bytes, value: Bytes, options: PutOptions): PutRequest {
  return new PutRequest({
    key: toBytes(key),
    value: options.ignoreValue === true ? EMPTY_BYTES : toBytes(value),
    lease: options.lease ?? 0n,
    prevKv: options.prevKv ?? false,
    ignoreValue: options.ignoreValue ?? false,
    ignoreLease: options.ignoreLease ?? false,
  });
}

export function deleteRequest(key: Bytes, options: DeleteOptions): DeleteRangeRequest {
  return new DeleteRangeRequest({ ...keyRange(key, options), prevKv: options.prevKv ?? false });
}

/** Operations of a transaction. */
export const op = {
  get: (key: Bytes, options: GetOptions = {}): RequestOp =>
    new RequestOp({ requestRange: rangeRequest(key, options) }),
  put: (key: Bytes, value: Bytes, options: PutOptions = {}): RequestOp =>
    new RequestOp({ requestPut: putRequest(key, value, options) }),
  delete: (key: Bytes, options: DeleteOptions = {}): RequestOp =>
    new RequestOp({ requestDeleteRange: deleteRequest(key, options) }),
  txn: (request: TxnRequest): RequestOp => new RequestOp({ requestTxn: request }),
} as const;
