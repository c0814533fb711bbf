/** Which backup to restore from, or to ask for its age. */
import type { BackupSummary } from './decide-schedule.ts';

/** The newest that was verified, or that nobody has asked to verify; null: there is none. */
export function newestGood(backups: readonly BackupSummary[]): BackupSummary | null {
  return newest(backups.filter(({ isVerified, wantsVerified }) => isVerified || !wantsVerified));
}

export function newestVerified(backups: readonly BackupSummary[]): BackupSummary | null {
  return newest(backups.filter(({ isVerified }) => isVerified));
}

function newest(backups: readonly BackupSummary[]): BackupSummary | null {
  const done = backups.filter(({ phase }) => phase === 'Succeeded');
  return done.reduce<BackupSummary | null>(
    (best, one) => (best === null || (one.finishedMs ?? 0) >= (best.finishedMs ?? 0) ? one : best),
    null,
  );
}
