/** One step at a time, and none after a stop. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { Pacer } from './pacer.ts';

test('steps follow each other, however often they are asked for, until they are stopped', () => {
  const clock = new SimClock();
  const wait = (pauseMs: number, then: () => void): void => void clock.setTimer(pauseMs, then);
  let count = 0;
  const step = (): void => {
    count++;
    pacer.next();
    pacer.next();
  };
  const pacer = new Pacer({ wait, random: new SeededRandom(1), maxPauseMs: 10, step });
  clock.step();
  assert.equal(count, 0);
  pacer.start();
  pacer.start();
  for (let i = 1; i <= 5; i++) {
    clock.step();
    assert.equal(count, i);
  }
  pacer.stop();
  assert.ok(!pacer.isRunning);
  for (let i = 0; i < 5; i++) clock.step();
  assert.equal(count, 5);
  pacer.start();
  clock.step();
  assert.equal(count, 6);
});
