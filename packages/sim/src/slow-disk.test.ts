/** A disk that is slow, or does not answer at all, under the member that leads. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { encodePutRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import { FAST_DISK } from './machine.ts';
import { QuietCluster } from './quiet-cluster.ts';

/** A few saves, each of which takes more than half of the election timeout of a second. */
const SLOW = { syncMs: 700, spreadMs: 100 };
/** Nothing is ever written as far as this test goes. */
const STALLED = { syncMs: 3_600_000, spreadMs: 0 };

test('a leader whose disk is slow hands the leadership over, and does not take it back', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  const slow = cluster.leader;
  slow.diskSpeed = SLOW;
  await cluster.put(slow, 'one');
  await cluster.until('another leads', 10_000, () => ![undefined, slow].includes(cluster.leader));
  assert.equal(cluster.lines('slow disk: handing the leadership over').length, 1);
  const next = cluster.leader;
  await cluster.put(next, 'two');
  const { term } = next.server!;
  for (let i = 0; i < 20; i++) await cluster.put(next, `value ${i}`);
  assert.equal(cluster.leader, next);
  assert.equal(next.server!.term, term, 'nobody had to be elected again');
});

test('while the disk of the leader stalls, another member leads; when it answers again, nothing was lost', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  const stalled = cluster.leader;
  const [follower] = cluster.followers;
  stalled.diskSpeed = STALLED;
  const underWay = new PutRequest({ key: Buffer.from('key'), value: Buffer.from('under way') });
  cluster.begin(stalled, '/etcdserverpb.KV/Put', encodePutRequest(underWay));
  await cluster.until('another leads', 10_000, () => cluster.followers.length < 2);
  const before = follower!.server!.store.revision;
  await cluster.put(follower!, 'acknowledged');
  assert.ok(follower!.server!.store.revision > before);
  stalled.kill('its disk never answered');
  stalled.diskSpeed = FAST_DISK;
  stalled.start();
  const { revision } = follower!.server!.store;
  const isBack = (): boolean => stalled.isServing && stalled.server!.store.revision === revision;
  await cluster.until('caught up', 30_000, isBack);
  assert.deepEqual((await cluster.tryRange(stalled))[0], GrpcCode.OK);
});
