import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { CompactionRequest } from '@etcd/api/etcdserverpb';
import { SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { AutoCompaction } from '../config/index.ts';
import { CompactionResult, type Propose, type Waiter, waiterOf } from '../request/index.ts';
import { AutoCompactor } from './auto-compactor.ts';

interface Run {
  readonly clock: SimClock;
  readonly compactor: AutoCompactor;
  readonly compacted: [minute: number, revision: number][];
  revision: number;
}

/** @param answer what a compaction comes to; done unless told. */
function start(
  autoCompaction: AutoCompaction,
  answer: (waiter: Waiter<'compaction'>, revision: number) => void = (waiter, revision) =>
    waiter.onApplied(new CompactionResult(null, revision)),
): Run {
  const clock = new SimClock();
  const compacted: [number, number][] = [];
  const store = { revision: 1 };
  const proposeOwn: Propose = (_kind, request, waiter) => {
    assert.ok(request instanceof CompactionRequest);
    compacted.push([Math.round(clock.now() / 60_000), request.revision]);
    answer(waiterOf(waiter, 'compaction')!, store.revision);
  };
  const compactor = AutoCompactor.create({
    config: { autoCompaction },
    clock,
    logger: SILENT_LOGGER,
    store,
    proposals: { proposeOwn },
  })!;
  compactor.setRunning(true);
  compactor.start();
  return {
    clock,
    compactor,
    compacted,
    get revision() {
      return store.revision;
    },
    set revision(value) {
      store.revision = value;
    },
  };
}

test('revision mode keeps so many revisions, every five minutes', () => {
  const run = start({ mode: 'revision', retentionRevisions: 100 });
  run.revision = 90;
  run.clock.advance(5 * 60_000);
  run.revision = 150;
  run.clock.advance(10 * 60_000);
  run.revision = 300;
  run.compactor.setRunning(false);
  run.clock.advance(5 * 60_000);
  run.compactor.setRunning(true);
  run.clock.advance(5 * 60_000);
  assert.deepEqual(run.compacted, [
    [10, 50],
    [25, 200],
  ]);
});

test('periodic mode compacts to the revision of one period ago, hourly when the period is longer', () => {
  const run = start({ mode: 'periodic', retentionMs: 3 * 60 * 60_000 });
  for (let minute = 0; minute < 6 * 60; minute++) {
    run.revision = minute + 1;
    run.clock.advance(60_000);
  }
  const hours = run.compacted.map(([minute]) => minute / 60);
  assert.deepEqual(hours, [3, 4, 5, 6]);
  for (const [minute, revision] of run.compacted)
    assert.ok(Math.abs(minute - 180 - revision) <= 7, `${minute}: ${revision}`);
});

test('a store that does not move is not compacted again', () => {
  const run = start({ mode: 'periodic', retentionMs: 60_000 });
  run.revision = 7;
  run.clock.advance(20 * 60_000);
  assert.deepEqual(
    run.compacted.map(([, revision]) => revision),
    [1, 7],
  );
  run.compactor.stop();
});

const FIVE_MINUTES_MS = 5 * 60_000;

test('a compaction that fails is tried again, one that somebody else has done counts as done', () => {
  const { ErrCompacted } = INTERNAL_ERRORS.mvcc;
  const { ErrTimeout } = INTERNAL_ERRORS.errors;
  const answers = [
    (waiter: Waiter<'compaction'>) => waiter.onFailed(ErrTimeout),
    (waiter: Waiter<'compaction'>) => waiter.onApplied(new CompactionResult(ErrCompacted, 150)),
  ];
  const run = start({ mode: 'revision', retentionRevisions: 100 }, (waiter) =>
    answers.splice(0, 1)[0]!(waiter),
  );
  run.revision = 150;
  run.clock.advance(4 * FIVE_MINUTES_MS);
  assert.deepEqual(run.compacted, [
    [5, 50],
    [10, 50],
  ]);
});

test('one compaction is under way at a time, and none is begun after the end', () => {
  const waiters: Waiter<'compaction'>[] = [];
  const run = start({ mode: 'revision', retentionRevisions: 100 }, (waiter) => waiters.push(waiter));
  for (let i = 1; i <= 4; i++) {
    run.revision = 100 + i;
    run.clock.advance(FIVE_MINUTES_MS);
  }
  assert.deepEqual(run.compacted, [[5, 1]]);
  waiters[0]!.onApplied(new CompactionResult(null, 104));
  assert.throws(() => waiters[0]!.onApplied(new CompactionResult(null, 104)), /an answer to nothing/);
  run.clock.advance(FIVE_MINUTES_MS);
  assert.deepEqual(run.compacted.slice(1), [[25, 4]]);
  run.compactor.stop();
  waiters[1]!.onApplied(new CompactionResult(null, 104));
  run.revision = 500;
  run.clock.advance(4 * FIVE_MINUTES_MS);
  assert.equal(run.compacted.length, 2);
});

test('a member that comes to lead compacts by what it has seen while it did not', () => {
  const run = start({ mode: 'periodic', retentionMs: 60 * 60_000 });
  run.compactor.setRunning(false);
  for (let minute = 1; minute <= 90; minute++) {
    run.revision = minute;
    run.clock.advance(60_000);
  }
  assert.equal(run.compacted.length, 0);
  run.compactor.setRunning(true);
  run.clock.advance(6 * 60_000);
  const [minute, revision] = run.compacted[0]!;
  assert.ok(Math.abs(minute - 60 - revision) <= 7, `at ${minute}: ${revision}`);
});
