/**
 * What of a KV request can be judged without the store: refused before it costs a proposal. Each check answers with the
 * error that etcd gives, or null. (Order and texts as in etcd 3.7's v3rpc/key.go.)
 */

import { RPC_ERRORS, type RpcError } from '@etcd/api';
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode, latin1FromBytes } from '@etcd/base';
import { IntervalSet } from './interval-set.ts';

const LAST_SORT_ORDER = 2;
const LAST_SORT_TARGET = 4;

const NO_CUSTOM_ORDER: RpcError = {
  name: 'RangeStreamOrder',
  code: GrpcCode.Unimplemented,
  message: 'RangeStream does not support custom sort orders',
};
const NO_REVISION_FILTERS: RpcError = {
  name: 'RangeStreamFilters',
  code: GrpcCode.Unimplemented,
  message: 'RangeStream does not support revision filters',
};

export function checkRange(request: RangeRequest): RpcError | null {
  if (request.key.length === 0) return RPC_ERRORS.ErrGRPCEmptyKey;
  const { sortOrder, sortTarget } = request;
  if (sortOrder < 0 || sortOrder > LAST_SORT_ORDER) return RPC_ERRORS.ErrGRPCInvalidSortOption;
  if (sortTarget < 0 || sortTarget > LAST_SORT_TARGET) return RPC_ERRORS.ErrGRPCInvalidSortOption;
  return null;
}

export function checkRangeStream(request: RangeRequest): RpcError | null {
  const error = checkRange(request);
  if (error !== null) return error;
  const { sortOrder, sortTarget } = request;
  // No order at all, or ascending by key, is the order in which keys are streamed.
  if (!(sortOrder === 0 || (sortOrder === 1 && sortTarget === 0))) return NO_CUSTOM_ORDER;
  const filtered =
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0;
  return filtered ? NO_REVISION_FILTERS : null;
}

export function checkPut(request: PutRequest): RpcError | null {
  if (request.key.length === 0) return RPC_ERRORS.ErrGRPCEmptyKey;
  if (request.ignoreValue && request.value.length !== 0) return RPC_ERRORS.ErrGRPCValueProvided;
  if (request.ignoreLease && request.lease !== 0n) return RPC_ERRORS.ErrGRPCLeaseProvided;
  return null;
}

export function checkDelete(request: DeleteRangeRequest): RpcError | null {
  return request.key.length === 0 ? RPC_ERRORS.ErrGRPCEmptyKey : null;
}

/**
 * Shape and size first, then the keys: with the number of operations bounded, finding overlaps is cheap enough.
 * @param maxOps operations allowed in one list; what a level uses is taken from what its nested transactions may.
 */
export function checkTxn(request: TxnRequest, maxOps: number): RpcError | null {
  return checkTxnShape(request, maxOps) ?? checkOverlaps(request.success) ?? checkOverlaps(request.failure);
}

function checkOverlaps(ops: readonly RequestOp[]): RpcError | null {
  // The usual case: one operation alone overlaps nothing, unless there are others in it.
  if (ops.length === 0 || (ops.length === 1 && ops[0]!.requestTxn === null)) return null;
  return collectWrites(ops).error;
}

function checkTxnShape(request: TxnRequest, maxOps: number): RpcError | null {
  const { compare, success, failure } = request;
  const ops = Math.max(compare.length, success.length, failure.length);
  if (ops > maxOps) return RPC_ERRORS.ErrGRPCTooManyOps;
  for (const comparison of compare) {
    if (comparison.key.length === 0) return RPC_ERRORS.ErrGRPCEmptyKey;
  }
  return checkOps(success, maxOps - ops) ?? checkOps(failure, maxOps - ops);
}

function checkOps(ops: readonly RequestOp[], maxOps: number): RpcError | null {
  for (const op of ops) {
    const error = checkOp(op, maxOps);
    if (error !== null) return error;
  }
  return null;
}

function checkOp(op: RequestOp, maxOps: number): RpcError | null {
  if (op.requestRange !== null) return checkRange(op.requestRange);
  if (op.requestPut !== null) return checkPut(op.requestPut);
  if (op.requestDeleteRange !== null) return checkDelete(op.requestDeleteRange);
  if (op.requestTxn !== null) return checkTxnShape(op.requestTxn, maxOps);
  // An operation with nothing in it.
  return RPC_ERRORS.ErrGRPCKeyNotFound;
}

/** The keys that a list of operations may put, the intervals that it may delete, or the overlap that forbids it. */
interface Writes {
  readonly puts: Set<string>;
  readonly deletes: IntervalSet;
  readonly error: RpcError | null;
}

const DUPLICATE: Writes = {
  puts: new Set(),
  deletes: new IntervalSet(),
  error: RPC_ERRORS.ErrGRPCDuplicateKey,
};

/**
 * One list of operations may put a key once, and not put what it deletes, whatever the order of the operations;
 * deletions may overlap each other. Nested transactions count as if both of their branches ran, except that the two
 * branches of one may put the same key.
 */
function collectWrites(ops: readonly RequestOp[]): Writes {
  const deletes = new IntervalSet();
  for (const { requestDeleteRange } of ops)
    if (requestDeleteRange !== null) addDelete(deletes, requestDeleteRange);

  let puts = new Set<string>();
  for (const { requestTxn } of ops) {
    if (requestTxn === null) continue;
    const success = collectWrites(requestTxn.success);
    if (success.error !== null) return success;
    const failure = collectWrites(requestTxn.failure);
    if (failure.error !== null) return failure;
    for (const key of success.puts) if (puts.has(key) || deletes.has(key)) return DUPLICATE;
    for (const key of failure.puts) {
      const putByAnother = puts.has(key) && !success.puts.has(key);
      if (putByAnother || deletes.has(key)) return DUPLICATE;
    }
    puts = union(union(puts, success.puts), failure.puts);
    deletes.addAll(success.deletes);
    deletes.addAll(failure.deletes);
  }

  for (const { requestPut } of ops) {
    if (requestPut === null) continue;
    const key = latin1FromBytes(requestPut.key);
    if (puts.has(key) || deletes.has(key)) return DUPLICATE;
    puts.add(key);
  }
  return { puts, deletes, error: null };
}

/**
 * Here, as in etcd, the end that elsewhere means "to the last key" (one zero byte) is an ordinary key: such a deletion
 * overlaps nothing, and a client may delete everything and put in one transaction.
 */
function addDelete(deletes: IntervalSet, request: DeleteRangeRequest): void {
  const begin = latin1FromBytes(request.key);
  if (request.rangeEnd.length === 0) deletes.addPoint(begin);
  else deletes.addRange(begin, latin1FromBytes(request.rangeEnd));
}

/** Both sets in the larger of them: deep nesting would otherwise copy the same keys at every level. */
function union(a: Set<string>, b: Set<string>): Set<string> {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  for (const key of small) large.add(key);
  return large;
}
