import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { HeartbeatMonitor } from './heartbeat-monitor.ts';

test('heartbeats count as late after twice the interval, within one term', () => {
  const clock = new SimClock();
  let lateCount = 0;
  const monitor = new HeartbeatMonitor({
    clock,
    logger: SILENT_LOGGER,
    heartbeatIntervalMs: 100,
    onLate: () => lateCount++,
  });
  const after = (ms: number, to: bigint, term = 2): number => {
    clock.advance(ms);
    monitor.onSend(to, term);
    return lateCount;
  };
  assert.equal(after(5000, 2n), 0, 'the first says nothing');
  assert.equal(after(0, 3n), 0);
  assert.equal(after(100, 2n), 0);
  assert.equal(after(90, 3n), 0);
  assert.equal(after(150, 2n), 1, '240 ms after the one before');
  assert.equal(after(0, 3n), 1, '150 ms');
  assert.equal(after(60_000, 2n, 5), 1, 'another term of leadership');
});

test('twice the interval is in time, and late ones are told once in ten seconds', () => {
  const clock = new SimClock();
  const lines: unknown[] = [];
  let lateCount = 0;
  const monitor = new HeartbeatMonitor({
    clock,
    logger: { ...SILENT_LOGGER, warn: (_line, fields) => void lines.push(fields?.['exceeded-duration']) },
    heartbeatIntervalMs: 100,
    onLate: () => lateCount++,
  });
  const after = (ms: number): void => {
    clock.advance(ms);
    monitor.onSend(2n, 1);
  };
  after(0);
  after(200);
  assert.deepEqual([lateCount, lines], [0, []]);
  after(201);
  assert.deepEqual([lateCount, lines], [1, ['1ms']]);
  after(9999);
  assert.deepEqual([lateCount, lines.length], [2, 1]);
  after(1);
  after(250);
  assert.deepEqual([lateCount, lines], [3, ['1ms', '50ms']]);
});
