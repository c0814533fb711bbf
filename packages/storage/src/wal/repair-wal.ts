/**
 * Drops the incomplete write at the end of a log, which a crash left there. Never touches anything else: what is dropped
 * is kept in a copy, and a log that is damaged in any other way stays as it is.
 */
import { type Disk, type DiskFile, SILENT_LOGGER } from '@etcd/base';
import { openLocked, type ReadOptions } from './open-wal.ts';
import { RecordReader } from './record-reader.ts';
import { listSegments, selectSegments } from './segment-name.ts';
import { WalError } from './wal-error.ts';

export interface Repair {
  readonly path: string;
  /** Where the segment was cut. */
  readonly offset: number;
  /** A copy of the segment as it was. */
  readonly brokenPath: string;
}

const COPY_BYTES = 1024 * 1024;

/**
 * Makes a `torn` log readable. Returns what was done, null if the log is whole. Throws {@link WalError} if its fault is
 * another one, having changed nothing.
 */
export function repairWal(options: ReadOptions): Repair | null {
  const { disk, directory } = options;
  const logger = options.logger ?? SILENT_LOGGER;
  const names = listSegments(disk, directory, logger);
  selectSegments(directory, names, names[0]!.index);
  const segment = openLocked(disk, directory, names[names.length - 1]!, false);
  try {
    logger.info('repairing', { path: segment.path });
    // Only the last segment can be torn, and its first record says what the checksum of those before it was.
    const reader = new RecordReader(disk, [segment], { keepData: false });
    const error = firstError(reader);
    if (error === null) return null;
    if (error.code !== 'torn') throw error;
    const brokenPath = `${segment.path}.broken`;
    copyDurably(disk, segment.file, brokenPath);
    disk.syncDirectory(directory);
    segment.file.truncate(error.offset);
    segment.file.sync();
    logger.info('repaired', { path: segment.path, offset: error.offset, 'broken-path': brokenPath });
    return { path: segment.path, offset: error.offset, brokenPath };
  } finally {
    segment.file.close();
  }
}

function firstError(reader: RecordReader): WalError | null {
  try {
    while (reader.next());
    return null;
  } catch (error) {
    if (error instanceof WalError) return error;
    throw error;
  }
}

function copyDurably(disk: Disk, source: DiskFile, path: string): void {
  const target = disk.openFile(path, { access: 'readwrite', create: true, truncate: true, mode: 0o600 });
  try {
    const buffer = new Uint8Array(COPY_BYTES);
    for (let position = 0; ; ) {
      const count = source.read(buffer, 0, buffer.length, position);
      if (count === 0) break;
      target.write(buffer, 0, count, position);
      position += count;
    }
    target.sync();
  } finally {
    target.close();
  }
}
