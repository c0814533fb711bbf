import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { giveBackAtRest } from './give-back.ts';

const MEGABYTE = 1024 * 1024;

function world() {
  const clock = new SimClock();
  const calls: string[] = [];
  const memory = {
    usedMs: 0,
    residentMegabytes: 80,
    cpuMs: () => memory.usedMs,
    residentBytes: () => memory.residentMegabytes * MEGABYTE,
    collect: () => void calls.push('collect'),
    trim: () => {
      calls.push('trim');
      memory.residentMegabytes -= 30;
    },
  };
  giveBackAtRest(clock, memory);
  /** Half seconds, one after the other, in each of which so much of a processor is used. */
  const pass = (...cpuMs: number[]): string[] => {
    for (const used of cpuMs) {
      memory.usedMs += used;
      clock.advance(500);
    }
    return calls.splice(0);
  };
  return { memory, pass };
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
  assert.deepEqual(pass(100), [], 'the collection itself counts as work');
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
