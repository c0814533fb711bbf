import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimDisk } from '@etcd/testing';
import { compact, Database, type ReadTransaction } from './index.ts';
import { checkDatabases } from './testing/check-databases.ts';

checkDatabases();

const NAME = Buffer.from('key');

function key(number: number): Buffer {
  const bytes = Buffer.alloc(17);
  bytes.writeUInt32BE(number, 4);
  bytes[8] = 0x5f;
  return bytes;
}

function assertSound(database: Database): void {
  const read = database.beginRead();
  assert.deepEqual(
    [...database.check(read)].filter((finding) => finding !== null),
    [],
  );
  read.close();
}

/** Everything in it, as one string a bucket. */
function contents(read: ReadTransaction): string[] {
  const found: string[] = [];
  const names = read.root.cursor();
  for (let on = names.first(); on; on = names.next()) {
    const bucket = read.bucket(names.key())!;
    const cursor = bucket.cursor();
    let text = `${Buffer.from(names.key())} ${bucket.sequence()}: `;
    for (let onKey = cursor.first(); onKey; onKey = cursor.next()) {
      text += `${Buffer.from(cursor.key()).toString('hex')}=${cursor.valueEnd - cursor.valueStart},`;
    }
    found.push(text);
  }
  return found;
}

interface Shape {
  readonly name: string;
  readonly valueBytes: (random: SeededRandom) => number;
  readonly keep: (number: number, random: SeededRandom) => boolean;
}

const SHAPES: readonly Shape[] = [
  { name: 'every other key deleted', valueBytes: () => 250, keep: (number) => number % 2 === 0 },
  { name: 'nine of ten deleted at random', valueBytes: () => 250, keep: (_, random) => random.chance(0.1) },
  { name: 'the first half deleted', valueBytes: () => 250, keep: (number) => number > 4000 },
  { name: 'the last half deleted', valueBytes: () => 250, keep: (number) => number < 4000 },
  { name: 'nothing deleted', valueBytes: () => 250, keep: () => true },
  {
    name: 'small and large values',
    valueBytes: (random) => random.pick([10, 100, 100, 100, 1000, 1000, 5000, 20_000]),
    keep: (_, random) => random.chance(0.3),
  },
];

/** Eight thousand keys in commits of five hundred, then the deletes in commits of a thousand. */
function fill(database: Database, shape: Shape, seed: number): void {
  const random = new SeededRandom(seed);
  for (let from = 0; from < 8000; from += 500) {
    const write = database.beginWrite();
    const bucket = write.createBucketIfNotExists(NAME);
    bucket.fillPercent = 0.9;
    for (let i = from; i < from + 500; i++) bucket.put(key(i), Buffer.alloc(shape.valueBytes(random)));
    const meta = write.createBucketIfNotExists(Buffer.from('meta'));
    meta.put(Buffer.from('consistent_index'), key(from));
    meta.nextSequence();
    write.commit();
  }
  for (let from = 0; from < 8000; from += 1000) {
    const write = database.beginWrite();
    const bucket = write.bucket(NAME)!;
    for (let i = from; i < from + 1000; i++) if (!shape.keep(i, random)) bucket.delete(key(i));
    write.commit();
  }
}

/** The size of a fresh copy. */
function copiedSize(database: Database, read: ReadTransaction): number {
  const disk = new SimDisk();
  const target = Database.open({
    disk,
    path: '/copy',
    pageSizeBytes: database.pageSizeBytes,
    freelist: 'rebuilt',
  });
  for (const _ of compact(read, target));
  assertSound(target);
  const copy = target.beginRead();
  assert.deepEqual(contents(copy), contents(read));
  copy.close();
  const { sizeInUseBytes } = target.statistics();
  target.close();
  return sizeInUseBytes;
}

