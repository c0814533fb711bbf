/** A proxy with everything around it: the parts as the flags have them, its listeners, its pages, its place among the other proxies. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import {
  decodeMemberListResponse,
  encodeMemberListRequest,
  encodeRangeRequest,
  MemberListRequest,
  RangeRequest,
} from '@etcd/api/etcdserverpb';
import { ClusterService, KvService as KvMethods } from '@etcd/api/services';
import { GrpcCode, type Logger, parseUrls, type Timer } from '@etcd/base';
import { NodeRandom } from '@etcd/base/node';
import { type ClientOptions, EtcdClient, type Namespace } from '@etcd/client';
import type { FlagValues } from '@etcd/host/cli';
import { DebugPages } from '@etcd/host/debug';
import { type HttpRequestHandler, Listener, lookUpClientEndpoints } from '@etcd/host/net';
import type { TlsSide } from '@etcd/host/tls';
import { GrpcServer } from '@etcd/transport';
import { type RegisteredProxy, Registration } from '../cluster/registration.ts';
import { splitHostPort } from '../gateway/split-address.ts';
import { memberMetrics } from '../http/member-metrics.ts';
import { ProxyHttp } from '../http/proxy-http.ts';
import { type KvBackend, NamespaceBackend } from '../kv/kv-backend.ts';
import { KvService } from '../kv/kv-service.ts';
import { type NamespaceRow, namespaceRows } from '../kv/namespace.ts';
import { OrderingBackend } from '../kv/ordering-backend.ts';
import { RangeCache } from '../kv/range-cache.ts';
import { KeepAliveHub } from '../lease/keep-alive-hub.ts';
import { LeasingBackend } from '../leasing/leasing-backend.ts';
import { LeasingSession } from '../leasing/leasing-session.ts';
import { OwnedKeys } from '../leasing/owned-keys.ts';
import type { ProxyProcess } from '../proxy-process.ts';
import { Callers } from '../upstream/caller.ts';
import { ProxyConnector } from '../upstream/connector.ts';
import { Upstream } from '../upstream/upstream.ts';
import { WatchHub } from '../watch/watch-hub.ts';
import { clusterProblem, proxyProblem } from './health.ts';
import { NODE_HOSTS, openListenSide, openMemberSide } from './listen-security.ts';
import { logMessages } from './message-log.ts';
import { ProxyMetrics } from './proxy-metrics.ts';
import { ProxyServer } from './proxy-server.ts';
import { StartError } from './start-error.ts';

const NAME_BYTES = 8;
const MAX_STREAMS_PER_CONNECTION = 100_000;
const RETRY_MS = 1_000;
/** How long calls that are open may go on when the proxy stops. */
const DRAIN_MS = 2_000;
const REFUSALS = { rejectedMessage: 'rejected connection', onRejected: () => {} } as const;
/** A client has one connection; a member has one for all. */
const DESCRIPTORS_PER_CLIENT = 1;

export class GrpcProxy {
  readonly #flags: FlagValues;
  readonly #process: ProxyProcess;
  readonly #logger: Logger;
  readonly #listenSide: TlsSide | null;
  readonly #memberSide: TlsSide;
  readonly #connector: ProxyConnector;
  readonly #clientOptions: ClientOptions;
  readonly #upstream: Upstream;
  readonly #callers = new Callers(randomBytes(NAME_BYTES).toString('hex'));
  readonly #cache = new RangeCache();
  readonly #watches: WatchHub;
  readonly #keepAlives: KeepAliveHub;
  readonly #server: GrpcServer;
  readonly #pages: ProxyHttp;
  readonly #listeners: Listener[] = [];
  readonly #rows: ReadonlyMap<string, NamespaceRow>;
  /** A proxy's command line has no secrets in it. */
  readonly #debug: DebugPages | null;
  #registration: Registration | null = null;
  #leasing: LeasingSession | null = null;
  #client: EtcdClient | null = null;
  #syncTimer: Timer | null = null;

