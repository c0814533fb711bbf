import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { giveBackAtRest } from './give-back.ts';

const MEGABYTE = 1024 * 1024;

function world() {
  const clock = new SimClock();
  const calls: string[] = [];
  const memory = {
    usedMs: 0,
    busyMs: () => memory.loopMs,
    loopMs: 0,
    residentMegabytes: 80,
    cpuMs: () => memory.usedMs,
    heapMegabytes: 20,
    heapBytes: () => memory.heapMegabytes * MEGABYTE,
    residentBytes: () => memory.residentMegabytes * MEGABYTE,
    collect: () => void calls.push('collect'),
    trim: () => {
      calls.push('trim');
      memory.residentMegabytes -= 30;
    },
  };
  const late = { ms: 0 };
  const lateClock: Clock = {
    now: () => clock.now() + late.ms,
    wallNow: () => clock.wallNow(),
    setTimer: (delayMs, callback) => clock.setTimer(delayMs, callback),
    defer: (callback) => clock.defer(callback),
  };
  giveBackAtRest(lateClock, memory);
  /** Half seconds, one after the other, in each of which so much of a processor is used. */
  const pass = (...cpuMs: number[]): string[] => {
    for (const used of cpuMs) {
      memory.usedMs += used;
      clock.advance(500);
    }
    return calls.splice(0);
  };
  return { late, memory, pass };
}

test('what the start has left is given back when it is over, without a collection', () => {
  const { pass } = world();
  assert.deepEqual(pass(400, 100), []);
  assert.deepEqual(pass(1), ['trim']);
  assert.deepEqual(pass(1, 1, 1, 400, 1, 1), [], 'nothing has grown');
});

test('after a load that left memory behind there is one collection, and when it has rested again the rest is given back', () => {
  const { memory, pass } = world();
  pass(1);
  memory.residentMegabytes = 200;
  assert.deepEqual(pass(400, 400, 50, 20), [], 'not under load');
  assert.deepEqual(pass(5), ['collect']);
  assert.deepEqual(pass(100), [], 'not in the middle of another load');
  assert.deepEqual(pass(1), ['trim']);
  assert.deepEqual(pass(1, 1, 1, 1), []);
});

test('growth counts from what was left: data that stay do not cause collections', () => {
  const { memory, pass } = world();
  pass(1);
  memory.residentMegabytes = 200;
  assert.deepEqual(pass(1, 1), ['collect', 'trim']);
  memory.residentMegabytes += 31;
  assert.deepEqual(pass(400, 1, 1), []);
  memory.residentMegabytes += 1;
  assert.deepEqual(pass(400, 1, 1), ['collect', 'trim']);
});

test('a process that gets no processor does not rest', () => {
  const { late, memory, pass } = world();
  pass(1);
  memory.residentMegabytes = 200;
  memory.loopMs += 25;
  assert.deepEqual(pass(1), [], 'its event loop had work');
  late.ms += 60;
  assert.deepEqual(pass(1), [], 'its timer came late');
  assert.deepEqual(pass(1), ['collect']);
});

test('a heap so large that a collection would cost a leader its place is not collected', () => {
  const { memory, pass } = world();
  pass(1);
  memory.residentMegabytes = 2000;
  memory.heapMegabytes = 500;
  assert.deepEqual(pass(400, 1, 1, 1), ['trim'], 'what the C library keeps is given back nevertheless');
  memory.residentMegabytes += 100;
  memory.heapMegabytes = 90;
  assert.deepEqual(pass(400, 1, 1), ['collect', 'trim']);
});
