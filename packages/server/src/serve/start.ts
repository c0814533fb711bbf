/**
 * The member as a program runs it: its data directory, its listeners and its services around an {@link EtcdServer}. Ports are
 * taken first, so that a start that can't serve touches no data; they are served when the member is ready.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock, Disk, Logger, Random } from '@etcd/base';
import { type EtcdUrl, isSecureUrl, isUnixUrl, urlTexts } from '@etcd/base';
import { DebugPages, type LogLevelControl } from '@etcd/host/debug';
import { Listener, type ListenerServices, type WholeRequest } from '@etcd/host/net';
import { type HandedSocket, memoryBytes } from '@etcd/host/process';
import { GrpcServer } from '@etcd/transport';
import { Authentication } from '../auth/index.ts';
import type { Backups } from '../backups/index.ts';
import { bootstrap, type MemberParts } from '../boot/index.ts';
import {
  type Config,
  ETCD_VERSION,
  MemberStartError,
  maskArguments,
  nodeResolveHost,
} from '../config/index.ts';
import { connectMetrics, EtcdServer } from '../member/index.ts';
import type { Metrics } from '../metrics/index.ts';
import { HttpPeerNetwork } from '../peer/index.ts';
import { drawRequestIdStart } from '../request/index.ts';
import { registerServices } from '../rpc/index.ts';
import type { Tracing } from '../tracing/index.ts';
import { AccessControl } from './access-control.ts';
import { assignSockets } from './assign-sockets.ts';
import { ClientFront } from './client-front.ts';
import { ClientHttp } from './client-http.ts';
import { ClusterFinding } from './cluster-finding.ts';
import type { Gateway } from './gateway.ts';
import { openBackups } from './open-backups.ts';
import { type Endpoint, Security } from './security.ts';
import { warmUp } from './warm-up.ts';

/** What a member is made of, besides its configuration. */
export interface MemberOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  /** Client connections that the limit on descriptors leaves room for; null: no limit. */
  readonly connectionLimit: number | null;
  /** Sockets that the init system listens on for this member; none unless given. */
  readonly handedSockets?: readonly HandedSocket[] | undefined;
  /** Null: the level of the log stays as it is. */
  readonly logLevel?: LogLevelControl | null;
}

export interface Member {
  /** Resolves when the member has joined its cluster and its listeners serve. */
  readonly ready: Promise<void>;
  /** Resolves with the reason when the member can't go on; never while all is well. */
  readonly failed: Promise<Error>;
  /** Resolves when the member does not belong to its cluster any more: it can only stop. */
  readonly removed: Promise<void>;
  /** Certificates, authorities and revocations are read again, and used for new connections. */
  reloadCertificates(): Promise<void>;
  /** An orderly stop; afterwards ports and files are free. */
  stop(): Promise<void>;
}

/** Beside an election timeout. */
const PEER_DIAL_TIMEOUT_MS = 1000;
/** gRPC's own framing and metadata may come on top of the largest request. */
const GRPC_OVERHEAD_BYTES = 512 * 1024;
const MIB = 1024 * 1024;
/** Of the memory, what requests that have not come to their ends may take: those of gRPC, and as much again for those of the gateway. */
const UNFINISHED_PART = 8;
const MIN_UNFINISHED_BYTES = 64 * MIB;
const MAX_UNFINISHED_BYTES = 512 * MIB;
/** Streams of one connection: more than any client has, and few enough that idle ones can't fill the memory. */
const MAX_STREAMS_PER_CONNECTION = 100_000;

export async function startMember(given: MemberOptions): Promise<Member> {
  const finding = new ClusterFinding(given);
  const options = { ...given, config: await finding.configure() };
  const { config, logger, clock } = options;
  const tracing = await openTracing(options);
  const backups = await openBackups(options);
  const security = await Security.open({
    config,
    clock,
    logger: logger.child({ caller: 'server/security' }),
    metrics: options.metrics.handles,
  });
  const network = new HttpPeerNetwork({
    clock,
    logger: logger.child({ caller: 'server/peer' }),
    metrics: options.metrics.handles,
    peerUrls: urlTexts(config.initialAdvertisePeerUrls),
    dialTimeoutMs: PEER_DIAL_TIMEOUT_MS + config.electionTimeoutMs,
    dialer: security.dialer,
  });
  const running = new RunningMember(options, newAuthentication(options), network, security, {
    tracing,
    backups,
  });
  try {
    await running.listen();
    const failed = Promise.withResolvers<Error>();
    const parts = await bootstrap({
      config,
      clock,
      disk: options.disk,
      random: options.random,
      logger,
      metrics: options.metrics.handles,
      resolveHost: nodeResolveHost,
      onBackendFatal: (error) => failed.resolve(error),
      network,
      listMembers: finding.listMembers,
      discover: finding.discover,
    });
    return running.run(parts, failed);
  } catch (error) {
    running.closeListeners();
    security.stop();
    throw error;
  }
}

interface Service {
  readonly listener: Listener;
  readonly kind: Endpoint;
}

