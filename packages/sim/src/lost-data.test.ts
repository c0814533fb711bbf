/** A member whose data was put back to an older state, or wiped, while the cluster went on. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { encodeMemberAddRequest, MemberAddRequest } from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import type { SimDisk } from '@etcd/testing';
import type { Machine } from './machine.ts';
import { QuietCluster } from './quiet-cluster.ts';

const DB = '/data/member/snap/db';
const SOON_MS = 10_000;

async function putMany(cluster: QuietCluster, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await cluster.put(cluster.leader, `value ${i}`);
}

/** Starts `machine`, which has lost entries, and waits until it has them again, under the same leader. */
async function mustRecover(cluster: QuietCluster, machine: Machine): Promise<void> {
  const { leader } = cluster;
  const { term } = leader.server!;
  machine.start();
  const isBack = (): boolean =>
    machine.isServing && machine.server!.store.revision === leader.server!.store.revision;
  await cluster.until('it has the data again', SOON_MS, isBack);
  assert.equal(cluster.leader, leader);
  assert.equal(leader.server!.term, term);
  assert.deepEqual((await cluster.tryRange(machine))[0], 0);
  const [line, ...others] = cluster.lines('Was the raft log corrupted, truncated, or lost?');
  assert.match(line!, /remove it from the cluster/);
  assert.equal(others.length, 0, 'it is said once');
}

for (const [how, flags] of [
  ['from the log', []],
  ['from a snapshot', ['--snapshot-count=10', '--snapshot-catchup-entries=5']],
] as const) {
  test(`a member whose data were put back gets what it had acknowledged again, ${how}`, async () => {
    const cluster = await QuietCluster.start({ size: 3, flags });
    await putMany(cluster, 0, 5);
    const [follower] = cluster.followers;
    const backup = follower!.copyDisk();
    await putMany(cluster, 5, 50);
    follower!.kill('its data are put back');
    follower!.replaceDisk(backup);
    await mustRecover(cluster, follower!);
  });

  test(`a member whose data were wiped gets everything again, ${how}`, async () => {
    const cluster = await QuietCluster.start({ size: 3, flags });
    await putMany(cluster, 0, 50);
    const [follower] = cluster.followers;
    follower!.kill('its data are wiped');
    follower!.replaceDisk();
    cluster.extraFlags = [...flags, '--initial-cluster-state=existing'];
    await mustRecover(cluster, follower!);
  });
}

/** The disk with the database of another one. */
function withDatabaseOf(disk: SimDisk, other: SimDisk): SimDisk {
  const bytes = other.readFile(DB);
  const file = disk.openFile(DB, { access: 'readwrite' });
  file.truncate(0);
  file.write(bytes, 0, bytes.length, 0);
  file.sync();
  file.close();
  return disk;
}

test('a member whose log lacks what its database has applied elects nobody who lacks it, too', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  await putMany(cluster, 0, 5);
  const { leader } = cluster;
  const [late, loser] = cluster.followers;
  late!.kill('it misses the rest');
  const older = loser!.copyDisk();
  await putMany(cluster, 5, 50);
  const isCommitted = (): boolean =>
    loser!.server!.store.revision === leader.server!.store.revision &&
    loser!.server!.backend.pendingBytes === 0;
  await cluster.until('the database has it all', SOON_MS, isCommitted);
  const { revision } = leader.server!.store;
  loser!.kill('its log is put back');
  loser!.replaceDisk(withDatabaseOf(older, loser!.copyDisk()));
  leader.kill('only those who do not have it are left');
  late!.start();
  loser!.start();
  const elects = cluster.until('a leader without it', SOON_MS, () => cluster.leader !== undefined);
  await assert.rejects(elects, /a leader without it/);
  leader.start();
  await cluster.until('all have it again', SOON_MS, () =>
    cluster.machines.every(({ server, isServing }) => isServing && server!.store.revision >= revision),
  );
});

test('the only voter refuses to start with a log that lacks what its database has applied: no learner has it for sure', async () => {
  const cluster = await QuietCluster.start({ size: 1 });
  const { leader } = cluster;
  const learner = new MemberAddRequest({ peerUrls: ['http://late:2380'], isLearner: true });
  const answer = await cluster.call(
    leader,
    '/etcdserverpb.Cluster/MemberAdd',
    encodeMemberAddRequest(learner),
  );
  assert.equal(answer[0], GrpcCode.OK);
  const older = leader.copyDisk();
  await putMany(cluster, 0, 50);
  await cluster.until('a commit', SOON_MS, () => leader.server!.backend.pendingBytes === 0);
  const disk = withDatabaseOf(older, leader.copyDisk());
  leader.kill('its log is put back');
  const { reason } = await QuietCluster.refusal({ disks: [disk] });
  assert.match(
    reason,
    /the log in .* ends at entry \d+, but the database has applied \d+: its end is missing/,
  );
});
