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
import { ApiError, describeError, type KubernetesApi } from './api.ts';
import {
  BUDGETS,
  CERTIFICATES,
  CLUSTERS,
  type Collection,
  PODS,
  RECORDS,
  SECRETS,
  SERVICES,
  VOLUMES,
  WORKLOADS,
} from './collections.ts';
import type { EtcdClusterObject, Parts } from './parts.ts';

/** Watches end all the time; one that can't begin is tried again so much later. */
const RETRY_MS = 5_000;
/** A kind that Kubernetes does not know may be installed one day. */
const UNKNOWN_RETRY_MS = 120_000;

export interface CachesOptions {
  readonly api: KubernetesApi;
  /** null: all. */
  readonly namespace: string | null;
  readonly logger: Logger;
  /** A cluster, or a part of it, is not as it was. */
  readonly onChange: (namespace: string, name: string) => void;
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
  readonly #retries = new Set<NodeJS.Timeout>();
  #isStopped = false;

  constructor(options: CachesOptions) {
    this.#options = options;
    this.#watch = new Watch(options.api.config);
    this.#clusters = this.#cache(CLUSTERS, null);
    this.#services = this.#cache(SERVICES, CLUSTER_LABEL);
    this.#records = this.#cache(RECORDS, CLUSTER_LABEL);
    this.#pods = this.#cache(PODS, CLUSTER_LABEL);
    this.#volumes = this.#cache(VOLUMES, CLUSTER_LABEL);
    this.#secrets = this.#cache(SECRETS, CLUSTER_LABEL);
    this.#workloads = this.#cache(WORKLOADS, CLUSTER_LABEL);
    this.#budgets = this.#cache(BUDGETS, CLUSTER_LABEL);
    this.#certificates = this.#cache(CERTIFICATES, CLUSTER_LABEL);
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
    ];
  }

  /** @param selector a label that names the cluster; null: they are the clusters themselves. */
  #cache<T extends KubernetesObject>(collection: Collection, selector: string | null): ListWatch<T> {
    const { api, namespace, onChange } = this.#options;
    const { group, plural } = collection;
    const path = namespace === null ? `${group}/${plural}` : `${group}/namespaces/${namespace}/${plural}`;
    const list = (): Promise<KubernetesListObject<T>> =>
      api.list<T>(collection, namespace, selector ?? undefined);
    const cache = new ListWatch<T>(path, this.#watch, list, false, selector ?? undefined);
    cache.on('change', ({ metadata = {} }: KubernetesObject): void => {
      const name = selector === null ? metadata.name : metadata.labels?.[selector];
      if (name !== undefined && metadata.namespace !== undefined) onChange(metadata.namespace, name);
    });
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
