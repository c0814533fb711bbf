/** Worlds in which hours pass: half a simulated day of them, with all that is checked in others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSimulation } from './load-simulation.ts';
import type { SimulationResult } from './simulation.ts';

const { simulate } = await loadSimulation();

const SEEDS = [300_001, 300_002, 300_003] as const;
const MINUTES = 120;
const HALF_A_DAY_MS = 43_200_000;

function explain({ seed, violation, tail }: SimulationResult): string {
  const again = `npm run sim -- --seed ${seed} --minutes ${MINUTES} --long --trace`;
  return `${violation?.property}: ${violation?.details}\n${tail.slice(-30).join('\n')}\nagain: ${again}`;
}

test('half a simulated day passes in long worlds without a violation', async () => {
  let simulatedMs = 0;
  for (const seed of SEEDS) {
    const result = await simulate({ seed, minutes: MINUTES, isLong: true });
    assert.equal(result.violation, null, explain(result));
    assert.ok(result.okCount > 0 && result.faultCount > 0, `nothing happened with seed ${seed}`);
    simulatedMs += result.simulatedMs;
  }
  assert.ok(simulatedMs >= HALF_A_DAY_MS, `only ${simulatedMs} ms passed`);
});

test('a world in which hours pass replays byte for byte from its seed', async () => {
  const world = { seed: 6, minutes: 20, isLong: true, stopAtMs: 1_200_000 };
  const [first, second] = [await simulate(world), await simulate({ ...world, print: () => {} })];
  assert.equal(first.violation, null, explain(first));
  assert.ok(first.okCount > 0, 'nothing happened');
  assert.equal(second.traceHash, first.traceHash);
});
