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
