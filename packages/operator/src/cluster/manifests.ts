/**
 * What Kubernetes is to run for a cluster: services, the record, a budget for disruptions and a stateful set.
 *
 * A member's pod begins with a gate, which looks into the data directory: where it is empty, the member starts only if the record names
 * it. Host names are those of the pods, so that a member keeps its address wherever it runs.
 */
import { createHash } from 'node:crypto';
import type {
  V1Affinity,
  V1ConfigMap,
  V1Container,
  V1EnvVar,
  V1ObjectMeta,
  V1PersistentVolumeClaim,
  V1PodDisruptionBudget,
  V1PodTemplateSpec,
  V1Service,
  V1StatefulSet,
  V1Volume,
} from '@kubernetes/client-node';
import type { EtcdClusterSpec } from '../resources/etcd-cluster.ts';
import { API_VERSION } from '../resources/group.ts';
import type { TlsSpec } from '../resources/tls-spec.ts';
import { secretName } from './certificates.ts';
import { clientUrl, peerUrl, volumeName } from './names.ts';
import type { ClusterRecord } from './observed.ts';

export const CLUSTER_LABEL = 'operator.etcd.io/cluster';
export const TEMPLATE_ANNOTATION = 'operator.etcd.io/template';
/** The authorities that a pod was made to trust. */
export const TRUST_ANNOTATION = 'operator.etcd.io/trust';
export const VERSION_ANNOTATION = 'operator.etcd.io/version';
/** Keys of the record's config map: what a member reads, what its gate reads, and what only the operator reads. */
export const RECORD_KEYS = {
  initialCluster: 'initial-cluster',
  initialClusterState: 'initial-cluster-state',
  mayStartEmpty: 'may-start-empty',
  operator: 'operator.json',
} as const;

const CLIENT_PORT = 2379;
const PEER_PORT = 2380;
const METRICS_PORT = 2381;
export const DATA_MOUNT = '/var/lib/etcd';
/** Below the mount: a file system's root may hold a `lost+found`. */
const DATA_DIR = `${DATA_MOUNT}/data`;
const TLS_MOUNT = '/etc/etcd/tls';
/** For the member's user alone, who is not the owner but in the group. */
export const SECRET_MODE = 0o440;
export const USER_ID = 65_532;

/** Whom the parts belong to. */
export interface Owner {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly spec: EtcdClusterSpec;
  /** Whom members trust who are started now. */
  readonly trustedIds: readonly string[];
  /** The image with this operator, of which the gate is a part. */
  readonly gateImage: string;
}

export const recordName = (cluster: string): string => `${cluster}-state`;

export function metadataOf({ name: cluster, namespace, uid }: Owner, name: string): V1ObjectMeta {
  return {
    name,
    namespace,
    labels: labels(cluster),
    // Kubernetes takes the parts away after their owner. Its own deletion waits for the operator, by a finalizer.
    ownerReferences: [
      {
        apiVersion: API_VERSION,
        kind: 'EtcdCluster',
        name: cluster,
        uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  };
}

const labels = (cluster: string): Record<string, string> => ({
  'app.kubernetes.io/name': 'etcd',
  'app.kubernetes.io/instance': cluster,
  'app.kubernetes.io/managed-by': 'etcd-operator',
  [CLUSTER_LABEL]: cluster,
});

export function servicesOf(owner: Owner): readonly V1Service[] {
  const ports = [
    { name: 'client', port: CLIENT_PORT, targetPort: 'client' },
    { name: 'peer', port: PEER_PORT, targetPort: 'peer' },
  ];
  const selector = { [CLUSTER_LABEL]: owner.name };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadataOf(owner, owner.name),
      // Members find each other before any of them is ready.
      spec: { clusterIP: 'None', publishNotReadyAddresses: true, selector, ports },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadataOf(owner, `${owner.name}-client`),
      spec: { selector, ports: ports.slice(0, 1) },
    },
  ];
}

/** One member at a time may be taken, whoever takes it: this operator, or somebody who empties a node. */
export function budgetOf(owner: Owner): V1PodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadataOf(owner, owner.name),
    spec: { maxUnavailable: 1, selector: { matchLabels: { [CLUSTER_LABEL]: owner.name } } },
  };
}

