/**
 * Makes the database shorter by itself when a rule holds (`--auto-defrag-rule`), on each member by its own sizes. The member serves
 * meanwhile; so members need not take turns.
 *
 * Invariants: one defragmentation is under way at a time; none is begun that could not free more than the one before has left.
 */
import { assert, type Clock, type Logger, type Timer } from '@etcd/base';
import type { AutoDefrag } from '../config/index.ts';

/** What defragmenting needs of the member. */
export interface DefragTarget {
  readonly config: { readonly autoDefrag: AutoDefrag | null; readonly quotaBackendBytes: number };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly quota: { readonly limitBytes: number };
  readonly backend: {
    readonly sizeBytes: number;
    readonly sizeInUseBytes: number;
    readonly overloaded: boolean;
    defragThen(done: (error: Error | null) => void): void;
  };
  readonly metrics: {
    readonly handles: {
      readonly autoDefragsTotal: { inc(): void };
      readonly autoDefragFreedBytesTotal: { add(count: number): void };
      readonly backendDefragDurationSeconds: { observe(seconds: number): void };
    };
  };
}

/** A rule may hold of a database that nothing can be taken from; so little is not worth the writing. */
const MIN_GAIN_BYTES = 1 << 20;

export class AutoDefragmenter {
  readonly #target: DefragTarget;
  readonly #policy: AutoDefrag;
  #timer: Timer | null = null;
  #isPending = false;
  /** What the last one could not free, and the next one need not try. */
  #leftFreeBytes = 0;
  #hasFailed = false;

  private constructor(target: DefragTarget, policy: AutoDefrag) {
    this.#target = target;
    this.#policy = policy;
  }

  /** Null when there is no rule. */
  static create(target: DefragTarget): AutoDefragmenter | null {
    const { autoDefrag } = target.config;
    return autoDefrag === null ? null : new AutoDefragmenter(target, autoDefrag);
  }

  start(): void {
    this.#timer = this.#target.clock.setTimer(this.#policy.checkIntervalMs, () => {
      this.#check();
      if (this.#timer !== null) this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #check(): void {
    const { backend, clock, logger } = this.#target;
    // What is behind with its writes is not given more of them.
    if (this.#isPending || backend.overloaded || !this.#isDue()) return;
    const { sizeBytes, sizeInUseBytes } = backend;
    const fields = { rule: this.#policy.ruleText, 'db-size': sizeBytes, 'db-size-in-use': sizeInUseBytes };
    logger.info('starting auto defragment', fields);
    const startMs = clock.now();
    this.#isPending = true;
    backend.defragThen((error) => this.#finish(startMs, sizeBytes, error));
  }

  #isDue(): boolean {
    const { backend } = this.#target;
    const { sizeBytes, sizeInUseBytes } = backend;
    const freeBytes = sizeBytes - sizeInUseBytes;
    if (freeBytes < this.#leftFreeBytes + MIN_GAIN_BYTES) {
      // What was left has been written to since, and may be freed again.
      this.#leftFreeBytes = Math.max(0, Math.min(this.#leftFreeBytes, freeBytes));
      return false;
    }
    try {
      return this.#policy.holds({ sizeBytes, sizeInUseBytes, quotaBytes: this.#quotaBytes() });
    } catch (error) {
      // A rule may fail for some sizes alone, as a division by what is 0 now.
      if (!this.#hasFailed) {
        this.#target.logger.warn('auto defragment rule failed', {
          rule: this.#policy.ruleText,
          error: (error as Error).message,
        });
      }
      this.#hasFailed = true;
      return false;
    }
  }

  /** As `Status` tells it. */
  #quotaBytes(): number {
    const { quota, config } = this.#target;
    return Number.isFinite(quota.limitBytes) ? quota.limitBytes : config.quotaBackendBytes;
  }

  #finish(startMs: number, sizeBefore: number, error: Error | null): void {
    const { backend, clock, logger, metrics } = this.#target;
    assert(this.#isPending, 'auto defragment: an answer to nothing');
    this.#isPending = false;
    if (error !== null) {
      logger.warn('failed auto defragment', { rule: this.#policy.ruleText, error: error.message });
      return;
    }
    this.#leftFreeBytes = Math.max(0, backend.sizeBytes - backend.sizeInUseBytes);
    const tookMs = clock.now() - startMs;
    metrics.handles.backendDefragDurationSeconds.observe(tookMs / 1000);
    metrics.handles.autoDefragsTotal.inc();
    metrics.handles.autoDefragFreedBytesTotal.add(Math.max(0, sizeBefore - backend.sizeBytes));
    logger.info('finished auto defragment', {
      'db-size-before': sizeBefore,
      'db-size': backend.sizeBytes,
      took: `${(tookMs / 1000).toFixed(3)}s`,
    });
  }
}
