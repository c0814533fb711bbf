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
          } else {
            window.reset();
            model = [];
          }
          const sizeBytes = model.reduce((sum, message) => sum + message.sizeBytes, 0);
          assert.equal(window.count, model.length);
          assert.equal(window.sizeBytes, sizeBytes);
          assert.equal(window.full, model.length >= maxCount || (maxBytes > 0 && sizeBytes >= maxBytes));
          // A copy goes on where the original was.
          window = window.clone();
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
