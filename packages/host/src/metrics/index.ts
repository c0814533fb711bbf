/**
 * What metrics are made of: counters, gauges and histograms that count by plain arithmetic, families of them by label,
 * what is known of a gRPC server's methods, and their text for Prometheus.
 *
 * A program lists its metrics as {@link Definition}s in a table of its own, makes the handles from it, and gives each part
 * those that it needs. A scrape goes through {@link handleFamily} and {@link grpcFamilies} to {@link createRegistry}.
 */
export {
  counter,
  counters,
  type Definition,
  exponentialBounds,
  gauge,
  gauges,
  type Handle,
  histogram,
  histograms,
} from './definition.ts';
export { goFamilies, memoryStatistics } from './go-names.ts';
export {
  type GrpcCallType,
  type GrpcMethodMetrics,
  GrpcServerMetrics,
} from './grpc-metrics.ts';
export { Counter, Family, Gauge, Histogram, OVERFLOW_LABEL } from './metric.ts';
export { type ProcessHandles, readProcessFacts } from './process-metrics.ts';
export { createRegistry, type ScrapeRegistry } from './registry.ts';
export { formatBound, grpcFamilies, handleFamily, type MetricFamily } from './series.ts';
