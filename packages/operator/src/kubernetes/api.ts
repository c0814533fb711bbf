/** The parts of Kubernetes' API that the operator uses, through the official client. */
import {
  ApiException,
  AppsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  type KubeConfig,
  KubernetesObjectApi,
  PolicyV1Api,
} from '@kubernetes/client-node';
import { GROUP, VERSION } from '../resources/etcd-cluster.ts';

export const PLURAL = 'etcdclusters';

export interface KubernetesApi {
  readonly config: KubeConfig;
  readonly core: CoreV1Api;
  readonly apps: AppsV1Api;
  readonly policy: PolicyV1Api;
  readonly leases: CoordinationV1Api;
  readonly custom: CustomObjectsApi;
  readonly objects: KubernetesObjectApi;
}

export function kubernetesApi(config: KubeConfig): KubernetesApi {
  return {
    config,
    core: config.makeApiClient(CoreV1Api),
    apps: config.makeApiClient(AppsV1Api),
    policy: config.makeApiClient(PolicyV1Api),
    leases: config.makeApiClient(CoordinationV1Api),
    custom: config.makeApiClient(CustomObjectsApi),
    objects: KubernetesObjectApi.makeApiClient(config),
  };
}

/** Where the resource is, for calls about one of them. */
export const clusterAt = (namespace: string, name: string) => ({
  group: GROUP,
  version: VERSION,
  plural: PLURAL,
  namespace,
  name,
});

/** What was looked for; null: it is not there. Rejects with every other answer. */
export async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) return null;
    throw error;
  }
}

/** The sentence in an API server's refusal. */
export function describeError(error: unknown): string {
  if (!(error instanceof ApiException)) return error instanceof Error ? error.message : String(error);
  const body: unknown = typeof error.body === 'string' ? parsed(error.body) : error.body;
  const message = (body as { readonly message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : `the API server answered ${error.code}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
