/** A load of writes, and what it measured. */
import type { EtcdClient } from '@etcd/client';
import { describeError } from './describe-error.ts';

const RANDOM_BYTES = 8;
const SECOND_MS = 1000;

export class Load {
  readonly #clients: readonly EtcdClient[];
  readonly #prefix: Buffer;
  readonly #keyBytes: number;
  readonly #value: Buffer;
  /** How often each error came. */
  readonly errors = new Map<string, number>();
  readonly #latenciesMs: number[] = [];
  #durationMs = 0;
  slowestMs = 0;

  constructor(
    clients: readonly EtcdClient[],
    prefix: string,
    sizes: { readonly keyBytes: number; readonly valueBytes: number },
  ) {
    this.#clients = clients;
    this.#prefix = Buffer.from(prefix);
    this.#keyBytes = sizes.keyBytes;
    this.#value = Buffer.alloc(sizes.valueBytes);
  }

  get perSecond(): number {
    return this.#durationMs === 0 ? 0 : (this.#latenciesMs.length * SECOND_MS) / this.#durationMs;
  }

  /** The standard deviation of the latency. */
  get deviationMs(): number {
    const count = this.#latenciesMs.length;
    if (count === 0) return 0;
    const meanMs = this.#latenciesMs.reduce((sum, latencyMs) => sum + latencyMs, 0) / count;
    return Math.sqrt(
      this.#latenciesMs.reduce((sum, latencyMs) => sum + (latencyMs - meanMs) ** 2, 0) / count,
    );
  }

  /** So many writes a second, as far as the clients, each with one at a time, can keep up. */
  async runFor(
    durationMs: number,
    writesPerSecond: number,
    onSecond: (seconds: number) => void,
  ): Promise<void> {
    const startMs = performance.now();
    const timer = setInterval(
      () => onSecond(Math.round((performance.now() - startMs) / SECOND_MS)),
      SECOND_MS,
    );
    let next = 0;
    const take = async (): Promise<boolean> => {
      const dueMs = startMs + (next++ * SECOND_MS) / writesPerSecond;
      if (dueMs >= startMs + durationMs) return false;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      return performance.now() < startMs + durationMs;
    };
    await this.#runAll(take);
    clearInterval(timer);
    this.#durationMs = performance.now() - startMs;
  }

  async runCount(count: number, onWrite: (count: number) => void): Promise<void> {
    const startMs = performance.now();
    let next = 0;
    const take = (): Promise<boolean> => {
      onWrite(next);
      return Promise.resolve(next++ < count);
    };
    await this.#runAll(take);
    this.#durationMs = performance.now() - startMs;
  }

  /** Each client writes as long as `take` gives it something. */
  async #runAll(take: () => Promise<boolean>): Promise<void> {
    await Promise.all(
      this.#clients.map(async (client) => {
        while (await take()) await this.#write(client);
      }),
    );
  }

  async #write(client: EtcdClient): Promise<void> {
    const key = Buffer.alloc(this.#prefix.length + this.#keyBytes);
    this.#prefix.copy(key);
    process.getBuiltinModule('node:crypto').randomFillSync(key, this.#prefix.length, RANDOM_BYTES);
    const startMs = performance.now();
    try {
      await client.kv.put(key, this.#value);
      const latencyMs = performance.now() - startMs;
      this.#latenciesMs.push(latencyMs);
      this.slowestMs = Math.max(this.slowestMs, latencyMs);
    } catch (error) {
      const text = describeError(error);
      this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
    }
  }
}
