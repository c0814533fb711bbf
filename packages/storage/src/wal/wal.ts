/**
 * The log, open for writing. See index.ts for the contract.
 */
import type { LogIndex } from '@etcd/api';
import { type Entry, HardState } from '@etcd/api/raftpb';
import { encodeSnapshot, type Snapshot } from '@etcd/api/walpb';
import {
  assert,
  type Clock,
  type Disk,
  DiskError,
  type DiskFile,
  type Logger,
  SILENT_LOGGER,
} from '@etcd/base';
import { BatchEncoder } from './batch-encoder.ts';
import { RECORD_METADATA, RECORD_SNAPSHOT, SEGMENT_BYTES } from './frame.ts';
import { type SegmentName, segmentName } from './segment-name.ts';
import { type PreparedSegment, SegmentPipeline } from './segment-pipeline.ts';
import { SyncGauge } from './sync-gauge.ts';

export interface WalOptions {
  readonly disk: Disk;
  readonly directory: string;
  /** Measures how long syncs take. */
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** {@link SEGMENT_BYTES} unless a test wants small ones. */
  readonly segmentSizeBytes?: number | undefined;
  /** False where overwriting zeros is no cheaper than writing into reserved space: btrfs, ZFS. */
  readonly zeroFill?: boolean | undefined;
  /** Never sync: an acknowledged write may be lost with the machine. */
  readonly unsafeNoFsync?: boolean | undefined;
  /** Told how long each sync took, the write that it is of included, for the metrics. */
  readonly onSync?: ((durationMs: number) => void) | undefined;
  /** Told of each write, likewise. */
  readonly onWrite?: ((sizeBytes: number, durationMs: number) => void) | undefined;
}

/** Takes the outcome of an asynchronous save. After an error the log is unusable, and the process ends. */
export type SaveDone = (error: DiskError | null) => void;

/** A locked segment. */
export interface Segment extends SegmentName {
  readonly path: string;
  readonly file: DiskFile;
}

/** Where writing goes on. */
export interface WalTail {
  /** Locked, the last one being written to. */
  readonly segments: Segment[];
  /** End of the records in the last segment; zeros from here on. */
  readonly offset: number;
  /** The running checksum there. */
  readonly crc: number;
  readonly metadata: Uint8Array;
  /** The last one saved; all zero if there is none. */
  readonly hardState: HardState;
  readonly lastIndex: LogIndex;
  /** The newest snapshot record. */
  readonly snapshotIndex: LogIndex;
}

const WARN_SYNC_MS = 1000;

export class Wal {
  readonly #options: WalOptions;
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #segmentSizeBytes: number;
  readonly #metadata: Uint8Array;
  readonly #segments: Segment[];
  readonly #pipeline: SegmentPipeline;
  readonly #encoder: BatchEncoder;
  readonly #gauge = new SyncGauge();
  #offset: number;
  #lastIndex: LogIndex;
  #snapshotIndex: LogIndex;
  /** What was saved last, be it written or not; all zero before the first. */
  readonly #state = new HardState();
  /** `#state` has not been written yet. If that is all, only its commit index is new, and it goes with the next batch. */
  #isStatePending = false;
  /** Called when the batch in flight is durable; null when none is in flight. */
  #done: SaveDone | null = null;
  #startMs = 0;
  /** During a cut: what will be the tail. */
  #nextSegment: PreparedSegment | null = null;
  #isBroken = false;
  #isClosed = false;

