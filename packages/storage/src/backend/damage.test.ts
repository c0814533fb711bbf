/** A page that is found damaged while the backend is open: told to whoever ends the process, and to everybody who waits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BoltError, Database } from '@etcd/bbolt';
import { damageLeaves, SimClock, SimDisk } from '@etcd/testing';
import { Backend } from './backend.ts';
import { defineBucket } from './bucket.ts';

const BIG = defineBucket('big');
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const KEYS = 2000;
const keyOf = (i: number): Uint8Array => bytes(`key ${String(i).padStart(5, '0')}`);

/** A backend on a file whose leaves are damaged, and what it has told. */
class Damaged {
  readonly clock = new SimClock();
  readonly backend: Backend;
  readonly fatal: BoltError[] = [];
  readonly told: (string | undefined)[] = [];

  constructor() {
    const { clock } = this;
    const disk = new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) });
    const database = Database.open({ disk, path: '/db' });
    const write = database.beginWrite();
    const bucket = write.createBucket(BIG.nameBytes);
    for (let i = 0; i < KEYS; i++) bucket.put(keyOf(i), bytes('x'.repeat(100)));
    write.commit();
    database.close();
    this.backend = new Backend({
      disk,
      clock,
      path: '/db',
      batchLimit: KEYS,
      cacheBytes: 1,
      onFatal: (error) => this.fatal.push(error),
    });
    clock.settle();
    assert.ok(damageLeaves(disk, '/db') > 10);
  }

  readonly tell = (error: BoltError | null): void => {
    this.told.push(error?.code);
  };

  close(): boolean {
    let isClosed = false;
    this.backend.closeThen(() => {
      isClosed = true;
    });
    this.clock.advance(1000);
    return isClosed;
  }
}

test('damage that is met while a commit is gathered is fatal once; all who wait are told, and the file can be closed', () => {
  const { backend, clock, fatal, told, tell } = new Damaged();
  backend.put(BIG, keyOf(KEYS / 2), bytes('new'));
  backend.commitNowThen(tell);
  clock.advance(1000);
  assert.deepEqual([fatal.map(({ code }) => code), told], [['corrupt'], ['corrupt']]);
  assert.match(fatal[0]!.message, /^\/db: page \d+ \(offset \d+\): /);
  backend.commitNowThen(tell);
  backend.defragThen(tell);
  backend.put(BIG, keyOf(1), bytes('later'));
  clock.advance(1000);
  assert.deepEqual([fatal.length, told], [1, ['corrupt', 'corrupt', 'corrupt']]);
});

test('damage behind the first slice of a long batch ends it as well, with those that wait for the batch behind it', () => {
  const { backend, clock, fatal, told, tell } = new Damaged();
  const OTHER = defineBucket('another');
  backend.createBucket(OTHER);
  for (let i = 0; i < 1500; i++) backend.put(OTHER, keyOf(i), bytes('y'));
  backend.put(BIG, keyOf(7), bytes('new'));
  backend.commitNowThen((error) => {
    tell(error);
    // Told in the middle of what is being given up: nothing may be begun anew.
    backend.commitNowThen(tell);
  });
  clock.settle();
  backend.commitNowThen(tell);
  clock.advance(1000);
  assert.deepEqual([fatal.length, told], [1, ['corrupt', 'corrupt', 'corrupt']]);
});

test('a backend that has met damage closes in order, and at once', () => {
  const inOrder = new Damaged();
  inOrder.backend.put(BIG, keyOf(7), bytes('new'));
  inOrder.clock.advance(1000);
  assert.equal(inOrder.fatal.length, 1);
  assert.equal(inOrder.close(), true);
  assert.equal(inOrder.backend.isOpen, false);
  const atOnce = new Damaged();
  atOnce.backend.put(BIG, keyOf(7), bytes('new'));
  atOnce.clock.advance(1000);
  atOnce.backend.close();
  assert.equal(atOnce.backend.isOpen, false);
});

test('damage that a defragmentation meets is fatal, and whoever asked for it is told', () => {
  const { backend, clock, fatal, told, tell } = new Damaged();
  backend.deleteBucket(BIG);
  backend.defragThen(tell);
  clock.advance(1000);
  assert.deepEqual([fatal.map(({ code }) => code), told], [['corrupt'], ['corrupt']]);
});

test('damage that a hash meets is fatal: what is read in a turn of its own has nobody else to tell', () => {
  const { backend, clock, fatal } = new Damaged();
  backend.hashThen(
    () => false,
    () => assert.fail('there is no hash'),
  );
  clock.advance(1000);
  assert.deepEqual(
    fatal.map(({ code }) => code),
    ['corrupt'],
  );
});

test('a turn that breaks an invariant is not taken for damage', () => {
  const { backend, fatal } = new Damaged();
  assert.throws(
    () =>
      backend.inTurn(() => {
        throw new TypeError('of the program');
      }),
    /of the program/,
  );
  assert.deepEqual(fatal, []);
});

test('a hash that is under way when the backend closes ends without a word', () => {
  const clock = new SimClock();
  const disk = new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) });
  const backend = new Backend({ disk, clock, path: '/db', onFatal: (error) => assert.fail(error) });
  backend.createBucket(BIG);
  for (let i = 0; i < 30_000; i++) backend.put(BIG, keyOf(i), bytes('x'));
  clock.advance(1000);
  let hashes = 0;
  backend.commitNowThen(() => {
    backend.hashThen(
      () => false,
      () => hashes++,
    );
    backend.closeThen(() => {});
  });
  clock.advance(1000);
  assert.deepEqual([backend.isOpen, hashes], [false, 0]);
});
