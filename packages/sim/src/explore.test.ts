/** An exploration goes on until its time is over, and the next one from what it has kept. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { explore } from './explore.ts';
import type { SimulationResult } from './simulation.ts';

test('what was met is kept in a file', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'explore-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'kept.json');
  let now = 0;
  const run = async (states: readonly string[]): Promise<number[]> => {
    const gains: number[] = [];
    await explore({
      // A third of a minute each.
      simulate: async ({ seed }) => {
        now += 20_000;
        return { seed, states, faults: { kill: 1 } } as Partial<SimulationResult> as SimulationResult;
      },
      seed: 1,
      minutes: 1,
      worldMinutes: 0.5,
      file,
      nowMs: () => now,
      onResult: (_result, _world, gain) => gains.push(gain),
    });
    return gains;
  };
  assert.deepEqual(await run(['a', 'b']), [2, 0, 0]);
  assert.deepEqual(await run(['a', 'c']), [1, 0, 0]);
  const { kept, states } = JSON.parse(readFileSync(file, 'utf8')) as { kept: unknown[]; states: string[] };
  assert.equal(kept.length, 2);
  assert.deepEqual(states, ['a', 'b', 'c']);
});
