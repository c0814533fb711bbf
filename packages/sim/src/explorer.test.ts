/** Which worlds an exploration keeps, and what it makes of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { Explorer, type KeptWorld } from './explorer.ts';

const NOTHING = { kept: [], states: [] };
const FAULTS = { kill: 1, partition: 2 };

test('worlds that meet something new are kept, others are not', () => {
  const explorer = new Explorer(new SeededRandom(1), 0.5, NOTHING);
  const world: KeptWorld = { seed: 1, minutes: 0.5 };
  assert.equal(explorer.add(world, { states: ['a', 'b'], faults: FAULTS }), 2);
  assert.equal(explorer.add({ ...world, seed: 2 }, { states: ['b', 'a'], faults: FAULTS }), 0);
  assert.equal(explorer.add({ ...world, seed: 3 }, { states: ['b', 'c'], faults: FAULTS }), 1);
  assert.deepEqual(
    explorer.kept.map(({ world: { seed }, gain }) => [seed, gain]),
    [
      [1, 2],
      [3, 1],
    ],
  );
});

test('what is kept goes on from where an earlier exploration was, and is changed in one thing at a time', () => {
  const world: KeptWorld = { seed: 77, minutes: 0.5, members: 3 };
  const explorer = new Explorer(new SeededRandom(5), 0.5, { kept: [{ world, gain: 4 }], states: ['a'] });
  assert.equal(explorer.add(world, { states: ['a'], faults: FAULTS }), 0);
  const drawn = Array.from({ length: 200 }, () => explorer.next());
  const isFresh = ({ seed, members }: KeptWorld): boolean => seed !== 77 && members === undefined;
  const changes = drawn.filter((next) => !isFresh(next));
  for (const next of changes) {
    const changed = (['seed', 'members', 'traits', 'limits', 'faults'] as const).filter(
      (part) => JSON.stringify(next[part]) !== JSON.stringify(world[part]),
    );
    assert.ok(changed.length <= 1, changed.join());
  }
  assert.ok(drawn.some(isFresh));
  for (const part of ['traits', 'limits', 'faults'] as const) {
    assert.ok(
      changes.some((next) => next[part] !== undefined),
      part,
    );
  }
});

test('what is kept has a bound', () => {
  const explorer = new Explorer(new SeededRandom(1), 0.5, NOTHING);
  for (let seed = 0; seed < 600; seed++) {
    const states = seed === 0 ? ['x', 'y', 'z'] : [`s${seed}`];
    explorer.add({ seed, minutes: 0.5 }, { states, faults: FAULTS });
  }
  assert.equal(explorer.kept.length, 500);
  assert.ok(explorer.kept.some(({ world }) => world.seed === 0));
});
