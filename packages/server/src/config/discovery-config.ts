/** What flags say about finding a cluster that nobody lists. */
import { type EtcdUrl, urlTexts } from '@etcd/base';
import { ConfigError } from './config-error.ts';
import type { FlagSet } from './flag-set.ts';

export type DiscoveryConfig =
  /** By the SRV records of a domain. */
  | { readonly kind: 'srv'; readonly domain: string; readonly serviceName: string }
  /** At another etcd, by its v3 API. */
  | {
      readonly kind: 'etcd';
      readonly token: string;
      readonly endpoints: readonly string[];
      readonly dialTimeoutMs: number;
      readonly requestTimeoutMs: number;
      readonly keepaliveTimeMs: number;
      readonly keepaliveTimeoutMs: number;
      /** 0: as the client has it. */
      readonly maxSendBytes: number;
      readonly maxReceiveBytes: number;
      readonly certFile: string;
      readonly keyFile: string;
      readonly caFile: string;
      readonly serverName: string;
      readonly insecureTransport: boolean;
      readonly insecureSkipVerify: boolean;
      readonly username: string;
      readonly password: string;
      /** Got elsewhere, instead of a name and a password. */
      readonly authToken: string;
    }
  /** At a service of the older kind, by etcd's v2 API. */
  | { readonly kind: 'url'; readonly url: string; readonly proxy: string };

/** Whether something else than the list of members says where they are: then there is no list unless one is given. */
export function asksForDiscovery(flags: FlagSet): boolean {
  return (
    flags.string('discovery-srv') !== '' ||
    flags.string('discovery-srv-name') !== '' ||
    flags.string('discovery') !== '' ||
    flags.strings('discovery-endpoints').length > 0
  );
}

/** What goes into the ids of this member until its cluster is found: itself alone, and what stands for the token. */
export function registeredIdentity(
  discovery: DiscoveryConfig | null,
  name: string,
  advertisePeerUrls: readonly EtcdUrl[],
): { initialCluster: string; initialClusterToken: string } | null {
  if (discovery === null || discovery.kind === 'srv') return null;
  return {
    initialCluster: urlTexts(advertisePeerUrls)
      .map((text) => `${name}=${text}`)
      .join(','),
    initialClusterToken: discovery.kind === 'etcd' ? discovery.token : discovery.url,
  };
}

/**
 * Throws {@link ConfigError}, in etcd's words.
 *
 * @param initialCluster the list of members; empty: none is given, and none is meant
 */
export function buildDiscovery(flags: FlagSet, initialCluster: string): DiscoveryConfig | null {
  if (flags.string('discovery-fallback') === 'proxy') {
    refuse('v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"');
  }
  const domain = flags.string('discovery-srv');
  const url = flags.string('discovery');
  const endpoints = flags.strings('discovery-endpoints');
  const ways = [initialCluster !== '', domain !== '', url !== '', endpoints.length > 0];
  if (ways.filter(Boolean).length > 1) {
    refuse(
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"',
    );
  }
  const token = flags.string('discovery-token');
  checkMixture(flags, endpoints.length > 0 || token !== '');
  if ((token !== '') !== endpoints.length > 0) {
    refuse('both --discovery-token and --discovery-endpoints must be set');
  }
  if (endpoints.some((endpoint) => endpoint.trim() === '')) {
    refuse('--discovery-endpoints must not contain empty endpoints');
  }
  if (domain !== '') return { kind: 'srv', domain, serviceName: flags.string('discovery-srv-name') };
  if (url !== '') return { kind: 'url', url: checkedUrl(url), proxy: flags.string('discovery-proxy') };
  return endpoints.length === 0 ? null : etcdDiscovery(flags, token, endpoints);
}

const SERVICE_FLAGS = ['cert', 'key', 'cacert', 'user', 'password'].map((name) => `discovery-${name}`);

function checkMixture(flags: FlagSet, isByEtcd: boolean): void {
  if (flags.string('discovery-proxy') === '') return;
  if (!isByEtcd && SERVICE_FLAGS.every((name) => flags.string(name) === '')) return;
  const older = '(discovery, discovery-proxy)';
  const newer = `(discovery-token, discovery-endpoints, ${SERVICE_FLAGS.join(', ')})`;
  refuse(`both v2 discovery settings ${older} and v3 discovery settings ${newer} are set`);
}

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    refuse(`--discovery ${JSON.stringify(text)} is no URL of a discovery service`);
  }
  return text;
}

function etcdDiscovery(flags: FlagSet, token: string, endpoints: readonly string[]): DiscoveryConfig {
  const user = flags.string('discovery-user');
  const password = flags.string('discovery-password');
  const colon = password === '' ? user.indexOf(':') : -1;
  return {
    kind: 'etcd',
    token,
    endpoints,
    dialTimeoutMs: flags.number('discovery-dial-timeout'),
    requestTimeoutMs: flags.number('discovery-request-timeout'),
    keepaliveTimeMs: flags.number('discovery-keepalive-time'),
    keepaliveTimeoutMs: flags.number('discovery-keepalive-timeout'),
    maxSendBytes: flags.number('discovery-config.client.max-request-bytes'),
    maxReceiveBytes: flags.number('discovery-config.client.max-recv-bytes'),
    certFile: flags.string('discovery-cert'),
    keyFile: flags.string('discovery-key'),
    caFile: flags.string('discovery-cacert'),
    serverName: flags.string('discovery-config.client.secure.server-name'),
    insecureTransport: flags.bool('discovery-insecure-transport'),
    insecureSkipVerify: flags.bool('discovery-insecure-skip-tls-verify'),
    username: colon < 0 ? user : user.slice(0, colon),
    password: colon < 0 ? password : user.slice(colon + 1),
    authToken: flags.string('discovery-config.client.auth.token'),
  };
}

function refuse(message: string): never {
  throw new ConfigError('invalid', message);
}
