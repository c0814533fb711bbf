import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError, SeededRandom } from '@etcd/base';
import { type DiskOperation, SimClock, SimDisk, type SimDiskOptions } from '@etcd/testing';
import fc from 'fast-check';
import { BoltError } from './bolt-error.ts';
import { Database, type DatabaseOptions, type WriteTransaction } from './index.ts';
import { checkDatabases } from './testing/check-databases.ts';

const left = checkDatabases();

const NAME = Buffer.from('bucket');
const key = (number: number): Buffer => Buffer.from(`key${String(number).padStart(7, '0')}`);

function open(disk: SimDisk, options: Partial<DatabaseOptions> = {}): Database {
  return Database.open({ disk, path: '/db', ...options });
}

function putMany(write: WriteTransaction, from: number, to: number, valueBytes = 100): void {
  const bucket = write.createBucketIfNotExists(NAME);
  for (let i = from; i < to; i++) bucket.put(key(i), Buffer.alloc(valueBytes, i));
}

function count(database: Database): number {
  const read = database.beginRead();
  const cursor = read.bucket(NAME)?.cursor();
  let found = 0;
  for (let on = cursor?.first(); on; on = cursor!.next()) found++;
  assert.deepEqual(
    [...database.check(read)].filter((finding) => finding !== null),
    [],
  );
  read.close();
  return found;
}

function fileWith(disk: SimDisk, bytes: Uint8Array): void {
  const file = disk.openFile('/db', { access: 'readwrite', create: true });
  file.write(bytes, 0, bytes.length, 0);
  file.close();
}

test('a file that is no database is refused, and left as it is', () => {
  const cases: [string, Uint8Array, string][] = [
    ['text', Buffer.from('not a database\n'.repeat(1000)), 'not-a-database'],
    ['zeros', new Uint8Array(100_000), 'not-a-database'],
    ['one byte', new Uint8Array(1), 'not-a-database'],
  ];
  for (const [what, bytes, code] of cases) {
    for (const readOnly of [false, true]) {
      const disk = new SimDisk();
      fileWith(disk, bytes);
      assert.throws(() => open(disk, { readOnly }), { name: 'BoltError', code, path: '/db' }, what);
      assert.deepEqual(disk.readFile('/db'), new Uint8Array(bytes));
    }
  }
});

test('values that need more than a page share their pages, few at a time', () => {
  for (const [valueBytes, mostPagesEach] of [
    [2_200, 0.7],
    [4_180, 1.4],
    [5_200, 1.6],
    [70_000, 18.1],
  ] as const) {
    const disk = new SimDisk();
    const database = open(disk);
    let pages = 0;
    for (let from = 0; from < 900; from += 300) {
      const write = database.beginWrite();
      putMany(write, from, from + 300, valueBytes);
      write.bucket(NAME)!.fillPercent = 0.9;
      write.commit();
      pages += database.statistics().lastCommit.pagesWritten;
    }
    assert.ok(pages < 900 * mostPagesEach, `${valueBytes}: ${pages / 900} pages each`);
    const write = database.beginWrite();
    for (let i = 0; i < 900; i += 3) write.bucket(NAME)!.delete(key(i));
    write.commit();
    assert.equal(count(database), 600);
    database.close();
  }
});

test('an absent file is created for writing, not for reading; an empty one is made a database', () => {
  const disk = new SimDisk();
  assert.throws(() => open(disk, { readOnly: true }), { code: 'io' });
  assert.equal(disk.stat('/db'), null);
  open(disk, { mode: 0o640, pageSizeBytes: 8192 }).close();
  assert.equal(disk.stat('/db')!.mode, 0o640);
  assert.equal(disk.stat('/db')!.sizeBytes, 4 * 8192);
  assert.deepEqual(disk.readDirectory('/'), ['db']);
  const other = new SimDisk();
  fileWith(other, new Uint8Array(0));
  open(other).close();
  assert.equal(count(open(other)), 0);
  assert.throws(() => open(new SimDisk(), { pageSizeBytes: 5000 }), { code: 'page-size' });
});

