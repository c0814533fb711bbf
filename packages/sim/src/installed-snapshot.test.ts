/** A snapshot of the leader that a follower installs, beside compactions and a defragmentation, with its power cut or its process killed anywhere in it. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import {
  CompactionRequest,
  DefragmentRequest,
  encodeCompactionRequest,
  encodeDefragmentRequest,
} from '@etcd/api/etcdserverpb';
import type { Machine } from './machine.ts';
import { QuietCluster, START_LIMIT_MS } from './quiet-cluster.ts';

const FLAGS = ['--snapshot-count=20', '--snapshot-catchup-entries=5'];
const MISSED = 35;
/** Instants of an installation, which takes some tens of milliseconds here. */
const CUTS = 6;
const STEP_MS = 6;

function setCut(cluster: QuietCluster, one: Machine): void {
  for (const other of cluster.machines) {
    cluster.world.fabric.cut(one.name, other.name);
    cluster.world.fabric.cut(other.name, one.name);
  }
}

/** Work on the database of whom the snapshot is for: it has its turn before, beside or behind what comes. */
function disturb(cluster: QuietCluster, behind: Machine): void {
  cluster.begin(
    behind,
    '/etcdserverpb.Maintenance/Defragment',
    encodeDefragmentRequest(new DefragmentRequest()),
  );
  const revision = cluster.leader.server!.store.revision - 10;
  const compaction = encodeCompactionRequest(new CompactionRequest({ revision }));
  cluster.begin(cluster.leader, '/etcdserverpb.KV/Compact', compaction);
}

test('S26 a follower that installs a snapshot beside a compaction and a defragmentation is whole, wherever it is cut off', async () => {
  const cluster = await QuietCluster.start({ size: 3, flags: FLAGS });
  const [behind] = cluster.followers;
  for (let cut = 0; cut < CUTS; cut++) {
    setCut(cluster, behind!);
    // What a member needs is kept for it until it has been away for a while.
    await cluster.world.run(20_000);
    for (let i = 0; i < MISSED; i++) await cluster.put(cluster.leader, `missed ${cut} ${i}`);
    cluster.world.fabric.heal();
    disturb(cluster, behind!);
    await cluster.world.run(1 + cut * STEP_MS);
    if (cut % 2 === 0) behind!.cutPower('in the middle of it');
    else behind!.kill('in the middle of it');
    behind!.start();
    await cluster.until('it serves', START_LIMIT_MS, () => behind!.isServing);
    await cluster.put(behind!, `by the one that was behind ${cut}`);
    const { revision } = cluster.leader.server!.store;
    await cluster.until('caught up', START_LIMIT_MS, () => behind!.server!.store.revision === revision);
  }
  assert.ok(cluster.lines(`${behind!.name} info: applying snapshot`).length > 0);
  assert.equal(cluster.world.violation, null);
});
