/**
 * What a call does, told to who follows it: names and attributes are those of the spans that etcd 3.7 has inside of a call. Callers come
 * here for calls that are followed only, so that the others pay nothing.
 */
import type { InternalError } from '@etcd/api';
import type {
  CompactionRequest,
  Compare,
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
  WatchCreateRequest,
} from '@etcd/api/etcdserverpb';
import { isReadOnly } from '@etcd/storage/mvcc';
import type { CallTrace, PartTrace, TraceAttributes } from '@etcd/transport';
import { type AnyKind, isUndecided, type RequestOf, type ResultOf, type Waiter } from '../request/index.ts';

/** Bytes of a key that are told: spans wait in memory, and keys may be as large as requests. */
const MAX_KEY_BYTES = 1024;
const NO_LEASE = -1;

export function followRange(
  trace: CallTrace,
  name: 'range' | 'range_streaming',
  request: RangeRequest,
): PartTrace | null {
  const attributes = {
    ...rangeAttributes(request),
    rev: request.revision,
    limit: request.limit,
    count_only: request.countOnly,
  };
  return begin(trace, name, name === 'range' ? { ...attributes, keys_only: request.keysOnly } : attributes);
}

export function followPut(trace: CallTrace, request: PutRequest, waiter: Waiter<'put'>): Followed<'put'> {
  return follow(trace, 'put', { key: keyText(request.key) }, waiter);
}

export function followDelete(
  trace: CallTrace,
  request: DeleteRangeRequest,
  waiter: Waiter<'deleteRange'>,
): Followed<'deleteRange'> {
  return follow(trace, 'delete_range', rangeAttributes(request), waiter);
}

export function followTxn(trace: CallTrace, request: TxnRequest, waiter: Waiter<'txn'>): Followed<'txn'> {
  return follow(trace, 'txn', txnAttributes(request), waiter);
}

export function followReadOnlyTxn(trace: CallTrace, request: TxnRequest): PartTrace | null {
  return begin(trace, 'txn', txnAttributes(request));
}

export function followCompaction(
  trace: CallTrace,
  { physical, revision }: CompactionRequest,
  waiter: Waiter<'compaction'>,
): Followed<'compaction'> {
  return follow(trace, 'compact', { is_physical: physical, rev: revision }, waiter);
}

export function followGrant(
  trace: CallTrace,
  { id, ttl }: LeaseGrantRequest,
  waiter: Waiter<'leaseGrant'>,
): Followed<'leaseGrant'> {
  return follow(trace, 'lease_grant', { id: idValue(id), ttl }, waiter);
}

export function followRevocation(
  trace: CallTrace,
  { id }: LeaseRevokeRequest,
  waiter: Waiter<'leaseRevoke'>,
): Followed<'leaseRevoke'> {
  return follow(trace, 'lease_revoke', { id: idValue(id) }, waiter);
}

export function followRenewal(trace: CallTrace, id: bigint): PartTrace | null {
  return begin(trace, 'lease_renew', { id: idValue(id) });
}

/** Of a watcher, from its creation to its end. */
export function followWatch(trace: CallTrace, request: WatchCreateRequest): PartTrace | null {
  const { key, rangeEnd, startRevision, progressNotify, prevKv, fragment } = request;
  const isOpen = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return begin(trace, 'watch', {
    key: keyText(key),
    range_end: isOpen ? '' : keyText(rangeEnd),
    start_rev: startRevision,
    progress_notify: progressNotify,
    prev_kv: prevKv,
    fragment,
  });
}

/** A proposal that is no part of its own, but all that the call does. */
export function followProposal<K extends AnyKind>(trace: CallTrace, waiter: Waiter<K>): Followed<K> {
  const { parts } = trace;
  return parts === undefined ? null : new FollowedWaiter(parts, null, waiter);
}

/** Null where nobody wants to know. */
export type Followed<K extends AnyKind> = FollowedWaiter<K> | null;

/**
 * Whoever waits for a request that is followed. A part of a call ends when the waiter has its result; a compaction goes on, and ends with
 * its call.
 */
