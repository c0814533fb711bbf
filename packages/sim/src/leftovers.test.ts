/** Members that hold what nobody wants any more are noticed; those that give it back in time are not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mustHoldNothing } from './leftovers.ts';
import { QuietCluster } from './quiet-cluster.ts';

test('a member that has answered everything holds nothing', async () => {
  const cluster = await QuietCluster.start({ size: 1 });
  await cluster.put(cluster.leader, 'value');
  await mustHoldNothing(cluster.world, 0);
  assert.equal(cluster.world.violation, null);
});

test('a view that is never closed is a violation, one that is closed late is none', async () => {
  const cluster = await QuietCluster.start({ size: 1 });
  const { world, leader } = cluster;
  const { store } = leader.server!;
  const late = store.views.open(store, store.revision);
  world.clock.setTimer(5000, () => late.close());
  await mustHoldNothing(world, 0);
  assert.equal(world.violation, null);
  store.views.open(store, store.revision);
  await mustHoldNothing(world, 0);
  assert.match(JSON.stringify(world.violation), /m1 has 1 views of the store/);
});
