/** The certificates around an etcd: who they are, what they are for, and which names they stand for. */
import { isIP } from 'node:net';
import type { ClusterConfig } from './cluster-config.ts';
import { ConfigError } from './config-error.ts';

export type CertificateName =
  | 'etcd-ca'
  | 'etcd-server'
  | 'etcd-peer'
  | 'etcd-healthcheck-client'
  | 'apiserver-etcd-client';

export interface CertificateSpec {
  readonly name: CertificateName;
  /** For people. */
  readonly longName: string;
  /** Of its files, under the certificates' directory. */
  readonly baseName: string;
  readonly isAuthority: boolean;
  readonly usages: readonly ('client' | 'server')[];
  readonly commonName: (config: ClusterConfig) => string;
  /** The field with further names that it stands for; null for a client's, which stands for none. */
  readonly namesField: 'serverCertSANs' | 'peerCertSANs' | null;
}

const SERVING = ['server', 'client'] as const;
const CALLING = ['client'] as const;

export const ETCD_AUTHORITY: CertificateSpec = {
  name: 'etcd-ca',
  longName: 'self-signed CA to provision identities for etcd',
  baseName: 'etcd/ca',
  isAuthority: true,
  usages: [],
  commonName: () => 'etcd-ca',
  namesField: null,
};

export const LEAVES: readonly CertificateSpec[] = [
  {
    name: 'etcd-server',
    longName: 'certificate for serving etcd',
    baseName: 'etcd/server',
    isAuthority: false,
    usages: SERVING,
    commonName: ({ nodeName }) => nodeName,
    namesField: 'serverCertSANs',
  },
  {
    name: 'etcd-peer',
    longName: 'certificate for etcd nodes to communicate with each other',
    baseName: 'etcd/peer',
    isAuthority: false,
    usages: SERVING,
    commonName: ({ nodeName }) => nodeName,
    namesField: 'peerCertSANs',
  },
  {
    name: 'etcd-healthcheck-client',
    longName: 'certificate for liveness probes to healthcheck etcd',
    baseName: 'etcd/healthcheck-client',
    isAuthority: false,
    usages: CALLING,
    commonName: () => 'kube-etcd-healthcheck-client',
    namesField: null,
  },
  {
    name: 'apiserver-etcd-client',
    longName: 'certificate the apiserver uses to access etcd',
    baseName: 'apiserver-etcd-client',
    isAuthority: false,
    usages: CALLING,
    commonName: () => 'kube-apiserver-etcd-client',
    namesField: null,
  },
];

/** Clients of etcd have no rights by their organization; releases up to 1.28 gave them one all the same. */
export function organizationsOf(spec: CertificateSpec, { release }: ClusterConfig): string[] {
  return spec.namesField === null && release.minor <= 28 ? ['system:masters'] : [];
}

export interface ServedNames {
  readonly dns: readonly string[];
  readonly ips: readonly string[];
}

/** What a serving certificate stands for; names that are none are passed over with a warning. Throws {@link ConfigError}. */
export function servedNames(
  field: 'serverCertSANs' | 'peerCertSANs',
  config: ClusterConfig,
  warn: (text: string) => void,
): ServedNames {
  const { advertiseAddress, nodeName } = config;
  if (advertiseAddress === null) {
    throw new ConfigError(
      'unable to select an IP from default routes; set localAPIEndpoint.advertiseAddress',
    );
  }
  const dns = new Set([nodeName, 'localhost']);
  const ips = new Set([advertiseAddress, '127.0.0.1', '::1']);
  for (const name of config.etcd[field]) {
    if (isIP(name) !== 0) ips.add(name);
    else if (isDnsName(name)) dns.add(name);
    else {
      warn(
        `[certificates] WARNING: ${JSON.stringify(name)} is not a valid IP or DNS name and will not be added to the ${field}`,
      );
    }
  }
  return { dns: [...dns].sort(), ips: [...ips] };
}

/** A name of lower-case labels, the first of which may be `*`. */
function isDnsName(name: string): boolean {
  const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
  return name.length <= 253 && new RegExp(`^(\\*\\.)?${label}(\\.${label})*$`).test(name);
}