test('one meta page is enough, whichever it is', () => {
  for (const pageSizeBytes of [1024, 4096, 65536]) {
    for (const broken of [0, 1]) {
      const disk = new SimDisk();
      let database = open(disk, { pageSizeBytes });
      for (let round = 0; round < 3; round++) {
        const write = database.beginWrite();
        putMany(write, 0, 100);
        write.commit();
      }
      database.close();
      const file = disk.openFile('/db', { access: 'readwrite' });
      file.write(new Uint8Array(100).fill(0xff), 0, 100, broken * pageSizeBytes);
      file.close();
      database = open(disk);
      assert.equal(database.pageSizeBytes, pageSizeBytes);
      assert.equal(count(database), 100);
      database.close();
    }
  }
});

test('a file cut short says how much is missing', () => {
  left.expectDamage();
  const disk = new SimDisk();
  const database = open(disk);
  const write = database.beginWrite();
  putMany(write, 0, 1000);
  write.commit();
  database.close();
  const file = disk.openFile('/db', { access: 'readwrite' });
  file.truncate(50_000);
  file.close();
  assert.throws(() => open(disk), { code: 'truncated', message: /50000 bytes, but the meta page says \d+/ });
});

test('one writer at a time has the file, or any number of readers', () => {
  const disk = new SimDisk();
  const writer = open(disk);
  assert.throws(() => open(disk), { code: 'locked' });
  assert.throws(() => open(disk, { readOnly: true }), { code: 'locked' });
  writer.close();
  const readers = [open(disk, { readOnly: true }), open(disk, { readOnly: true })];
  assert.throws(() => open(disk), { code: 'locked' });
  assert.throws(() => readers[0]!.beginWrite(), { code: 'read-only' });
  for (const reader of readers) reader.close();
  open(disk).close();
});

test('arguments that the tree cannot take are refused one by one', () => {
  const write = open(new SimDisk()).beginWrite();
  const bucket = write.createBucket(NAME);
  assert.throws(() => bucket.put(Buffer.alloc(0), NAME), { code: 'key-required' });
  assert.throws(() => bucket.put(Buffer.alloc(32_769), NAME), { code: 'key-too-large' });
  bucket.put(Buffer.alloc(32_768), NAME);
  assert.throws(() => write.createBucket(Buffer.alloc(0)), { code: 'key-required' });
  assert.throws(() => write.createBucket(NAME), { code: 'bucket-exists' });
  assert.throws(() => write.deleteBucket(Buffer.from('none')), { code: 'bucket-not-found' });
  assert.throws(() => bucket.deleteBucket(Buffer.alloc(32_768)), { code: 'incompatible-value' });
  assert.throws(() => bucket.createBucket(Buffer.alloc(32_768)), { code: 'incompatible-value' });
  assert.throws(() => write.root.put(NAME, NAME), { code: 'incompatible-value' });
  assert.equal(bucket.delete(Buffer.alloc(0)), false);
  assert.equal(bucket.get(Buffer.alloc(0)), null);
  write.rollback();
});

test('a cursor of a write transaction goes on over changes from the key it stood on', () => {
  const write = open(new SimDisk()).beginWrite();
  putMany(write, 0, 3000);
  const bucket = write.bucket(NAME)!;
  const cursor = bucket.cursor();
  let seen = 0;
  for (let on = cursor.first(); on; on = cursor.next()) {
    // Every key is taken away under the cursor's feet, and others come and go around it.
    const here = Buffer.from(cursor.key());
    assert.ok(here.equals(key(seen)));
    assert.ok(bucket.delete(here));
    if (seen % 3 === 0) bucket.put(Buffer.concat([here, Buffer.from('!')]), NAME);
    if (seen % 3 === 0) assert.ok(cursor.next());
    seen++;
  }
  assert.equal(seen, 3000);
  let left = 0;
  for (let on = cursor.last(); on; on = cursor.previous()) {
    assert.ok(bucket.delete(cursor.key()));
    left++;
  }
  assert.equal(left, 1000);
  assert.equal(cursor.first(), false);
  write.rollback();
});

