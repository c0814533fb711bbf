/**
 * All watchers of a store. Those that are up to date are told of each transaction as it ends; those that are not, because they
 * start in the past, their stream was paused, or the transaction was huge, are caught up from the store (see
 * {@link CatchUp}). A watcher is always in exactly one of: the group of the up-to-date, a catch-up, the waiting list, its paused
 * stream's parking place; or it is over.
 *
 * S25: what a watcher has been sent is one number, `minRevision`. It moves only over revisions whose events were handed to the
 * sink or concern others, so nothing is lost, doubled or out of order, whatever the path.
 */
import type { Revision } from '@etcd/api';
import { assert, latin1FromBytes } from '@etcd/base';
import type { Changes } from '../changes.ts';
import type { Store } from '../store.ts';
import { CatchUp } from './catch-up.ts';
import { EventBatch, type PreviousPair } from './event-batch.ts';
import { type WatchSink, WatchStream } from './watch-stream.ts';
import { CANCELLED, COMPACTED, LAGGING, SYNCED, Watcher, type WatcherOptions } from './watcher.ts';
import { WatcherGroup, type WatcherNode } from './watcher-group.ts';

/** Watchers that are caught up together. */
const MAX_WATCHERS_PER_CATCH_UP = 1000;
/** The changes of a larger transaction are read back from the store in slices. */
const MAX_CHANGES_AT_ONCE = 2000;

export class WatchHub implements PreviousPair {
  readonly #store: Store;
  readonly #synced = new WatcherGroup();
  readonly #batch = new EventBatch();
  /** One for watchers whose next revision is in memory, one for those that are far behind: the near ones need not wait. */
  readonly #near: CatchUp;
  readonly #far: CatchUp;
  #waiting: Watcher[] = [];
  #isScheduled = false;
  #isDelivering = false;
  #isClosed = false;
  /** Watchers in the group of the up-to-date have been sent everything up to here. */
  #notifiedRevision: number;
  #streamCount = 0;
  #laggingCount = 0;
  /** The transaction at hand, while its observers are told. */
  #changes: Changes | null = null;
  #change = 0;

