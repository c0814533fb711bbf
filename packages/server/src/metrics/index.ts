/**
 * Metrics: what a member counts, under etcd's names, labels and bucket bounds.
 *
 * A member makes one {@link Metrics}. Its parts take the handles that they need from {@link Metrics.handles} — once, when they are
 * built, labelled ones too — and count with `counter.inc()`, `gauge.set(n)`, `histogram.observe(seconds)`, all of which are
 * plain arithmetic. What some other object knows anyway is not counted twice: `gauge.readFrom(() => store.keyCount())` asks
 * it at each scrape. The RPC layer registers each method with {@link GrpcServerMetrics.register} and increments the fields of what it
 * gets back. {@link Metrics.render} gives the text for `/metrics`.
 *
 * `metric-table.ts` lists every metric; `docs/metrics.md` is written from it.
 */
export { createHandles, type MetricHandles } from './metric-table.ts';
export { Metrics, type MetricsOptions } from './metrics.ts';
