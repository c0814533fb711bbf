import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { AppliedWaiters } from './applied-waiters.ts';

interface Waited {
  readonly clock: SimClock;
  readonly waiters: AppliedWaiters;
  readonly told: [number, boolean][];
  wait(index: number, timeoutMs: number): void;
}

function newWaiters(): Waited {
  const clock = new SimClock();
  const waiters = new AppliedWaiters(clock);
  const told: [number, boolean][] = [];
  const wait = (index: number, timeoutMs: number): void =>
    waiters.add(index, timeoutMs, (isApplied) => told.push([index, isApplied]));
  return { clock, waiters, told, wait };
}

test('whoever waits is told when the entry is applied, or one behind it, and once', () => {
  const { clock, waiters, told, wait } = newWaiters();
  for (const index of [5, 3, 9]) wait(index, 1000);
  waiters.onApplied(2);
  assert.deepEqual(told, []);
  waiters.onApplied(5);
  waiters.onApplied(6);
  assert.deepEqual(told, [
    [5, true],
    [3, true],
  ]);
  clock.advance(2000);
  assert.deepEqual(told.slice(2), [[9, false]]);
  assert.equal(waiters.count, 0);
});

test('whoever is told may wait for something else at once', () => {
  const { waiters, told, wait } = newWaiters();
  waiters.add(1, 1000, () => wait(2, 1000));
  waiters.onApplied(1);
  assert.deepEqual([told, waiters.count], [[], 1]);
  waiters.onApplied(2);
  assert.deepEqual(told, [[2, true]]);
});

test('a member that stops tells all who wait, and leaves no timer behind', () => {
  const { clock, waiters, told, wait } = newWaiters();
  for (const index of [1, 2]) wait(index, 1000);
  waiters.stop();
  assert.deepEqual(told, [
    [1, false],
    [2, false],
  ]);
  assert.equal(clock.step(), false);
});
