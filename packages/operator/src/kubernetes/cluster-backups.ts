/** A cluster's own schedule and backups, as its declaration asks for them. */
import { isDeepStrictEqual } from 'node:util';
import { Schedule } from '@etcd/backup';
import type { SeenClusterSchedule } from '../cluster/observed.ts';
import { parseScheduleSpec } from '../resources/backup-spec.ts';
import { TEMPLATE_FIELDS } from '../resources/cluster-backup.ts';
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { API_VERSION } from '../resources/group.ts';
import {
  CLUSTER_UID_ANNOTATION,
  fieldsOf,
  type OwnObject,
  ownerReference,
  PURPOSE_ANNOTATION,
} from './backup-objects.ts';

/** The schedule under the cluster's name. It goes with the cluster; files stay. */
export function clusterSchedule(cluster: OwnObject): OwnObject {
  const { name = '', namespace = '' } = cluster.metadata ?? {};
  const policy = fieldsOf(fieldsOf(cluster.spec)['backup']);
  return {
    apiVersion: API_VERSION,
    kind: 'EtcdBackupSchedule',
    metadata: { name, namespace, ownerReferences: [ownerReference('EtcdCluster', cluster)] },
    spec: { clusterName: name, schedule: policy['schedule'], ...templateOf(policy) },
  };
}

/** One backup; what is made for an upgrade goes with the cluster, a last one does not. */
export function clusterBackup(cluster: OwnObject, name: string, purpose: string): OwnObject {
  const { name: clusterName = '', namespace = '', uid = '' } = cluster.metadata ?? {};
  const annotations = { [PURPOSE_ANNOTATION]: purpose, [CLUSTER_UID_ANNOTATION]: uid };
  const owned = purpose === 'final' ? {} : { ownerReferences: [ownerReference('EtcdCluster', cluster)] };
  return {
    apiVersion: API_VERSION,
    kind: 'EtcdBackup',
    metadata: { name, namespace, annotations, ...owned },
    spec: { clusterName, ...templateOf(fieldsOf(fieldsOf(cluster.spec)['backup'])) },
  };
}

function templateOf(policy: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const given = TEMPLATE_FIELDS.filter((field) => policy[field] !== undefined);
  return Object.fromEntries(given.map((field) => [field, policy[field]]));
}

export function seenClusterSchedule(
  cluster: OwnObject,
  schedules: readonly OwnObject[],
): SeenClusterSchedule {
  const found = schedules.find(({ metadata }) => metadata?.name === cluster.metadata?.name);
  if (found === undefined) return { uid: null, isForeign: false, isAsDeclared: false };
  const isOwned = found.metadata?.ownerReferences?.some(({ uid }) => uid === cluster.metadata?.uid) ?? false;
  const wanted = fieldsOf(clusterSchedule(cluster).spec);
  const spec = fieldsOf(found.spec);
  // Defaults that the API server has filled in are in both, or in neither.
  const isAsDeclared =
    Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(spec[key], value)) &&
    TEMPLATE_FIELDS.every((field) => wanted[field] !== undefined || isDefault(field, spec[field]));
  return { uid: found.metadata?.uid ?? null, isForeign: !isOwned, isAsDeclared };
}

const DEFAULTS: Readonly<Record<string, unknown>> = {
  compression: 'zstd',
  verify: true,
  timeoutSeconds: 21_600,
};

const isDefault = (field: string, value: unknown): boolean =>
  value === undefined || isDeepStrictEqual(value, DEFAULTS[field]);

/** By the declaration, or by the schedules that others have made for the cluster; null: nobody has asked for backups. */
export function maxBackupAgeMs(
  cluster: OwnObject,
  spec: EtcdClusterSpec | null,
  schedules: readonly OwnObject[],
  nowMs: number,
): number | null {
  const given = spec?.backup?.maxAgeMs ?? null;
  if (given !== null) return given;
  const ages = schedules.flatMap((schedule) => {
    const parsed = parseScheduleSpec(schedule.spec);
    if (!parsed.ok || parsed.spec.suspend || parsed.spec.clusterName !== cluster.metadata?.name) return [];
    return [2 * Schedule.parse(parsed.spec.schedule).periodMs(nowMs)];
  });
  return ages.length === 0 ? null : Math.min(...ages);
}
