/** Copies of all objects that matter, kept up to date by watches: what a look costs nothing. */
import type { Logger } from '@etcd/base';
import {
  type KubernetesListObject,
  type KubernetesObject,
  ListWatch,
  type V1ConfigMap,
  type V1PersistentVolumeClaim,
  type V1Pod,
  type V1PodDisruptionBudget,
  type V1Secret,
  type V1Service,
  type V1StatefulSet,
  Watch,
} from '@kubernetes/client-node';
import { CLUSTER_LABEL, recordName } from '../cluster/manifests.ts';
import { clientUrl } from '../cluster/names.ts';
import { parseClusterSpec } from '../resources/etcd-cluster.ts';
import { ApiError, describeError, type KubernetesApi } from './api.ts';
import { fieldsOf, type OwnObject } from './backup-objects.ts';
import type { BackedUpCluster } from './backup-worker.ts';
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
import type { EtcdClusterObject, Parts } from './parts.ts';
import { WORK_LABEL } from './worker-pods.ts';

/** Watches end all the time; one that can't begin is tried again so much later. */
const RETRY_MS = 5_000;
/** A kind that Kubernetes does not know may be installed one day. */
const UNKNOWN_RETRY_MS = 120_000;

export type OwnKind = 'cluster' | 'backup' | 'schedule' | 'restore';

export interface CachesOptions {
  readonly api: KubernetesApi;
  /** null: all. */
  readonly namespace: string | null;
  readonly logger: Logger;
  /** A resource of this operator, or a part of it, is not as it was. */
  readonly onChange: (kind: OwnKind, namespace: string, name: string) => void;
}

export class Caches {
  readonly #options: CachesOptions;
  readonly #watch: Watch;
  readonly #clusters: ListWatch<EtcdClusterObject>;
  readonly #services: ListWatch<V1Service>;
  readonly #budgets: ListWatch<V1PodDisruptionBudget>;
  readonly #workloads: ListWatch<V1StatefulSet>;
  readonly #records: ListWatch<V1ConfigMap>;
  readonly #pods: ListWatch<V1Pod>;
  readonly #volumes: ListWatch<V1PersistentVolumeClaim>;
  readonly #secrets: ListWatch<V1Secret>;
  readonly #certificates: ListWatch<KubernetesObject>;
  readonly #backups: ListWatch<OwnObject>;
  readonly #schedules: ListWatch<OwnObject>;
  readonly #restores: ListWatch<OwnObject>;
  readonly #workers: ListWatch<V1Pod>;
  readonly #retries = new Set<NodeJS.Timeout>();
  #isStopped = false;

