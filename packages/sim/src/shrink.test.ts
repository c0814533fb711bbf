/** Worlds that fail become smaller, and still fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minimize, shrink } from './shrink.ts';
import type { SimulationOptions, SimulationResult } from './simulation.ts';
import { ORDINARY } from './traits.ts';

test('what is needed is kept, all else goes, and the whole is never asked for', async () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  const needed = [3, 4, 31, 49];
  let asked = 0;
  const kept = await minimize(items, async (rest) => {
    asked++;
    assert.ok(rest.length < items.length);
    return needed.every((item) => rest.includes(item));
  });
  assert.deepEqual(kept, needed);
  assert.ok(asked < 100, `${asked} questions`);
  assert.deepEqual(await minimize(items, async () => true), []);
  assert.deepEqual(await minimize(items, async () => false), items);
});

/** Fails when the first client and two of the faults are there, and users are. */
function fakeWorld(options: SimulationOptions): SimulationResult {
  const traits = { ...ORDINARY, hasUsers: true, hasBulk: true, ...options.traits };
  const isThere = (number: number): boolean => options.withoutFaults?.includes(number) !== true;
  const fails = traits.hasUsers && isThere(2) && isThere(7) && options.idle?.includes('c1') !== true;
  return {
    traits,
    workers: ['c1', 'c2', 'operator'],
    faultCount: 10,
    violation: fails ? { property: 'watch', details: '', atMs: 1000 } : null,
  } as Partial<SimulationResult> as SimulationResult;
}

test('traits, faults and workers that do not matter are left out', async () => {
  const options: SimulationOptions = { seed: 1, minutes: 1 };
  const steps: string[] = [];
  const { options: small, tries } = await shrink(
    async (tried) => fakeWorld(tried),
    options,
    fakeWorld(options),
    {
      maxTries: 100,
      onStep: (text) => steps.push(text),
    },
  );
  assert.equal(small.traits?.hasBulk, false);
  assert.equal(small.traits?.hasUsers, undefined);
  assert.deepEqual([...small.withoutFaults!].sort(), [0, 1, 3, 4, 5, 6, 8, 9]);
  assert.deepEqual([...small.idle!].sort(), ['c2', 'operator']);
  assert.notEqual(fakeWorld(small).violation, null);
  assert.equal(steps.at(-1), '2 of 10 faults are enough');
  assert.ok(tries <= 100);
});

test('after so many tries the best is what there is', async () => {
  const options: SimulationOptions = { seed: 1, minutes: 1 };
  const { tries, result } = await shrink(async (tried) => fakeWorld(tried), options, fakeWorld(options), {
    maxTries: 3,
  });
  assert.equal(tries, 3);
  assert.equal(result.violation?.property, 'watch');
});
