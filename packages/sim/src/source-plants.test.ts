/** Bugs that are planted into lines of the members' sources: that the lines are there, and that one of the bugs is found. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CORPUS, OWN_TESTS } from './corpus.ts';
import { loadSimulation } from './load-simulation.ts';
import { PLANTS, RARE_PLANTS } from './plant.ts';
import { SOURCE_PLANTS } from './source-plants.ts';

test('every plant finds its line, once', () => {
  for (const [name, { edits }] of Object.entries(SOURCE_PLANTS)) {
    for (const { file, from } of edits) {
      const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
      assert.equal(source.split(from).length, 2, `${name}: ${from}`);
    }
  }
});

test('every scenario of the corpus plants a bug that there is, and every planted line has a scenario', () => {
  const plants = new Set([PLANTS, RARE_PLANTS, SOURCE_PLANTS].flatMap(Object.keys));
  const planted = new Set(CORPUS.map(({ plant }) => plant));
  for (const name of planted) assert.ok(plants.has(name), name);
  for (const name of Object.keys({ ...PLANTS, ...SOURCE_PLANTS })) assert.ok(planted.has(name), name);
  const tested = OWN_TESTS.map(({ plant }) => plant);
  for (const name of Object.keys(RARE_PLANTS))
    assert.ok(planted.has(name) || tested.includes(name as never), name);
  for (const { plant, test: file } of OWN_TESTS) {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8');
    assert.ok(text.includes(`RARE_PLANTS.${plant}`), `${file} does not plant ${plant}`);
  }
});

test('a planted bug is found: a defragmentation beside a compaction writes leaves without keys', async (context) => {
  const { plant, seed, world } = CORPUS.find((scenario) => scenario.plant === 'emptyLeavesWritten')!;
  const { simulate } = await loadSimulation(plant);
  const { violation } = await simulate({ ...world, seed });
  context.diagnostic(`${violation?.property}: ${violation?.details.slice(0, 200)}`);
  assert.ok(['offline', 'no failure'].includes(violation?.property ?? ''), violation?.details);
});

for (const name of ['readsCompactedInTxn', 'keepsUsedMemory', 'forgetsViews']) {
  const { plant, what, seed, world } = CORPUS.find((scenario) => scenario.plant === name)!;
  test(`a planted bug is found: ${what}`, async (context) => {
    const { simulate } = await loadSimulation(plant);
    const { violation } = await simulate({ ...world, seed });
    context.diagnostic(`${violation?.property}: ${violation?.details.slice(0, 200)}`);
    assert.notEqual(violation, null);
  });
}
