/** Disks that are looked at without a member: what is right passes, what is not is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Database, type WritableBucket } from '@etcd/bbolt';
import { backendPath } from '@etcd/storage/data';
import type { SimDisk } from '@etcd/testing';
import { offlineProblem } from './offline-check.ts';
import { QuietCluster } from './quiet-cluster.ts';

const KEY_BUCKET = Buffer.from('key');

test('a disk is judged by its pages, and by what the log says at the entry that it is at', async () => {
  const cluster = await QuietCluster.start({ size: 1 });
  for (const value of ['one', 'two', 'three']) await cluster.put(cluster.leader, value);
  await cluster.world.run(1000);
  const { disk, config } = cluster.leader;
  const problemOf = (image: SimDisk): string | null =>
    offlineProblem({ world: cluster.world, config: config!, disk: image });
  assert.equal(problemOf(disk.killImage()), null);

  const path = backendPath(config!);
  const changed = disk.killImage();
  const database = Database.open({ disk: changed, path });
  const write = database.beginWrite();
  const bucket = write.bucket(KEY_BUCKET)!;
  const cursor = bucket.cursor();
  cursor.first();
  bucket.delete(Buffer.from(cursor.key()));
  cursor.first();
  write.commit();
  database.close();
  // What was deleted is the first of three values of one key, and missed by nobody.
  assert.equal(problemOf(changed), null);

  const damaged = disk.killImage();
  const file = damaged.openFile(path, { access: 'readwrite' });
  const page = Buffer.alloc(4096);
  for (let at = 2 * 4096; at < file.sizeBytes(); at += 4096) file.write(page, 0, 4096, at);
  file.close();
  assert.match(problemOf(damaged)!, /page/);
});

/** What is found on the disk of a member with one pair, after a change of that pair in its database. */
async function problemAfter(change: (bucket: WritableBucket, key: Buffer) => void): Promise<string | null> {
  const cluster = await QuietCluster.start({ size: 1 });
  await cluster.put(cluster.leader, 'only');
  await cluster.world.run(1000);
  const { disk, config } = cluster.leader;
  const image = disk.killImage();
  const database = Database.open({ disk: image, path: backendPath(config!) });
  const write = database.beginWrite();
  const bucket = write.bucket(KEY_BUCKET)!;
  const cursor = bucket.cursor();
  assert.ok(cursor.first());
  change(bucket, Buffer.from(cursor.key()));
  write.commit();
  database.close();
  return offlineProblem({ world: cluster.world, config: config!, disk: image });
}

test('a database that has less than the log says is found', async () => {
  const problem = await problemAfter((bucket, key) => bucket.delete(key));
  assert.match(problem!, /does not have .*only/);
});

test('a value that is no pair is found', async () => {
  const problem = await problemAfter((bucket, key) => bucket.put(key, Buffer.alloc(8)));
  assert.match(problem!, /mvccpb\.KeyValue/);
});
