/** The objects of one cluster as Kubernetes has them, and what they say. */
import { isDeepStrictEqual } from 'node:util';
import type {
  KubernetesObject,
  V1ConfigMap,
  V1PersistentVolumeClaim,
  V1Pod,
  V1PodDisruptionBudget,
  V1Secret,
  V1Service,
  V1StatefulSet,
} from '@kubernetes/client-node';
import { trustOf } from '../cluster/certificates.ts';
import {
  budgetOf,
  type Owner,
  RECORD_KEYS,
  servicesOf,
  TEMPLATE_ANNOTATION,
  TRUST_ANNOTATION,
  VERSION_ANNOTATION,
} from '../cluster/manifests.ts';
import { ordinalOf } from '../cluster/names.ts';
import type {
  ClusterRecord,
  Observed,
  RecordedRestore,
  SeenEtcd,
  SeenPod,
  SeenVolume,
  SettledRestore,
  Workload,
} from '../cluster/observed.ts';
import { type EtcdClusterSpec, parseClusterSpec } from '../resources/etcd-cluster.ts';
import { backupSummary, type OwnObject } from './backup-objects.ts';
import { maxBackupAgeMs, seenClusterSchedule } from './cluster-backups.ts';
import { firstRestore } from './restore-objects.ts';
import { seenCertificates } from './seen-certificates.ts';
import { timeOf } from './times.ts';
import { RESTORE_ANNOTATION, seenWorker, VOLUME_ANNOTATION } from './worker-pods.ts';

export const FINALIZER = 'operator.etcd.io/etcdcluster';

/** As the API server hands it out: whatever a user wrote. */
export type EtcdClusterObject = OwnObject;

export interface Parts {
  readonly cluster: EtcdClusterObject;
  readonly services: readonly V1Service[];
  readonly budget: V1PodDisruptionBudget | null;
  readonly workload: V1StatefulSet | null;
  readonly record: V1ConfigMap | null;
  readonly pods: readonly V1Pod[];
  readonly volumes: readonly V1PersistentVolumeClaim[];
  readonly secrets: readonly V1Secret[];
  /** Of cert-manager, where it is there. */
  readonly certificates: readonly KubernetesObject[];
  /** Of the namespace. */
  readonly backups: readonly OwnObject[];
  readonly schedules: readonly OwnObject[];
  readonly restores: readonly OwnObject[];
  /** That restore this cluster. */
  readonly workers: readonly V1Pod[];
}

/** @param gateImage the image with this operator. */
export function observedFrom(
  parts: Parts,
  etcd: SeenEtcd | null,
  silentSinceMs: number | null,
  nowMs: number,
  gateImage: string,
): Observed {
  const { cluster } = parts;
  const meta = cluster.metadata ?? {};
  const name = meta.name ?? '';
  const parsed = parseClusterSpec(cluster.spec);
  const owner = parsed.ok ? ownerOf(parts, parsed.spec, gateImage) : null;
  return {
    nowMs,
    name,
    namespace: meta.namespace ?? '',
    uid: meta.uid ?? '',
    isDeleted: meta.deletionTimestamp !== undefined,
    hasFinalizer: meta.finalizers?.includes(FINALIZER) ?? false,
    spec: parsed,
    hasServices: owner !== null && hasServices(parts, owner),
    workload: parts.workload === null ? null : workloadFrom(parts.workload),
    record: parts.record === null ? null : recordFrom(parts.record),
    certificates: owner === null ? null : seenCertificates(parts.secrets, parts.certificates, owner),
    pods: parts.pods.flatMap((pod) => podFrom(name, pod) ?? []),
    volumes: parts.volumes.flatMap((claim) => volumeFrom(name, claim) ?? []),
    etcd,
    silentSinceMs,
    ...backupsOf(parts, parsed.ok ? parsed.spec : null, nowMs),
  };
}

function backupsOf(
  { cluster, backups, schedules, restores, workers }: Parts,
  spec: EtcdClusterSpec | null,
  nowMs: number,
): Pick<Observed, 'backups' | 'schedule' | 'maxBackupAgeMs' | 'restore' | 'restoreWorkers'> {
  const { name = '', creationTimestamp } = cluster.metadata ?? {};
  const sinceMs = timeOf(creationTimestamp);
  return {
    // What was made before this cluster is of another one, which had its name.
    backups: backups
      .map(backupSummary)
      .filter((backup) => backup.clusterName === name && (backup.finishedMs ?? sinceMs) >= sinceMs),
    schedule: seenClusterSchedule(cluster, schedules),
    maxBackupAgeMs: maxBackupAgeMs(cluster, spec, schedules, nowMs),
    restore: firstRestore(name, restores, backups),
    restoreWorkers: workers.map((pod) => ({
      ...seenWorker(pod),
      restoreUid: pod.metadata?.annotations?.[RESTORE_ANNOTATION] ?? '',
      volumeUid: pod.metadata?.annotations?.[VOLUME_ANNOTATION] ?? '',
    })),
  };
}

