/**
 * What a proxy is known by among those that lease keys: a lease that it keeps alive, which its leasing keys hang on, and a watch of all
 * leasing keys by which it hears that somebody wants one. When either is lost, so is everything that is owned, and it begins anew.
 */
import type { Clock, Logger, Timer } from '@etcd/base';
import { latin1FromBytes } from '@etcd/base';
import { compare, type HeldLease, type Namespace, op, type Watcher } from '@etcd/client';
import type { OwnedKeys } from './owned-keys.ts';

export interface LeasingSessionOptions {
  readonly keys: Namespace;
  readonly prefix: string;
  readonly owned: OwnedKeys;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** As etcd's. */
const TTL_SECONDS = 60;
const RETRY_MS = 1_000;
const PUT = 0;
/** What somebody writes to a leasing key to have it. */
export const REVOKE = 'REVOKE';

export class LeasingSession {
  readonly #options: LeasingSessionOptions;
  #lease: HeldLease | null = null;
  #watch: Watcher | null = null;
  #timer: Timer | null = null;
  #isReady = false;
  #isStopped = false;

  constructor(options: LeasingSessionOptions) {
    this.#options = options;
  }

  /** The lease of the keys that are owned; null while there is no session. */
  get leaseId(): bigint | null {
    return this.#isReady && this.#lease?.isHeld === true ? this.#lease.id : null;
  }

  /** Resolves when there is a session for the first time. */
  async start(): Promise<void> {
    for (;;) {
      if (await this.#begin()) return;
      await new Promise<void>((resolve) => this.#options.clock.setTimer(RETRY_MS, resolve));
    }
  }

  /** Gives up everything that is owned. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#end();
  }

  async #begin(): Promise<boolean> {
    const { keys, prefix, logger } = this.#options;
    if (this.#isStopped) return true;
    try {
      const lease = await keys.leases.hold(TTL_SECONDS);
      const watch = keys.watch(prefix, { prefix: true });
      this.#lease = lease;
      this.#watch = watch;
      lease.signal.addEventListener('abort', () => this.#onLost(lease, 'the lease is lost'));
      await watch.ready();
      this.#isReady = true;
      void this.#follow(watch, lease);
      return true;
    } catch (error) {
      logger.warn('failed to create a session for leasing', { error: (error as Error).message });
      await this.#end();
      return false;
    }
  }

  async #follow(watch: Watcher, lease: HeldLease): Promise<void> {
    const { owned, clock, prefix } = this.#options;
    try {
      for await (const { kv, type } of watch.events()) {
        if (kv === null || type !== PUT || kv.lease !== lease.id) continue;
        if (latin1FromBytes(kv.value) !== REVOKE) continue;
        owned.revoke(latin1FromBytes(kv.key).slice(Buffer.byteLength(prefix)), clock.now());
        void this.#release(kv.key, kv.modRevision, lease);
      }
      this.#onLost(lease, 'the watch has ended');
    } catch (error) {
      this.#onLost(lease, (error as Error).message);
    }
  }

  /** Deletes the leasing key, on which its next owner waits. */
  async #release(leasingKey: Uint8Array, revision: number, lease: HeldLease): Promise<void> {
    const { keys, clock } = this.#options;
    while (lease.isHeld) {
      try {
        await keys.kv
          .txn()
          .when(compare.createRevision(leasingKey, '<', revision))
          .do(op.delete(leasingKey))
          .commit();
        return;
      } catch {
        await new Promise<void>((resolve) => clock.setTimer(RETRY_MS, resolve));
      }
    }
  }

  #onLost(lease: HeldLease, reason: string): void {
    if (this.#lease !== lease || this.#isStopped) return;
    this.#options.logger.warn('the session for leasing is lost', { error: reason });
    void this.#end().then(() => this.#retry());
  }

  #retry(): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.clock.setTimer(RETRY_MS, () => {
      void this.#begin().then((isReady) => {
        if (!isReady) this.#retry();
      });
    });
  }

  async #end(): Promise<void> {
    const lease = this.#lease;
    const watch = this.#watch;
    this.#isReady = false;
    this.#lease = null;
    this.#watch = null;
    this.#options.owned.clear();
    void watch?.return();
    await lease?.revoke().catch(() => {});
  }
}
