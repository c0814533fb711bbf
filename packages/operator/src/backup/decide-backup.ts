/** One backup, from its declaration to a file that was verified: one look, one next action. */
import type { BackupSpec, Parsed } from '../resources/backup-spec.ts';
import { type BackupResult, MAX_ATTEMPTS, parseBackupResult, retryAtMs, type SeenWorker } from './worker.ts';

export type BackupPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export interface BackupStatus {
  readonly phase: BackupPhase;
  readonly reason: string;
  readonly message: string;
  /** How many workers there were. */
  readonly attempts: number;
  readonly finishedMs: number | null;
  readonly result: BackupResult | null;
}

export interface SeenBackup {
  readonly nowMs: number;
  readonly name: string;
  readonly isDeleted: boolean;
  readonly spec: Parsed<BackupSpec>;
  /** null: none was written yet. */
  readonly status: BackupStatus | null;
  readonly workers: readonly SeenWorker[];
  /** Whether the cluster has members that may answer. */
  readonly hasMembers: boolean;
}

export type BackupAction =
  | { readonly kind: 'create-worker'; readonly attempt: number }
  | { readonly kind: 'delete-worker'; readonly name: string; readonly uid: string };

export interface BackupDecision {
  readonly action: BackupAction | null;
  readonly status: BackupStatus;
  /** When to look again though nothing has changed; null: never. */
  readonly againMs: number | null;
}

const POLL_MS = 30_000;

export function decideBackup(seen: SeenBackup): BackupDecision {
  const { status, workers } = seen;
  const attempts = Math.max(status?.attempts ?? 0, ...workers.map(({ attempt }) => attempt));
  const say = (
    phase: BackupPhase,
    reason: string,
    message: string,
    action: BackupAction | null = null,
    againMs: number | null = POLL_MS,
  ): BackupDecision => {
    const finishedMs = phase === 'Failed' ? seen.nowMs : null;
    return { action, againMs, status: { phase, reason, message, attempts, finishedMs, result: null } };
  };
  // What is done is done, whatever becomes of the cluster.
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return clear(workers, status);
  if (seen.isDeleted) return say('Failed', 'Deleted', 'the backup was deleted', null, null);
  if (!seen.spec.ok) {
    const problems = seen.spec.problems.map(({ field, problem }) => `${field} ${problem}`);
    return say('Failed', 'InvalidSpec', problems.join('; '), null, null);
  }
  const done = succeeded(seen.nowMs, workers, attempts);
  if (done !== null) return done;
  const running = workers.find(({ phase }) => phase === 'Pending' || phase === 'Running');
  if (running !== undefined) return attend(seen, seen.spec.spec, running, say);
  if (attempts >= MAX_ATTEMPTS) {
    const last = workers.find(({ attempt }) => attempt === attempts);
    return say('Failed', 'WorkerFailed', last?.message || 'its workers ended without a result', null, null);
  }
  const last = workers.find(({ attempt }) => attempt === attempts);
  const readyMs = last === undefined ? 0 : retryAtMs(last);
  if (readyMs > seen.nowMs) return say('Pending', 'Retrying', last!.message, null, readyMs - seen.nowMs);
  if (!seen.hasMembers) return say('Pending', 'NoCluster', 'the cluster has no members yet');
  return say('Running', 'Running', 'a worker is made', { kind: 'create-worker', attempt: attempts + 1 });
}

type Say = (
  phase: BackupPhase,
  reason: string,
  message: string,
  action?: BackupAction | null,
) => BackupDecision;

function attend(seen: SeenBackup, spec: BackupSpec, worker: SeenWorker, say: Say): BackupDecision {
  const { name, uid, createdMs, isTerminating, message } = worker;
  if (isTerminating) return say('Running', 'Stopping', `${name} stops`);
  if (seen.nowMs - createdMs > spec.timeoutSeconds * 1000) {
    const action = { kind: 'delete-worker', name, uid } as const;
    return say('Running', 'TimedOut', `${name} has not finished in ${spec.timeoutSeconds} s`, action);
  }
  return say('Running', worker.phase === 'Pending' ? 'WorkerPending' : 'Running', message || `${name} works`);
}

function succeeded(nowMs: number, workers: readonly SeenWorker[], attempts: number): BackupDecision | null {
  for (const worker of workers) {
    if (worker.phase !== 'Succeeded') continue;
    const result = parseBackupResult(worker.message);
    if (result === null) continue;
    const verified = result.isVerified ? ', and verified' : '';
    const message = `revision ${result.revision} is in ${result.backupName}${verified}`;
    const finishedMs = worker.finishedMs || nowMs;
    const status = {
      phase: 'Succeeded',
      reason: 'Succeeded',
      message,
      attempts,
      finishedMs,
      result,
    } as const;
    return { action: null, status, againMs: 0 };
  }
  return null;
}

/** Pods that have done their work go; one that failed stays, for its log. */
function clear(workers: readonly SeenWorker[], status: BackupStatus): BackupDecision {
  const left = workers.find(
    ({ phase, isTerminating }) => !isTerminating && (phase !== 'Failed' || status.phase === 'Succeeded'),
  );
  if (left === undefined) return { action: null, status, againMs: null };
  return { action: { kind: 'delete-worker', name: left.name, uid: left.uid }, status, againMs: POLL_MS };
}