export function ownerOf(parts: Parts, spec: EtcdClusterSpec, gateImage: string): Owner {
  const { name = '', namespace = '', uid = '' } = parts.cluster.metadata ?? {};
  const owner = { name, namespace, uid, spec, gateImage, trustedIds: [] };
  return { ...owner, trustedIds: trustOf(seenCertificates(parts.secrets, parts.certificates, owner)) };
}

/** Whether what the operator asks of services and budget is so; what others add to them is theirs. */
function hasServices(parts: Parts, owner: Owner): boolean {
  const services = servicesOf(owner).every((wanted) => {
    const found = parts.services.find(({ metadata }) => metadata?.name === wanted.metadata?.name);
    return found !== undefined && isOwned(found, owner) && includes(found.spec, wanted.spec);
  });
  const { budget } = parts;
  return services && budget !== null && isOwned(budget, owner) && includes(budget.spec, budgetOf(owner).spec);
}

function isOwned(object: KubernetesObject, { uid }: Owner): boolean {
  return object.metadata?.ownerReferences?.some((reference) => reference.uid === uid) ?? false;
}

/** Whether all that is in `part` is in `whole`, too; lists are compared element by element. */
function includes(whole: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return isDeepStrictEqual(whole, part);
  if (typeof whole !== 'object' || whole === null) return false;
  return Object.entries(part).every(([key, value]) =>
    includes((whole as Record<string, unknown>)[key], value),
  );
}

function workloadFrom({ metadata, spec }: V1StatefulSet): Workload {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller === true);
  return {
    uid: metadata?.uid ?? '',
    ownerUid: owner?.uid ?? null,
    replicas: spec?.replicas ?? 1,
    image: spec?.template?.spec?.containers.find(({ name }) => name === 'etcd')?.image ?? '',
    template: metadata?.annotations?.[TEMPLATE_ANNOTATION] ?? '',
    version: metadata?.annotations?.[VERSION_ANNOTATION] ?? '',
    resourceVersion: metadata?.resourceVersion ?? '',
  };
}

/** null: somebody has made something else of it. */
function recordFrom({ metadata, data = {} }: V1ConfigMap): ClusterRecord | null {
  const state = data[RECORD_KEYS.initialClusterState];
  if (state !== 'new' && state !== 'existing') return null;
  const kept = keptFrom(data[RECORD_KEYS.operator] ?? '');
  if (kept === null) return null;
  return {
    resourceVersion: metadata?.resourceVersion ?? '',
    initialCluster: data[RECORD_KEYS.initialCluster] ?? '',
    initialClusterState: state,
    mayStartEmpty: data[RECORD_KEYS.mayStartEmpty] || null,
    ...kept,
  };
}

type Kept = Pick<
  ClusterRecord,
  'disks' | 'isFounded' | 'isCompacted' | 'restore' | 'lastRestore' | 'changedMs'
>;

function keptFrom(text: string): Kept | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { disks, isFounded, isCompacted, changedMs, restore, lastRestore } = value as Record<string, unknown>;
  const isWhole =
    typeof isFounded === 'boolean' && typeof isCompacted === 'boolean' && typeof changedMs === 'number';
  if (!isWhole || typeof disks !== 'object' || disks === null) return null;
  if (!Object.values(disks).every((disk) => typeof disk === 'string')) return null;
  return {
    disks: disks as Readonly<Record<string, string>>,
    isFounded,
    isCompacted,
    // Nobody but an operator writes these.
    restore: (restore ?? null) as RecordedRestore | null,
    lastRestore: (lastRestore ?? null) as SettledRestore | null,
    changedMs,
  };
}

function podFrom(cluster: string, { metadata, status }: V1Pod): SeenPod | null {
  const ordinal = ordinalOf(cluster, metadata?.name ?? '');
  if (ordinal === null) return null;
  const member = status?.containerStatuses?.find(({ name }) => name === 'etcd');
  return {
    ordinal,
    uid: metadata?.uid ?? '',
    template: metadata?.annotations?.[TEMPLATE_ANNOTATION] ?? '',
    trustedIds: (metadata?.annotations?.[TRUST_ANNOTATION] ?? '').split('.').filter((id) => id !== ''),
    createdMs: timeOf(metadata?.creationTimestamp),
    isTerminating: metadata?.deletionTimestamp !== undefined,
    isRunning: member?.state?.running !== undefined,
  };
}

function volumeFrom(cluster: string, { metadata, status }: V1PersistentVolumeClaim): SeenVolume | null {
  const name = metadata?.name ?? '';
  const ordinal = name.startsWith('data-') ? ordinalOf(cluster, name.slice('data-'.length)) : null;
  if (ordinal === null) return null;
  return {
    ordinal,
    name,
    uid: metadata?.uid ?? '',
    isTerminating: metadata?.deletionTimestamp !== undefined,
    isLost: status?.phase === 'Lost',
  };
}
