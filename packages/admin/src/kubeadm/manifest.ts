/** The static pod in which a kubelet runs a member. */
import { stringify } from 'yaml';
import { type ClusterConfig, etcdCertificatesDir, etcdImageOf, type NamedValue } from './cluster-config.ts';
import { advertisedClientUrl, etcdFlags, METRICS_PORT, urlOf } from './etcd-flags.ts';

const PROBE_PORT_NAME = 'probe-port';
/** Serializers before this release write fields that are empty. */
const OMITS_EMPTY_FROM = 35;

interface ProbeTarget {
  readonly host: string;
  readonly port: number | string;
  readonly scheme: 'HTTP' | 'HTTPS';
}

/** As the kubelet reads it, with fields in the order of their names. */
export function manifestText(pod: object): string {
  return stringify(pod, { sortMapEntries: true, lineWidth: 0, indentSeq: false });
}

export function etcdPod(config: ClusterConfig): object {
  const { release } = config;
  const hasEmpty = release.minor < OMITS_EMPTY_FROM;
  const { dataDir } = config.etcd;
  const certificates = etcdCertificatesDir(config);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      annotations: { 'kubeadm.kubernetes.io/etcd.advertise-client-urls': advertisedClientUrl(config) },
      ...(hasEmpty ? { creationTimestamp: null } : {}),
      labels: { component: 'etcd', tier: 'control-plane' },
      name: 'etcd',
      namespace: 'kube-system',
    },
    spec: {
      containers: [etcdContainer(config)],
      hostNetwork: true,
      ...(release.minor >= 26 ? { priority: 2_000_001_000 } : {}),
      priorityClassName: release.minor >= 19 ? 'system-node-critical' : 'system-cluster-critical',
      ...(release.minor >= 22 ? { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } } : {}),
      volumes: [hostVolume('etcd-certs', certificates), hostVolume('etcd-data', dataDir)],
    },
    ...(hasEmpty ? { status: {} } : {}),
  };
}

function etcdContainer(config: ClusterConfig): object {
  const { release, etcd } = config;
  const flags = etcdFlags(config);
  const target = probeTarget(flags, release.minor >= 34);
  return {
    command: ['etcd', ...flags.map(({ name, value }) => `--${name}=${value}`)],
    ...(etcd.extraEnvs.length > 0 ? { env: etcd.extraEnvs } : {}),
    image: etcdImageOf(config),
    imagePullPolicy: 'IfNotPresent',
    ...probes(release.minor, target),
    name: 'etcd',
    ...(release.minor >= 34
      ? { ports: [{ containerPort: metricsUrl(flags).port, name: PROBE_PORT_NAME, protocol: 'TCP' }] }
      : {}),
    resources: release.minor >= 20 ? { requests: { cpu: '100m', memory: '100Mi' } } : {},
    volumeMounts: [
      { mountPath: etcd.dataDir, name: 'etcd-data' },
      { mountPath: etcdCertificatesDir(config), name: 'etcd-certs' },
    ],
  };
}

function probes(minor: number, target: ProbeTarget): object {
  const usual = { initialDelaySeconds: 10, periodSeconds: 10, timeoutSeconds: 15 };
  const probe = (path: string, failureThreshold: number, timing: object): object => ({
    failureThreshold,
    httpGet: { ...target, path },
    ...timing,
  });
  if (minor >= 31) {
    return {
      livenessProbe: probe('/livez', 8, usual),
      readinessProbe: probe('/readyz', 3, { periodSeconds: 1, timeoutSeconds: 15 }),
      startupProbe: probe('/readyz', 24, usual),
    };
  }
  if (minor >= 25) {
    return {
      livenessProbe: probe('/health?exclude=NOSPACE&serializable=true', 8, usual),
      startupProbe: probe('/health?serializable=false', 24, usual),
    };
  }
  if (minor >= 20) {
    return { livenessProbe: probe('/health', 8, usual), startupProbe: probe('/health', 24, usual) };
  }
  return { livenessProbe: probe('/health', 8, { initialDelaySeconds: 15, timeoutSeconds: 15 }) };
}

/** Where a listener for metrics is, which may be elsewhere than by default. */
function probeTarget(flags: readonly NamedValue[], isNamed: boolean): ProbeTarget {
  const { host, port, isSecure } = metricsUrl(flags);
  return { host, port: isNamed ? PROBE_PORT_NAME : port, scheme: isSecure ? 'HTTPS' : 'HTTP' };
}

function metricsUrl(flags: readonly NamedValue[]): { host: string; port: number; isSecure: boolean } {
  const listed = flags.find(({ name }) => name === 'listen-metrics-urls')?.value.split(',')[0] ?? '';
  const url = URL.canParse(listed) ? new URL(listed) : new URL(urlOf('127.0.0.1', METRICS_PORT, 'http'));
  const isSecure = url.protocol === 'https:';
  const port = url.port === '' ? METRICS_PORT : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, isSecure };
}

function hostVolume(name: string, path: string): object {
  return { hostPath: { path, type: 'DirectoryOrCreate' }, name };
}
