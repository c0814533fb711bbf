/** For tests: a cluster in memory with a proxy before it, on simulated time, and clients of either. */
import { SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { EtcdClient } from '@etcd/client';
import { FakeCluster, FakeHistory } from '@etcd/client/testing';
import { SimClock } from '@etcd/testing';
import { type Duplex, GrpcChannel, GrpcServer, type Http2Limits, memoryDuplexPair } from '@etcd/transport';
import { NamespaceBackend } from '../kv/kv-backend.ts';
import { KvService } from '../kv/kv-service.ts';
import { namespaceRows } from '../kv/namespace.ts';
import { RangeCache } from '../kv/range-cache.ts';
import { KeepAliveHub } from '../lease/keep-alive-hub.ts';
import { ProxyServer } from '../server/proxy-server.ts';
import { Callers } from '../upstream/caller.ts';
import { Upstream } from '../upstream/upstream.ts';
import { WatchHub } from '../watch/watch-hub.ts';

export interface ProxiedOptions {
  readonly seed?: number;
  /** Members. */
  readonly size?: number;
  readonly namespace?: string;
  readonly ownName?: string;
}

export class ProxiedCluster {
  readonly clock = new SimClock();
  readonly random: SeededRandom;
  readonly cluster: FakeCluster;
  readonly history: FakeHistory;
  readonly upstream: Upstream;
  readonly cache = new RangeCache();
  readonly watches: WatchHub;
  readonly keepAlives: KeepAliveHub;
  readonly server: GrpcServer;
  #ends: Duplex[] = [];

  constructor({ seed = 1, size = 1, namespace = '', ownName = 'self' }: ProxiedOptions = {}) {
    this.random = new SeededRandom(seed);
    this.cluster = new FakeCluster(this.clock, size, seed);
    this.history = new FakeHistory(this.random);
    for (const server of this.cluster.servers) this.history.serve(server);
    const { clock } = this;
    this.upstream = new Upstream({ ...this.cluster.options, clock, random: this.random });
    const prefix = Buffer.from(namespace);
    const rows = namespace === '' ? new Map() : namespaceRows(prefix);
    this.watches = new WatchHub({
      upstream: this.upstream,
      logger: SILENT_LOGGER,
      namespace: prefix,
      isTapped: false,
    });
    this.keepAlives = new KeepAliveHub(this.upstream);
    this.server = new GrpcServer({ clock });
    new ProxyServer({
      upstream: this.upstream,
      callers: new Callers(ownName),
      kv: new KvService(new NamespaceBackend(rows, this.upstream), this.cache, clock),
      cache: this.cache,
      watches: this.watches,
      keepAlives: this.keepAlives,
      namespaceRows: rows,
      logger: SILENT_LOGGER,
      advertised: null,
      onMessage: null,
    }).register(this.server);
  }

  /** A client of the proxy, with a connection of its own. */
  client(token?: string): EtcdClient {
    return new EtcdClient({
      endpoints: ['proxy:2379'],
      connector: { isSecure: false, connect: () => this.#connect() },
      clock: this.clock,
      random: this.random,
      ...(token === undefined ? {} : { token }),
    });
  }

  /** A bare connection to the proxy. */
  channel(limits: Partial<Http2Limits> = {}): GrpcChannel {
    const maxReceiveMessageBytes = 2 ** 31 - 1;
    return new GrpcChannel(this.#connect(), {
      clock: this.clock,
      authority: 'proxy',
      maxReceiveMessageBytes,
      limits,
    });
  }

  /** Ends connections between clients and the proxy. */
  cutClients(): void {
    for (const end of this.#ends) end.destroy();
    this.#ends = [];
  }

  #connect(): Duplex {
    const [ours, theirs] = memoryDuplexPair({ clock: this.clock });
    this.server.accept(ours);
    this.#ends.push(ours);
    return theirs;
  }
}
