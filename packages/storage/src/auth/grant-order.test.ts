import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { GoSort, type Keyed, withGrant } from './grant-order.ts';

interface Grant extends Keyed {
  /** How many were granted before it. */
  readonly number: number;
}

/** Grants one key after the other, each a digit; the numbers of the grants in the order in which they end up. */
function orderOf(keys: string): string {
  let grants: Grant[] = [];
  for (const [number, digit] of [...keys].entries()) {
    grants = withGrant(grants, { key: Buffer.from(digit), number });
  }
  return grants.map(({ number }) => number).join(' ');
}

/** Keys as they were granted, and the order that Go's sort brought them to, one after the other. */
const ORDERS: readonly (readonly [keys: string, order: string])[] = [
  ['2103012022310', '12 4 7 2 1 5 11 0 8 9 6 3 10'],
  ['00110101110111101', '0 1 4 6 10 15 7 5 3 8 9 11 12 13 14 2 16'],
  ['10111111110011010000', '1 10 11 14 16 17 18 19 8 7 5 9 12 13 0 15 4 6 3 2'],
  ['110011101000011011110101', '12 3 7 9 10 11 2 15 20 22 5 8 1 13 14 0 16 17 18 19 4 21 6 23'],
  [
    '2203121321003310003220202023',
    '16 11 2 15 10 17 25 23 21 9 6 4 14 19 8 20 1 22 0 24 5 26 7 12 13 18 3 27',
  ],
  [
    '58346757238443533846856801413302',
    '24 30 25 27 8 31 2 28 16 9 15 29 13 18 11 26 12 3 0 21 6 14 4 19 22 7 5 1 10 17 20 23',
  ],
  [
    '00111011011011000000111001010010001',
    '17 32 5 18 11 14 16 29 1 28 33 26 8 15 0 24 23 19 31 27 22 21 6 9 10 13 25 12 3 2 30 7 4 20 34',
  ],
  [
    '345433114424105130412031150140411235423',
    '29 17 21 13 26 32 12 19 6 24 15 27 7 31 23 37 10 33 20 0 16 22 5 34 4 38 11 8 28 1 3 18 36 30 9 2 14 25 35',
  ],
  [
    '1011303122132202033311323313312112223330303',
    '5 14 1 16 39 41 10 7 3 0 20 26 29 31 32 21 2 13 8 30 15 23 33 34 35 12 9 19 17 11 24 6 22 25 28 18 36 37 38 4 40 27 42',
  ],
  [
    '01112011210212121020002101100012212102202110111',
    '0 5 10 17 19 20 21 24 27 28 29 36 39 43 1 44 26 12 33 3 35 14 23 30 6 7 25 2 9 16 41 42 45 46 40 4 8 31 32 18 34 22 15 11 37 38 13',
  ],
  [
    '22423044021423034123341004222320103302314430002102',
    '43 45 14 23 24 31 5 36 8 33 44 48 17 10 22 39 47 32 30 28 0 9 27 3 12 37 26 46 1 18 49 38 4 35 15 20 34 13 42 29 19 25 41 2 7 11 16 6 21 40',
  ],
  [
    '273800705565401664530548277571644032410037100282848304',
    '33 13 5 7 20 4 38 39 43 44 52 29 42 14 37 24 0 35 45 47 2 19 34 40 51 31 36 22 32 17 12 49 53 11 9 21 27 18 8 16 15 30 10 1 25 26 28 6 41 3 23 46 48 50',
  ],
];

test('S08 permissions come to the order that members of Go give them', () => {
  for (const [keys, order] of ORDERS) assert.equal(orderOf(keys), order, keys);
});

test('a permission behind all others, or one of few, goes behind those of the same key', () => {
  assert.equal(orderOf('2120'), '3 1 0 2');
  assert.equal(orderOf('0'.repeat(60)), Array.from({ length: 60 }, (_, i) => i).join(' '));
  assert.equal(orderOf('aabbaaabbbab'), '0 1 4 5 6 10 2 3 7 8 9 11');
});

/** Of few different keys: the pivot is met again and again. */
function randomKeys(random: SeededRandom): Keyed[] {
  const kinds = 1 + random.below(8);
  return Array.from({ length: 13 + random.below(80) }, () => ({ key: Uint8Array.of(random.below(kinds)) }));
}

test('whatever is given is sorted, also once too many pivots were bad', () => {
  const random = new SeededRandom(5);
  for (let round = 0; round < 300; round++) {
    const items = randomKeys(random);
    const expected = items.map(({ key }) => key[0]!).sort((a, b) => a - b);
    const badPivots = random.below(7);
    new GoSort(items).quick(0, items.length, badPivots);
    const sorted = items.map(({ key }) => key[0]!);
    assert.deepEqual(sorted, expected, `seed 5, round ${round}, ${badPivots} bad pivots`);
  }
});
