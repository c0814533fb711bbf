import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { letSmallHeapGrow } from './heap-growth.ts';

const MEGABYTE = 1024 * 1024;

function world(limitMegabytes: number) {
  const clock = new SimClock();
  const flags: string[] = [];
  const heap = {
    usedMegabytes: 20,
    limit: () => limitMegabytes * MEGABYTE,
    used: () => heap.usedMegabytes * MEGABYTE,
    setFlags: (text: string) => flags.push(text),
  };
  letSmallHeapGrow(clock, heap);
  return { clock, heap, flags };
}

test('a small heap may grow by so many bytes, and is left to V8 while it is large', () => {
  const { clock, heap, flags } = world(2048);
  assert.deepEqual(flags, [], 'a start is left alone');
  clock.advance(500);
  assert.deepEqual(flags, ['--heap-growing-percent=200']);
  clock.advance(60_000);
  assert.equal(flags.length, 1, 'nothing has changed');
  heap.usedMegabytes = 400;
  clock.advance(60_000);
  assert.deepEqual(flags.slice(1), ['--heap-growing-percent=0']);
  heap.usedMegabytes = 40;
  clock.advance(10_000);
  assert.deepEqual(flags.slice(2), ['--heap-growing-percent=100']);
});

test('garbage that waits for its collection does not count: what counts is what one leaves', () => {
  const { clock, heap, flags } = world(2048);
  for (let seconds = 0; seconds < 60; seconds += 2) {
    heap.usedMegabytes = 20 + (seconds % 10) * 4;
    clock.advance(2_000);
  }
  assert.deepEqual(flags, ['--heap-growing-percent=200']);
});

test('a very small heap grows to four times of its size at most', () => {
  const { clock, heap, flags } = world(2048);
  heap.usedMegabytes = 4;
  clock.advance(500);
  assert.deepEqual(flags, ['--heap-growing-percent=300']);
});

test('where memory is short V8 collects as it likes', () => {
  const { clock, flags } = world(64);
  clock.advance(60_000);
  assert.deepEqual(flags, []);
});
