/**
 * The writing side of a database: begins write transactions, and takes their commits to the disk one after the other.
 *
 *     open ──commitThen──> being built (in slices) ──> queue: being written, then synced ──> durable
 *                                              │
 *                              the next transaction may begin: it builds on this one
 *
 * Pages that a commit frees are not taken by any other before it is durable, so whatever the next transaction does meanwhile, the
 * durable state and the one before it stay whole.
 */
import { assert, type DiskError, type Logger, RingBuffer } from '@etcd/base';
import type { CommitStatistics } from './api.ts';
import { BoltError } from './bolt-error.ts';
import { Commit, type CommitOptions, type State } from './commit.ts';
import { type Freelist, PageChanges } from './freelist.ts';
import { freelistPages, loadFreelist } from './freelist-loader.ts';
import { PageWriter } from './page-writer.ts';
import { ioError, type Pager } from './pager.ts';
import { runAll, runSlice, SLICE_COST, type Steps } from './steps.ts';
import { Workspace, WorkspaceMemory } from './workspace.ts';
import { TreeTransaction, type WriteOwner } from './write-transaction.ts';

/** As bbolt: beyond this size a file grows by as much at once, below it doubles. */
const GROW_STEP_BYTES = 16 << 20;
const MIN_FILE_BYTES = 32 << 10;

type Done = (error: BoltError | null) => void;

interface PendingCommit {
  readonly commit: Commit;
  readonly done: Done;
}

/** A commit whose pages are being built. */
interface PreparingCommit extends PendingCommit {
  readonly steps: Steps;
  readonly workspace: Workspace;
}

const NO_COMMIT: CommitStatistics = {
  rebalanceMs: 0,
  spillMs: 0,
  writeMs: 0,
  pagesWritten: 0,
  runsWritten: 0,
};

export class Committer implements WriteOwner {
  readonly #pager: Pager;
  readonly #freelist: Freelist;
  readonly #options: CommitOptions;
  readonly #logger: Logger;
  readonly #memory = new WorkspaceMemory();
  /** What readers see. */
  #durable: State;
  /** What the next write transaction builds on. Invariant: not before the durable state. */
  #latest: State;
  /** High-water mark of the meta page that the next commit to be durable replaces. */
  #olderHighWaterPgid: number;
  #fileSizeBytes: number;
  #writing: TreeTransaction | null = null;
  #preparing: PreparingCommit | null = null;
  /** Commits that are built; the first of them is being written. */
  readonly #queue = new RingBuffer<PendingCommit>(4);
  /** Under way to find the free pages, where that was begun but not finished. */
  #loading: Steps | null = null;
  #freelistLoaded = false;
  #cutsFile = false;
  /** Once set, nothing is written any more. */
  #failure: BoltError | null = null;
  commits = 0;
  lastCommit: CommitStatistics = NO_COMMIT;

  constructor(
    pager: Pager,
    freelist: Freelist,
    state: State,
    olderHighWaterPgid: number,
    options: CommitOptions,
    logger: Logger,
  ) {
    this.#pager = pager;
    this.#freelist = freelist;
    this.#durable = state;
    this.#latest = state;
    this.#olderHighWaterPgid = olderHighWaterPgid;
    this.#fileSizeBytes = pager.file.sizeBytes();
    this.#options = options;
    this.#logger = logger;
  }

  get durable(): State {
    return this.#durable;
  }

  get fileSizeBytes(): number {
    return this.#fileSizeBytes;
  }

  get freelistLoaded(): boolean {
    return this.#freelistLoaded;
  }

  /** Whether a commit is being built or written. */
  get busy(): boolean {
    return this.#preparing !== null || this.#queue.count > 0;
  }

  /** Whether a write transaction takes changes. */
  get writing(): boolean {
    return this.#writing !== null;
  }

  get preparing(): boolean {
    return this.#preparing !== null;
  }

