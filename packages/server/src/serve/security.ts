/**
 * What protects a member's listeners and its connections to other members: both sides' certificates, opened before any port is
 * taken, since a start that can't serve must touch nothing.
 */
import { lookup, reverse } from 'node:dns/promises';
import { join } from 'node:path';
import type { Clock, Logger } from '@etcd/base';
import { isSecureUrl } from '@etcd/base';
import {
  type Dialer,
  type ListenerOptions,
  type ListenerSecurity,
  secureDialer,
  TCP_DIALER,
} from '@etcd/host/net';
import {
  type HostLookup,
  hasCertificate,
  secondsLeft,
  selfSignedFiles,
  TlsError,
  type TlsFiles,
  TlsSide,
} from '@etcd/host/tls';
import { type Config, MemberStartError } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';

export interface SecurityOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<MetricHandles, 'rejectedConnectionsTotal' | 'certificateExpiresInSeconds'>;
}

export type Endpoint = 'client' | 'peer' | 'metrics';

const NODE_HOSTS: HostLookup = {
  reverse: (address) => reverse(address),
  lookup: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
};

export class Security {
  readonly #options: SecurityOptions;
  readonly #client: TlsSide | null;
  readonly #peer: TlsSide | null;

  private constructor(options: SecurityOptions, client: TlsSide | null, peer: TlsSide | null) {
    this.#options = options;
    this.#client = client;
    this.#peer = peer;
  }

  /** Rejects with {@link MemberStartError} for certificates that can't be used. */
  static async open(options: SecurityOptions): Promise<Security> {
    try {
      const client = await openSide(options, 'client');
      const peer = await openSide(options, 'peer');
      const security = new Security(options, client, peer);
      security.#start();
      return security;
    } catch (error) {
      if (error instanceof TlsError) throw new MemberStartError(error.message, { cause: error });
      throw error;
    }
  }

  /** For connections to other members. */
  get dialer(): Dialer {
    return this.#peer === null ? TCP_DIALER : secureDialer(this.#peer, this.#options.clock);
  }

  /** For a listener on a secure URL; metrics are shown with the certificate of the client listeners, to anybody with its authority. */
  listener(endpoint: Endpoint): ListenerSecurity {
    const side = endpoint === 'peer' ? this.#peer : this.#client;
    return { side: side!, hosts: NODE_HOSTS, ...this.refusals(endpoint) };
  }

  /** What becomes of connections that a listener refuses: each is a line, and counted. */
  refusals(endpoint: Endpoint): ListenerOptions['refusals'] {
    const { metrics } = this.#options;
    return {
      rejectedMessage: `rejected connection on ${endpoint} endpoint`,
      onRejected: () => metrics.rejectedConnectionsTotal.labels(endpoint).inc(),
    };
  }

  /** Reads all files again. */
  async reload(): Promise<void> {
    await Promise.all([this.#client?.reload(), this.#peer?.reload()]);
  }

  stop(): void {
    this.#client?.stop();
    this.#peer?.stop();
  }

  #start(): void {
    for (const side of [this.#client, this.#peer]) {
      if (side === null) continue;
      this.#showExpiry(side);
      side.onReload(() => this.#showExpiry(side));
      side.start();
    }
  }

  /** Of a file with several certificates the one that ends first. */
  #showExpiry(side: TlsSide): void {
    const { clock, metrics } = this.#options;
    for (const path of new Set(side.certificates.map((certificate) => certificate.path))) {
      const seconds = (): number =>
        side.certificates
          .filter((certificate) => certificate.path === path)
          .reduce(
            (least, certificate) => Math.min(least, secondsLeft(certificate, clock.wallNow())),
            Infinity,
          );
      metrics.certificateExpiresInSeconds.labels(path).readFrom(seconds);
    }
  }
}

async function openSide(options: SecurityOptions, kind: 'client' | 'peer'): Promise<TlsSide | null> {
  const { config, clock, logger } = options;
  const files = await filesOf(options, kind);
  const listenUrls =
    kind === 'peer'
      ? [...config.listenPeerUrls, ...config.initialAdvertisePeerUrls]
      : [...config.listenClientUrls, ...config.listenClientHttpUrls, ...config.listenMetricsUrls];
  const isUsed = hasCertificate(files) || files.trustedCaFile !== '' || listenUrls.some(isSecureUrl);
  const dialsSecurely = kind === 'peer' && config.initialCluster.includes('https://');
  if (!isUsed && !dialsSecurely) return null;
  if (hasCertificate(files))
    logger.info(`starting with ${kind} TLS`, {
      'tls-info': describe(files),
      'cipher-suites': config.tls.protocol.cipherSuites,
    });
  return TlsSide.open({ files, protocol: config.tls.protocol, clock, logger });
}

function filesOf(
  { config, clock, logger }: SecurityOptions,
  kind: 'client' | 'peer',
): Promise<TlsFiles> | TlsFiles {
  const { tls, dataDir } = config;
  if (!(kind === 'peer' ? tls.peerAuto : tls.clientAuto)) return tls[kind];
  const urls =
    kind === 'peer' ? config.listenPeerUrls : [...config.listenClientUrls, ...config.listenClientHttpUrls];
  return selfSignedFiles({
    directory: join(dataDir, 'fixtures', kind),
    hosts: urls.map(({ hostname }) => hostname).filter((hostname) => hostname !== ''),
    validityYears: tls.selfSignedValidityYears,
    clock,
    logger,
  });
}

function describe(files: TlsFiles): string {
  const { certFile, keyFile, clientCertFile, clientKeyFile, trustedCaFile, clientCertAuth, crlFile } = files;
  return (
    `cert = ${certFile}, key = ${keyFile}, client-cert=${clientCertFile}, client-key=${clientKeyFile}, ` +
    `trusted-ca = ${trustedCaFile}, client-cert-auth = ${clientCertAuth}, crl-file = ${crlFile}`
  );
}
