/** One of the two servers under comparison: carries out operations and returns what came of them in canonical form. */
import { isDeepStrictEqual } from 'node:util';
import { EtcdRpc, RpcError, type RpcStream } from '../../support/etcd-rpc.ts';
import { EtcdServer } from '../../support/etcd-server.ts';
import type { LeaseKeepAliveResponse, Responses, WatchResponse } from '../../support/messages.ts';
import { ProxyProcess } from '../../support/proxy.ts';
import { canonical, canonicalHeader } from './canonical.ts';
import type { Operation, Request } from './operations.ts';

/** What a client of one watch saw, in order. */
type WatchHistory = object[];

export class Replica {
  readonly program: string;
  /** Keyed by stream and watch id. */
  readonly watches = new Map<string, WatchHistory>();
  #server: EtcdServer;
  #rpc: EtcdRpc;
  #streams: (RpcStream<WatchResponse> | undefined)[] = [];
  #keepAlive: RpcStream<LeaseKeepAliveResponse> | null = null;
  /** Lease ids that this server chose, both ways. */
  readonly #actual = new Map<bigint, bigint>();
  readonly #placeholder = new Map<bigint, bigint>();

  /** What clients talk to instead of the server; null: the server. */
  readonly #proxy: ProxyProcess | null;

  private constructor(server: EtcdServer, proxy: ProxyProcess | null) {
    this.#server = server;
    this.#proxy = proxy;
    this.program = server.program;
    this.#rpc = this.#connect();
  }

  static async start(program: string): Promise<Replica> {
    return new Replica(await EtcdServer.start({ program, keepLog: false }), null);
  }

  /** With a proxy of the program under test before it. */
  static async startProxied(program: string, flags: readonly string[] = []): Promise<Replica> {
    const server = await EtcdServer.start({ program, keepLog: false });
    try {
      const endpoints = [server.address];
      return new Replica(server, await ProxyProcess.start('grpc-proxy', { endpoints, flags }));
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#hangUp();
    await this.#proxy?.stop();
    await this.#server.stop();
  }

  /** Dies without notice and comes back. Watches are gone with their connection. */
  async crash(): Promise<void> {
    this.#hangUp();
    await this.#server.kill();
    this.#server = await this.#server.restart();
    this.#rpc = this.#connect();
  }

  async carryOut(operation: Operation): Promise<object> {
    switch (operation.kind) {
      case 'call':
        return this.#call(operation.method, operation.request);
      case 'range-stream':
        return this.#rangeStream(operation.request);
      case 'compact':
        return this.#call('KV.Compact', operation.request);
      case 'grant':
        return this.#grant(operation.request, operation.placeholder);
      case 'keep-alive':
        return this.#keepLeaseAlive(operation.id);
      case 'watch':
        return this.#watch(operation.stream, operation.request);
      case 'unwatch':
        return this.#unwatch(operation.stream, operation.watchId);
    }
  }

  #connect(): EtcdRpc {
    return new EtcdRpc(this.#proxy?.address ?? this.#server.address);
  }

  #hangUp(): void {
    for (const stream of this.#streams) stream?.cancel();
    this.#keepAlive?.cancel();
    this.#rpc.close();
    this.#streams = [];
    this.#keepAlive = null;
    this.watches.clear();
  }

  async #call(method: keyof Responses, request: Request): Promise<object> {
    const outcome = await this.#rpc.outcome(method, this.#substitute(request, this.#actual) as object);
    if (!outcome.ok) return { code: outcome.code, details: this.#refusalOf(request, outcome.details) };
    const response = this.#substitute(outcome.value, this.#placeholder) as object;
    return canonical(method, request, response);
  }

  /** All pieces together: where one ends is a matter of sizes. */
  async #rangeStream(request: Request): Promise<object> {
    try {
      const pieces = await this.#rpc.collect('KV.RangeStream', request);
      const kvs = pieces.flatMap((piece) => piece.range_response!.kvs);
      const { header, more, count } = pieces.at(-1)!.range_response!;
      const whole = { header: canonicalHeader(header), kvs, more, count };
      return this.#substitute(whole, this.#placeholder) as object;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return { code: error.code, details: error.details };
    }
  }

