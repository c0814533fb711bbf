/**
 * Serves watchers that are behind: one walk over the revisions from where the one farthest behind is, a slice in each turn of the
 * event loop, matched against all of them. Whoever reaches the store's revision is up to date; whoever's stream is paused
 * leaves, and comes again later; whoever is overtaken by a compaction is told so.
 */
import type { Revision } from '@etcd/api';
import { assert, latin1FromBytes } from '@etcd/base';
import { RevisionWalk } from '../revision-walk.ts';
import type { Store } from '../store.ts';
import { EventBatch, type PreviousPair } from './event-batch.ts';
import type { Watcher } from './watcher.ts';
import { WatcherGroup } from './watcher-group.ts';

const SLICE_BYTES = 1024 * 1024;

/** What becomes of the watchers. */
export interface CatchUpOutcome {
  /** The batch's events are sent to the watchers of its nodes. */
  deliver(batch: EventBatch, group: WatcherGroup): void;
  /** The watcher has left the group and is up to date. */
  synced(watcher: Watcher): void;
  /** The watcher has left the group: what it needs next is compacted. */
  compacted(watcher: Watcher): void;
}

export class CatchUp implements PreviousPair {
  readonly #store: Store;
  readonly #outcome: CatchUpOutcome;
  readonly #sliceRevisions: number;
  readonly #group = new WatcherGroup();
  readonly #batch = new EventBatch();
  #walk: RevisionWalk | null = null;
  /** The main revision that the batch may have only in part; everything before it is in the batch or delivered. */
  #openMain = 0;
  /** Everything up to here has been delivered. */
  #deliveredUpTo = 0;
  /** Up to here compaction has been looked at. */
  #compactRevision = -1;

  /** @param sliceRevisions revisions read in a turn; no response has more, unless they share one main revision. */
  constructor(store: Store, outcome: CatchUpOutcome, sliceRevisions: number) {
    this.#store = store;
    this.#sliceRevisions = sliceRevisions;
    this.#outcome = outcome;
  }

  get isIdle(): boolean {
    return this.#walk === null;
  }

  get watcherCount(): number {
    return this.#group.count;
  }

  /** Begins with these watchers; none of them is up to date or compacted. */
  begin(watchers: readonly Watcher[]): void {
    assert(this.#walk === null && this.#group.count === 0, 'catch-up: begun twice');
    let from = Number.MAX_SAFE_INTEGER;
    const { revision, compactRevision } = this.#store;
    for (const watcher of watchers) {
      const { minRevision } = watcher;
      assert(minRevision <= revision && minRevision >= compactRevision, 'catch-up: nothing to be read');
      this.#group.add(watcher);
      from = Math.min(from, watcher.minRevision);
    }
    this.#startAt(from);
    this.#compactRevision = compactRevision;
  }

  /** Takes out a watcher that is here, with how far it has come. */
  remove(watcher: Watcher): void {
    this.#group.remove(watcher);
    watcher.minRevision = Math.max(watcher.minRevision, this.#deliveredUpTo + 1);
  }

  /** Whether the watcher is being served here. */
  has(watcher: Watcher): boolean {
    return watcher.node?.group === this.#group;
  }

  /** All watchers leave, with how far they have come: the store has got another backend. */
  abort(): Watcher[] {
    const watchers = this.#group.all();
    for (const watcher of watchers) this.remove(watcher);
    this.#end();
    return watchers;
  }

  /** Works off a slice; true when there is nothing more to do. */
  step(): boolean {
    const walk = this.#walk;
    if (walk === null) return true;
    this.#leaveCompacted();
    if (this.#group.count === 0) {
      this.#end();
      return true;
    }
    this.#walk!.resume();
    if (!this.#readSlice(this.#walk!)) return false;
    this.#deliver(this.#store.revision);
    this.#finish();
    return true;
  }

  // --- PreviousPair, of the revision that the walk stands on

  get buffer(): Uint8Array {
    return this.#store.backend.value.buffer;
  }

  get start(): number {
    return this.#store.backend.value.start;
  }

  get end(): number {
    return this.#store.backend.value.end;
  }

  find(): boolean {
    const { index, backend, compactRevision } = this.#store;
    const { main, buffer, keyValue } = this.#walk!;
    if (main - 1 < compactRevision) return false;
    const ref = index.find(buffer, keyValue.keyStart, keyValue.keyEnd);
    if (ref === 0 || !index.getAt(ref, main - 1)) return false;
    return backend.readRevision(index.found.main, index.found.sub);
  }

  #startAt(revision: Revision): void {
    this.#walk = new RevisionWalk(this.#store.backend, null, revision, Number.MAX_SAFE_INTEGER);
    this.#deliveredUpTo = revision - 1;
  }

  /** True at the store's revision. What is delivered are whole revisions. */
  #readSlice(walk: RevisionWalk): boolean {
    let bytes = 0;
    // What is left of the slice before waits only for the rest of its last revision.
    let isDue = this.#batch.count > 0;
    for (let left = this.#sliceRevisions; left > 0 && bytes < SLICE_BYTES; left--) {
      if (!walk.next()) return true;
      if (walk.main !== this.#openMain) {
        if (isDue) this.#deliver(walk.main - 1);
        isDue = false;
        this.#openMain = walk.main;
      }
      this.#add(walk);
      bytes += walk.end - walk.start;
    }
    // Of the revision that the walk stands in the middle of, the rest comes with the next slice.
    return false;
  }

  #add(walk: RevisionWalk): void {
    const { keyValue, buffer, main, isTombstone } = walk;
    const key = latin1FromBytes(buffer, keyValue.keyStart, keyValue.keyEnd);
    const isCreate = !isTombstone && keyValue.createRevision === keyValue.modRevision;
    this.#batch.add(this.#group, key, main, isTombstone, isCreate, buffer, walk.start, walk.end, this);
  }

  /** Delivers the batch, which is complete up to `revision`. */
  #deliver(revision: Revision): void {
    assert(revision >= this.#deliveredUpTo, 'catch-up: what was delivered is delivered again');
    if (this.#batch.count > 0) this.#outcome.deliver(this.#batch, this.#group);
    this.#batch.clear();
    this.#deliveredUpTo = revision;
  }

  #finish(): void {
    const watchers = this.#group.all();
    for (const watcher of watchers) {
      this.remove(watcher);
      this.#outcome.synced(watcher);
    }
    this.#end();
  }

  #end(): void {
    assert(this.#group.count === 0, 'catch-up: ended with watchers in it');
    this.#batch.clear();
    this.#walk = null;
  }

  /** After a compaction: what is not yet read and lies before it can't be read any more. */
  #leaveCompacted(): void {
    const { compactRevision } = this.#store;
    if (compactRevision === this.#compactRevision) return;
    this.#compactRevision = compactRevision;
    if (this.#walk!.nextMain >= compactRevision) return;
    // What has been read but not delivered may be half of a revision.
    this.#batch.clear();
    for (const watcher of this.#group.all()) {
      if (watcher.minRevision >= compactRevision) continue;
      this.remove(watcher);
      this.#outcome.compacted(watcher);
    }
    this.#startAt(compactRevision);
  }
}
