/** The command line of the etcd in a static pod: kubeadm's defaults, and what the configuration puts in their place. */
import { join } from 'node:path';
import { type ClusterConfig, etcdCertificatesDir, type NamedValue } from './cluster-config.ts';
import { ConfigError } from './config-error.ts';
import { etcdMinorOf } from './release.ts';

const CLIENT_PORT = 2379;
const PEER_PORT = 2380;
export const METRICS_PORT = 2381;
/** From here on a release takes the user's arguments in the order in which they are given. */
const KEEPS_ORDER_FROM = 36;

export function urlOf(host: string, port: number, scheme: 'http' | 'https' = 'https'): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function advertiseAddressOf({ advertiseAddress }: ClusterConfig): string {
  if (advertiseAddress !== null) return advertiseAddress;
  throw new ConfigError('unable to select an IP from default routes; set localAPIEndpoint.advertiseAddress');
}

export function advertisedClientUrl(config: ClusterConfig): string {
  return urlOf(advertiseAddressOf(config), CLIENT_PORT);
}

function defaultFlags(config: ClusterConfig): NamedValue[] {
  const { nodeName, etcd, release } = config;
  const address = advertiseAddressOf(config);
  const loopback = address.includes(':') ? '::1' : '127.0.0.1';
  const certificates = etcdCertificatesDir(config);
  const peerUrl = urlOf(address, PEER_PORT);
  const flags: Record<string, string> = {
    name: nodeName,
    'listen-client-urls': `${urlOf(loopback, CLIENT_PORT)},${urlOf(address, CLIENT_PORT)}`,
    'advertise-client-urls': urlOf(address, CLIENT_PORT),
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `${nodeName}=${peerUrl}`,
    'data-dir': etcd.dataDir,
    'cert-file': join(certificates, 'server.crt'),
    'key-file': join(certificates, 'server.key'),
    'trusted-ca-file': join(certificates, 'ca.crt'),
    'client-cert-auth': 'true',
    'peer-cert-file': join(certificates, 'peer.crt'),
    'peer-key-file': join(certificates, 'peer.key'),
    'peer-trusted-ca-file': join(certificates, 'ca.crt'),
    'peer-client-cert-auth': 'true',
    'snapshot-count': '10000',
    'listen-metrics-urls': urlOf(loopback, METRICS_PORT, 'http'),
  };
  const isRecent = etcdMinorOf(release, etcd.imageTag) >= 6;
  if (release.minor >= 36 || (release.minor >= 34 && isRecent))
    flags['feature-gates'] = 'InitialCorruptCheck=true';
  else if (release.minor >= 24) flags['experimental-initial-corrupt-check'] = 'true';
  if (release.minor >= 26) {
    flags[isRecent ? 'watch-progress-notify-interval' : 'experimental-watch-progress-notify-interval'] = '5s';
  }
  return Object.entries(flags).map(([name, value]) => ({ name, value }));
}

/** One that the configuration names stands in the place of every default of that name. */
export function etcdFlags(config: ClusterConfig): NamedValue[] {
  const { extraArgs } = config.etcd;
  const named = new Set(extraArgs.map(({ name }) => name));
  const kept = defaultFlags(config).filter(({ name }) => !named.has(name));
  if (config.release.minor >= KEEPS_ORDER_FROM) return [...kept.sort(inOrder), ...extraArgs];
  return [...kept, ...extraArgs].sort(inOrder);
}

function inOrder(a: NamedValue, b: NamedValue): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}
