/**
 * The watchers of one client stream. What they are sent goes to the stream's sink, in order for each watcher; when the sink
 * has enough, it pauses the stream, and its watchers fall behind without anything being kept for them: they are served from
 * the store once the stream resumes.
 */
import { INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import { assert, latin1FromBytes } from '@etcd/base';
import { isEmptyRange } from '../key-range.ts';
import type { Slices } from '../slices.ts';
import type { WatchHub } from './watch-hub.ts';
import { SYNCED, type Watcher } from './watcher.ts';

const { ErrEmptyWatcherRange, ErrWatcherDuplicateID, ErrWatcherNotExist } = INTERNAL_ERRORS.mvcc;

/**
 * Where a stream's responses go. A sink may pause its stream at any time, from within these calls too; to create, cancel
 * or close it waits until they have returned.
 */
export interface WatchSink {
  /**
   * `events` are encoded `events` fields of a WatchResponse, to be written behind header and watch id, and not to be kept or
   * changed; other watchers are sent the same list. `revision` is for the header.
   */
  sendEvents(watcher: Watcher, events: Slices, revision: Revision): void;
  /** The watcher, or with null each of the stream, has been sent everything up to `revision`. */
  sendProgress(watcher: Watcher | null, revision: Revision): void;
  /** The watcher can't go on: what it should be sent next is compacted up to `compactRevision`. */
  sendCompacted(watcher: Watcher, compactRevision: Revision): void;
}

export interface WatchRequest {
  /** 0n: the stream chooses one. */
  readonly id: bigint;
  readonly key: Uint8Array;
  /** null: the one key; empty: everything from `key` on. */
  readonly end: Uint8Array | null;
  /** 0: from the next revision on. Not negative. */
  readonly startRevision: Revision;
  readonly dropsPuts: boolean;
  readonly dropsDeletes: boolean;
  readonly wantsPrevKv: boolean;
}

export class WatchStream {
  readonly sink: WatchSink;
  readonly #hub: WatchHub;
  readonly #watchers = new Map<bigint, Watcher>();
  /** Watchers that are behind while the stream is paused. */
  readonly parked: Watcher[] = [];
  #nextId = 0n;
  #isPaused = false;
  #isClosed = false;

  /** For the hub. */
  constructor(hub: WatchHub, sink: WatchSink) {
    this.#hub = hub;
    this.sink = sink;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  watcher(id: bigint): Watcher | null {
    return this.#watchers.get(id) ?? null;
  }

  /**
   * Creates a watcher. Nothing is sent to it before this call has returned, so its id can be announced first. An error is
   * a value: an empty range, or an id that is in use.
   */
  watch(request: WatchRequest): Watcher | InternalError {
    assert(!this.#isClosed, 'watch stream: used after close');
    assert(request.startRevision >= 0, 'watch stream: negative start revision');
    const { key, end } = request;
    if (end !== null && isEmptyRange(key, end)) return ErrEmptyWatcherRange;
    if (request.id !== 0n && this.#watchers.has(request.id)) return ErrWatcherDuplicateID;
    const id = request.id === 0n ? this.#freeId() : request.id;
    const watcher = this.#hub.add(this, id, {
      key: latin1FromBytes(key),
      end: end === null ? null : latin1FromBytes(end),
      startRevision: request.startRevision,
      dropsPuts: request.dropsPuts,
      dropsDeletes: request.dropsDeletes,
      wantsPrevKv: request.wantsPrevKv,
    });
    this.#watchers.set(id, watcher);
    return watcher;
  }

  /** Ends a watcher, also one that was told of its compaction: until then it belongs to the stream. */
  cancel(id: bigint): InternalError | null {
    const watcher = this.#watchers.get(id);
    if (watcher === undefined) return ErrWatcherNotExist;
    this.#watchers.delete(id);
    this.#hub.cancel(watcher);
    return null;
  }

  /** Sends the watcher's progress, if it is up to date and its start is not in the future. */
  requestProgress(watcher: Watcher): void {
    if (this.#watchers.get(watcher.id) !== watcher || this.#isPaused || !this.#isUpToDate(watcher)) return;
    this.sink.sendProgress(watcher, this.#hub.revision);
  }

  /** Sends one progress for all watchers, if all of them are up to date; otherwise nothing, and returns false. */
  requestProgressAll(): boolean {
    for (const watcher of this.#watchers.values()) if (!this.#isUpToDate(watcher)) return false;
    if (this.#watchers.size > 0 && !this.#isPaused) this.sink.sendProgress(null, this.#hub.revision);
    return true;
  }

  /** The sink has enough: nothing more is sent until {@link resume}. */
  pause(): void {
    this.#isPaused = true;
  }

  /** The sink can take more. Watchers that have fallen behind are caught up. */
  resume(): void {
    if (!this.#isPaused || this.#isClosed) return;
    this.#isPaused = false;
    this.#hub.unpark(this);
  }

  /** Ends all watchers. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const watcher of this.#watchers.values()) this.#hub.cancel(watcher);
    this.#watchers.clear();
    this.#hub.remove(this);
  }

  #isUpToDate(watcher: Watcher): boolean {
    return watcher.state === SYNCED && this.#hub.revision >= watcher.startRevision;
  }

  #freeId(): bigint {
    while (this.#watchers.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }
}
