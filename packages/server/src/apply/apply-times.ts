/** How long entries take to apply: for the metrics, and for a warning when one was slow. */
import type { Clock, Logger } from '@etcd/base';
import { formatGoDuration } from '@etcd/host/args';
import type { MetricHandles } from '../metrics/index.ts';
import { requestText } from './request-text.ts';

/** The version label of etcd's histogram: it tells apart the two APIs of old. */
const API_VERSION = 'v3';

type Observed = ReturnType<MetricHandles['applyDurationSeconds']['labels']>;

export interface ApplyTimesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  readonly warningApplyDurationMs: number;
}

/** One reading of the clock per entry: an entry begins when the one before it ended. */
export class ApplyTimes {
  readonly #options: ApplyTimesOptions;
  readonly #succeeded = new Map<string, Observed>();
  readonly #failed = new Map<string, Observed>();
  #lastMs = 0;

  constructor(options: ApplyTimesOptions) {
    this.#options = options;
  }

  /** A batch of entries begins. */
  begin(): void {
    this.#lastMs = this.#options.clock.now();
  }

  /**
   * An entry has been applied.
   * @param request what it asked for, for the log when it was slow; null: nothing that could be told.
   */
  took(operation: string, success: boolean, request: object | null = null): void {
    const nowMs = this.#options.clock.now();
    const durationMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#handle(operation, success).observe(durationMs / 1000);
    if (durationMs > this.#options.warningApplyDurationMs)
      this.#warn((request === null ? null : requestText(request)) ?? operation, durationMs);
  }

  #handle(operation: string, success: boolean): Observed {
    const handles = success ? this.#succeeded : this.#failed;
    const known = handles.get(operation);
    if (known !== undefined) return known;
    const { applyDurationSeconds } = this.#options.metrics;
    const created = applyDurationSeconds.labels(API_VERSION, operation, String(success));
    handles.set(operation, created);
    return created;
  }

  #warn(request: string, durationMs: number): void {
    const { logger, metrics, warningApplyDurationMs } = this.#options;
    metrics.slowApplyTotal.inc();
    logger.warn('apply request took too long', {
      took: formatGoDuration(durationMs),
      'expected-duration': formatGoDuration(warningApplyDurationMs),
      request,
    });
  }
}
