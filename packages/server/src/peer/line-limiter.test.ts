import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, MemorySink } from '@etcd/host/logging';
import { SimClock } from '@etcd/testing';
import { LineLimiter } from './line-limiter.ts';

function setUp() {
  const clock = new SimClock();
  const sink = new MemorySink();
  const lines = new LineLimiter(clock, createLogger({ level: 'info', sink, clock }));
  return { clock, sink, lines };
}

test('S20 a fault that repeats makes one line a second, which says how many were left out', () => {
  const { clock, sink, lines } = setUp();
  let asked = 0;
  for (let i = 0; i < 250; i++) {
    lines.warn('it fails', () => ({ attempt: i, asked: ++asked }));
    clock.advance(10);
  }
  const written = sink.records().map(({ attempt, suppressed }) => [attempt, suppressed]);
  assert.deepEqual(written, [
    [0, undefined],
    [100, 99],
    [200, 99],
  ]);
  assert.equal(asked, 3, 'fields of a line that is not written are not made');
});

test('faults of different kinds do not hold each other back, and a rare one says nothing of suppression', () => {
  const { clock, sink, lines } = setUp();
  for (let i = 0; i < 3; i++) {
    lines.warn('one', () => ({ i }));
    lines.warn('two', () => ({ i }));
    clock.advance(1000);
  }
  assert.equal(sink.records().length, 6);
  assert.ok(sink.lines().every((line) => !line.includes('suppressed')));
});
