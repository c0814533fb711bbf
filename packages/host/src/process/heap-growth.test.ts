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

test('a small heap may grow, and is left to V8 while it is large', () => {
  const { clock, heap, flags } = world(2048);
  assert.deepEqual(flags, [], 'a start is left alone');
  clock.advance(500);
  assert.deepEqual(flags, ['--heap-growing-percent=300']);
  clock.advance(60_000);
  assert.equal(flags.length, 1, 'nothing has changed');
  heap.usedMegabytes = 400;
  clock.advance(10_000);
  heap.usedMegabytes = 60;
  clock.advance(10_000);
  assert.deepEqual(flags.slice(1), ['--heap-growing-percent=0', '--heap-growing-percent=300']);
});

test('where memory is short V8 collects as it likes', () => {
  const { clock, flags } = world(64);
  clock.advance(60_000);
  assert.deepEqual(flags, []);
});
