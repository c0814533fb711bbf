import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { crc32cUpdate, SeededRandom } from '@etcd/base';
import { NodeDisk } from '@etcd/base/node';
import { freePort } from '@etcd/testing/free-port';
import { type Bucket, Database, type ReadTransaction, type WritableBucket } from './index.ts';

const directory = mkdtempSync(join(tmpdir(), 'bbolt-interop-'));
const running = new Set<ChildProcess>();
after(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** A program of real etcd. */
function peer(name: string): string {
  const path = join(process.env['ETCD_PEERS'] ?? '/opt/etcd-peers', '3.5', name);
  assert.ok(
    existsSync(path),
    `this test needs real etcd 3.5: ${path} is missing; ETCD_PEERS says where to look`,
  );
  return path;
}

interface Status {
  readonly hash: number;
  readonly totalKey: number;
}

/** What `etcdutl snapshot status` says of a file, after bbolt's own check of every page. */
function goStatus(path: string): Status {
  return JSON.parse(
    execFileSync(peer('etcdutl'), ['snapshot', 'status', path, '-w', 'json']).toString(),
  ) as Status;
}

/** The same, by this package. */
function ownStatus(read: ReadTransaction): Status {
  let hash = 0;
  let totalKey = 0;
  const names = read.root.cursor();
  for (let on = names.first(); on; on = names.next()) {
    hash = crc32cUpdate(hash, names.bytes, names.keyStart, names.keyEnd);
    const cursor = read.bucket(names.key())!.cursor();
    for (let onKey = cursor.first(); onKey; onKey = cursor.next()) {
      hash = crc32cUpdate(hash, cursor.bytes, cursor.keyStart, cursor.valueEnd);
      totalKey++;
    }
  }
  return { hash, totalKey };
}

function assertSound(database: Database): void {
  const read = database.beginRead();
  assert.deepEqual(
    [...database.check(read)].filter((finding) => finding !== null),
    [],
  );
  read.close();
}

function assertGoAgrees(database: Database, path: string): void {
  assertSound(database);
  const read = database.beginRead();
  const own = ownStatus(read);
  read.close();
  // Go would wait for the lock that is held here.
  const copy = join(directory, 'copy.db');
  copyFileSync(path, copy);
  const { hash, totalKey } = goStatus(copy);
  assert.deepEqual({ hash, totalKey }, own);
}

/** Starts etcd on a data directory; returns the address of its clients' side. */
async function startEtcd(dataDirectory: string): Promise<{ address: string; stop: () => Promise<void> }> {
  // Real etcd's gateway dials the port that it is told, so that 0 won't do.
  const port = await freePort();
  const client = `http://127.0.0.1:${port}`;
  const child = spawn(
    peer('etcd'),
    [
      ['--data-dir', dataDirectory, '--logger', 'zap', '--name', 'only'],
      ['--listen-client-urls', client, '--advertise-client-urls', client],
      ['--listen-peer-urls', 'http://127.0.0.1:0', '--initial-advertise-peer-urls', 'http://127.0.0.1:0'],
      ['--initial-cluster', 'only=http://127.0.0.1:0'],
    ].flat(),
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  running.add(child);
  const exited = once(child, 'exit').then(() => running.delete(child));
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on('data', (text) => {
      log += text;
      if (log.includes('ready to serve client requests')) resolve();
    });
    exited.then(() => reject(new Error(log)), reject);
  });
  return {
    address: client,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function call(address: string, method: string, request: object): Promise<void> {
  const response = await fetch(`${address}/v3/${method}`, {
    method: 'POST',
    body: JSON.stringify(request),
  });
  assert.equal(response.status, 200, await response.text());
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function putMany(address: string, round: number, count: number, valueBytes: number): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    const success = Array.from({ length: 100 }, (_, i) => ({
      requestPut: { key: base64(`key${from + i}`), value: base64(`${round}.`.repeat(valueBytes / 2)) },
    }));
    await call(address, 'kv/txn', { success });
  }
}

test('a database of Go etcd opens here, one written here opens there, in turns', {
  timeout: 60_000,
}, async () => {
  const dataDirectory = join(directory, 'only.etcd');
  const path = join(dataDirectory, 'member', 'snap', 'db');
  const disk = new NodeDisk();
  for (let round = 0; round < 3; round++) {
    const etcd = await startEtcd(dataDirectory);
    await putMany(etcd.address, round, 3000, 200);
    await call(etcd.address, 'kv/put', { key: base64('big'), value: base64('b'.repeat(600_000 + round)) });
    await call(etcd.address, 'kv/deleterange', { key: base64('key1'), range_end: base64('key2') });
    if (round > 0) await call(etcd.address, 'kv/compaction', { revision: 30 * round, physical: true });
    const held = (): Database => Database.open({ disk, path });
    assert.throws(held, { name: 'BoltError', code: 'locked' });
    assert.throws(() => Database.open({ disk, path, readOnly: true }), { code: 'locked' });
    await etcd.stop();

    const database = Database.open({ disk, path, freelist: round === 1 ? 'stored' : 'rebuilt' });
    assertGoAgrees(database, path);
    // A bucket that etcd knows nothing about moves every page around that etcd cares for.
    const write = database.beginWrite();
    const bucket = write.createBucketIfNotExists(Buffer.from('zzz'));
    for (let i = 0; i < 500; i++) bucket.put(Buffer.from(`${round}-${i}`), Buffer.alloc(i * 10, round));
    write.commit();
    assertGoAgrees(database, path);
    if (round > 0) {
      const next = database.beginWrite();
      next.deleteBucket(Buffer.from('zzz'));
      next.truncateTail();
      next.commit();
      assertGoAgrees(database, path);
    }
    database.close();
  }
});

function writeInto(bucket: WritableBucket, random: SeededRandom, depth: number): void {
  for (let i = random.below(400); i > 0; i--) {
    bucket.put(Buffer.from(`k${random.below(1000)}`), Buffer.alloc(random.pick([3, 30, 300, 300, 9000])));
  }
  for (let i = random.below(200); i > 0; i--) bucket.delete(Buffer.from(`k${random.below(1000)}`));
  for (let i = random.below(4); i > 0 && depth < 3; i--) {
    writeInto(bucket.createBucketIfNotExists(Buffer.from(`bucket${i}`)), random, depth + 1);
  }
}

for (const freelist of ['stored', 'rebuilt'] as const) {
  for (const pageSizeBytes of [4096, 8192, 16384, 65536]) {
    test(`Go finds nothing wrong with pages of ${pageSizeBytes} and a ${freelist} freelist`, () => {
      const path = join(directory, `${freelist}-${pageSizeBytes}.db`);
      const database = Database.open({ disk: new NodeDisk(), path, freelist, pageSizeBytes, noSync: true });
      const random = new SeededRandom(pageSizeBytes);
      for (let round = 0; round < 4; round++) {
        const write = database.beginWrite();
        for (const name of ['alarm', 'auth', 'lease']) {
          writeInto(write.createBucketIfNotExists(Buffer.from(name)), random, 0);
        }
        if (round === 2) write.deleteBucket(Buffer.from('auth'));
        write.commit();
      }
      assertSound(database);
      database.close();
      // The walk of `snapshot status` takes nested buckets for keys with no value.
      assert.ok(goStatus(path).totalKey > 0);
    });
  }
}

function countKeys(bucket: Bucket): number {
  let count = 0;
  const cursor = bucket.cursor();
  for (let on = cursor.first(); on; on = cursor.next()) {
    count += cursor.isBucket ? countKeys(bucket.bucket(cursor.key())!) : 1;
  }
  return count;
}

for (const name of ['go-4096', 'go-16384']) {
  test(`a file with nested buckets and a stored freelist, written by Go's bbolt, is taken on: ${name}`, () => {
    const original = join(directory, `${name}.db`);
    const packed = readFileSync(new URL(`../testdata/${name}.db.gz`, import.meta.url));
    writeFileSync(original, gunzipSync(packed));
    const disk = new NodeDisk();
    const readOnly = Database.open({ disk, path: original, readOnly: true });
    assert.equal(`go-${readOnly.pageSizeBytes}`, name);
    assertSound(readOnly);
    const read = readOnly.beginRead();
    assert.equal(countKeys(read.root), 400);
    assert.throws(() => readOnly.beginWrite(), { code: 'read-only' });
    for (const freelist of ['stored', 'rebuilt'] as const) {
      const path = join(directory, `${name}-${freelist}.db`);
      copyFileSync(original, path);
      const database = Database.open({ disk, path, freelist, noSync: true });
      for (let round = 0; round < 3; round++) {
        const write = database.beginWrite();
        writeInto(write.createBucketIfNotExists(Buffer.from('ours')), new SeededRandom(round), 0);
        write.commit();
        assertSound(database);
      }
      const write = database.beginWrite();
      write.deleteBucket(Buffer.from('ours'));
      write.commit();
      assertSound(database);
      const after = database.beginRead();
      assert.equal(countKeys(after.root), 400);
      after.close();
      database.close();
      assert.ok(goStatus(path).totalKey > 0);
    }
    read.close();
    readOnly.close();
  });
}
