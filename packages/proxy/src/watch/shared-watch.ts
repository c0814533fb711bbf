/**
 * One watch at a member, and the watchers of clients that live on it. Each of them has a place of its own in the history, so that
 * whatever it has had already, because it came from another source or is sent again after a cut, is not sent twice.
 *
 * Invariant: no event from {@link SharedWatch.nextRevision} on has been sent to anybody by this one, but for the first
 * `#partialCount` of `#partialRevision` in the middle of fragments; and every watcher's place is not before that of the source when it
 * joined.
 */

import type { ClientWatcher } from './client-watcher.ts';
import type { WatchCounts } from './watch-counts.ts';
import type { WatchFrame } from './watch-frame.ts';
import type { WatchGroup } from './watch-group.ts';

export class SharedWatch {
  readonly group: WatchGroup;
  /** Where the member is asked to begin; 0 for now. */
  readonly startRevision: number;
  readonly watchers: ClientWatcher[] = [];
  /** The first revision that has not been sent by this one; 0 until the member has said where it begins. */
  nextRevision: number;
  /** The member's id of it, while there is one. */
  upstreamId: number | null = null;
  /** Nobody lives on it any more. */
  isClosed = false;
  readonly #counts: WatchCounts;
  #partialRevision = 0;
  #partialCount = 0;

  constructor(group: WatchGroup, startRevision: number, counts: WatchCounts) {
    this.group = group;
    this.startRevision = startRevision;
    this.nextRevision = startRevision;
    this.#counts = counts;
    counts.sources++;
  }

  get isCreated(): boolean {
    return this.upstreamId !== null;
  }

  attach(watcher: ClientWatcher): void {
    watcher.source = this;
    watcher.slot = this.watchers.length;
    this.watchers.push(watcher);
    this.#counts.watchers++;
  }

  /** The last one to leave closes it. */
  detach(watcher: ClientWatcher): void {
    const last = this.watchers.pop()!;
    if (last !== watcher) {
      this.watchers[watcher.slot] = last;
      last.slot = watcher.slot;
    }
    watcher.source = null;
    watcher.slot = -1;
    this.#counts.watchers--;
    if (this.watchers.length === 0) this.close();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#counts.sources--;
    this.group.remove(this);
  }

  /** Whether another can take over all watchers of this one, when it is not ahead of it. */
  get canMove(): boolean {
    return this.isCreated && this.#partialCount === 0 && this.watchers.every(({ skip }) => skip === 0);
  }

  /** Whether it can take watchers that have had everything before `revision`. */
  canTake(revision: number): boolean {
    return this.isCreated && this.#partialCount === 0 && this.nextRevision <= revision;
  }

  onCreated(frame: WatchFrame): void {
    this.upstreamId = frame.watchId;
    if (this.nextRevision === 0) this.nextRevision = frame.revision + 1;
    for (const watcher of [...this.watchers]) {
      if (watcher.nextRevision === 0) watcher.nextRevision = this.nextRevision;
      if (watcher.isAnnounced) watcher.owner.onCaughtUp();
      else watcher.owner.onCreated(watcher, frame);
    }
  }

  /** The connection to the member is gone: it is to be asked for again from where all watchers are. */
  onCut(): void {
    this.upstreamId = null;
    this.#partialRevision = 0;
    this.#partialCount = 0;
    this.nextRevision = this.watchers.reduce(
      (least, { nextRevision }) => Math.min(least, nextRevision),
      Number.MAX_SAFE_INTEGER,
    );
  }

  onProgress(frame: WatchFrame): void {
    const next = frame.revision + 1;
    this.nextRevision = Math.max(this.nextRevision, next);
    for (let i = this.watchers.length - 1; i >= 0; i--) {
      const watcher = this.watchers[i];
      if (watcher === undefined) continue;
      if (watcher.wantsProgress && watcher.nextRevision <= next) watcher.owner.send(watcher, frame.body);
      watcher.nextRevision = Math.max(watcher.nextRevision, next);
    }
  }

  /** Hot: once for each message of the member, and in it once for each watcher. */
  onEvents(frame: WatchFrame): void {
    const { firstRevision, lastRevision, fragment, body } = frame;
    const base = firstRevision === this.#partialRevision ? this.#partialCount : 0;
    this.#advance(frame, base);
    const next = this.nextRevision;
    const skip = this.#partialCount;
    this.#counts.shared += this.watchers.length - 1;
    // Backwards: one that leaves gives its place to one that has been served.
    for (let i = this.watchers.length - 1; i >= 0; i--) {
      const watcher = this.watchers[i];
      if (watcher === undefined || watcher.nextRevision > lastRevision) continue;
      const { owner } = watcher;
      if (owner.isBehind) {
        this.detach(watcher);
        owner.onBehind(watcher);
        continue;
      }
      const isWhole =
        watcher.nextRevision < firstRevision ||
        (watcher.nextRevision === firstRevision && watcher.skip <= base);
      const part = isWhole ? body : frame.without(watcher.nextRevision, watcher.skip, base);
      if (!fragment || next > watcher.nextRevision || skip > watcher.skip) {
        watcher.nextRevision = next;
        watcher.skip = skip;
      }
      if (part !== null) owner.send(watcher, part);
    }
  }

  #advance(frame: WatchFrame, base: number): void {
    const { firstRevision, lastRevision, fragment } = frame;
    if (!fragment) {
      this.#partialRevision = 0;
      this.#partialCount = 0;
      this.nextRevision = Math.max(this.nextRevision, lastRevision + 1);
      return;
    }
    this.#partialRevision = lastRevision;
    this.#partialCount = frame.lastRevisionCount() + (lastRevision === firstRevision ? base : 0);
    this.nextRevision = Math.max(this.nextRevision, lastRevision);
  }
}
