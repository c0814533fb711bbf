import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { NodeDisk } from '@etcd/base/node';
import { Database, type WriteTransaction } from '@etcd/bbolt';
import { KEY_BUCKET, revisionBytes, transactionWriter } from '@etcd/storage/backend';
import { AUTH_USERS, LEASE, writeAuthEnabled, writeFinishedCompact } from '@etcd/storage/schema';
import { snapshotOf } from '../testing/snapshot.ts';
import { verifySnapshotFile } from './index.ts';
import type { HashWish } from './verify.ts';

const KEYS = 60;
const NEWEST = KEYS + 1;
const PAGE_BYTES = 4096;
const PAGE_HEADER_BYTES = 16;
const LEAF = 2;
const WISHES: readonly HashWish[] = ['taken', 'left-to-member'];

const root = mkdtempSync(join(tmpdir(), 'verify-file-'));
after(() => rmSync(root, { recursive: true }));
const good = join(root, 'good.db');
const path = join(root, 'damaged.db');
let snapshot: Buffer = Buffer.alloc(0);

before(async () => {
  snapshot = await snapshotOf(good, KEYS);
});

/** A copy of the database that something was done to in a transaction. */
function written(
  change: (write: WriteTransaction) => void,
  freelist: 'stored' | 'rebuilt' = 'rebuilt',
): void {
  copyFileSync(good, path);
  const database = Database.open({ disk: new NodeDisk(), path, freelist });
  const write = database.beginWrite();
  change(write);
  write.commit();
  database.close();
}

/** Changes bytes of what lies at {@link path}. */
function edit(change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  change(bytes);
  writeFileSync(path, bytes);
}

/** Where the newer meta page says that the page of the root, and that of the freelist, lie. */
function newestMeta(bytes: Buffer): { rootPgid: number; freelistPgid: number } {
  const at = (page: number): number => page * PAGE_BYTES + PAGE_HEADER_BYTES;
  const txid = (page: number): bigint => bytes.readBigUInt64LE(at(page) + 48);
  const meta = at(txid(0) > txid(1) ? 0 : 1);
  const numberAt = (offset: number): number => Number(bytes.readBigUInt64LE(meta + offset));
  return { rootPgid: numberAt(16), freelistPgid: numberAt(32) };
}

/** Whatever the hash is left to: nothing that is wrong with the file is. */
async function refused(reason: RegExp, hashRevision = 0): Promise<void> {
  for (const hash of WISHES) {
    await assert.rejects(verifySnapshotFile(path, hashRevision, true, hash), reason, hash);
  }
}

test('a hash that is left to a member is not taken, and everything else is found the same', async () => {
  for (const revision of [0, 10, NEWEST]) {
    const taken = await verifySnapshotFile(good, revision, true);
    assert.equal(taken.revisions, KEYS);
    assert.equal(taken.hashRevision, revision || NEWEST);
    assert.equal(typeof taken.hash, 'number');
    const left = await verifySnapshotFile(good, revision, true, 'left-to-member');
    assert.deepEqual(left, { ...taken, hash: null });
  }
  written((write) => writeFinishedCompact(transactionWriter(write), 9));
  const taken = await verifySnapshotFile(path, 0, true);
  assert.equal(taken.hashCompactRevision, 9);
  assert.deepEqual(await verifySnapshotFile(path, 0, true, 'left-to-member'), { ...taken, hash: null });
});

test('where users came with the file, the hash is taken', async () => {
  written((write) => {
    const writer = transactionWriter(write);
    writer.createBucket({ ...AUTH_USERS, nameBytes: Buffer.from('auth') });
    writeAuthEnabled(writer, true);
  });
  const { hash } = await verifySnapshotFile(good, 0, true);
  assert.equal((await verifySnapshotFile(path, 0, true, 'left-to-member')).hash, hash);
});

test('a revision that the file can have no hash at is refused', async () => {
  written((write) => writeFinishedCompact(transactionWriter(write), 9));
  await refused(/has been compacted/, 8);
  await refused(/is a future revision/, NEWEST + 1);
});

test('a flipped bit of a value is told by the digest, and by the hash', async () => {
  const value = snapshot.indexOf(Buffer.alloc(100, 7));
  const flipped = Buffer.from(snapshot);
  for (let at = value; at >= 0; at = flipped.indexOf(Buffer.alloc(100, 7), at)) flipped[at + 50]! ^= 1;
  writeFileSync(path, flipped);
  for (const hash of WISHES) await assert.rejects(verifySnapshotFile(path, 0, false, hash), /sha256|hash/);
  const { hash } = await verifySnapshotFile(good, 0, true);
  writeFileSync(path, flipped.subarray(0, -32));
  assert.notEqual((await verifySnapshotFile(path, 0, true)).hash, hash);
});

