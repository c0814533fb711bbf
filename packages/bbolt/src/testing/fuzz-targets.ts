/** A database file, fed with damage: the input says what is changed in a file that has everything in it. */
import { type FuzzTarget, InputReader, SimDisk } from '@etcd/testing';
import { BoltError, type Bucket, Database } from '../index.ts';
import { decodeMeta, encodeMeta, isMetaFault } from '../meta.ts';

const PAGE_BYTES = 1024;
const MAX_STEPS = 20_000;
const MAX_DEPTH = 5;

/** Branch pages, overflow, nested, inline and empty buckets, free pages. */
function whole(): Uint8Array {
  const disk = new SimDisk();
  const database = Database.open({ disk, path: '/db', pageSizeBytes: PAGE_BYTES, freelist: 'stored' });
  for (let round = 0; round < 2; round++) {
    const write = database.beginWrite();
    const key = write.createBucketIfNotExists(Buffer.from('key'));
    for (let i = 0; i < 40; i++) {
      key.put(Buffer.from(`key${round}${i}`), Buffer.alloc(i === 7 ? 2500 : 40, i));
    }
    for (let i = 0; i < 20; i++) key.delete(Buffer.from(`key${round - 1}${i}`));
    const nested = write.createBucketIfNotExists(Buffer.from('nested'));
    const inner = nested.createBucketIfNotExists(Buffer.from('inner'));
    for (let i = 0; i < 12; i++) inner.put(Buffer.from(`k${i}`), Buffer.alloc(100));
    nested.createBucketIfNotExists(Buffer.from('inline')).put(Buffer.from('a'), Buffer.from('b'));
    write.createBucketIfNotExists(Buffer.from('empty'));
    write.commit();
  }
  const read = database.beginRead();
  const { sizeBytes } = read;
  read.close();
  database.close();
  return disk.readFile('/db').slice(0, sizeBytes);
}

let original: Uint8Array | null = null;

/** Each change has eight bytes: what, in which page, at which of its words, and with what. */
function damaged(reader: InputReader): Uint8Array {
  original ??= whole();
  let file = original.slice();
  while (!reader.isAtEnd) {
    const [what, page, word, value] = [reader.byte(), reader.byte(), reader.number(2), reader.number(4)];
    const pageCount = Math.floor(file.length / PAGE_BYTES);
    if (pageCount < 2) return file;
    const base = (page % pageCount) * PAGE_BYTES;
    const view = new DataView(file.buffer, file.byteOffset, file.length);
    const at = base + 4 * (word % (PAGE_BYTES / 4));
    if (what % 5 === 0) view.setUint32(at, value, true);
    else if (what % 5 === 1) view.setUint16(at, value & 0xffff, true);
    else if (what % 5 === 2) file[at]! ^= value & 0xff;
    else if (what % 5 === 3) {
      const from = (value % pageCount) * PAGE_BYTES;
      file.copyWithin(base, from, from + PAGE_BYTES);
      view.setUint32(base, base / PAGE_BYTES, true);
    } else if (what > 250) file = file.slice(0, at);
    else changeMeta(file, word, value);
  }
  return file;
}

/** Under a right checksum. */
function changeMeta(file: Uint8Array, word: number, value: number): void {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  for (const slot of [0, 1]) {
    const meta = decodeMeta(file, view, slot * PAGE_BYTES);
    if (isMetaFault(meta)) continue;
    const changed = { ...meta };
    if (word % 5 === 0) changed.rootPgid = value;
    else if (word % 5 === 1) changed.freelistPgid = value;
    else if (word % 5 === 2) changed.highWaterPgid = value;
    else if (word % 5 === 3) changed.pageSizeBytes = value;
    else changed.txid = value;
    const least = Math.max(changed.rootPgid, changed.freelistPgid) + 1;
    changed.highWaterPgid = Math.max(changed.highWaterPgid, least);
    encodeMeta(file, view, slot * PAGE_BYTES, changed, slot);
  }
}

/** Runs what may fail with an error of this package. */
function attempt(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof BoltError) return false;
    throw error;
  }
}

function walk(bucket: Bucket, depth: number): void {
  const cursor = bucket.cursor();
  let steps = 0;
  for (let on = cursor.first(); on; on = cursor.next()) {
    if (++steps > MAX_STEPS) throw new Error('a walk without end');
    cursor.value();
    const child = cursor.isBucket && depth < MAX_DEPTH ? bucket.bucket(cursor.key()) : null;
    if (child !== null) walk(child, depth + 1);
  }
}

function change(database: Database): void {
  const write = database.beginWrite();
  const isDone = attempt(() => {
    const bucket = write.bucket(Buffer.from('key'));
    for (let i = 0; bucket !== null && i < 10; i++) {
      if (i % 3 === 0) bucket.delete(Buffer.from(`key1${i}`));
      else bucket.put(Buffer.from(`key0${i}`), Buffer.alloc(300));
    }
    write.deleteBucket(Buffer.from('nested'));
    walk(write.root, 0);
  });
  if (isDone) attempt(() => write.commit());
  else write.rollback();
}

const bbolt: FuzzTarget = {
  name: 'bbolt',
  what: 'changes of a database file, which is then opened, walked, checked and written to',
  maxBytes: 128,
  seeds: () => [0, 1, 2, 3, 4].map((what) => Uint8Array.of(what, 3, 2, 0, 5, 0, 0, 0)),
  run: (input) => {
    const file = damaged(new InputReader(input));
    const disk = new SimDisk();
    const handle = disk.openFile('/db', { access: 'readwrite', create: true });
    handle.write(file, 0, file.length, 0);
    handle.close();
    const freelist = (input[0] ?? 0) % 2 === 0 ? 'stored' : 'rebuilt';
    let database: Database | null = null;
    attempt(() => {
      database = Database.open({ disk, path: '/db', freelist, cacheBytes: 1 });
    });
    const opened = database as Database | null;
    if (opened === null) return;
    const read = opened.beginRead();
    attempt(() => walk(read.root, 0));
    attempt(() => void [...opened.check(read)]);
    read.close();
    attempt(() => change(opened));
    opened.close();
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [bbolt];
