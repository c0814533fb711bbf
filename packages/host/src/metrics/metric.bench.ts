/** What counting costs on the hot path: `node packages/host/src/metrics/metric.bench.ts`. */
import { exponentialBounds } from './definition.ts';
import { GrpcServerMetrics } from './grpc-metrics.ts';
import { Counter, Family, Gauge, Histogram } from './metric.ts';

const ROUNDS = 5;
const OPERATIONS = 5_000_000;

function measure(name: string, run: (i: number) => void): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    for (let i = 0; i < OPERATIONS; i++) run(i);
    best = Math.min(best, performance.now() - startMs);
  }
  process.stdout.write(`${name.padEnd(34)} ${((best * 1e6) / OPERATIONS).toFixed(1).padStart(6)} ns/op\n`);
}

const counter = new Counter();
const gauge = new Gauge();
const histogram = new Histogram(exponentialBounds(0.001, 2, 14));
const family = new Family(['type', 'success'], () => new Counter());
const method = new GrpcServerMetrics(true).register('etcdserverpb.KV', 'Put', 'unary');

measure('counter.inc', () => counter.inc());
measure('gauge.set', (i) => gauge.set(i));
measure('histogram.observe, first bucket', () => histogram.observe(0.0004));
measure('histogram.observe, eighth bucket', () => histogram.observe(0.1));
measure('family.labels of a known series', () => family.labels('Put', 'true').inc());
measure('grpc method, one call', () => {
  method.started++;
  method.received++;
  method.sent++;
  method.handled[0]!++;
});
