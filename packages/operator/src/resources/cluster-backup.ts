/** How a cluster is backed up: a field of `EtcdCluster` of this operator's own. */
import { type BackupTemplate, readSchedule, readTemplate } from './backup-spec.ts';
import type { FieldReader } from './fields.ts';

const MINUTE_MS = 60_000;
const MAX_AGE_MS = 366 * 86_400_000;

export interface ClusterBackupPolicy extends BackupTemplate {
  /** An interval, or a cron expression in UTC; null: only what follows. */
  readonly schedule: string | null;
  /** The newest good backup may be so old; null: twice the time from one to the next. */
  readonly maxAgeMs: number | null;
  /** Whether another image is given to members only after a backup. */
  readonly beforeUpgrade: boolean;
  /** Whether a cluster that is deleted is backed up first. */
  readonly final: boolean;
}

/** Fields of the policy that backups and schedules have under the same names. */
export const TEMPLATE_FIELDS = [
  'store',
  'encryption',
  'compression',
  'verify',
  'retention',
  'timeoutSeconds',
] as const;

/** @param value `spec.backup` */
export function readClusterBackup(reader: FieldReader, value: unknown): ClusterBackupPolicy | null {
  const fields = reader.optionalRecord(value, 'spec.backup');
  if (fields === null) return null;
  const maxAge = fields['maxAge'];
  return {
    ...readTemplate(reader, fields, 'spec.backup'),
    schedule:
      fields['schedule'] === undefined
        ? null
        : readSchedule(reader, fields['schedule'], 'spec.backup.schedule'),
    maxAgeMs:
      maxAge === undefined
        ? null
        : reader.durationMs(maxAge, 'spec.backup.maxAge', MINUTE_MS, MAX_AGE_MS, MAX_AGE_MS),
    beforeUpgrade: reader.flag(fields['beforeUpgrade'], 'spec.backup.beforeUpgrade', true),
    final: reader.flag(fields['final'], 'spec.backup.final'),
  };
}
