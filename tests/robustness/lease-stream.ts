/** Renews leases through one stream, at another member whenever it breaks, and notes what was confirmed. */
import {
  decodeLeaseKeepAliveResponse,
  encodeLeaseKeepAliveRequest,
  LeaseKeepAliveRequest,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import type { RawStream } from '../support/etcd-rpc.ts';
import type { Endpoints } from './endpoints.ts';
import type { History } from './history.ts';

export class LeaseStream {
  readonly #endpoints: Endpoints;
  readonly #history: History;
  readonly #random: SeededRandom;
  /** When each lease was asked for that no answer has come to. */
  readonly #askedMs = new Map<bigint, number>();
  #stream: RawStream | null = null;

  constructor(endpoints: Endpoints, history: History, random: SeededRandom) {
    this.#endpoints = endpoints;
    this.#history = history;
    this.#random = random;
  }

  renew(id: bigint): void {
    if (this.#askedMs.has(id)) return;
    this.#stream ??= this.#open();
    this.#askedMs.set(id, performance.now());
    this.#stream.send(encodeLeaseKeepAliveRequest(new LeaseKeepAliveRequest({ id })));
  }

  close(): void {
    this.#stream?.cancel();
  }

  #open(): RawStream {
    const { rpc } = this.#endpoints.pick((count) => this.#random.below(count));
    const stream = rpc.streamRaw('/etcdserverpb.Lease/LeaseKeepAlive', {
      onMessage: (bytes) => this.#onAnswer(bytes),
      onEnd: () => {
        if (this.#stream === stream) this.#stream = null;
        this.#askedMs.clear();
      },
    });
    return stream;
  }

  #onAnswer(bytes: Uint8Array): void {
    const { id, ttl } = decodeLeaseKeepAliveResponse(bytes);
    const askedMs = this.#askedMs.get(id);
    const lease = this.#history.leases.get(id);
    if (askedMs === undefined || lease === undefined) return;
    this.#askedMs.delete(id);
    this.#history.count('lease renewal');
    if (ttl > 0) lease.renewedMs = Math.max(lease.renewedMs, askedMs);
    else lease.goneMs ??= performance.now();
  }
}
