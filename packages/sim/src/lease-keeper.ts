/** Keeps leases alive through a stream of keepalives, and notes what was confirmed: until when a lease must live. */
import {
  decodeLeaseKeepAliveResponse,
  encodeLeaseKeepAliveRequest,
  LeaseKeepAliveRequest,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import type { ClientCall } from '@etcd/transport';
import { Session } from './session.ts';
import type { World } from './world.ts';

/** That one keeper looks after, unless told. */
const MAX_LEASES = 4;
/** Some renew far more often than they would have to. */
const EAGER_MS = 200;

export class LeaseKeeper {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  /** When each lease was last asked to be renewed, without an answer yet; NaN while nothing is open. */
  readonly #askedMs = new Map<bigint, number>();
  #call: ClientCall | null = null;

  readonly #maxLeases: number;

  constructor(world: World, random: SeededRandom, maxLeases = MAX_LEASES) {
    this.#maxLeases = maxLeases;
    this.#world = world;
    this.#random = random.fork();
    this.#session = new Session(world, random);
  }

  keep(id: bigint, ttlMs: number): void {
    if (this.#askedMs.size >= this.#maxLeases) return;
    this.#askedMs.set(id, Number.NaN);
    const isEager = this.#random.chance(0.5) && this.#world.tempo.restShare === 0;
    this.#renewLater(id, isEager ? EAGER_MS : ttlMs / 3);
  }

  forget(id: bigint): void {
    this.#askedMs.delete(id);
  }

  stop(): void {
    this.#askedMs.clear();
    this.#call?.cancel();
    this.#call = null;
  }

  #renewLater(id: bigint, everyMs: number): void {
    this.#world.clock.setTimer(everyMs, () => {
      if (!this.#askedMs.has(id)) return;
      this.#renew(id);
      this.#renewLater(id, everyMs);
    });
  }

  #renew(id: bigint): void {
    this.#call ??= this.#session.stream('/etcdserverpb.Lease/LeaseKeepAlive', {
      onMessage: (_call, bytes, start, end) => this.#onAnswer(bytes.subarray(start, end)),
      onEnd: (_call, code) => {
        this.#call = null;
        // No answer will come to what is open.
        for (const lease of this.#askedMs.keys()) this.#askedMs.set(lease, Number.NaN);
        if (code !== 0) this.#session.leave();
      },
    });
    if (this.#call === null || !Number.isNaN(this.#askedMs.get(id))) return;
    this.#askedMs.set(id, this.#world.clock.now());
    this.#call.write(encodeLeaseKeepAliveRequest(new LeaseKeepAliveRequest({ id })));
  }

  #onAnswer(bytes: Uint8Array): void {
    const { id, ttl } = decodeLeaseKeepAliveResponse(bytes);
    const askedMs = this.#askedMs.get(id);
    if (askedMs === undefined) return;
    const lease = this.#world.leases.get(id);
    if (ttl <= 0) {
      this.#world.note(`lease ${id.toString(16)} has ended`);
      this.#askedMs.delete(id);
    } else if (lease !== undefined && !Number.isNaN(askedMs)) {
      lease.renewedMs = Math.max(lease.renewedMs, askedMs);
      this.#askedMs.set(id, Number.NaN);
    }
  }
}
