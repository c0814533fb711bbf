/**
 * Which etcd a file was written for. 3.6 and later say so (`storageVersion`); 3.5 is known by the raft term, which 3.4
 * does not store. Of a file of 3.4, or of 3.5 before its first snapshot, nothing is known, and it is taken as it is.
 */
import { utf8FromBytes, utf8ToBytes } from '@etcd/base';
import type { BackendReader, BackendWriter } from '../backend/index.ts';
import { META, META_STORAGE_VERSION } from './buckets.ts';
import { readConsistentIndex } from './meta.ts';
import { SchemaError } from './schema-error.ts';

/** Major and minor: the schema does not change within them. */
export interface SchemaVersion {
  readonly major: number;
  readonly minor: number;
}

export const V3_5: SchemaVersion = { major: 3, minor: 5 };
export const V3_6: SchemaVersion = { major: 3, minor: 6 };
export const V3_7: SchemaVersion = { major: 3, minor: 7 };

/** The version whose schema this program writes. */
const CURRENT_SCHEMA: SchemaVersion = V3_7;

/** As the file has it, for people; empty when it does not say. */
export function storageVersionText(reader: BackendReader): string {
  return readStorageVersion(reader) === null ? '' : utf8FromBytes(reader.get(META, META_STORAGE_VERSION)!);
}

/** null when the file does not say, or says something that is not a version. */
export function readStorageVersion(reader: BackendReader): SchemaVersion | null {
  const value = reader.get(META, META_STORAGE_VERSION);
  if (value === null) return null;
  const match = /^(\d+)\.(\d+)\.(\d+)([-+].*)?$/.exec(utf8FromBytes(value));
  return match === null ? null : { major: Number(match[1]), minor: Number(match[2]) };
}

export function writeStorageVersion(writer: BackendWriter, version: SchemaVersion): void {
  writer.put(META, META_STORAGE_VERSION, utf8ToBytes(formatVersion(version)));
}

/** For etcd up to 3.5, whose files do not say their version. */
export function clearStorageVersion(writer: Pick<BackendWriter, 'delete'>): void {
  writer.delete(META, META_STORAGE_VERSION);
}

/** null when nothing in the file tells: 3.4, or 3.5 before its first snapshot. */
export function detectSchemaVersion(reader: BackendReader): SchemaVersion | null {
  const stored = readStorageVersion(reader);
  if (stored !== null) return stored;
  return readConsistentIndex(reader).term === 0 ? null : V3_5;
}

/** Throws {@link SchemaError} when the file was written for an etcd that this program can't follow. */
export function validateSchema(reader: BackendReader): void {
  const version = detectSchemaVersion(reader);
  if (version !== null) checkPath(version, CURRENT_SCHEMA);
}

/**
 * Makes the file one of `target`, between 3.5 and the current version. To go down is for the caller to allow: entries
 * that `target` does not know must be gone from the log.
 */
export function migrateSchema(backend: BackendWriter, target: SchemaVersion): void {
  const version = detectSchemaVersion(backend);
  if (version === null) {
    throw new SchemaError(
      'unsupported-version',
      'cannot detect storage schema version: missing term information',
    );
  }
  checkPath(version, target);
  if (isSame(version, target)) return;
  // The only difference between these versions is that the newer ones say which they are.
  if (target.minor >= V3_6.minor) writeStorageVersion(backend, target);
  else clearStorageVersion(backend);
}

export function formatVersion({ major, minor }: SchemaVersion): string {
  return `${major}.${minor}.0`;
}

function checkPath(from: SchemaVersion, to: SchemaVersion): void {
  if (from.major !== to.major) {
    throw new SchemaError('unsupported-version', 'changing major storage version is not supported');
  }
  const [low, high] = from.minor < to.minor ? [from, to] : [to, from];
  if (high.minor > CURRENT_SCHEMA.minor || low.minor < V3_5.minor) {
    const unknown = high.minor > CURRENT_SCHEMA.minor ? high : low;
    throw new SchemaError('unsupported-version', `version "${formatVersion(unknown)}" is not supported`);
  }
}

function isSame(a: SchemaVersion, b: SchemaVersion): boolean {
  return a.major === b.major && a.minor === b.minor;
}
