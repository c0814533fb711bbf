/** The snapshot that a restore begins with: that of a backup, or one brought forward to a revision or a moment by the changes after it. */
import { rm } from 'node:fs/promises';
import {
  BackupError,
  type BackupMetadata,
  type BackupStore,
  type ChangeRecord,
  type OnPassed,
  readBackup,
  readChanges,
  revisionOf,
  type Secrets,
  type Until,
} from '@etcd/backup';

/** A moment that never comes: everything that is there. */
export const ALWAYS_MS = Number.MAX_SAFE_INTEGER;

export interface PointInTimeOptions {
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
  readonly onPassed: OnPassed;
}

/** What a restore began with. */
export interface PointInTime {
  readonly base: BackupMetadata;
  readonly revision: number;
  /** When the last change was made, in milliseconds since 1970; null: the backup had all. */
  readonly timeMs: number | null;
}

/**
 * Writes the snapshot, without a digest, to a new file. Of the backups that could be begun with it takes the newest. Throws
 * {@link BackupError}, or what is wrong with the snapshot; then there is no file.
 *
 * @param name of the backup to begin with; empty: the right one.
 */
export async function writePointInTime(
  store: BackupStore,
  name: string,
  until: Until,
  path: string,
  options: PointInTimeOptions,
): Promise<PointInTime> {
  const candidates = await candidatesFor(store, name, until);
  for (const base of candidates) {
    await readBackup(store, base, path, options);
    const found = await bringForward(store, base, until, path, options).catch(async (error: Error) => {
      await rm(path, { force: true });
      throw error;
    });
    if (found !== null) return found;
    // A snapshot has what came while it was made, too: that was beyond the point.
    await rm(path, { force: true });
  }
  throw new BackupError(`${store.address}: no backup is older than ${textOf(until)}`);
}

async function candidatesFor(store: BackupStore, name: string, until: Until): Promise<BackupMetadata[]> {
  const isBefore = (one: BackupMetadata): boolean =>
    until.kind === 'revision' ? one.revision <= until.revision : Date.parse(one.createdAt) <= until.timeMs;
  if (name !== '') return [await store.find(name)].filter(isBefore);
  const all = (await store.list()).filter((one) => one.isWhole && isBefore(one));
  const newest = all.at(-1);
  // Revisions of another cluster mean nothing.
  return all.filter(({ clusterId }) => clusterId === newest?.clusterId).reverse();
}

/** Null: the snapshot reaches beyond. */
async function bringForward(
  store: BackupStore,
  base: BackupMetadata,
  until: Until,
  path: string,
  options: PointInTimeOptions,
): Promise<PointInTime | null> {
  let told = base.revision;
  let timeMs: number | null = null;
  const watched = async function* (): AsyncGenerator<ChangeRecord, void, void> {
    for await (const record of readChanges(store.changes, { base, until, ...options })) {
      const last = record.kind === 'events' ? record.events.at(-1) : undefined;
      if (last !== undefined) {
        told = Math.max(told, revisionOf(last));
        timeMs = record.timeMs;
      }
      yield record;
    }
  };
  const { applyChanges } = await import('@etcd/etcdutl/snapshot');
  const revision = await applyChanges(path, watched());
  const limit = until.kind === 'revision' ? until.revision : until.timeMs === ALWAYS_MS ? revision : told;
  if (revision > limit) return null;
  if (until.kind === 'revision' && revision < limit) {
    throw new BackupError(`${store.address}: the changes reach to revision ${revision}, not to ${limit}`);
  }
  return { base, revision, timeMs };
}

function textOf(until: Until): string {
  if (until.kind === 'revision') return `revision ${until.revision}`;
  return until.timeMs === ALWAYS_MS ? 'now' : new Date(until.timeMs).toISOString();
}
