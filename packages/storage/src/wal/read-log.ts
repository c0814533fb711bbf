/**
 * What the records of a log mean: the entries behind a snapshot, the last hard state, the metadata, the snapshots. Both
 * ways of opening a log, reading it only and reading it to go on, come through here.
 */
import { DecodeError, type LogIndex, type Term } from '@etcd/api';
import { decodeEntry, decodeHardState, type Entry, HardState } from '@etcd/api/raftpb';
import { decodeSnapshot, type Snapshot } from '@etcd/api/walpb';
import { assert, copyBytes, equalBytes } from '@etcd/base';
import { RECORD_CRC, RECORD_ENTRY, RECORD_METADATA, RECORD_SNAPSHOT, RECORD_STATE } from './frame.ts';
import type { RecordReader } from './record-reader.ts';
import { WalError } from './wal-error.ts';

/** The snapshot behind which reading begins. */
export interface SnapshotPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

/** Takes the entries in the order in which they were written. */
export interface EntrySink {
  /**
   * The index is at most one more than that of the entry before; if it is less, the entry replaces the one with its index
   * and all behind it. The entry's data shares memory with other entries: keeping it keeps about a megabyte.
   */
  append(entry: Entry): void;
  /** All entries so far were replaced by entries from before the position. */
  reset(): void;
}

export interface LogContents {
  readonly metadata: Uint8Array;
  /** The last one; all zero if none was saved. */
  readonly hardState: HardState;
  /** Index of the entry or snapshot that was saved last; the position's if there is none behind it. */
  readonly lastIndex: LogIndex;
  /** Index of the newest snapshot record, be it behind the position or in front of it. */
  readonly snapshotIndex: LogIndex;
}

/** Gathers the entries as they are in the end: in order, without gaps. */
export class EntryList implements EntrySink {
  readonly entries: Entry[] = [];

  append(entry: Entry): void {
    const first = this.entries[0] ?? entry;
    const at = entry.index - first.index;
    assert(at >= 0 && at <= this.entries.length, 'wal: entries out of order');
    this.entries.length = at;
    this.entries.push(entry);
  }

  reset(): void {
    this.entries.length = 0;
  }
}

/** Reads all records. Throws {@link WalError}, `torn` included. */
export function readLog(
  reader: RecordReader,
  position: SnapshotPosition,
  sink: EntrySink | null,
): LogContents {
  const log = new LogReading(reader, position, sink);
  while (reader.next()) log.take();
  return log.finish();
}

/**
 * All snapshots that the log knows of and that were committed, in the order of their records. An interrupted last write ends the log.
 */
export function readSnapshots(reader: RecordReader): Snapshot[] {
  const snapshots: Snapshot[] = [];
  let commit = 0;
  forEachIntact(reader, () => {
    if (reader.type === RECORD_SNAPSHOT) snapshots.push(decoded(reader, decodeSnapshot));
    else if (reader.type === RECORD_STATE) commit = decoded(reader, decodeHardState).commit;
  });
  return snapshots.filter((snapshot) => snapshot.index <= commit);
}

/** Calls `visit` for every record; one that an interrupted write left incomplete ends the log. */
export function forEachIntact(
  reader: RecordReader,
  visit: () => void,
  onTorn?: (error: WalError) => void,
): void {
  try {
    while (reader.next()) visit();
  } catch (error) {
    if (!(error instanceof WalError) || error.code !== 'torn') throw error;
    onTorn?.(error);
  }
}

/** Collects what the records say, and refuses what can't be: record types are not covered by the checksum. */
export class LogReading {
  readonly #reader: RecordReader;
  readonly #position: SnapshotPosition;
  readonly #sink: EntrySink | null;
  #metadata: Uint8Array | null = null;
  #hardState = new HardState();
  /** Index of the last entry that the sink has; the position's if it has none. */
  #entryIndex: number;
  /** Its term, 0 if not known. */
  #entryTerm = 0;
  #lastIndex: LogIndex;
  #snapshotFound = false;
  /** Term of the entry at the position, as the log has it last; 0 if it has none there. */
  #positionTerm = 0;
  #snapshotIndex: LogIndex;

  constructor(reader: RecordReader, position: SnapshotPosition, sink: EntrySink | null) {
    this.#reader = reader;
    this.#position = position;
    this.#sink = sink;
    this.#entryIndex = position.index;
    this.#lastIndex = position.index;
    this.#snapshotIndex = position.index;
  }

  take(): void {
    switch (this.#reader.type) {
      case RECORD_ENTRY:
        return this.#takeEntry();
      case RECORD_STATE:
        return this.#takeState();
      case RECORD_METADATA:
        return this.#takeMetadata();
      case RECORD_SNAPSHOT:
        return this.#takeSnapshot();
      case RECORD_CRC:
        return;
      default: {
        const problem = `unexpected block type ${this.#reader.type}`;
        throw this.#reader.error('unknown-record', problem);
      }
    }
  }

