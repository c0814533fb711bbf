import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Inflights } from './inflights.ts';

test('a window is a queue that is freed from its head, for any sequence of calls', () => {
  const calls = fc.array(
    fc.oneof(
      fc.record({ add: fc.nat({ max: 20 }) }),
      fc.record({ freeTo: fc.nat({ max: 60 }) }),
      fc.record({ reset: fc.constant(true) }),
      fc.record({ copy: fc.constant(true) }),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.nat({ max: 80 }),
      calls,
      (maxCount, maxBytes, sequence) => {
        let window = new Inflights(maxCount, maxBytes);
        let model: { index: number; sizeBytes: number }[] = [];
        let index = 0;
        for (const call of sequence) {
          if ('add' in call) {
            if (window.full) continue;
            index += 1 + (call.add % 3);
            window.add(index, call.add);
            model.push({ index, sizeBytes: call.add });
          } else if ('freeTo' in call) {
            window.freeLE(call.freeTo);
            model = model.filter((message) => message.index > call.freeTo);
          } else if ('copy' in call) {
            // It goes on where the original was.
            window = window.clone();
          } else {
            window.reset();
            model = [];
          }
          const sizeBytes = model.reduce((sum, message) => sum + message.sizeBytes, 0);
          assert.equal(window.count, model.length);
          assert.equal(window.sizeBytes, sizeBytes);
          assert.equal(window.full, model.length >= maxCount || (maxBytes > 0 && sizeBytes >= maxBytes));
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('a copy does not share the window', () => {
  const window = new Inflights(5, 0);
  window.add(1, 10);
  const copy = window.clone();
  copy.freeLE(1);
  window.add(2, 10);
  assert.deepEqual([window.count, copy.count], [2, 0]);
});

test('a window that has gone round frees what each of its messages takes, and what grows keeps their order', () => {
  const window = new Inflights(20, 0);
  for (let index = 1; index <= 4; index++) window.add(index, 2 ** index);
  window.freeLE(2);
  // Round the end of the ring, then beyond its capacity.
  for (let index = 5; index <= 12; index++) window.add(index, 2 ** index);
  const sizes = [];
  for (let index = 3; index <= 12; index++) {
    const before = window.sizeBytes;
    window.freeLE(index);
    sizes.push(before - window.sizeBytes);
  }
  assert.deepEqual(
    sizes,
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((index) => 2 ** index),
  );
  assert.deepEqual([window.count, window.sizeBytes], [0, 0]);
});

test('a window of one admits one message, and one without a bound on bytes any size', () => {
  assert.throws(() => new Inflights(0, 0), /no message may be in flight/);
  const window = new Inflights(1, 0);
  assert.equal(window.full, false);
  window.add(7, 2 ** 40);
  assert.equal(window.full, true);
  window.freeLE(6);
  assert.equal(window.full, true);
  window.freeLE(7);
  assert.deepEqual([window.full, window.count, window.sizeBytes], [false, 0, 0]);
});

test('one message may overshoot the bound on bytes, none may follow', () => {
  const window = new Inflights(10, 100);
  window.add(1, 99);
  assert.equal(window.full, false);
  window.add(2, 1000);
  assert.equal(window.full, true);
  assert.throws(() => window.add(3, 1), /cannot add into a Full inflights/);
  window.freeLE(1);
  assert.equal(window.full, true);
  window.freeLE(2);
  assert.equal(window.full, false);
});

test('a window of millions costs what is in it', () => {
  const window = new Inflights(0x7fff_ffff, 0);
  for (let index = 1; index <= 100_000; index++) {
    window.add(index, 1);
    window.freeLE(index - 3);
  }
  assert.equal(window.count, 3);
});
