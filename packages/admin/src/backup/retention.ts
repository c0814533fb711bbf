/**
 * Which backups stay: the last few, those of the last days, and of every hour, day, week and month the newest, as far back as asked.
 * The newest of all stays whatever is asked.
 */
import type { BackupMetadata } from './metadata.ts';

export interface Retention {
  readonly last: number;
  /** 0: none for its age alone. */
  readonly withinMs: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
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

/** @param backups the newest last. */
export function toRemove(
  backups: readonly BackupMetadata[],
  retention: Retention,
  nowMs: number,
): BackupMetadata[] {
  const newestFirst = backups.toReversed();
  const kept = new Set(newestFirst.slice(0, Math.max(1, retention.last)));
  for (const backup of backups) {
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
  return backups.filter((backup) => !kept.has(backup));
}
