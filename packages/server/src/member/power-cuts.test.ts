/** What a member has acknowledged is there after the power was cut, its process killed, or its disk has failed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LeaseGrantRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { DiskError, InvariantError, SeededRandom } from '@etcd/base';
import { BoltError } from '@etcd/bbolt';
import { type DiskOperation, type SimDisk, SimulatedCrash } from '@etcd/testing';
import { BootWorld } from '../boot/testing/boot-world.ts';
import { SingleMember } from './testing/single-member.ts';

/** Snapshots of the log are taken all the time. */
const FLAGS = ['--snapshot-count=20', '--experimental-snapshot-catchup-entries=5'];
const PUTS = 60;
const LEASE = 5n;

const put = (i: number): PutRequest =>
  new PutRequest({
    key: Buffer.from(`k${i % 7}`),
    value: Buffer.from(String(i)),
    lease: i % 3 === 0 ? LEASE : 0n,
  });

/** Starts a member that does its work until the disk throws; returns how many puts it has acknowledged. */
async function work(world: BootWorld): Promise<number> {
  let acknowledged = 0;
  try {
    const member = await SingleMember.startIn(world);
    world.clock.advanceUntil(() => member.isReady, 60_000);
    member.ask('leaseGrant', new LeaseGrantRequest({ id: LEASE, ttl: 1000 }));
    for (let i = 0; i < PUTS; i++) {
      if (member.ask('put', put(i)) === null || member.fatal.length > 0) return acknowledged;
      acknowledged++;
      // Commits of the database fall between puts, and into them.
      if (i % 10 === 9) world.clock.advance(130);
    }
    member.stop();
  } catch (error) {
    if (!(error instanceof SimulatedCrash)) throw error;
  }
  return acknowledged;
}

/** The next start has all that was acknowledged, and at most the one put besides that was under way. */
async function check(disk: SimDisk, acknowledged: number, when: string): Promise<void> {
  const member = await SingleMember.start(FLAGS, disk);
  assert.deepEqual(member.fatal, [], when);
  const { store, lessor } = member.server;
  const puts = store.revision - 1;
  assert.ok(puts === acknowledged || puts === acknowledged + 1, `${when}: ${puts} of ${acknowledged} puts`);
  assert.equal(store.index.liveCount, Math.min(7, puts), when);
  assert.equal(lessor.has(LEASE) || acknowledged === 0, true, when);
  // With ETCD_VERIFY, memory, file and log are compared at the end.
  assert.equal(member.stop(), true, when);
}

function cutAt(sequence: number): (operation: DiskOperation) => void {
  let count = 0;
  return () => {
    if (++count >= sequence) throw new SimulatedCrash('cut');
  };
}

test('S26 wherever the power is cut, all is there that was acknowledged', async () => {
  const random = new SeededRandom(11);
  const whole = await BootWorld.create(FLAGS);
  let operations = 0;
  whole.onOperation = () => operations++;
  assert.equal(await work(whole), PUTS);
  for (let i = 0; i < 25; i++) {
    const world = await BootWorld.create(FLAGS);
    const sequence = 1 + random.below(operations);
    world.onOperation = cutAt(sequence);
    const acknowledged = await work(world);
    await check(world.disk.afterCrash(random), acknowledged, `cut at operation ${sequence}`);
  }
});

test('a member that is killed goes on, and again when power is cut while it does', async () => {
  const random = new SeededRandom(12);
  for (let i = 0; i < 15; i++) {
    const world = await BootWorld.create(FLAGS);
    world.onOperation = cutAt(50 + random.below(400));
    const acknowledged = await work(world);
    const second = await BootWorld.create(FLAGS, world.disk);
    second.onOperation = cutAt(1 + random.below(80));
    let more = 0;
    try {
      const member = await SingleMember.startIn(second);
      second.clock.advanceUntil(() => member.isReady, 60_000);
      more = member.server.store.revision - 1 - acknowledged;
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error;
    }
    await check(second.disk.afterCrash(random), acknowledged + Math.max(0, more), `run ${i}`);
  }
});

test('a disk that fails under a member that serves ends it with that error, and nothing is lost', async () => {
  const random = new SeededRandom(13);
  for (let i = 0; i < 20; i++) {
    const world = await BootWorld.create(FLAGS);
    const failAt = 100 + random.below(400);
    let count = 0;
    let failed = '';
    world.onOperation = ({ kind, path }) => {
      if (++count < failAt || (kind !== 'write' && kind !== 'sync')) return;
      failed ||= path;
      throw new DiskError('EIO', path, `EIO: ${kind} '${path}'`);
    };
    let acknowledged = 0;
    const member = await SingleMember.startIn(world);
    world.clock.advanceUntil(() => member.isReady, 60_000);
    member.ask('leaseGrant', new LeaseGrantRequest({ id: LEASE, ttl: 1000 }));
    for (; acknowledged < PUTS && member.fatal.length === 0; acknowledged++) {
      const outcomes = member.propose('put', put(acknowledged));
      world.clock.advanceUntil(() => outcomes.length > 0 || member.fatal.length > 0, 60_000);
      if (outcomes.length === 0) break;
    }
    world.clock.advance(1000);
    const [error] = member.fatal;
    if (failed === '') continue;
    assert.ok(error instanceof DiskError || error instanceof BoltError, `${failed}: ${error}`);
    assert.ok(!(error instanceof InvariantError));
    const next = await SingleMember.start(FLAGS, world.disk.afterKill());
    assert.ok(
      next.server.store.revision - 1 >= acknowledged,
      `${failed}: ${next.server.store.revision - 1} of ${acknowledged}`,
    );
    next.stop();
  }
});
