/**
 * What comes of a transaction, written to be seen through: which branches run follows from the state before it, then everything in them is
 * checked, and only then it is done, in order. Nested transactions likewise.
 */
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import type { KeyVersion } from './model.ts';
import { textOf } from './trace.ts';

/** What a transaction works on. */
export interface TxnStore {
  /** Before it. */
  readonly revision: number;
  readonly compactRevision: number;
  /** Whether all hold before it. */
  compares(compares: readonly Compare[]): boolean;
  hasLease(put: PutRequest): boolean;
  /** @param revision 0: with what the transaction has done so far. */
  range(key: string, end: string, revision: number): KeyVersion[];
  /** Returns what was there. */
  put(put: PutRequest): KeyVersion | null;
  deleteRange(deletion: DeleteRangeRequest): KeyVersion[];
}

export interface TxnOutcome {
  readonly succeeded: boolean;
  readonly ops: readonly OpOutcome[];
}

export interface OpOutcome {
  /** What was read, replaced or deleted. */
  readonly pairs: readonly KeyVersion[];
  readonly txn: TxnOutcome | null;
}

/** What it says; or in a word why nothing of it is done. */
export function evaluateTxn(request: TxnRequest, store: TxnStore): TxnOutcome | string {
  const decided = new Map<TxnRequest, boolean>();
  decide(request, store, decided);
  return refusalOf(request, store, decided) ?? execute(request, store, decided);
}

function branchOf(request: TxnRequest, decided: ReadonlyMap<TxnRequest, boolean>): readonly RequestOp[] {
  return decided.get(request) === true ? request.success : request.failure;
}

function decide(request: TxnRequest, store: TxnStore, decided: Map<TxnRequest, boolean>): void {
  decided.set(request, store.compares(request.compare));
  for (const { requestTxn } of branchOf(request, decided)) {
    if (requestTxn !== null) decide(requestTxn, store, decided);
  }
}

function refusalOf(
  request: TxnRequest,
  store: TxnStore,
  decided: ReadonlyMap<TxnRequest, boolean>,
): string | null {
  for (const { requestRange, requestPut, requestTxn } of branchOf(request, decided)) {
    if (requestRange !== null && requestRange.revision > store.revision) return 'future';
    if (requestRange !== null && requestRange.revision !== 0 && requestRange.revision < store.compactRevision)
      return 'compacted';
    if (requestPut !== null && !store.hasLease(requestPut)) return 'lease';
    const nested = requestTxn === null ? null : refusalOf(requestTxn, store, decided);
    if (nested !== null) return nested;
  }
  return null;
}

function execute(
  request: TxnRequest,
  store: TxnStore,
  decided: ReadonlyMap<TxnRequest, boolean>,
): TxnOutcome {
  const ops = branchOf(request, decided).map(
    ({ requestRange, requestPut, requestDeleteRange, requestTxn }): OpOutcome => {
      if (requestTxn !== null) return { pairs: [], txn: execute(requestTxn, store, decided) };
      if (requestRange !== null) return { pairs: rangeOf(requestRange, store), txn: null };
      if (requestDeleteRange !== null) return { pairs: store.deleteRange(requestDeleteRange), txn: null };
      const previous = requestPut === null ? null : store.put(requestPut);
      return { pairs: previous === null ? [] : [previous], txn: null };
    },
  );
  return { succeeded: decided.get(request) === true, ops };
}

function rangeOf({ key, rangeEnd, revision, limit }: RangeRequest, store: TxnStore): KeyVersion[] {
  const found = store.range(textOf(key), textOf(rangeEnd), revision);
  return limit > 0 ? found.slice(0, limit) : found;
}

/** Whether a transaction may add something, in whatever branch. */
export function growsDatabase({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].some(
    ({ requestPut, requestTxn }) => requestPut !== null || (requestTxn !== null && growsDatabase(requestTxn)),
  );
}

/** Whether a comparison holds for each of the pairs of its range; for none, whether it does for a key that is not there. */
export function comparesKeys(compare: Compare, pairs: readonly KeyVersion[]): boolean {
  if (pairs.length > 0) return pairs.every((pair) => holdsFor(compare, pair));
  return compare.target !== CompareTarget.VALUE && holdsFor(compare, null);
}

function holdsFor(compare: Compare, pair: KeyVersion | null): boolean {
  const { result, target } = compare;
  switch (target) {
    case CompareTarget.VERSION:
      return isWanted((pair?.version ?? 0) - compare.version, result);
    case CompareTarget.CREATE:
      return isWanted((pair?.create ?? 0) - compare.createRevision, result);
    case CompareTarget.MOD:
      return isWanted((pair?.mod ?? 0) - compare.modRevision, result);
    case CompareTarget.LEASE:
      return isWanted(orderOf(pair?.lease ?? 0n, compare.lease), result);
    default:
      return isWanted(orderOf(pair?.value ?? '', textOf(compare.value)), result);
  }
}

function orderOf<T extends bigint | string>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function isWanted(order: number, result: number): boolean {
  if (result === CompareResult.EQUAL) return order === 0;
  if (result === CompareResult.NOT_EQUAL) return order !== 0;
  return result === CompareResult.GREATER ? order > 0 : order < 0;
}
