/** Backups that belong to a cluster's own life: its schedule, one before members get another image, and a last one. */
import type { BackupSummary } from '../backup/decide-schedule.ts';
import { act, type Decision, wait } from './action.ts';
import type { Observed } from './observed.ts';
import type { ClusterView } from './view.ts';

/** A backup of that age is still one from before the upgrade. */
const BEFORE_UPGRADE_MS = 3_600_000;
const WITHOUT = 'spec.backup.final: false goes without';

export function keepSchedule({ seen, spec }: ClusterView): Decision | null {
  const { schedule } = seen;
  if (schedule.isForeign) return null;
  const wanted = spec.backup?.schedule ?? null;
  if (wanted !== null && !schedule.isAsDeclared)
    return act({ kind: 'apply-schedule' }, 'BackingUp', `backups are made on the schedule ${wanted}`);
  if (wanted === null && schedule.uid !== null)
    return act(
      { kind: 'delete-schedule', uid: schedule.uid },
      'BackingUp',
      'no schedule is asked for any more',
    );
  return null;
}

/** null: there is a backup that is fresh enough, or nobody has asked for one. */
export function backUpFirst({ seen, spec }: ClusterView): Decision | null {
  if (spec.backup?.beforeUpgrade !== true) return null;
  const purpose = `upgrade to ${spec.version}`;
  const made = seen.backups.filter(
    (backup) => backup.purpose === purpose && seen.nowMs - backup.createdMs < BEFORE_UPGRADE_MS,
  );
  const name = `${seen.name}-upgrade-${Math.floor(seen.nowMs / 1000)}`;
  return awaitBackup(made, name, purpose, 'Progressing');
}

/** null: it is there, or can't be: nobody has asked for it, or there never was anything to back up. */
export function backUpLast(seen: Observed): Decision | null {
  const { spec, record, workload } = seen;
  if (!spec.ok || spec.spec.backup?.final !== true) return null;
  if (record?.isFounded !== true || (workload !== null && workload.ownerUid !== seen.uid)) return null;
  const name = `${seen.name}-final-${seen.uid.slice(0, 8)}`;
  const made = seen.backups.filter((backup) => backup.name === name);
  const awaited = awaitBackup(made, name, 'final', 'Deleting');
  // Somebody has deleted the stateful set, or a restore was under way.
  if (workload === null && awaited?.action != null)
    return wait('Deleting', 'BackupFailed', `no members are left to back up; ${WITHOUT}`);
  return awaited;
}

function awaitBackup(
  made: readonly BackupSummary[],
  name: string,
  purpose: string,
  phase: 'Progressing' | 'Deleting',
): Decision | null {
  if (made.some((backup) => backup.phase === 'Succeeded')) return null;
  const active = made.find((backup) => backup.phase !== 'Failed');
  if (active !== undefined)
    return wait(phase, 'BackingUp', `${active.name} is made first: ${active.message}`);
  const [failed] = made;
  if (failed === undefined)
    return act({ kind: 'create-backup', name, purpose }, 'BackingUp', `${name} is made first`);
  const wayOut = phase === 'Deleting' ? WITHOUT : 'tried again an hour later';
  const degraded = phase === 'Deleting' ? 'Deleting' : 'Degraded';
  return wait(degraded, 'BackupFailed', `${failed.name} failed: ${failed.message}; ${wayOut}`);
}
