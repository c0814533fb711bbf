/**
 * The store as the committed log says it has to be: all revisions of all keys, in plain maps. It is fed with every entry when
 * the first member has applied it, so it is always as far as any answer; and it forgets nothing, so that an answer of any age
 * can be judged.
 */

import { DecodeError } from '@etcd/api';
import {
  AlarmAction,
  type AlarmRequest,
  AlarmType,
  type Compare,
  type DeleteRangeRequest,
  decodeInternalRaftRequest,
  type InternalRaftRequest,
  type PutRequest,
  type TxnRequest,
} from '@etcd/api/etcdserverpb';
import { type Entry, EntryType } from '@etcd/api/raftpb';
import { AuthModel } from './auth-model.ts';
import { textOf } from './trace.ts';
import { comparesKeys, evaluateTxn, growsDatabase, type TxnOutcome } from './txn-model.ts';

/** What a key was from revision `mod` on. */
export interface KeyVersion {
  readonly key: string;
  /** null: deleted. */
  readonly value: string | null;
  readonly create: number;
  readonly mod: number;
  readonly version: number;
  readonly lease: bigint;
}

/** What came of a transaction that is in the log. */
export interface AppliedTxn {
  /** Of the store afterwards. */
  readonly revision: number;
  readonly hasWritten: boolean;
  /** What it says, or why nothing of it was done. */
  readonly outcome: TxnOutcome | string;
}

/** Transactions whose first comparison is of a key that begins so are remembered, by that key: those that have it are judged as a whole. */
export const TXN_MARK = '\x01';

interface ModelLease {
  readonly ttl: number;
  readonly keys: Set<string>;
}

export interface ModelListener {
  /** A value was written by a second request, though every request writes another. */
  onRepeatedValue(value: string, first: number, second: number): void;
  onLeaseGranted(id: bigint, ttl: number): void;
  onLeaseRevoked(id: bigint): void;
  /** A value became part of the history. */
  onValue(value: string, revision: number): void;
}

export class Model {
  revision = 1;
  compactRevision = -1;
  readonly leases = new Map<bigint, ModelLease>();
  auth = this.#noUsers();
  readonly #listener: ModelListener;
  /** Versions of each key in ascending order. */
  readonly #versions = new Map<string, KeyVersion[]>();
  #sortedKeys: string[] = [];
  /** Events of each revision; there are none at 0 and 1. */
  readonly #events: KeyVersion[][] = [[], []];
  readonly #revisionOfValue = new Map<string, number>();
  readonly #txns = new Map<string, AppliedTxn>();
  /** `member type`, of those that are raised. */
  readonly alarms = new Set<string>();
  #changes: KeyVersion[] = [];

  constructor(listener: ModelListener) {
    this.#listener = listener;
  }

  // --- what the log says

  apply(entry: Entry): void {
    if (entry.type !== EntryType.EntryNormal || entry.data.length === 0) return;
    let request: InternalRaftRequest;
    try {
      request = decodeInternalRaftRequest(entry.data);
    } catch (error) {
      // A bare request of the v2 API tells of members and versions, not of keys.
      if (error instanceof DecodeError) return;
      throw error;
    }
    this.#applyRequest(request);
    if (this.#changes.length === 0) return;
    this.revision++;
    this.#events[this.revision] = this.#changes;
    this.#changes = [];
  }

  /** Nothing has ever happened: what did is applied again, as far as it is left. */
  startOver(): void {
    this.revision = 1;
    this.compactRevision = -1;
    this.leases.clear();
    this.alarms.clear();
    this.auth = this.#noUsers();
    this.#versions.clear();
    this.#sortedKeys = [];
    this.#events.length = 2;
    this.#revisionOfValue.clear();
    this.#txns.clear();
    this.#changes = [];
  }

  /** A restore lets the revision jump: everything up to there counts as compacted. */
  jump(revision: number): void {
    this.revision = revision;
    this.compactRevision = revision;
  }

  #noUsers(): AuthModel {
    return new AuthModel((lease) => this.leases.get(lease)?.keys ?? []);
  }

  #applyRequest(request: InternalRaftRequest): void {
    if (request.alarm !== null) return this.#alarm(request.alarm);
    if (!this.auth.permits(request)) return;
    const { put, deleteRange, txn, compaction, leaseGrant, leaseRevoke } = request;
    if (this.#isRefused(request)) {
      if (txn !== null) this.#remember(txn, 'alarm');
      return;
    }
    if (put !== null) {
      if (this.#hasLease(put)) this.#put(put);
    } else if (deleteRange !== null) this.#deleteRange(deleteRange);
    else if (txn !== null) this.#txn(txn);
    else if (compaction !== null) this.#compact(compaction.revision);
    else if (leaseGrant !== null) {
      if (this.leases.has(leaseGrant.id)) return;
      this.leases.set(leaseGrant.id, { ttl: leaseGrant.ttl, keys: new Set() });
      this.#listener.onLeaseGranted(leaseGrant.id, leaseGrant.ttl);
    } else if (leaseRevoke !== null) this.#revoke(leaseRevoke.id);
  }

