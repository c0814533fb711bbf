/** Members whose data differ, on purpose: who is found, at which revision, and who goes on. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import {
  AlarmType,
  CompactionRequest,
  encodeCompactionRequest,
  encodeMemberAddRequest,
  encodeMemberRemoveRequest,
  MemberAddRequest,
  MemberRemoveRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import type { EtcdServer } from '@etcd/server';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';
import { QuietCluster, START_LIMIT_MS } from './quiet-cluster.ts';

/** How a call ends at a member that must not be asked. */
const CORRUPT = [GrpcCode.DataLoss, 'etcdserver: corrupt cluster'];
/** Two intervals of the exchange: whoever is at fault may have to wait for its own turn. */
const EXCHANGE_MS = 13_000;
/** A scrub comes within 80 s, and is repeated by whoever is told to look at itself. */
const SCRUB_MS = 200_000;

/** Flips a bit of what the member applies next: `before` it is hashed, as a bug would, or `after`, as a bad disk would. */
function damageNext(server: EtcdServer, when: 'before' | 'after'): void {
  const { store } = server;
  const endWrite = store.endWrite.bind(store);
  const flip = (): void => {
    const { revisionLog } = store.backend;
    revisionLog.select(revisionLog.nextEntry - 1);
    revisionLog.buffer[revisionLog.end - 1]! ^= 1;
  };
  store.endWrite = () => {
    if (store.backend.revisionLog.lastMain === store.revision) return endWrite();
    if (when === 'before') flip();
    endWrite();
    if (when === 'after') flip();
    store.endWrite = endWrite;
  };
}

/** These members answer like a real etcd: they know nothing of hashes of changes, and compare nothing by themselves. */
function realEtcd(...names: readonly string[]): Plant {
  return {
    member: ({ config, integrity }) => {
      if (!names.includes(config.name)) return;
      integrity.answer = () => ({ status: 404, body: Buffer.from('404 page not found\n') });
      integrity.start = () => {};
    },
  };
}

const fenced = ({ server }: Machine): boolean => server?.isFenced === true;

test('S27 a follower that applies something else is found by the next exchange, with its revision, and fences itself', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3 });
  const [victim, other] = cluster.followers as [Machine, Machine];
  await cluster.put(cluster.leader, 'one');
  await cluster.until('applied', 1000, () => victim.server!.store.revision === 2);
  damageNext(victim.server!, 'before');
  await cluster.put(cluster.leader, 'two');
  const revision = cluster.leader.server!.store.revision;
  await cluster.put(cluster.leader, 'three');
  await cluster.until('fenced', EXCHANGE_MS, () => fenced(victim));

  assert.deepEqual(victim.server!.integrity.fence.facts, { revision, foundIn: 'changes' });
  const serving = [cluster.leader, other];
  assert.ok(!serving.some(fenced));
  for (const machine of serving) await cluster.put(machine, `four of ${machine.name}`);
  assert.deepEqual(await cluster.tryPut(victim, 'five'), CORRUPT);
  assert.deepEqual(await cluster.tryRange(victim), CORRUPT);
  // Whoever else found it has named it, and raised no alarm.
  await cluster.until('named by others', EXCHANGE_MS, () =>
    cluster
      .lines(`${other.name} error: the data of a member differ`)
      .some(
        (line) =>
          line.includes(`"revision":${revision}`) && line.includes(victim.server!.memberId.toString(16)),
      ),
  );
  assert.deepEqual(other.server!.alarms.list(AlarmType.NONE), []);
});

test('S27 a leader that applies something else fences itself and lets another lead, and its fence outlives its process', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3 });
  const victim = cluster.leader;
  damageNext(victim.server!, 'before');
  await cluster.put(victim, 'one');
  await cluster.until('fenced', EXCHANGE_MS, () => fenced(victim));
  await cluster.until('another leads', EXCHANGE_MS, () => ![undefined, victim].includes(cluster.leader));
  await cluster.put(cluster.leader, 'two');

  const facts = victim.server!.integrity.fence.facts;
  victim.kill('test');
  victim.start();
  await cluster.until('started again', START_LIMIT_MS, () => victim.isServing);
  assert.deepEqual(victim.server!.integrity.fence.facts, facts);
  assert.equal((await cluster.tryRange(victim))[0], GrpcCode.DataLoss);
  // It can't lead, but its vote counts: one of the others may fail.
  const [lost, last] = [
    cluster.leader,
    cluster.world.machines.find((machine) => machine !== victim && machine !== cluster.leader)!,
  ];
  lost.kill('test');
  await cluster.until('the last one leads', START_LIMIT_MS, () => last.server!.isLeader);
  await cluster.put(last, 'three');
});

