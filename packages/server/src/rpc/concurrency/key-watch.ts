/** Follows one key, or all keys of a range, event by event, for code of this member. */
import type { Revision } from '@etcd/api';
import { decodeWatchResponse } from '@etcd/api/etcdserverpb';
import type { Event } from '@etcd/api/mvccpb';
import { assert } from '@etcd/base';
import { type Slices, Watcher, type WatchSink, type WatchStream } from '@etcd/storage/mvcc';
import type { MemberFacts } from '../member.ts';

export interface KeyWatchOptions {
  readonly key: Uint8Array;
  /** null: the one key. */
  readonly rangeEnd: Uint8Array | null;
  readonly startRevision: Revision;
  readonly dropsPuts?: boolean;
  readonly dropsDeletes?: boolean;
}

/** Both may close or pause the watch. */
export interface KeyWatchListener {
  /** `revision` is the store's, or that of the last event that was read with this one. */
  onEvent(event: Event, revision: Revision): void;
  /** The next event has been compacted away: there will be none. */
  onCompacted(): void;
}

export class KeyWatch implements WatchSink {
  readonly #clock: MemberFacts['clock'];
  readonly #listener: KeyWatchListener;
  readonly #stream: WatchStream;
  #isClosed = false;

  constructor({ watches, clock }: MemberFacts, options: KeyWatchOptions, listener: KeyWatchListener) {
    this.#clock = clock;
    this.#listener = listener;
    this.#stream = watches.newStream(this);
    const { key, rangeEnd, startRevision, dropsPuts = false, dropsDeletes = false } = options;
    const watcher = this.#stream.watch({
      id: 0n,
      key,
      end:
        rangeEnd === null ? null : rangeEnd.length === 1 && rangeEnd[0] === 0 ? new Uint8Array(0) : rangeEnd,
      startRevision,
      dropsPuts,
      dropsDeletes,
      wantsPrevKv: false,
    });
    assert(watcher instanceof Watcher, 'key watch: the range of a prefix is empty');
  }

  /** Events are kept in the store until {@link resume}, as far as it has them. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#isClosed) this.#stream.resume();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // The hub may be about to send.
    this.#clock.defer(() => this.#stream.close());
  }

  sendEvents(_watcher: Watcher, events: Slices, revision: Revision): void {
    for (let i = 0; i < events.count; i++) {
      if (this.#isClosed) return;
      const bytes = new Uint8Array(events.buffer(i).subarray(events.start(i), events.end(i)));
      for (const event of decodeWatchResponse(bytes).events) this.#listener.onEvent(event, revision);
    }
  }

  sendProgress(): void {}

  sendCompacted(): void {
    if (!this.#isClosed) this.#listener.onCompacted();
  }
}
