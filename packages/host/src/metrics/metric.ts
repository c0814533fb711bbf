/**
 * The things that code counts with. They are plain numbers: counting is an addition, observing a short search and three
 * additions, without a call into anybody else's code. What a scrape shows is read from them when it comes.
 */
import { assert } from '@etcd/base';

/** Only ever grows. */
export class Counter {
  value = 0;

  inc(): void {
    this.value++;
  }

  add(amount: number): void {
    this.value += amount;
  }
}

/** Goes up and down, or is read from its source at each scrape. */
export class Gauge {
  #value = 0;
  #source: (() => number) | null = null;

  get value(): number {
    return this.#source === null ? this.#value : this.#source();
  }

  set(value: number): void {
    this.#value = value;
  }

  add(amount: number): void {
    this.#value += amount;
  }

  /** From now on a scrape asks `source`, and nothing has to be set. */
  readFrom(source: () => number): void {
    this.#source = source;
  }
}

/** Counts observations in buckets of fixed bounds. */
export class Histogram {
  /** Upper bounds, inclusive, ascending; the last bucket has none. */
  readonly bounds: Float64Array;
  /** Observations of each bucket by itself; one more than there are bounds. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: Float64Array) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** Most observations are small against the bounds, so the search goes upwards. */
  observe(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    counts[bucket]!++;
    this.sum += value;
  }

  count(): number {
    let total = 0;
    for (const count of this.counts) total += count;
    return total;
  }
}

/** One series of a {@link Family}. */
export interface LabelledSeries<T> {
  readonly labelValues: readonly string[];
  readonly metric: T;
}

/** Further values of labels are counted together under this one. */
export const OVERFLOW_LABEL = 'other';

/** What clients send can become a label (their API version, say), so series are bounded. */
const MAX_SERIES = 1000;

/** Metrics of one name that differ in their labels. Hot code keeps the member that it got from {@link Family.labels}. */
export class Family<T> {
  readonly labelNames: readonly string[];
  readonly #create: () => T;
  readonly #byKey = new Map<string, LabelledSeries<T>>();

  constructor(labelNames: readonly string[], create: () => T) {
    this.labelNames = labelNames;
    this.#create = create;
  }

  /** The metric for these values, in the order of {@link labelNames}; made when it is new. */
  labels(...values: readonly string[]): T {
    assert(values.length === this.labelNames.length, 'metrics: wrong number of label values');
    const key = values.join('\u0000');
    const found = this.#byKey.get(key);
    if (found !== undefined) return found.metric;
    if (this.#byKey.size >= MAX_SERIES && values.some((value) => value !== OVERFLOW_LABEL)) {
      return this.labels(...values.map(() => OVERFLOW_LABEL));
    }
    const series = { labelValues: values, metric: this.#create() };
    this.#byKey.set(key, series);
    return series.metric;
  }

  series(): Iterable<LabelledSeries<T>> {
    return this.#byKey.values();
  }
}
