/** Sources that are changed as they are loaded: sizes are drawn and put back, one plant has nothing of another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSimulation } from './load-simulation.ts';
import { SIZES, sizeKey } from './sizes.ts';

/** The modules of a simulation that was loaded with this plant. */
async function modulesOf(plant: string): Promise<{
  readonly sizes: typeof import('./sizes.ts');
  readonly registry: typeof import('./size-registry.ts');
}> {
  await loadSimulation(plant);
  const load = async (file: string): Promise<unknown> => await import(`${file}?simulated=${plant}`);
  return {
    sizes: (await load('./sizes.ts')) as typeof import('./sizes.ts'),
    registry: (await load('./size-registry.ts')) as typeof import('./size-registry.ts'),
  };
}

test('every size has told of itself, and can be set to each of its values', async () => {
  const { registry } = await modulesOf('');
  for (const row of SIZES) {
    for (const value of [...row.values, null]) registry.setSize(sizeKey(row), value);
  }
  assert.throws(() => registry.setSize('no such size', 1), /no source has told/);
});

test('a world draws some of the sizes, the same from the same seed', async () => {
  const { sizes } = await modulesOf('');
  const { SeededRandom } = await import('@etcd/base');
  const drawn = sizes.drawSizes(new SeededRandom(7));
  assert.ok(drawn.length > 0 && drawn.length < SIZES.length);
  assert.deepEqual(sizes.drawSizes(new SeededRandom(7)), drawn);
  sizes.usualSizes();
});

test('a bug that nobody knows is not planted', async () => {
  await assert.rejects(loadSimulation('noSuchBug'), /no line is planted/);
});
