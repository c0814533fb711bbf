/** When the next backup of a cluster is made, and which resources of former ones stay. */
import { Schedule } from '@etcd/backup';
import type { Parsed, ScheduleSpec } from '../resources/backup-spec.ts';
import type { BackupPhase } from './decide-backup.ts';
import { newestGood } from './newest.ts';

/** A backup as others than itself see it. */
export interface BackupSummary {
  readonly name: string;
  readonly uid: string;
  readonly clusterName: string;
  readonly phase: BackupPhase;
  readonly isDeleted: boolean;
  readonly createdMs: number;
  readonly finishedMs: number | null;
  readonly isVerified: boolean;
  /** What it was asked to be. */
  readonly wantsVerified: boolean;
  /** When it was due; null: no schedule has asked for it. */
  readonly dueMs: number | null;
  /** Of the schedule that has asked for it, or the cluster; empty: nobody's. */
  readonly ownerUid: string;
  readonly purpose: string;
  readonly message: string;
}

export interface SeenSchedule {
  readonly nowMs: number;
  readonly name: string;
  readonly uid: string;
  readonly createdMs: number;
  readonly isDeleted: boolean;
  readonly spec: Parsed<ScheduleSpec>;
  /** When the last one was due that was made; null: none yet. */
  readonly lastDueMs: number | null;
  /** Those that this schedule has asked for. */
  readonly backups: readonly BackupSummary[];
}

export type ScheduleAction =
  /** The name says when it was due: asked twice, there is one. */
  | { readonly kind: 'create-backup'; readonly name: string; readonly dueMs: number }
  | { readonly kind: 'delete-backup'; readonly name: string; readonly uid: string };

export interface ScheduleStatus {
  readonly reason: string;
  readonly message: string;
  readonly lastDueMs: number | null;
  readonly lastSuccessMs: number | null;
  readonly nextMs: number | null;
}

export interface ScheduleDecision {
  readonly action: ScheduleAction | null;
  readonly status: ScheduleStatus;
  readonly againMs: number | null;
}

const MAX_WAIT_MS = 3_600_000;

export function decideSchedule(seen: SeenSchedule): ScheduleDecision {
  const { backups, nowMs } = seen;
  const lastDueMs = maximum([seen.lastDueMs, ...backups.map(({ dueMs }) => dueMs)]);
  const good = backups.filter(({ phase }) => phase === 'Succeeded');
  const lastSuccessMs = maximum(good.map(({ finishedMs }) => finishedMs));
  const say = (
    reason: string,
    message: string,
    nextMs: number | null,
    action: ScheduleAction | null = null,
  ): ScheduleDecision => ({
    action,
    status: { reason, message, lastDueMs, lastSuccessMs, nextMs },
    againMs: nextMs === null ? null : Math.min(MAX_WAIT_MS, Math.max(0, nextMs - nowMs)),
  });
  if (seen.isDeleted) return say('Deleted', 'the schedule is deleted', null);
  if (!seen.spec.ok) {
    const problems = seen.spec.problems.map(({ field, problem }) => `${field} ${problem}`);
    return say('InvalidSpec', problems.join('; '), null);
  }
  const { spec } = seen.spec;
  const stale = toForget(backups, spec.historyLimit);
  if (stale !== null) {
    const action = { kind: 'delete-backup', name: stale.name, uid: stale.uid } as const;
    return say('Forgetting', `${stale.name} is one too many`, nowMs, action);
  }
  if (spec.suspend) return say('Suspended', 'nothing is made while spec.suspend is set', null);
  // The first comes at once.
  const dueMs = lastDueMs === null ? seen.createdMs : nextDueMs(spec.schedule, lastDueMs, nowMs);
  if (dueMs > nowMs) return say('Waiting', 'the next backup is not due yet', dueMs);
  const active = backups.find(({ phase }) => phase === 'Pending' || phase === 'Running');
  // Its end is an event, which has this looked at again.
  if (active !== undefined) return say('Active', `${active.name} is not done yet`, nowMs + MAX_WAIT_MS);
  const name = `${seen.name}-${Math.floor(dueMs / 1000)}`;
  return say('Due', `${name} is made`, nowMs, { kind: 'create-backup', name, dueMs });
}

/** Of those that were missed, the last. */
function nextDueMs(text: string, lastMs: number, nowMs: number): number {
  const schedule = Schedule.parse(text);
  let dueMs = schedule.nextMs(lastMs);
  if (dueMs > nowMs) return dueMs;
  const periodMs = schedule.periodMs(lastMs);
  // Far behind, as after a long pause: on from shortly before now, in steps that there are few of.
  if (nowMs - dueMs > periodMs * 2) dueMs = Math.max(dueMs, schedule.nextMs(nowMs - periodMs * 2));
  for (;;) {
    const nextMs = schedule.nextMs(dueMs);
    if (nextMs > nowMs || nextMs <= dueMs) return dueMs;
    dueMs = nextMs;
  }
}

/** The oldest resource that is one too many; the newest good backup keeps its own. */
function toForget(backups: readonly BackupSummary[], limit: number): BackupSummary | null {
  const finished = backups
    .filter(({ phase, isDeleted }) => !isDeleted && (phase === 'Succeeded' || phase === 'Failed'))
    .sort((a, b) => a.createdMs - b.createdMs);
  if (finished.length <= limit) return null;
  const newest = newestGood(backups);
  return finished.find((backup) => backup !== newest) ?? null;
}

function maximum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}
