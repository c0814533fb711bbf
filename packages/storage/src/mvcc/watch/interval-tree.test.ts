import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { IntervalTree } from './interval-tree.ts';

interface Range {
  readonly begin: string;
  readonly end: string;
}

function randomPoint(random: SeededRandom): string {
  return String.fromCharCode(...Array.from({ length: 1 + random.below(3) }, () => 97 + random.below(4)));
}

test('a point finds exactly the ranges that contain it, whatever was added and removed', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new SeededRandom(seed);
    const tree = new IntervalTree<Range>();
    const model = new Map<string, Range>();
    for (let step = 0; step < 300; step++) {
      const begin = randomPoint(random);
      const end = random.chance(0.2) ? '' : `${begin}${randomPoint(random)}`;
      const name = `${begin} ${end}`;
      assert.equal(tree.find(begin, end), model.get(name) ?? null);
      if (model.has(name)) {
        tree.remove(begin, end);
        model.delete(name);
      } else {
        const range = { begin, end };
        tree.insert(begin, end, range);
        model.set(name, range);
      }
      assert.equal(tree.count, model.size);
      const point = randomPoint(random);
      const found: Range[] = [];
      tree.stab(point, found);
      const expected = [...model.values()].filter(
        (range) => range.begin <= point && (range.end === '' || point < range.end),
      );
      assert.deepEqual(new Set(found), new Set(expected));
      assert.equal(found.length, expected.length);
    }
    const all: Range[] = [];
    tree.forEach((range) => {
      all.push(range);
    });
    assert.deepEqual(new Set(all), new Set(model.values()));
  }
});

test('S20 ranges that begin in order, or nest, do not make the tree deep', () => {
  const tree = new IntervalTree<number>();
  const count = 50_000;
  for (let i = 0; i < count; i++) tree.insert(`k${String(i).padStart(6, '0')}`, 'l', i);
  const found: number[] = [];
  // Would overflow the stack if the tree had become a list.
  tree.stab('k000010', found);
  assert.equal(found.length, 11);
  for (let i = 0; i < count; i++) tree.remove(`k${String(i).padStart(6, '0')}`, 'l');
  assert.equal(tree.count, 0);
});
