/**
 * The replicated log as one member has it: what is in {@link Storage}, what is not there yet ({@link Unstable}), and
 * how far it is committed and applied.
 *
 *   1 ... firstIndex ........ applied .... applying .... committed ........ lastIndex
 *         |<------- storage ------->|<------------- unstable ------------>|      (an example: the border moves)
 *
 * Invariants: applied <= applying <= committed <= lastIndex.
 */
import type { LogIndex, Term } from '@etcd/api';
import type { Entry, Snapshot } from '@etcd/api/raftpb';
import { assert, type Logger } from '@etcd/base';
import { type Storage, TERM_COMPACTED, TERM_UNAVAILABLE } from '../storage.ts';
import { entriesSizeBytes } from './entry-size.ts';
import { Unstable } from './unstable.ts';

export interface RaftLogOptions {
  readonly storage: Storage;
  readonly logger: Logger;
  /** How large the entries may be together that are handed out for applying and not yet applied. */
  readonly maxApplyingSizeBytes: number;
}

export class RaftLog {
  readonly storage: Storage;
  readonly unstable: Unstable;
  readonly maxApplyingSizeBytes: number;
  readonly #logger: Logger;
  #committed: LogIndex;
  #applying: number;
  #applied: LogIndex;
  #applyingSizeBytes = 0;
  #applyingPaused = false;

  constructor(options: RaftLogOptions) {
    this.storage = options.storage;
    this.#logger = options.logger;
    this.maxApplyingSizeBytes = options.maxApplyingSizeBytes;
    this.unstable = new Unstable(options.storage.lastIndex() + 1, options.logger);
    // What was compacted away was committed and applied.
    this.#committed = this.#applying = this.#applied = options.storage.firstIndex() - 1;
  }

  /** The highest index known to be in the log of a quorum. */
  get committed(): LogIndex {
    return this.#committed;
  }

  /** The highest index handed out for applying. */
  get applying(): number {
    return this.#applying;
  }

  /** The highest index that the application has applied. */
  get applied(): LogIndex {
    return this.#applied;
  }

  firstIndex(): LogIndex {
    const { snapshot } = this.unstable;
    return snapshot === null ? this.storage.firstIndex() : snapshot.metadata.index + 1;
  }

  lastIndex(): LogIndex {
    const unstable = this.unstable.lastIndex();
    return unstable >= 0 ? unstable : this.storage.lastIndex();
  }

  /** The term of the last entry. */
  lastTerm(): Term {
    const index = this.lastIndex();
    const term = this.term(index);
    assert(term >= 0, () => `unexpected error when getting the last term at ${index}`);
    return term;
  }

  /** The term of the entry at `index`, or {@link TERM_COMPACTED} or {@link TERM_UNAVAILABLE}. */
  term(index: LogIndex): Term {
    const unstable = this.unstable.term(index);
    if (unstable >= 0) return unstable;
    // The entry before the first is gone, but its term is kept.
    if (index + 1 < this.firstIndex()) return TERM_COMPACTED;
    if (index > this.lastIndex()) return TERM_UNAVAILABLE;
    return this.storage.term(index);
  }

  /** {@link term}, or 0 where it is not known: for logs and comparisons. */
  termOrZero(index: LogIndex): number {
    return Math.max(0, this.term(index));
  }

  matchTerm(index: LogIndex, term: Term): boolean {
    // The sentinels are negative: no term equals them.
    return this.term(index) === term;
  }

  /** Whether a log that ends with this entry is at least as up to date as this one (Raft paper, section 5.4.1). */
  isUpToDate(term: Term, index: LogIndex): boolean {
    const ownTerm = this.lastTerm();
    return term > ownTerm || (term === ownTerm && index >= this.lastIndex());
  }