/** What most members do without; null: off. */
interface OptionalParts {
  readonly tracing: Tracing | null;
  readonly backups: Backups | null;
}

class RunningMember {
  readonly #options: MemberOptions;
  readonly #logger: Logger;
  readonly #grpc: GrpcServer;
  readonly #services: Service[] = [];
  #handed: ReadonlyMap<EtcdUrl, HandedSocket> = new Map();
  readonly #network: HttpPeerNetwork;
  readonly #authentication: Authentication;
  readonly #security: Security;
  readonly #tracing: Tracing | null;
  readonly #backups: Backups | null;
  #front: ClientFront | null = null;
  #metricsPages: ClientHttp | null = null;
  readonly #debug: DebugPages | null;

  constructor(
    options: MemberOptions,
    authentication: Authentication,
    network: HttpPeerNetwork,
    security: Security,
    { tracing, backups }: OptionalParts,
  ) {
    this.#options = options;
    this.#network = network;
    this.#authentication = authentication;
    this.#security = security;
    this.#tracing = tracing;
    this.#backups = backups;
    this.#logger = options.logger.child({ caller: 'server/start' });
    const { config, clock } = options;
    this.#debug = config.enablePprof
      ? new DebugPages(options.logLevel ?? null, ['etcd', ...maskArguments(process.argv.slice(2))])
      : null;
    this.#grpc = new GrpcServer({
      clock,
      maxReceiveMessageBytes: config.maxRequestBytes + GRPC_OVERHEAD_BYTES,
      limits: {
        maxConcurrentStreams: Math.min(config.maxConcurrentStreams, MAX_STREAMS_PER_CONNECTION),
        keepaliveIntervalMs: config.grpcKeepaliveIntervalMs,
        keepaliveTimeoutMs: config.grpcKeepaliveTimeoutMs,
        minPingIntervalMs: config.grpcKeepaliveMinTimeMs,
      },
      maxTotalBufferedBytes: unfinishedBytes(),
      maxHttpBodyBytes: gatewayBodyBytes(config.maxRequestBytes),
      onRequest: (exchange) => this.#front!.onHttp2(exchange),
    });
  }

  /** Takes the ports. */
  async listen(): Promise<void> {
    const { config, handedSockets = [] } = this.#options;
    this.#handed = assignSockets(handedSockets, config);
    type Http1 = Parameters<ClientHttp['onHttp1']>;
    type Upgrade = Parameters<ClientFront['onUpgrade']>;
    const http = {
      onHttp1: (...call: Http1) => this.#front!.onHttp1(...call),
      takesWhole: (target: string) => this.#front!.takesWhole(target),
      onWhole: (request: WholeRequest) => this.#front!.onWhole(request),
      takesUpgrade: (request: IncomingMessage) => this.#front!.takesUpgrade(request),
      onUpgrade: (...call: Upgrade) => this.#front!.onUpgrade(...call),
    };
    const pages = { onHttp1: (...call: Http1) => this.#metricsPages!.onHttp1(...call) };
    const grpc = this.#grpc;
    const separateHttp = config.listenClientHttpUrls.length > 0;
    await this.#listenAll(config.listenPeerUrls, 'peer', { grpc: null, http: this.#network.http });
    await this.#listenAll(config.listenClientUrls, 'client', { grpc, http: separateHttp ? null : http });
    await this.#listenAll(config.listenClientHttpUrls, 'client', { grpc: null, http });
    await this.#listenAll(config.listenMetricsUrls, 'metrics', { grpc: null, http: pages });
  }

  run(parts: MemberParts, failed: PromiseWithResolvers<Error>): Member {
    const { metrics, clock } = this.#options;
    const ready = Promise.withResolvers<void>();
    const removed = Promise.withResolvers<void>();
    const grpc = this.#grpc;
    let warming: GrpcServer | null = null;
    const server = new EtcdServer({
      ...this.#options,
      authentication: this.#authentication,
      parts,
      network: this.#network,
      requestIdStart: drawRequestIdStart(this.#options.random),
      onTurnEnd: () => {
        grpc.flush();
        warming?.flush();
      },
      onReady: () => {
        warming = warmUp(server, clock, () => {
          warming = null;
          this.#logger.info('ready to serve client requests');
          this.#open('client');
          this.#backups?.start(server);
          ready.resolve();
        });
      },
      onFatal: (error) => failed.resolve(error),
      onRemoved: () => removed.resolve(),
    });
    const services = registerServices(server, grpc);
    const beforeScrape = connectMetrics(server, grpc, metrics);
    this.#tracing?.observe(grpc);
    this.#metricsPages = new ClientHttp(server, 'metrics', beforeScrape, this.#debug);
    this.#front = this.#newFront(server, new ClientHttp(server, 'client', beforeScrape, this.#debug));
    if (this.#debug !== null) {
      this.#debug.start();
      this.#logger.info('pprof is enabled', { path: '/debug/pprof' });
    }
    server.start();
    this.#open('peer');
    this.#open('metrics');
    return {
      ready: ready.promise,
      failed: failed.promise,
      removed: removed.promise,
      reloadCertificates: () => this.#security.reload(),
      stop: async () => {
        for (const { listener } of this.#services) listener.stop();
        // Streams without an end of their own are ended; calls that are under way get their answers.
        services.stop();
        await this.#backups?.stop();
        await withTimeout(clock, server.requestTimeoutMs, (done) => grpc.drain(done));
        await new Promise<void>((resolve) => server.stopThen(resolve));
        grpc.close();
        this.closeListeners();
        this.#security.stop();
        this.#debug?.stop();
        await this.#tracing?.stop();
      },
    };
  }

  #newFront(server: EtcdServer, pages: ClientHttp): ClientFront {
    const { config, clock } = this.#options;
    const access = new AccessControl(config, (message, fields) => this.#logger.warn(message, fields));
    const maxBodyBytes = gatewayBodyBytes(config.maxRequestBytes);
    const loadGateway = async (): Promise<Gateway> => {
      const { Gateway } = await import('./gateway.ts').catch((error: Error) => {
        this.#logger.error('failed to load the gateway', { error: error.message });
        throw error;
      });
      return new Gateway({
        grpc: this.#grpc,
        clock,
        version: ETCD_VERSION,
        maxBodyBytes,
        maxUnfinishedBytes: unfinishedBytes(),
      });
    };
    const refusesCertificates = (): boolean => config.tls.client.clientCertAuth && server.auth.isEnabled;
    return new ClientFront(access, config.enableGrpcGateway ? loadGateway : null, pages, {
      refusesCertificates,
    });
  }

  closeListeners(): void {
    for (const { listener } of this.#services) listener.close();
  }

  #open(kind: Service['kind']): void {
    for (const { listener } of this.#services.filter((service) => service.kind === kind)) {
      listener.open();
      const { address, isSecure } = listener;
      if (kind === 'client') {
        const message = isSecure
          ? 'serving client traffic securely'
          : 'serving client traffic insecurely; this is strongly discouraged!';
        this.#logger.info(message, { traffic: 'grpc+http', address });
      } else {
        this.#logger.info(kind === 'peer' ? 'serving peer traffic' : 'serving metrics', { address });
      }
    }
  }

  async #listenAll(
    urls: readonly EtcdUrl[],
    kind: Service['kind'],
    services: ListenerServices,
  ): Promise<void> {
    const { config, clock, connectionLimit } = this.#options;
    for (const url of urls) {
      const listener = new Listener({
        url,
        services,
        clock,
        logger: this.#logger,
        connectionLimit: kind === 'client' ? connectionLimit : null,
        // A database takes as long as it takes, and has time limits of its own; a conversation in JSON is a body without an end.
        limitsRequestTime: kind === 'metrics',
        reusePort: config.socketReusePort,
        handed: this.#handed.get(url),
        secure: isSecureUrl(url) ? this.#security.listener(kind) : null,
        refusals: this.#security.refusals(kind),
      });
      await listener.listen();
      this.#tellOfHanded(url, listener);
      this.#services.push({ listener, kind });
    }
  }

  /** A socket decides where it listens, whatever its URL says: that is worth a look where they differ. */
  #tellOfHanded(url: EtcdUrl, { address }: Listener): void {
    const socket = this.#handed.get(url);
    if (socket === undefined) return;
    const fields = { name: socket.name, 'listen-url': url.text, address };
    if (isUnixUrl(url) || url.host === address)
      this.#logger.info('listening on a socket of the init system', fields);
    else
      this.#logger.warn('listening on a socket of the init system, which is not where the URL says', fields);
  }
}