test('of two members that differ nobody is fenced', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 2 });
  damageNext(cluster.followers[0]!.server!, 'before');
  await cluster.put(cluster.leader, 'one');
  const noMajority = (): string[] => cluster.lines('there is no majority that tells whose are right');
  await cluster.until('reported', 4 * EXCHANGE_MS, () => noMajority().length > 0);
  await cluster.world.run(SCRUB_MS);
  assert.ok(!cluster.world.machines.some(fenced));
  assert.ok(noMajority().length < 30, `${noMajority().length} lines`);
  await cluster.put(cluster.leader, 'two');
});

test('while the third member is away nobody is fenced, and when it is back the one that differs', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3 });
  const [victim, away] = cluster.followers as [Machine, Machine];
  away.kill('test');
  damageNext(victim.server!, 'before');
  await cluster.put(cluster.leader, 'one');
  await cluster.world.run(SCRUB_MS);
  assert.ok(!cluster.world.machines.some(fenced));
  away.start();
  await cluster.until('fenced', SCRUB_MS, () => fenced(victim));
  assert.equal(cluster.world.machines.filter(fenced).length, 1);
  await cluster.put(away, 'two');
});

test('beside a real etcd the whole store tells which of two others is right', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3, plant: realEtcd('m3') });
  const [one, two, three] = cluster.world.machines as [Machine, Machine, Machine];
  await cluster.put(cluster.leader, 'one');
  damageNext(two.server!, 'before');
  await cluster.put(cluster.leader, 'two');
  await cluster.until('fenced', SCRUB_MS, () => fenced(two));
  assert.ok(!fenced(one) && !fenced(three));
  await cluster.put(one, 'three');
});

test('beside two real etcds a member that differs from both fences itself', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3, plant: realEtcd('m2', 'm3') });
  const [one] = cluster.world.machines as [Machine];
  damageNext(one.server!, 'before');
  await cluster.put(cluster.leader, 'one');
  await cluster.until('fenced', SCRUB_MS, () => fenced(one));
  assert.equal(one.server!.integrity.fence.facts!.foundIn, 'store');
});

test('S27 a member that was fenced is rebuilt: taken out, emptied and added again, it has what the others have', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3 });
  const [victim] = cluster.followers as [Machine];
  damageNext(victim.server!, 'before');
  await cluster.put(cluster.leader, 'one');
  await cluster.until('fenced', EXCHANGE_MS, () => fenced(victim));
  const formerId = victim.server!.memberId;
  victim.kill('it is rebuilt');
  const remove = encodeMemberRemoveRequest(new MemberRemoveRequest({ id: formerId }));
  assert.deepEqual(await cluster.call(cluster.leader, '/etcdserverpb.Cluster/MemberRemove', remove), [0, '']);
  await cluster.put(cluster.leader, 'meanwhile');
  const add = encodeMemberAddRequest(new MemberAddRequest({ peerUrls: [`http://${victim.name}:2380`] }));
  assert.deepEqual(await cluster.call(cluster.leader, '/etcdserverpb.Cluster/MemberAdd', add), [0, '']);
  victim.replaceDisk();
  cluster.extraFlags = ['--initial-cluster-state=existing'];
  victim.start();
  await cluster.until('it serves', START_LIMIT_MS, () => victim.isServing);
  assert.notEqual(victim.server!.memberId, formerId);
  await cluster.put(victim, 'by the one that was rebuilt');
  await cluster.world.run(SCRUB_MS);
  for (const machine of cluster.world.machines) {
    assert.ok(!fenced(machine));
    assert.equal(machine.server!.metrics.handles.integrityDifferingMembers.value, 0);
    assert.equal(machine.server!.store.revision, cluster.leader.server!.store.revision);
  }
});

