/**
 * The lessor: which leases there are, which keys they have, and, on the member that is primary (the leader), when they
 * expire. `index.ts` has the contract.
 *
 * Invariants, between two calls:
 *  - the table has what the bucket `lease` has: a lease is put into both, or taken out of both, in one stretch;
 *  - a key is in the list of at most one lease, the one that its record in the store's index points to;
 *  - only the primary has anything in its queues, and only leases of the table; once a promotion has gone through the table, each
 *    lease has its place in the queue of expiries.
 */
import { INTERNAL_ERRORS, type InternalError, type LeaseId } from '@etcd/api';
import {
  assert,
  type Clock,
  compareRange,
  copyBytes,
  type Logger,
  SILENT_LOGGER,
  type Timer,
} from '@etcd/base';
import type { BackendReader, BackendWriter } from '../backend/index.ts';
import type { TreeIndex } from '../mvcc/key-index/tree-index.ts';
import type { LeaseKeeper } from '../mvcc/lease-keeper.ts';
import { createLeaseBucket, deleteLease, forEachLease, putLease } from '../schema/index.ts';
import { ExpirySpread } from './expiry-spread.ts';
import { LeaseItems } from './lease-items.ts';
import { LeaseQueue } from './lease-queue.ts';
import { LeaseTable } from './lease-table.ts';

const { ErrLeaseExists, ErrLeaseNotFound, ErrLeaseTTLTooLarge, ErrNotPrimary } = INTERNAL_ERRORS.lease;

/** Seconds. */
export const MAX_LEASE_TTL = 9_000_000_000;
const LOOP_INTERVAL_MS = 500;
/** Leases handed out for revocation in a second. */
const REVOKE_RATE = 1000;
const DEFAULT_CHECKPOINT_INTERVAL_MS = 5 * 60 * 1000;
const DEFAULT_EXPIRED_RETRY_MS = 3000;
const MAX_CHECKPOINT_BATCH = 1000;
/** By so much the rest that was recorded may be less than what is left: it was rounded, and is a while on its way. */
const LATE_CHECKPOINT_SECONDS = 60;
/** Batches of checkpoints in one turn of the loop. */
const MAX_CHECKPOINT_BATCHES = 500;
/** Leases that a promotion refreshes in one turn of the event loop. */
const PROMOTE_SLICE = 20_000;

/** A time in seconds and a row fit a double together. */
const MAX_ORDERED_SECONDS = 2 ** 26;
const ROW_SPAN = 2 ** 26;

export interface LeaseCheckpoint {
  readonly id: LeaseId;
  /** Seconds. */
  readonly remainingTtl: number;
}

/** Proposes checkpoints; `done` when they are applied, or won't be. */
export type Checkpointer = (
  checkpoints: readonly LeaseCheckpoint[],
  done: (error: InternalError | null) => void,
) => void;

/** What revoking needs of the store. */
export interface LeaseStore {
  beginWrite(): { deleteKey(ref: number): void };
  endWrite(): void;
}

export interface LessorOptions {
  readonly backend: BackendWriter;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** Shorter TTLs are raised to it. Seconds. */
  readonly minTtl: number;
  /** How often the remaining TTL of a long lease is recorded. */
  readonly checkpointIntervalMs?: number | undefined;
  /** When an expired lease that was handed out and not revoked is handed out again. */
  readonly expiredRetryMs?: number | undefined;
  /** Whether checkpoints are written to the backend: from cluster version 3.6 on. Never unless told. */
  readonly persistsCheckpoints?: (() => boolean) | undefined;
}

export interface LeaseInfo {
  readonly id: LeaseId;
  /** As granted, seconds. */
  readonly ttl: number;
  /** Milliseconds until it expires; below 0 when it has, Infinity where this member does not decide it. */
  readonly remainingMs: number;
}

/** `ttl` in seconds; -1 with an error. */
export type RenewCallback = (error: InternalError | null, ttl: number) => void;

