/**
 * The proxies that share a prefix (`--resolver-prefix`): this one writes its address there, under a lease that it keeps alive, and knows
 * the others from a watch. The format is that of etcd's clients, which resolve members from it.
 */
import type { Clock, Logger, Timer } from '@etcd/base';
import type { HeldLease, Namespace, Watcher } from '@etcd/client';

export interface RegistrationOptions {
  /** Where the keys are, as clients of the proxy see them. */
  readonly keys: Namespace;
  readonly prefix: string;
  readonly ttlSeconds: number;
  /** What the others are told; empty: nothing is written. */
  readonly address: string;
  readonly hostname: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RegisteredProxy {
  readonly name: string;
  readonly address: string;
}

/** At most one try a second, as etcd's. */
const RETRY_MS = 1000;

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #proxies = new Map<string, RegisteredProxy>();
  #lease: HeldLease | null = null;
  #watch: Watcher | null = null;
  #timers = new Set<Timer>();
  #isStopped = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** All that are registered, this one too once it is. */
  get proxies(): Iterable<RegisteredProxy> {
    return this.#proxies.values();
  }

  start(): void {
    void this.#register();
    void this.#follow();
  }

  /** Takes the own key away. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) timer.cancel();
    void this.#watch?.return();
    await this.#lease?.revoke().catch(() => {});
  }

  async #register(): Promise<void> {
    const { keys, prefix, address, ttlSeconds, hostname, logger } = this.#options;
    if (this.#isStopped) return;
    let lease: HeldLease | null = null;
    try {
      lease = await keys.leases.hold(ttlSeconds);
      this.#lease = lease;
      if (this.#isStopped) return void (await lease.revoke());
      const value = { Op: 0, Addr: address, Metadata: JSON.stringify({ name: hostname }) };
      await keys.kv.put(`${prefix}/${address}`, JSON.stringify(value), { lease: lease.id });
      logger.info('registered session with lease', { addr: address, 'lease-ttl': ttlSeconds });
      await lost(lease);
      logger.warn('session expired; possible network partition or server restart');
      logger.warn('creating a new session to rejoin');
    } catch (error) {
      if (!this.#isStopped) logger.warn('failed to create a session', { error: (error as Error).message });
      // The next try has a lease of its own; this one would be kept alive for ever.
      await lease?.revoke().catch(() => {});
    }
    this.#later(() => void this.#register());
  }

  async #follow(): Promise<void> {
    const { keys, prefix, logger } = this.#options;
    if (this.#isStopped) return;
    try {
      const { kvs, header } = await keys.kv.get(`${prefix}/`, { prefix: true, serializable: true });
      this.#proxies.clear();
      for (const { key, value } of kvs) this.#put(text(key), text(value));
      const startRevision = (header?.revision ?? 0) + 1;
      const watch = keys.watch(`${prefix}/`, { prefix: true, startRevision });
      this.#watch = watch;
      for await (const { kv, type } of watch.events()) {
        if (kv === null) continue;
        if (type === 1) this.#proxies.delete(text(kv.key));
        else this.#put(text(kv.key), text(kv.value));
      }
    } catch (error) {
      const fields = { prefix, error: (error as Error).message };
      if (!this.#isStopped) logger.warn('failed to establish endpoint watch', fields);
    }
    this.#later(() => void this.#follow());
  }

  #put(key: string, value: string): void {
    const proxy = readProxy(value);
    if (proxy !== null) this.#proxies.set(key, proxy);
    else this.#options.logger.warn('unmarshal endpoint update failed', { key });
  }

  #later(then: () => void): void {
    if (this.#isStopped) return;
    const timer = this.#options.clock.setTimer(RETRY_MS, () => {
      this.#timers.delete(timer);
      then();
    });
    this.#timers.add(timer);
  }
}

/** Resolves when the lease is. */
function lost({ signal }: HeldLease): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function readProxy(value: string): RegisteredProxy | null {
  try {
    const { Addr: address, Metadata: metadata } = JSON.parse(value) as Record<string, unknown>;
    const { name } = JSON.parse(String(metadata)) as Record<string, unknown>;
    return typeof address === 'string' && typeof name === 'string' ? { name, address } : null;
  } catch {
    return null;
  }
}