test('a page that is not what its place says, or out of order, is refused', async () => {
  copyFileSync(good, path);
  edit((bytes) => bytes.writeUInt16LE(0x40, newestMeta(bytes).rootPgid * PAGE_BYTES + 8));
  await refused(/integrity check failed.*invalid type/s);
  copyFileSync(good, path);
  edit((bytes) => bytes.writeUInt8(0xee, newestMeta(bytes).rootPgid * PAGE_BYTES));
  await refused(/integrity check failed.*calls itself page/s);
  copyFileSync(good, path);
  edit(raiseFirstRevisions);
  await refused(/integrity check failed.*key 1 is not above the one before it/s);
});

/** On each page of revisions the first comes to be beyond the others. */
function raiseFirstRevisions(bytes: Buffer): void {
  for (let page = 2 * PAGE_BYTES; page < bytes.length; page += PAGE_BYTES) {
    const element = page + PAGE_HEADER_BYTES;
    if (bytes.readUInt16LE(page + 8) !== LEAF || bytes.readUInt16LE(page + 10) < 2) continue;
    if (bytes.readUInt32LE(element + 8) === 17) bytes[element + bytes.readUInt32LE(element + 4)] = 0x7f;
  }
}

test('a file that was cut off is refused', async () => {
  writeFileSync(path, snapshot.subarray(0, -32 - PAGE_BYTES));
  await refused(/truncated/);
  writeFileSync(path, snapshot.subarray(0, 40));
  await refused(/invalid database/);
});

test('a list of free pages that names one in use, or leaves one out, is refused', async () => {
  const changed = (change: (freelist: Buffer, rootPgid: number) => void): void => {
    written((write) => write.bucket(KEY_BUCKET.nameBytes)!.delete(revisionBytes(2)), 'stored');
    edit((bytes) => {
      const { rootPgid, freelistPgid } = newestMeta(bytes);
      const freelist = bytes.subarray(freelistPgid * PAGE_BYTES);
      assert.ok(freelist.readUInt16LE(10) > 0);
      change(freelist, rootPgid);
    });
  };
  changed(() => {});
  for (const hash of WISHES) await verifySnapshotFile(path, 0, true, hash);
  changed((freelist, rootPgid) => freelist.writeBigUInt64LE(BigInt(rootPgid), PAGE_HEADER_BYTES));
  await refused(/integrity check failed.*reachable freed/s);
  changed((freelist) => freelist.writeUInt16LE(freelist.readUInt16LE(10) - 1, 10));
  await refused(/integrity check failed.*unreachable unfreed/s);
});

test('a bucket of revisions that is missing, or holds something else, is refused', async () => {
  written((write) => write.deleteBucket(KEY_BUCKET.nameBytes));
  await refused(/there is no bucket key/);
  const put = (key: Uint8Array, value: Uint8Array): void =>
    written((write) => write.bucket(KEY_BUCKET.nameBytes)!.put(key, value));
  put(Buffer.from('no revision'), Buffer.alloc(3));
  await refused(/a key is not a revision/);
  put(revisionBytes(NEWEST), Buffer.alloc(3, 0xff));
  await refused(new RegExp(`revision ${NEWEST}\\.0: not a KeyValue`));
  let other = Buffer.alloc(0);
  written((write) => {
    const keys = write.bucket(KEY_BUCKET.nameBytes)!;
    other = Buffer.from(keys.get(revisionBytes(5))!);
  });
  put(revisionBytes(NEWEST), other);
  await refused(new RegExp(`revision ${NEWEST}\\.0: its value is of revision 5`));
  // As a restore leaves it that makes the revision jump.
  put(revisionBytes(1000), new Uint8Array(0));
  const { hashRevision } = await verifySnapshotFile(path, 0, true, 'left-to-member');
  assert.equal(hashRevision, 1000);
});

test('what is not first in its walk is told last: structure before records', async () => {
  written((write) => write.bucket(KEY_BUCKET.nameBytes)!.put(Buffer.from('no revision'), Buffer.alloc(3)));
  edit(raiseFirstRevisions);
  await refused(/integrity check failed/);
});

test('other buckets with what can not be read are refused', async () => {
  for (const bucket of [LEASE, AUTH_USERS]) {
    written((write) => {
      write.createBucketIfNotExists(bucket.nameBytes).put(Buffer.from('what'), Buffer.alloc(3, 0xff));
    });
    await refused(/what|lease|authUsers/);
  }
});
