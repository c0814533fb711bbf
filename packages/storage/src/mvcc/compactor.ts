/**
 * Removes what compactions have made unreachable, in the background: a slice of revisions, a pause, the next slice. Jobs
 * run one after the other, in the order in which they were scheduled; {@link CompactionRun} is one at work.
 */
import { assert, type Clock, type Logger } from '@etcd/base';
import type { ReadTransaction } from '@etcd/bbolt';
import { writeFinishedCompact } from '../schema/index.ts';
import { type CompactionJob, CompactionRun } from './compaction-run.ts';
import type { CompactionObserver, Store, StoreOptions } from './store.ts';

const DEFAULT_BATCH_LIMIT = 1000;
const DEFAULT_SLEEP_MS = 10;
/** With more removals than this waiting for a commit, compaction waits too. */
const MAX_PENDING_OPERATIONS = 10_000;

/** Who waits for a job without having scheduled it. */
interface Barrier {
  readonly job: CompactionJob;
  readonly done: () => void;
}

export class Compactor {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #batchLimit: number;
  readonly #sleepMs: number;
  readonly #keepsHashes: boolean;
  readonly #observer: CompactionObserver | null;
  #queue: CompactionJob[] = [];
  #running: CompactionRun | null = null;
  #waiting: Barrier[] = [];
  /** Everything up to here has been removed that compactions so far made unreachable. */
  #cleanUpTo = -1;
  /** Grows with each {@link reset}: slices of an earlier life end. */
  #life = 0;

  constructor(store: Store, logger: Logger, options: StoreOptions) {
    this.#store = store;
    this.#clock = store.clock;
    this.#logger = logger;
    this.#batchLimit = options.compactionBatchLimit ?? DEFAULT_BATCH_LIMIT;
    this.#sleepMs = options.compactionSleepMs ?? DEFAULT_SLEEP_MS;
    this.#keepsHashes = options.compactionHashes ?? true;
    this.#observer = options.compactionObserver ?? null;
  }

  get isBusy(): boolean {
    return this.#running !== null || this.#queue.length > 0;
  }

  /** @param hasGarbage revisions before `finished` are still there that should not be: the next job looks at all. */
  start(finished: number, hasGarbage: boolean): void {
    this.#cleanUpTo = hasGarbage ? -1 : finished;
  }

  schedule(job: CompactionJob): void {
    this.#queue.push(job);
    if (this.#running === null && this.#queue.length === 1)
      this.#clock.defer(this.#inThisLife(() => this.#next()));
  }

  /** Calls `done` when everything that is scheduled now has finished. */
  barrier(done: () => void): void {
    const last = this.#queue.at(-1) ?? this.#running?.job;
    if (last === undefined) return this.#clock.defer(done);
    this.#waiting.push({ job: last, done });
  }

  /** Gives up: the store goes on with another backend, or ends. Returns whom nobody has told yet that their compaction is done. */
  reset(): (() => void)[] {
    const jobs = this.#running === null ? this.#queue : [this.#running.job, ...this.#queue];
    const untold = [...jobs, ...this.#waiting].map(({ done }) => done);
    this.#life++;
    this.#running?.close();
    this.#running = null;
    this.#queue = [];
    this.#waiting = [];
    return untold;
  }

  #inThisLife(turn: () => void): () => void {
    const life = this.#life;
    return () => {
      if (this.#life === life) this.#store.backend.inTurn(turn);
    };
  }

  #next(): void {
    const job = this.#queue[0];
    if (job === undefined || this.#running !== null) return;
    // Who reads an older revision needs what this job would remove.
    this.#store.views.whenNoneBefore(
      job.rev,
      this.#inThisLife(() => this.#begin(job)),
    );
  }

  #begin(job: CompactionJob): void {
    assert(this.#running === null && this.#queue[0] === job, 'compactor: jobs run in order');
    if (!this.#keepsHashes || !job.wasFinished) return this.#run(job, null);
    // Revisions that are not in the file yet would be missing from the hash.
    const run = this.#inThisLife(() => this.#runIfAlive(job));
    this.#store.backend.commitNowThen((error) => {
      if (error === null) run();
    });
  }

  #runIfAlive(job: CompactionJob): void {
    if (this.#queue[0] === job && this.#running === null) this.#run(job, this.#store.backend.beginRead());
  }

  #run(job: CompactionJob, read: ReadTransaction | null): void {
    this.#queue = this.#queue.slice(1);
    this.#running = new CompactionRun(this.#store, job, this.#cleanUpTo, read, this.#clock.now());
    this.#step();
  }

  #step(): void {
    const run = this.#running!;
    const { backend } = this.#store;
    const isHeldUp = backend.pendingOperations >= MAX_PENDING_OPERATIONS || backend.overloaded;
    if (isHeldUp || !this.#runSlice(run)) {
      this.#clock.setTimer(
        this.#sleepMs,
        this.#inThisLife(() => this.#step()),
      );
      return;
    }
    this.#finish(run);
  }

  #runSlice(run: CompactionRun): boolean {
    const startMs = this.#clock.now();
    const before = run.removedCount;
    const isDone = run.step(this.#batchLimit);
    this.#observer?.onSlice(this.#clock.now() - startMs, run.removedCount - before);
    return isDone;
  }

  #finish(run: CompactionRun): void {
    const { job } = run;
    const { backend, hashes } = this.#store;
    run.close();
    writeFinishedCompact(backend, job.rev);
    this.#cleanUpTo = job.rev;
    this.#running = null;
    if (run.hasher !== null) hashes.store(run.hasher.result());
    const tookMs = this.#clock.now() - run.startedMs;
    this.#observer?.onFinished(tookMs, this.#clock.wallNow());
    this.#logger.info('finished scheduled compaction', {
      'compact-revision': job.rev,
      took: `${tookMs.toFixed(3)}ms`,
      'number-of-keys-compacted': run.removedCount,
      hash: run.hasher?.result().hash ?? 0,
      'current-db-size-bytes': backend.sizeBytes,
      'current-db-size-in-use-bytes': backend.sizeInUseBytes,
    });
    const waiting = this.#waiting.filter((entry) => entry.job === job);
    this.#waiting = this.#waiting.filter((entry) => entry.job !== job);
    job.done();
    for (const entry of waiting) entry.done();
    this.#next();
  }
}