class FollowedWaiter<K extends AnyKind> implements Waiter<K> {
  readonly #events: Pick<PartTrace, 'addEvent'>;
  readonly #part: PartTrace | null;
  readonly #waiter: Waiter<K>;
  #isProposed = false;
  #isOver = false;

  constructor(events: Pick<PartTrace, 'addEvent'>, part: PartTrace | null, waiter: Waiter<K>) {
    this.#events = events;
    this.#part = part;
    this.#waiter = waiter;
  }

  get kind(): K {
    return this.#waiter.kind;
  }

  get request(): RequestOf<K> | null {
    return this.#waiter.request;
  }

  /** The request has left for the log, unless it was refused. */
  onProposed(): void {
    if (this.#isProposed || this.#isOver) return;
    this.#isProposed = true;
    this.#events.addEvent('Send raft proposal');
  }

  readonly onApplied = (result: ResultOf<K>): void => {
    this.#onResult();
    this.#waiter.onApplied(result);
    if (this.kind !== 'compaction') this.#part?.end();
  };

  onFailed(error: InternalError): void {
    if (isUndecided(error)) this.#onUndecided(error);
    else if (this.#isProposed) this.#onResult();
    this.#isOver = true;
    this.#waiter.onFailed(error);
    this.#part?.end();
  }

  #onResult(): void {
    this.onProposed();
    this.#isOver = true;
    this.#events.addEvent('Receive raft result');
  }

  /** As an exception is told of, but of a compaction. */
  #onUndecided({ message }: InternalError): void {
    if (this.kind !== 'compaction') this.#events.addEvent('exception', { 'exception.message': message });
  }
}

function follow<K extends AnyKind>(
  trace: CallTrace,
  name: string,
  attributes: TraceAttributes,
  waiter: Waiter<K>,
): Followed<K> {
  const part = begin(trace, name, attributes);
  return part === null ? null : new FollowedWaiter(part, part, waiter);
}

function begin({ parts }: CallTrace, name: string, attributes: TraceAttributes): PartTrace | null {
  return parts === undefined ? null : parts.begin(name, attributes);
}

function rangeAttributes({ key, rangeEnd }: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }) {
  return { range_begin: keyText(key), range_end: keyText(rangeEnd) };
}

function txnAttributes(request: TxnRequest): TraceAttributes {
  const { compare, success, failure } = request;
  return {
    compare_first_key: firstKey(compare),
    success_first_key: firstKey(success.map(targetOf)),
    success_first_type: firstType(success),
    success_first_lease: firstLease(success),
    compare_len: compare.length,
    success_len: success.length,
    failure_len: failure.length,
    read_only: isReadOnly(request),
  };
}

function targetOf({ requestRange, requestPut, requestDeleteRange }: RequestOp): Pick<Compare, 'key'> | null {
  return requestRange ?? requestPut ?? requestDeleteRange;
}

/** The first that is not empty. */
function firstKey(targets: readonly (Pick<Compare, 'key'> | null)[]): string {
  const found = targets.find((target) => target !== null && target.key.length > 0);
  return found ? keyText(found.key) : '';
}

function firstType(ops: readonly RequestOp[]): string {
  for (const { requestRange, requestPut, requestDeleteRange, requestTxn } of ops) {
    if (requestPut !== null) return 'put';
    if (requestRange !== null) return 'range';
    if (requestDeleteRange !== null) return 'delete_range';
    if (requestTxn !== null) return 'txn';
  }
  return '';
}

/** Of the first put. */
function firstLease(ops: readonly RequestOp[]): number | string {
  const put = ops.find(({ requestPut }) => requestPut !== null)?.requestPut;
  return put ? idValue(put.lease) : NO_LEASE;
}

/** A number, as long as that is exact: attributes have no larger ones. */
function idValue(id: bigint): number | string {
  const value = Number(id);
  return Number.isSafeInteger(value) ? value : `${id}`;
}

/** As UTF-8; what is none is replaced. */
function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, Math.min(key.length, MAX_KEY_BYTES)).toString('utf8');
}
