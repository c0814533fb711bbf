/** Looks at the parts of a cluster, and changes them. */
import { type KubernetesObject, PatchStrategy } from '@kubernetes/client-node';
import type { Action } from '../cluster/action.ts';
import {
  budgetOf,
  CLUSTER_LABEL,
  type Owner,
  recordMap,
  recordName,
  servicesOf,
  workloadOf,
} from '../cluster/manifests.ts';
import { memberName } from '../cluster/names.ts';
import { clusterAt, type KubernetesApi, orNull } from './api.ts';
import { type EtcdClusterObject, FINALIZER, type Parts } from './parts.ts';

const FIELD_MANAGER = 'etcd-operator';

export class Platform {
  readonly #api: KubernetesApi;

  constructor(api: KubernetesApi) {
    this.#api = api;
  }

  /** How things are now, not as a cache has them; null: there is no such resource. */
  async read(namespace: string, name: string): Promise<Parts | null> {
    const { core, apps, policy, custom } = this.#api;
    const selected = { namespace, labelSelector: `${CLUSTER_LABEL}=${name}` };
    const cluster = (await orNull(
      custom.getNamespacedCustomObject(clusterAt(namespace, name)),
    )) as EtcdClusterObject | null;
    if (cluster === null) return null;
    const [services, budget, workload, record, pods, volumes] = await Promise.all([
      core.listNamespacedService(selected),
      orNull(policy.readNamespacedPodDisruptionBudget({ namespace, name })),
      orNull(apps.readNamespacedStatefulSet({ namespace, name })),
      orNull(core.readNamespacedConfigMap({ namespace, name: recordName(name) })),
      core.listNamespacedPod(selected),
      core.listNamespacedPersistentVolumeClaim(selected),
    ]);
    return {
      cluster,
      services: services.items,
      budget,
      workload,
      record,
      pods: pods.items,
      volumes: volumes.items,
    };
  }

  /** Does what an action asks of Kubernetes; false: it is not for Kubernetes. Rejects where the API server refuses. */
  async perform(action: Action, cluster: EtcdClusterObject, owner: Owner): Promise<boolean> {
    const { namespace, name } = owner;
    const { core, apps } = this.#api;
    switch (action.kind) {
      case 'add-finalizer':
        await this.#writeFinalizers(cluster, (finalizers) => [...finalizers, FINALIZER]);
        return true;
      case 'remove-finalizer':
        await this.#writeFinalizers(cluster, (finalizers) => finalizers.filter((each) => each !== FINALIZER));
        return true;
      case 'apply-services':
        for (const service of servicesOf(owner)) await this.#apply(service);
        await this.#apply(budgetOf(owner));
        return true;
      case 'write-record':
      case 'compact': {
        const body = recordMap(owner, action.record);
        if (action.record.resourceVersion === null) await core.createNamespacedConfigMap({ namespace, body });
        else await core.replaceNamespacedConfigMap({ namespace, name: recordName(name), body });
        return true;
      }
      case 'create-workload':
        await apps.createNamespacedStatefulSet({ namespace, body: workloadOf(owner, action.replicas) });
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
        return await this.#remove(action, owner);
    }
  }

  /** Replaces the whole status. */
  async writeStatus({ namespace, name }: Owner, status: object): Promise<void> {
    const body = [{ op: 'add', path: '/status', value: status }];
    await this.#api.custom.patchNamespacedCustomObjectStatus({ ...clusterAt(namespace, name), body });
  }

  async #remove(action: Action, { namespace, name }: Owner): Promise<boolean> {
    const { core, apps } = this.#api;
    switch (action.kind) {
      case 'delete-workload': {
        const body = { preconditions: { uid: action.uid }, propagationPolicy: 'Foreground' };
        await orNull(apps.deleteNamespacedStatefulSet({ namespace, name, body }));
        return true;
      }
      case 'delete-pod': {
        const body = { preconditions: { uid: action.uid } };
        await orNull(core.deleteNamespacedPod({ namespace, name: memberName(name, action.ordinal), body }));
        return true;
      }
      case 'evict-pod': {
        const pod = memberName(name, action.ordinal);
        const body = {
          apiVersion: 'policy/v1',
          kind: 'Eviction',
          metadata: { namespace, name: pod },
          deleteOptions: { preconditions: { uid: action.uid } },
        };
        await core.createNamespacedPodEviction({ namespace, name: pod, body });
        return true;
      }
      case 'delete-volume': {
        const body = { preconditions: { uid: action.uid } };
        await orNull(core.deleteNamespacedPersistentVolumeClaim({ namespace, name: action.name, body }));
        return true;
      }
      default:
        return false;
    }
  }

  async #apply(object: KubernetesObject): Promise<void> {
    await this.#api.objects.patch(
      object,
      undefined,
      undefined,
      FIELD_MANAGER,
      true,
      PatchStrategy.ServerSideApply,
    );
  }

  /** Refused where the resource has changed since it was read: another's finalizers are not written over. */
  async #writeFinalizers(
    cluster: EtcdClusterObject,
    change: (before: readonly string[]) => string[],
  ): Promise<void> {
    const { name = '', namespace = '', resourceVersion, finalizers = [] } = cluster.metadata ?? {};
    const body = [
      { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
      { op: 'add', path: '/metadata/finalizers', value: change(finalizers) },
    ];
    await this.#api.custom.patchNamespacedCustomObject({ ...clusterAt(namespace, name), body });
  }

  async #patchWorkload(
    { namespace, name }: Owner,
    resourceVersion: string,
    changes: readonly object[],
  ): Promise<void> {
    const body = [{ op: 'test', path: '/metadata/resourceVersion', value: resourceVersion }, ...changes];
    await this.#api.apps.patchNamespacedStatefulSet({ namespace, name, body });
  }
}
