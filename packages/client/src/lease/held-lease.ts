/**
 * A lease that is kept alive until it is given up or lost:
 *
 *     await using lease = await client.leases.hold(10);
 *     await client.kv.put('worker/1', 'here', { lease: lease.id });
 *     await work({ signal: lease.signal });
 */
import type { LeaseKeepAliveResponse } from '@etcd/api/etcdserverpb';
import type { KeptLease, LeaseKeeper } from './lease-keeper.ts';

export class HeldLease implements KeptLease {
  readonly id: bigint;
  readonly #keeper: LeaseKeeper;
  readonly #revoke: (id: bigint) => Promise<unknown>;
  readonly #controller = new AbortController();
  readonly #listeners = new Set<(response: LeaseKeepAliveResponse) => void>();
  #ttlSeconds: number;
  #isOver = false;

  constructor(
    id: bigint,
    ttlSeconds: number,
    keeper: LeaseKeeper,
    revoke: (id: bigint) => Promise<unknown>,
    grantedMs?: number,
  ) {
    this.id = id;
    this.#ttlSeconds = ttlSeconds;
    this.#keeper = keeper;
    this.#revoke = revoke;
    keeper.add(this, ttlSeconds, grantedMs);
  }

  /** What the server last said it would live. */
  get ttlSeconds(): number {
    return this.#ttlSeconds;
  }

  /** Aborts when the lease is lost, with the reason: what relies on it must stop. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isHeld(): boolean {
    return !this.#isOver && !this.#keeper.isPast(this);
  }

  /** Throws what {@link signal} would give as its reason, when the lease is lost. */
  throwIfLost(): void {
    this.signal.throwIfAborted();
  }

  /** Told of each answer, until the function that this returns is called. */
  onKeepAlive(listener: (response: LeaseKeepAliveResponse) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** No longer kept alive: it lives on for what is left of its time. */
  release(): void {
    this.#isOver = true;
    this.#keeper.remove(this);
  }

  /** Ends it now, and deletes what is attached to it. */
  async revoke(): Promise<void> {
    this.release();
    await this.#revoke(this.id);
  }

  /** Revokes; a lease that is gone already is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.release();
    // The server ends it by itself if it can't be told.
    await this.#revoke(this.id).catch(() => {});
  }

  // What the keeper calls

  onAlive(response: LeaseKeepAliveResponse): void {
    this.#ttlSeconds = response.ttl;
    for (const listener of this.#listeners) listener(response);
  }

  onLost(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller.abort(error);
  }
}
