/** Looks at the parts of a cluster, and changes them. */
import type { KubernetesObject, V1Secret } from '@kubernetes/client-node';
import type { Action } from '../cluster/action.ts';
import { type Role, secretName } from '../cluster/certificates.ts';
import {
  budgetOf,
  CLUSTER_LABEL,
  memberVolume,
  type Owner,
  recordMap,
  recordName,
  servicesOf,
  workloadOf,
} from '../cluster/manifests.ts';
import { memberName } from '../cluster/names.ts';
import { ApiError, type JsonPatchOperation, type KubernetesApi } from './api.ts';
import { certificateRequests } from './certificate-requests.ts';
import { clusterBackup, clusterSchedule } from './cluster-backups.ts';
import {
  BACKUPS,
  BUDGETS,
  CERTIFICATES,
  CLUSTERS,
  type Collection,
  PODS,
  RECORDS,
  RESTORES,
  SCHEDULES,
  SECRETS,
  SERVICES,
  VOLUMES,
  WORKLOADS,
} from './collections.ts';
import { createEvent, type EventOptions } from './events.ts';
import { authoritySecret, certificateSecret, withoutExpired, withTrust } from './issue-secrets.ts';
import { type EtcdClusterObject, FINALIZER, type Parts } from './parts.ts';
import { quorumRestore, restoreWorker } from './restore-objects.ts';
import { WORK_LABEL } from './worker-pods.ts';

export class Platform {
  readonly #api: KubernetesApi;

  constructor(api: KubernetesApi) {
    this.#api = api;
  }

  /** How things are now, not as a cache has them; null: there is no such resource. */
  async read(namespace: string, name: string): Promise<Parts | null> {
    const api = this.#api;
    const cluster = await api.read<EtcdClusterObject>(CLUSTERS, namespace, name);
    if (cluster === null) return null;
    const selector = `${CLUSTER_LABEL}=${name}`;
    const listed = async <T extends KubernetesObject>(collection: Collection): Promise<T[]> =>
      (await api.list<T>(collection, namespace, selector)).items;
    const [services, budget, workload, record, pods, volumes, secrets, certificates, own] = await Promise.all(
      [
        listed<NonNullable<Parts['services'][number]>>(SERVICES),
        api.read<NonNullable<Parts['budget']>>(BUDGETS, namespace, name),
        api.read<NonNullable<Parts['workload']>>(WORKLOADS, namespace, name),
        api.read<NonNullable<Parts['record']>>(RECORDS, namespace, recordName(name)),
        listed<Parts['pods'][number]>(PODS),
        listed<Parts['volumes'][number]>(VOLUMES),
        listed<V1Secret>(SECRETS),
        asksManager(cluster) ? this.#requests(namespace, selector) : [],
        this.#readBackups(cluster),
      ],
    );
    return { cluster, services, budget, workload, record, pods, volumes, secrets, certificates, ...own };
  }

