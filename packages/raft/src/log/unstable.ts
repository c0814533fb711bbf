/**
 * The part of the log that is not known to be in {@link Storage} yet: new entries and possibly a snapshot. It keeps
 * them while they are handed out for writing and until the write is confirmed, so that the log can be read as a
 * whole at any time.
 *
 *      storage             being written         not yet handed out
 *   ... 7  8  9  |  10  11  12  |  13  14  15
 *                   ^ offset       ^ offsetInProgress
 *
 * Storage may hold entries at `offset` and beyond: then the next write replaces them.
 *
 * Invariant: offset <= offsetInProgress <= nextIndex.
 */
import type { LogIndex, Term } from '@etcd/api';
import type { Entry, Snapshot } from '@etcd/api/raftpb';
import { assert, type Logger } from '@etcd/base';
import { EntryRing } from './entry-ring.ts';

export class Unstable {
  readonly #entries: EntryRing;
  readonly #logger: Logger;
  #offsetInProgress: number;
  #snapshot: Snapshot | null = null;
  #snapshotInProgress = false;

  /** @param offset the index behind the last entry in storage. */
  constructor(offset: number, logger: Logger) {
    this.#entries = new EntryRing(offset);
    this.#offsetInProgress = offset;
    this.#logger = logger;
  }

  /** The index of the first entry here, or of the next one when there is none. */
  get offset(): number {
    return this.#entries.firstIndex;
  }

  get offsetInProgress(): number {
    return this.#offsetInProgress;
  }

  /** The index behind the last entry here. */
  get nextIndex(): number {
    return this.#entries.nextIndex;
  }

  get count(): number {
    return this.#entries.count;
  }

  /** The snapshot that is to be applied or is being applied, or null. */
  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  /** The index of the last entry or, without entries, of the snapshot; -1 if neither is here. */
  lastIndex(): LogIndex {
    if (this.#entries.count > 0) return this.#entries.nextIndex - 1;
    return this.#snapshot === null ? -1 : this.#snapshot.metadata.index;
  }

  /** The term of the entry or snapshot at `index`; -1 if it is not here. */
  term(index: LogIndex): Term {
    if (index < this.offset) {
      const metadata = this.#snapshot?.metadata;
      return metadata !== undefined && metadata.index === index ? metadata.term : -1;
    }
    return index < this.nextIndex ? this.#entries.at(index).term : -1;
  }

  get hasNextEntries(): boolean {
    return this.#offsetInProgress < this.nextIndex;
  }

  /** The entries that are to be written and were not handed out yet, in an array of its own. */
  nextEntries(): Entry[] {
    return this.#entries.slice(this.#offsetInProgress, this.nextIndex);
  }

  /** The snapshot that is to be applied and was not handed out yet. */
  nextSnapshot(): Snapshot | null {
    return this.#snapshotInProgress ? null : this.#snapshot;
  }

  /** Marks everything as handed out. */
  acceptInProgress(): void {
    this.#offsetInProgress = this.nextIndex;
    if (this.#snapshot !== null) this.#snapshotInProgress = true;
  }

  /**
   * The entries up to (term, index) are in storage. Ignored if the entry there is another one: then it was replaced
   * while the write was under way. The caller vouches that no write under way can still replace what it confirms.
   */
  stableTo(term: Term, index: LogIndex): void {
    const ownTerm = this.term(index);
    if (ownTerm < 0) {
      this.#logger.info(`entry at index ${index} missing from unstable log; ignoring`);
      return;
    }
    if (index < this.offset) {
      this.#logger.info(`entry at index ${index} matched unstable snapshot; ignoring`);
      return;
    }
    if (ownTerm !== term) {
      this.#logger.info(
        `entry at (index,term)=(${index},${term}) mismatched with entry at (${index},${ownTerm}) in unstable log; ignoring`,
      );
      return;
    }
    this.#entries.dropBefore(index + 1);
    this.#offsetInProgress = Math.max(this.#offsetInProgress, this.offset);
    this.#assertInvariants();
  }

  /** The snapshot at `index` is in storage. */
  stableSnapTo(index: LogIndex): void {
    if (this.#snapshot === null || this.#snapshot.metadata.index !== index) return;
    this.#snapshot = null;
    this.#snapshotInProgress = false;
  }

  /** Forgets all entries: the log now begins behind `snapshot`. */
  restore(snapshot: Snapshot): void {
    this.#entries.reset(snapshot.metadata.index + 1);
    this.#offsetInProgress = this.offset;
    this.#snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** Appends `entries[from, …)`, replacing what is here from the first one's index on. */
  truncateAndAppend(entries: readonly Entry[], from: number): void {
    const first = entries[from]!.index;
    assert(first <= this.nextIndex, 'unstable: entries leave a gap');
    if (first < this.nextIndex || first < this.offset) {
      if (first <= this.offset) {
        this.#logger.info(`replace the unstable entries from index ${first}`);
        this.#entries.reset(first);
        this.#offsetInProgress = first;
      } else {
        this.#logger.info(`truncate the unstable entries before index ${first}`);
        this.#entries.truncateFrom(first);
        this.#offsetInProgress = Math.min(this.#offsetInProgress, first);
      }
    }
    this.#entries.append(entries, from);
    this.#assertInvariants();
  }

  /** The entries in [lo, hi), all of which must be here, cut off where they exceed `maxSizeBytes`. */
  sliceOfSize(lo: LogIndex, hi: LogIndex, maxSizeBytes: number): Entry[] {
    return this.#entries.sliceOfSize(lo, hi, maxSizeBytes);
  }

  #assertInvariants(): void {
    assert(this.offset <= this.#offsetInProgress, 'unstable: offset is beyond offsetInProgress');
    assert(this.#offsetInProgress <= this.nextIndex, 'unstable: entries in progress that are not there');
  }
}
