import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { parseBackupSpec, parseScheduleSpec } from '../resources/backup-spec.ts';
import { ModelBackups, NO_BACKUP_FAULTS } from '../testing/model-backups.ts';
import { type BackupStatus, decideBackup, type SeenBackup } from './decide-backup.ts';
import { decideSchedule } from './decide-schedule.ts';
import { newestGood } from './newest.ts';
import { MAX_ATTEMPTS, type SeenWorker } from './worker.ts';

const SPEC = {
  clusterName: 'c',
  store: { persistentVolumeClaim: { claimName: 'backups' } },
  encryption: { none: true },
};

function seen(fields: Partial<SeenBackup> = {}): SeenBackup {
  const spec = parseBackupSpec(SPEC);
  return {
    nowMs: 0,
    name: 'b',
    isDeleted: false,
    spec,
    status: null,
    workers: [],
    hasMembers: true,
    ...fields,
  };
}

function worker(fields: Partial<SeenWorker> = {}): SeenWorker {
  return {
    name: 'b-1',
    uid: 'w1',
    attempt: 1,
    phase: 'Running',
    isTerminating: false,
    createdMs: 0,
    finishedMs: 0,
    message: '',
    ...fields,
  };
}

test('a backup waits for members, works, and is tried again a few times, with time in between', () => {
  assert.equal(decideBackup(seen({ hasMembers: false })).status.reason, 'NoCluster');
  assert.deepEqual(decideBackup(seen()).action, { kind: 'create-worker', attempt: 1 });
  assert.equal(decideBackup(seen({ workers: [worker()] })).status.reason, 'Running');
  const failed = worker({ phase: 'Failed', message: 'no room', finishedMs: 1000 });
  const waiting = decideBackup(seen({ nowMs: 2000, workers: [failed] }));
  assert.deepEqual([waiting.action, waiting.status.message, waiting.againMs], [null, 'no room', 29_000]);
  const again = decideBackup(seen({ nowMs: 60_000, workers: [failed] }));
  assert.deepEqual(again.action, { kind: 'create-worker', attempt: 2 });
  const last = worker({ attempt: MAX_ATTEMPTS, phase: 'Failed', message: 'no room' });
  const given = decideBackup(seen({ nowMs: 60_000_000, workers: [last] }));
  assert.deepEqual([given.action, given.status.phase, given.status.message], [null, 'Failed', 'no room']);
  const gone = { ...waiting.status, attempts: 1 } satisfies BackupStatus;
  assert.deepEqual(decideBackup(seen({ status: gone })).action, { kind: 'create-worker', attempt: 2 });
});

test('a worker that takes too long is stopped; a backup that makes no sense fails at once', () => {
  const late = decideBackup(seen({ nowMs: 7 * 3_600_000, workers: [worker()] }));
  assert.deepEqual(late.action, { kind: 'delete-worker', name: 'b-1', uid: 'w1' });
  const { status } = decideBackup(seen({ spec: parseBackupSpec({}) }));
  assert.equal(status.phase, 'Failed');
  assert.equal(
    status.message,
    'spec.clusterName must be a text that is not empty; spec.encryption must have one of recipients, passphraseSecret and none; spec.store must be an object; spec.store must have one of persistentVolumeClaim and s3',
  );
});

test('a schedule makes the first backup at once, and of those that it missed the last', () => {
  const spec = parseScheduleSpec({ ...SPEC, schedule: '1h' });
  const schedule = { name: 's', uid: 'u', createdMs: 5000, isDeleted: false, spec, backups: [] };
  const first = decideSchedule({ ...schedule, nowMs: 6000, lastDueMs: null });
  assert.deepEqual(first.action, { kind: 'create-backup', name: 's-5', dueMs: 5000 });
  const waiting = decideSchedule({ ...schedule, nowMs: 6000, lastDueMs: 5000 });
  assert.deepEqual([waiting.action, waiting.status.nextMs], [null, 3_605_000]);
  const late = decideSchedule({ ...schedule, nowMs: 9_005_000, lastDueMs: 5000 });
  assert.equal(late.action?.kind === 'create-backup' && late.action.dueMs, 5000 + 2 * 3_600_000);
  const suspended = parseScheduleSpec({ ...SPEC, schedule: '1h', suspend: true });
  const { action, status } = decideSchedule({ ...schedule, spec: suspended, nowMs: 6000, lastDueMs: null });
  assert.deepEqual([action, status.reason], [null, 'Suspended']);
  const wrong = decideSchedule({ ...schedule, spec: parseScheduleSpec({}), nowMs: 1, lastDueMs: null });
  assert.equal(wrong.status.reason, 'InvalidSpec');
});

test('whatever happens to workers, files, calls and the operator itself, the newest good backup stays, and the next one comes', async () => {
  const first = Number(process.env['SEED'] ?? 1);
  const seeds = Number(process.env['SEEDS'] ?? 30);
  for (let seed = first; seed < first + seeds; seed++) {
    const random = new SeededRandom(seed);
    const world = new ModelBackups(random, { isLost: 0.1, ends: 0.1, kills: 0.1, damages: 0.3 });
    for (let i = 0; i < 300; i++) {
      await world.step();
      assert.deepEqual(world.violations, [], `seed ${seed}`);
    }
    world.faults = NO_BACKUP_FAULTS;
    for (let i = 0; i < 150; i++) await world.step();
    assert.deepEqual(world.violations, [], `seed ${seed}`);
    const good = newestGood(world.summaries());
    assert(good !== null && world.nowMs - good.finishedMs! < 2 * 300_000, `seed ${seed}: no fresh backup`);
    const finished = world.summaries().filter(({ phase }) => phase === 'Succeeded' || phase === 'Failed');
    assert(finished.length <= 3, `seed ${seed}: ${finished.length} resources of finished backups`);
    assert.equal(world.files.filter(({ isVerified }) => isVerified).length, 1);
    assert(!world.backups.some(({ status, workers }) => status?.phase === 'Succeeded' && workers.length > 1));
  }
});
