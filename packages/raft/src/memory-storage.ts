/**
 * A {@link Storage} in memory: the log since the last compaction, the latest snapshot and the hard state. For tests,
 * and for servers that persist elsewhere (a write-ahead log) and read from here. Compaction costs as much as the
 * entries that it drops, however long the log is.
 */
import type { LogIndex, Term } from '@etcd/api';
import { type ConfState, type Entry, type HardState, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { assert } from '@etcd/base';
import { EntryRing } from './log/entry-ring.ts';
import { type InitialState, type Storage, TERM_COMPACTED, TERM_UNAVAILABLE } from './storage.ts';

export class MemoryStorage implements Storage {
  #hardState: HardState | null = null;
  #snapshot = new Snapshot();
  // The position and term of the entry before the first, the last that was compacted away.
  #compactedIndex = 0;
  #compactedTerm = 0;
  readonly #log = new EntryRing(1);

  initialState(): InitialState {
    return { hardState: this.#hardState, confState: this.#snapshot.metadata.confState };
  }

  entries(lo: LogIndex, hi: LogIndex, maxSizeBytes: number): Entry[] | null {
    if (lo <= this.#compactedIndex) return null;
    assert(
      hi <= this.#log.nextIndex,
      () => `entries' hi(${hi}) is out of bound lastindex(${this.lastIndex()})`,
    );
    return this.#log.sliceOfSize(lo, hi, maxSizeBytes);
  }

  term(index: LogIndex): Term {
    if (index === this.#compactedIndex) return this.#compactedTerm;
    if (index < this.#compactedIndex) return TERM_COMPACTED;
    return index < this.#log.nextIndex ? this.#log.at(index).term : TERM_UNAVAILABLE;
  }

  lastIndex(): LogIndex {
    return this.#log.nextIndex - 1;
  }

  firstIndex(): LogIndex {
    return this.#compactedIndex + 1;
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Adds entries; those of the log from the first one's index on are replaced. Their data is kept, not copied. */
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const firstIndex = this.firstIndex();
    const from = Math.max(0, firstIndex - entries[0]!.index);
    // Everything was compacted away already.
    if (from >= entries.length) return;
    const start = entries[from]!.index;
    assert(
      start <= this.#log.nextIndex,
      () => `missing log entry [last: ${this.lastIndex()}, append at: ${start}]`,
    );
    this.#log.truncateFrom(start);
    this.#log.append(entries, from);
  }

  /**
   * Replaces everything by a snapshot from another member; false, with nothing changed, if it is not newer than the
   * one at hand. (A snapshot at index 0 may set the configuration of a group that is about to begin.)
   */
  applySnapshot(snapshot: Snapshot): boolean {
    const index = snapshot.metadata.index;
    const ownIndex = this.#snapshot.metadata.index;
    if (ownIndex !== 0 && ownIndex >= index) return false;
    this.#snapshot = snapshot;
    this.#compactedIndex = index;
    this.#compactedTerm = snapshot.metadata.term;
    this.#log.reset(index + 1);
    return true;
  }

  /**
   * Records the state machine's state as of entry `index`. `confState` is what the last applied configuration change
   * returned, null if there was none since the last snapshot. null if a snapshot as new exists.
   */
  createSnapshot(index: LogIndex, confState: ConfState | null, data: Uint8Array): Snapshot | null {
    if (index <= this.#snapshot.metadata.index) return null;
    assert(
      index <= this.lastIndex(),
      () => `snapshot ${index} is out of bound lastindex(${this.lastIndex()})`,
    );
    const term = this.term(index);
    assert(term >= 0, 'memory storage: snapshot of an entry that was compacted away');
    const metadata = new SnapshotMetadata({
      index,
      term,
      confState: confState ?? this.#snapshot.metadata.confState,
    });
    this.#snapshot = new Snapshot({ metadata, data });
    return this.#snapshot;
  }

  /** Drops the entries up to and including `index`, which must have been applied; false if they are gone already. */
  compact(index: LogIndex): boolean {
    if (index <= this.#compactedIndex) return false;
    assert(
      index <= this.lastIndex(),
      () => `compact ${index} is out of bound lastindex(${this.lastIndex()})`,
    );
    this.#compactedTerm = this.#log.at(index).term;
    this.#compactedIndex = index;
    this.#log.dropBefore(index + 1);
    return true;
  }
}