test('a cursor finds the first key that is not less, and nothing behind the last', () => {
  const database = open(new SimDisk());
  const write = database.beginWrite();
  for (let i = 0; i < 2000; i += 2) putMany(write, i, i + 1);
  write.commit();
  const read = database.beginRead();
  const cursor = read.bucket(NAME)!.cursor();
  assert.equal(cursor.next(), false);
  assert.equal(cursor.previous(), false);
  for (let i = 0; i < 1999; i++) {
    assert.equal(cursor.seekExact(key(i)), i % 2 === 0);
    assert.equal(cursor.seek(key(i)), i !== 1999);
    assert.ok(key(i + (i % 2)).equals(cursor.key()));
  }
  assert.equal(cursor.seek(key(1999)), false);
  assert.equal(cursor.previous(), false);
  assert.throws(() => cursor.key(), { name: 'InvariantError' });
  assert.ok(cursor.last());
  assert.ok(key(1998).equals(cursor.key()));
  assert.equal(cursor.next(), false);
  assert.equal(cursor.next(), false);
  read.close();
});

test('a cursor that goes to exact keys finds them, from wherever it stands', () => {
  const database = open(new SimDisk(), { cacheBytes: 1 });
  const write = database.beginWrite();
  for (let i = 0; i < 4000; i += 2) putMany(write, i, i + 1);
  write.commit();
  const read = database.beginRead();
  const step = fc.oneof(
    fc.constantFrom(0, 1, 2, 3, -1, -2),
    fc.integer({ min: -200, max: 200 }),
    fc.nat(4100),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const cursor = read.bucket(NAME)!.cursor();
      let at = 0;
      for (const by of steps) {
        at = Math.max(0, (at + by) % 4100);
        const isThere = at < 4000 && at % 2 === 0;
        assert.equal(cursor.seekExact(key(at)), isThere);
        if (isThere) assert.ok(key(at).equals(cursor.key()));
        else assert.throws(() => cursor.key(), { name: 'InvariantError' });
        // And goes on from there.
        if (isThere && by === 3) assert.equal(cursor.next(), at < 3998);
      }
    }),
    { numRuns: 100 },
  );
  read.close();
});

test('bytes stay as they are after the page was rewritten, freed, taken anew and evicted', () => {
  const database = open(new SimDisk(), { cacheBytes: 1, freelist: 'rebuilt' });
  let write = database.beginWrite();
  putMany(write, 0, 100);
  write.commit();
  const read = database.beginRead();
  const held = read.bucket(NAME)!.get(key(5))!;
  const before = held.slice();
  read.close();
  for (let round = 0; round < 50; round++) {
    write = database.beginWrite();
    putMany(write, 0, 300, 200 + round);
    write.commit();
  }
  assert.deepEqual(held, before);
  database.close();
});

test('a long commit is built in slices, and a transaction that begins meanwhile builds on it', () => {
  const clock = new SimClock();
  const pending: (() => void)[] = [];
  const disk = new SimDisk({ schedule: (_operation, complete) => pending.push(complete) });
  const database = open(disk, { clock });
  let write = database.beginWrite();
  putMany(write, 0, 60_000);
  let done = 0;
  write.commitThen((error) => {
    assert.equal(error, null);
    done++;
  });
  assert.ok(database.isBuildingCommit);
  assert.equal(pending.length, 0);
  write = database.beginWrite();
  assert.ok(!database.isBuildingCommit);
  assert.ok(write.bucket(NAME)!.get(key(59_999)));
  putMany(write, 60_000, 61_000);
  write.commitThen((error) => {
    assert.equal(error, null);
    done++;
  });
  assert.equal(count(database), 0);
  for (let turns = 0; done < 2; turns++) {
    clock.settle();
    pending.pop()?.();
    assert.ok(turns < 1000);
  }
  assert.equal(count(database), 61_000);
  database.close();
});

