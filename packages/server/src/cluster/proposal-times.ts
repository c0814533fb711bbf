/**
 * How long it takes from a proposal to the entry's being applied, by kind of request. What clients send often counts for itself, with
 * the clock readings that it has anyway; everything else passes through here.
 */
import type { InternalError } from '@etcd/api';
import type { Clock } from '@etcd/base';
import type { MetricHandles } from '../metrics/index.ts';
import {
  isUndecided,
  KINDS,
  type Kind,
  type RequestOf,
  type ResultOf,
  type Waiter,
} from '../request/index.ts';

export interface ProposalTimesOptions {
  readonly clock: Clock;
  readonly metrics: Pick<MetricHandles, 'requestDurationSeconds'>;
}

/** The KV service measures these from a request's arrival on. */
const MEASURED_ELSEWHERE: ReadonlySet<Kind> = new Set(['put', 'txn', 'deleteRange']);

export class ProposalTimes {
  readonly #options: ProposalTimesOptions;

  constructor(options: ProposalTimesOptions) {
    this.#options = options;
  }

  /** `waiter`, or one that measures before it hands over to that. */
  measured<K extends Kind>(kind: K, waiter: Waiter<K>): Waiter<K> {
    return MEASURED_ELSEWHERE.has(kind) ? waiter : new MeasuringWaiter(kind, waiter, this.#options);
  }
}

class MeasuringWaiter<K extends Kind> implements Waiter<K> {
  readonly kind: K;
  readonly #inner: Waiter<K>;
  readonly #options: ProposalTimesOptions;
  readonly #startMs: number;

  constructor(kind: K, inner: Waiter<K>, options: ProposalTimesOptions) {
    this.kind = kind;
    this.#inner = inner;
    this.#options = options;
    this.#startMs = options.clock.now();
  }

  get request(): RequestOf<K> | null {
    return this.#inner.request;
  }

  readonly onApplied = (result: ResultOf<K>): void => {
    this.#observe(true);
    this.#inner.onApplied(result);
  };

  onFailed(error: InternalError): void {
    this.#observe(!isUndecided(error));
    this.#inner.onFailed(error);
  }

  #observe(success: boolean): void {
    const { clock, metrics } = this.#options;
    const histogram = metrics.requestDurationSeconds.labels(KINDS[this.kind].operation, String(success));
    histogram.observe((clock.now() - this.#startMs) / 1000);
  }
}
