/** Commits one behind the other: who is told of what, how the file grows, and that it is cut, or stays as long where it can't be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError, SILENT_LOGGER } from '@etcd/base';
import { type DiskOperation, SimClock, SimDisk } from '@etcd/testing';
import { Database, type DatabaseOptions, type WriteTransaction } from './index.ts';
import { checkDatabases } from './testing/check-databases.ts';

checkDatabases();

const NAME = Buffer.from('bucket');
const KIB = 1024;
const MIB = 1024 * KIB;

/** A database on a disk whose operations complete, or fail, when the test says so. */
class World {
  readonly clock = new SimClock();
  readonly pending: (() => void)[] = [];
  failing: DiskOperation['kind'] | null = null;
  readonly disk = new SimDisk({
    schedule: (_operation, complete) => this.pending.push(complete),
    onOperation: ({ kind, path }) => {
      if (kind === this.failing) throw new DiskError('EIO', path, `EIO: ${kind}`);
    },
  });
  readonly database: Database;

  constructor(options: Partial<DatabaseOptions> = {}) {
    this.database = Database.open({ disk: this.disk, path: '/db', clock: this.clock, ...options });
  }

  begin(key: string, valueBytes = 10): WriteTransaction {
    const write = this.database.beginWrite();
    write.createBucketIfNotExists(NAME).put(Buffer.from(key), Buffer.alloc(valueBytes, 1));
    return write;
  }

  has(key: string): boolean {
    const read = this.database.beginRead();
    const value = read.bucket(NAME)?.get(Buffer.from(key)) ?? null;
    read.close();
    return value !== null;
  }

  settle(): void {
    this.clock.settle();
    for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift()) {
      next();
      this.clock.settle();
    }
  }
}

test('commits are durable in their order, and each is seen from just before it is told', () => {
  const world = new World();
  const { database } = world;
  const told: string[] = [];
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
    world.begin(key).commitThen((error) => {
      assert.equal(error, null);
      told.push(`${key} ${world.has(key)} ${database.statistics().commits}`);
    });
  }
  assert.deepEqual(told, []);
  assert.equal(world.has('a'), false);
  world.settle();
  assert.deepEqual(told, ['a true 1', 'b true 2', 'c true 3', 'd true 4', 'e true 5', 'f true 6']);
  database.close();
});

test('when a commit fails, those that wait behind it and the one that is being built are told so too, once and later', () => {
  for (const failing of ['write', 'sync'] as const) {
    const world = new World();
    const { database } = world;
    const told: string[] = [];
    const commit = (name: string, write: WriteTransaction): void =>
      write.commitThen((error) => told.push(`${name} ${error?.code}`));
    commit('first', world.begin('a'));
    commit('second', world.begin('b'));
    const long = world.database.beginWrite();
    const bucket = long.createBucketIfNotExists(NAME);
    for (let i = 0; i < 30_000; i++) bucket.put(Buffer.from(`k${i}`), Buffer.alloc(100));
    commit('third', long);
    assert.ok(database.isBuildingCommit);
    world.failing = failing;
    // The first one's pages are written already where its sync fails.
    while (told.length === 0 && world.pending.length > 0) {
      world.pending.shift()!();
      assert.deepEqual(told, [], 'not within the completion');
      world.clock.settle();
    }
    const failed = failing === 'sync' ? 'first' : told[0]!.split(' ')[0];
    assert.equal(failed, 'first');
    assert.deepEqual(told, ['first io', 'second io', 'third io']);
    world.settle();
    world.failing = null;
    assert.equal(told.length, 3);
    assert.throws(() => database.beginWrite(), { code: 'io' });
    assert.equal(world.has('a'), false);
    assert.equal(database.isBuildingCommit, false);
    database.close();
    const again = Database.open({ disk: world.disk, path: '/db' });
    again.beginWrite().rollback();
    again.close();
  }
});

test('a file grows twofold up to sixteen megabytes, then by as much at once', () => {
  const world = new World({ freelist: 'rebuilt' });
  const { database } = world;
  let longest = 0;
  for (const [i, valueBytes] of [10, 13 * KIB, 30 * KIB, 60 * KIB, MIB, 15 * MIB, 2 * MIB].entries()) {
    world.begin(`k${i}`, valueBytes).commit();
    const { fileSizeBytes, sizeBytes } = database.statistics();
    longest = Math.max(longest, sizeBytes);
    let expected = 32 * KIB;
    while (expected < longest && expected < 16 * MIB) expected *= 2;
    while (expected < longest) expected += 16 * MIB;
    assert.deepEqual([fileSizeBytes, world.disk.stat('/db')!.sizeBytes], [expected, expected]);
  }
  assert.ok(longest > 16 * MIB);
  database.close();
});

test('a file that is made shorter is cut two commits later, and stays as long where that fails', () => {
  for (const isBroken of [false, true]) {
    const warnings: string[] = [];
    const warn = (message: string): number => warnings.push(message);
    const world = new World({ freelist: 'rebuilt', logger: { ...SILENT_LOGGER, warn } });
    const { database } = world;
    world.begin('large', 500 * KIB).commit();
    const before = world.disk.stat('/db')!.sizeBytes;
    const write = database.beginWrite();
    write.bucket(NAME)!.delete(Buffer.from('large'));
    write.commit();
    world.failing = isBroken ? 'truncate' : null;
    const sizes: number[] = [];
    for (let i = 0; i < 4; i++) {
      const next = world.begin(`k${i}`);
      next.truncateTail();
      next.commit();
      sizes.push(world.disk.stat('/db')!.sizeBytes);
      assert.equal(database.statistics().fileSizeBytes, sizes.at(-1));
    }
    if (isBroken) {
      assert.deepEqual(new Set(sizes), new Set([before]));
      assert.ok(warnings.length > 0);
      assert.deepEqual(new Set(warnings), new Set(['failed to cut the database file']));
    } else {
      assert.deepEqual(warnings, []);
      assert.ok(sizes[0]! > 400 * KIB && sizes.at(-1)! < 60 * KIB, sizes.join());
      assert.equal(sizes.at(-1), database.statistics().sizeBytes);
    }
    world.failing = null;
    database.close();
  }
});

test('pages that a reader sees are not given out, and are free when it is closed', () => {
  const world = new World({ freelist: 'rebuilt' });
  const { database } = world;
  world.begin('a', 100 * KIB).commit();
  const read = database.beginRead();
  for (let i = 0; i < 10; i++) world.begin('a', 100 * KIB).commit();
  const { sizeBytes, pendingPages, openReaders } = database.statistics();
  assert.equal(openReaders, 1);
  assert.ok(pendingPages >= 25 && sizeBytes < 600 * KIB, `${pendingPages} pages, ${sizeBytes} bytes`);
  assert.ok(
    read
      .bucket(NAME)!
      .get(Buffer.from('a'))!
      .every((byte) => byte === 1),
  );
  read.close();
  assert.equal(database.statistics().openReaders, 0);
  world.begin('b').commit();
  assert.ok(database.statistics().pendingPages < 60);
  database.close();
});
