import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { NodeRandom } from './node-random.ts';

test('numbers differ, within a source and between two, also behind what is read at once', () => {
  const drawn = [new NodeRandom(), new NodeRandom()].flatMap((random) =>
    Array.from({ length: 1000 }, () => random.uint32()),
  );
  // Of 2,000 numbers below 2^32 two are equal once in 2,000 times; four of them never.
  assert.ok(new Set(drawn).size > drawn.length - 4);
  assert.ok(drawn.every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32));
});

test('a device that gives less than was asked for is made up for', (t) => {
  const read = t.mock.method(fs, 'readSync', () => 100);
  const random = new NodeRandom();
  const drawn = Array.from({ length: 300 }, () => random.uint32());
  assert.equal(read.mock.callCount(), 2);
  assert.ok(new Set(drawn).size > drawn.length - 4);
});
