/**
 * Which files make up the log: `<sequence>-<index>.wal`, both sixteen hex digits. The index is that of the first entry
 * that the segment may hold.
 */
import type { LogIndex } from '@etcd/api';
import type { Disk, Logger } from '@etcd/base';
import { WalError } from './wal-error.ts';

export interface SegmentName {
  readonly name: string;
  readonly sequence: number;
  readonly index: LogIndex;
}

const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;

export function segmentName(sequence: number, index: LogIndex): string {
  return `${hex16(sequence)}-${hex16(index)}.wal`;
}

/** null if `name` is not that of a segment. */
function parseSegmentName(name: string): SegmentName | null {
  const match = NAME.exec(name);
  if (match === null) return null;
  const sequence = Number.parseInt(match[1]!, 16);
  const index = Number.parseInt(match[2]!, 16);
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(index)) return null;
  return { name, sequence, index };
}

/** Whether `directory` holds a log. */
export function walExists(disk: Disk, directory: string): boolean {
  const stat = disk.stat(directory);
  if (stat === null || !stat.isDirectory) return false;
  return disk.readDirectory(directory).some((name) => parseSegmentName(name) !== null);
}

/** All segments in order. Throws if there are none. */
export function listSegments(disk: Disk, directory: string, logger: Logger): SegmentName[] {
  const stat = disk.stat(directory);
  if (stat === null || !stat.isDirectory) {
    throw new WalError('not-found', directory, -1, 'no such directory');
  }
  const segments: SegmentName[] = [];
  for (const name of disk.readDirectory(directory)) {
    const segment = parseSegmentName(name);
    if (segment !== null) segments.push(segment);
    else if (!name.endsWith('.tmp')) {
      logger.warn('ignored file in WAL directory', { path: disk.join(directory, name) });
    }
  }
  if (segments.length === 0) throw new WalError('not-found', directory, -1, 'file not found');
  return segments;
}

/** The segments that hold everything from entry `index` on. Throws if one of them is missing. */
export function selectSegments(
  directory: string,
  segments: readonly SegmentName[],
  index: LogIndex,
): SegmentName[] {
  const first = segments.findLastIndex((segment) => segment.index <= index);
  if (first < 0) {
    const { name, index: begin } = segments[0]!;
    const problem = `file not found which matches the snapshot index '${index}': the first that is there begins at ${begin}`;
    throw new WalError('not-found', `${directory}/${name}`, -1, problem);
  }
  const selected = segments.slice(first);
  for (let i = 1; i < selected.length; i++) {
    if (selected[i]!.sequence === selected[i - 1]!.sequence + 1) continue;
    const problem = `file sequence numbers do not increase continuously: ${selected[i]!.name} follows ${selected[i - 1]!.name}`;
    throw new WalError('corrupt', directory, -1, problem);
  }
  return selected;
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, '0');
}
