/**
 * The store as one would write it without a thought for cost, for tests to compare with: all revisions of all keys in plain
 * lists, every answer computed from scratch. Written from etcd's behaviour, and independent of the real store.
 */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import {
  type Compare,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  SortOrder,
  SortTarget,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import { encodeKeyValue, KeyValue } from '@etcd/api/mvccpb';
import { crc32cUpdate, EMPTY_BYTES, latin1FromBytes, utf8ToBytes } from '@etcd/base';

export interface ReferenceRevision {
  readonly main: number;
  readonly sub: number;
  readonly isTombstone: boolean;
  readonly key: string;
  /** Of a tombstone only the key. */
  readonly kv: KeyValue;
}

export interface ReferenceRange {
  readonly error: InternalError | null;
  readonly revision: number;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  readonly count: number;
}

export type ReferenceOp =
  | { readonly range: ReferenceRange }
  | { readonly put: { readonly revision: number; readonly prevKv: KeyValue | null } }
  | {
      readonly deleteRange: {
        readonly revision: number;
        readonly deleted: number;
        readonly prevKvs: readonly KeyValue[] | null;
      };
    }
  | { readonly txn: ReferenceTxn }
  | { readonly nothing: true };

export interface ReferenceTxn {
  readonly error: InternalError | null;
  readonly revision: number;
  readonly succeeded: boolean;
  readonly responses: readonly ReferenceOp[];
}

const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;
const { ErrLeaseNotFound } = INTERNAL_ERRORS.lease;
const { ErrKeyNotFound } = INTERNAL_ERRORS.errors;

export class ReferenceStore {
  revision = 1;
  compactRevision = -1;
  readonly leases = new Set<bigint>();
  /** What is in the file, in order, once compactions have done their work. */
  revisions: ReferenceRevision[] = [];
  #changes: ReferenceRevision[] = [];

  /** A copy that goes its own way: what a crash may take the store back to. */
  clone(): ReferenceStore {
    const copy = new ReferenceStore();
    copy.revision = this.revision;
    copy.compactRevision = this.compactRevision;
    copy.revisions = [...this.revisions];
    for (const lease of this.leases) copy.leases.add(lease);
    return copy;
  }

  /** Keys and pairs that exist at `rev`, in order. */
  stateAt(rev: number): Map<string, KeyValue> {
    const state = new Map<string, KeyValue>();
    for (const revision of this.revisions) {
      if (revision.main > rev) break;
      if (revision.isTombstone) state.delete(revision.key);
      else state.set(revision.key, revision.kv);
    }
    return new Map([...state].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  range(request: RangeRequest): ReferenceRange {
    const visible = this.#visible;
    const fail = (error: InternalError): ReferenceRange => ({
      error,
      revision: visible,
      kvs: [],
      more: false,
      count: 0,
    });
    if (request.revision > visible) return fail(ErrFutureRev);
    const rev = request.revision <= 0 ? visible : request.revision;
    if (rev < this.compactRevision) return fail(ErrCompacted);
    let kvs = select(this.stateAt(rev), request.key, request.rangeEnd);
    const count = kvs.length;
    if (request.countOnly) return { error: null, revision: visible, kvs: [], more: false, count };
    const isDefault =
      request.sortOrder === SortOrder.NONE ||
      (request.sortTarget === SortTarget.KEY && request.sortOrder === SortOrder.ASCEND);
    const hasFilters =
      request.minModRevision +
        request.maxModRevision +
        request.minCreateRevision +
        request.maxCreateRevision !==
      0;
    if (request.limit > 0 && isDefault && !hasFilters) kvs = kvs.slice(0, request.limit + 1);
    kvs = kvs.filter(
      (kv) =>
        !(request.maxModRevision !== 0 && kv.modRevision > request.maxModRevision) &&
        !(request.minModRevision !== 0 && kv.modRevision < request.minModRevision) &&
        !(request.maxCreateRevision !== 0 && kv.createRevision > request.maxCreateRevision) &&
        !(request.minCreateRevision !== 0 && kv.createRevision < request.minCreateRevision),
    );
    kvs = sorted(kvs, request.sortTarget, request.sortOrder);
    const more = request.limit > 0 && kvs.length > request.limit;
    if (more) kvs = kvs.slice(0, request.limit);
    if (request.keysOnly) {
      const keepsLease = request.sortTarget === SortTarget.VALUE;
      kvs = kvs.map((kv) => new KeyValue({ ...kv, value: EMPTY_BYTES, lease: keepsLease ? kv.lease : 0n }));
    }
    return { error: null, revision: visible, kvs, more, count };
  }

  put(request: PutRequest): { error: InternalError | null; revision: number; prevKv: KeyValue | null } {
    const error = this.#checkPut(request);
    if (error !== null) return { error, revision: 0, prevKv: null };
    const result = this.#put(request);
    this.#end();
    return { error: null, ...result };
  }

  deleteRange(request: DeleteRangeRequest): {
    revision: number;
    deleted: number;
    prevKvs: readonly KeyValue[] | null;
  } {
    const result = this.#deleteRange(request);
    this.#end();
    return result;
  }

  txn(request: TxnRequest): ReferenceTxn {
    const path: boolean[] = [];
    this.#decide(request, path);
    const error = this.#check(request, [...path]);
    if (error !== null) return { error, revision: 0, succeeded: false, responses: [] };
    const result = this.#execute(request, [...path]);
    this.#end();
    return { ...result, revision: this.revision };
  }

  /** Deletes the given keys in one transaction. */
  deleteKeys(keys: readonly string[]): void {
    for (const key of keys) this.#tombstone(key);
    this.#end();
  }

  compact(rev: number): InternalError | null {
    if (rev <= this.compactRevision) return ErrCompacted;
    if (rev > this.revision) return ErrFutureRev;
    this.compactRevision = rev;
    const newest = new Map<string, ReferenceRevision>();
    for (const revision of this.revisions) if (revision.main <= rev) newest.set(revision.key, revision);
    this.revisions = this.revisions.filter((revision) => {
      if (revision.main > rev) return true;
      if (newest.get(revision.key) !== revision) return false;
      return !revision.isTombstone || revision.main === rev;
    });
    return null;
  }

  /** HashKV of a member that has removed all it may remove. */
  hash(rev: number, compactRevision = this.compactRevision): number {
    const kept = new Set<KeyValue>(this.stateAt(rev).values());
    let crc = crc32cUpdate(0, utf8ToBytes('key'), 0, 3);
    for (const { main, sub, isTombstone, kv } of this.revisions) {
      if (main > rev) break;
      if (main <= compactRevision && kept.size > 0 && !kept.has(kv)) continue;
      if (main === compactRevision && isTombstone) continue;
      const key = Buffer.alloc(isTombstone ? 18 : 17, 't');
      key.writeBigUInt64BE(BigInt(main), 0);
      key[8] = 0x5f;
      key.writeBigUInt64BE(BigInt(sub), 9);
      const value = encodeKeyValue(kv);
      crc = crc32cUpdate(crc, key, 0, key.length);
      crc = crc32cUpdate(crc, value, 0, value.length);
    }
    return crc;
  }

  /** Revisions from `rev` on whose key `matches`. */
  eventsFrom(rev: number, matches: (key: string) => boolean): ReferenceRevision[] {
    return this.revisions.filter(({ main, key }) => main >= rev && matches(key));
  }

  /** The revision that is visible in the middle of a transaction. */
  get #visible(): number {
    return this.#changes.length > 0 ? this.revision + 1 : this.revision;
  }

  #push(key: string, isTombstone: boolean, kv: KeyValue): void {
    const revision = { main: this.revision + 1, sub: this.#changes.length, isTombstone, key, kv };
    this.#changes.push(revision);
    this.revisions.push(revision);
  }

  #end(): void {
    if (this.#changes.length > 0) this.revision++;
    this.#changes = [];
  }

  #current(key: Uint8Array): KeyValue | null {
    return this.stateAt(Number.MAX_SAFE_INTEGER).get(latin1FromBytes(key)) ?? null;
  }

  #put(request: PutRequest): { revision: number; prevKv: KeyValue | null } {
    const previous = this.#current(request.key);
    const kv = new KeyValue({
      key: Uint8Array.from(request.key),
      value: Uint8Array.from(request.ignoreValue ? previous!.value : request.value),
      createRevision: previous?.createRevision ?? this.revision + 1,
      modRevision: this.revision + 1,
      version: (previous?.version ?? 0) + 1,
      lease: request.ignoreLease ? previous!.lease : request.lease,
    });
    this.#push(latin1FromBytes(request.key), false, kv);
    return { revision: this.#visible, prevKv: request.prevKv ? previous : null };
  }

  #deleteRange(request: DeleteRangeRequest): {
    revision: number;
    deleted: number;
    prevKvs: readonly KeyValue[] | null;
  } {
    const kvs = select(this.stateAt(Number.MAX_SAFE_INTEGER), request.key, request.rangeEnd);
    for (const kv of kvs) this.#tombstone(latin1FromBytes(kv.key));
    return { revision: this.#visible, deleted: kvs.length, prevKvs: request.prevKv ? kvs : null };
  }

  #tombstone(key: string): void {
    this.#push(key, true, new KeyValue({ key: Buffer.from(key, 'latin1') }));
  }

  #checkPut(request: PutRequest): InternalError | null {
    if (request.lease !== 0n && !this.leases.has(request.lease)) return ErrLeaseNotFound;
    if ((request.ignoreValue || request.ignoreLease) && this.#current(request.key) === null)
      return ErrKeyNotFound;
    return null;
  }

  #decide(request: TxnRequest, path: boolean[]): void {
    const succeeded = request.compare.every((compare) => this.#holds(compare));
    path.push(succeeded);
    for (const op of succeeded ? request.success : request.failure) {
      if (op.requestTxn !== null) this.#decide(op.requestTxn, path);
    }
  }

  #holds(compare: Compare): boolean {
    const kvs = select(this.stateAt(this.revision), compare.key, compare.rangeEnd);
    if (kvs.length > 0) return kvs.every((kv) => holdsFor(compare, kv));
    return compare.target !== CompareTarget.VALUE && holdsFor(compare, new KeyValue());
  }

  #check(request: TxnRequest, path: boolean[]): InternalError | null {
    for (const op of takeDecision(path) ? request.success : request.failure) {
      let error: InternalError | null = null;
      if (op.requestRange !== null) {
        const rev = op.requestRange.revision;
        if (rev > this.revision) error = ErrFutureRev;
        else if (rev !== 0 && rev < this.compactRevision) error = ErrCompacted;
      } else if (op.requestPut !== null) error = this.#checkPut(op.requestPut);
      else if (op.requestTxn !== null) error = this.#check(op.requestTxn, path);
      if (error !== null) return error;
    }
    return null;
  }

  #execute(request: TxnRequest, path: boolean[]): ReferenceTxn {
    const succeeded = takeDecision(path);
    const responses: ReferenceOp[] = [];
    for (const op of succeeded ? request.success : request.failure) {
      if (op.requestRange !== null) responses.push({ range: this.range(op.requestRange) });
      else if (op.requestPut !== null) responses.push({ put: this.#put(op.requestPut) });
      else if (op.requestDeleteRange !== null) {
        responses.push({ deleteRange: this.#deleteRange(op.requestDeleteRange) });
      } else if (op.requestTxn !== null) responses.push({ txn: this.#execute(op.requestTxn, path) });
      else responses.push({ nothing: true });
    }
    return { error: null, revision: 0, succeeded, responses };
  }
}

/** The decisions come in the order in which transactions are met. */
function takeDecision(path: boolean[]): boolean {
  const [decision] = path.splice(0, 1);
  return decision === true;
}

function select(
  state: ReadonlyMap<string, KeyValue>,
  keyBytes: Uint8Array,
  rangeEnd: Uint8Array,
): KeyValue[] {
  const key = latin1FromBytes(keyBytes);
  const end = latin1FromBytes(rangeEnd);
  if (end === '') return state.has(key) ? [state.get(key)!] : [];
  return [...state].filter(([k]) => k >= key && (end === '\0' || k < end)).map(([, kv]) => kv);
}

function sorted(kvs: readonly KeyValue[], target: number, order: number): KeyValue[] {
  const compare = (a: KeyValue, b: KeyValue): number => {
    if (target === SortTarget.VERSION) return a.version - b.version;
    if (target === SortTarget.CREATE) return a.createRevision - b.createRevision;
    if (target === SortTarget.MOD) return a.modRevision - b.modRevision;
    if (target === SortTarget.VALUE) return Buffer.compare(a.value, b.value);
    return Buffer.compare(a.key, b.key);
  };
  // Equal ones stay in the order of their keys, in both directions.
  return [...kvs].sort(order === SortOrder.DESCEND ? (a, b) => compare(b, a) : compare);
}

function holdsFor(compare: Compare, kv: KeyValue): boolean {
  const order = orderOf(compare, kv);
  if (compare.result === CompareResult.EQUAL) return order === 0;
  if (compare.result === CompareResult.NOT_EQUAL) return order !== 0;
  if (compare.result === CompareResult.GREATER) return order > 0;
  return compare.result === CompareResult.LESS ? order < 0 : true;
}

function orderOf(compare: Compare, kv: KeyValue): number {
  const { target, targetUnion } = compare;
  switch (target) {
    case CompareTarget.VERSION:
      return kv.version - (targetUnion === CompareTargetUnion.version ? compare.version : 0);
    case CompareTarget.CREATE:
      return (
        kv.createRevision - (targetUnion === CompareTargetUnion.createRevision ? compare.createRevision : 0)
      );
    case CompareTarget.MOD:
      return kv.modRevision - (targetUnion === CompareTargetUnion.modRevision ? compare.modRevision : 0);
    case CompareTarget.LEASE:
      return Number(kv.lease - (targetUnion === CompareTargetUnion.lease ? compare.lease : 0n));
    case CompareTarget.VALUE:
      return Buffer.compare(kv.value, targetUnion === CompareTargetUnion.value ? compare.value : EMPTY_BYTES);
    default:
      return 0;
  }
}