  /** A request that names a lease which each server has numbered itself may be some bytes longer for one of them. */
  #refusalOf(request: Request, details: string): string {
    const namesPlaceholder = !isDeepStrictEqual(this.#substitute(request, this.#actual), request);
    return namesPlaceholder ? details.replace(/larger than max \(\d+/, 'larger than max (some') : details;
  }

  async #grant(request: Request, placeholder: bigint | null): Promise<object> {
    const outcome = await this.#rpc.outcome('Lease.LeaseGrant', request);
    if (!outcome.ok) return { code: outcome.code, details: outcome.details };
    const { ID, TTL, error, header } = outcome.value;
    if (placeholder !== null) {
      this.#actual.set(placeholder, ID);
      this.#placeholder.set(ID, placeholder);
    }
    // It would expire sooner or later in the middle of the comparison.
    if (TTL < 1000n) await this.#rpc.call('Lease.LeaseRevoke', { ID });
    const isPositive = ID > 0n;
    return { header: canonicalHeader(header), id: placeholder ?? ID, isPositive, TTL, error };
  }

  async #keepLeaseAlive(id: bigint): Promise<object> {
    this.#keepAlive ??= this.#rpc.stream('Lease.LeaseKeepAlive');
    this.#keepAlive.send({ ID: this.#actual.get(id) ?? id });
    try {
      const { header, ID, TTL } = await this.#keepAlive.take();
      return { header: canonicalHeader(header), ID: this.#placeholder.get(ID) ?? ID, TTL };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      this.#keepAlive = null;
      return { code: error.code, details: error.details };
    }
  }

  /** Creates a watch and waits for the answer; events that belong to it go to its history. */
  async #watch(index: number, request: Request): Promise<object> {
    const stream = this.#stream(index);
    stream.send({ create_request: request });
    const response = await this.#takeWatch(index, stream, (message) => message.created);
    return {
      header: canonicalHeader(response.header),
      watch_id: response.watch_id,
      canceled: response.canceled,
      cancel_reason: response.cancel_reason,
      compact_revision: response.compact_revision,
    };
  }

  async #unwatch(index: number, watchId: bigint): Promise<object> {
    const history = this.watches.get(`${index}/${watchId}`);
    const isOpen = history !== undefined && !('canceled' in history.at(-1)!);
    const stream = this.#stream(index);
    stream.send({ cancel_request: { watch_id: watchId } });
    // An unknown watch is not answered.
    if (!isOpen) return { unknown: true };
    const response = await this.#takeWatch(index, stream, (m) => m.canceled && m.watch_id === watchId);
    return { header: canonicalHeader(response.header), watch_id: response.watch_id };
  }

  #stream(index: number): RpcStream<WatchResponse> {
    return (this.#streams[index] ??= this.#rpc.stream('Watch.Watch'));
  }

  async #takeWatch(
    index: number,
    stream: RpcStream<WatchResponse>,
    condition: (message: WatchResponse) => boolean,
  ): Promise<WatchResponse> {
    for (;;) {
      const message = await stream.take();
      this.#note(index, message);
      if (condition(message)) return message;
    }
  }

  /** Takes what has arrived on all streams. */
  async gather(): Promise<void> {
    for (const [index, stream] of this.#streams.entries()) {
      while (stream !== undefined && stream.pending > 0) this.#note(index, await stream.take());
    }
  }

  #note(index: number, message: WatchResponse): void {
    const key = `${index}/${message.watch_id}`;
    let history = this.watches.get(key);
    if (history === undefined) {
      history = [];
      this.watches.set(key, history);
    }
    if (message.created) history.push({ created: message.header!.revision });
    // How the events are spread over responses is a matter of timing.
    for (const event of message.events) {
      const { key: eventKey, ...kv } = event.kv;
      history.push(
        this.#substitute({ ...event, kv, key: eventKey.toString('latin1') }, this.#placeholder) as object,
      );
    }
    if (message.canceled) {
      history.push({ canceled: message.cancel_reason, compact_revision: message.compact_revision });
    }
  }

  /** Replaces lease ids, wherever they are. */
  #substitute(value: unknown, table: ReadonlyMap<bigint, bigint>): unknown {
    if (typeof value === 'bigint') return table.get(value) ?? value;
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map((item) => this.#substitute(item, table));
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, this.#substitute(v, table)]));
  }
}
