import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompactionRequest, DeleteRangeRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { SILENT_LOGGER } from '@etcd/base';
import { Rule } from '@etcd/defrag/rule';
import { SimClock } from '@etcd/testing';
import { AutoDefragmenter } from './auto-defragmenter.ts';
import { SingleMember } from './testing/single-member.ts';

const MIB = 1 << 20;

/** @param freed what a defragmentation leaves free. */
function start(ruleText: string, leftFreeBytes = 0) {
  const clock = new SimClock();
  const rule = new Rule(ruleText);
  const sizes = { sizeBytes: 10 * MIB, sizeInUseBytes: 10 * MIB };
  const run = { clock, sizes, count: 0, freed: 0, overloaded: false, fails: false };
  const backend = {
    get sizeBytes() {
      return sizes.sizeBytes;
    },
    get sizeInUseBytes() {
      return sizes.sizeInUseBytes;
    },
    get overloaded() {
      return run.overloaded;
    },
    defragThen(done: (error: Error | null) => void): void {
      run.count++;
      clock.setTimer(100, () => {
        if (run.fails) return done(new Error('no space left on device'));
        sizes.sizeBytes = sizes.sizeInUseBytes + leftFreeBytes;
        done(null);
      });
    },
  };
  const handles = {
    autoDefragsTotal: { inc: () => {} },
    autoDefragFreedBytesTotal: {
      add: (bytes: number) => {
        run.freed += bytes;
      },
    },
    backendDefragDurationSeconds: { observe: () => {} },
  };
  const policy = { ruleText, holds: rule.holds.bind(rule), checkIntervalMs: 1000 };
  const defragmenter = AutoDefragmenter.create({
    config: { autoDefrag: policy, quotaBackendBytes: 100 * MIB },
    clock,
    logger: SILENT_LOGGER,
    quota: { limitBytes: Infinity },
    backend,
    metrics: { handles },
  })!;
  defragmenter.start();
  return { run, defragmenter };
}

test('a database is made shorter when the rule holds of it, once', () => {
  const { run, defragmenter } = start('dbSizeFree > 20*1024*1024');
  run.clock.advance(5000);
  assert.equal(run.count, 0);
  run.sizes.sizeBytes = 40 * MIB;
  run.clock.advance(5000);
  assert.equal(run.count, 1);
  assert.equal(run.freed, 30 * MIB);
  run.sizes.sizeBytes = 40 * MIB;
  defragmenter.stop();
  run.clock.advance(5000);
  assert.equal(run.count, 1);
});

test('a rule that always holds starts nothing that would free nothing', () => {
  const { run } = start('true', 5 * MIB);
  run.sizes.sizeBytes = 30 * MIB;
  run.clock.advance(60_000);
  assert.equal(run.count, 1, 'what was left can not be freed');
  run.sizes.sizeInUseBytes = 15 * MIB;
  run.clock.advance(1000);
  run.sizes.sizeInUseBytes = 12 * MIB;
  run.clock.advance(1000);
  assert.equal(run.count, 2, 'what was left was written to, and is free again');
});

test('nothing is begun while writes wait, and what failed is tried again', () => {
  const { run } = start('dbQuotaUsage > 0.2');
  run.sizes.sizeBytes = 50 * MIB;
  run.overloaded = true;
  run.clock.advance(5000);
  assert.equal(run.count, 0);
  run.overloaded = false;
  run.fails = true;
  run.clock.advance(2200);
  assert.equal(run.count, 2);
  run.fails = false;
  run.clock.advance(5000);
  assert.equal(run.count, 3);
});

test('a rule that fails for some sizes is no reason to end', () => {
  const { run } = start('[true, false][dbSizeFree == 40*1024*1024 ? 1 : 7]');
  run.sizes.sizeBytes = 50 * MIB;
  run.clock.advance(3000);
  assert.equal(run.count, 0);
});

test('a member serves on while it makes its database shorter by itself', async () => {
  const flags = ['--auto-defrag-rule=dbSizeFree > 1024*1024', '--auto-defrag-check-interval=1s'];
  const member = await SingleMember.start(flags);
  const value = new Uint8Array(100_000);
  for (let i = 0; i < 60; i++) member.ask('put', new PutRequest({ key: Buffer.from(`k${i}`), value }));
  member.ask('deleteRange', new DeleteRangeRequest({ key: Buffer.from('k'), rangeEnd: Buffer.from('l') }));
  member.ask('compaction', new CompactionRequest({ revision: member.server.store.revision, physical: true }));
  const { metrics, clock } = member.world;
  const { autoDefragFreedBytesTotal } = metrics.handles;
  // What a compaction has freed counts from the next commits on.
  for (let i = 0; i < 60 && autoDefragFreedBytesTotal.value < 2 * MIB; i++) {
    member.ask('put', new PutRequest({ key: Buffer.from('x'), value }));
    clock.advance(1000);
  }
  assert.ok(autoDefragFreedBytesTotal.value > 2 * MIB);
  assert.ok(member.stop());
});