  constructor(options: CachesOptions) {
    this.#options = options;
    this.#watch = new Watch(options.api.config);
    const tellCluster = ({ metadata = {} }: KubernetesObject): void =>
      this.#tell('cluster', metadata.namespace, metadata.labels?.[CLUSTER_LABEL] ?? metadata.name);
    this.#clusters = this.#cache(CLUSTERS, null, ({ metadata = {} }) =>
      this.#tell('cluster', metadata.namespace, metadata.name),
    );
    this.#backups = this.#cache(BACKUPS, null, (backup) => this.#tellBackup(backup));
    this.#schedules = this.#cache(SCHEDULES, null, (schedule) => this.#tellSchedule(schedule));
    this.#restores = this.#cache(RESTORES, null, (restore) => this.#tellRestore(restore));
    this.#workers = this.#cache(PODS, WORK_LABEL, (pod) => this.#tellWorker(pod));
    this.#services = this.#cache(SERVICES, CLUSTER_LABEL, tellCluster);
    this.#records = this.#cache(RECORDS, CLUSTER_LABEL, tellCluster);
    this.#pods = this.#cache(PODS, CLUSTER_LABEL, tellCluster);
    this.#volumes = this.#cache(VOLUMES, CLUSTER_LABEL, tellCluster);
    this.#secrets = this.#cache(SECRETS, CLUSTER_LABEL, tellCluster);
    this.#workloads = this.#cache(WORKLOADS, CLUSTER_LABEL, tellCluster);
    this.#budgets = this.#cache(BUDGETS, CLUSTER_LABEL, tellCluster);
    this.#certificates = this.#cache(CERTIFICATES, CLUSTER_LABEL, tellCluster);
  }

  /** Resolves when all have been listed once. */
  async start(): Promise<void> {
    // The clusters last: whoever is told of one finds its parts.
    await Promise.all(this.#parts().map((cache) => cache.start()));
    await this.#clusters.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const retry of this.#retries) clearTimeout(retry);
    await Promise.all([this.#clusters, ...this.#parts()].map((cache) => cache.stop()));
  }

  parts(namespace: string, name: string): Parts | null {
    const cluster = this.#clusters.get(name, namespace);
    if (cluster === undefined) return null;
    const of = <T extends KubernetesObject>(cache: ListWatch<T>): T[] =>
      cache.list(namespace).filter(({ metadata }) => metadata?.labels?.[CLUSTER_LABEL] === name);
    return {
      cluster,
      services: of(this.#services),
      budget: this.#budgets.get(name, namespace) ?? null,
      workload: this.#workloads.get(name, namespace) ?? null,
      record: this.#records.get(recordName(name), namespace) ?? null,
      pods: of(this.#pods),
      volumes: of(this.#volumes),
      secrets: of(this.#secrets),
      certificates: of(this.#certificates),
      backups: this.#backups.list(namespace),
      schedules: this.#schedules.list(namespace),
      restores: this.#restores.list(namespace),
      workers: this.workersOf(cluster),
    };
  }

  #parts(): readonly Pick<ListWatch<KubernetesObject>, 'start' | 'stop'>[] {
    return [
      this.#services,
      this.#records,
      this.#pods,
      this.#volumes,
      this.#secrets,
      this.#workloads,
      this.#budgets,
      this.#certificates,
      this.#backups,
      this.#schedules,
      this.#restores,
      this.#workers,
    ];
  }

  backup(namespace: string, name: string): OwnObject | null {
    return this.#backups.get(name, namespace) ?? null;
  }

  /** All of a namespace. */
  backups(namespace: string): readonly OwnObject[] {
    return this.#backups.list(namespace);
  }

  restore(namespace: string, name: string): OwnObject | null {
    return this.#restores.get(name, namespace) ?? null;
  }

  cluster(namespace: string, name: string): OwnObject | null {
    return this.#clusters.get(name, namespace) ?? null;
  }

  schedule(namespace: string, name: string): OwnObject | null {
    return this.#schedules.get(name, namespace) ?? null;
  }

  /** The pods that work for a resource. */
  workersOf({ metadata }: KubernetesObject): V1Pod[] {
    return this.#workers
      .list(metadata?.namespace)
      .filter((pod) => pod.metadata?.ownerReferences?.some(({ uid }) => uid === metadata?.uid));
  }

  /** How the members of a cluster are reached; null: there are none. */
  backedUp(namespace: string, name: string): BackedUpCluster | null {
    const parsed = parseClusterSpec(this.#clusters.get(name, namespace)?.spec);
    const replicas = this.#workloads.get(name, namespace)?.spec?.replicas ?? 0;
    if (!parsed.ok || replicas === 0) return null;
    const isSecure = parsed.spec.tls !== null;
    const endpoints = Array.from({ length: replicas }, (_, i) => clientUrl(name, namespace, i, isSecure));
    return { endpoints, isSecure };
  }

  #tell(kind: OwnKind, namespace: string | undefined, name: string | undefined): void {
    if (namespace !== undefined && name !== undefined && name !== '')
      this.#options.onChange(kind, namespace, name);
  }

  #tellBackup({ metadata = {}, spec }: OwnObject): void {
    this.#tell('backup', metadata.namespace, metadata.name);
    this.#tell('cluster', metadata.namespace, String(fieldsOf(spec)['clusterName'] ?? ''));
    const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'EtcdBackupSchedule');
    this.#tell('schedule', metadata.namespace, owner?.name);
  }

  #tellSchedule({ metadata = {}, spec }: OwnObject): void {
    this.#tell('schedule', metadata.namespace, metadata.name);
    this.#tell('cluster', metadata.namespace, String(fieldsOf(spec)['clusterName'] ?? ''));
  }

  #tellRestore({ metadata = {}, spec }: OwnObject): void {
    this.#tell('restore', metadata.namespace, metadata.name);
    this.#tell('cluster', metadata.namespace, String(fieldsOf(spec)['clusterName'] ?? ''));
  }

  #tellWorker({ metadata = {} }: KubernetesObject): void {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
    this.#tell(owner?.kind === 'EtcdBackup' ? 'backup' : 'cluster', metadata.namespace, owner?.name);
  }

  /** @param selector a label that all have; null: all of the kind. */
  #cache<T extends KubernetesObject>(
    collection: Collection,
    selector: string | null,
    onChange: (object: T) => void,
  ): ListWatch<T> {
    const { api, namespace } = this.#options;
    const { group, plural } = collection;
    const path = namespace === null ? `${group}/${plural}` : `${group}/namespaces/${namespace}/${plural}`;
    const list = (): Promise<KubernetesListObject<T>> =>
      api.list<T>(collection, namespace, selector ?? undefined);
    const cache = new ListWatch<T>(path, this.#watch, list, false, selector ?? undefined);
    cache.on('change', onChange);
    cache.on('error', (error: unknown) => this.#onError(plural, cache, error));
    return cache;
  }

  #onError(plural: string, cache: Pick<ListWatch<KubernetesObject>, 'start'>, error: unknown): void {
    if (this.#isStopped) return;
    const { logger } = this.#options;
    const isUnknown = error instanceof ApiError && error.code === 404;
    if (!isUnknown) logger.warn('a watch has ended', { of: plural, error: describeError(error) });
    const again = (): void => {
      this.#retries.delete(retry);
      cache
        .start()
        .catch((problem: unknown) =>
          logger.warn('a watch can not begin', { of: plural, error: describeError(problem) }),
        );
    };
    const retry = setTimeout(again, isUnknown ? UNKNOWN_RETRY_MS : RETRY_MS);
    this.#retries.add(retry);
  }
}
