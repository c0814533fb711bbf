/**
 * The watchers that may share: of equal callers, of the same range, who want the same of it. Each newcomer is asked for at the member as it
 * would be without a proxy, so that it begins where it would, and is refused if it would be. As soon as another source of the group is
 * not ahead of the newcomer's, that one takes it over and the newcomer's own is given up: in the long run a group has one.
 */
import type { WatchCreateRequest } from '@etcd/api/etcdserverpb';
import type { ClientWatcher } from './client-watcher.ts';
import { SharedWatch } from './shared-watch.ts';
import type { WatchCounts } from './watch-counts.ts';
import type { WatchFrame } from './watch-frame.ts';

/** What carries the sources to a member. */
export interface GroupStream {
  create(source: SharedWatch): void;
  cancel(source: SharedWatch): void;
  /** The group has no watchers any more. */
  forget(group: WatchGroup): void;
}

export class WatchGroup {
  readonly key: string;
  /** What is asked of the member, but for where to begin. */
  readonly request: WatchCreateRequest;
  readonly sources = new Set<SharedWatch>();
  readonly #stream: GroupStream;
  readonly #counts: WatchCounts;
  /** Watchers that came while one with their start was being created, which may have begun before they came. */
  readonly #waiting = new Map<number, Set<ClientWatcher>>();
  /** Watchers are between two sources, of which the last may be gone before the next is there. */
  #isMoving = false;

  constructor(key: string, request: WatchCreateRequest, stream: GroupStream, counts: WatchCounts) {
    this.key = key;
    this.request = request;
    this.#stream = stream;
    this.#counts = counts;
  }

  /** Finds a source for watchers with the same place. */
  join(watchers: readonly ClientWatcher[]): void {
    const start = watchers[0]!.nextRevision;
    const isCreating = [...this.sources].some(
      (source) => !source.isCreated && source.startRevision === start && source.nextRevision === start,
    );
    if (!isCreating) return this.#open(start, watchers);
    const waiting = this.#waiting.get(start) ?? new Set();
    this.#waiting.set(start, waiting);
    for (const watcher of watchers) waiting.add(watcher);
  }

  /** The client wants it no more. */
  leave(watcher: ClientWatcher): void {
    if (watcher.source !== null) return watcher.source.detach(watcher);
    for (const waiting of this.#waiting.values()) waiting.delete(watcher);
    this.forgetUnlessUsed();
  }

  remove(source: SharedWatch): void {
    if (!this.sources.delete(source)) return;
    this.#stream.cancel(source);
    this.#openWaiting(source.startRevision);
    this.forgetUnlessUsed();
  }

  onCreated(source: SharedWatch, frame: WatchFrame): void {
    source.onCreated(frame);
    this.#openWaiting(source.startRevision);
    this.#merge(source);
  }

  onEvents(source: SharedWatch, frame: WatchFrame): void {
    if (frame.eventCount > 0) source.onEvents(frame);
    else source.onProgress(frame);
    if (this.sources.size > 1) this.#merge(source);
  }

  /** The member has ended it: watchers that are past what is compacted go on, the others end as it did. */
  onCanceled(source: SharedWatch, frame: WatchFrame): void {
    this.#isMoving = true;
    for (const watcher of [...source.watchers]) {
      const goesOn = frame.compactRevision > 0 && watcher.nextRevision >= frame.compactRevision;
      source.detach(watcher);
      if (goesOn) this.join([watcher]);
      else watcher.owner.onCanceled(watcher, frame);
    }
    this.#isMoving = false;
    this.forgetUnlessUsed();
  }

  /** The member would not have it. */
  onRefused(source: SharedWatch, frame: WatchFrame): void {
    for (const watcher of [...source.watchers]) {
      source.detach(watcher);
      watcher.owner.onRefused(watcher, frame);
    }
  }

  /** Watchers whatever their state, for when all of them end. */
  *watchers(): Iterable<ClientWatcher> {
    for (const source of this.sources) yield* source.watchers;
    for (const waiting of this.#waiting.values()) yield* waiting;
  }

  /** A group without watchers is forgotten. */
  forgetUnlessUsed(): void {
    if (this.sources.size === 0 && this.#waiting.size === 0 && !this.#isMoving) this.#stream.forget(this);
  }

  #open(start: number, watchers: Iterable<ClientWatcher>): void {
    const source = new SharedWatch(this, start, this.#counts);
    for (const watcher of watchers) source.attach(watcher);
    this.sources.add(source);
    this.#stream.create(source);
  }

  #openWaiting(start: number): void {
    const waiting = this.#waiting.get(start);
    if (waiting === undefined) return;
    this.#waiting.delete(start);
    if (waiting.size > 0) this.#open(start, waiting);
  }

  /** Gives the watchers of a source to another that is not ahead of it. */
  #merge(source: SharedWatch): void {
    if (source.isClosed || !source.canMove) return;
    for (const other of this.sources) {
      if (other === source || !other.canTake(source.nextRevision)) continue;
      for (const watcher of [...source.watchers]) {
        source.detach(watcher);
        other.attach(watcher);
      }
      return;
    }
  }
}
