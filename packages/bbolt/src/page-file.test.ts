import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimDisk } from '@etcd/testing';
import { BoltError } from './bolt-error.ts';
import { Database } from './database.ts';
import { PageFile } from './page-file.ts';
import { checkDatabases } from './testing/check-databases.ts';

const left = checkDatabases();

const PAGE_BYTES = 4096;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

function makeDatabase(disk: SimDisk): void {
  const database = Database.open({ disk, path: '/db', freelist: 'stored', pageSizeBytes: PAGE_BYTES });
  const write = database.beginWrite();
  const bucket = write.createBucket(Buffer.from('large'));
  for (let i = 0; i < 300; i++) bucket.put(Buffer.from(`key ${1000 + i}`), Buffer.alloc(100, 'v'));
  bucket.put(Buffer.from('long'), Buffer.alloc(3 * PAGE_BYTES, 'x'));
  write.createBucket(Buffer.from('small')).put(Buffer.from('a'), Buffer.from('b'));
  write.commit();
  database.close();
}

function open(disk: SimDisk): PageFile {
  return PageFile.open(disk, '/db');
}

test('all keys are found by going from page to page', () => {
  const disk = new SimDisk();
  makeDatabase(disk);
  const file = open(disk);
  const keys: string[] = [];
  const buckets: string[] = [];
  const visit = (pgid: number): void => {
    const page = file.read(pgid);
    for (const { key, value, childPgid } of page.elements()) {
      if (childPgid !== null) visit(Number(childPgid));
      else if (value instanceof Uint8Array) keys.push(text(key));
      else if (value !== null) {
        buckets.push(text(key));
        if (value.rootPgid !== 0n) visit(Number(value.rootPgid));
      }
    }
  };
  visit(file.meta.rootPgid);
  assert.deepEqual(buckets, ['large', 'small']);
  assert.equal(keys.length, 301);
  assert.equal(new Set(keys).size, 301);
  file.close();
});

test('the types of pages, their sizes and free pages are told', () => {
  const disk = new SimDisk();
  makeDatabase(disk);
  const file = open(disk);
  const types = new Map<string, number>();
  const free = new Set<number>(file.read(file.meta.freelistPgid).freePgids());
  for (let pgid = 0; pgid < file.meta.highWaterPgid; ) {
    if (free.has(pgid)) {
      pgid++;
      continue;
    }
    const page = file.read(pgid);
    types.set(page.type, (types.get(page.type) ?? 0) + 1);
    assert.equal(page.bytes.length, (1 + page.overflow) * PAGE_BYTES);
    pgid += 1 + page.overflow;
  }
  assert.equal(types.get('meta'), 2);
  assert.equal(types.get('branch'), 1);
  assert.equal(types.get('freelist'), 1);
  assert.equal(file.read(0).meta().pageSizeBytes, PAGE_BYTES);
  assert.equal(file.read(0).meta().version, 2);
  file.close();
});

test('what a damaged page claims is not believed', () => {
  left.expectDamage();
  const disk = new SimDisk();
  makeDatabase(disk);
  const root = open(disk).meta.rootPgid;
  const damage = (at: number, bytes: Uint8Array): void => {
    const file = disk.openFile('/db', { access: 'readwrite' });
    file.write(bytes, 0, bytes.length, root * PAGE_BYTES + at);
    file.close();
  };
  const page = (): unknown => [...open(disk).read(root).elements()];
  const refuses = (message: RegExp): void =>
    assert.throws(page, (error) => error instanceof BoltError && message.test(error.message));
  assert.throws(() => open(disk).read(1_000_000), /behind the end of the file/);
  // An element's key far away, as many elements as do not fit, pages that are not there, another page's id.
  damage(16 + 4, Buffer.from([0xff, 0xff, 0xff, 0x7f]));
  refuses(/reaches beyond it/);
  damage(10, Buffer.from([0xff, 0xff]));
  refuses(/reaches beyond it|no room/);
  damage(12, Buffer.from([0xff, 0xff, 0xff, 0xff]));
  refuses(/claims 4294967295 overflow pages/);
  damage(0, Buffer.from([0x7f]));
  refuses(/calls itself page 127/);
});
