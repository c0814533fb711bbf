/** The order in which a simulated clock runs what it was told, which every world depends on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimClock } from './sim-clock.ts';

test('timers run in the order of their deadlines, equals as they were set, and what is deferred before any', () => {
  const clock = new SimClock();
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name}@${clock.now()}`);
  clock.setTimer(5, note('later'));
  clock.setTimer(2, () => {
    note('first')();
    clock.setTimer(0, note('at once'));
    clock.setTimer(-3, note('at once, too'));
    clock.defer(note('deferred'));
  });
  clock.setTimer(2, note('second'));
  clock.advance(2);
  assert.deepEqual(ran.splice(0), ['first@2', 'deferred@2', 'second@2', 'at once@2', 'at once, too@2']);
  assert.ok(clock.step());
  assert.deepEqual(ran, ['later@5']);
  assert.equal(clock.step(), false);
});

test('what is cancelled does not run, whether it waits or is due', () => {
  const clock = new SimClock();
  const ran: string[] = [];
  const waiting = clock.setTimer(3, () => ran.push('waiting'));
  clock.setTimer(1, () => {
    waiting.cancel();
    clock.setTimer(0, () => ran.push('due')).cancel();
    clock.setTimer(0, () => ran.push('kept'));
  });
  clock.advance(10);
  assert.deepEqual(ran, ['kept']);
  assert.equal(clock.step(), false);
});

test('time stops where a condition holds, or at its limit', () => {
  const clock = new SimClock();
  let count = 0;
  for (const ms of [1, 2, 3]) clock.setTimer(ms, () => count++);
  assert.ok(clock.advanceUntil(() => count === 2, 10));
  assert.equal(clock.now(), 2);
  assert.equal(
    clock.advanceUntil(() => count === 4, 10),
    false,
  );
  assert.deepEqual([count, clock.now()], [3, 12]);
});

test('whatever is set and cancelled, timers run as a sorted list says', () => {
  const random = new SeededRandom(11);
  for (let round = 0; round < 50; round++) {
    const clock = new SimClock();
    const expected: { readonly name: number; readonly atMs: number; isCancelled: boolean }[] = [];
    const ran: number[] = [];
    const set = (): void => {
      const name = expected.length;
      const delayMs = random.below(4);
      const own = { name, atMs: clock.now() + delayMs, isCancelled: false };
      expected.push(own);
      const timer = clock.setTimer(delayMs, () => {
        ran.push(name);
        if (expected.length < 60) set();
        if (expected.length < 60) set();
      });
      if (!random.chance(0.2)) return;
      own.isCancelled = true;
      timer.cancel();
    };
    for (let i = 0; i < 5; i++) set();
    clock.advance(1000);
    const kept = expected.filter(({ isCancelled }) => !isCancelled);
    kept.sort((a, b) => a.atMs - b.atMs || a.name - b.name);
    assert.deepEqual(
      ran,
      kept.map(({ name }) => name),
    );
  }
});
