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

test('a follower whose own snapshot waits for a slow database and is overtaken by one of the leader starts again', async () => {
  const flags = ['--snapshot-count=20', '--snapshot-catchup-entries=5'];
  const cluster = await QuietCluster.start({ size: 3, flags });
  const { leader } = cluster;
  const [slow] = cluster.followers;
  // The log is as fast as ever.
  slow!.diskSpeed = { syncMs: 8000, spreadMs: 0, suffix: '/db' };
  const triggered = (): number => cluster.lines(`${slow!.name} info: triggering snapshot`).length;
  const before = triggered();
  for (let i = 0; triggered() === before; i++) await cluster.put(leader, `until a snapshot is due ${i}`);
  for (const other of cluster.world.machines) {
    cluster.world.fabric.cut(slow!.name, other.name);
    cluster.world.fabric.cut(other.name, slow!.name);
  }
  for (let i = 0; i < 100; i++) await cluster.put(leader, `missed ${i}`);
  cluster.world.fabric.heal();
  await cluster.until(
    'the snapshot is overtaken',
    60_000,
    () => cluster.lines(`${slow!.name} info: snapshot overtaken by one of the leader`).length > 0,
  );
  slow!.kill('to see whether it starts again');
  slow!.diskSpeed = FAST_DISK;
  slow!.start();
  const { revision } = leader.server!.store;
  await cluster.until(
    'it serves',
    30_000,
    () => slow!.isServing && slow!.server!.store.revision === revision,
  );
});
