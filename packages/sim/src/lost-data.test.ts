/** A member whose data was put back to an older state, or wiped, while the cluster went on. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import type { Machine } from './machine.ts';
import { QuietCluster } from './quiet-cluster.ts';

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