  #hasLease({ lease }: PutRequest): boolean {
    return lease === 0n || this.leases.has(lease);
  }

  #alarm({ action, memberId, alarm }: AlarmRequest): void {
    if (alarm === AlarmType.NONE) return;
    const raised = `${memberId.toString(16)} ${alarm}`;
    if (action === AlarmAction.ACTIVATE) this.alarms.add(raised);
    if (action === AlarmAction.DEACTIVATE) this.alarms.delete(raised);
  }

  hasAlarm(type: number): boolean {
    return [...this.alarms].some((raised) => raised.endsWith(` ${type}`));
  }

  /** What alarms make of a request; changes of users and roles, and of the alarms themselves, go on. */
  #isRefused({ put, deleteRange, txn, compaction, leaseGrant, leaseRevoke }: InternalRaftRequest): boolean {
    if (this.alarms.size === 0) return false;
    const isOfKeys = [put, deleteRange, txn, compaction, leaseGrant, leaseRevoke].some(
      (part) => part !== null,
    );
    if (isOfKeys && this.hasAlarm(AlarmType.CORRUPT)) return true;
    if (!this.hasAlarm(AlarmType.NOSPACE)) return false;
    return put !== null || leaseGrant !== null || (txn !== null && growsDatabase(txn));
  }

  #compact(revision: number): void {
    if (revision > this.compactRevision && revision <= this.revision) this.compactRevision = revision;
  }

  #revoke(id: bigint): void {
    const lease = this.leases.get(id);
    if (lease === undefined) return;
    this.#listener.onLeaseRevoked(id);
    for (const key of [...lease.keys].sort()) this.#delete(key);
    this.leases.delete(id);
  }

  #put(request: PutRequest): void {
    const key = textOf(request.key);
    const value = textOf(request.value);
    const previous = this.#current(key);
    const mod = this.revision + 1;
    this.#record({
      key,
      value,
      create: previous?.create ?? mod,
      mod,
      version: (previous?.version ?? 0) + 1,
      lease: request.lease,
    });
    if (previous !== null) this.leases.get(previous.lease)?.keys.delete(key);
    this.leases.get(request.lease)?.keys.add(key);
    const first = this.#revisionOfValue.get(value);
    if (first !== undefined) this.#listener.onRepeatedValue(value, first, mod);
    this.#revisionOfValue.set(value, mod);
    this.#listener.onValue(value, mod);
  }

  #deleteRange(request: DeleteRangeRequest): KeyVersion[] {
    const keys = this.range(textOf(request.key), textOf(request.rangeEnd), Number.POSITIVE_INFINITY);
    for (const { key } of keys) this.#delete(key);
    return keys;
  }

  #delete(key: string): void {
    const previous = this.#current(key);
    if (previous === null) return;
    this.leases.get(previous.lease)?.keys.delete(key);
    this.#record({ key, value: null, create: 0, mod: this.revision + 1, version: 0, lease: 0n });
  }

  #txn(request: TxnRequest): void {
    const outcome = evaluateTxn(request, {
      revision: this.revision,
      compactRevision: this.compactRevision,
      compares: (compares) => this.compares(compares, this.revision),
      hasLease: (put) => this.#hasLease(put),
      range: (key, end, revision) =>
        this.range(key, end, revision === 0 ? Number.POSITIVE_INFINITY : revision),
      put: (put) => {
        const previous = this.#current(textOf(put.key));
        this.#put(put);
        return previous;
      },
      deleteRange: (deletion) => this.#deleteRange(deletion),
    });
    this.#remember(request, outcome);
  }

  #remember({ compare }: TxnRequest, outcome: TxnOutcome | string): void {
    const mark = textOf(compare[0]?.key ?? new Uint8Array(0));
    if (!mark.startsWith(TXN_MARK)) return;
    const hasWritten = this.#changes.length > 0;
    const revision = this.revision + (hasWritten ? 1 : 0);
    this.#txns.set(mark, { revision, hasWritten, outcome });
  }

  /** The transaction with this mark; null if it is not in the log, or was made by one who may not. */
  txn(mark: string): AppliedTxn | null {
    return this.#txns.get(mark) ?? null;
  }

  #record(version: KeyVersion): void {
    this.#changes.push(version);
    const versions = this.#versions.get(version.key);
    if (versions !== undefined) {
      versions.push(version);
      return;
    }
    this.#versions.set(version.key, [version]);
    this.#sortedKeys = [...this.#versions.keys()].sort();
  }

  #current(key: string): KeyVersion | null {
    const last = this.#versions.get(key)?.at(-1);
    return last === undefined || last.value === null ? null : last;
  }

  // --- what may be asked

  /** The revision at which a value was written, or null if no committed request wrote it. */
  revisionOf(value: string): number | null {
    return this.#revisionOfValue.get(value) ?? null;
  }

  /** What happened at a revision, in order; empty at one that does not exist yet. */
  eventsAt(revision: number): readonly KeyVersion[] {
    return this.#events[revision] ?? [];
  }

  /** A key as it was at `revision`; null if it was not there. */
  get(key: string, revision: number): KeyVersion | null {
    const versions = this.#versions.get(key);
    const found = versions?.findLast(({ mod }) => mod <= revision);
    return found === undefined || found.value === null ? null : found;
  }

  /** Keys of [key, end) at `revision`, in order; `end` empty: only `key`; `\0`: no end. */
  range(key: string, end: string, revision: number): KeyVersion[] {
    if (end === '') {
      const only = this.get(key, revision);
      return only === null ? [] : [only];
    }
    const found: KeyVersion[] = [];
    for (const candidate of this.#sortedKeys) {
      if (!inRange(candidate, key, end)) continue;
      const version = this.get(candidate, revision);
      if (version !== null) found.push(version);
    }
    return found;
  }

  /** Whether all comparisons hold at `revision`. */
  compares(compares: readonly Compare[], revision: number): boolean {
    return compares.every((compare) => {
      const end = textOf(compare.rangeEnd);
      return comparesKeys(compare, this.range(textOf(compare.key), end, revision));
    });
  }
}

export function inRange(candidate: string, key: string, end: string): boolean {
  if (end === '') return candidate === key;
  return candidate >= key && (end === '\0' || candidate < end);
}
