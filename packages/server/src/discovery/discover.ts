/** The discovery that a configuration asks for. */
import type { Clock, Logger } from '@etcd/base';
import { ClientError, EtcdError } from '@etcd/client';
import { connect, type TlsOptions } from '@etcd/client/node';
import { loadAuthorities, loadKeyPair, TlsError } from '@etcd/host/tls';
import type { DiscoveryConfig } from '../config/index.ts';
import { DiscoveryError } from './discovery-error.ts';
import { joinByEtcd } from './etcd-registry.ts';
import { HttpStatusError, KeysApi, KeysError } from './keys-api.ts';
import { joinByUrl } from './url-registry.ts';

/** As gRPC has it in Go: servers hang up on those who ask more often. */
const MIN_KEEPALIVE_MS = 10_000;

type EtcdConfig = Extract<DiscoveryConfig, { kind: 'etcd' }>;
type UrlConfig = Extract<DiscoveryConfig, { kind: 'url' }>;
export type RegistryConfig = EtcdConfig | UrlConfig;

export interface DiscoverOptions {
  readonly config: RegistryConfig;
  readonly memberId: bigint;
  readonly ownText: string;
  readonly mayBeRegistered: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The text of the initial cluster. Rejects with {@link DiscoveryError}. */
export async function discover(options: DiscoverOptions): Promise<string> {
  try {
    return options.config.kind === 'etcd'
      ? await discoverByEtcd(options, options.config)
      : await discoverByUrl(options, options.config);
  } catch (error) {
    throw asDiscoveryError(error);
  }
}

async function discoverByEtcd(options: DiscoverOptions, config: EtcdConfig): Promise<string> {
  const { username, password, authToken } = config;
  const hasCredentials = username !== '' && password !== '';
  const client = connect({
    endpoints: config.endpoints,
    tls: tlsOptions(config),
    timeoutMs: config.requestTimeoutMs || undefined,
    dialTimeoutMs: config.dialTimeoutMs || undefined,
    keepaliveIntervalMs: Math.max(config.keepaliveTimeMs, MIN_KEEPALIVE_MS),
    keepaliveTimeoutMs: config.keepaliveTimeoutMs,
    maxSendMessageBytes: config.maxSendBytes || undefined,
    maxReceiveMessageBytes: config.maxReceiveBytes || undefined,
    credentials: hasCredentials ? { username, password } : undefined,
    token: authToken || undefined,
  });
  try {
    return await joinByEtcd({ ...options, client, token: config.token, hasCredentials });
  } finally {
    client.close();
  }
}

async function discoverByUrl(options: DiscoverOptions, { url, proxy }: UrlConfig): Promise<string> {
  const keys = new KeysApi(url, proxy);
  try {
    return await joinByUrl({ ...options, url, keys });
  } finally {
    keys.close();
  }
}

function tlsOptions({ certFile, keyFile, caFile, ...config }: EtcdConfig): TlsOptions | undefined {
  const isNamed = certFile !== '' || keyFile !== '' || caFile !== '' || config.serverName !== '';
  if (!isNamed && config.insecureTransport && !config.insecureSkipVerify) return undefined;
  if ((certFile === '') !== (keyFile === '')) {
    throw new DiscoveryError(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`);
  }
  const pair = certFile === '' ? null : loadKeyPair(certFile, keyFile);
  return {
    ...(pair === null ? {} : { cert: pair.certPem, key: pair.keyPem }),
    ...(caFile === '' ? {} : { ca: loadAuthorities(caFile).map(String) }),
    ...(config.serverName === '' ? {} : { serverName: config.serverName }),
    insecureSkipVerify: config.insecureSkipVerify,
  };
}

function asDiscoveryError(error: unknown): unknown {
  const isExpected =
    error instanceof DiscoveryError ||
    error instanceof EtcdError ||
    error instanceof ClientError ||
    error instanceof KeysError ||
    error instanceof HttpStatusError ||
    error instanceof TlsError;
  return isExpected ? new DiscoveryError(error.message, { cause: error }) : error;
}
