import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { ExpirySpread } from './expiry-spread.ts';

const DAY_MS = 86_400_000;

function delaysOf(perSecond: number, remaining: readonly number[]): number[] {
  const spread = new ExpirySpread(perSecond);
  for (const remainingMs of remaining) spread.count(remainingMs);
  spread.plan();
  return remaining.map((remainingMs) => spread.delayMs(remainingMs));
}

test('no second has more than its share, and nobody waits while a second before has room', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new SeededRandom(seed);
    const perSecond = 1 + random.below(4);
    const remaining = Array.from({ length: 60 }, () => random.below(20_000));
    const delays = delaysOf(perSecond, remaining);
    const counts = new Map<number, number>();
    for (const [i, remainingMs] of remaining.entries()) {
      const second = Math.floor((remainingMs + delays[i]!) / 1000);
      assert.equal(delays[i]! % 1000, 0);
      counts.set(second, (counts.get(second) ?? 0) + 1);
    }
    assert.ok(Math.max(...counts.values()) <= perSecond, `seed ${seed}`);
    for (const [i, remainingMs] of remaining.entries()) {
      for (let waited = 0; waited < delays[i]!; waited += 1000)
        assert.equal(counts.get(Math.floor((remainingMs + waited) / 1000)), perSecond, `seed ${seed}`);
    }
  }
});

test('what is put off into a second comes before what ends there', () => {
  assert.deepEqual(delaysOf(2, [500, 999, 0, 1000, 2500]), [0, 0, 1000, 0, 0]);
  assert.deepEqual(delaysOf(2, [500, 999, 0, 1000, 1001, 2500]), [0, 0, 1000, 0, 1000, 0]);
});

test('who has a day left is not put off, nor who has nothing left', () => {
  assert.deepEqual(delaysOf(1, [DAY_MS - 1, DAY_MS - 1000, DAY_MS, DAY_MS + 1]), [0, 1000, 0, 0]);
  assert.deepEqual(delaysOf(1, [DAY_MS, DAY_MS, 2 * DAY_MS, 2 * DAY_MS]), [0, 0, 0, 0]);
  assert.deepEqual(delaysOf(1, [-1, -1, -1000, 0, 0]), [0, 0, 0, 0, 1000]);
});
