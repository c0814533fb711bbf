/** One watcher of a client: where it is in the history, and where its events come from at the moment. */
import type { SharedWatch } from './shared-watch.ts';
import type { WatchFrame } from './watch-frame.ts';
import type { WatchGroup } from './watch-group.ts';

/** The client's stream, as its watchers' sources see it. */
export interface WatcherOwner {
  /** So much is waiting for the client that its watchers have to wait, too. */
  readonly isBehind: boolean;
  onCreated(watcher: ClientWatcher, frame: WatchFrame): void;
  onRefused(watcher: ClientWatcher, frame: WatchFrame): void;
  onCanceled(watcher: ClientWatcher, frame: WatchFrame): void;
  /** Sends a message to the watcher. */
  send(watcher: ClientWatcher, body: Uint8Array): void;
  /** The watcher has left its source because the client is behind; it goes on from its place later. */
  onBehind(watcher: ClientWatcher): void;
  /** A source has been found for a watcher that was behind. */
  onCaughtUp(): void;
  /** Answers a request for progress. False: not now, watchers are behind. */
  sendProgress(frame: WatchFrame): boolean;
  /** Ends the stream. */
  fail(code: number, message: string): void;
}

export class ClientWatcher {
  readonly owner: WatcherOwner;
  /** Whom it may share with. */
  group: WatchGroup;
  readonly wantsProgress: boolean;
  /** What the client asked for; 0: the next that the cluster gives. */
  readonly requestedId: bigint;
  id = 0n;
  /** The field of a message that carries {@link id}. */
  idField: Uint8Array = new Uint8Array(0);
  /** The client has been told that it is there. */
  isAnnounced = false;
  /** Everything before this has been sent; 0: from now on, whenever that is. */
  nextRevision: number;
  /** Events of {@link nextRevision} that have been sent: more than 0 only between fragments. */
  skip = 0;
  /** Where its events come from; null while it is behind. */
  source: SharedWatch | null = null;
  /** Its place among the watchers of {@link source}. */
  slot = -1;

  constructor(
    owner: WatcherOwner,
    group: WatchGroup,
    startRevision: number,
    wantsProgress: boolean,
    requestedId: bigint,
  ) {
    this.owner = owner;
    this.group = group;
    this.nextRevision = startRevision;
    this.wantsProgress = wantsProgress;
    this.requestedId = requestedId;
  }
}
