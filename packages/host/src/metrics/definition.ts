/** What a metric is called and how it is made: the rows of the metric table. */
import { Counter, Family, Gauge, Histogram } from './metric.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary';

/** Everything that code may count with. */
export type Handle = Counter | Gauge | Histogram | Family<Counter> | Family<Gauge> | Family<Histogram>;

export interface Definition<T extends Handle = Handle> {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  create(): T;
}

export function counter(name: string, help: string): Definition<Counter> {
  return { name, type: 'counter', help, create: () => new Counter() };
}

export function gauge(name: string, help: string): Definition<Gauge> {
  return { name, type: 'gauge', help, create: () => new Gauge() };
}

export function histogram(name: string, help: string, bounds: Float64Array): Definition<Histogram> {
  return { name, type: 'histogram', help, create: () => new Histogram(bounds) };
}

export function counters(name: string, help: string, labels: readonly string[]): Definition<Family<Counter>> {
  return { name, type: 'counter', help, create: () => new Family(labels, () => new Counter()) };
}

export function gauges(name: string, help: string, labels: readonly string[]): Definition<Family<Gauge>> {
  return { name, type: 'gauge', help, create: () => new Family(labels, () => new Gauge()) };
}

export function histograms(
  name: string,
  help: string,
  labels: readonly string[],
  bounds: Float64Array,
): Definition<Family<Histogram>> {
  return { name, type: 'histogram', help, create: () => new Family(labels, () => new Histogram(bounds)) };
}

/** `count` bounds from `start`, each `factor` times the one before it, as Go's client library multiplies them. */
export function exponentialBounds(start: number, factor: number, count: number): Float64Array {
  const bounds = new Float64Array(count);
  let bound = start;
  for (let i = 0; i < count; i++) {
    bounds[i] = bound;
    bound *= factor;
  }
  return bounds;
}
