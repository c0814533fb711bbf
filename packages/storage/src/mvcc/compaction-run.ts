/**
 * One compaction at work. What a compaction at `rev` removes was replaced or deleted by a revision after the previous
 * compaction's and not after `rev`: everything older was removed by the previous one. So a run needs to look only at the
 * revisions in between (`from` to `rev`):
 *
 *   gather   walks them, compacts the key of each in the index, and collects what falls out of it that is older than `from`
 *   old      removes those from the file, in order of their place
 *   sweep    walks them again, and removes those that the index no longer has
 *
 * A run that has to leave a hash sweeps from the first revision, compacting the index on the way, because the hash is over
 * everything up to `rev` as it was before; it does so in a read transaction of its own.
 *
 * Of each key, older revisions are removed before newer ones, whatever the commits are that carry the removals. So after a
 * crash a key is never older than it was, and its versions still count up without a gap; the next start goes on.
 */
import type { Revision } from '@etcd/api';
import { assert } from '@etcd/base';
import type { ReadTransaction } from '@etcd/bbolt';
import { RevisionList } from '../backend/index.ts';
import { KeyHasher } from './key-hasher.ts';
import { RevisionWalk } from './revision-walk.ts';
import type { Store } from './store.ts';

/** Old revisions that are collected, put in order and removed together. */
const MAX_OLD = 65_536;

export interface CompactionJob {
  readonly rev: Revision;
  /** The compact revision before this one; -1: none. */
  readonly previous: number;
  /** The previous compaction had finished when this one was scheduled, so that the hash covers all in between. */
  readonly wasFinished: boolean;
  readonly done: () => void;
}

type Phase = 'gather' | 'old' | 'sweep';

export class CompactionRun {
  readonly job: CompactionJob;
  readonly startedMs: number;
  readonly hasher: KeyHasher | null;
  /** Revisions removed so far. */
  removedCount = 0;
  readonly #store: Store;
  readonly #read: ReadTransaction | null;
  readonly #from: number;
  readonly #gathering: RevisionWalk;
  readonly #sweeping: RevisionWalk;
  readonly #old = new RevisionList();
  #oldRemoved = 0;
  #isGathered: boolean;
  #phase: Phase;
  readonly #dropped = new RevisionList();

  /**
   * @param cleanUpTo up to here there is nothing to remove but what newer revisions replace; -1: nothing is known.
   * @param read where the hash is taken; null: no hash.
   */
  constructor(
    store: Store,
    job: CompactionJob,
    cleanUpTo: number,
    read: ReadTransaction | null,
    nowMs: number,
  ) {
    this.#store = store;
    this.job = job;
    this.startedMs = nowMs;
    this.#read = read;
    this.hasher = read === null ? null : KeyHasher.forCompaction(store, job.previous, job.rev);
    // A tombstone at the previous compaction's own revision is still there.
    this.#from = read === null ? Math.max(cleanUpTo, 0) : 0;
    this.#isGathered = this.#from === 0;
    this.#phase = this.#isGathered ? 'sweep' : 'gather';
    this.#gathering = new RevisionWalk(store.backend, null, this.#from, job.rev);
    this.#sweeping = new RevisionWalk(store.backend, read, this.#from, job.rev);
  }

  /** Looks at up to `limit` revisions; true when the run is through. */
  step(limit: number): boolean {
    if (this.#phase === 'gather') this.#gather(limit);
    else if (this.#phase === 'old') this.#removeOld(limit);
    else return this.#sweep(limit);
    return false;
  }

  close(): void {
    this.#read?.close();
  }

  #gather(limit: number): void {
    const walk = this.#gathering;
    walk.resume();
    for (let left = limit; left > 0 && this.#old.count < MAX_OLD; left--) {
      if (!walk.next()) {
        this.#isGathered = true;
        break;
      }
      const { index } = this.#store;
      const ref = index.find(walk.buffer, walk.keyValue.keyStart, walk.keyValue.keyEnd);
      if (ref !== 0) this.#compactKey(ref);
    }
    if (!this.#isGathered && this.#old.count < MAX_OLD) return;
    this.#old.sortByMain();
    this.#oldRemoved = 0;
    this.#phase = 'old';
  }

  #compactKey(ref: number): void {
    const dropped = this.#dropped;
    dropped.clear();
    this.#store.index.compactKey(ref, this.job.rev, dropped);
    for (let i = 0; i < dropped.count; i++) {
      if (dropped.main(i) < this.#from)
        this.#old.push(dropped.main(i), dropped.sub(i), dropped.isTombstone(i));
    }
  }

  #removeOld(limit: number): void {
    const old = this.#old;
    for (let left = limit; left > 0 && this.#oldRemoved < old.count; left--, this.#oldRemoved++) {
      const at = this.#oldRemoved;
      this.#remove(old.main(at), old.sub(at), old.isTombstone(at));
    }
    if (this.#oldRemoved < old.count) return;
    old.clear();
    this.#phase = this.#isGathered ? 'sweep' : 'gather';
  }

  #sweep(limit: number): boolean {
    assert(this.#isGathered, 'compaction: swept before all old revisions are gone');
    const walk = this.#sweeping;
    walk.resume();
    for (let left = limit; left > 0; left--) {
      if (!walk.next()) return true;
      const isKept = this.#isKept(walk);
      this.hasher?.add(walk, isKept);
      if (!isKept) this.#remove(walk.main, walk.sub, walk.isTombstone);
    }
    return false;
  }

  /** Whether the revision stays; where nothing was gathered, its key is compacted first. */
  #isKept(walk: RevisionWalk): boolean {
    const { index } = this.#store;
    const ref = index.find(walk.buffer, walk.keyValue.keyStart, walk.keyValue.keyEnd);
    if (ref === 0) return false;
    const isKept = index.isNewestAt(ref, this.job.rev, walk.main, walk.sub);
    if (this.#from === 0) this.#compactKey(ref);
    return isKept;
  }

  #remove(main: number, sub: number, isTombstone: boolean): void {
    this.#store.backend.deleteRevision(main, sub, isTombstone);
    this.removedCount++;
  }
}
