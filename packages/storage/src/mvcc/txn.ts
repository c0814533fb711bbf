/**
 * Requests that change the store, and transactions: functions over a {@link Store}, of decoded messages. Deterministic: the
 * same request on the same state does the same on every member.
 *
 * A transaction is decided before it is done: which branch runs, of nested transactions too, follows from the state before
 * it; then every operation of the chosen branches is checked; only then the first one is executed, and from then on
 * nothing can fail. Operations see what earlier ones of the same transaction wrote.
 */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import {
  type Compare,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  type DeleteRangeRequest,
  type PutRequest,
  RangeRequest,
  type RequestOp,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import { assert, compareBytes, compareRange, EMPTY_BYTES } from '@etcd/base';
import { TreeCursor } from './key-index/key-tree.ts';
import { endOfRange, isBehind } from './key-range.ts';
import { KeyValueView } from './key-value.ts';
import { checkRevision, executeRange } from './range.ts';
import type { ReadView } from './read-view.ts';
import {
  DeleteRangeResult,
  NOTHING,
  type NothingResult,
  type OpResult,
  PutResult,
  RangeResult,
  TxnResult,
} from './results.ts';
import { Slices } from './slices.ts';
import type { Store } from './store.ts';
import type { WriteTxn } from './write-txn.ts';

const { ErrKeyNotFound } = INTERNAL_ERRORS.errors;
const { ErrLeaseNotFound } = INTERNAL_ERRORS.lease;

const NOTHING_RESULT: NothingResult = Object.freeze({ kind: NOTHING });

/** Put as a request of its own. */
export function put(store: Store, request: PutRequest): PutResult {
  const error = checkPut(store, request, null);
  if (error !== null) {
    const result = new PutResult();
    result.error = error;
    return result;
  }
  const txn = store.beginWrite();
  const result = executePut(store, txn, request);
  store.endWrite();
  return result;
}

/** DeleteRange as a request of its own. */
export function deleteRange(store: Store, request: DeleteRangeRequest): DeleteRangeResult {
  const txn = store.beginWrite();
  const result = executeDeleteRange(store, txn, request);
  store.endWrite();
  return result;
}

export interface TxnOptions {
  /**
   * Ranges are answered with nothing but a header: for a member that applies a transaction which another one proposed,
   * and whose answer nobody reads.
   */
  readonly skipRanges?: boolean | undefined;
}

export function executeTxn(store: Store, request: TxnRequest, options: TxnOptions = {}): TxnResult {
  const path = [holdsAll(store, request.compare)];
  decideNested(store, request, path);
  const error = check(store, request, new Path(path));
  if (error !== null) {
    const result = new TxnResult();
    result.error = error;
    return result;
  }
  const skipRanges = options.skipRanges === true;
  if (isReadOnly(request)) {
    const result = execute(store, null, request, new Path(path), skipRanges);
    result.revision = store.revision;
    return result;
  }
  const txn = store.beginWrite();
  const result = execute(store, txn, request, new Path(path), skipRanges);
  result.revision = txn.revision;
  store.endWrite();
  return result;
}

/** Whether only ranges can run. A nested transaction counts as a write, whatever is in it. */
export function isReadOnly(request: TxnRequest): boolean {
  return request.success.every(isRange) && request.failure.every(isRange);
}

/** Whether all that can run are serializable ranges. */
export function isSerializable(request: TxnRequest): boolean {
  const isLocal = (op: RequestOp): boolean => op.requestRange?.serializable === true;
  return request.success.every(isLocal) && request.failure.every(isLocal);
}

function isRange(op: RequestOp): boolean {
  return op.requestRange !== null;
}

// --- deciding

/** The decisions in the order in which the transactions are met, read one by one. */
class Path {
  /**
   * While checking: the smallest key at which a deletion without an end has begun; null: none has. A transaction may not
   * put what it deletes, but these deletions are not seen by that rule, which takes their end for a key.
   */
  deletedFrom: Uint8Array | null = null;
  readonly #decisions: readonly boolean[];
  #next = 0;

  constructor(decisions: readonly boolean[]) {
    this.#decisions = decisions;
  }

  take(): boolean {
    assert(this.#next < this.#decisions.length, 'txn: undecided branch');
    return this.#decisions[this.#next++]!;
  }
}

function branchOf(request: TxnRequest, succeeded: boolean): readonly RequestOp[] {
  return succeeded ? request.success : request.failure;
}

/** Appends the decisions of the transactions in `request`, whose own is the last in `path`. */
function decideNested(view: ReadView, request: TxnRequest, path: boolean[]): void {
  for (const { requestTxn } of branchOf(request, path.at(-1)!)) {
    if (requestTxn === null) continue;
    path.push(holdsAll(view, requestTxn.compare));
    decideNested(view, requestTxn, path);
  }
}

function holdsAll(view: ReadView, compares: readonly Compare[]): boolean {
  for (const compare of compares) if (!holds(view, compare)) return false;
  return true;
}

/** Whether the comparison holds for every key of its range; for none, whether it holds for a key that isn't there. */
function holds(view: ReadView, compare: Compare): boolean {
  const { index } = view;
  const { key } = compare;
  const end = endOfRange(compare.rangeEnd);
  if (end === null) {
    const ref = index.find(key, 0, key.length);
    return ref !== 0 && index.isLive(ref) ? holdsFor(view, ref, compare) : holdsForMissing(compare);
  }
  const cursor = new TreeCursor();
  let isEmpty = true;
  index.seek(cursor, key, 0, key.length);
  for (let ref = index.next(cursor); ref !== 0; ref = index.next(cursor)) {
    if (isBehind(index, ref, end)) break;
    if (!index.isLive(ref)) continue;
    if (!holdsFor(view, ref, compare)) return false;
    isEmpty = false;
  }
  return !isEmpty || holdsForMissing(compare);
}

function holdsForMissing(compare: Compare): boolean {
  // There is no way to say "no value", so nothing can be said about a missing one.
  if (compare.target === CompareTarget.VALUE) return false;
  const order = compare.target === CompareTarget.LEASE ? -sign(leaseOf(compare)) : 0 - numberOf(compare);
  return isWanted(order, compare.result);
}

function holdsFor({ index, backend }: ReadView, ref: number, compare: Compare): boolean {
  switch (compare.target) {
    case CompareTarget.VERSION:
      return isWanted(index.version(ref) - numberOf(compare), compare.result);
    case CompareTarget.CREATE:
      return isWanted(index.created(ref) - numberOf(compare), compare.result);
    case CompareTarget.MOD:
      return isWanted(index.main(ref) - numberOf(compare), compare.result);
    case CompareTarget.VALUE:
    case CompareTarget.LEASE:
      break;
    default:
      return isWanted(0, compare.result);
  }
  const found = backend.readRevision(index.main(ref), index.sub(ref));
  const { buffer, start, end } = backend.value;
  const isValid = found && VIEW.parse(buffer, start, end);
  assert(isValid, 'txn: a revision is in the index but not in the backend');
  if (compare.target === CompareTarget.LEASE) {
    return isWanted(sign(VIEW.lease - leaseOf(compare)), compare.result);
  }
  const wanted = compare.targetUnion === CompareTargetUnion.value ? compare.value : EMPTY_BYTES;
  const order = compareRange(buffer, VIEW.valueStart, VIEW.valueEnd, wanted, 0, wanted.length);
  return isWanted(order, compare.result);
}

const VIEW = new KeyValueView();

/** What the comparison compares with; 0 if it carries a value for another target than its own. */
function numberOf(compare: Compare): number {
  const { target, targetUnion } = compare;
  if (target === CompareTarget.VERSION) {
    return targetUnion === CompareTargetUnion.version ? compare.version : 0;
  }
  if (target === CompareTarget.CREATE) {
    return targetUnion === CompareTargetUnion.createRevision ? compare.createRevision : 0;
  }
  if (target === CompareTarget.MOD) {
    return targetUnion === CompareTargetUnion.modRevision ? compare.modRevision : 0;
  }
  return 0;
}

function leaseOf(compare: Compare): bigint {
  return compare.targetUnion === CompareTargetUnion.lease ? compare.lease : 0n;
}

function sign(value: bigint): number {
  if (value === 0n) return 0;
  return value < 0n ? -1 : 1;
}

function isWanted(order: number, result: number): boolean {
  switch (result) {
    case CompareResult.EQUAL:
      return order === 0;
    case CompareResult.NOT_EQUAL:
      return order !== 0;
    case CompareResult.GREATER:
      return order > 0;
    case CompareResult.LESS:
      return order < 0;
    default:
      // etcd takes a result that it does not know for true.
      return true;
  }
}

// --- checking

function check(store: Store, request: TxnRequest, path: Path): InternalError | null {
  for (const op of branchOf(request, path.take())) {
    let error: InternalError | null = null;
    if (op.requestRange !== null) error = checkRange(store, op.requestRange);
    else if (op.requestPut !== null) error = checkPut(store, op.requestPut, path.deletedFrom);
    else if (op.requestDeleteRange !== null) noteDeletion(op.requestDeleteRange, path);
    else if (op.requestTxn !== null) error = check(store, op.requestTxn, path);
    if (error !== null) return error;
  }
  return null;
}

function noteDeletion({ key, rangeEnd }: DeleteRangeRequest, path: Path): void {
  const isEndless = rangeEnd.length === 1 && rangeEnd[0] === 0;
  if (!isEndless) return;
  const { deletedFrom } = path;
  if (deletedFrom === null || compareBytes(key, deletedFrom) < 0) path.deletedFrom = key;
}

function checkRange(store: Store, request: RangeRequest): InternalError | null {
  // Here, unlike in a Range of its own, a negative revision is older than any compaction: etcd's way.
  if (request.revision === 0) return null;
  return checkRevision(request.revision, store.revision, store.compactRevision);
}

/** @param deletedFrom this key and what is behind it will be gone by then; null: none. (Here etcd crashes.) */
function checkPut(store: Store, request: PutRequest, deletedFrom: Uint8Array | null): InternalError | null {
  if (request.lease !== 0n && !store.leases.has(request.lease)) return ErrLeaseNotFound;
  if (!request.ignoreValue && !request.ignoreLease) return null;
  if (deletedFrom !== null && compareBytes(request.key, deletedFrom) >= 0) return ErrKeyNotFound;
  const { index } = store;
  const ref = index.find(request.key, 0, request.key.length);
  return ref !== 0 && index.isLive(ref) ? null : ErrKeyNotFound;
}

// --- executing

function execute(
  store: Store,
  txn: WriteTxn | null,
  request: TxnRequest,
  path: Path,
  skipRanges: boolean,
): TxnResult {
  const result = new TxnResult();
  result.succeeded = path.take();
  const ops = branchOf(request, result.succeeded);
  if (ops.length === 1) result.responses = [executeOp(store, txn, ops[0]!, path, skipRanges)];
  else if (ops.length > 1) result.responses = ops.map((op) => executeOp(store, txn, op, path, skipRanges));
  return result;
}

function executeOp(
  store: Store,
  txn: WriteTxn | null,
  op: RequestOp,
  path: Path,
  skipRanges: boolean,
): OpResult {
  if (op.requestRange !== null) return rangeInTxn(store, txn, op.requestRange, skipRanges);
  if (op.requestTxn !== null) return execute(store, txn, op.requestTxn, path, skipRanges);
  if (op.requestPut !== null) return executePut(store, writing(txn), op.requestPut);
  if (op.requestDeleteRange !== null) return executeDeleteRange(store, writing(txn), op.requestDeleteRange);
  return NOTHING_RESULT;
}

function writing(txn: WriteTxn | null): WriteTxn {
  assert(txn !== null, 'txn: a write in a transaction that only reads');
  return txn;
}

function rangeInTxn(
  store: Store,
  txn: WriteTxn | null,
  request: RangeRequest,
  skipRanges: boolean,
): RangeResult {
  if (!skipRanges) {
    const result = executeRange(viewOf(store, txn), request);
    assert(result.error === null, 'txn: a range that was checked failed');
    return result;
  }
  const result = new RangeResult();
  result.revision = txn === null ? store.revision : txn.revision;
  return result;
}

function viewOf(store: Store, txn: WriteTxn | null): ReadView {
  if (txn === null || txn.changes.count === 0) return store;
  const { index, backend, compactRevision } = store;
  return { index, backend, compactRevision, revision: txn.revision };
}

function executePut(store: Store, txn: WriteTxn, request: PutRequest): PutResult {
  const result = new PutResult();
  let { value, lease } = request;
  let valueStart = 0;
  let valueEnd = value.length;
  if (request.prevKv || request.ignoreValue || request.ignoreLease) {
    const previous = readPrevious(store, request.key);
    if (request.ignoreValue || request.ignoreLease) {
      assert(previous !== null, 'txn: a put that was checked has no previous pair');
      VIEW.parse(previous.buffer(0), previous.start(0), previous.end(0));
      if (request.ignoreLease) lease = VIEW.lease;
      if (request.ignoreValue) {
        value = previous.buffer(0);
        valueStart = VIEW.valueStart;
        valueEnd = VIEW.valueEnd;
      }
    }
    if (request.prevKv) result.prevKv = previous;
  }
  txn.put(request.key, value, valueStart, valueEnd, lease);
  result.revision = txn.revision;
  return result;
}

/** The pair as it is now, changes of the running transaction included; null when the key does not exist. */
function readPrevious({ index, backend }: Store, key: Uint8Array): Slices | null {
  const ref = index.find(key, 0, key.length);
  if (ref === 0 || !index.isLive(ref)) return null;
  const found = backend.readRevision(index.main(ref), index.sub(ref));
  assert(found, 'txn: a revision is in the index but not in the backend');
  const pair = new Slices();
  pair.push(backend.value.buffer, backend.value.start, backend.value.end);
  return pair;
}

function executeDeleteRange(store: Store, txn: WriteTxn, request: DeleteRangeRequest): DeleteRangeResult {
  const result = new DeleteRangeResult();
  const { key, rangeEnd } = request;
  if (request.prevKv) {
    const range = new RangeRequest();
    range.key = key;
    range.rangeEnd = rangeEnd;
    result.prevKvs = executeRange(viewOf(store, txn), range).kvs;
  }
  result.deleted = txn.deleteRange({ key, end: endOfRange(rangeEnd) });
  result.revision = txn.revision;
  return result;
}
