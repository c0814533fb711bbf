/**
 * Which backups stay: the last few, those of the last days, and of every hour, day, week and month the newest, as far back as asked.
 * The newest that is whole stays whatever is asked.
 */
import { BackupError } from './backup-error.ts';
import type { BackupStore, StoredBackup } from './backup-store.ts';

export interface Retention {
  readonly last: number;
  /** 0: none for its age alone. */
  readonly withinMs: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

export interface PruneOptions {
  readonly nowMs: number;
  /** Of this cluster alone; unless told of each. */
  readonly clusterId?: string;
  /** Of the cluster of this backup alone, as if it were the newest: whether those after it are of any use is not known yet. */
  readonly upTo?: string;
  readonly isDryRun: boolean;
  readonly onRemoved: (backup: StoredBackup) => void;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 1970 began on a Thursday, weeks begin on Mondays. */
const MONDAY_OFFSET_DAYS = 3;

/** Each period as a number that grows with time. */
const PERIODS: readonly (readonly [keyof Retention, (ms: number) => number])[] = [
  ['hourly', (ms) => Math.floor(ms / HOUR_MS)],
  ['daily', (ms) => Math.floor(ms / DAY_MS)],
  ['weekly', (ms) => Math.floor((ms / DAY_MS + MONDAY_OFFSET_DAYS) / 7)],
  ['monthly', (ms) => new Date(ms).getUTCFullYear() * 12 + new Date(ms).getUTCMonth()],
];

/**
 * One that is not whole takes nobody's place, and goes with those that nothing asks for.
 *
 * @param backups of one cluster, the newest last.
 */
export function toRemove(
  backups: readonly StoredBackup[],
  retention: Retention,
  nowMs: number,
): StoredBackup[] {
  const newestFirst = backups.filter(({ isWhole }) => isWhole).toReversed();
  const kept = new Set(newestFirst.slice(0, Math.max(1, retention.last)));
  for (const backup of newestFirst) {
    if (nowMs - Date.parse(backup.createdAt) <= retention.withinMs) kept.add(backup);
  }
  for (const [name, periodOf] of PERIODS) {
    const seen = new Set<number>();
    for (const backup of newestFirst) {
      if (seen.size >= retention[name]) break;
      const period = periodOf(Date.parse(backup.createdAt));
      if (!seen.has(period)) kept.add(backup);
      seen.add(period);
    }
  }
  return newestFirst.length === 0 ? [] : backups.filter((backup) => !kept.has(backup));
}

/** Whether nothing was asked for, and so would go all but the newest. */
export function isNothing(retention: Retention): boolean {
  return Object.values(retention).every((value) => value <= 0);
}

/** Removes what is to be removed of each cluster's backups, and tells of each. Throws {@link BackupError} where {@link PruneOptions.upTo} is not there. */
export async function prune(
  store: BackupStore,
  retention: Retention,
  { nowMs, clusterId, upTo, isDryRun, onRemoved }: PruneOptions,
): Promise<void> {
  const all = await store.list();
  const last = upTo === undefined ? null : all.find(({ name }) => name === upTo);
  if (last === undefined) throw new BackupError(`${store.address} has no backup ${upTo}`);
  const clusters = Map.groupBy(all, ({ clusterId }) => clusterId);
  for (const [id, backups] of clusters) {
    if (id !== (last?.clusterId ?? clusterId ?? id)) continue;
    const told = last === null ? backups : backups.slice(0, backups.indexOf(last) + 1);
    for (const backup of toRemove(told, retention, nowMs)) {
      if (!isDryRun) await store.remove(backup);
      onRemoved(backup);
    }
  }
}
