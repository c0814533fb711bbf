import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Queue } from './queue.ts';

test('a key is done by one at a time, and once more when it is asked for meanwhile; others wait for room', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new Queue({
    maxConcurrent: 2,
    work: (key) => {
      begun.push(key);
      return new Promise((resolve) => ends.set(key, () => resolve(null)));
    },
  });
  for (const key of ['a', 'b', 'c', 'a', 'a']) queue.add(key);
  assert.deepEqual(begun, ['a', 'b']);
  ends.get('a')!();
  await turn();
  assert.deepEqual(begun, ['a', 'b', 'c']);
  ends.get('b')!();
  await turn();
  t.mock.timers.tick(1_000);
  assert.deepEqual(begun, ['a', 'b', 'c', 'a']);
  ends.get('a')!();
  ends.get('c')!();
  await turn();
  t.mock.timers.tick(100_000);
  assert.equal(begun.length, 4);
});

test('a key is done again when its work says so, sooner when it is asked for, and no more once the queue has stopped', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let times = 0;
  const queue = new Queue({
    maxConcurrent: 1,
    work: async () => {
      times++;
      return 10_000;
    },
  });
  queue.add('a');
  await turn();
  t.mock.timers.tick(9_999);
  assert.equal(times, 1);
  t.mock.timers.tick(1);
  await turn();
  assert.equal(times, 2);
  queue.add('a');
  await turn();
  assert.equal(times, 3);
  queue.stop();
  t.mock.timers.tick(100_000);
  queue.add('a');
  await turn();
  assert.equal(times, 3);
});