export function recordMap(owner: Owner, record: ClusterRecord): V1ConfigMap {
  const { disks, isFounded, isCompacted, restore, lastRestore, changedMs } = record;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      ...metadataOf(owner, recordName(owner.name)),
      ...(record.resourceVersion === null ? {} : { resourceVersion: record.resourceVersion }),
    },
    data: {
      [RECORD_KEYS.initialCluster]: record.initialCluster,
      [RECORD_KEYS.initialClusterState]: record.initialClusterState,
      [RECORD_KEYS.mayStartEmpty]: record.mayStartEmpty ?? '',
      [RECORD_KEYS.operator]: JSON.stringify({
        disks,
        isFounded,
        isCompacted,
        restore,
        lastRestore,
        changedMs,
      }),
    },
  };
}

/** Tells pods made from this declaration from others: whatever changes it restarts the members. */
export function templateOf(owner: Owner): string {
  return createHash('sha256')
    .update(JSON.stringify(podTemplate(owner)))
    .digest('hex')
    .slice(0, 16);
}

export function workloadOf(owner: Owner, replicas: number): V1StatefulSet {
  const template = podTemplate(owner);
  template.metadata!.annotations = {
    ...template.metadata!.annotations,
    [TEMPLATE_ANNOTATION]: templateOf(owner),
  };
  const meta = metadataOf(owner, owner.name);
  meta.annotations = { [VERSION_ANNOTATION]: owner.spec.version, [TEMPLATE_ANNOTATION]: templateOf(owner) };
  const { storage } = owner.spec;
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: meta,
    spec: {
      serviceName: owner.name,
      replicas,
      // The operator says which pod goes when.
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      selector: { matchLabels: { [CLUSTER_LABEL]: owner.name } },
      template,
      ...(storage === null ? {} : { volumeClaimTemplates: [claimOf(owner)] }),
    },
  };
}

/** The volume of a member, as the stateful set makes it: no owner takes it away. */
export function memberVolume(owner: Owner, ordinal: number): V1PersistentVolumeClaim {
  const { metadata, spec } = claimOf(owner);
  const name = volumeName(owner.name, ordinal);
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { ...metadata, name, namespace: owner.namespace },
    ...(spec === undefined ? {} : { spec }),
  };
}

function claimOf({ name, spec }: Owner): V1PersistentVolumeClaim {
  const storage = spec.storage!;
  return {
    metadata: { name: 'data', labels: labels(name) },
    spec: {
      accessModes: [storage.accessModes],
      ...(storage.storageClassName === null ? {} : { storageClassName: storage.storageClassName }),
      resources: {
        requests: { storage: storage.volumeSizeRequest },
        limits: { storage: storage.volumeSizeLimit },
      },
    },
  };
}

function podTemplate(owner: Owner): V1PodTemplateSpec {
  const { name, spec } = owner;
  const { podTemplate } = spec;
  const annotations = {
    ...podTemplate.annotations,
    ...(spec.tls === null ? {} : { [TRUST_ANNOTATION]: owner.trustedIds.join('.') }),
  };
  return {
    metadata: { labels: { ...podTemplate.labels, ...labels(name) }, annotations },
    spec: {
      automountServiceAccountToken: false,
      // One that is asked to stop hands its leadership over first.
      terminationGracePeriodSeconds: 30,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER_ID,
        runAsGroup: USER_ID,
        fsGroup: USER_ID,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      affinity: podTemplate.affinity ?? apart(name),
      nodeSelector: { ...podTemplate.nodeSelector },
      tolerations: [...podTemplate.tolerations],
      ...(podTemplate.priorityClassName === null ? {} : { priorityClassName: podTemplate.priorityClassName }),
      initContainers: [gate(owner)],
      containers: [member(owner)],
      volumes: [...(spec.storage === null ? [{ name: 'data', emptyDir: {} }] : []), ...tlsVolumes(owner)],
    },
  };
}

/** On machines of their own, where there are enough. */
function apart(cluster: string): V1Affinity {
  const labelSelector = { matchLabels: { [CLUSTER_LABEL]: cluster } };
  const podAffinityTerm = { topologyKey: 'kubernetes.io/hostname', labelSelector };
  return {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm }],
    },
  };
}

function tlsVolumes({ name, spec: { tls } }: Owner): V1Volume[] {
  if (tls === null) return [];
  const of = (role: 'server' | 'peer'): V1Volume => ({
    name: `${role}-tls`,
    secret: { secretName: secretName(name, role), defaultMode: SECRET_MODE },
  });
  const { caBundleSecret } = tls;
  if (caBundleSecret === null) return [of('server'), of('peer')];
  const bundle = { name: 'trusted', secret: { secretName: caBundleSecret, defaultMode: SECRET_MODE } };
  return [of('server'), of('peer'), bundle];
}