  begin(): TreeTransaction {
    assert(this.#writing === null, 'database: a write transaction is open');
    this.#finishPreparing();
    if (this.#failure !== null) throw this.#failure;
    this.#loadAll();
    this.#freelist.release(this.#durable.meta.txid);
    const base = this.#latest;
    const workspace = new Workspace(this.#pager, this.#memory);
    const changes = new PageChanges(base.meta.txid + 1);
    const writer = new PageWriter(this.#pager, this.#freelist, changes, base.meta.highWaterPgid);
    this.#writing = new TreeTransaction(this, base, { workspace, writer, open: true, isBroken: false });
    return this.#writing;
  }

  commit(transaction: TreeTransaction): void {
    assert(!this.busy, 'database: another commit is under way');
    const commit = this.#take(transaction);
    try {
      runAll(commit.prepare());
      this.#growFile(commit.state);
      commit.write(this.#pager.file);
    } catch (error) {
      throw this.#fail(commit, error);
    } finally {
      transaction.context.workspace.release();
    }
    this.#latest = commit.state;
    this.#finish(commit);
  }

  commitThen(transaction: TreeTransaction, done: Done): void {
    const commit = this.#take(transaction);
    assert(this.#preparing === null, 'database: two commits are being built');
    const preparing = { commit, done, steps: commit.prepare(), workspace: transaction.context.workspace };
    this.#preparing = preparing;
    this.#prepareSlice(preparing);
  }

  rollback(transaction: TreeTransaction): void {
    assert(this.#writing === transaction, 'database: not its write transaction');
    this.#writing = null;
    transaction.context.writer.rollback();
    transaction.context.workspace.release();
  }

  /** Finds the free pages in slices. */
  loadFreelistThen(done: Done): void {
    const { clock } = this.#options;
    if (this.#failure === null && !this.#freelistLoaded && clock !== null) {
      try {
        if (!this.#loadSlice(SLICE_COST)) {
          clock.defer(() => this.loadFreelistThen(done));
          return;
        }
      } catch (error) {
        this.#failure = boltError(error);
      }
    } else if (this.#failure === null) {
      try {
        this.#loadAll();
      } catch (error) {
        this.#failure = boltError(error);
      }
    }
    this.#later(() => done(this.#failure));
  }

  #take(transaction: TreeTransaction): Commit {
    assert(this.#writing === transaction, 'database: not its write transaction');
    this.#writing = null;
    // Readers may have gone since it began.
    this.#freelist.release(this.#durable.meta.txid);
    const { writer } = transaction.context;
    if (transaction.trimsTail) this.#cutsFile = true;
    return new Commit(
      transaction.base,
      transaction.root,
      writer,
      this.#freelist,
      this.#options,
      transaction.trimsTail,
    );
  }

  #prepareSlice(preparing: PreparingCommit): void {
    // Whoever began the next transaction has finished the work.
    if (this.#preparing !== preparing) return;
    const { clock } = this.#options;
    if (!this.#runPreparing(preparing, clock === null ? Number.POSITIVE_INFINITY : SLICE_COST)) {
      clock!.defer(() => this.#prepareSlice(preparing));
    }
  }

  #finishPreparing(): void {
    if (this.#preparing !== null) this.#runPreparing(this.#preparing, Number.POSITIVE_INFINITY);
  }

  /** Builds pages; returns whether there are none left to build. */
  #runPreparing(preparing: PreparingCommit, cost: number): boolean {
    const { commit } = preparing;
    try {
      if (!runSlice(preparing.steps, cost)) return false;
    } catch (error) {
      this.#preparing = null;
      preparing.workspace.release();
      this.#failAll(preparing, this.#fail(commit, error));
      return true;
    }
    this.#preparing = null;
    preparing.workspace.release();
    this.#latest = commit.state;
    this.#queue.push(preparing);
    if (this.#queue.count === 1) this.#writeFirst();
    return true;
  }

  #writeFirst(): void {
    const pending = this.#queue.peek();
    assert(pending !== undefined, 'database: no commit to write');
    const { commit } = pending;
    const { file } = this.#pager;
    try {
      this.#growFile(commit.state);
    } catch (error) {
      this.#failAll(null, this.#fail(commit, error));
      return;
    }
    commit.writeThen(file, (error: DiskError | null) => {
      if (error !== null) return this.#failAll(null, this.#fail(commit, error));
      this.#queue.take();
      this.#finish(commit);
      if (this.#queue.count > 0) this.#writeFirst();
      pending.done(null);
    });
  }

  /** The commit is on disk: readers may see it. */
  #finish(commit: Commit): void {
    this.#olderHighWaterPgid = this.#durable.meta.highWaterPgid;
    this.#durable = commit.state;
    this.#pager.cache.unpin(commit.state.meta.txid);
    this.commits++;
    this.lastCommit = commit.statistics;
    this.#cutFile();
  }

  #growFile(state: State): void {
    const { meta } = state;
    const needed = meta.highWaterPgid * meta.pageSizeBytes;
    if (needed <= this.#fileSizeBytes) return;
    let size = MIN_FILE_BYTES;
    while (size < needed && size < GROW_STEP_BYTES) size *= 2;
    if (size < needed) size = Math.ceil(needed / GROW_STEP_BYTES) * GROW_STEP_BYTES;
    this.#pager.file.allocate(size);
    this.#fileSizeBytes = size;
  }

  /**
   * Cuts what neither meta page counts as part of the database. Pages behind a lowered mark were free for every reader, so
   * nobody reads there.
   */
  #cutFile(): void {
    if (!this.#cutsFile || this.busy) return;
    const { meta } = this.#durable;
    const size = Math.max(meta.highWaterPgid, this.#olderHighWaterPgid) * meta.pageSizeBytes;
    if (this.#olderHighWaterPgid <= meta.highWaterPgid) this.#cutsFile = false;
    if (size >= this.#fileSizeBytes) return;
    try {
      this.#pager.file.truncate(size);
      this.#fileSizeBytes = size;
    } catch (error) {
      // The file is longer than it need be, and no worse.
      this.#logger.warn('failed to cut the database file', { path: this.#pager.file.path, error });
      this.#fileSizeBytes = this.#pager.file.sizeBytes();
    }
  }

  #loadAll(): void {
    if (!this.#freelistLoaded) this.#loadSlice(Number.POSITIVE_INFINITY);
  }

  #loadSlice(cost: number): boolean {
    const { meta } = this.#durable;
    this.#loading ??= loadFreelist(this.#pager, meta, this.#freelist);
    try {
      if (!runSlice(this.#loading, cost)) return false;
      this.#durable = { meta, freelistPages: freelistPages(this.#pager, meta) };
    } catch (error) {
      // What is in the list by now is not all: nothing may ever be allocated from it.
      this.#failure = boltError(error);
      throw error;
    }
    this.#latest = this.#durable;
    this.#pager.plainLeaves = null;
    this.#loading = null;
    this.#freelistLoaded = true;
    return true;
  }

  /** Notes that a commit did not come about; returns the error to tell. */
  #fail(commit: Commit, error: unknown): BoltError {
    const failure = boltError(ioError(error, this.#pager.file.path));
    commit.rollback();
    this.#failure = failure;
    return failure;
  }

  /** Tells all whose commits can't come about any more. */
  #failAll(preparing: PendingCommit | null, error: BoltError): void {
    const failed: PendingCommit[] = [];
    for (let pending = this.#queue.take(); pending !== undefined; pending = this.#queue.take())
      failed.push(pending);
    if (preparing !== null) failed.push(preparing);
    if (this.#preparing !== null) failed.push(this.#preparing);
    this.#preparing = null;
    this.#later(() => {
      for (const { done } of failed) done(error);
    });
  }

  /** So that nobody is called back before his call has returned. */
  #later(callback: () => void): void {
    const { clock } = this.#options;
    if (clock !== null) clock.defer(callback);
    else queueMicrotask(callback);
  }
}

/** Passes what isn't an error of this package on as it came: it ends the process. */
function boltError(error: unknown): BoltError {
  if (error instanceof BoltError) return error;
  throw error;
}
