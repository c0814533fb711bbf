/**
 * How long requests of the KV service take, from their arrival to their answer: for the metrics, and for a line in the log
 * when one was slow.
 */
import type { Clock, Logger } from '@etcd/base';
import type { ServerCall } from '@etcd/transport';
import type { Histogram, MetricHandles } from '../metrics/index.ts';

export type RequestType = 'Range' | 'ReadonlyTxn' | 'Put' | 'DeleteRange' | 'Txn' | 'Compaction';

export interface RequestTimesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  /** etcd's `--warning-unary-request-duration`. */
  readonly warningMs: number;
}

export class RequestTimes {
  readonly #options: RequestTimesOptions;
  readonly #succeeded: ReadonlyMap<RequestType, Histogram>;
  readonly #failed: ReadonlyMap<RequestType, Histogram>;
  readonly #rangeSucceeded: Histogram;
  readonly #rangeFailed: Histogram;

  constructor(options: RequestTimesOptions) {
    this.#options = options;
    const { requestDurationSeconds, rangeDurationSeconds } = options.metrics;
    const types: RequestType[] = ['Range', 'ReadonlyTxn', 'Put', 'DeleteRange', 'Txn', 'Compaction'];
    const handles = (success: boolean): Map<RequestType, Histogram> =>
      new Map(types.map((type) => [type, requestDurationSeconds.labels(type, String(success))]));
    this.#succeeded = handles(true);
    this.#failed = handles(false);
    this.#rangeSucceeded = rangeDurationSeconds.labels('true');
    this.#rangeFailed = rangeDurationSeconds.labels('false');
  }

  /** A request has arrived, or the store is about to be read. */
  now(): number {
    return this.#options.clock.now();
  }

  /** A range that began to be read at `startMs` has been read. */
  ranged(startMs: number, success: boolean): void {
    const histogram = success ? this.#rangeSucceeded : this.#rangeFailed;
    histogram.observe((this.now() - startMs) / 1000);
  }

  /** The request that arrived at `startMs` has its answer. */
  answered(call: ServerCall, type: RequestType, startMs: number, success: boolean): void {
    const durationMs = this.now() - startMs;
    (success ? this.#succeeded : this.#failed).get(type)!.observe(durationMs / 1000);
    const { warningMs, logger } = this.#options;
    if (durationMs <= warningMs) return;
    logger.warn('request stats', {
      'time spent': `${durationMs.toFixed(3)}ms`,
      remote: call.info.remoteAddress,
      'response type': call.head.path,
      success,
    });
  }
}
