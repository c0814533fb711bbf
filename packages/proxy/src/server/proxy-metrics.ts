/** What a proxy counts, by etcd's names, and its text for a scrape. */
import { loadOnce } from '@etcd/base';
import {
  counter,
  createRegistry,
  type Gauge,
  type GrpcCallType,
  GrpcServerMetrics,
  gauge,
  goFamilies,
  grpcFamilies,
  handleFamily,
  readProcessFacts,
} from '@etcd/host/metrics';
import { type GrpcServer, MethodKind } from '@etcd/transport';
import type { RangeCache } from '../kv/range-cache.ts';
import type { WatchCounts } from '../watch/watch-counts.ts';

const TABLE = {
  cacheHits: gauge('etcd_grpc_proxy_cache_hits_total', 'Ranges that were answered without asking a member.'),
  cacheKeys: gauge('etcd_grpc_proxy_cache_keys_total', 'Answers that are remembered now.'),
  cacheMisses: gauge(
    'etcd_grpc_proxy_cache_misses_total',
    'Ranges that could have been answered from memory, but were not there.',
  ),
  eventsCoalescing: counter(
    'etcd_grpc_proxy_events_coalescing_total',
    'Messages of events that clients got from a watch of somebody else.',
  ),
  watchersCoalescing: gauge(
    'etcd_grpc_proxy_watchers_coalescing_total',
    'Watchers now that live on a watch of somebody else.',
  ),
  osFdLimit: gauge('os_fd_limit', 'Limit on open file descriptors.'),
  osFdUsed: gauge('os_fd_used', 'Open file descriptors.'),
  processVirtualMemoryMaxBytes: gauge('process_virtual_memory_max_bytes', 'Limit on address space in bytes.'),
  processNetworkReceiveBytesTotal: counter(
    'process_network_receive_bytes_total',
    'Bytes that the machine has received over the network.',
  ),
  processNetworkTransmitBytesTotal: counter(
    'process_network_transmit_bytes_total',
    'Bytes that the machine has sent over the network.',
  ),
} as const;

type Handles = { readonly [K in keyof typeof TABLE]: ReturnType<(typeof TABLE)[K]['create']> };

const CALL_TYPES: Readonly<Record<number, GrpcCallType>> = {
  [MethodKind.UNARY]: 'unary',
  [MethodKind.SERVER_STREAM]: 'server_stream',
  [MethodKind.CLIENT_STREAM]: 'client_stream',
  [MethodKind.BIDI]: 'bidi_stream',
};

export class ProxyMetrics {
  readonly #handles: Handles;
  readonly #grpc = new GrpcServerMetrics(false);
  readonly #server: GrpcServer;
  readonly #watches: WatchCounts;
  readonly #registry = loadOnce(() => createRegistry(this.#families()));

  constructor(server: GrpcServer, cache: RangeCache, watches: WatchCounts) {
    const entries = Object.entries(TABLE).map(([name, definition]) => [name, definition.create()]);
    this.#handles = Object.fromEntries(entries) as Handles;
    this.#server = server;
    this.#watches = watches;
    const shown: readonly [Gauge, () => number][] = [
      [this.#handles.cacheHits, () => cache.hits],
      [this.#handles.cacheKeys, () => cache.size],
      [this.#handles.cacheMisses, () => cache.misses],
      [this.#handles.watchersCoalescing, () => watches.coalescing],
    ];
    for (const [handle, read] of shown) handle.readFrom(read);
  }

  async render(): Promise<{ readonly contentType: string; readonly text: string }> {
    const registry = await this.#registry();
    this.#handles.eventsCoalescing.value = this.#watches.shared;
    await readProcessFacts(this.#handles);
    this.#readMethods();
    return { contentType: registry.contentType, text: await registry.metrics() };
  }

  #families(): Parameters<typeof createRegistry>[0] {
    this.#readMethods();
    const names = Object.keys(TABLE) as (keyof typeof TABLE)[];
    const own = names.map((name) => handleFamily(TABLE[name], this.#handles[name]));
    return [...own, ...grpcFamilies(this.#grpc), ...goFamilies()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #readMethods(): void {
    for (const method of this.#server.methods) {
      const { service, name, kind } = method;
      const metrics = this.#grpc.register(service, name, CALL_TYPES[kind] ?? 'unary');
      metrics.started = method.started;
      metrics.received = method.messagesReceived;
      metrics.sent = method.messagesSent;
      metrics.handled.set(method.handled);
    }
  }
}
