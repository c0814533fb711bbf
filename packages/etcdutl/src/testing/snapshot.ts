/** Snapshots for tests. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { PutRequest } from '@etcd/api/etcdserverpb';
import { NodeClock, NodeDisk } from '@etcd/base/node';
import { Backend } from '@etcd/storage/backend';
import { Lessor } from '@etcd/storage/lease';
import { put, Store } from '@etcd/storage/mvcc';

/**
 * A snapshot as a member sends it, with its digest, of so many keys `key0`, `key1`, … of 500 bytes.
 *
 * @param path of the database, which stays.
 */
export async function snapshotOf(path: string, keyCount: number): Promise<Buffer> {
  const clock = new NodeClock();
  const onFatal = (error: Error): void => {
    throw error;
  };
  const backend = new Backend({ disk: new NodeDisk(), path, clock, onFatal });
  const lessor = new Lessor({ backend, clock, minTtl: 1 });
  const store = new Store({ backend, clock, leases: lessor });
  await new Promise<void>((resolve) => store.restoreThen(() => resolve()));
  for (let i = 0; i < keyCount; i++)
    put(store, new PutRequest({ key: Buffer.from(`key${i}`), value: Buffer.alloc(500, i) }));
  lessor.stop();
  store.close();
  await new Promise<void>((resolve) => backend.closeThen(() => resolve()));
  const database = readFileSync(path);
  return Buffer.concat([database, createHash('sha256').update(database).digest()]);
}
