/**
 * A running cluster of real etcd becomes one of the program under test, and goes back: member by member, each on the directory
 * that it has, while clients work. A write fails only where it was sent to the member that was just being exchanged, or met
 * the election that followed; everything acknowledged stays.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Cluster, type Kind, QUICK_ELECTION, withCluster } from '../../support/cluster.ts';
import { needs } from '../../support/programs.ts';
import { ClusterWorkload } from './workload.ts';

const FLAGS = [...QUICK_ELECTION, '--snapshot-count=1000'];
/** A cluster that writes nothing for so long does not come back by itself; how long an election takes is up to the machine. */
const MAX_OUTAGE_MS = 60_000;
/** Between two exchanges, as an operator would wait. */
const WRITES_BETWEEN = 100;

async function migrate(t: TestContext, from: Kind, through: readonly Kind[]): Promise<void> {
  await withCluster([from, from, from], { flags: () => FLAGS }, async (cluster) => {
    // Clients don't turn to a member that they are told is about to stop; others they find out about by themselves.
    const serving = new Set(cluster.members);
    const workload = new ClusterWorkload(() => [...serving].map(({ address }) => address));
    await workload.start();
    try {
      await workload.progress(WRITES_BETWEEN);
      for (const kind of through) {
        for (const member of cluster.members) {
          serving.delete(member);
          await member.stop();
          await workload.progress();
          await member.start(kind);
          serving.add(member);
          await workload.progress(WRITES_BETWEEN);
        }
        await assertMigrated(cluster, kind);
      }
      await workload.finish();
      await cluster.assertSameContents();
      t.diagnostic(workload.describe());
      assertExplained(workload, through.length * cluster.members.length);
    } finally {
      await workload.stop();
    }
  });
}

async function assertMigrated(cluster: Cluster, kind: Kind): Promise<void> {
  assert.deepEqual(
    cluster.members.map((member) => member.kind),
    [kind, kind, kind],
  );
  const members = await cluster.memberList();
  assert.deepEqual(members.map(({ name }) => name).sort(), ['m0', 'm1', 'm2']);
}

/**
 * What may fail: requests that were on their way in a member that stopped, or through one that had no leader. Each client has one
 * request at a time, and tries again at once.
 */
function assertExplained(workload: ClusterWorkload, exchanges: number): void {
  const failures = workload.describeFailures();
  assert(
    workload.longestOutageMs < MAX_OUTAGE_MS,
    `no write for ${workload.longestOutageMs} ms; ${failures}`,
  );
  const mayFail = exchanges * FAILURES_PER_EXCHANGE;
  assert(workload.failed <= mayFail, `${workload.failed} failures in ${exchanges} exchanges: ${failures}`);
}

/** Clients, with a few attempts of each during an election. */
const FAILURES_PER_EXCHANGE = 30;

test('3.5 to ours and back, in place, under load', needs('etcd 3.5'), (t) =>
  migrate(t, '3.5', ['ours', '3.5']),
);

test('3.7 to ours and back, in place, under load', needs('etcd 3.7'), (t) =>
  migrate(t, '3.7', ['ours', '3.7']),
);

test('3.4 to ours, in place, under load', needs('etcd 3.4', 'etcd 3.5'), (t) => migrate(t, '3.4', ['ours']));

test('3.4 to 3.5 to ours, in place, under load', needs('etcd 3.4', 'etcd 3.5'), (t) =>
  migrate(t, '3.4', ['3.5', 'ours']),
);
