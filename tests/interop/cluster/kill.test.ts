/**
 * Members of a cluster are killed or stopped, one after the other in a random order, and started again, while clients work
 * through all of them. Nothing acknowledged is lost, reads are linearizable, leases that are kept alive stay, and a watcher
 * that resumes elsewhere misses nothing.
 *
 *   ETCD_TEST_ROUNDS=n             how many members go, by default 20
 *   ETCD_TEST_KINDS=3.5,ours,ours  what the members are, by default all of them the program under test
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { type Cluster, type Kind, QUICK_ELECTION, withCluster } from '../../support/cluster.ts';
import { sleep } from '../../support/run.ts';
import { ClusterWorkload } from './workload.ts';

const DEFAULT_ROUNDS = 20;
const MAX_UPTIME_MS = 700;
const MAX_DOWNTIME_MS = 900;
/** Small, so that some members are caught up by the log and some by a snapshot. */
function flagsOf(kind: Kind): string[] {
  const flags = [...QUICK_ELECTION, '--snapshot-count=200'];
  return kind === '3.4' ? flags : [...flags, '--experimental-snapshot-catchup-entries=100'];
}

const KINDS = (process.env['ETCD_TEST_KINDS']?.split(',') ?? ['ours', 'ours', 'ours']) as Kind[];

test('members killed and stopped in turn lose nothing that was acknowledged', async (t) => {
  const rounds = Number(process.env['ETCD_TEST_ROUNDS'] ?? DEFAULT_ROUNDS);
  const random = seededRandom((text) => t.diagnostic(text));
  await withCluster(KINDS, { flags: flagsOf }, async (cluster) => {
    const workload = new ClusterWorkload(() => cluster.addresses);
    await workload.start();
    try {
      let leaders = 0;
      for (let round = 0; round < rounds; round++) {
        await sleep(random.below(MAX_UPTIME_MS));
        const leader = await cluster.leader();
        // Every other time the leader, which is where it hurts.
        const victim = random.below(2) === 0 ? leader : cluster.at(random.below(KINDS.length));
        if (victim === leader) leaders++;
        // As etcd: what was told to end ends by that signal, once everything is in order.
        const signal = random.below(3) === 0 ? 'SIGTERM' : 'SIGKILL';
        assert.equal((await victim.server.stop(signal)).signal, signal, `how ${victim.name} ended`);
        await sleep(random.below(MAX_DOWNTIME_MS));
        await workload.progress();
        await victim.start();
      }
      await workload.progress();
      await workload.finish();
      await cluster.assertSameContents();
      t.diagnostic(`${rounds} rounds, ${leaders} of them the leader; ${workload.describe()}`);
      assert(workload.acknowledged > rounds * 20, 'too little load to say anything');
      assert(workload.watchResumptions > 0, 'the watcher never had to resume');
    } finally {
      await workload.stop();
    }
  });
});

test('all members killed at once come back with everything', async (t) => {
  const random = seededRandom((text) => t.diagnostic(text));
  await withCluster(KINDS, { flags: flagsOf }, async (cluster) => {
    const workload = new ClusterWorkload(() => cluster.addresses);
    await workload.start();
    try {
      for (let round = 0; round < 3; round++) {
        await sleep(300 + random.below(MAX_UPTIME_MS));
        await restartAll(cluster);
        await workload.progress();
      }
      await workload.finish();
      await cluster.assertSameContents();
      t.diagnostic(workload.describe());
    } finally {
      await workload.stop();
    }
  });
});

async function restartAll(cluster: Cluster): Promise<void> {
  await Promise.all(cluster.members.map((member) => member.kill()));
  await Promise.all(cluster.members.map((member) => member.start()));
}

function seededRandom(print: (text: string) => void): SeededRandom {
  const seed = Number(process.env['ETCD_TEST_SEED'] ?? Date.now() % 1_000_000_000);
  print(`ETCD_TEST_SEED=${seed}`);
  return new SeededRandom(seed);
}