for (const shape of SHAPES) {
  for (const freelist of ['stored', 'rebuilt'] as const) {
    test(`defragmentation in steps makes the file as small as a copy: ${shape.name}, ${freelist} freelist`, () => {
      const disk = new SimDisk();
      const database = Database.open({ disk, path: '/db', freelist, cacheBytes: 1 });
      fill(database, shape, 7);
      const before = database.beginRead();
      const expected = contents(before);
      const ideal = copiedSize(database, before);
      before.close();
      const defragmentation = database.defragment();
      let steps = 0;
      for (let done = false; !done; steps++) {
        assert.ok(steps < 2000, 'it comes to an end');
        // Readers come and go meanwhile, and keep what they see.
        const read = database.beginRead();
        const write = database.beginWrite();
        write.bucket(Buffer.from('meta'))!.put(Buffer.from('consistent_index'), key(steps));
        ({ done } = defragmentation.step(write, 256 << 10));
        write.commit();
        if (steps % 10 === 0) assert.deepEqual(contents(read), expected);
        read.close();
        if (steps % 10 === 0) assertSound(database);
      }
      assertSound(database);
      const after = database.beginRead();
      assert.deepEqual(contents(after), expected);
      after.close();
      const { fileSizeBytes } = database.statistics();
      assert.ok(
        fileSizeBytes <= ideal * 1.1 + 16 * 4096,
        `${fileSizeBytes} bytes, a copy has ${ideal}, in ${steps} steps`,
      );
      assert.equal(disk.stat('/db')!.sizeBytes, fileSizeBytes);
      database.close();
      assertSound(Database.open({ disk, path: '/db' }));
    });
  }
}

function defragmentWhole(database: Database): void {
  const defragmentation = database.defragment();
  for (let done = false; !done; ) {
    const write = database.beginWrite();
    ({ done } = defragmentation.step(write, 1 << 20));
    write.commit();
  }
  assertSound(database);
}

test('a reader that stays open keeps its pages while the file is made smaller around them', () => {
  const database = Database.open({ disk: new SimDisk(), path: '/db', freelist: 'rebuilt', cacheBytes: 1 });
  fill(database, SHAPES[0]!, 3);
  const read = database.beginRead();
  const expected = contents(read);
  defragmentWhole(database);
  assert.deepEqual(contents(read), expected);
  const pinned = database.statistics();
  assert.ok(pinned.pendingPages > 50);
  read.close();
  defragmentWhole(database);
  assert.ok(database.statistics().fileSizeBytes < pinned.fileSizeBytes / 1.5);
  database.close();
});

test('a large value moves to the front although only single pages are free there', () => {
  const disk = new SimDisk();
  const database = Database.open({ disk, path: '/db', freelist: 'rebuilt' });
  fill(database, { name: '', valueBytes: () => 1500, keep: () => true }, 1);
  const write = database.beginWrite();
  write.bucket(NAME)!.put(key(9000), Buffer.alloc(400_000));
  for (let i = 0; i < 8000; i++) if (i % 4 !== 0) write.bucket(NAME)!.delete(key(i));
  write.commit();
  const read = database.beginRead();
  const ideal = copiedSize(database, read);
  read.close();
  defragmentWhole(database);
  assert.ok(
    database.statistics().fileSizeBytes <= ideal * 1.1,
    `${database.statistics().fileSizeBytes} and ${ideal}`,
  );
  database.close();
});

test('leaves that a transaction empties before a step of the defragmentation leave no page behind', () => {
  for (const freelist of ['stored', 'rebuilt'] as const) {
    const database = Database.open({ disk: new SimDisk(), path: '/db', freelist });
    fill(database, SHAPES[4]!, 5);
    const defragmentation = database.defragment();
    // A compaction deletes its revisions from the front on, while the file is made smaller.
    for (let from = 0; from < 7000; from += 1000) {
      const write = database.beginWrite();
      const bucket = write.bucket(NAME)!;
      for (let i = from; i < from + 1000; i++) bucket.delete(key(i));
      defragmentation.step(write, 256 << 10);
      write.commit();
      assertSound(database);
    }
    const read = database.beginRead();
    const cursor = read.bucket(NAME)!.cursor();
    assert.equal(cursor.first(), true);
    assert.deepEqual(Buffer.from(cursor.key()), key(7000));
    read.close();
    database.close();
  }
});