/** Bytes that were written before each sync, while `write` is committed in the background. */
async function writtenBeforeSyncs(disk: SimDisk, operations: DiskOperation[], write: WriteTransaction) {
  operations.length = 0;
  const syncs = disk.syncCount;
  assert.equal(await new Promise((resolve) => write.commitThen(resolve)), null);
  const pieces = [0];
  for (const { kind, bytes } of operations) {
    if (kind === 'write') pieces[pieces.length - 1]! += bytes;
    if (kind === 'sync') pieces.push(0);
  }
  assert.equal(pieces.pop(), 0, 'what was written last is durable, too');
  assert.equal(disk.syncCount - syncs, pieces.length);
  return { pieces, writes: operations.filter(({ kind }) => kind === 'write').length };
}

test('a large commit is written piece by piece, each durable before the next, and scattered pages are synced together', async () => {
  const operations: DiskOperation[] = [];
  const disk = new SimDisk({ onOperation: (operation) => void operations.push(operation) });
  const database = open(disk);
  let write = database.beginWrite();
  putMany(write, 0, 3000, 1000);
  const { pieces: inARow } = await writtenBeforeSyncs(disk, operations, write);
  assert.ok(inARow.reduce((sum, bytes) => sum + bytes) > 3_000_000);
  assert.ok(Math.max(...inARow) <= 528_384, 'half a megabyte, and what of the last page is beyond it');
  assert.equal(inARow.at(-1), database.pageSizeBytes, 'the meta page comes last');

  write = database.beginWrite();
  for (let i = 0; i < 3000; i += 20) write.bucket(NAME)!.put(key(i), Buffer.alloc(1000, 1));
  await writtenBeforeSyncs(disk, operations, write);
  write = database.beginWrite();
  for (let i = 0; i < 3000; i += 100) write.bucket(NAME)!.put(key(i), Buffer.alloc(1000, 2));
  const scattered = await writtenBeforeSyncs(disk, operations, write);
  assert.ok(scattered.pieces.length <= 3, `${scattered.pieces.length} syncs for ${scattered.writes} writes`);
  assert.equal(count(database), 3000);
  database.close();
});

test('runs of pages that lie apart do not get a sync each: a commit ends where syncs take long', async () => {
  const operations: DiskOperation[] = [];
  const disk = new SimDisk({ onOperation: (operation) => void operations.push(operation) });
  const database = open(disk);
  let write = database.beginWrite();
  putMany(write, 0, 8000, 1000);
  await writtenBeforeSyncs(disk, operations, write);
  // Free are then runs of some 25 pages each, more than 64 KiB.
  write = database.beginWrite();
  for (let i = 0; i < 8000; i += 150) for (let j = i; j < i + 75; j++) write.bucket(NAME)!.delete(key(j));
  await writtenBeforeSyncs(disk, operations, write);
  write = database.beginWrite();
  putMany(write, 8000, 11500, 1000);
  const { pieces, writes } = await writtenBeforeSyncs(disk, operations, write);
  const sizeBytes = pieces.reduce((sum, bytes) => sum + bytes);
  assert.ok(writes >= 40, `${writes} writes`);
  assert.ok(pieces.length <= 2 + sizeBytes / (256 * 1024), `${pieces.length} syncs for ${sizeBytes} bytes`);
  database.close();
});

test('a cursor that could not read the next leaf does not look for its keys in the one before', () => {
  const armed = { on: false };
  const disk = failingDisk('read', 'EIO', armed);
  let database = open(disk);
  const write = database.beginWrite();
  putMany(write, 0, 100, 100);
  write.commit();
  database.close();
  database = open(disk);
  const read = database.beginRead();
  const cursor = read.bucket(NAME)!.cursor();
  assert.ok(cursor.seekExact(key(0)));
  armed.on = true;
  const isHere = (i: number): boolean => {
    try {
      return cursor.seekExact(key(i));
    } catch (error) {
      assert.ok(error instanceof BoltError, String(error));
      return false;
    }
  };
  let i = 0;
  while (isHere(i)) i++;
  assert.ok(i > 1 && i < 100, `the leaf of key ${i} could be read`);
  armed.on = false;
  assert.ok(cursor.seekExact(key(i)));
  read.close();
  database.close();
});

