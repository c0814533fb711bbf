/** Members whose states differ at the same entry are seen at once, and those that differ from what the log says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePutRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { QuietCluster } from './quiet-cluster.ts';

const PUT = encodePutRequest(new PutRequest({ key: Buffer.from('key'), value: Buffer.from('2') }));

test('a member that has another lease than the others at an entry is seen before all is compared', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  const { world } = cluster;
  const [first] = world.machines;
  await cluster.put(first!, '1');
  const { lessor } = first!.server!;
  const count = lessor.leaseCount;
  Object.defineProperty(lessor, 'leaseCount', { get: () => count + 1 });
  cluster.begin(first!, '/etcdserverpb.KV/Put', PUT);
  await world.run(5000);
  const { violation } = cluster.world;
  assert.equal(violation?.property, 'equal states');
});