/** What a request may be as JSON, where bytes are base64. */
function gatewayBodyBytes(maxRequestBytes: number): number {
  return Math.ceil(((maxRequestBytes + GRPC_OVERHEAD_BYTES) * 4) / 3);
}

function unfinishedBytes(): number {
  return Math.min(MAX_UNFINISHED_BYTES, Math.max(MIN_UNFINISHED_BYTES, memoryBytes() / UNFINISHED_PART));
}

/** Keys that can't be read, or don't fit each other, end the start before anything is touched. */
function newAuthentication({ config, clock, logger }: MemberOptions): Authentication {
  try {
    return new Authentication({ ...config, clock, logger });
  } catch (error) {
    throw new MemberStartError(`--auth-token: ${(error as Error).message}`, { cause: error });
  }
}

/** Loads the SDK where it is asked for, and nowhere else. */
async function openTracing({ config, clock, logger, random }: MemberOptions): Promise<Tracing | null> {
  if (config.tracing === null) return null;
  const { startTracing } = await import('../tracing/index.ts');
  const caller = { caller: 'server/tracing' };
  return startTracing({ config: config.tracing, clock, logger: logger.child(caller), random });
}

/** Waits for `begin` to be done, but not longer. */
function withTimeout(clock: Clock, timeoutMs: number, begin: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(timeoutMs, resolve);
    begin(() => {
      timer.cancel();
      resolve();
    });
  });
}
