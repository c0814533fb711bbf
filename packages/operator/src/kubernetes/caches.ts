/** Copies of all objects that matter, kept up to date by watches: what a look costs nothing. */

import type { Logger } from '@etcd/base';
import {
  type Informer,
  type KubernetesListObject,
  type KubernetesObject,
  makeInformer,
  type ObjectCache,
  type V1ConfigMap,
  type V1PersistentVolumeClaim,
  type V1Pod,
  type V1PodDisruptionBudget,
  type V1Service,
  type V1StatefulSet,
} from '@kubernetes/client-node';
import { CLUSTER_LABEL, recordName } from '../cluster/manifests.ts';
import { API_VERSION, GROUP, VERSION } from '../resources/etcd-cluster.ts';
import { describeError, type KubernetesApi, PLURAL } from './api.ts';
import type { EtcdClusterObject, Parts } from './parts.ts';

type Cache<T extends KubernetesObject> = Informer<T> & ObjectCache<T>;

/** Watches end all the time; one that can't begin is tried again so much later. */
const RETRY_MS = 5_000;

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
  readonly #clusters: Cache<EtcdClusterObject>;
  readonly #services: Cache<V1Service>;
  readonly #budgets: Cache<V1PodDisruptionBudget>;
  readonly #workloads: Cache<V1StatefulSet>;
  readonly #records: Cache<V1ConfigMap>;
  readonly #pods: Cache<V1Pod>;
  readonly #volumes: Cache<V1PersistentVolumeClaim>;
  readonly #retries = new Set<NodeJS.Timeout>();
  #isStopped = false;

  constructor(options: CachesOptions) {
    this.#options = options;
    const { core, apps, policy, custom } = options.api;
    const labelSelector = CLUSTER_LABEL;
    const { namespace } = options;
    const selected = { labelSelector };
    const within = namespace === null ? null : { namespace, labelSelector };
    this.#clusters = this.#cache(`/apis/${API_VERSION}`, PLURAL, null, () =>
      namespace === null
        ? custom.listClusterCustomObject({ group: GROUP, version: VERSION, plural: PLURAL })
        : custom.listNamespacedCustomObject({ group: GROUP, version: VERSION, plural: PLURAL, namespace }),
    );
    this.#services = this.#cache('/api/v1', 'services', labelSelector, () =>
      within === null ? core.listServiceForAllNamespaces(selected) : core.listNamespacedService(within),
    );
    this.#records = this.#cache('/api/v1', 'configmaps', labelSelector, () =>
      within === null ? core.listConfigMapForAllNamespaces(selected) : core.listNamespacedConfigMap(within),
    );
    this.#pods = this.#cache('/api/v1', 'pods', labelSelector, () =>
      within === null ? core.listPodForAllNamespaces(selected) : core.listNamespacedPod(within),
    );
    this.#volumes = this.#cache('/api/v1', 'persistentvolumeclaims', labelSelector, () =>
      within === null
        ? core.listPersistentVolumeClaimForAllNamespaces(selected)
        : core.listNamespacedPersistentVolumeClaim(within),
    );
    this.#workloads = this.#cache('/apis/apps/v1', 'statefulsets', labelSelector, () =>
      within === null
        ? apps.listStatefulSetForAllNamespaces(selected)
        : apps.listNamespacedStatefulSet(within),
    );
    this.#budgets = this.#cache('/apis/policy/v1', 'poddisruptionbudgets', labelSelector, () =>
      within === null
        ? policy.listPodDisruptionBudgetForAllNamespaces(selected)
        : policy.listNamespacedPodDisruptionBudget(within),
    );
  }

  /** Resolves when all have been listed once. */
  async start(): Promise<void> {
    // The clusters last: whoever is told of one finds its parts.
    const parts = [this.#services, this.#records, this.#pods, this.#volumes, this.#workloads, this.#budgets];
    await Promise.all(parts.map((cache) => cache.start()));
    await this.#clusters.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const retry of this.#retries) clearTimeout(retry);
    const all = [
      this.#clusters,
      this.#services,
      this.#records,
      this.#pods,
      this.#volumes,
      this.#workloads,
      this.#budgets,
    ];
    await Promise.all(all.map((cache) => cache.stop()));
  }

  parts(namespace: string, name: string): Parts | null {
    const cluster = this.#clusters.get(name, namespace);
    if (cluster === undefined) return null;
    const isPart = ({ metadata }: KubernetesObject): boolean => metadata?.labels?.[CLUSTER_LABEL] === name;
    return {
      cluster,
      services: this.#services.list(namespace).filter(isPart),
      budget: this.#budgets.get(name, namespace) ?? null,
      workload: this.#workloads.get(name, namespace) ?? null,
      record: this.#records.get(recordName(name), namespace) ?? null,
      pods: this.#pods.list(namespace).filter(isPart),
      volumes: this.#volumes.list(namespace).filter(isPart),
    };
  }

  #cache<T extends KubernetesObject>(
    group: string,
    plural: string,
    labelSelector: string | null,
    list: () => Promise<unknown>,
  ): Cache<T> {
    const { api, namespace, logger, onChange } = this.#options;
    const path = namespace === null ? `${group}/${plural}` : `${group}/namespaces/${namespace}/${plural}`;
    const listed = (): Promise<KubernetesListObject<T>> => list() as Promise<KubernetesListObject<T>>;
    const cache = makeInformer<T>(api.config, path, listed, labelSelector ?? undefined);
    const tell = ({ metadata = {} }: KubernetesObject): void => {
      const name = labelSelector === null ? metadata.name : metadata.labels?.[CLUSTER_LABEL];
      if (name !== undefined && metadata.namespace !== undefined) onChange(metadata.namespace, name);
    };
    for (const event of ['add', 'update', 'delete'] as const) cache.on(event, tell);
    cache.on('error', (error: unknown) => {
      if (this.#isStopped) return;
      logger.warn('a watch has ended', { of: plural, error: describeError(error) });
      const retry = setTimeout(() => {
        this.#retries.delete(retry);
        cache
          .start()
          .catch((again: unknown) =>
            logger.warn('a watch can not begin', { of: plural, error: describeError(again) }),
          );
      }, RETRY_MS);
      this.#retries.add(retry);
    });
    return cache;
  }
}