export class Lessor implements LeaseKeeper {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #minTtl: number;
  readonly #checkpointIntervalMs: number;
  readonly #expiredRetryMs: number;
  readonly #persistsCheckpoints: () => boolean;
  #backend: BackendWriter;
  #table = new LeaseTable();
  #items = new LeaseItems(this.#table);
  /** When to look at a lease for expiry. Only on the primary. */
  readonly #expiries = new LeaseQueue();
  readonly #checkpoints = new LeaseQueue();
  /** Renewals that wait for the revocation of an expired lease. */
  readonly #renewals = new Map<LeaseId, RenewCallback[]>();
  /** Leases of which a remaining TTL was proposed that may yet be applied, behind a renewal. */
  readonly #recording = new Set<LeaseId>();
  /** How many renewals of a lease wait until it is applied that its full TTL is back: what is left now is out of date then. */
  readonly #renewing = new Map<LeaseId, number>();
  #index: TreeIndex | null = null;
  #store: LeaseStore | null = null;
  #checkpointer: Checkpointer | null = null;
  #isPeriodic = false;
  #onExpired: ((ids: readonly LeaseId[]) => void) | null = null;
  #isPrimary = false;
  /** Grows with each promotion and demotion: expiries of other epochs don't count. */
  #epoch = 0;
  #promotedMs = 0;
  #extendMs = 0;
  #timer: Timer | null = null;
  #isStopped = false;

