import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import type { Caller } from '../rpc/caller.ts';
import { HeldLease } from './held-lease.ts';
import { LeaseKeeper } from './lease-keeper.ts';

test('a lease is not held past its life, though the process was stopped and no timer has run yet', () => {
  const clock = new SimClock();
  const caller = { now: 0, options: { clock }, open: () => new Promise(() => {}) };
  const keeper = new LeaseKeeper(caller as unknown as Caller);
  const lease = new HeldLease(1n, 60, keeper, () => Promise.resolve());
  caller.now = 59_999;
  assert.ok(lease.isHeld);
  caller.now = 60_000;
  assert.ok(!lease.isHeld);
  lease.release();
  assert.ok(!lease.isHeld);
});

test('a lease lives from when it was asked for; where that is long ago, half a life is left for the first answer', () => {
  for (const [askedMs, endMs] of [
    [97_000, 107_000],
    [10_000, 105_000],
  ] as const) {
    const caller = { now: 100_000, options: { clock: new SimClock() }, open: () => new Promise(() => {}) };
    const keeper = new LeaseKeeper(caller as unknown as Caller);
    const lease = new HeldLease(1n, 10, keeper, () => Promise.resolve(), askedMs);
    caller.now = endMs - 1;
    assert.ok(lease.isHeld);
    caller.now = endMs;
    assert.ok(!lease.isHeld);
  }
});
