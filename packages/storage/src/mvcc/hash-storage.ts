/**
 * Hashes of the key space: computed when asked for, in slices, and kept from the last compactions. While one is computed, its
 * revision's compaction state is pinned: a later compaction waits with removing.
 */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import type { Logger } from '@etcd/base';
import type { ReadTransaction } from '@etcd/bbolt';
import { KeyHasher, type KeyValueHash } from './key-hasher.ts';
import { RevisionWalk } from './revision-walk.ts';
import type { Store } from './store.ts';

/** Hashes of this many compactions are kept. */
const MAX_STORED = 10;
const SLICE_REVISIONS = 2000;
const SLICE_BYTES = 1024 * 1024;
/** A gentle hash rests so many times as long as it has worked, but never shorter than this. */
const GENTLE_REST = 4;
const MIN_REST_MS = 1;

const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;
const { ErrStopped } = INTERNAL_ERRORS.errors;

/** `hash` is null exactly if there is an error; `currentRevision` is the store's when the hash was asked for. */
export type HashCallback = (
  error: InternalError | null,
  hash: KeyValueHash | null,
  currentRevision: number,
) => void;

/** `fast`: as fast as it goes beside requests; `gentle`: it takes a part of the time only. */
export type HashPace = 'fast' | 'gentle';

interface Running {
  readonly revision: number;
  readonly currentRevision: number;
  readonly hasher: KeyHasher;
  readonly pace: HashPace;
  readonly done: HashCallback;
  read: ReadTransaction | null;
}

interface Waiting {
  readonly revision: number;
  readonly callback: () => void;
}

export class HashStorage {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #running = new Set<Running>();
  #waiting: Waiting[] = [];
  /** In order of revisions. */
  #stored: KeyValueHash[] = [];

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** The hashes that compactions left, oldest first. */
  get stored(): readonly KeyValueHash[] {
    return this.#stored;
  }

  /** The hash at `revision` (0: the newest), stored or computed. Before the first revision there is nothing to hash. */
  hashByRevThen(revision: number, done: HashCallback, pace: HashPace = 'fast'): void {
    const { revision: current, compactRevision, clock } = this.#store;
    const stored = this.#stored.find((hash) => hash.revision === revision);
    if (stored !== undefined) return clock.defer(() => done(null, stored, current));
    if (revision > 0 && revision < compactRevision) {
      return clock.defer(() => done(ErrCompacted, null, current));
    }
    if (revision > current) return clock.defer(() => done(ErrFutureRev, null, current));
    const hashed = revision === 0 ? current : revision;
    const hasher = KeyHasher.atRevision(this.#store.index, compactRevision, hashed);
    this.#begin({ revision: hashed, currentRevision: current, hasher, pace, done, read: null });
  }

  store(hash: KeyValueHash): void {
    this.#logger.info('storing new hash', {
      hash: hash.hash,
      revision: hash.revision,
      'compact-revision': hash.compactRevision,
    });
    this.#stored.push(hash);
    this.#stored.sort((a, b) => a.revision - b.revision);
    if (this.#stored.length > MAX_STORED) this.#stored = this.#stored.slice(-MAX_STORED);
  }

  /** Calls back once no hash of a revision before `revision` is being computed; at once if so now. */
  whenNoneBefore(revision: number, callback: () => void): void {
    this.#waiting.push({ revision, callback });
    this.#wake();
  }

  /** Gives up what is running, and forgets what is stored: the store goes on with another backend, or ends. */
  reset(): void {
    const running = [...this.#running];
    this.#running.clear();
    this.#waiting = [];
    this.#stored = [];
    for (const run of running) {
      run.read?.close();
      run.done(ErrStopped, null, run.currentRevision);
    }
  }

  #begin(run: Running): void {
    const { backend } = this.#store;
    this.#running.add(run);
    // The walk is over the file alone, so that it sees one state from beginning to end.
    backend.commitNowThen((error) => {
      if (error !== null || !this.#running.has(run)) return;
      run.read = backend.beginRead();
      this.#slice(run, new RevisionWalk(backend, run.read, 0, run.revision));
    });
  }

  #slice(run: Running, walk: RevisionWalk): void {
    if (!this.#running.has(run)) return;
    const { clock } = this.#store;
    const startMs = clock.now();
    walk.resume();
    let bytes = 0;
    for (let left = SLICE_REVISIONS; left > 0 && bytes < SLICE_BYTES; left--) {
      if (!walk.next()) return this.#finish(run);
      run.hasher.add(walk);
      bytes += walk.end - walk.start;
    }
    const next = (): void => this.#slice(run, walk);
    if (run.pace === 'fast') return clock.defer(next);
    clock.setTimer(Math.max(MIN_REST_MS, GENTLE_REST * (clock.now() - startMs)), next);
  }

  #finish(run: Running): void {
    this.#running.delete(run);
    run.read?.close();
    run.done(null, run.hasher.result(), run.currentRevision);
    this.#wake();
  }

  #wake(): void {
    const ready = this.#waiting.filter((entry) => !this.#isBusyBefore(entry.revision));
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((entry) => !ready.includes(entry));
    for (const entry of ready) entry.callback();
  }

  #isBusyBefore(revision: number): boolean {
    for (const run of this.#running) if (run.revision < revision) return true;
    return false;
  }
}
