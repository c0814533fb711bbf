/**
 * Where raft reads what was persisted. The driver writes; raft only reads, and only through this interface. Every
 * method answers at once, from memory or a cache: raft can't wait.
 *
 * A storage that can't answer because something is broken throws; nobody catches that, and the process ends.
 */
import type { LogIndex, Term } from '@etcd/api';
import type { ConfState, Entry, HardState, Snapshot } from '@etcd/api/raftpb';

/** {@link Storage.term} of an entry that was compacted away. */
export const TERM_COMPACTED = -1;
/** {@link Storage.term} of an entry that is not there yet. */
export const TERM_UNAVAILABLE = -2;

export interface InitialState {
  /** null when none was ever saved. */
  readonly hardState: HardState | null;
  /** Empty when none was ever saved. */
  readonly confState: ConfState;
}

export interface Storage {
  /** What was saved last. Asked once, when raft starts. */
  initialState(): InitialState;

  /**
   * The entries in [lo, hi), lo < hi, cut off where they would exceed `maxSizeBytes` together, though never before
   * the first; null if `lo` has been compacted away. The caller never asks beyond {@link lastIndex}. The array is the
   * caller's, the entries are not: nobody ever changes them.
   */
  entries(lo: LogIndex, hi: LogIndex, maxSizeBytes: number): Entry[] | null;

  /**
   * The term of the entry at `index`, which is known from firstIndex() - 1 (the entry before the first is gone, but
   * its term is kept to match logs against) to lastIndex(); else {@link TERM_COMPACTED} or {@link TERM_UNAVAILABLE}.
   */
  term(index: LogIndex): Term;

  /** The index of the last entry; firstIndex() - 1 when there is none. */
  lastIndex(): LogIndex;

  /** The index of the first entry that was not compacted away. */
  firstIndex(): LogIndex;

  /**
   * The newest snapshot, for a follower whose log ends before {@link firstIndex}; null while none can be had, in
   * which case raft asks again later. Raft passes it on in a message and does not change it.
   */
  snapshot(): Snapshot | null;
}
