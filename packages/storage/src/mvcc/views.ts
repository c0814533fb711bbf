/**
 * Views: what a reader that takes several turns of the event loop holds, so that it reads one revision to its end whatever becomes
 * of the store meanwhile.
 *
 * A compaction is seen at once by who asks from then on, but it removes nothing that an open view still reads: its work waits. When
 * a snapshot takes the store's place, views go on in the index and the backend that they were opened on. So neither cuts a
 * reader short, as neither does in etcd, whose readers hold a read transaction.
 *
 * What that costs is bounded. A compaction waits only for views that were there before it, and for each of them no longer than the
 * time that the reader was given, counted from when the compaction began to wait; a replaced store is kept no longer than that
 * either, and there is never more than one. Then the view ends, and its reader fails with an error after which a client asks
 * anew: a view that holds up a compaction with ErrCompacted, one of a replaced store with ErrStopped.
 */
import { INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import { assert, type Clock, type Logger, type Timer } from '@etcd/base';
import type { Backend } from '../backend/index.ts';
import type { TreeIndex } from './key-index/tree-index.ts';
import type { ReadView } from './read-view.ts';

const { ErrCompacted } = INTERNAL_ERRORS.mvcc;
const { ErrStopped } = INTERNAL_ERRORS.errors;

/** How long a reader may hold up a compaction, or keep a replaced store: a slow client must not do so for good. */
export const MAX_HOLD_MS = 60_000;

interface Waiting {
  readonly revision: Revision;
  readonly callback: () => void;
}

export class StoreView implements ReadView {
  readonly revision: Revision;
  readonly compactRevision: Revision;
  /** The revision that is read: nothing that belongs to it goes away. */
  readonly readRevision: Revision;
  readonly maxHoldMs: number;
  /** Set while somebody waits for this view: it ends when the time is up. For {@link Views}. */
  timer: Timer | null = null;
  readonly #views: Views;
  #index: TreeIndex | null;
  #backend: Backend | null;
  #error: InternalError | null = null;

  /** For {@link Views}. */
  constructor(views: Views, store: ReadView, readRevision: Revision, maxHoldMs: number) {
    this.#views = views;
    this.#index = store.index;
    this.#backend = store.backend;
    this.revision = store.revision;
    this.compactRevision = store.compactRevision;
    this.readRevision = readRevision;
    this.maxHoldMs = maxHoldMs;
    store.backend.retain();
  }

  get index(): TreeIndex {
    assert(this.#index !== null, 'view: read after its end');
    return this.#index;
  }

  get backend(): Backend {
    assert(this.#backend !== null, 'view: read after its end');
    return this.#backend;
  }

  /** Why nothing can be read any more; to be looked at in each turn. */
  get error(): InternalError | null {
    return this.#error;
  }

  /** The reader is done with it; harmless when the view has ended. */
  close(): void {
    if (this.#backend !== null) this.#views.end(this);
  }

  /** For {@link Views}: nothing is held any more, by a reader that has forgotten the view neither. */
  release(error: InternalError | null): void {
    this.timer?.cancel();
    this.timer = null;
    this.#error = error;
    this.#backend?.release();
    this.#backend = null;
    this.#index = null;
  }
}

export class Views {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Those of the store as it is. */
  #current = new Set<StoreView>();
  /** Those of the store before the last snapshot from the leader. */
  #replaced = new Set<StoreView>();
  #waiting: Waiting[] = [];

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  get count(): number {
    return this.#current.size + this.#replaced.size;
  }

  /** Holds `readRevision`, which can be read in `store` now. */
  open(store: ReadView, readRevision: Revision, maxHoldMs: number = MAX_HOLD_MS): StoreView {
    assert(readRevision >= store.compactRevision, 'views: opened at a compacted revision');
    const view = new StoreView(this, store, readRevision, maxHoldMs);
    this.#current.add(view);
    return view;
  }

  /** Calls back once no view reads a revision before `revision`, which is compacted; at once if so now. */
  whenNoneBefore(revision: Revision, callback: () => void): void {
    for (const view of this.#current) {
      if (view.readRevision < revision) this.#limit(view, ErrCompacted);
    }
    this.#waiting.push({ revision, callback });
    this.#wake();
  }

  /** The store goes on with another backend. Nobody waits for what would have been compacted in the old one. */
  onReplaced(): void {
    this.#waiting = [];
    for (const view of this.#replaced) this.end(view, ErrStopped);
    this.#replaced = this.#current;
    this.#current = new Set();
    for (const view of this.#replaced) this.#limit(view, ErrStopped);
  }

  /** The store ends. */
  endAll(): void {
    this.#waiting = [];
    for (const view of [...this.#current, ...this.#replaced]) this.end(view, ErrStopped);
  }

  /** For {@link StoreView}: it is over; with an error if its reader is not done. */
  end(view: StoreView, error: InternalError | null = null): void {
    view.release(error);
    this.#replaced.delete(view);
    if (this.#current.delete(view)) this.#wake();
  }

  #limit(view: StoreView, error: InternalError): void {
    // One that is limited by a compaction already does not get more time from a snapshot.
    if (view.timer !== null || view.maxHoldMs === Number.POSITIVE_INFINITY) return;
    view.timer = this.#clock.setTimer(view.maxHoldMs, () => {
      this.#logger.warn('gave up a read that has held up others for too long', {
        'read-revision': view.readRevision,
        'limit-ms': view.maxHoldMs,
        error: error.message,
      });
      this.end(view, error);
    });
  }

  #wake(): void {
    const ready = this.#waiting.filter(({ revision }) => !this.#isReadBefore(revision));
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((entry) => !ready.includes(entry));
    for (const { callback } of ready) callback();
  }

  #isReadBefore(revision: Revision): boolean {
    for (const { readRevision } of this.#current) if (readRevision < revision) return true;
    return false;
  }
}