  private constructor(
    flags: FlagValues,
    process: ProxyProcess,
    sides: { readonly listen: TlsSide | null; readonly member: TlsSide; readonly isSecure: boolean },
    endpoints: readonly string[],
  ) {
    const { clock } = process;
    this.#flags = flags;
    this.#process = process;
    this.#logger = process.logger.child({ caller: 'proxy/grpc-proxy' });
    this.#listenSide = sides.listen;
    this.#memberSide = sides.member;
    this.#connector = new ProxyConnector(sides.member, sides.isSecure, clock);
    this.#clientOptions = this.#newClientOptions(endpoints);
    this.#upstream = new Upstream(this.#clientOptions);
    this.#keepAlives = new KeepAliveHub(this.#upstream);
    this.#watches = new WatchHub({
      upstream: this.#upstream,
      logger: this.#logger,
      namespace: this.#namespace,
      isTapped: flags.bool('experimental-enable-grpc-logging'),
    });
    this.#rows = this.#namespace.length === 0 ? new Map() : namespaceRows(this.#namespace);
    this.#debug = flags.bool('enable-pprof')
      ? new DebugPages(null, ['etcd', ...globalThis.process.argv.slice(2)])
      : null;
    this.#server = this.#newServer();
    this.#pages = this.#newPages();
  }

  /** Reads what is in files and records of names. Rejects with an error of one line for what can't be used. */
  static async open(flags: FlagValues, process: ProxyProcess): Promise<GrpcProxy> {
    const { clock } = process;
    const logger = process.logger.child({ caller: 'proxy/grpc-proxy' });
    const at = splitHostPort(flags.text('listen-addr'));
    if (at === null)
      throw new StartError(`listen tcp: address ${flags.text('listen-addr')}: missing port in address`);
    const listen = await openListenSide(flags, at.host, clock, logger);
    const { side: member, isGiven: isSecure } = await openMemberSide(flags, clock, logger);
    const endpoints = await findEndpoints(flags, logger);
    try {
      return new GrpcProxy(flags, process, { listen, member, isSecure }, endpoints);
    } catch (error) {
      throw new StartError((error as Error).message, { cause: error });
    }
  }

  /** Takes the ports, and serves. */
  async serve(): Promise<void> {
    const address = this.#flags.text('listen-addr');
    for (const side of [this.#listenSide, this.#memberSide]) side?.start();
    const main = await this.#listen(address, this.#server);
    this.#logger.info('listening for gRPC proxy client requests', { address });
    const ordering = this.#flags.bool('experimental-serializable-ordering')
      ? new OrderingBackend(this.#upstream)
      : null;
    if (ordering !== null) await this.#recoverOrdering(ordering);
    this.#register(await this.#leased(this.#namespaced(ordering ?? this.#upstream)));
    if (this.#debug !== null) {
      this.#debug.start();
      this.#logger.info('gRPC proxy enabled pprof', { path: '/debug/pprof' });
    }
    main.open();
    await this.#serveMetrics();
    this.#syncLater();
    this.#logger.info('started gRPC proxy', { address });
  }

  reloadCertificates(): void {
    void this.#listenSide?.reload();
    void this.#memberSide.reload();
  }

  async stop(): Promise<void> {
    const { clock } = this.#process;
    this.#syncTimer?.cancel();
    this.#debug?.stop();
    for (const listener of this.#listeners) listener.stop();
    this.#logger.info('stop listening gRPC proxy client requests', {
      address: this.#flags.text('listen-addr'),
    });
    await Promise.all([this.#registration?.stop(), this.#leasing?.stop()]);
    this.#watches.close(GrpcCode.Unavailable, 'the proxy stops');
    this.#keepAlives.close();
    await new Promise<void>((resolve) => {
      clock.setTimer(DRAIN_MS, resolve);
      this.#server.drain(resolve);
    });
    this.#server.close();
    for (const listener of this.#listeners) listener.close();
    this.#client?.close();
    this.#upstream.close();
    for (const side of [this.#listenSide, this.#memberSide]) side?.stop();
  }

  get #namespace(): Uint8Array {
    return Buffer.from(this.#flags.text('namespace'));
  }

  #newClientOptions(endpoints: readonly string[]): ClientOptions {
    const flags = this.#flags;
    const positive = (value: number): number | undefined => (value > 0 ? value : undefined);
    return {
      endpoints,
      connector: this.#connector,
      clock: this.#process.clock,
      random: new NodeRandom(),
      healthChecks: true,
      keepaliveIntervalMs: positive(flags.durationMs('dial-keepalive-time')),
      keepaliveTimeoutMs: positive(flags.durationMs('dial-keepalive-timeout')),
      keepaliveWithoutStream: flags.bool('permit-without-stream'),
      maxSendMessageBytes: positive(flags.number('max-send-bytes')),
      maxReceiveMessageBytes: positive(flags.number('max-recv-bytes')),
    };
  }

  #newServer(): GrpcServer {
    const flags = this.#flags;
    return new GrpcServer({
      clock: this.#process.clock,
      limits: {
        maxConcurrentStreams: Math.min(
          flags.number('max-concurrent-streams') || MAX_STREAMS_PER_CONNECTION,
          MAX_STREAMS_PER_CONNECTION,
        ),
        keepaliveIntervalMs: Math.max(0, flags.durationMs('grpc-keepalive-interval')),
        keepaliveTimeoutMs: Math.max(0, flags.durationMs('grpc-keepalive-timeout')),
        minPingIntervalMs: Math.max(0, flags.durationMs('grpc-keepalive-min-time')),
      },
      onRequest: (exchange) => this.#pages.onHttp2(exchange),
    });
  }

  #newPages(): ProxyHttp {
    const metrics = new ProxyMetrics(this.#server, this.#cache, this.#watches.counts);
    const random = new NodeRandom();
    const { clock } = this.#process;
    const isAdvertised = this.#flags.text('advertise-client-url') !== '';
    return new ProxyHttp({
      memberMetrics: () => memberMetrics(this.#connector, this.#upstream.balancer.endpoints, random),
      ownMetrics: () => metrics.render(),
      clusterProblem: () => clusterProblem(this.#upstream, this.#callers),
      proxyProblem: async () => (isAdvertised ? proxyProblem(this.#server, clock) : 'no connection to proxy'),
      debug: this.#debug,
      logger: this.#logger,
    });
  }

  #namespaced(below: KvBackend): KvBackend {
    return this.#rows.size === 0 ? below : new NamespaceBackend(this.#rows, below);
  }

  /** Waits for the session without which nothing could be owned. */
  async #leased(below: KvBackend): Promise<KvBackend> {
    const prefix = this.#flags.text('experimental-leasing-prefix');
    if (prefix === '') return below;
    const { clock } = this.#process;
    const owned = new OwnedKeys();
    const keys = this.#keys;
    const session = new LeasingSession({ keys, prefix, owned, clock, logger: this.#logger });
    this.#leasing = session;
    await session.start();
    return new LeasingBackend({ below, session, owned, keys, prefix, own: this.#callers.own, clock });
  }

  /** For what the proxy does for itself: keys as its clients see them. */
  get #keys(): Namespace {
    this.#client ??= new EtcdClient(this.#clientOptions);
    return this.#namespace.length === 0 ? this.#client : this.#client.namespace(this.#namespace);
  }

  /** Methods are registered when all that they need is there, before the first connection is served. */
  #register(backend: KvBackend): void {
    const { clock } = this.#process;
    const isLogging = this.#flags.bool('experimental-enable-grpc-logging');
    new ProxyServer({
      upstream: this.#upstream,
      callers: this.#callers,
      kv: new KvService(backend, this.#cache, clock),
      cache: this.#cache,
      watches: this.#watches,
      keepAlives: this.#keepAlives,
      namespaceRows: this.#rows,
      logger: this.#logger,
      advertised: this.#advertised(),
      onMessage: isLogging ? logMessages(this.#process.logger.child({ caller: 'proxy/messages' })) : null,
    }).register(this.#server);
  }

  /** What clients are told when they ask for the members. */
  #advertised(): (() => readonly RegisteredProxy[]) | null {
    const address = this.#flags.text('advertise-client-url');
    if (address === '') return null;
    const prefix = this.#flags.text('resolver-prefix');
    if (prefix !== '') this.#registerProxy(prefix, address);
    const itself: readonly RegisteredProxy[] = [{ name: hostname(), address }];
    return () => {
      const registered = [...(this.#registration?.proxies ?? [])];
      return registered.length > 0 ? registered : itself;
    };
  }

  #registerProxy(prefix: string, address: string): void {
    this.#registration = new Registration({
      keys: this.#keys,
      prefix,
      ttlSeconds: this.#flags.number('resolver-ttl'),
      address,
      hostname: hostname(),
      clock: this.#process.clock,
      logger: this.#logger,
    });
    this.#registration.start();
  }

  async #listen(
    address: string,
    grpc: GrpcServer | null,
    isSecure = this.#listenSide !== null,
  ): Promise<Listener> {
    const { clock } = this.#process;
    const { urls, error } = parseUrls([`${isSecure ? 'https' : 'http'}://${address}`]);
    if (error !== undefined) throw new StartError(`listen tcp: address ${address}: ${error}`);
    const url = urls[0]!;
    const http: HttpRequestHandler = { onHttp1: (...call) => this.#pages.onHttp1(...call) };
    const listener = new Listener({
      url,
      services: { grpc, http },
      clock,
      logger: this.#logger,
      connectionLimit: this.#process.connectionLimit(DESCRIPTORS_PER_CLIENT),
      limitsRequestTime: true,
      reusePort: false,
      secure: isSecure ? { ...REFUSALS, side: this.#listenSide!, hosts: NODE_HOSTS } : null,
      refusals: REFUSALS,
    });
    await listener.listen();
    this.#listeners.push(listener);
    return listener;
  }

  async #serveMetrics(): Promise<void> {
    const text = this.#flags.text('metrics-addr');
    if (text === '') return;
    const { urls, error } = parseUrls([text]);
    if (error !== undefined) throw new StartError(`cannot parse ${JSON.stringify(text)}`);
    const url = urls[0]!;
    const isSecure = url.scheme === 'https';
    if (isSecure && this.#listenSide === null)
      throw new StartError('tls: neither a certificate nor a key is given');
    const listener = await this.#listen(url.host, null, isSecure);
    this.#logger.info('gRPC proxy listening for metrics', { address: url.text });
    listener.open();
    this.#logger.info('gRPC proxy server metrics URL serving');
  }

  /** Waits for the revision that the cluster is at: nothing older will be answered. */
  async #recoverOrdering(ordering: OrderingBackend): Promise<void> {
    this.#logger.info('waiting for linearized read from cluster to recover ordering');
    const request = encodeRangeRequest(new RangeRequest({ key: Buffer.from('_'), keysOnly: true }));
    for (;;) {
      const problem = await new Promise<string>((resolve) => {
        const deadlineMs = Number.POSITIVE_INFINITY;
        ordering.unary(
          KvMethods.methods.range.path,
          request,
          this.#callers.own,
          deadlineMs,
          (code, message) => resolve(code === GrpcCode.OK ? '' : message),
        );
      });
      if (problem === '') return;
      this.#logger.warn('ordering recovery failed, retrying in 1s', { error: problem });
      await new Promise<void>((resolve) => this.#process.clock.setTimer(RETRY_MS, resolve));
    }
  }

  /** Takes what the members say of themselves for the endpoints, from time to time. */
  #syncLater(): void {
    const intervalMs = this.#flags.durationMs('endpoints-auto-sync-interval');
    if (intervalMs <= 0) return;
    this.#syncTimer = this.#process.clock.setTimer(intervalMs, () => {
      this.#syncEndpoints();
      this.#syncLater();
    });
  }

  #syncEndpoints(): void {
    const { path } = ClusterService.methods.memberList;
    const request = encodeMemberListRequest(new MemberListRequest());
    const deadlineMs = this.#process.clock.now() + RETRY_MS;
    this.#upstream.unary(path, request, this.#callers.own, deadlineMs, (code, message, bytes, start, end) => {
      if (code !== GrpcCode.OK) {
        this.#logger.warn('failed to sync the endpoints', { error: message });
        return;
      }
      const { members } = decodeMemberListResponse(bytes, start, end);
      const serving = members.filter(({ name, isLearner }) => name !== '' && !isLearner);
      const endpoints = serving.flatMap(({ clientUrls }) => clientUrls);
      if (endpoints.length > 0) this.#upstream.setEndpoints(endpoints);
    });
  }
}

async function findEndpoints(flags: FlagValues, logger: Logger): Promise<readonly string[]> {
  const domain = flags.text('discovery-srv');
  const given = flags.list('endpoints');
  if (domain === '') return given;
  let found: Awaited<ReturnType<typeof lookUpClientEndpoints>>;
  try {
    found = await lookUpClientEndpoints(domain, flags.text('discovery-srv-name'));
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error });
  }
  const isInsecure = flags.bool('insecure-discovery');
  const urls = found.map(({ url }) => url).filter((url) => isInsecure || url.startsWith('https://'));
  logger.info('discovered cluster from SRV', { 'srv-server': domain, endpoints: urls });
  return urls.length > 0 ? urls : given;
}
