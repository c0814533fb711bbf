/** Locks and elections through members of one cluster that run different programs: who holds it is the same for all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cluster, QUICK_ELECTION, withCluster } from '../../support/cluster.ts';
import { needs } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';

for (const peer of ['3.5', '3.7'] as const) {
  test(
    `a lock that is held through one member is waited for through another, and so is a leader: etcd ${peer}`,
    needs(`etcd ${peer}`),
    () =>
      withCluster(['ours', peer, peer], { flags: () => QUICK_ELECTION }, async (cluster) => {
        await handOver(cluster);
        await cluster.assertSameContents();
      }),
  );
}

/** Around the cluster: held through each member, waited for through the next. */
async function handOver(cluster: Cluster): Promise<void> {
  const members = cluster.running.map(({ rpc }) => rpc);
  for (const [i, holder] of members.entries()) {
    const other = members[(i + 1) % members.length]!;
    const held = await holder.call('v3lockpb.Lock.Lock', { name: 'm' });
    const waits = other.call('v3lockpb.Lock.Lock', { name: 'm' });
    const led = await holder.call('v3electionpb.Election.Campaign', { name: 'e', value: `${i}` });
    const follows = other.call('v3electionpb.Election.Campaign', { name: 'e', value: `${i}+` });
    for (const name of ['m', 'e']) {
      const range = { key: `${name}/`, range_end: `${name}0`, count_only: true };
      await eventually('the other waits', async () => (await holder.call('KV.Range', range)).count === 2n);
    }
    const observed = other.serverStream('v3electionpb.Election.Observe', { name: 'e' });
    assert.equal(String((await observed.take()).kv.value), `${i}`);
    await holder.call('v3lockpb.Lock.Unlock', { key: held.key });
    await holder.call('v3electionpb.Election.Resign', { leader: led.leader });
    const next = await waits;
    const { leader } = await follows;
    assert.ok(next.header.revision > held.header.revision && leader.rev > led.leader.rev);
    assert.equal(String((await observed.take()).kv.value), `${i}+`);
    observed.cancel();
    await other.call('v3lockpb.Lock.Unlock', { key: next.key });
    await other.call('v3electionpb.Election.Resign', { leader });
  }
}