export const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
};
const POD_NAME: V1EnvVar = { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } };

function gate({ name, gateImage }: Owner): V1Container {
  return {
    name: 'gate',
    image: gateImage,
    command: ['etcd-operator', 'gate', `--data-dir=${DATA_DIR}`, '--member=$(POD_NAME)'],
    env: [POD_NAME, fromRecord(name, 'MAY_START_EMPTY', RECORD_KEYS.mayStartEmpty)],
    securityContext: RESTRICTED,
    volumeMounts: [{ name: 'data', mountPath: DATA_MOUNT }],
  };
}

function fromRecord(cluster: string, name: string, key: string): V1EnvVar {
  return { name, valueFrom: { configMapKeyRef: { name: recordName(cluster), key } } };
}

function member(owner: Owner): V1Container {
  const { name, spec } = owner;
  const probe = (path: string) => ({ httpGet: { path, port: METRICS_PORT }, timeoutSeconds: 15 });
  return {
    name: 'etcd',
    image: `${spec.imageRegistry}:${spec.version}`,
    command: ['etcd', ...memberFlags(owner), ...tlsFlags(spec.tls), ...spec.etcdOptions],
    env: [
      POD_NAME,
      fromRecord(name, 'ETCD_INITIAL_CLUSTER', RECORD_KEYS.initialCluster),
      fromRecord(name, 'ETCD_INITIAL_CLUSTER_STATE', RECORD_KEYS.initialClusterState),
    ],
    ports: [
      { name: 'client', containerPort: CLIENT_PORT },
      { name: 'peer', containerPort: PEER_PORT },
      { name: 'metrics', containerPort: METRICS_PORT },
    ],
    // All releases from 3.4 on have this page; a member without a leader is not ready, but need not be restarted.
    readinessProbe: { ...probe('/health'), periodSeconds: 2, failureThreshold: 3 },
    livenessProbe: { ...probe('/health?serializable=true'), periodSeconds: 10, failureThreshold: 8 },
    startupProbe: { ...probe('/health?serializable=true'), periodSeconds: 2, failureThreshold: 300 },
    resources: spec.podTemplate.resources ?? { requests: { cpu: '100m', memory: '100Mi' } },
    securityContext: RESTRICTED,
    volumeMounts: [
      { name: 'data', mountPath: DATA_MOUNT },
      ...tlsVolumes(owner).map((volume) => ({
        name: volume.name,
        mountPath: `${TLS_MOUNT}/${volume.name}`,
        readOnly: true,
      })),
    ],
  };
}

/** Files are read again at each handshake: a certificate that is made anew restarts nobody. */
function tlsFlags(tls: TlsSpec | null): string[] {
  if (tls === null) return [];
  const file = (role: 'server' | 'peer', name: string): string => `${TLS_MOUNT}/${role}-tls/${name}`;
  const trusted = (role: 'server' | 'peer'): string =>
    tls.caBundleSecret === null ? file(role, 'ca.crt') : `${TLS_MOUNT}/trusted/ca.crt`;
  return [
    `--cert-file=${file('server', 'tls.crt')}`,
    `--key-file=${file('server', 'tls.key')}`,
    `--trusted-ca-file=${trusted('server')}`,
    '--client-cert-auth=true',
    `--peer-cert-file=${file('peer', 'tls.crt')}`,
    `--peer-key-file=${file('peer', 'tls.key')}`,
    `--peer-trusted-ca-file=${trusted('peer')}`,
    '--peer-client-cert-auth=true',
  ];
}

function memberFlags({ name: cluster, namespace, spec }: Owner): string[] {
  const isSecure = spec.tls !== null;
  const scheme = isSecure ? 'https' : 'http';
  // Kubernetes puts the pod's own name in.
  const own = (url: string): string => url.replace(`${cluster}-0.`, '$(POD_NAME).');
  return [
    '--name=$(POD_NAME)',
    `--data-dir=${DATA_DIR}`,
    `--listen-peer-urls=${scheme}://0.0.0.0:${PEER_PORT}`,
    `--listen-client-urls=${scheme}://0.0.0.0:${CLIENT_PORT}`,
    `--listen-metrics-urls=http://0.0.0.0:${METRICS_PORT}`,
    `--initial-advertise-peer-urls=${own(peerUrl(cluster, namespace, 0, isSecure))}`,
    `--advertise-client-urls=${own(clientUrl(cluster, namespace, 0, isSecure))}`,
    `--initial-cluster-token=${namespace}-${cluster}`,
  ];
}
