/** What is written beside a backup. It is there when the backup is whole: one without it was never finished. */
import { BackupError } from './backup-error.ts';

export const COMPRESSIONS = ['zstd', 'gzip', 'none'] as const;
export type Compression = (typeof COMPRESSIONS)[number];
export type Encryption = 'none' | 'age';

export interface BackupMetadata {
  readonly format: 1;
  /** Of the file. */
  readonly name: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** Hexadecimal, as all ids. */
  readonly clusterId: string;
  readonly memberId: string;
  readonly memberVersion: string;
  /** Where the snapshot was asked for. */
  readonly source: string;
  /** That of {@link hash}; the snapshot may have a few more. */
  readonly revision: number;
  /** Over the keys as they were at {@link revision}, as `endpoint hashkv` gives it. */
  readonly hash: number;
  readonly hashCompactRevision: number;
  /** So many at {@link revision}; older backups do not say. */
  readonly keys?: number;
  /** Of the snapshot, with the digest at its end. */
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Of the file. */
  readonly storedBytes: number;
  readonly storedSha256: string;
  readonly compression: Compression;
  readonly encryption: Encryption;
}

export const EXTENSIONS = { none: '', gzip: '.gz', zstd: '.zst' } as const;
const REVISION_DIGITS = 16;

export function backupName(
  clusterId: string,
  createdAt: Date,
  revision: number,
  compression: Compression,
  encryption: Encryption,
): string {
  const time = createdAt.toISOString().replace(/[-:]|\.\d+/g, '');
  const number = String(revision).padStart(REVISION_DIGITS, '0');
  const sealed = encryption === 'age' ? '.age' : '';
  return `etcd-${clusterId}-${time}-${number}.db${EXTENSIONS[compression]}${sealed}`;
}

const NAME = /^etcd-([0-9a-f]+)-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-(\d{16})\.db/;

/** Null for a name that somebody else has given. */
export function parseBackupName(
  name: string,
): { readonly clusterId: string; readonly createdMs: number; readonly revision: number } | null {
  const [, clusterId, year, month, day, hour, minute, second, revision] = NAME.exec(name) ?? [];
  if (clusterId === undefined) return null;
  const createdMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(createdMs) ? null : { clusterId, createdMs, revision: Number(revision) };
}

export function metadataName(name: string): string {
  return `${name}.json`;
}

const FIELDS: Readonly<Record<Exclude<keyof BackupMetadata, 'keys'>, 'string' | 'number'>> = {
  format: 'number',
  name: 'string',
  createdAt: 'string',
  clusterId: 'string',
  memberId: 'string',
  memberVersion: 'string',
  source: 'string',
  revision: 'number',
  hash: 'number',
  hashCompactRevision: 'number',
  sizeBytes: 'number',
  sha256: 'string',
  storedBytes: 'number',
  storedSha256: 'string',
  compression: 'string',
  encryption: 'string',
};

/** Throws {@link BackupError}. */
export function parseMetadata(text: string, path: string): BackupMetadata {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new BackupError(`${path}: ${(error as Error).message}`);
  }
  for (const [field, type] of Object.entries(FIELDS)) {
    if (typeof value?.[field] !== type) throw new BackupError(`${path}: ${field} is missing or no ${type}`);
  }
  if (value['format'] !== 1)
    throw new BackupError(`${path}: format ${String(value['format'])} is not known here`);
  if (Number.isNaN(Date.parse(String(value['createdAt'])))) {
    throw new BackupError(`${path}: createdAt is no time`);
  }
  return value as unknown as BackupMetadata;
}

/** The newest last: by time, and where that is the same by revision. */
export function inOrder(a: BackupMetadata, b: BackupMetadata): number {
  const times = Date.parse(a.createdAt) - Date.parse(b.createdAt);
  return times !== 0 ? times : a.revision - b.revision;
}
