import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { LeaseQueue } from './lease-queue.ts';

/** Takes all out, in the order in which they come. */
function drained(queue: LeaseQueue): [row: number, time: number][] {
  const all: [number, number][] = [];
  for (; queue.count > 0; queue.remove(queue.first)) all.push([queue.first, queue.firstTime]);
  return all;
}

test('the queue gives rows in order of their times, whatever was moved and removed', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const queue = new LeaseQueue();
    const model = new Map<number, number>();
    const rows = random.pick([5, 60, 200]);
    for (let step = 0; step < 500; step++) {
      const row = 1 + random.below(rows);
      if (random.chance(0.7)) {
        const time = random.below(1000);
        queue.set(row, time);
        model.set(row, time);
      } else {
        queue.remove(row);
        model.delete(row);
      }
      assert.equal(queue.count, model.size);
      assert.equal(queue.firstTime, Math.min(...model.values()));
    }
    const order = drained(queue);
    assert.deepEqual(new Map(order), model);
    assert.deepEqual(
      order.map(([, time]) => time),
      [...model.values()].sort((a, b) => a - b),
    );
  }
});

test('an empty queue has no first row, and its time never comes', () => {
  const queue = new LeaseQueue();
  assert.deepEqual([queue.count, queue.first, queue.firstTime], [0, 0, Number.POSITIVE_INFINITY]);
  queue.set(7, 3);
  assert.deepEqual([queue.count, queue.first, queue.firstTime], [1, 7, 3]);
  queue.remove(8);
  queue.remove(7);
  queue.remove(7);
  assert.deepEqual([queue.count, queue.first, queue.firstTime], [0, 0, Number.POSITIVE_INFINITY]);
});

test('a queue that was cleared knows none of its rows, and takes them again', () => {
  const queue = new LeaseQueue();
  for (let row = 1; row <= 100; row++) queue.set(row, 1000 - row);
  queue.clear();
  assert.deepEqual([queue.count, queue.first], [0, 0]);
  queue.remove(1);
  queue.remove(100);
  assert.equal(queue.count, 0);
  for (let row = 100; row >= 1; row--) queue.set(row, row);
  assert.deepEqual(
    drained(queue).map(([row]) => row),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
});

test('who is first stays so until another is earlier', () => {
  const queue = new LeaseQueue();
  queue.set(1, 5);
  queue.set(2, 5);
  assert.equal(queue.first, 1, 'another of the same time comes');
  queue.set(2, 7);
  queue.set(1, 7);
  assert.equal(queue.first, 1, 'it is put off to the time of another');
  queue.set(3, 7);
  queue.set(4, 9);
  queue.remove(1);
  assert.equal(queue.first, 2, 'of two that are as early, who came first');
});

test('rows that are neither numbers of leases nor have a time are refused', () => {
  const queue = new LeaseQueue();
  assert.throws(() => queue.set(0, 5), /no row/);
  assert.throws(() => queue.set(1, Number.POSITIVE_INFINITY), /no time/);
});
