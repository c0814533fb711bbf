/**
 * How long a scrape takes, compression aside, and how long a request waits for it at most: its longest piece. On a busy machine the low percentiles
 * count: the others are turns of other programs. The number of keys does not matter: nothing is counted when somebody looks.
 * `node packages/server/src/metrics/metrics.bench.ts`
 */
import { SERVICES } from '@etcd/api/services';
import { parseFeatureGates } from '../config/feature-gates.ts';
import { Metrics } from './metrics.ts';

const SCRAPES = 200;
const WARM_UP = 50;

const metrics = new Metrics({ detail: 'basic', featureGates: parseFeatureGates('').gates! });
for (const { name, methods } of SERVICES) {
  for (const method of Object.keys(methods)) metrics.grpc.register(name, method, 'unary');
}

/** The whole of a scrape, and the longest time without a turn for others. */
async function scrape(): Promise<{ totalMs: number; longestMs: number }> {
  const startMs = performance.now();
  let longestMs = 0;
  let isOver = false;
  let lastMs = startMs;
  const tick = (): void => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
    if (!isOver) setImmediate(tick);
  };
  const rendering = metrics.render();
  tick();
  const { text } = await rendering;
  Buffer.from(text);
  isOver = true;
  tick();
  return { totalMs: performance.now() - startMs, longestMs };
}

const samples = [];
for (let i = 0; i < WARM_UP + SCRAPES; i++) samples.push(await scrape());
const measured = samples.slice(WARM_UP);

function print(label: string, values: readonly number[]): void {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): string => sorted[Math.floor(part * (sorted.length - 1))]!.toFixed(2);
  process.stdout.write(`${label.padEnd(28)} p10 ${at(0.1)} ms, median ${at(0.5)} ms, most ${at(1)} ms\n`);
}

print(
  'a scrape',
  measured.map(({ totalMs }) => totalMs),
);
print(
  'its longest piece',
  measured.map(({ longestMs }) => longestMs),
);
