/**
 * etcd's multi-version store: the key index and the backend as one. `index.ts` has the contract.
 */
import { INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import { assert, type Clock, type Logger, SILENT_LOGGER } from '@etcd/base';
import type { Backend, RevisionLog } from '../backend/index.ts';
import {
  createMetaBucket,
  KEY,
  readFinishedCompact,
  readScheduledCompact,
  writeScheduledCompact,
} from '../schema/index.ts';
import type { Changes } from './changes.ts';
import { Compactor } from './compactor.ts';
import { HashStorage } from './hash-storage.ts';
import { TreeIndex } from './key-index/tree-index.ts';
import { type LeaseKeeper, NO_LEASES } from './lease-keeper.ts';
import type { ReadView } from './read-view.ts';
import { type RestoreError, Restorer } from './restore.ts';
import { SLICE_SIZES, type SliceSizes } from './slice-sizes.ts';
import { Views } from './views.ts';
import { WriteTxn } from './write-txn.ts';

const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;

export interface StoreOptions {
  readonly backend: Backend;
  readonly clock: Clock;
  /** The lessor, whose leases are loaded; none unless told. */
  readonly leases?: LeaseKeeper | undefined;
  readonly logger?: Logger | undefined;
  /** Revisions that a slice of compaction looks at: etcd's `--compaction-batch-limit`, 1000 unless told. */
  readonly compactionBatchLimit?: number | undefined;
  /** Pause between slices: etcd's `--compaction-sleep-interval`, 10 unless told. */
  readonly compactionSleepMs?: number | undefined;
  /**
   * Whether compactions leave a hash behind, for the comparison of members. It costs a reading of everything up to the
   * compacted revision; without it a compaction looks at what has changed since the one before. True unless told.
   */
  readonly compactionHashes?: boolean | undefined;
  /** Told of compaction's progress, for the metrics. */
  readonly compactionObserver?: CompactionObserver | undefined;
  /** For who compares members. */
  readonly onRevision?: RevisionObserver | undefined;
  readonly slices?: SliceSizes | undefined;
}

export interface CompactionObserver {
  /** A slice has run for so long, and removed so many revisions. */
  onSlice(durationMs: number, removedCount: number): void;
  /** A compaction has finished, this long after it began; `wallMs` is the time of day. */
  onFinished(durationMs: number, wallMs: number): void;
}

/** Given each new revision with its changes as they go to the backend: the newest in `log`. Hot. */
export type RevisionObserver = (revision: Revision, log: RevisionLog) => void;

/** Told of each transaction that has changed something, after it. */
export type ChangeObserver = (revision: Revision, changes: Changes) => void;

/** A store that has seen no write is at this revision. */
const FIRST_REVISION = 1;
const NOTHING_COMPACTED = -1;

export class Store implements ReadView {
  readonly clock: Clock;
  readonly leases: LeaseKeeper;
  readonly hashes: HashStorage;
  /** For readers that take several turns. */
  readonly views: Views;
  readonly slices: SliceSizes;
  readonly #logger: Logger;
  readonly #compactor: Compactor;
  readonly #txn: WriteTxn;
  #backend: Backend;
  #index = new TreeIndex();
  #revision = FIRST_REVISION;
  #compactRevision = NOTHING_COMPACTED;
  #isWriting = false;
  #isReady = false;
  #isClosed = false;
  #restorer: Restorer | null = null;
  #observer: ChangeObserver | null = null;
  readonly #onRevision: RevisionObserver | null;

  constructor(options: StoreOptions) {
    this.#backend = options.backend;
    this.clock = options.clock;
    this.leases = options.leases ?? NO_LEASES;
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.slices = options.slices ?? SLICE_SIZES;
    this.views = new Views(options.clock, this.#logger);
    this.hashes = new HashStorage(this, this.#logger);
    this.#onRevision = options.onRevision ?? null;
    this.#compactor = new Compactor(this, this.#logger, options);
    this.#txn = new WriteTxn(this.#index, this.#backend, this.leases);
  }

  get backend(): Backend {
    return this.#backend;
  }

  get index(): TreeIndex {
    return this.#index;
  }

  /** The revision of the last transaction that changed something. */
  get revision(): Revision {
    return this.#revision;
  }

  /** What was compacted last, from the moment it was asked for; -1: nothing. */
  get compactRevision(): Revision {
    return this.#compactRevision;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether a compaction is removing revisions, or waits to. */
  get isCompacting(): boolean {
    return this.#compactor.isBusy;
  }

  /** There is one observer: the watchers' hub. */
  setObserver(observer: ChangeObserver | null): void {
    this.#observer = observer;
  }

  // --- life

  /** Builds the index from what the backend holds, in slices. Nothing else may be called before `done`. */
  restoreThen(done: (error: RestoreError | null) => void): void {
    assert(!this.#isReady && this.#restorer === null, 'store: restored twice');
    this.#backend.createBucket(KEY);
    createMetaBucket(this.#backend);
    this.#index = new TreeIndex();
    this.leases.setIndex(this.#index);
    this.#backend.inTurn(() => {
      this.#restorer = new Restorer(this.#backend, this.#index, this.leases, this.#logger);
      this.#restoreSlice(this.#restorer, done);
    });
  }

  #restoreSlice(restorer: Restorer, done: (error: RestoreError | null) => void): void {
    if (this.#restorer !== restorer) return;
    if (restorer.error === null && !restorer.step(this.slices.restoreRevisions)) {
      const next = (): void => this.#restoreSlice(restorer, done);
      return this.clock.defer(() => this.#backend.inTurn(next));
    }
    this.#restorer = null;
    if (restorer.error === null) this.#onRestored(restorer);
    done(restorer.error);
  }

  /**
   * Goes on with another backend, that of a snapshot which came from the leader; then as {@link restoreThen}. Compactions that were
   * running are given up; who waits for one is told when those of the new backend are done. Ranges and hashes go on in the
   * old one. The lessor has loaded the new backend's leases before.
   */
  replaceThen(backend: Backend, done: (error: RestoreError | null) => void): void {
    assert(!this.#isWriting, 'store: replaced during a transaction');
    const untold = this.#compactor.reset();
    this.views.onReplaced();
    this.hashes.forget();
    this.#stopRestoring();
    this.#isReady = false;
    this.#backend = backend;
    this.restoreThen((error) => {
      if (error === null) for (const tell of untold) this.#compactor.barrier(tell);
      done(error);
    });
  }

  /** Gives up what runs in the background. The backend is closed by its owner. */
  close(): void {
    this.#isClosed = true;
    this.#isReady = false;
    this.#stopRestoring();
    this.#compactor.reset();
    this.hashes.close();
    this.views.endAll();
  }

  #stopRestoring(): void {
    this.#restorer?.close();
    this.#restorer = null;
  }

  // --- writing

  /** Begins the transaction; {@link endWrite} must follow in the same synchronous stretch. */
  beginWrite(): WriteTxn {
    assert(this.#isReady, 'store: written to before it is restored');
    assert(!this.#isWriting, 'store: transactions do not nest');
    this.#isWriting = true;
    this.#txn.begin(this.#index, this.#backend, this.#revision);
    return this.#txn;
  }

  /** Makes the transaction's changes visible, and tells the observer. */
  endWrite(): void {
    assert(this.#isWriting, 'store: no transaction to end');
    this.#isWriting = false;
    const { changes } = this.#txn;
    if (changes.count === 0) return;
    this.#revision++;
    this.#onRevision?.(this.#revision, this.#backend.revisionLog);
    this.#observer?.(this.#revision, changes);
  }

  // --- compaction

  /**
   * Compacts up to `rev`: at once as far as anybody can see, in the background as far as memory and file go. `done` is
   * called when that is finished; when the revision is compacted already, once what was scheduled before is finished; not
   * at all for one in the future.
   */
  compact(rev: Revision, done: () => void): InternalError | null {
    assert(this.#isReady, 'store: compacted before it is restored');
    if (rev <= this.#compactRevision) {
      this.#compactor.barrier(done);
      return ErrCompacted;
    }
    if (rev > this.#revision) return ErrFutureRev;
    this.#schedule(rev, done);
    return null;
  }

  #schedule(rev: Revision, done: () => void): void {
    const finished = readFinishedCompact(this.#backend);
    const wasFinished = readScheduledCompact(this.#backend) === finished;
    const previous = this.#compactRevision;
    this.#compactRevision = rev;
    writeScheduledCompact(this.#backend, rev);
    this.#compactor.schedule({ rev, previous, wasFinished, done });
  }

  #onRestored(restorer: Restorer): void {
    const { scheduled, hasGarbage } = restorer;
    this.#isReady = true;
    this.#compactRevision = restorer.compactRevision;
    this.#revision = restorer.revision;
    this.#backend.startRevisions(this.#revision);
    this.#compactor.start(this.#compactRevision, hasGarbage);
    this.#logger.info('kvstore restored', { 'current-rev': this.#revision });
    if (scheduled === 0 || scheduled <= this.#compactRevision || this.#isClosed) return;
    this.#schedule(scheduled, () => {});
    this.#logger.info('resume scheduled compaction', { 'scheduled-compact-revision': scheduled });
  }
}
