/**
 * Prints metric families, and those that prom-client knows of a Node process, which is loaded by the first scrape. A scrape is made piece by
 * piece, so that no request waits for the whole of it.
 */
import type { Registry } from 'prom-client';
import type { MetricFamily } from './series.ts';

/** Others get a turn after this. */
const SLICE_MS = 0.5;

export interface ScrapeRegistry {
  readonly contentType: string;
  /** The body of a scrape. */
  metrics(): Promise<string>;
}

export async function createRegistry(families: readonly MetricFamily[]): Promise<ScrapeRegistry> {
  const { collectDefaultMetrics, Registry } = await import('prom-client');
  const node = new Registry();
  collectDefaultMetrics({ register: node });
  const heads = families.map(
    ({ name, type, help }) => `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`,
  );
  return { contentType: node.contentType, metrics: () => render(families, heads, node) };
}

async function render(
  families: readonly MetricFamily[],
  heads: readonly string[],
  node: Registry,
): Promise<string> {
  let text = '';
  let sliceStartMs = performance.now();
  for (const [i, family] of families.entries()) {
    text += `${heads[i]!}${family.text()}\n`;
    if (performance.now() - sliceStartMs < SLICE_MS) continue;
    await nextTurn();
    sliceStartMs = performance.now();
  }
  await nextTurn();
  return text + (await node.metrics());
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