  /**
   * The store is restored; the hub becomes its observer.
   * @param sliceRevisions see `slice-sizes.ts`.
   */
  constructor(store: Store, sliceRevisions = store.slices.watchRevisions) {
    this.#store = store;
    this.#notifiedRevision = store.revision;
    const outcome = {
      deliver: (batch: EventBatch, group: WatcherGroup) => this.#deliver(batch, group, store.revision),
      synced: (watcher: Watcher) => this.#becomeSynced(watcher),
      compacted: (watcher: Watcher) => this.#becomeCompacted(watcher),
    };
    this.#near = new CatchUp(store, outcome, sliceRevisions);
    this.#far = new CatchUp(store, outcome, sliceRevisions);
    store.setObserver((revision, changes) => this.#notify(revision, changes));
  }

  get revision(): Revision {
    return this.#store.revision;
  }

  get streamCount(): number {
    return this.#streamCount;
  }

  /** Watchers that are not over. */
  get watcherCount(): number {
    return this.#synced.count + this.#laggingCount;
  }

  /** Watchers that are behind: what etcd calls slow. */
  get laggingCount(): number {
    return this.#laggingCount;
  }

  newStream(sink: WatchSink): WatchStream {
    // Of a hub that is closed, too: whoever comes while the member stops hears nothing until its stream is ended.
    this.#streamCount++;
    return new WatchStream(this, sink);
  }

  /**
   * The store has gone on with the backend of a snapshot: watchers go on where they were, if what they need is in it. To be
   * called when the store is restored; between its `replaceThen` and now it had no transactions.
   */
  onStoreReplaced(): void {
    const watchers = this.#synced.all();
    for (const watcher of watchers) {
      this.#leaveSynced(watcher);
      this.#wait(watcher);
    }
    for (const catchUp of [this.#near, this.#far]) {
      for (const watcher of catchUp.abort()) this.#wait(watcher);
    }
    this.#notifiedRevision = this.#store.revision;
    // Those that were waiting before could not be served meanwhile.
    this.#schedule();
  }

  /** No more is sent to anyone. Streams are closed by their owners. */
  close(): void {
    this.#isClosed = true;
    this.#store.setObserver(null);
    this.#near.abort();
    this.#far.abort();
    for (const watcher of this.#waiting) watcher.waitingIndex = -1;
    this.#waiting = [];
  }

  // --- for streams

  add(stream: WatchStream, id: bigint, options: WatcherOptions): Watcher {
    const { revision } = this.#store;
    const { startRevision } = options;
    const isBehind = startRevision !== 0 && startRevision <= revision;
    const watcher = new Watcher(
      stream,
      id,
      options,
      isBehind ? startRevision : Math.max(startRevision, revision + 1),
    );
    if (isBehind) {
      watcher.state = LAGGING;
      this.#laggingCount++;
      this.#wait(watcher);
    } else {
      this.#synced.add(watcher);
    }
    return watcher;
  }

  cancel(watcher: Watcher): void {
    assert(!this.#isDelivering, 'watch hub: a watcher is cancelled from within a sink');
    if (watcher.state === SYNCED) this.#synced.remove(watcher);
    else if (watcher.state === LAGGING) {
      this.#laggingCount--;
      if (this.#near.has(watcher)) this.#near.remove(watcher);
      else if (this.#far.has(watcher)) this.#far.remove(watcher);
      else if (watcher.waitingIndex >= 0) this.#unlist(watcher);
      else assert(this.#isClosed, 'watch hub: a watcher is nowhere');
    }
    watcher.state = CANCELLED;
  }

  /** A stream that was paused can take more. */
  unpark(stream: WatchStream): void {
    const parked = stream.parked.splice(0);
    for (const watcher of parked) {
      watcher.waitingIndex = -1;
      this.#wait(watcher);
    }
  }

  remove(stream: WatchStream): void {
    assert(stream.parked.length === 0, 'watch hub: a stream leaves a watcher behind');
    this.#streamCount--;
  }

  // --- telling the up-to-date

  #notify(revision: Revision, changes: Changes): void {
    assert(revision > this.#notifiedRevision, 'watch hub: a revision is told twice');
    if (this.#synced.count > 0) {
      if (changes.count > MAX_CHANGES_AT_ONCE) this.#leaveBehind(revision);
      else this.#tell(revision, changes);
    }
    this.#notifiedRevision = revision;
  }

  /** A huge transaction: everybody reads it from the store. */
  #leaveBehind(revision: Revision): void {
    for (const watcher of this.#synced.all()) {
      if (watcher.minRevision > revision) continue;
      this.#leaveSynced(watcher);
      this.#wait(watcher);
    }
  }

  #tell(revision: Revision, changes: Changes): void {
    const { index, backend } = this.#store;
    const log = backend.revisionLog;
    this.#changes = changes;
    for (let sub = 0; sub < changes.count; sub++) {
      const ref = changes.ref(sub);
      const start = index.keyStart(ref);
      const key = latin1FromBytes(index.keyBuffer(ref), start, start + index.keyLength(ref));
      const isHere = log.find(revision, sub);
      assert(isHere, 'watch hub: a revision that was just written is not in memory');
      this.#change = sub;
      const isDelete = changes.isTombstone(sub);
      const isCreate = !isDelete && changes.prevMain(sub) === 0;
      this.#batch.add(this.#synced, key, revision, isDelete, isCreate, log.buffer, log.start, log.end, this);
    }
    this.#changes = null;
    if (this.#batch.count === 0) return;
    this.#deliver(this.#batch, this.#synced, revision);
    this.#batch.clear();
  }

  // --- PreviousPair, of the change at hand

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
    const changes = this.#changes!;
    if (changes.prevMain(this.#change) === 0) return false;
    return this.#store.backend.readRevision(changes.prevMain(this.#change), changes.prevSub(this.#change));
  }

  // --- sending

  /** Sends a batch to the watchers of its nodes. `revision` is what responses say in their header. */
  #deliver(batch: EventBatch, group: WatcherGroup, revision: Revision): void {
    this.#isDelivering = true;
    for (const node of batch.touched) this.#deliverTo(node, batch, group, revision);
    this.#isDelivering = false;
  }

  #deliverTo(node: WatcherNode, batch: EventBatch, group: WatcherGroup, revision: Revision): void {
    const { watchers } = node;
    const first = batch.firstMainOf(node);
    const plain = node.prevKvCount < watchers.length ? batch.eventsOf(node, false) : null;
    const withPrev = node.prevKvCount > 0 ? batch.eventsOf(node, true) : null;
    // From the end, because a watcher that leaves is replaced by the last one.
    for (let i = watchers.length - 1; i >= 0; i--) {
      const watcher = watchers[i]!;
      if (watcher.stream.isPaused) {
        this.#park(watcher, group, first);
        continue;
      }
      const isWhole = watcher.isUnfiltered && watcher.minRevision <= first;
      const events = isWhole ? (watcher.wantsPrevKv ? withPrev! : plain!) : batch.eventsFor(node, watcher);
      // With several revisions in a batch, the next one the watcher needs is behind the last: the walk sees to that.
      if (group === this.#synced && watcher.minRevision <= revision) watcher.minRevision = revision + 1;
      if (events.count > 0) watcher.stream.sink.sendEvents(watcher, events, revision);
    }
  }

  /** The stream is paused: the watcher will read its events, from revision `first` on, from the store. */
  #park(watcher: Watcher, group: WatcherGroup, first: number): void {
    if (group === this.#synced) {
      // One that starts in the future is not concerned.
      if (watcher.minRevision > first) return;
      this.#leaveSynced(watcher);
      watcher.minRevision = first;
    } else if (this.#near.has(watcher)) this.#near.remove(watcher);
    else this.#far.remove(watcher);
    this.#wait(watcher);
  }

  #leaveSynced(watcher: Watcher): void {
    this.#synced.remove(watcher);
    watcher.state = LAGGING;
    watcher.minRevision = Math.max(watcher.minRevision, this.#notifiedRevision + 1);
    this.#laggingCount++;
  }

  #becomeSynced(watcher: Watcher): void {
    assert(watcher.state === LAGGING && watcher.waitingIndex < 0, 'watch hub: a watcher is in two places');
    watcher.state = SYNCED;
    watcher.minRevision = Math.max(watcher.minRevision, this.#store.revision + 1);
    this.#laggingCount--;
    this.#synced.add(watcher);
  }

  #becomeCompacted(watcher: Watcher): void {
    assert(watcher.state === LAGGING && watcher.node === null, 'watch hub: a watcher is in two places');
    watcher.state = COMPACTED;
    this.#laggingCount--;
    this.#isDelivering = true;
    watcher.stream.sink.sendCompacted(watcher, this.#store.compactRevision);
    this.#isDelivering = false;
  }

  // --- catching up

  /** Lists a watcher that is behind: with the waiting, or with its paused stream. */
  #wait(watcher: Watcher): void {
    assert(watcher.node === null && watcher.waitingIndex < 0, 'watch hub: a watcher is in two places');
    const list = watcher.stream.isPaused ? watcher.stream.parked : this.#waiting;
    watcher.waitingIndex = list.length;
    list.push(watcher);
    if (list === this.#waiting) this.#schedule();
  }

  #unlist(watcher: Watcher): void {
    const index = watcher.waitingIndex;
    const list = this.#waiting[index] === watcher ? this.#waiting : watcher.stream.parked;
    assert(list[index] === watcher, 'watch hub: a watcher is where it is not');
    const last = list.pop()!;
    if (last !== watcher) {
      list[index] = last;
      last.waitingIndex = index;
    }
    watcher.waitingIndex = -1;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    this.#store.clock.defer(() => {
      this.#isScheduled = false;
      this.#store.backend.inTurn(() => this.#turn());
    });
  }

  #turn(): void {
    if (this.#isClosed || !this.#store.isReady) return;
    if (this.#near.isIdle || this.#far.isIdle) this.#takeWaiting();
    const isNearDone = this.#near.step();
    const isFarDone = this.#far.step();
    if (!isNearDone || !isFarDone || this.#waiting.length > 0) this.#schedule();
  }

  /** Begins to catch up those who wait and for whom there is room. */
  #takeWaiting(): void {
    const near: Watcher[] = [];
    const far: Watcher[] = [];
    const { revision, compactRevision, backend } = this.#store;
    const { firstMain } = backend.revisionLog;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const watcher of waiting) {
      watcher.waitingIndex = -1;
      const isNear = watcher.minRevision >= firstMain;
      const list = isNear ? near : far;
      const hasRoom = (isNear ? this.#near : this.#far).isIdle && list.length < MAX_WATCHERS_PER_CATCH_UP;
      // A stream that was paused meanwhile takes its watchers back.
      if (watcher.stream.isPaused) this.#wait(watcher);
      else if (watcher.minRevision > revision) this.#becomeSynced(watcher);
      else if (watcher.minRevision < compactRevision) this.#becomeCompacted(watcher);
      else if (hasRoom) list.push(watcher);
      else this.#wait(watcher);
    }
    if (near.length > 0) this.#near.begin(near);
    if (far.length > 0) this.#far.begin(far);
  }
}
