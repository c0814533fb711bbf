import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimDisk } from '@etcd/testing';
import { BoltError, type Bucket, compact, Database, type WritableBucket } from './index.ts';
import { decodeMeta, encodeMeta, isMetaFault } from './meta.ts';

const CASES = Number(process.env['CASES'] ?? 400);
const FIRST = Number(process.env['SEED'] ?? 1);

/** A file with everything in it: branch pages, overflow, nested, inline and empty buckets, free pages. */
function original(pageSizeBytes: number, freelist: 'stored' | 'rebuilt'): Uint8Array {
  const disk = new SimDisk();
  const database = Database.open({ disk, path: '/db', pageSizeBytes, freelist });
  for (let round = 0; round < 4; round++) {
    const write = database.beginWrite();
    const key = write.createBucketIfNotExists(Buffer.from('key'));
    for (let i = 0; i < 150; i++)
      key.put(Buffer.from(`key${round}${i}`), Buffer.alloc(i % 40 === 0 ? 5000 : 60, i));
    for (let i = 0; i < 60; i++) key.delete(Buffer.from(`key${round - 1}${i}`));
    const nested = write.createBucketIfNotExists(Buffer.from('nested'));
    const inner = nested.createBucketIfNotExists(Buffer.from('inner'));
    for (let i = 0; i < 30; i++) inner.put(Buffer.from(`k${i}`), Buffer.alloc(100));
    nested.createBucketIfNotExists(Buffer.from('inline')).put(Buffer.from('a'), Buffer.from('b'));
    write.createBucketIfNotExists(Buffer.from('empty'));
    write.commit();
  }
  const read = database.beginRead();
  const size = read.sizeBytes;
  read.close();
  database.close();
  return disk.readFile('/db').slice(0, size);
}

const INTERESTING = [
  0, 1, 2, 3, 5, 16, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
];

/** Damages a file in one of the ways that disks, bugs and enemies do. */
function damage(file: Uint8Array, pageSizeBytes: number, random: SeededRandom): Uint8Array {
  const pages = Math.floor(file.length / pageSizeBytes);
  if (pages < 2) return file;
  const view = new DataView(file.buffer, file.byteOffset);
  const page = random.below(pages) * pageSizeBytes;
  switch (random.below(8)) {
    case 0:
      file[random.below(file.length)]! ^= 1 << random.below(8);
      break;
    case 1: {
      // A field of a header or of one of the first elements.
      const at = page + random.below(40) * 4;
      view.setUint32(at, random.chance(0.5) ? random.pick(INTERESTING) : random.below(pages), true);
      break;
    }
    case 2: {
      const other = random.below(pages) * pageSizeBytes;
      file.copyWithin(page, other, other + pageSizeBytes);
      if (random.chance(0.7)) view.setUint32(page, page / pageSizeBytes, true);
      break;
    }
    case 3:
      for (let i = random.below(64); i >= 0; i--)
        file[page + random.below(pageSizeBytes)] = random.below(256);
      break;
    case 4:
      return file.slice(0, random.below(file.length));
    case 5:
      file.fill(random.pick([0, 0xff]), page, page + random.below(pageSizeBytes));
      break;
    case 6:
      // Children and bucket roots are page ids: make one point elsewhere.
      view.setUint32(page + 16 + 16 * random.below(20) + 8, random.below(pages + 2), true);
      break;
    default:
      changeMeta(file, pageSizeBytes, random, pages);
  }
  return file;
}

/** Lets both meta pages say something else, under a right checksum. */
function changeMeta(file: Uint8Array, pageSizeBytes: number, random: SeededRandom, pages: number): void {
  const view = new DataView(file.buffer, file.byteOffset);
  const field = random.below(5);
  const value = random.chance(0.3) ? random.pick(INTERESTING) : random.below(pages + 3);
  for (const slot of [0, 1]) {
    const base = slot * pageSizeBytes;
    const meta = decodeMeta(file, view, base);
    if (isMetaFault(meta)) continue;
    const changed = { ...meta };
    if (field === 0) changed.rootPgid = value;
    else if (field === 1) changed.freelistPgid = value - 1;
    else if (field === 2) changed.highWaterPgid = value;
    else if (field === 3) changed.pageSizeBytes = value;
    else changed.txid = value;
    changed.highWaterPgid = Math.max(changed.highWaterPgid, changed.rootPgid + 1, changed.freelistPgid + 1);
    encodeMeta(file, view, base, changed, slot);
  }
}