test('S27 what changed on the disk is found by comparing whole stores', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3 });
  const [victim] = cluster.followers as [Machine];
  damageNext(victim.server!, 'after');
  await cluster.put(cluster.leader, 'one');
  await cluster.world.run(EXCHANGE_MS);
  assert.ok(!fenced(victim), 'what it applied was right');
  await cluster.until('fenced', SCRUB_MS, () => fenced(victim));
  assert.equal(victim.server!.integrity.fence.facts!.foundIn, 'store');
  // The others are told to look, and name it.
  await cluster.world.run(SCRUB_MS);
  for (const { server } of cluster.world.machines) {
    assert.equal(server!.metrics.handles.integrityDifferingMembers.value, 1);
  }
  assert.equal(cluster.world.machines.filter(fenced).length, 1);
});

test('members that are equal stay unfenced, and say that they are equal', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  for (let i = 0; i < 20; i++) await cluster.put(cluster.leader, `value ${i}`);
  await cluster.world.run(SCRUB_MS);
  assert.ok(!cluster.world.machines.some(fenced));
  for (const { name, server } of cluster.world.machines) {
    assert.equal(cluster.lines(`${name} info: the whole store is the same`).length, 1);
    const { integrityComparedRevisionsTotal, integrityMismatchesTotal } = server!.metrics.handles;
    assert.equal(integrityComparedRevisionsTotal.value, 40, 'twenty revisions with two members');
    assert.equal(integrityMismatchesTotal.value, 0);
  }
});

test('the initial check keeps a member from starting whose data differ', async () => {
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3 });
  const [victim] = cluster.followers as [Machine];
  damageNext(victim.server!, 'after');
  await cluster.put(cluster.leader, 'one');
  await cluster.world.run(1000);
  victim.kill('test');
  cluster.extraFlags = ['--experimental-initial-corrupt-check=true'];
  victim.start();
  await cluster.world.run(START_LIMIT_MS);
  assert.match(cluster.world.violation?.details ?? '', /[0-9a-f]+ found data inconsistency with peers/);
  assert.equal(cluster.lines('found different hash values from remote peer').length, 2);
});

test('the initial check lets members start that are equal', async () => {
  const cluster = await QuietCluster.start({
    isDamaged: true,
    size: 3,
    flags: ['--experimental-initial-corrupt-check=true'],
  });
  const [member] = cluster.followers as [Machine];
  await cluster.put(cluster.leader, 'one');
  await cluster.world.run(1000);
  member.kill('test');
  member.start();
  await cluster.until('started again', START_LIMIT_MS, () => member.isServing);
  assert.ok(cluster.lines('initial corruption checking passed; no corruption').length > 0);
});

test("the leader's periodic check raises the alarm for the member that differs", async () => {
  const cluster = await QuietCluster.start({
    isDamaged: true,
    size: 3,
    flags: ['--experimental-corrupt-check-time=10s'],
  });
  const { leader } = cluster;
  const [victim] = cluster.followers as [Machine];
  damageNext(victim.server!, 'after');
  await cluster.put(leader, 'one');
  await cluster.until('alarm', 30_000, () => leader.server!.alarms.hasCorrupt);
  assert.deepEqual(
    leader.server!.alarms.list(AlarmType.CORRUPT).map(({ memberId }) => memberId),
    [victim.server!.memberId],
  );
  assert.deepEqual(await cluster.tryPut(leader, 'two'), CORRUPT);
});

test('hashes of compactions tell which member differs', async () => {
  const flags = ['--feature-gates=CompactHashCheck=true', '--compact-hash-check-time=10s'];
  const cluster = await QuietCluster.start({ isDamaged: true, size: 3, flags });
  const { leader } = cluster;
  const [victim] = cluster.followers as [Machine];
  await cluster.put(leader, 'one');
  await compact(cluster, leader);
  await cluster.until(
    'checked',
    30_000,
    () => cluster.lines('successfully checked hash on whole cluster').length > 0,
  );
  damageNext(victim.server!, 'after');
  await cluster.put(leader, 'two');
  await compact(cluster, leader);
  await cluster.until('alarm', 30_000, () => leader.server!.alarms.hasCorrupt);
  assert.deepEqual(
    leader.server!.alarms.list(AlarmType.CORRUPT).map(({ memberId }) => memberId),
    [victim.server!.memberId],
  );
  assert.ok(cluster.lines('Detected compaction hash mismatch').length > 0);
});

async function compact(cluster: QuietCluster, machine: Machine): Promise<void> {
  const { revision } = machine.server!.store;
  const request = encodeCompactionRequest(new CompactionRequest({ revision, physical: true }));
  const [code, message] = await cluster.call(machine, '/etcdserverpb.KV/Compact', request);
  assert.equal(code, GrpcCode.OK, message);
}
