/** A member as a whole, alone in its cluster: what it promises to those who call it, and what it leaves behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { AlarmType, LeaseGrantRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { BoltError } from '@etcd/bbolt';
import { revisionBytes } from '@etcd/storage/backend';
import { damageLeaves } from '@etcd/testing';
import { SingleMember } from './testing/single-member.ts';

const { ErrStopped } = INTERNAL_ERRORS.errors;

const put = (key: string, value = 'v', lease = 0n): PutRequest =>
  new PutRequest({ key: Buffer.from(key), value: Buffer.from(value), lease });

test('a member alone leads at once, applies what it is asked to, and goes on where it stopped', async () => {
  const member = await SingleMember.start();
  const { server } = member;
  assert.deepEqual([server.isLeader, server.isLearner, server.isFenced], [true, false, false]);
  for (let i = 0; i < 5; i++) member.ask('put', put(`k${i}`));
  const { revision } = server.store;
  const { appliedIndex } = server;
  assert.equal(revision, 6);
  assert.equal(member.stop(), true);
  const again = await SingleMember.start([], member.world.disk);
  assert.equal(again.server.store.revision, revision);
  assert.ok(again.server.appliedIndex > appliedIndex, 'and a little more: its own election');
  assert.equal(again.stop(), true);
  assert.deepEqual(again.fatal, []);
});

test('a member that was killed alone, and is forced to be a cluster of its own, has all that it has acknowledged', async () => {
  const member = await SingleMember.start();
  for (let i = 0; i < 5; i++) member.ask('put', put(`k${i}`));
  const { appliedIndex } = member.server;
  const again = await SingleMember.start(['--force-new-cluster'], member.world.disk);
  assert.deepEqual(again.fatal, []);
  assert.equal(again.server.store.revision, 6);
  assert.ok(again.server.appliedIndex > appliedIndex);
  assert.equal(again.stop(), true);
});

test('a read waits for what was committed, and those that wait when the member stops are told so', async () => {
  const { server, world, stop } = await started();
  const told: (InternalError | null)[] = [];
  const reader = {
    onReadable: () => told.push(null),
    onUnreadable: (error: InternalError) => told.push(error),
  };
  server.read(reader);
  assert.equal(told.length, 0, 'not within the call');
  world.clock.advanceUntil(() => told.length > 0, 1000);
  assert.deepEqual(told.slice(), [null]);
  server.read(reader);
  server.whenApplied(server.appliedIndex + 100, 10_000, (isApplied) =>
    told.push(isApplied ? null : ErrStopped),
  );
  stop();
  assert.equal(told.length, 3, 'nobody waits for a member that has stopped');
  server.read(reader);
  server.readLocally(reader);
  assert.deepEqual(told.slice(3), [ErrStopped, ErrStopped]);
});

test('what is asked of a member that has stopped is refused', async () => {
  const member = await SingleMember.start();
  member.stop();
  assert.equal(member.ask('put', put('k')), ErrStopped);
  assert.equal(member.server.isStopped, true);
});

test('who is sure to lead, and who waits for an entry, is told when it is so', async () => {
  const { server, world, stop } = await started();
  const told: boolean[] = [];
  server.confirmLeadership((leads) => told.push(leads));
  world.clock.advanceUntil(() => told.length > 0, 1000);
  server.whenApplied(server.appliedIndex, 1000, (isApplied) => told.push(isApplied));
  server.whenApplied(server.appliedIndex + 1, 1000, (isApplied) => told.push(isApplied));
  assert.deepEqual(told, [true, true]);
  world.clock.advance(1000);
  assert.deepEqual(told, [true, true, false]);
  stop();
});

test('a database over its quota raises the alarm, and nothing more is taken in', async () => {
  const member = await SingleMember.start(['--quota-backend-bytes=100000']);
  const { ErrNoSpace } = INTERNAL_ERRORS.errors;
  let outcome: unknown = null;
  for (let i = 0; i < 50 && outcome !== ErrNoSpace; i++) {
    outcome = member.ask('put', put(`k${i}`, 'x'.repeat(10_000)));
    // The file grows with the next commit.
    member.world.clock.advance(200);
  }
  assert.equal(outcome, ErrNoSpace);
  assert.deepEqual(
    member.server.alarms.list(AlarmType.NONE).map(({ memberId, alarm }) => [memberId, alarm]),
    [[member.server.memberId, AlarmType.NOSPACE]],
  );
  assert.equal(member.ask('put', put('small')), ErrNoSpace);
  member.stop();
});

test('a lease that expires is revoked through the log, with its keys', async () => {
  const member = await SingleMember.start();
  const { server, world } = member;
  member.ask('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 3 }));
  member.ask('put', put('k', 'v', 5n));
  const { revision } = server.store;
  world.clock.advance(2000);
  assert.equal(server.lessor.has(5n), true);
  world.clock.advance(5000);
  assert.equal(server.lessor.has(5n), false);
  assert.deepEqual([server.store.revision, server.store.index.liveCount], [revision + 1, 0]);
  member.stop();
});

test('what ETCD_VERIFY finds ends the process', async () => {
  const member = await SingleMember.start();
  member.ask('put', put('k'));
  const key = Buffer.from('a key that the database has not');
  member.server.store.index.put(0, key, 0, key.length, 2, 9);
  assert.throws(
    () => member.stop(),
    /verification of persisted state failed: .*the index has 2 keys, and the database 1/,
  );
});

test('a page that a start finds damaged behind the first ones ends the member, which still stops in order', async () => {
  const member = await SingleMember.start();
  for (let i = 0; i < 100; i++) member.ask('put', put(`k${i}`, 'x'.repeat(500)));
  member.stop();
  const { disk } = member.world;
  const isFirst = (key: Uint8Array): boolean => Buffer.compare(key, revisionBytes(3)) < 0;
  assert.ok(damageLeaves(disk, '/data/member/snap/db', isFirst) > 5);
  const again = await SingleMember.start([], disk);
  const [error] = again.fatal;
  assert.ok(error instanceof BoltError);
  assert.match(error.message, /^\/data\/member\/snap\/db: page \d+ \(offset \d+\): /);
  assert.deepEqual([again.isReady, again.fatal.length, again.stop()], [false, 1, true]);
});

async function started(): Promise<{
  server: SingleMember['server'];
  world: SingleMember['world'];
  stop: () => boolean;
}> {
  const member = await SingleMember.start();
  return { server: member.server, world: member.world, stop: () => member.stop() };
}
