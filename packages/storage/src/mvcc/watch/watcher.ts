/** One watcher: what it watches, how far it is, and whose it is. Hot: one shape. */

import type { Revision } from '@etcd/api';
import type { WatchStream } from './watch-stream.ts';
import type { WatcherNode } from './watcher-group.ts';

/** It has been sent everything up to the store's revision, or its start lies in the future. */
export const SYNCED = 0;
/** It is behind, and waits or is being served by catching up. */
export const LAGGING = 1;
/** What it should be sent next has been compacted away; it was told, and gets nothing more. */
export const COMPACTED = 2;
/** It was cancelled. */
export const CANCELLED = 3;

export type WatcherState = typeof SYNCED | typeof LAGGING | typeof COMPACTED | typeof CANCELLED;

export class Watcher {
  /** Chosen by the client, if it likes: any of 64 bits. */
  readonly id: bigint;
  /** Latin1 strings, in the order of the bytes. `end` null: the one key; empty: all from `key` on. */
  readonly key: string;
  readonly end: string | null;
  /** As it was asked for; 0: from now on. */
  readonly startRevision: Revision;
  readonly dropsPuts: boolean;
  readonly dropsDeletes: boolean;
  readonly wantsPrevKv: boolean;
  readonly stream: WatchStream;
  state: WatcherState = SYNCED;
  /** The first revision that it has not been sent. */
  minRevision: Revision;
  /** Where it is in its group; null outside of any. */
  node: WatcherNode | null = null;
  /** Its index in the node's list. */
  nodeIndex = -1;
  /** Its index in the list of those that wait to catch up, if it is there. */
  waitingIndex = -1;

  constructor(stream: WatchStream, id: bigint, options: WatcherOptions, minRevision: Revision) {
    this.stream = stream;
    this.id = id;
    this.key = options.key;
    this.end = options.end;
    this.startRevision = options.startRevision;
    this.dropsPuts = options.dropsPuts;
    this.dropsDeletes = options.dropsDeletes;
    this.wantsPrevKv = options.wantsPrevKv;
    this.minRevision = minRevision;
  }

  /** Whether it wants all events as they are. */
  get isUnfiltered(): boolean {
    return !this.dropsPuts && !this.dropsDeletes;
  }
}

export interface WatcherOptions {
  readonly key: string;
  readonly end: string | null;
  readonly startRevision: Revision;
  readonly dropsPuts: boolean;
  readonly dropsDeletes: boolean;
  readonly wantsPrevKv: boolean;
}