  /**
   * The position in `entries`, which are consecutive, of the first that is not in this log with the same term;
   * entries.length if all are.
   */
  findConflict(entries: readonly Entry[]): number {
    for (let i = 0; i < entries.length; i++) {
      const { index, term } = entries[i]!;
      if (this.matchTerm(index, term)) continue;
      if (index <= this.lastIndex()) {
        this.#logger.info(
          `found conflict at index ${index} [existing term: ${this.termOrZero(index)}, conflicting term: ${term}]`,
        );
      }
      return i;
    }
    return entries.length;
  }

  /**
   * The best guess where this log ends matching another, of which only one entry's (index, term) is known: the
   * highest index up to `index` whose term here is at most `term`, or is not known. Terms only grow along a log, so
   * everything above differs for certain; and so the guess is found by halving, however long the log is.
   */
  findConflictByTerm(index: LogIndex, term: Term): number {
    if (index > this.lastIndex()) return index;
    let lo = this.firstIndex() - 1;
    if (index < lo) return index;
    // Of what comes before the first known term nothing can be said: it may match.
    if (this.term(lo) > term) return Math.max(0, lo - 1);
    let hi = index;
    while (lo < hi) {
      const middle = Math.ceil((lo + hi) / 2);
      if (this.term(middle) <= term) lo = middle;
      else hi = middle - 1;
    }
    return lo;
  }

  /** Appends `entries[from, …)`, replacing what follows in this log; returns the last index. */
  append(entries: readonly Entry[], from = 0): number {
    if (from < entries.length) {
      const after = entries[from]!.index - 1;
      assert(
        after >= this.#committed,
        () => `after(${after}) is out of range [committed(${this.#committed})]`,
      );
      this.unstable.truncateAndAppend(entries, from);
    }
    return this.lastIndex();
  }

  /** Advances the commit index; never moves it back. */
  commitTo(index: LogIndex): void {
    if (index <= this.#committed) return;
    assert(
      index <= this.lastIndex(),
      () =>
        `tocommit(${index}) is out of range [lastIndex(${this.lastIndex()})]. Was the raft log corrupted, truncated, or lost?`,
    );
    this.#committed = index;
  }

  /** Commits up to `index` if the entry there is of `term`: a leader counts replicas of its own term only. */
  maybeCommit(term: Term, index: LogIndex): boolean {
    if (term === 0 || index <= this.#committed || !this.matchTerm(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  /** The commit index that was persisted, at start. */
  loadCommitted(index: LogIndex): void {
    assert(
      index >= this.#committed && index <= this.lastIndex(),
      () => `state.commit ${index} is out of range [${this.#committed}, ${this.lastIndex()}]`,
    );
    this.#committed = index;
  }

  /** Entries from `index` on for a follower; null if they were compacted away. Empty beyond the end. */
  entriesFrom(index: LogIndex, maxSizeBytes: number): Entry[] | null {
    const next = this.lastIndex() + 1;
    return index >= next ? [] : this.slice(index, next, maxSizeBytes);
  }

  /** The entries in [lo, hi), cut off as {@link Storage.entries} does it; null if `lo` was compacted away. */
  slice(lo: LogIndex, hi: LogIndex, maxSizeBytes: number): Entry[] | null {
    assert(lo <= hi, () => `invalid slice ${lo} > ${hi}`);
    if (lo < this.firstIndex()) return null;
    const last = this.lastIndex();
    assert(hi <= last + 1, () => `slice[${lo},${hi}) out of bound [${this.firstIndex()},${last}]`);
    if (lo === hi) return [];
    const offset = this.unstable.offset;
    if (lo >= offset) return this.unstable.sliceOfSize(lo, hi, maxSizeBytes);
    const stableEnd = Math.min(hi, offset);
    const entries = this.storage.entries(lo, stableEnd, maxSizeBytes);
    if (entries === null || hi <= offset || entries.length < stableEnd - lo) return entries;
    return this.#extend(entries, offset, hi, maxSizeBytes);
  }

  /** Adds the unstable entries in [lo, hi) to `entries` as far as the size allows. */
  #extend(entries: Entry[], lo: LogIndex, hi: LogIndex, maxSizeBytes: number): Entry[] {
    let remainingBytes = maxSizeBytes;
    if (maxSizeBytes !== Infinity) {
      remainingBytes -= entriesSizeBytes(entries);
      if (remainingBytes <= 0) return entries;
    }
    const unstable = this.unstable.sliceOfSize(lo, hi, remainingBytes);
    // The first of a slice comes whatever its size; here it is not the first.
    if (unstable.length === 1 && entriesSizeBytes(unstable) > remainingBytes) return entries;
    for (const entry of unstable) entries.push(entry);
    return entries;
  }

  /**
   * Whether `matches` holds for any entry in [lo, hi), which are read in pages of up to `pageSizeBytes`: a long scan
   * never holds more than a page in memory. Also true if some of them were compacted away, since then one may have.
   */
  someEntry(lo: LogIndex, hi: LogIndex, pageSizeBytes: number, matches: (entry: Entry) => boolean): boolean {
    while (lo < hi) {
      const page = this.slice(lo, hi, pageSizeBytes);
      if (page === null || page.some(matches)) return true;
      assert(page.length > 0, () => `got 0 entries in [${lo}, ${hi})`);
      lo += page.length;
    }
    return false;
  }

  /** Whether {@link nextCommittedEntries} would return any. */
  hasNextCommittedEntries(allowUnstable: boolean): boolean {
    // A snapshot is applied first. What it replaces must not be applied after it.
    if (this.#applyingPaused || this.unstable.snapshot !== null) return false;
    return this.#applying < this.#maxAppliableIndex(allowUnstable);
  }

  /**
   * Committed entries that were not handed out for applying yet, as many as the size bound on what is under way
   * admits. Without `allowUnstable` only those that are known to be in storage.
   */
  nextCommittedEntries(allowUnstable: boolean): Entry[] {
    if (!this.hasNextCommittedEntries(allowUnstable)) return [];
    const maxSizeBytes = this.maxApplyingSizeBytes - this.#applyingSizeBytes;
    assert(
      maxSizeBytes > 0 || this.#applyingSizeBytes === 0,
      () =>
        `applying entry size (${this.maxApplyingSizeBytes}-${this.#applyingSizeBytes})=${maxSizeBytes} not positive`,
    );
    const entries = this.slice(this.#applying + 1, this.#maxAppliableIndex(allowUnstable) + 1, maxSizeBytes);
    assert(entries !== null, 'unexpected error when getting unapplied entries: compacted');
    return entries;
  }

  /** The entries up to `index` were handed out for applying. */
  acceptApplying(index: LogIndex, sizeBytes: number, allowUnstable: boolean): void {
    assert(
      index <= this.#committed && index >= this.#applying,
      () =>
        `applying(${index}) is out of range [prevApplying(${this.#applying}), committed(${this.#committed})]`,
    );
    this.#applying = index;
    this.#applyingSizeBytes += sizeBytes;
    // Pause at the bound; also if the last hand-out was cut short, since then the next entry would exceed it.
    this.#applyingPaused =
      this.#applyingSizeBytes >= this.maxApplyingSizeBytes || index < this.#maxAppliableIndex(allowUnstable);
  }

  /** The application has applied the entries up to `index`, the last of them of `sizeBytes` together. */
  appliedTo(index: LogIndex, sizeBytes: number): void {
    assert(
      index <= this.#committed && index >= this.#applied,
      () =>
        `applied(${index}) is out of range [prevApplied(${this.#applied}), committed(${this.#committed})]`,
    );
    this.#applied = index;
    this.#applying = Math.max(this.#applying, index);
    this.#applyingSizeBytes = Math.max(0, this.#applyingSizeBytes - sizeBytes);
    this.#applyingPaused = this.#applyingSizeBytes >= this.maxApplyingSizeBytes;
  }

  /** The snapshot for a follower; null while there is none. */
  snapshot(): Snapshot | null {
    return this.unstable.snapshot ?? this.storage.snapshot();
  }

  /** Begins anew behind `snapshot`, which is newer than everything committed here. */
  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    assert(index > this.#committed, 'raft log: snapshot is older than the committed log');
    this.#logger.info(`log [${this}] starts to restore snapshot [index: ${index}, term: ${term}]`);
    this.#committed = index;
    this.unstable.restore(snapshot);
  }

  toString(): string {
    const { unstable } = this;
    return (
      `committed=${this.#committed}, applied=${this.#applied}, applying=${this.#applying}, ` +
      `unstable.offset=${unstable.offset}, unstable.offsetInProgress=${unstable.offsetInProgress}, ` +
      `len(unstable.Entries)=${unstable.count}`
    );
  }

  #maxAppliableIndex(allowUnstable: boolean): number {
    return allowUnstable ? this.#committed : Math.min(this.#committed, this.unstable.offset - 1);
  }
}
