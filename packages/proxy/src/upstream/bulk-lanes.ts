/**
 * Connections for streams that carry much, a few streams on each. What their clients do not read waits with the member, which counts it by
 * connection and takes no new call on one where too much waits: on the connection that all calls share, some slow clients would hold up
 * everybody.
 */
import type { ClientOptions } from '@etcd/client';
import { Balancer } from '@etcd/client/forward';

export interface BulkLane {
  readonly balancer: Balancer;
  /** Streams that are under way. */
  streamCount: number;
}

/** As many as may each hold back two messages of the largest kind. */
const MAX_STREAMS_PER_LANE = 8;
/** Each has a connection to every member that it was needed for. Streams beyond that share the lanes evenly. */
const MAX_LANES = 64;

export class BulkLanes {
  readonly #options: ClientOptions;
  #endpoints: readonly string[];
  readonly #lanes = new Set<BulkLane>();

  constructor(options: ClientOptions) {
    // Of members lost and found tell the connections that all calls share.
    this.#options = { ...options, onEvent: undefined };
    this.#endpoints = options.endpoints;
  }

  /** With streams, or kept for the next. */
  get count(): number {
    return this.#lanes.size;
  }

  /** A place for a stream, until {@link leave}. */
  enter(): BulkLane {
    let lane: BulkLane | null = null;
    for (const one of this.#lanes) if (lane === null || one.streamCount < lane.streamCount) lane = one;
    const isFull = lane === null || lane.streamCount >= MAX_STREAMS_PER_LANE;
    if (lane === null || (isFull && this.#lanes.size < MAX_LANES)) lane = this.#open();
    lane.streamCount++;
    return lane;
  }

  leave(lane: BulkLane): void {
    lane.streamCount--;
    // One is kept, so that streams one after the other need no connection each.
    if (lane.streamCount > 0 || this.#lanes.size === 1) return;
    this.#lanes.delete(lane);
    lane.balancer.close();
  }

  setEndpoints(endpoints: readonly string[]): void {
    this.#endpoints = endpoints;
    for (const { balancer } of this.#lanes) balancer.setEndpoints(endpoints);
  }

  close(): void {
    for (const { balancer } of this.#lanes) balancer.close();
  }

  #open(): BulkLane {
    const lane = { balancer: new Balancer({ ...this.#options, endpoints: this.#endpoints }), streamCount: 0 };
    this.#lanes.add(lane);
    return lane;
  }
}
