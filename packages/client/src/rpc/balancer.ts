/**
 * Which connection the next call takes: every endpoint has one, calls go around those that are ready and serving. When
 * none is, a call waits until one is; `healthy` members are preferred, but one that calls itself not serving is better
 * than none.
 */
import type { GrpcChannel } from '@etcd/transport';
import { parseEndpoint } from '../endpoint.ts';
import { ClientError } from '../errors.ts';
import type { ClientOptions } from '../options.ts';
import { Connection } from './connection.ts';

/** Calls that may wait for a connection. */
const MAX_WAITING_CALLS = 100_000;

/** A call that waits. */
export interface ChannelWaiter {
  onChannel(channel: GrpcChannel): void;
  onClosed(error: ClientError): void;
}

export class Balancer {
  readonly #options: ClientOptions;
  readonly #waiters = new Set<ChannelWaiter>();
  #connections: readonly Connection[] = [];
  #next = 0;
  #isClosed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.setEndpoints(options.endpoints);
  }

  get endpoints(): readonly string[] {
    return this.#connections.map((connection) => connection.endpoint.text);
  }

  get endpointCount(): number {
    return this.#connections.length;
  }

  /** Why nothing is connected, for the text of a deadline that has passed; empty while something is. */
  get lastError(): string {
    if (this.#connections.some((connection) => connection.state === 'ready')) return '';
    return this.#connections.find((connection) => connection.lastError !== '')?.lastError ?? '';
  }

  /** Connections to endpoints that stay are kept. */
  setEndpoints(endpoints: readonly string[]): void {
    if (endpoints.length === 0) throw new ClientError('bad-endpoint', 'no endpoint is given');
    const parsed = [...new Set(endpoints)].map(parseEndpoint);
    const known = new Map(this.#connections.map((connection) => [connection.endpoint.text, connection]));
    this.#connections = parsed.map((endpoint) => {
      const kept = known.get(endpoint.text);
      known.delete(endpoint.text);
      return kept ?? new Connection(endpoint, this.#options, () => this.#wake());
    });
    for (const dropped of known.values()) dropped.leave();
    this.#next %= this.#connections.length;
  }

  /** A channel for a call at once, or null: then {@link wait}. */
  pick(): GrpcChannel | null {
    const count = this.#connections.length;
    let fallback: GrpcChannel | null = null;
    for (let i = 0; i < count; i++) {
      const at = (this.#next + i) % count;
      const connection = this.#connections[at]!;
      const { channel } = connection;
      if (channel === null || !channel.isOpen) {
        connection.connect();
        continue;
      }
      if (connection.isServing) {
        this.#next = (at + 1) % count;
        return channel;
      }
      fallback ??= channel;
    }
    return fallback;
  }

  /** Has `waiter` told of the next channel, until {@link forget}. */
  wait(waiter: ChannelWaiter): void {
    if (this.#isClosed) {
      this.#options.clock.defer(() => waiter.onClosed(new ClientError('closed', 'the client is closed')));
    } else if (this.#waiters.size >= MAX_WAITING_CALLS) {
      const error = new ClientError('overloaded', `${MAX_WAITING_CALLS} calls wait for a connection`);
      this.#options.clock.defer(() => waiter.onClosed(error));
    } else {
      this.#waiters.add(waiter);
      for (const connection of this.#connections) connection.connect();
    }
  }

  forget(waiter: ChannelWaiter): void {
    this.#waiters.delete(waiter);
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.close();
    const error = new ClientError('closed', 'the client is closed');
    for (const waiter of [...this.#waiters]) {
      this.#waiters.delete(waiter);
      waiter.onClosed(error);
    }
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) {
      const channel = this.pick();
      if (channel === null) return;
      if (this.#waiters.delete(waiter)) waiter.onChannel(channel);
    }
  }
}