function diskWith(file: Uint8Array): SimDisk {
  const disk = new SimDisk();
  const handle = disk.openFile('/db', { access: 'readwrite', create: true });
  handle.write(file, 0, file.length, 0);
  handle.close();
  return disk;
}

/** Runs what may fail with an error of this package; anything else is a failure of the test. */
function attempt<T>(run: () => T, seen: Set<string>): T | null {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof BoltError)) throw error;
    seen.add(error.code);
    if (error.code === 'corrupt' && error.pgid !== undefined)
      assert.match(error.message, /page \d+ \(offset \d+\)/);
    return null;
  }
}

function walk(bucket: Bucket, depth: number): void {
  const cursor = bucket.cursor();
  let steps = 0;
  for (let on = cursor.first(); on; on = cursor.next()) {
    assert.ok(++steps < 100_000, 'a walk without end');
    cursor.value();
    // Under wrong separators a key may be met in passing that no search finds.
    const child = cursor.isBucket && depth < 5 ? bucket.bucket(cursor.key()) : null;
    if (child !== null) walk(child, depth + 1);
  }
  for (let on = cursor.last(); on; on = cursor.previous()) assert.ok(++steps < 200_000, 'a walk without end');
}

function scribble(bucket: WritableBucket, random: SeededRandom): void {
  for (let i = 0; i < 40; i++) {
    const key = Buffer.from(`key${random.below(4)}${random.below(150)}`);
    if (random.chance(0.6)) bucket.delete(key);
    else bucket.put(key, Buffer.alloc(random.pick([10, 2000])));
  }
}

/** Everything that one can do with a database. */
function use(disk: SimDisk, random: SeededRandom, freelist: 'stored' | 'rebuilt', seen: Set<string>): void {
  const database = attempt(() => Database.open({ disk, path: '/db', freelist, cacheBytes: 1 }), seen);
  if (database === null) return;
  const read = database.beginRead();
  attempt(() => walk(read.root, 0), seen);
  attempt(() => [...database.check(read)], seen);
  const copy = Database.open({ disk: new SimDisk(), path: '/copy' });
  attempt(() => [...compact(read, copy)], seen);
  const snapshot = read.snapshot();
  const chunk = new Uint8Array(10_000);
  while (snapshot.read(chunk) > 0);
  read.close();
  for (let round = 0; round < 3; round++) {
    const write = attempt(() => database.beginWrite(), seen);
    if (write === null) break;
    const fine = attempt(() => {
      const bucket = write.bucket(Buffer.from('key'));
      if (bucket !== null) scribble(bucket, random);
      if (round === 1) write.deleteBucket(Buffer.from('nested'));
      if (round === 2) write.deleteBucket(Buffer.from('key'));
      attempt(() => database.defragment().step(write, 1 << 20), seen);
      walk(write.root, 0);
      return true;
    }, seen);
    if (fine === null) write.rollback();
    else if (attempt(() => write.commit(), seen) === null && database.statistics().commits <= round) break;
  }
  const after = database.beginRead();
  attempt(() => walk(after.root, 0), seen);
  after.close();
  database.close();
}

for (const freelist of ['stored', 'rebuilt'] as const) {
  for (const pageSizeBytes of [1024, 4096]) {
    test(`S17 damaged files end in a clear error: pages of ${pageSizeBytes}, ${freelist} freelist`, () => {
      const file = original(pageSizeBytes, freelist);
      const seen = new Set<string>();
      for (let seed = FIRST; seed < FIRST + CASES; seed++) {
        const random = new SeededRandom(seed);
        let damaged: Uint8Array = file.slice();
        for (let i = random.below(3); i >= 0; i--) damaged = damage(damaged, pageSizeBytes, random);
        try {
          use(diskWith(damaged), random, freelist, seen);
        } catch (error) {
          throw new Error(`seed ${seed}`, { cause: error });
        }
      }
      for (const code of ['corrupt', 'truncated']) assert.ok(seen.has(code), `${code} in ${[...seen]}`);
    });
  }
}