  /** Does what an action asks of Kubernetes; false: it is not for Kubernetes. Rejects where the API server refuses. */
  async perform(action: Action, parts: Parts, owner: Owner, nowMs: number): Promise<boolean> {
    const { cluster } = parts;
    const { namespace, name } = owner;
    const api = this.#api;
    switch (action.kind) {
      case 'add-finalizer':
        await this.#writeFinalizers(cluster, (finalizers) => [...finalizers, FINALIZER]);
        return true;
      case 'remove-finalizer':
        await this.#writeFinalizers(cluster, (finalizers) => finalizers.filter((each) => each !== FINALIZER));
        return true;
      case 'apply-services':
        for (const service of servicesOf(owner)) await api.apply(SERVICES, namespace, service);
        await api.apply(BUDGETS, namespace, budgetOf(owner));
        return true;
      case 'write-record':
      case 'compact': {
        const body = recordMap(owner, action.record);
        if (action.record.resourceVersion === null) await api.create(RECORDS, namespace, body);
        else await api.replace(RECORDS, namespace, recordName(name), body);
        return true;
      }
      case 'create-workload':
        await api.create(WORKLOADS, namespace, workloadOf(owner, action.replicas));
        return true;
      case 'scale-workload':
        await this.#patchWorkload(owner, action.resourceVersion, [
          { op: 'replace', path: '/spec/replicas', value: action.replicas },
        ]);
        return true;
      case 'update-template': {
        const { metadata, spec } = workloadOf(owner, 0);
        await this.#patchWorkload(owner, action.resourceVersion, [
          { op: 'replace', path: '/spec/template', value: spec!.template },
          { op: 'add', path: '/metadata/annotations', value: metadata!.annotations },
        ]);
        return true;
      }
      default:
        return (
          (await this.#certify(action, parts, owner, nowMs)) ||
          (await this.#backUp(action, cluster, owner)) ||
          (await this.#remove(action, owner))
        );
    }
  }

  /** Rejects where the API server refuses: nothing depends on it. */
  async tellEvent(cluster: EtcdClusterObject, event: EventOptions, nowMs: number): Promise<void> {
    await createEvent(this.#api, cluster, event, nowMs);
  }

  /** Replaces the whole status. */
  async writeStatus({ namespace, name }: Owner, status: object): Promise<void> {
    await this.#api.patch(
      CLUSTERS,
      namespace,
      name,
      [{ op: 'add', path: '/status', value: status }],
      'status',
    );
  }

  async #readBackups(
    cluster: EtcdClusterObject,
  ): Promise<Pick<Parts, 'backups' | 'schedules' | 'restores' | 'workers'>> {
    const namespace = cluster.metadata?.namespace ?? '';
    const [backups, schedules, restores, pods] = await Promise.all([
      this.#api.list<EtcdClusterObject>(BACKUPS, namespace),
      this.#api.list<EtcdClusterObject>(SCHEDULES, namespace),
      this.#api.list<EtcdClusterObject>(RESTORES, namespace),
      this.#api.list<Parts['workers'][number]>(PODS, namespace, `${WORK_LABEL}=restore`),
    ]);
    const workers = pods.items.filter(({ metadata }) =>
      metadata?.ownerReferences?.some(({ uid }) => uid === cluster.metadata?.uid),
    );
    return { backups: backups.items, schedules: schedules.items, restores: restores.items, workers };
  }

  async #backUp(action: Action, cluster: EtcdClusterObject, owner: Owner): Promise<boolean> {
    const { namespace, name } = owner;
    const api = this.#api;
    switch (action.kind) {
      case 'apply-schedule':
        await api.apply(SCHEDULES, namespace, clusterSchedule(cluster));
        return true;
      case 'delete-schedule':
        await api.delete(SCHEDULES, namespace, name, { preconditions: { uid: action.uid } });
        return true;
      case 'create-backup':
        await api.create(BACKUPS, namespace, clusterBackup(cluster, action.name, action.purpose));
        return true;
      case 'create-volume':
        await api.create(VOLUMES, namespace, memberVolume(owner, action.ordinal));
        return true;
      case 'create-restore-worker':
        await api.create(
          PODS,
          namespace,
          restoreWorker(owner, action.restore, action.attempt, action.volumeUid),
        );
        return true;
      case 'settle-restore': {
        const { uid, isOk, message } = action;
        const phase = isOk ? 'Succeeded' : 'Failed';
        const status = { phase, message, finishedAt: new Date().toISOString() };
        const change: readonly JsonPatchOperation[] = [
          { op: 'test', path: '/metadata/uid', value: uid },
          { op: 'add', path: '/status', value: status },
        ];
        await api.patch(RESTORES, namespace, action.name, change, 'status');
        return true;
      }
      case 'request-restore':
        await api.create(RESTORES, namespace, quorumRestore(owner, action.name, action.backup));
        return true;
      default:
        return false;
    }
  }

  /** Whoever has no cert-manager has no such kind. */
  async #requests(namespace: string, selector: string): Promise<readonly KubernetesObject[]> {
    try {
      return (await this.#api.list(CERTIFICATES, namespace, selector)).items;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return [];
      throw error;
    }
  }

  async #certify(action: Action, { secrets }: Parts, owner: Owner, nowMs: number): Promise<boolean> {
    const { namespace, name } = owner;
    const secretOf = (role: Role | 'ca'): V1Secret | undefined =>
      secrets.find(({ metadata }) => metadata?.name === secretName(name, role));
    const find = (role: Role | 'ca'): V1Secret => {
      const found = secretOf(role);
      if (found === undefined) throw new Error(`the secret ${secretName(name, role)} is gone`);
      return found;
    };
    // One that can't be read is decided upon as one that is not there; what is made takes its place.
    const versionOf = (role: Role | 'ca'): string | null => secretOf(role)?.metadata?.resourceVersion ?? null;
    switch (action.kind) {
      case 'make-authority': {
        const secret = await authoritySecret(
          owner,
          secrets,
          action.resourceVersion ?? versionOf('ca'),
          nowMs,
        );
        await this.#writeSecret(namespace, secret);
        return true;
      }
      case 'retire-authorities':
        await this.#writeSecret(namespace, withoutExpired(owner, find('ca'), nowMs));
        return true;
      case 'issue-certificate': {
        const { role } = action;
        const resourceVersion = action.resourceVersion ?? versionOf(role);
        const secret = await certificateSecret(owner, role, find('ca'), resourceVersion, nowMs);
        await this.#writeSecret(namespace, secret);
        return true;
      }
      case 'spread-trust':
        await this.#writeSecret(namespace, withTrust(owner, action.role, find(action.role), find('ca')));
        return true;
      case 'request-certificates':
        for (const request of certificateRequests(owner))
          await this.#api.apply(CERTIFICATES, namespace, request);
        return true;
      default:
        return false;
    }
  }

  async #writeSecret(namespace: string, secret: V1Secret): Promise<void> {
    const { name = '', resourceVersion } = secret.metadata ?? {};
    if (resourceVersion === undefined) await this.#api.create(SECRETS, namespace, secret);
    else await this.#api.replace(SECRETS, namespace, name, secret);
  }

  async #remove(action: Action, { namespace, name }: Owner): Promise<boolean> {
    const api = this.#api;
    switch (action.kind) {
      case 'delete-workload':
        await api.delete(WORKLOADS, namespace, name, {
          preconditions: { uid: action.uid },
          propagationPolicy: 'Foreground',
        });
        return true;
      case 'delete-pod': {
        const preconditions = { uid: action.uid };
        await api.delete(PODS, namespace, memberName(name, action.ordinal), { preconditions });
        return true;
      }
      case 'evict-pod':
        await api.evict(PODS, namespace, memberName(name, action.ordinal), action.uid);
        return true;
      case 'delete-volume':
        await api.delete(VOLUMES, namespace, action.name, { preconditions: { uid: action.uid } });
        return true;
      default:
        return false;
    }
  }

  /** Refused where the resource has changed since it was read: another's finalizers are not written over. */
  async #writeFinalizers(
    cluster: EtcdClusterObject,
    change: (before: readonly string[]) => string[],
  ): Promise<void> {
    const { name = '', namespace = '', resourceVersion, finalizers = [] } = cluster.metadata ?? {};
    await this.#api.patch(CLUSTERS, namespace, name, [
      { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
      { op: 'add', path: '/metadata/finalizers', value: change(finalizers) },
    ]);
  }

  async #patchWorkload(
    { namespace, name }: Owner,
    resourceVersion: string,
    changes: readonly JsonPatchOperation[],
  ): Promise<void> {
    await this.#api.patch(WORKLOADS, namespace, name, [
      { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
      ...changes,
    ]);
  }
}

/** Whether the declaration names an issuer of cert-manager. */
function asksManager({ spec }: EtcdClusterObject): boolean {
  const tls = (spec as { readonly tls?: { readonly provider?: unknown } } | undefined)?.tls;
  return tls?.provider === 'cert-manager';
}