/** A disk of which one kind of operation fails from some point on. */
function failingDisk(
  kind: DiskOperation['kind'],
  code: string,
  armed: { on: boolean },
  more: SimDiskOptions = {},
): SimDisk {
  return new SimDisk({
    ...more,
    onOperation: (operation) => {
      if (armed.on && operation.kind === kind) throw new DiskError(code, operation.path, `${code}: ${kind}`);
    },
  });
}

for (const [kind, code] of [
  ['allocate', 'ENOSPC'],
  ['write', 'EIO'],
  ['sync', 'EIO'],
] as const) {
  test(`after a failed ${kind} nothing is committed any more, and readers see the state before`, () => {
    for (const background of [false, true]) {
      const armed = { on: false };
      const clock = new SimClock();
      const pending: (() => void)[] = [];
      const disk = failingDisk(kind, code, armed, {
        schedule: (_operation, complete) => pending.push(complete),
      });
      const database = open(disk, { clock });
      let write = database.beginWrite();
      putMany(write, 0, 10);
      write.commit();
      armed.on = true;
      write = database.beginWrite();
      putMany(write, 10, 5000);
      const failure = { name: 'BoltError', code: 'io', message: new RegExp(code) };
      if (background) {
        let told: unknown = null;
        write.commitThen((error) => {
          told = error;
        });
        assert.equal(told, null);
        for (let turns = 0; turns < 100; turns++) {
          clock.settle();
          pending.pop()?.();
        }
        assert.throws(() => {
          throw told;
        }, failure);
      } else {
        assert.throws(() => write.commit(), failure);
      }
      armed.on = false;
      assert.throws(() => database.beginWrite(), failure);
      const read = database.beginRead();
      assert.ok(read.bucket(NAME)!.get(key(9)));
      assert.equal(read.bucket(NAME)!.get(key(10)), null);
      read.close();
      database.close();
      assert.equal(count(open(disk)), 10);
    }
  });
}

test('an unreadable page is an error with its place, and does not stay', () => {
  const armed = { on: false };
  const disk = failingDisk('read', 'EIO', armed);
  let database = open(disk);
  const write = database.beginWrite();
  putMany(write, 0, 1000);
  write.commit();
  database.close();
  database = open(disk);
  const read = database.beginRead();
  armed.on = true;
  assert.throws(() => read.bucket(NAME), { code: 'io', path: '/db' });
  armed.on = false;
  assert.ok(read.bucket(NAME)!.get(key(1)));
  read.close();
  database.close();
});

test('a snapshot is a database of its own, with the state of its transaction', async () => {
  for (const freelist of ['stored', 'rebuilt'] as const) {
    const disk = new SimDisk();
    const database = open(disk, { freelist });
    let write = database.beginWrite();
    putMany(write, 0, 2000);
    write.commit();
    const read = database.beginRead();
    const snapshot = read.snapshot();
    assert.equal(snapshot.sizeBytes, read.sizeBytes);
    const random = new SeededRandom(1);
    const chunks: Uint8Array[] = [];
    for (let from = 0; snapshot.positionBytes < snapshot.sizeBytes; from += 2000) {
      const chunk = new Uint8Array(1 + random.below(20_000));
      const bytesRead = await new Promise<number>((resolve, reject) =>
        snapshot.readThen(chunk, (error, length) => (error ? reject(error) : resolve(length))),
      );
      chunks.push(chunk.subarray(0, bytesRead));
      // Writes go on, and reuse and cut what they may.
      write = database.beginWrite();
      if (from % 4000 === 0) putMany(write, 2000 + from, 2100 + from);
      else write.deleteBucket(NAME);
      write.truncateTail();
      write.commit();
    }
    assert.equal(
      await new Promise((resolve) => snapshot.readThen(new Uint8Array(9), (_, n) => resolve(n))),
      0,
    );
    read.close();
    database.close();
    const copy = new SimDisk();
    fileWith(copy, Buffer.concat(chunks));
    const copied = open(copy);
    assert.equal(count(copied), 2000);
    write = copied.beginWrite();
    putMany(write, 2000, 2500);
    write.commit();
    assert.equal(count(copied), 2500);
    copied.close();
  }
});

