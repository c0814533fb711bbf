/**
 * Hashes of the key space: computed when asked for, in slices, and kept from the last compactions. While one is computed, a view of its
 * revision is held: a later compaction waits with removing, and when a snapshot replaces the store the hash goes on in the old one.
 * When that takes too long, the hash fails with the view.
 */
import { INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import type { Logger } from '@etcd/base';
import type { ReadTransaction } from '@etcd/bbolt';
import type { Backend } from '../backend/index.ts';
import { KeyHasher, type KeyValueHash } from './key-hasher.ts';
import { RevisionWalk } from './revision-walk.ts';
import type { Store } from './store.ts';
import type { StoreView } from './views.ts';

/** Hashes of this many compactions are kept. */
const MAX_STORED = 10;
const SLICE_BYTES = 1024 * 1024;
/** A gentle hash rests so many times as long as it has worked, but never shorter than this. */
const GENTLE_REST = 4;
const MIN_REST_MS = 1;
/** A hash may hold up compactions for longer than a reader: over a large store, and gently, it takes minutes. */
const MAX_HOLD_MS = 10 * 60_000;

const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;
const { ErrStopped } = INTERNAL_ERRORS.errors;

/** `hash` is null exactly if there is an error; `currentRevision` is the store's when the hash was asked for. */
export type HashCallback = (
  error: InternalError | null,
  hash: KeyValueHash | null,
  currentRevision: Revision,
) => void;

/** `fast`: as fast as it goes beside requests; `gentle`: it takes a part of the time only. */
export type HashPace = 'fast' | 'gentle';

interface Running {
  readonly revision: Revision;
  readonly currentRevision: Revision;
  readonly hasher: KeyHasher;
  readonly pace: HashPace;
  readonly done: HashCallback;
  readonly view: StoreView;
  read: ReadTransaction | null;
}

export class HashStorage {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #running = new Set<Running>();
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
  hashByRevThen(revision: Revision, done: HashCallback, pace: HashPace = 'fast'): void {
    const { revision: current, compactRevision, clock, isReady } = this.#store;
    if (!isReady) return clock.defer(() => done(ErrStopped, null, current));
    const stored = this.#stored.find((hash) => hash.revision === revision);
    if (stored !== undefined) return clock.defer(() => done(null, stored, current));
    if (revision > 0 && revision < compactRevision) {
      return clock.defer(() => done(ErrCompacted, null, current));
    }
    if (revision > current) return clock.defer(() => done(ErrFutureRev, null, current));
    const hashed = revision === 0 ? current : revision;
    const hasher = KeyHasher.atRevision(this.#store.index, compactRevision, hashed);
    // Below the first revision nothing is read.
    const view = this.#store.views.open(this.#store, hashed < 0 ? current : hashed, MAX_HOLD_MS);
    this.#begin({ revision: hashed, currentRevision: current, hasher, pace, done, view, read: null });
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

  /** Forgets what is stored: the store goes on with another backend. What is running goes on in the old one. */
  forget(): void {
    this.#stored = [];
  }

  /** Gives up what is running: the store ends. */
  close(): void {
    for (const run of [...this.#running]) this.#fail(run, ErrStopped);
  }

  #begin(run: Running): void {
    const { backend } = this.#store;
    this.#running.add(run);
    // The walk is over the file alone, so that it sees one state from beginning to end.
    backend.commitNowThen((error) => {
      if (error !== null || !this.#running.has(run)) return;
      run.read = backend.beginRead();
      const walk = new RevisionWalk(backend, run.read, 0, run.revision);
      this.#turn(run, walk, backend);
    });
  }

  #turn(run: Running, walk: RevisionWalk, backend: Backend): void {
    backend.inTurn(() => this.#slice(run, walk, backend));
  }

  #slice(run: Running, walk: RevisionWalk, backend: Backend): void {
    if (!this.#running.has(run)) return;
    if (run.view.error !== null) return this.#fail(run, run.view.error);
    const { clock, slices } = this.#store;
    const startMs = clock.now();
    walk.resume();
    let bytes = 0;
    for (let left = slices.hashRevisions; left > 0 && bytes < SLICE_BYTES; left--) {
      if (!walk.next()) return this.#finish(run);
      run.hasher.add(walk);
      bytes += walk.end - walk.start;
    }
    const next = (): void => this.#turn(run, walk, backend);
    if (run.pace === 'fast') return clock.defer(next);
    clock.setTimer(Math.max(MIN_REST_MS, GENTLE_REST * (clock.now() - startMs)), next);
  }

  #finish(run: Running): void {
    this.#end(run);
    run.done(null, run.hasher.result(), run.currentRevision);
  }

  #fail(run: Running, error: InternalError): void {
    this.#end(run);
    run.done(error, null, run.currentRevision);
  }

  #end(run: Running): void {
    this.#running.delete(run);
    run.read?.close();
    run.view.close();
  }
}
