/**
 * Making a log, opening one to go on with, and reading one without touching it.
 */
import type { LogIndex } from '@etcd/api';
import { HardState } from '@etcd/api/raftpb';
import { encodeSnapshot, Snapshot } from '@etcd/api/walpb';
import { type Disk, DiskError, type Logger, SILENT_LOGGER } from '@etcd/base';
import { BatchEncoder } from './batch-encoder.ts';
import { RECORD_METADATA, RECORD_SNAPSHOT, SEGMENT_BYTES } from './frame.ts';
import {
  type EntrySink,
  forEachIntact,
  type LogContents,
  LogReading,
  readLog,
  readSnapshots,
  type SnapshotPosition,
} from './read-log.ts';
import { type ReadableSegment, RecordReader } from './record-reader.ts';
import { listSegments, type SegmentName, segmentName, selectSegments, walExists } from './segment-name.ts';
import { type Segment, Wal, type WalOptions } from './wal.ts';
import { WalError } from './wal-error.ts';

export interface ReadOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly logger?: Logger | undefined;
  /** Told of a last write that is incomplete, where that ends the log. */
  readonly onTorn?: ((error: WalError) => void) | undefined;
}

export interface OpenedWal extends LogContents {
  readonly wal: Wal;
}

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Makes a log that begins with `metadata` (an encoded `etcdserverpb.Metadata`), at index 0. It appears under its name
 * complete or not at all. Leftovers in a directory without a log are removed.
 */
export function createWal(options: WalOptions, metadata: Uint8Array): Wal {
  const { disk, directory } = options;
  if (walExists(disk, directory)) throw new WalError('exists', directory, -1, 'a log is here already');
  const temporary = `${directory}.tmp`;
  disk.removeDirectory(temporary);
  disk.makeDirectory(temporary, DIRECTORY_MODE);
  const name = segmentName(0, 0);
  const segment = openLocked(disk, temporary, { name, sequence: 0, index: 0 }, true);
  const encoder = new BatchEncoder(0);
  try {
    segment.file.allocate(options.segmentSizeBytes ?? SEGMENT_BYTES);
    encoder.addCrc();
    encoder.addRecord(RECORD_METADATA, metadata);
    encoder.addRecord(RECORD_SNAPSHOT, encodeSnapshot(new Snapshot()));
    segment.file.write(encoder.bytes(), 0, encoder.length, 0);
    segment.file.sync();
    disk.syncDirectory(temporary);
    disk.removeDirectory(directory);
    disk.rename(temporary, directory);
    disk.syncDirectory(disk.join(directory, '..'));
  } catch (error) {
    segment.file.close();
    throw error;
  }
  return new Wal(options, {
    segments: [{ ...segment, path: disk.join(directory, name) }],
    offset: encoder.length,
    crc: encoder.crc,
    metadata,
    hardState: new HardState(),
    lastIndex: 0,
    snapshotIndex: 0,
  });
}

/**
 * Opens the log for going on: locks its segments from the one that holds `position` on, gives every entry behind it to
 * `sink`, and clears what an interrupted write may have left behind the last record. Throws {@link WalError}, having
 * changed nothing; `torn` says that `repairWal` can make the log whole.
 */
export function openWal(options: WalOptions, position: SnapshotPosition, sink: EntrySink): OpenedWal {
  const { disk, directory } = options;
  const logger = options.logger ?? SILENT_LOGGER;
  const names = selectSegments(directory, listSegments(disk, directory, logger), position.index);
  const segments: Segment[] = [];
  try {
    for (const name of names) segments.push(openLocked(disk, directory, name, false));
    const reader = new RecordReader(disk, segments, { keepData: true });
    const contents = readLog(reader, position, sink);
    const tail = segments[segments.length - 1]!;
    const segmentSizeBytes = options.segmentSizeBytes ?? SEGMENT_BYTES;
    // Whatever was written behind the last record never became part of the log; new records must not meet it.
    tail.file.truncate(reader.endOffset);
    tail.file.allocate(segmentSizeBytes);
    removeLeftovers(disk, directory);
    if (options.unsafeNoFsync !== true) makeDurable(disk, directory, segments);
    const wal = new Wal(options, { ...contents, segments, offset: reader.endOffset, crc: reader.crc });
    return { ...contents, wal };
  } catch (error) {
    for (const segment of segments) segment.file.close();
    throw error;
  }
}

/**
 * Reads the log without locking or changing it, for tools: every entry behind `position` goes to `sink`. A write that is
 * incomplete, interrupted or under way, ends the log.
 */
export function readWal(
  options: ReadOptions,
  position: SnapshotPosition,
  sink: EntrySink | null,
): LogContents {
  return withReader(options, position.index, sink !== null, (reader) => {
    const log = new LogReading(reader, position, sink);
    forEachIntact(reader, () => log.take(), options.onTorn);
    return log.finish();
  });
}

/** Checks the whole log from `position` on; returns the last hard state. Throws {@link WalError} with file and offset. */
export function verifyWal(options: ReadOptions, position: SnapshotPosition): HardState {
  return readWal(options, position, null).hardState;
}

/**
 * The snapshots that the log can be read from: those recorded in it whose index was committed, in the order of their records. That
 * of the newest need not be the last: logs of earlier versions may have older ones behind it.
 */
export function validSnapshots(options: ReadOptions): Snapshot[] {
  return withReader(options, null, false, readSnapshots);
}

/** The newest of {@link validSnapshots}: where reading had better begin; all zero if there is none. */
export function newestSnapshot(options: ReadOptions): Snapshot {
  return validSnapshots(options).reduce(
    (newest, record) => (record.index >= newest.index ? record : newest),
    new Snapshot(),
  );
}

/** Runs `use` on the segments from the one that holds `index` on; null for all there are, which must be continuous too. */
function withReader<T>(
  options: ReadOptions,
  index: LogIndex | null,
  keepData: boolean,
  use: (reader: RecordReader) => T,
): T {
  const { disk, directory } = options;
  const names = listSegments(disk, directory, options.logger ?? SILENT_LOGGER);
  const selected = selectSegments(directory, names, index ?? names[0]!.index);
  const segments = selected.map(
    ({ name }): ReadableSegment => ({ path: disk.join(directory, name), file: null }),
  );
  const reader = new RecordReader(disk, segments, { keepData });
  try {
    return use(reader);
  } finally {
    reader.close();
  }
}

/**
 * What was read may be no more than seen: a process that was killed between a write and its sync, or a copy of the directory, leaves
 * it so. From now on raft stands by it, so it must be durable before anybody is told of it; names too.
 */
function makeDurable(disk: Disk, directory: string, segments: readonly Segment[]): void {
  for (const { file } of segments) file.sync();
  disk.syncDirectory(directory);
  disk.syncDirectory(disk.join(directory, '..'));
}

/** Segments that were in preparation when the last run ended. */
function removeLeftovers(disk: Disk, directory: string): void {
  for (const name of disk.readDirectory(directory)) {
    if (/^[01]\.tmp$/.test(name)) disk.remove(disk.join(directory, name));
  }
}

export function openLocked(disk: Disk, directory: string, name: SegmentName, create: boolean): Segment {
  const path = disk.join(directory, name.name);
  const file = disk.openFile(path, { access: 'readwrite', create, mode: FILE_MODE });
  try {
    if (file.tryLock('ofd')) return { ...name, path, file };
  } catch (error) {
    if (error instanceof DiskError) file.close();
    throw error;
  }
  file.close();
  throw new WalError('locked', path, -1, 'file already locked');
}