test('statistics tell free and pending pages, readers and commits', () => {
  const database = open(new SimDisk(), { freelist: 'rebuilt' });
  let write = database.beginWrite();
  putMany(write, 0, 1000);
  write.commit();
  const read = database.beginRead();
  write = database.beginWrite();
  write.deleteBucket(NAME);
  write.commit();
  let statistics = database.statistics();
  assert.equal(statistics.openReaders, 1);
  assert.equal(statistics.commits, 2);
  assert.ok(statistics.pendingPages > 25);
  read.close();
  database.beginWrite().rollback();
  statistics = database.statistics();
  assert.equal(statistics.pendingPages, 0);
  assert.ok(statistics.freePages > 25);
  assert.equal(statistics.sizeInUseBytes, statistics.sizeBytes - statistics.freePages * 4096);
  database.close();
});

test('the free pages are found in slices, before the first write transaction or by it', () => {
  const disk = new SimDisk();
  let database = open(disk, { freelist: 'rebuilt' });
  for (let round = 0; round < 2; round++) {
    const write = database.beginWrite();
    putMany(write, 0, 60_000);
    write.commit();
  }
  const { freePages, pendingPages } = database.statistics();
  database.close();
  const clock = new SimClock();
  for (const interrupts of [false, true]) {
    database = open(disk, { freelist: 'rebuilt', clock });
    let done = false;
    database.loadFreelistThen((error) => {
      assert.equal(error, null);
      done = true;
    });
    assert.ok(!database.statistics().freelistLoaded);
    if (interrupts) database.beginWrite().rollback();
    assert.equal(done, false);
    clock.settle();
    assert.equal(done, true);
    assert.equal(database.statistics().freePages, freePages + pendingPages);
    assert.equal(count(database), 60_000);
    database.close();
  }
});

test('values of many pages come back whole, and go into pages of their own', () => {
  const database = open(new SimDisk(), { cacheBytes: 1 });
  const random = new SeededRandom(1);
  const sizes = [0, 1, 4000, 4096, 65_536, 70_000, 1_500_000, 5_000_000, 12_345_678];
  for (let round = 0; round < 3; round++) {
    const write = database.beginWrite();
    const bucket = write.createBucketIfNotExists(NAME);
    for (const size of sizes) {
      const value = Buffer.alloc(size, `${size}.${round}.`);
      bucket.put(Buffer.from(`v${size}`), value);
      bucket.put(key(random.below(100)), Buffer.alloc(10));
      assert.ok(value.equals(bucket.get(Buffer.from(`v${size}`))!));
    }
    write.commit();
    const read = database.beginRead();
    for (const size of sizes) {
      const value = read.bucket(NAME)!.get(Buffer.from(`v${size}`))!;
      assert.ok(Buffer.alloc(size, `${size}.${round}.`).equals(value), `${size}`);
    }
    read.close();
  }
  const total = sizes.reduce((a, b) => a + b);
  assert.ok(database.statistics().sizeInUseBytes < 2 * total * 1.05);
  assert.ok(count(database) > 0);
  database.close();
});

test('what breaks the rules of transactions is an invariant, not an error to handle', () => {
  const database = open(new SimDisk());
  const write = database.beginWrite();
  const bucket = write.createBucket(NAME);
  assert.throws(() => database.beginWrite(), { name: 'InvariantError' });
  assert.throws(() => database.close(), { name: 'InvariantError' });
  write.deleteBucket(NAME);
  assert.throws(() => bucket.put(key(1), NAME), { name: 'InvariantError' });
  write.commit();
  write.rollback();
  assert.throws(() => write.commit(), { name: 'InvariantError' });
  assert.throws(() => write.bucket(NAME), { name: 'InvariantError' });
  const read = database.beginRead();
  read.close();
  read.close();
  assert.throws(() => read.bucket(NAME), { name: 'InvariantError' });
  database.close();
  assert.throws(() => database.beginRead(), { name: 'InvariantError' });
});