  finish(): LogContents {
    const { index, term } = this.#position;
    if (!this.#snapshotFound) {
      const problem = `snapshot not found: index ${index}, term ${term}`;
      throw new WalError('snapshot-not-found', this.#reader.path, -1, problem);
    }
    return {
      metadata: this.#metadata!,
      hardState: this.#hardState,
      lastIndex: this.#lastIndex,
      snapshotIndex: this.#snapshotIndex,
    };
  }

  #takeEntry(): void {
    const entry = decoded(this.#reader, decodeEntry);
    const { index, term } = entry;
    const isPlausible = index >= 1 && Number.isSafeInteger(index) && term >= 1 && Number.isSafeInteger(term);
    if (!isPlausible || entry.type < 0 || entry.type > 2)
      throw this.#reader.error('corrupt', 'not a raft entry');
    if (index <= this.#position.index) return this.#skip(entry);
    this.#lastIndex = index;
    const next = this.#entryIndex + 1;
    if (index > next) {
      const problem = `slice bounds out of range: entry ${index} of term ${term} where ${next} is next`;
      throw this.#reader.error('slice-out-of-range', problem);
    }
    // Terms never fall along a log. One that overwrites may be older than what it replaces.
    if (index === next && term < this.#entryTerm) {
      throw this.#reader.error('corrupt', `entry ${index} has term ${term} behind term ${this.#entryTerm}`);
    }
    this.#entryIndex = index;
    this.#entryTerm = term;
    if (this.#sink !== null) this.#sink.append(entry);
  }

  /**
   * An entry that the snapshot covers. If it replaces one, those behind it are gone as well. (etcd keeps them: a log whose
   * terms fall, and a vote for whoever has no better one.)
   */
  #skip({ index, term }: Entry): void {
    if (this.#entryIndex > this.#position.index && this.#sink !== null) this.#sink.reset();
    this.#entryIndex = this.#position.index;
    this.#lastIndex = this.#position.index;
    this.#entryTerm = index === this.#position.index ? term : 0;
    this.#positionTerm = this.#entryTerm;
  }

  #takeState(): void {
    const state = decoded(this.#reader, decodeHardState);
    const isPlausible = Number.isSafeInteger(state.term) && Number.isSafeInteger(state.commit);
    if (!isPlausible || state.unknown !== null || state.term < this.#hardState.term) {
      throw this.#reader.error('corrupt', 'not a raft hard state, or of a term before the last');
    }
    this.#hardState = state;
  }

  #takeMetadata(): void {
    if (this.#metadata === null) {
      this.#metadata = copyBytes(this.#reader.data());
    } else if (!equalBytes(this.#metadata, this.#reader.data())) {
      throw this.#reader.error('metadata', 'conflicting metadata found');
    }
  }

  #takeSnapshot(): void {
    const snapshot = decoded(this.#reader, decodeSnapshot);
    if (!Number.isSafeInteger(snapshot.index) || !Number.isSafeInteger(snapshot.term)) {
      throw this.#reader.error('corrupt', 'not a snapshot record');
    }
    if (snapshot.index > this.#lastIndex) this.#lastIndex = snapshot.index;
    if (snapshot.index > this.#snapshotIndex) this.#snapshotIndex = snapshot.index;
    if (snapshot.index !== this.#position.index) return;
    if (snapshot.term !== this.#position.term) {
      const problem = `snapshot mismatch: index ${snapshot.index} has term ${snapshot.term}, not ${this.#position.term}`;
      throw this.#reader.error('snapshot-mismatch', problem);
    }
    // A log that has entries behind the position but none at it was made from the snapshot on: etcd's backups are so.
    const isOther = this.#positionTerm !== 0 && this.#positionTerm !== snapshot.term;
    if (!this.#snapshotFound && isOther) this.#dropReplaced();
    this.#snapshotFound = true;
  }

  /**
   * The log did not have the entry at which the snapshot stands: it came from the leader, in the place of all that there was. What this
   * member had beyond it, as a leader that was cut off has, must not count any more, least of all when it votes. (etcd keeps it.)
   */
  #dropReplaced(): void {
    if (this.#entryIndex > this.#position.index && this.#sink !== null) this.#sink.reset();
    this.#entryIndex = this.#position.index;
    this.#lastIndex = this.#position.index;
    this.#entryTerm = this.#position.term;
  }
}

function decoded<T>(reader: RecordReader, decode: (bytes: Uint8Array, start: number, end: number) => T): T {
  try {
    return decode(reader.bytes, reader.dataStart, reader.dataEnd);
  } catch (error) {
    if (error instanceof DecodeError) throw reader.error('corrupt', error.message);
    throw error;
  }
}
