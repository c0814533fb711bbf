import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { createRegistry } from './registry.ts';
import type { MetricFamily } from './series.ts';

/** One that takes longer than a slice, and notes whether the turn that it has asked for has come when the next one is read. */
function slowFamily(name: string, onText: () => void): MetricFamily {
  const text = (): string => {
    onText();
    const endMs = performance.now() + 1;
    while (performance.now() < endMs);
    return `${name} 1\n`;
  };
  return { name, type: 'gauge', help: 'slow', text } as unknown as MetricFamily;
}

test('others have their turn between the pieces of a scrape', async () => {
  let asked = 0;
  let turns = 0;
  const onText = (): void => {
    assert.equal(turns, asked, 'nobody was let in');
    asked++;
    setImmediate(() => turns++);
  };
  const families = ['a', 'b', 'c', 'd'].map((name) => slowFamily(name, onText));
  const registry = await createRegistry(families);
  const text = await registry.metrics();
  assert.equal(asked, 4);
  assert.match(text, /# HELP a slow\n# TYPE a gauge\na 1\n\n# HELP b slow/);
});

test('what is known of the process is printed as its own registry would', async () => {
  const node = new Registry();
  collectDefaultMetrics({ register: node });
  const heads = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('#'));
  const text = await (await createRegistry([])).metrics();
  assert.deepEqual(heads(text), heads(await node.metrics()));
  const metric = text.split('\n\n').find((each) => each.includes('# TYPE process_resident_memory_bytes'));
  assert.match(metric ?? '', /\nprocess_resident_memory_bytes \d+$/);
});
