import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SyncGauge } from './sync-gauge.ts';

function inline(gauge: SyncGauge, durationMs: number, count: number): void {
  for (let i = 0; i < count; i++) gauge.tookInline(durationMs);
}

function async(gauge: SyncGauge, durationMs: number, count: number): void {
  for (let i = 0; i < count; i++) gauge.tookAsync(durationMs);
}

test('a fast disk is waited for, a slow one is not', () => {
  const gauge = new SyncGauge();
  assert.equal(gauge.prefersInline, true);
  inline(gauge, 0.1, 1000);
  inline(gauge, 3, 1);
  assert.equal(gauge.prefersInline, true, 'one slow sync is no habit');
  inline(gauge, 3, 20);
  assert.equal(gauge.prefersInline, false);
});

test('one stall is enough', () => {
  const gauge = new SyncGauge();
  inline(gauge, 0.1, 1000);
  inline(gauge, 8, 1);
  assert.equal(gauge.prefersInline, false);
});

test('waiting begins again when the disk is fast again, though the event loop may be slow', () => {
  const gauge = new SyncGauge();
  inline(gauge, 8, 1);
  async(gauge, 8, 1000);
  assert.equal(gauge.prefersInline, false);
  // The callback comes late almost always; once, the loop was idle.
  async(gauge, 4, 50);
  async(gauge, 0.3, 1);
  async(gauge, 4, 80);
  assert.equal(gauge.prefersInline, true);
  inline(gauge, 0.1, 100);
  assert.equal(gauge.prefersInline, true);
});

test('what did not last is tried again later and later, until it lasts', () => {
  const gauge = new SyncGauge();
  const asyncUntilInline = (): number => {
    let count = 0;
    for (; !gauge.prefersInline; count++) gauge.tookAsync(0.3);
    return count;
  };
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    inline(gauge, 0.1, 10);
    inline(gauge, 8, 1);
    waits.push(asyncUntilInline());
  }
  assert.deepEqual(waits, [64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
  inline(gauge, 0.1, 1000);
  inline(gauge, 8, 1);
  assert.equal(asyncUntilInline(), 64);
});

/** How many syncs of that length a fresh gauge takes until it no longer prefers them. */
function inlineUntilAsync(durationMs: number): number {
  const gauge = new SyncGauge();
  let count = 0;
  for (; gauge.prefersInline && count < 1000; count++) gauge.tookInline(durationMs);
  return count;
}

test('a habit is an average of a millisecond over the last syncs, a stall is five at once', () => {
  assert.deepEqual([0.5, 0.999, 1.5, 3, 4.999, 5, 8].map(inlineUntilAsync), [1000, 1000, 18, 7, 4, 1, 1]);
});

test('an asynchronous sync shorter than a millisecond ends a window, one that takes as long does not', () => {
  for (const [leastMs, isInline] of [
    [1, false],
    [0.999, true],
  ] as const) {
    const gauge = new SyncGauge();
    inline(gauge, 20, 1);
    async(gauge, 0.1, 63);
    assert.equal(gauge.prefersInline, false, 'not before the window is full');
    async(gauge, 0.1, 1);
    inline(gauge, 20, 1);
    // It did not last, so that there are two windows; the least of the first does not count for the second.
    async(gauge, 0.1, 64);
    async(gauge, leastMs, 64);
    assert.equal(gauge.prefersInline, isInline);
  }
});

test('what was slow before does not count once inline is tried again', () => {
  const gauge = new SyncGauge();
  inline(gauge, 100, 1);
  async(gauge, 0.3, 64);
  inline(gauge, 0.3, 1);
  assert.equal(gauge.prefersInline, true);
  inline(gauge, 100, 1);
  async(gauge, 0.9, 128);
  assert.equal(gauge.prefersInline, true);
  inline(gauge, 3, 1);
  assert.equal(gauge.prefersInline, false, 'the least of the window is where the average begins');
});

test('a try that lasted 256 syncs was right, one of 255 was not', () => {
  for (const [count, windows] of [
    [255, 2],
    [256, 1],
  ] as const) {
    const gauge = new SyncGauge();
    inline(gauge, 8, 1);
    async(gauge, 0.1, 64);
    inline(gauge, 0.1, count);
    inline(gauge, 8, 1);
    async(gauge, 0.1, windows * 64 - 1);
    assert.equal(gauge.prefersInline, false);
    async(gauge, 0.1, 1);
    assert.equal(gauge.prefersInline, true, `${count} syncs`);
  }
});
