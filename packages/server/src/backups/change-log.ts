/**
 * What changes between two backups, brought to the store every few seconds: a watcher of everything, whose events become segments. A segment
 * that can't be written is tried again with what came since; while too much waits the watcher is paused, and goes on from the store's
 * history. Where that has been compacted the log is broken, and a new backup has to begin another.
 *
 * Invariants: one segment is under way at a time; each begins behind the revision with which the one before ended.
 */

import type { LeaseId, Revision } from '@etcd/api';
import { type ChangesSink, ChangesWriter, eventsOf, revisionOf } from '@etcd/backup';
import type { Logger, Timer } from '@etcd/base';
import { assert } from '@etcd/base';
import type { Slices, Watcher, WatchSink, WatchStream } from '@etcd/storage/mvcc';
import type { BackedUpMember } from './backed-up-member.ts';

export interface ChangeLogOptions {
  readonly member: BackedUpMember;
  readonly intervalMs: number;
  readonly logger: Logger;
  readonly sink: ChangesSink;
  /** All up to that revision are in the store. */
  readonly onWritten: (revision: Revision) => void;
}

interface Piece {
  readonly timeMs: number;
  /** Encoded `events` fields of a WatchResponse. */
  readonly fields: Buffer;
}

/** A watcher with more to send waits. */
const MAX_PENDING_BYTES = 16 << 20;
/** Leases that a segment before has told of already; forgotten all at once. */
const MAX_TOLD_LEASES = 100_000;
const EVERYTHING = { key: Uint8Array.of(0), end: new Uint8Array(0) };

export class ChangeLog implements WatchSink {
  readonly #options: ChangeLogOptions;
  readonly #stream: WatchStream;
  readonly #toldLeases = new Set<LeaseId>();
  #pending: Piece[] = [];
  #pendingBytes = 0;
  #timer: Timer | null = null;
  #writing: Promise<void> | null = null;
  #isBroken = false;
  #isStopped = false;

  /** Watches from `revision` on. */
  constructor(options: ChangeLogOptions, revision: Revision) {
    this.#options = options;
    this.#stream = options.member.watches.newStream(this);
    const watcher = this.#stream.watch({
      ...EVERYTHING,
      id: 0n,
      startRevision: revision,
      dropsPuts: false,
      dropsDeletes: false,
      wantsPrevKv: false,
    });
    assert('state' in watcher, 'change log: everything can be watched');
    this.#schedule();
  }

  /** What comes next was compacted before it was read. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Resolves when nothing is under way; what was not written by then is for the next leader, who reads it again. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#stream.close();
    await this.#writing;
  }

  // --- the watcher's side

  sendEvents(_watcher: Watcher, events: Slices): void {
    const fields = Buffer.allocUnsafe(events.bytes);
    let position = 0;
    for (let i = 0; i < events.count; i++) {
      const [start, end] = [events.start(i), events.end(i)];
      fields.set(events.buffer(i).subarray(start, end), position);
      position += end - start;
    }
    this.#pending.push({ timeMs: this.#options.member.clock.wallNow(), fields });
    this.#pendingBytes += fields.length;
    if (this.#pendingBytes >= MAX_PENDING_BYTES) this.#stream.pause();
  }

  sendProgress(): void {}

  sendCompacted(): void {
    this.#isBroken = true;
  }

  // --- the store's side

  #schedule(): void {
    const { member, intervalMs } = this.#options;
    this.#timer = member.clock.setTimer(intervalMs, () => {
      if (this.#isStopped) return;
      this.#schedule();
      if (this.#writing !== null || this.#pending.length === 0) return;
      this.#writing = this.#write().finally(() => {
        this.#writing = null;
      });
    });
  }

  /** Never fails: nobody waits for it, and what nobody waits for would end the member. */
  async #write(): Promise<void> {
    const { sink, logger, member, onWritten } = this.#options;
    const pieces = this.#pending;
    this.#pending = [];
    try {
      const { writer, first, last, leases } = this.#encode(pieces);
      const now = member.clock.wallNow();
      const stretch = { firstRevision: first, lastRevision: last, writtenMs: now };
      await sink.write(stretch, writer.finish());
      for (const id of leases) this.#toldLeases.add(id);
      onWritten(last);
    } catch (error) {
      logger.warn('failed to bring changes to the store of backups', { error: (error as Error).message });
      this.#pending = [...pieces, ...this.#pending];
      return;
    }
    for (const { fields } of pieces) this.#pendingBytes -= fields.length;
    if (!this.#isStopped && this.#stream.isPaused && this.#pendingBytes < MAX_PENDING_BYTES) {
      this.#stream.resume();
    }
  }

  #encode(pieces: readonly Piece[]): {
    readonly writer: ChangesWriter;
    readonly first: Revision;
    readonly last: Revision;
    /** Those that it tells of and none before. */
    readonly leases: ReadonlySet<LeaseId>;
  } {
    const writer = new ChangesWriter();
    let first = 0;
    let last = 0;
    const leases = new Set<LeaseId>();
    if (this.#toldLeases.size > MAX_TOLD_LEASES) this.#toldLeases.clear();
    for (const { timeMs, fields } of pieces) {
      for (const event of eventsOf(fields)) {
        last = revisionOf(event);
        if (first === 0) first = last;
        const lease = event.kv?.lease ?? 0n;
        if (lease === 0n || this.#toldLeases.has(lease) || leases.has(lease)) continue;
        leases.add(lease);
        const found = this.#options.member.lessor.lookup(lease);
        // One that is gone has taken its keys along: that is to come.
        if (found !== null) writer.lease(timeMs, lease, found.ttl);
      }
      writer.events(timeMs, fields);
    }
    return { writer, first, last, leases };
  }
}