  /** For `createWal` and `openWal`. */
  constructor(options: WalOptions, tail: WalTail) {
    assert(tail.segments.length > 0, 'wal: no segment to write to');
    this.#options = options;
    this.#disk = options.disk;
    this.#clock = options.clock;
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#segmentSizeBytes = options.segmentSizeBytes ?? SEGMENT_BYTES;
    this.#metadata = tail.metadata;
    this.#segments = tail.segments;
    this.#offset = tail.offset;
    this.#lastIndex = tail.lastIndex;
    this.#snapshotIndex = tail.snapshotIndex;
    this.#encoder = new BatchEncoder(tail.crc);
    this.#state.term = tail.hardState.term;
    this.#state.vote = tail.hardState.vote;
    this.#state.commit = tail.hardState.commit;
    this.#pipeline = new SegmentPipeline({
      disk: options.disk,
      directory: options.directory,
      logger: this.#logger,
      segmentSizeBytes: this.#segmentSizeBytes,
      zeroFill: options.zeroFill ?? true,
    });
  }

  /** Index of the entry or snapshot saved last. */
  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  /** Index of the newest snapshot that was recorded: no older one may be recorded behind it. */
  get snapshotIndex(): LogIndex {
    return this.#snapshotIndex;
  }

  /** Whether a batch is in flight: nothing may be saved until its `done` was called. */
  get isSaving(): boolean {
    return this.#done !== null;
  }

  /** Whether, by what recent syncs took, the next save had better be {@link save} than {@link saveThen}. */
  get prefersInline(): boolean {
    return this.#gauge.prefersInline;
  }

  /**
   * Saves what raft's Ready holds: `hardState` if it changed, else null, and `entries`. On return they are durable. A
   * change of nothing but the commit index is only remembered, and written with the next batch.
   */
  save(hardState: HardState | null, entries: readonly Entry[]): void {
    if (this.#encode(hardState, entries)) this.#flush();
  }

  /**
   * {@link save} without stopping the event loop: `done` is called, never before this returns, once all is durable.
   * False if there is nothing to wait for; `done` is not called then.
   */
  saveThen(hardState: HardState | null, entries: readonly Entry[], done: SaveDone): boolean {
    if (!this.#encode(hardState, entries)) return false;
    this.#flushThen(done);
    return true;
  }

  /** Records that the snapshot, whose files are durable already, is where the log may be read from. */
  saveSnapshot(snapshot: Snapshot): void {
    this.#encodeSnapshot(snapshot);
    this.#flush();
  }

  saveSnapshotThen(snapshot: Snapshot, done: SaveDone): void {
    this.#encodeSnapshot(snapshot);
    this.#flushThen(done);
  }

  /**
   * Records a snapshot of the leader's, which takes the place of the log, and with it, in the same write, the hard state whose commit
   * index makes the record count: without that, a crash would leave the member with the log that it had before.
   */
  saveReceivedSnapshotThen(snapshot: Snapshot, hardState: HardState, done: SaveDone): void {
    assert(hardState.commit >= snapshot.index, 'wal: a received snapshot is committed');
    this.#encodeSnapshot(snapshot);
    // Entries beyond it that raft has dropped are no part of the log any more.
    this.#lastIndex = snapshot.index;
    this.#takeState(hardState);
    this.#encodePendingState();
    this.#flushThen(done);
  }

  /** Makes all durable that was saved, a remembered commit index included. */
  sync(): void {
    this.#assertReady();
    this.#encodePendingState();
    this.#flush();
  }

  /**
   * Unlocks the segments that hold only entries before `index`, except the newest of them: reading from a snapshot at
   * `index` begins there. Unlocked segments are what purging may remove. Allowed while a batch is in flight.
   */
  releaseTo(index: LogIndex): void {
    let keptFrom = this.#segments.findIndex((segment) => segment.index >= index) - 1;
    if (keptFrom < -1) keptFrom = this.#segments.length - 1;
    if (keptFrom <= 0) return;
    for (const segment of this.#segments.splice(0, keptFrom)) segment.file.close();
  }

  /** Saves what is left and unlocks the segments, also where that fails. Not allowed while a batch is in flight, unless saving has failed. */
  close(): void {
    assert(!this.#isClosed, 'wal: closed twice');
    assert(this.#done === null, 'wal: a batch is in flight');
    try {
      if (!this.#isBroken) this.sync();
    } finally {
      this.#isClosed = true;
      this.#pipeline.close();
      this.#nextSegment?.file.close();
      for (const segment of this.#segments) segment.file.close();
    }
  }

  get #tail(): Segment {
    return this.#segments[this.#segments.length - 1]!;
  }

  #assertReady(): void {
    assert(!this.#isClosed, 'wal: used after close');
    assert(!this.#isBroken, 'wal: used after a failed write');
    assert(this.#done === null, 'wal: a batch is in flight');
  }

  /** Lays out a batch; false if nothing of it has to be durable now. */
  #encode(hardState: HardState | null, entries: readonly Entry[]): boolean {
    this.#assertReady();
    if (entries.length > 0) {
      assert(entries[0]!.index > this.#state.commit, 'wal: a committed entry is overwritten');
    }
    const isPromise = hardState !== null && this.#takeState(hardState);
    if (entries.length === 0 && !isPromise) return false;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      const next = this.#lastIndex + 1;
      // The first one may overwrite; none may leave a gap, which would make the log unreadable.
      assert(entry.index === next || (i === 0 && entry.index < next), 'wal: entries are consecutive');
      this.#encoder.addEntry(entry);
      this.#lastIndex = entry.index;
    }
    this.#encodePendingState();
    return true;
  }

  /** Remembers a hard state; true if it is more than a new commit index: it must be durable before anybody is told. */
  #takeState({ term, vote, commit }: HardState): boolean {
    const state = this.#state;
    const isPromise = term !== state.term || vote !== state.vote;
    if (!isPromise && commit === state.commit) return false;
    assert(term >= state.term, 'wal: the term goes back');
    assert(!isPromise || term > state.term || state.vote === 0n, 'wal: a vote changes within its term');
    state.term = term;
    state.vote = vote;
    state.commit = commit;
    this.#isStatePending = true;
    return isPromise;
  }

  #encodePendingState(): void {
    if (!this.#isStatePending) return;
    this.#encoder.addState(this.#state);
    this.#isStatePending = false;
  }

  #encodeSnapshot(snapshot: Snapshot): void {
    this.#assertReady();
    assert(
      snapshot.confState !== null || snapshot.index === 0,
      'wal: a snapshot record needs its conf state',
    );
    // Where reading begins is what the last record says, at least for etcd: segments before the newest may be gone by then.
    assert(snapshot.index >= this.#snapshotIndex, 'wal: a snapshot record goes back');
    this.#encodePendingState();
    this.#encoder.addRecord(RECORD_SNAPSHOT, encodeSnapshot(snapshot));
    this.#snapshotIndex = snapshot.index;
    if (snapshot.index > this.#lastIndex) this.#lastIndex = snapshot.index;
  }

  // Inline.

  #flush(): void {
    try {
      this.#writeInline(this.#tail.file, this.#offset);
      if (this.#isFull) this.#cut();
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  #cut(): void {
    const next = this.#beginCut();
    this.#writeInline(next.file, 0);
    this.#nameSegment();
    this.#disk.syncDirectory(this.#options.directory);
  }

  #writeInline(file: DiskFile, position: number): void {
    const { length } = this.#encoder;
    const startMs = this.#clock.now();
    if (this.#options.unsafeNoFsync) file.write(this.#encoder.bytes(), 0, length, position);
    else file.writeSynced(this.#encoder.bytes(), 0, length, position);
    const durationMs = this.#clock.now() - startMs;
    if (!this.#options.unsafeNoFsync) this.#gauge.tookInline(durationMs);
    this.#written(position, durationMs);
  }

  // On the thread pool: the same steps, each begun by the completion of the one before. The callbacks are made once, not
  // once a batch.

  #flushThen(done: SaveDone): void {
    this.#done = done;
    this.#writeAsync(this.#tail.file, this.#offset, this.#afterWrite);
  }

  readonly #afterWrite = (error: DiskError | null): void => {
    if (error !== null) return this.#fail(error);
    this.#measureAsync(this.#offset);
    if (!this.#isFull) return this.#finish();
    this.#attempt(() => this.#writeAsync(this.#beginCut().file, 0, this.#afterHeaderWrite));
  };

  readonly #afterHeaderWrite = (error: DiskError | null): void => {
    if (error !== null) return this.#fail(error);
    this.#measureAsync(0);
    this.#attempt(() => {
      this.#nameSegment();
      this.#disk.syncDirectoryThen(this.#options.directory, (syncError) => {
        if (syncError !== null) return this.#fail(syncError);
        this.#finish();
      });
    });
  };

  #writeAsync(file: DiskFile, position: number, then: (error: DiskError | null) => void): void {
    this.#startMs = this.#clock.now();
    const chunks = [this.#encoder.bytes()];
    if (this.#options.unsafeNoFsync) file.writeThen(chunks, position, then);
    else file.writeSyncedThen(chunks, position, then);
  }

  #measureAsync(position: number): void {
    const durationMs = this.#clock.now() - this.#startMs;
    if (!this.#options.unsafeNoFsync) this.#gauge.tookAsync(durationMs);
    this.#written(position, durationMs);
  }

  #finish(): void {
    const done = this.#done!;
    this.#done = null;
    done(null);
  }

  #fail(error: DiskError): void {
    this.#isBroken = true;
    const done = this.#done!;
    this.#done = null;
    done(error);
  }

  /** Runs a step of a cut that works inline; its failure is the save's. */
  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#fail(error);
    }
  }

  // Steps that both ways share.

  get #isFull(): boolean {
    return this.#offset >= this.#segmentSizeBytes;
  }

  /** What was laid out has been written, and is durable, at `position` of the tail, or of the segment that becomes it. */
  #written(position: number, durationMs: number): void {
    const length = this.#encoder.length;
    this.#offset = position + length;
    this.#encoder.clear();
    this.#pipeline.advance(length);
    this.#options.onWrite?.(length, durationMs);
    if (!this.#options.unsafeNoFsync) this.#observe(durationMs);
  }

  /**
   * Takes the next segment and lays out its head. The tail needs no cutting: it is as long as was reserved, and what it
   * holds reaches to there or beyond.
   */
  #beginCut(): PreparedSegment {
    const next = this.#pipeline.take();
    this.#nextSegment = next;
    this.#encoder.addCrc();
    this.#encoder.addRecord(RECORD_METADATA, this.#metadata);
    if (this.#state.term !== 0 || this.#state.commit !== 0) this.#encoder.addState(this.#state);
    this.#isStatePending = false;
    return next;
  }

  /** The next segment, whose head is durable, becomes part of the log, and its tail. */
  #nameSegment(): void {
    const next = this.#nextSegment!;
    const sequence = this.#tail.sequence + 1;
    const index = this.#lastIndex + 1;
    const name = segmentName(sequence, index);
    const path = this.#disk.join(this.#options.directory, name);
    this.#disk.rename(next.path, path);
    this.#nextSegment = null;
    this.#segments.push({ name, sequence, index, path, file: next.file });
    this.#logger.info('created a new WAL segment', { path });
  }

  #observe(durationMs: number): void {
    this.#options.onSync?.(durationMs);
    if (durationMs <= WARN_SYNC_MS) return;
    this.#logger.warn('slow fdatasync', {
      took: `${(durationMs / 1000).toFixed(3)}s`,
      'expected-duration': '1s',
    });
  }
}
