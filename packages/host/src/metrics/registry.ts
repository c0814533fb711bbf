/** The registry that prints metric families. prom-client is loaded by the first scrape. */
import type { Registry } from 'prom-client';
import type { MetricFamily } from './series.ts';

export async function createRegistry(families: readonly MetricFamily[]): Promise<Registry> {
  const { collectDefaultMetrics, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  for (const { name, type, help, read } of families) {
    // At each scrape a metric is asked for its series. prom-client's own classes count by themselves; ours are read here
    // instead. Its types know neither a name per series nor types that are texts, though its code lives by both.
    const metric = new Gauge({ name, help, registers: [registry] });
    metric.get = async () =>
      ({ name, help, type, values: read() }) as unknown as ReturnType<typeof metric.get>;
  }
  collectDefaultMetrics({ register: registry });
  return registry;
}
