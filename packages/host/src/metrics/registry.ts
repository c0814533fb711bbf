/**
 * Prints metric families, and those that prom-client knows of a Node process, which is loaded by the first scrape. A scrape is made piece by
 * piece, so that no request waits for the whole of it.
 */
import type { Registry } from 'prom-client';
import { nextTurn } from './next-turn.ts';
import type { MetricFamily } from './series.ts';

/** Others get a turn after this. */
const SLICE_MS = 0.2;

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
  const slices = new Slices();
  let text = '';
  for (const [i, family] of families.entries()) {
    text += `${heads[i]!}${family.text()}\n`;
    if (slices.isOver) await slices.next();
  }
  // One by one: all of them together, as the registry prints them, would take longer than a request may wait.
  for (const { name } of node.getMetricsAsArray()) {
    text += `${await node.getSingleMetricAsString(name)}\n\n`;
    if (slices.isOver) await slices.next();
  }
  return text;
}

class Slices {
  #startMs = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#startMs >= SLICE_MS;
  }

  async next(): Promise<void> {
    await nextTurn();
    this.#startMs = performance.now();
  }
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
