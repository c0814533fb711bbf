/** Names of segments of the change log, which say all that is to be known to find the right ones. */
import { type Compression, EXTENSIONS } from './metadata.ts';

/** What a segment has: of the changes of a cluster those of a stretch of revisions, both ends included. */
export interface ChangesSegment {
  readonly name: string;
  readonly clusterId: string;
  readonly firstRevision: number;
  readonly lastRevision: number;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenMs: number;
  readonly compression: Compression;
  readonly isSealed: boolean;
}

const NUMBER_DIGITS = 16;
const NAME = /^etcd-([0-9a-f]+)-(\d{16})-(\d{16})-(\d{13})\.changes(\.gz|\.zst)?(\.age)?$/;

export function changesName(segment: Omit<ChangesSegment, 'name'>): string {
  const number = (value: number): string => String(value).padStart(NUMBER_DIGITS, '0');
  const { clusterId, firstRevision, lastRevision, writtenMs, compression, isSealed } = segment;
  const stretch = `${number(firstRevision)}-${number(lastRevision)}`;
  return `etcd-${clusterId}-${stretch}-${writtenMs}.changes${EXTENSIONS[compression]}${isSealed ? '.age' : ''}`;
}

/** Null for the name of anything else. */
export function parseChangesName(name: string): ChangesSegment | null {
  const [, clusterId, first, last, written, extension = '', sealed] = NAME.exec(name) ?? [];
  if (clusterId === undefined) return null;
  const compression = extension === '.gz' ? 'gzip' : extension === '.zst' ? 'zstd' : 'none';
  return {
    name,
    clusterId,
    firstRevision: Number(first),
    lastRevision: Number(last),
    writtenMs: Number(written),
    compression,
    isSealed: sealed !== undefined,
  };
}

/** Of one cluster, by their beginnings. */
export function segmentsOf(names: Iterable<string>, clusterId: string): ChangesSegment[] {
  const segments: ChangesSegment[] = [];
  for (const name of names) {
    const segment = parseChangesName(name);
    if (segment?.clusterId === clusterId) segments.push(segment);
  }
  return segments.sort((a, b) => a.firstRevision - b.firstRevision || a.lastRevision - b.lastRevision);
}