  /** Loads the backend's leases. */
  constructor(options: LessorOptions) {
    this.#backend = options.backend;
    this.#clock = options.clock;
    this.#logger = options.logger ?? SILENT_LOGGER;
    assert(options.minTtl > 0, 'lessor: the least TTL is not positive');
    this.#minTtl = options.minTtl;
    this.#checkpointIntervalMs = options.checkpointIntervalMs ?? DEFAULT_CHECKPOINT_INTERVAL_MS;
    this.#expiredRetryMs = options.expiredRetryMs ?? DEFAULT_EXPIRED_RETRY_MS;
    this.#persistsCheckpoints = options.persistsCheckpoints ?? (() => false);
    createLeaseBucket(this.#backend);
    this.#load(this.#backend);
    this.#startLoop();
  }

  // --- wiring

  setStore(store: LeaseStore): void {
    this.#store = store;
  }

  /**
   * Without one, there are no checkpoints. Whether they are made is one thing, to take one back is another: a renewal has to, whoever made
   * it, or what was confirmed would not bind the next leader.
   *
   * @param isPeriodic the remaining TTL of long leases is recorded now and then.
   */
  setCheckpointer(checkpointer: Checkpointer | null, isPeriodic = true): void {
    this.#checkpointer = checkpointer;
    this.#isPeriodic = isPeriodic;
  }

  /** Told of expired leases, at most 500 twice a second; the primary has them revoked through raft. */
  setExpiredHandler(handler: ((ids: readonly LeaseId[]) => void) | null): void {
    this.#onExpired = handler;
  }

  /** Another index: nothing is attached. For the store. */
  setIndex(index: TreeIndex): void {
    this.#index = index;
    this.#items = new LeaseItems(this.#table);
    for (let row = 1; row < this.#table.endRow; row++) {
      this.#table.firstItem.set(row, 0);
      this.#table.itemCount.set(row, 0);
    }
  }

  /** Goes on with another backend and its leases: that of a snapshot. The store's `replaceThen` follows. */
  recover(backend: BackendWriter): void {
    this.#backend = backend;
    createLeaseBucket(backend);
    this.#expiries.clear();
    this.#checkpoints.clear();
    this.#recording.clear();
    this.#failRenewals(ErrNotPrimary);
    this.#table = new LeaseTable();
    this.#items = new LeaseItems(this.#table);
    this.#load(backend);
    if (this.#isPrimary) this.promote(this.#extendMs);
  }

  /** No timers, no answers after this. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#failRenewals(ErrNotPrimary);
  }

  // --- what is applied, on every member

  /** Grants a lease; the TTL may be raised. */
  grant(id: LeaseId, ttl: number): { readonly error: InternalError | null; readonly ttl: number } {
    if (id === 0n) return { error: ErrLeaseNotFound, ttl: 0 };
    if (ttl > MAX_LEASE_TTL) return { error: ErrLeaseTTLTooLarge, ttl: 0 };
    if (this.#table.find(id) !== 0) return { error: ErrLeaseExists, ttl: 0 };
    const granted = Math.max(ttl, this.#minTtl);
    const row = this.#table.add(id, granted);
    putLease(this.#backend, id, granted, 0);
    if (this.#isPrimary) {
      this.#refresh(row, this.#clock.now(), 0);
      this.#scheduleCheckpoint(row);
    }
    return { error: null, ttl: granted };
  }

  /** Revokes a lease and deletes its keys, in their order, in one transaction. */
  revoke(id: LeaseId): InternalError | null {
    const row = this.#table.find(id);
    if (row === 0) return ErrLeaseNotFound;
    assert(this.#store !== null && this.#index !== null, 'lessor: revoked before the store is there');
    const refs = this.#sortedKeys(row);
    const txn = this.#store.beginWrite();
    for (const ref of refs) txn.deleteKey(ref);
    assert(this.#table.itemCount.get(row) === 0, 'lessor: a deleted key kept its lease');
    // In the same batch as the keys: after a crash both are there or neither.
    deleteLease(this.#backend, id);
    this.#expiries.remove(row);
    this.#checkpoints.remove(row);
    this.#recording.delete(id);
    this.#table.remove(row);
    this.#store.endWrite();
    const waiting = this.#renewals.get(id) ?? [];
    this.#renewals.delete(id);
    for (const done of waiting) done(ErrLeaseNotFound, -1);
    return null;
  }

  /** Records how much was left of a lease; 0: it was renewed. */
  checkpoint(id: LeaseId, remainingTtl: number): void {
    const row = this.#table.find(id);
    if (row === 0) return;
    this.#table.remainingTtl.set(row, remainingTtl);
    // What was recorded under another setting is taken back under any.
    const isRecorded = remainingTtl === 0 || this.#persistsCheckpoints();
    if (isRecorded) putLease(this.#backend, id, this.#table.ttl.get(row), remainingTtl);
    if (!this.#isPrimary) return;
    this.#scheduleCheckpoint(row);
    // An earlier leader's, that came behind a renewal: what is right is recorded at once.
    const isLess =
      remainingTtl > 0 && this.#remainingMs(row) > (remainingTtl + LATE_CHECKPOINT_SECONDS) * 1000;
    if (isLess && this.#checkpointer !== null) this.#checkpoints.set(row, this.#clock.now());
  }

  // --- keys

  has(id: LeaseId): boolean {
    return this.#table.find(id) !== 0;
  }

  /** The key has this lease from now on; 0n: none. */
  setLease(ref: number, lease: LeaseId): void {
    const index = this.#index!;
    const item = index.attachment(ref);
    if (item !== 0) {
      if (this.#table.id(this.#items.leaseOf(item)) === lease) return;
      this.#items.detach(item);
      index.setAttachment(ref, 0);
    }
    if (lease === 0n) return;
    const row = this.#table.find(lease);
    if (row !== 0) index.setAttachment(ref, this.#items.attach(ref, row));
  }

  /** The lease of a key; 0n: none. */
  leaseOf(ref: number): LeaseId {
    const item = this.#index!.attachment(ref);
    return item === 0 ? 0n : this.#table.id(this.#items.leaseOf(item));
  }

  /** Copies of the lease's keys, in their order; none when there is no such lease. */
  keysOf(id: LeaseId): Uint8Array[] {
    const row = this.#table.find(id);
    if (row === 0 || this.#index === null) return [];
    const index = this.#index;
    return this.#sortedKeys(row).map((ref) => {
      const start = index.keyStart(ref);
      return copyBytes(index.keyBuffer(ref).subarray(start, start + index.keyLength(ref)));
    });
  }

  /** Whether the predicate holds for every key `buffer[start, end)` of the lease; true where there is no such lease. */
  everyKey(id: LeaseId, predicate: (buffer: Uint8Array, start: number, end: number) => boolean): boolean {
    const row = this.#table.find(id);
    if (row === 0 || this.#index === null) return true;
    const index = this.#index;
    return this.#items.everyKey(row, (ref) => {
      const start = index.keyStart(ref);
      return predicate(index.keyBuffer(ref), start, start + index.keyLength(ref));
    });
  }

  // --- asking

  get leaseCount(): number {
    return this.#table.count;
  }

  /** Keys that have a lease. */
  get attachedKeyCount(): number {
    return this.#items.count;
  }

  get isPrimary(): boolean {
    return this.#isPrimary;
  }

  lookup(id: LeaseId): LeaseInfo | null {
    const row = this.#table.find(id);
    if (row === 0) return null;
    return { id, ttl: this.#table.ttl.get(row), remainingMs: this.#remainingMs(row) };
  }

  /** All ids, those that expire first first, to the second. */
  leases(): LeaseId[] {
    const order = new Float64Array(this.#table.count);
    let count = 0;
    for (let row = 1; row < this.#table.endRow; row++) {
      if (!this.#table.isUsed(row)) continue;
      const seconds = Math.max(0, Math.floor(this.#remainingMs(row) / 1000));
      // Place and row in one double: a million leases sort without a comparator.
      order[count++] = Math.min(seconds, MAX_ORDERED_SECONDS) * ROW_SPAN + row;
    }
    order.sort();
    return Array.from(order, (place) => this.#table.id(place % ROW_SPAN));
  }

  /** What of a backend's leases is not what is known here, the first finding; null if nothing is. For checks. */
  differenceFrom(reader: BackendReader): string | null {
    let count = 0;
    let problem: string | null = null;
    forEachLease(reader, ({ id, ttl, remainingTtl }) => {
      count++;
      const row = this.#table.find(id);
      if (row === 0) problem ??= `lease ${id} is not known`;
      else if (this.#table.ttl.get(row) !== Math.max(ttl, this.#minTtl))
        problem ??= `lease ${id} has another TTL`;
      else if (remainingTtl > ttl) problem ??= `lease ${id} has more left than it was given`;
    });
    if (problem !== null || count === this.#table.count) return problem;
    return `${this.#table.count} leases are known, and ${count} are there`;
  }

  // --- the primary

  /** This member decides about expiry from now on. Every lease gets its (remaining) TTL anew, plus `extendMs`. */
  promote(extendMs: number): void {
    this.#isPrimary = true;
    this.#epoch++;
    this.#promotedMs = this.#clock.now();
    this.#extendMs = extendMs;
    this.#expiries.clear();
    this.#checkpoints.clear();
    this.#recording.clear();
    const spread = this.#table.count < REVOKE_RATE ? null : new ExpirySpread((3 * REVOKE_RATE) / 4);
    this.#refreshFrom(1, this.#epoch, spread);
  }

  /** Another member decides: here leases last for ever. */
  demote(): void {
    this.#isPrimary = false;
    this.#epoch++;
    this.#expiries.clear();
    this.#checkpoints.clear();
    this.#failRenewals(ErrNotPrimary);
  }

  /**
   * Gives a lease its full TTL again. One that has expired and is about to be revoked is answered when that is done, or
   * when this member is primary no more.
   */
  renewThen(id: LeaseId, done: RenewCallback): void {
    if (!this.#isPrimary) return done(ErrNotPrimary, -1);
    const row = this.#table.find(id);
    if (row === 0) return done(ErrLeaseNotFound, -1);
    if (this.#remainingMs(row) <= 0) {
      const waiting = this.#renewals.get(id) ?? [];
      waiting.push(done);
      this.#renewals.set(id, waiting);
      return;
    }
    const isRecorded = this.#table.remainingTtl.get(row) !== 0 || this.#recording.has(id);
    if (this.#checkpointer === null || !isRecorded) return this.#finishRenewal(id, done);
    // The checkpoint would shorten the lease at the next change of the leader.
    this.#renewing.set(id, (this.#renewing.get(id) ?? 0) + 1);
    this.#checkpointer([{ id, remainingTtl: 0 }], (error) => {
      this.#endRenewing(id);
      if (error !== null) return done(error, -1);
      // What was proposed before has been applied before, or never will be.
      this.#recording.delete(id);
      this.#finishRenewal(id, done);
    });
  }

  #endRenewing(id: LeaseId): void {
    const others = (this.#renewing.get(id) ?? 1) - 1;
    if (others > 0) {
      this.#renewing.set(id, others);
      return;
    }
    this.#renewing.delete(id);
    const row = this.#table.find(id);
    if (row !== 0 && this.#isPrimary) this.#scheduleCheckpoint(row);
  }

  #finishRenewal(id: LeaseId, done: RenewCallback): void {
    if (!this.#isPrimary || this.#isStopped) return done(ErrNotPrimary, -1);
    const row = this.#table.find(id);
    if (row === 0) return done(ErrLeaseNotFound, -1);
    this.#refresh(row, this.#clock.now(), 0);
    done(null, this.#table.ttl.get(row));
  }

  // --- inside

  #load(reader: BackendReader): void {
    forEachLease(reader, ({ id, ttl, remainingTtl }) => {
      const row = this.#table.add(id, Math.max(ttl, this.#minTtl));
      this.#table.remainingTtl.set(row, remainingTtl);
    });
  }

  #startLoop(): void {
    this.#timer = this.#clock.setTimer(LOOP_INTERVAL_MS, () => {
      this.#startLoop();
      if (!this.#isPrimary) return;
      this.#handOutExpired();
      this.#sendCheckpoints();
    });
  }

  /** Keys are deleted in the same order on all members, or their hashes would differ. */
  #sortedKeys(row: number): number[] {
    const index = this.#index!;
    return this.#items.keysOf(row).sort((a, b) => {
      const aStart = index.keyStart(a);
      const bStart = index.keyStart(b);
      return compareRange(
        index.keyBuffer(a),
        aStart,
        aStart + index.keyLength(a),
        index.keyBuffer(b),
        bStart,
        bStart + index.keyLength(b),
      );
    });
  }

  /** Sets the expiry from `nowMs` on. */
  #refresh(row: number, nowMs: number, extendMs: number): void {
    assert(this.#isPrimary, 'lessor: an expiry on a member that is not primary');
    const { ttl, remainingTtl, expiryMs, epoch } = this.#table;
    const seconds = remainingTtl.get(row) > 0 ? remainingTtl.get(row) : ttl.get(row);
    const expiry = nowMs + extendMs + seconds * 1000;
    expiryMs.set(row, expiry);
    epoch.set(row, this.#epoch);
    this.#expiries.set(row, expiry);
  }

  /** Refreshes a lease that the promotion has not come to yet. */
  #refreshOnce(row: number): void {
    if (this.#table.epoch.get(row) === this.#epoch) return;
    this.#refresh(row, this.#promotedMs, this.#extendMs);
    this.#scheduleCheckpoint(row);
  }

  /** Refreshes the leases from `first` on, a slice in each turn; then spreads those that expire together. */
  #refreshFrom(first: number, epoch: number, spread: ExpirySpread | null): void {
    if (epoch !== this.#epoch || this.#isStopped) return;
    const end = Math.min(first + PROMOTE_SLICE, this.#table.endRow);
    for (let row = first; row < end; row++) {
      if (!this.#table.isUsed(row)) continue;
      this.#refreshOnce(row);
      spread?.count(this.#table.expiryMs.get(row) - this.#promotedMs);
    }
    if (end < this.#table.endRow) return this.#clock.defer(() => this.#refreshFrom(end, epoch, spread));
    assert(this.#expiries.count === this.#table.count, 'lessor: a lease would never expire');
    if (spread === null) return;
    spread.plan();
    this.#spreadFrom(1, epoch, spread);
  }

  #spreadFrom(first: number, epoch: number, spread: ExpirySpread): void {
    if (epoch !== this.#epoch || this.#isStopped) return;
    const { expiryMs } = this.#table;
    const end = Math.min(first + PROMOTE_SLICE, this.#table.endRow);
    for (let row = first; row < end; row++) {
      if (!this.#table.isUsed(row)) continue;
      const delayMs = spread.delayMs(expiryMs.get(row) - this.#promotedMs);
      if (delayMs === 0) continue;
      expiryMs.set(row, expiryMs.get(row) + delayMs);
      this.#expiries.set(row, expiryMs.get(row));
    }
    if (end < this.#table.endRow) this.#clock.defer(() => this.#spreadFrom(end, epoch, spread));
  }

  #remainingMs(row: number): number {
    if (!this.#isPrimary) return Number.POSITIVE_INFINITY;
    this.#refreshOnce(row);
    return this.#table.expiryMs.get(row) - this.#clock.now();
  }

  #handOutExpired(): void {
    const now = this.#clock.now();
    const ids: LeaseId[] = [];
    while (ids.length < REVOKE_RATE / 2 && this.#expiries.firstTime <= now) {
      const row = this.#expiries.first;
      assert(this.#table.isUsed(row), 'lessor: a lease that is gone is about to expire');
      // If it is still there by then, its revocation was lost.
      this.#expiries.set(row, now + this.#expiredRetryMs);
      if (this.#remainingMs(row) <= 0) ids.push(this.#table.id(row));
    }
    if (ids.length > 0) this.#onExpired?.(ids);
  }

  #scheduleCheckpoint(row: number): void {
    if (!this.#isPeriodic) return;
    const { ttl, remainingTtl } = this.#table;
    const seconds = remainingTtl.get(row) > 0 ? remainingTtl.get(row) : ttl.get(row);
    if (seconds * 1000 <= this.#checkpointIntervalMs) return;
    this.#checkpoints.set(row, this.#clock.now() + this.#checkpointIntervalMs);
  }

  #sendCheckpoints(): void {
    for (let i = 0; i < MAX_CHECKPOINT_BATCHES && this.#checkpointer !== null; i++) {
      const due = this.#dueCheckpoints();
      if (due.length > 0) {
        this.#record(due);
      }
      if (due.length < MAX_CHECKPOINT_BATCH) return;
    }
  }

  #record(due: readonly LeaseCheckpoint[]): void {
    for (const { id } of due) this.#recording.add(id);
    this.#checkpointer!(due, (error) => {
      // Whoever has heard of a failure does not know that it won't be applied.
      if (error === null) for (const { id } of due) this.#recording.delete(id);
      else this.#logger.debug('lease checkpoints were not recorded', { error: error.message });
    });
  }

  #dueCheckpoints(): LeaseCheckpoint[] {
    const now = this.#clock.now();
    const due: LeaseCheckpoint[] = [];
    while (due.length < MAX_CHECKPOINT_BATCH && this.#checkpoints.firstTime <= now) {
      const row = this.#checkpoints.first;
      assert(this.#table.isUsed(row), 'lessor: a lease that is gone has a checkpoint due');
      this.#checkpoints.remove(row);
      const id = this.#table.id(row);
      const remainingTtl = Math.ceil(this.#remainingMs(row) / 1000);
      // One that has expired is revoked; one that is being renewed has its full TTL when this would be applied.
      if (remainingTtl <= 0 || this.#renewing.has(id)) continue;
      const isWhole = remainingTtl >= this.#table.ttl.get(row);
      // Of one that was just renewed there is nothing to record, unless less is recorded.
      if (isWhole && this.#table.remainingTtl.get(row) === 0) continue;
      due.push({ id, remainingTtl: isWhole ? 0 : remainingTtl });
    }
    return due;
  }

  #failRenewals(error: InternalError): void {
    const waiting = [...this.#renewals.values()].flat();
    this.#renewals.clear();
    for (const done of waiting) done(error, -1);
  }
}
