import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompactionRequest } from '@etcd/api/etcdserverpb';
import { SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { AutoCompaction } from '../config/index.ts';
import { CompactionResult, type Propose, waiterOf } from '../request/index.ts';
import { AutoCompactor } from './auto-compactor.ts';

interface Run {
  readonly clock: SimClock;
  readonly compactor: AutoCompactor;
  readonly compacted: [minute: number, revision: number][];
  revision: number;
}

function start(autoCompaction: AutoCompaction): Run {
  const clock = new SimClock();
  const compacted: [number, number][] = [];
  const store = { revision: 1 };
  const proposeOwn: Propose = (_kind, request, waiter) => {
    assert.ok(request instanceof CompactionRequest);
    compacted.push([Math.round(clock.now() / 60_000), request.revision]);
    waiterOf(waiter, 'compaction')!.onApplied(new CompactionResult(null, store.revision));
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
