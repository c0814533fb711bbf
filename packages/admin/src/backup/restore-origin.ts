/**
 * What a restore begins with: a backup, as it was or brought forward; a snapshot that etcdctl saved; the database of a member that does not
 * run, or a copy of it. Everything in it has been read and compared, as far as there is something to compare it with.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BackupError, readBackup, type Secrets, type Until } from '@etcd/backup';
import { findLockHolder } from '@etcd/host/process';
import { onPassed, withStore } from './command-parts.ts';
import { writePointInTime } from './point-in-time.ts';

export interface RestoreOrigin {
  /** For people. */
  readonly title: string;
  /** Of the snapshot. */
  readonly path: string;
  readonly hasDigest: boolean;
  /** Made for this restore, and nobody's afterwards. */
  readonly isScratch: boolean;
  /** Words of the command line that name exactly this one, on every host. */
  readonly words: readonly string[];
  /** Hexadecimal, where the file itself has to be on every host. */
  readonly sha256: string | null;
}

export interface StoredOrigin {
  readonly store: string;
  /** Of the backup; empty: the right one. */
  readonly name: string;
  /** Null: to the backup itself. */
  readonly until: Until | null;
  readonly secrets: Secrets;
}

const DIGEST_BYTES = 32;
const SECTOR_BYTES = 512;

/** Writes what is asked for to `path`. Throws {@link BackupError}, or what is wrong with the snapshot. */
export async function originFromStore(
  { store: address, name, until, secrets }: StoredOrigin,
  path: string,
  signal: AbortSignal,
): Promise<RestoreOrigin> {
  return await withStore(address, async (store) => {
    const common = { path, isScratch: true, sha256: null };
    if (until === null) {
      const metadata = await store.find(name);
      await readBackup(store, metadata, path, { secrets, signal, onPassed: onPassed() });
      const title = `backup ${metadata.name}, revision ${metadata.revision}`;
      return { ...common, title, hasDigest: true, words: [metadata.name] };
    }
    const options = { secrets, signal, onPassed: onPassed() };
    const { base, revision, timeMs } = await writePointInTime(store, name, until, path, options);
    const last = timeMs === null ? '' : `, whose last change is of ${new Date(timeMs).toISOString()}`;
    const title = `backup ${base.name} and what came after it to revision ${revision}${last}`;
    // A moment that is asked for again may have more in it: other members must get the same.
    return { ...common, title, hasDigest: false, words: [base.name, '--to-revision', String(revision)] };
  });
}

export interface FileOrigin {
  /** A file, or a data directory. */
  readonly given: string;
  readonly skipsDigest: boolean;
  /** Whether others will need the same file. */
  readonly isShared: boolean;
}

/** Reads every record. Throws what is wrong with the file. */
export async function originFromFile(
  { given, skipsDigest, isShared }: FileOrigin,
  signal: AbortSignal,
): Promise<RestoreOrigin> {
  const path = databaseOf(given);
  const { size } = statSync(path);
  const hasDigest = size % SECTOR_BYTES === DIGEST_BYTES;
  if (!hasDigest && size % SECTOR_BYTES !== 0) {
    throw new BackupError(`${path}: ${size} bytes are neither a snapshot nor a database: it was cut off`);
  }
  if (!hasDigest) refuseRunning(path);
  const { verifySnapshotFile } = await import('@etcd/etcdutl/snapshot');
  signal.throwIfAborted();
  const found = await verifySnapshotFile(path, 0, skipsDigest || !hasDigest);
  const kind = hasDigest
    ? `snapshot ${path}`
    : `database ${path}, which has no digest (every record was read) and not what its member had in the log alone`;
  return {
    title: `${kind}, revision ${found.hashRevision}`,
    path,
    hasDigest: hasDigest && !skipsDigest,
    isScratch: false,
    words: ['--snapshot', path],
    sha256: isShared ? await sha256Of(path, signal) : null,
  };
}

function databaseOf(given: string): string {
  const stat = statSync(given, { throwIfNoEntry: false });
  if (stat === undefined) throw new BackupError(`${given}: no such file`);
  if (stat.isFile()) return given;
  const inside = join(given, 'member/snap/db');
  if (stat.isDirectory() && existsSync(inside)) return inside;
  throw new BackupError(`${given} is neither a snapshot nor the data directory of a member`);
}

/** What a member writes at this moment is not what it would be when it has stopped. */
function refuseRunning(path: string): void {
  const holder = findLockHolder(path);
  if (holder === null) return;
  throw new BackupError(
    `${path}: process ${holder} has it open; a running member is asked for a snapshot: etcdctl snapshot save FILE`,
  );
}

async function sha256Of(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash, { signal });
  return hash.digest('hex');
}
