import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { createLogger } from './etcd-logger.ts';
import { MemorySink } from './log-sink.ts';
import { RefusalLog } from './refusal-log.ts';

const A_MINUTE_MS = 60_000;

test('S20 a hundred lines a minute are written, one for each topic, and the next one says how many were left out', () => {
  const clock = new SimClock();
  const sink = new MemorySink();
  const log = new RefusalLog(clock, createLogger({ level: 'info', sink, clock }));
  let asked = 0;
  const refuse = (topic: string): void => log.warn('refused', topic, () => ({ topic, asked: ++asked }));
  refuse('a');
  refuse('a');
  for (let i = 0; i < 500; i++) {
    refuse(`${i}`);
    clock.advance(10);
  }
  assert.equal(sink.lines().length, 100);
  assert.equal(asked, 100, 'fields of a line that is not written are not made');
  clock.advance(A_MINUTE_MS);
  refuse('a');
  refuse('b');
  const told = sink.records().map(({ topic, suppressed }) => [topic, suppressed]);
  assert.deepEqual(told.slice(0, 3), [
    ['a', undefined],
    ['0', 1],
    ['1', undefined],
  ]);
  assert.deepEqual(told.slice(99), [
    ['98', undefined],
    ['a', 401],
    ['b', undefined],
  ]);
});
