/** The database says which release it is for, whenever the cluster's version was decided. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { readStorageVersion } from '@etcd/storage/schema';
import { QuietCluster } from './quiet-cluster.ts';

const V3_7 = { major: 3, minor: 7 };
const storageVersions = (cluster: QuietCluster) =>
  cluster.world.machines.map(({ server }) => readStorageVersion(server!.backend));

for (const size of [1, 3]) {
  test(`the version of the cluster comes before the first commit of the database (${size} members)`, async () => {
    const cluster = await QuietCluster.start({ size, flags: ['--backend-batch-interval=5s'] });
    assert.deepEqual(storageVersions(cluster), new Array(size).fill(V3_7));
    // And what was committed together stays together.
    const [first] = cluster.world.machines;
    first!.kill('before the first commit');
    first!.start();
    await cluster.until('it serves again', 30_000, () => first!.isServing);
    assert.deepEqual(storageVersions(cluster)[0], V3_7);
  });
}

test('a database of 3.5 says nothing, and one that is raised says what it is raised to', async () => {
  const cluster = await QuietCluster.start({ size: 3, flags: ['--max-cluster-version=3.5'] });
  assert.deepEqual(storageVersions(cluster), [null, null, null]);
  cluster.extraFlags = ['--max-cluster-version=3.7'];
  for (const machine of cluster.world.machines) {
    machine.kill('to get another flag');
    machine.start();
    await cluster.until('it serves again', 30_000, () => machine.isServing);
  }
  const isRaised = (): boolean => storageVersions(cluster).every((version) => version?.minor === 7);
  await cluster.until('all databases are at 3.7', 30_000, isRaised);
});
