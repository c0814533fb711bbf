/** Backups and their schedules as Kubernetes has them, and what they say. */
import type { KubernetesObject, V1OwnerReference, V1Pod } from '@kubernetes/client-node';
import type { BackupPhase, BackupStatus, SeenBackup } from '../backup/decide-backup.ts';
import type { BackupSummary, ScheduleStatus, SeenSchedule } from '../backup/decide-schedule.ts';
import { parseBackupResult } from '../backup/worker.ts';
import { parseBackupSpec, parseScheduleSpec } from '../resources/backup-spec.ts';
import { API_VERSION } from '../resources/group.ts';
import { timeOf, timeOrNull, timeText } from './times.ts';
import { seenWorker } from './worker-pods.ts';

/** When a backup was due that a schedule has asked for. */
const DUE_ANNOTATION = 'operator.etcd.io/due';
/** Why the operator has made a backup by itself. */
export const PURPOSE_ANNOTATION = 'operator.etcd.io/purpose';
/** The identity of the cluster that a backup was made for by itself. */
export const CLUSTER_UID_ANNOTATION = 'operator.etcd.io/cluster-uid';

/** As the API server hands it out: whatever a user wrote. */
export interface OwnObject extends KubernetesObject {
  readonly spec?: unknown;
  readonly status?: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

export const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};

export function ownerReference(kind: string, { metadata }: KubernetesObject): V1OwnerReference {
  const { name = '', uid = '' } = metadata ?? {};
  return { apiVersion: API_VERSION, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

export function seenBackup(
  backup: OwnObject,
  pods: readonly V1Pod[],
  hasMembers: boolean,
  nowMs: number,
): SeenBackup {
  return {
    nowMs,
    name: backup.metadata?.name ?? '',
    isDeleted: backup.metadata?.deletionTimestamp !== undefined,
    spec: parseBackupSpec(backup.spec),
    status: backupStatusFrom(backup.status),
    workers: pods.map(seenWorker),
    hasMembers,
  };
}

const PHASES: readonly BackupPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed'];

/** null: none was written yet. */
function backupStatusFrom(value: unknown): BackupStatus | null {
  const { phase, reason, message, attempts, finishedAt, ...rest } = fieldsOf(value);
  const known = PHASES.find((each) => each === phase);
  if (known === undefined) return null;
  return {
    phase: known,
    reason: String(reason ?? ''),
    message: String(message ?? ''),
    attempts: typeof attempts === 'number' ? attempts : 0,
    finishedMs: timeOrNull(finishedAt),
    result: parseBackupResult(JSON.stringify(rest)),
  };
}

export function backupStatusObject(status: BackupStatus, generation: number): object {
  const { finishedMs, result, ...rest } = status;
  const finishedAt = timeText(finishedMs);
  return {
    observedGeneration: generation,
    ...rest,
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...result,
  };
}

export function backupSummary(backup: OwnObject): BackupSummary {
  const { metadata } = backup;
  const status = backupStatusFrom(backup.status);
  const spec = parseBackupSpec(backup.spec);
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    clusterName: String(fieldsOf(backup.spec)['clusterName'] ?? ''),
    phase: status?.phase ?? 'Pending',
    isDeleted: metadata?.deletionTimestamp !== undefined,
    createdMs: timeOf(metadata?.creationTimestamp),
    finishedMs: status?.finishedMs ?? null,
    isVerified: status?.result?.isVerified ?? false,
    wantsVerified: spec.ok && spec.spec.verify,
    dueMs: timeOrNull(metadata?.annotations?.[DUE_ANNOTATION]),
    ownerUid: metadata?.ownerReferences?.find(({ controller }) => controller === true)?.uid ?? '',
    purpose: metadata?.annotations?.[PURPOSE_ANNOTATION] ?? '',
    message: status?.message ?? '',
  };
}

export function seenSchedule(
  schedule: OwnObject,
  backups: readonly OwnObject[],
  nowMs: number,
): SeenSchedule {
  const { metadata } = schedule;
  const uid = metadata?.uid ?? '';
  return {
    nowMs,
    name: metadata?.name ?? '',
    uid,
    createdMs: timeOf(metadata?.creationTimestamp),
    isDeleted: metadata?.deletionTimestamp !== undefined,
    spec: parseScheduleSpec(schedule.spec),
    lastDueMs: timeOrNull(fieldsOf(schedule.status)['lastScheduledAt']),
    backups: backups.map(backupSummary).filter(({ ownerUid }) => ownerUid === uid),
  };
}

export function scheduleStatusObject(status: ScheduleStatus, generation: number): object {
  const { reason, message, lastDueMs, lastSuccessMs, nextMs } = status;
  const times = {
    lastScheduledAt: timeText(lastDueMs),
    lastSuccessAt: timeText(lastSuccessMs),
    nextAt: reason === 'Waiting' ? timeText(nextMs) : undefined,
  };
  const known = Object.entries(times).filter(([, time]) => time !== undefined);
  return { observedGeneration: generation, reason, message, ...Object.fromEntries(known) };
}

/** A backup as a schedule asks for it: its spec is the schedule's, without what is the schedule's own. */
export function scheduledBackup(schedule: OwnObject, name: string, dueMs: number): OwnObject {
  const { schedule: _schedule, suspend: _suspend, historyLimit: _limit, ...spec } = fieldsOf(schedule.spec);
  return {
    apiVersion: API_VERSION,
    kind: 'EtcdBackup',
    metadata: {
      name,
      ...(schedule.metadata?.namespace === undefined ? {} : { namespace: schedule.metadata.namespace }),
      annotations: { [DUE_ANNOTATION]: new Date(dueMs).toISOString() },
      ownerReferences: [ownerReference('EtcdBackupSchedule', schedule)],
    },
    spec,
  };
}
