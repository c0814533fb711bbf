/** What waits for a commit, when one begins, and that all is given back in the end: timers, readers, files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32cUpdate, DiskError, SeededRandom } from '@etcd/base';
import { type CommitStatistics, Database } from '@etcd/bbolt';
import { type DiskOperation, SimClock, SimDisk } from '@etcd/testing';
import type { BackendOptions, BackendReader, BackendSnapshot } from './api.ts';
import { Backend } from './backend.ts';
import { defineBucket } from './bucket.ts';
import { checkDatabases } from './testing/check-databases.ts';
import { transactionReader } from './transaction-reader.ts';
import { transactionWriter } from './transaction-writer.ts';

checkDatabases();

const META = defineBucket('meta');
const OTHER = defineBucket('other');
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** A backend on a disk that takes a millisecond for each operation, and what has happened to both. */
class World {
  readonly clock = new SimClock();
  readonly operations: DiskOperation[] = [];
  readonly disk = new SimDisk({
    schedule: (_operation, complete) => this.clock.setTimer(1, complete),
    onOperation: (operation) => this.operations.push(operation),
  });

  open(options: Partial<BackendOptions> = {}): Backend {
    const { clock, disk } = this;
    const backend = new Backend({
      disk,
      clock,
      path: '/db',
      onFatal: (error) => assert.fail(error),
      ...options,
    });
    clock.advance(10);
    return backend;
  }

  close(backend: Backend): void {
    let isClosed = false;
    backend.closeThen((error) => {
      assert.equal(error, null);
      isClosed = true;
    });
    this.clock.advance(1000);
    assert.ok(isClosed && !backend.isOpen);
    assert.deepEqual(this.disk.openPaths(), []);
    assert.equal(this.clock.step(), false, 'nothing is left that wants to run');
  }
}

function commitsOf(backend: Backend): number {
  return backend.database.statistics().commits;
}

function writeRevision(backend: Backend, main: number, length: number, isTombstone = false): void {
  const { buffer, start, end } = backend.reserveRevision(main, 0, isTombstone, length);
  buffer.fill(main & 0xff, start, end);
}

test('what waits is counted to the byte until its commit is durable, and a commit under way beside what is newer', () => {
  const world = new World();
  const backend = world.open({ maxPendingBytes: 1000 });
  const waiting = (): number[] => [backend.pendingOperations, backend.pendingBytes];
  backend.startRevisions(1);
  assert.deepEqual(waiting(), [0, 0]);
  backend.createBucket(META);
  assert.deepEqual(waiting(), [1, 0]);
  backend.put(META, bytes('key'), bytes('value'));
  assert.deepEqual(waiting(), [2, 3 + 5 + 64]);
  backend.put(META, bytes('key'), bytes('other'));
  assert.deepEqual(waiting(), [3, 2 * 72], 'what was overwritten in the same batch still counts');
  backend.delete(META, bytes('key!'));
  assert.deepEqual(waiting(), [4, 144 + 4 + 64]);
  writeRevision(backend, 2, 100);
  writeRevision(backend, 3, 0, true);
  assert.deepEqual(waiting(), [6, 312]);
  backend.deleteRevision(1, 0, false);
  backend.deleteBucket(OTHER);
  assert.deepEqual(waiting(), [8, 312]);
  backend.commitNowThen(() => {});
  world.clock.settle();
  assert.deepEqual(waiting(), [0, 312], 'the commit has begun');
  writeRevision(backend, 4, 500);
  backend.put(META, bytes('k'), bytes('v'));
  assert.deepEqual(waiting(), [2, 312 + 500 + 66]);
  assert.equal(backend.overloaded, false);
  writeRevision(backend, 5, 122);
  assert.deepEqual([backend.pendingBytes, backend.overloaded], [1000, false], 'as much as it may be');
  writeRevision(backend, 6, 1);
  assert.equal(backend.overloaded, true);
  assert.ok(world.clock.advanceUntil(() => !backend.overloaded, 50));
  assert.deepEqual(
    waiting(),
    [4, 689],
    'the first commit is durable, the second not begun: its interval has not passed',
  );
  world.clock.advance(200);
  assert.deepEqual(waiting(), [0, 0]);
  world.close(backend);
});

test('a batch begins to be committed with the change that reaches the limit, be it of a bucket or a revision', () => {
  const changes: readonly ((backend: Backend, i: number) => void)[] = [
    (backend, i) => backend.put(META, bytes(`${i}`), bytes('')),
    (backend, i) => backend.delete(META, bytes(`${i}`)),
    (backend, i) => writeRevision(backend, 2 + i, 3),
    (backend, i) => backend.deleteRevision(2 + i, 0, false),
  ];
  for (const change of changes) {
    const world = new World();
    const backend = world.open({ batchIntervalMs: 1e6, batchLimit: 7 });
    backend.startRevisions(1);
    for (let i = 0; i < 6; i++) change(backend, i);
    world.clock.advance(1000);
    assert.deepEqual([commitsOf(backend), backend.pendingOperations], [0, 6]);
    change(backend, 6);
    assert.equal(backend.pendingOperations, 7, 'not in the middle of a turn');
    world.clock.advance(1000);
    assert.deepEqual([commitsOf(backend), backend.pendingOperations], [1, 0]);
    world.close(backend);
  }
});

test('an interval begins with the first change, and one that passes during a commit makes the next follow at once', () => {
  const world = new World();
  const beginnings: number[] = [];
  const backend = world.open({ batchIntervalMs: 10 });
  backend.setPreCommitHook(() => beginnings.push(world.clock.now()));
  const start = world.clock.now();
  world.clock.advance(25);
  backend.put(META, bytes('a'), bytes('1'));
  world.clock.advance(4);
  backend.put(META, bytes('a'), bytes('2'));
  assert.ok(world.clock.advanceUntil(() => beginnings.length === 1, 100));
  const last = world.clock.now();
  assert.equal(last, start + 35);
  // Half of a commit is over when this comes, and more than all of it when its interval has passed.
  backend.put(META, bytes('a'), bytes('3'));
  assert.ok(world.clock.advanceUntil(() => beginnings.length === 2, 100));
  assert.ok(world.clock.now() >= last + 10);
  world.clock.advance(1000);
  assert.equal(beginnings.length, 2);
  world.close(backend);
});

test('default limits are those of etcd: a tenth of a second, ten thousand changes', () => {
  const world = new World();
  const backend = world.open();
  const began = world.clock.now();
  backend.put(META, bytes('a'), bytes('1'));
  assert.ok(world.clock.advanceUntil(() => backend.pendingOperations === 0, 1000));
  assert.equal(world.clock.now(), began + 100);
  world.clock.advance(100);
  for (let i = 0; i < 9999; i++) backend.delete(META, bytes('a'));
  world.clock.advance(50);
  assert.equal(backend.pendingOperations, 9999);
  backend.delete(META, bytes('a'));
  world.clock.settle();
  assert.equal(backend.pendingOperations, 0);
  world.close(backend);
});

test('a commit for nothing is none, and calls back all the same, in a turn of its own', () => {
  const world = new World();
  const backend = world.open();
  let hooks = 0;
  let calls = 0;
  backend.setPreCommitHook(() => hooks++);
  backend.commitNowThen((error) => {
    assert.equal(error, null);
    calls++;
  });
  assert.equal(calls, 0);
  world.clock.settle();
  assert.deepEqual([calls, hooks, commitsOf(backend)], [1, 0, 0]);
  world.close(backend);
});

test('what a commit took, and the sizes that it leaves, are told', () => {
  const world = new World();
  const told: [number, CommitStatistics][] = [];
  const backend = world.open({ onCommit: (durationMs, statistics) => told.push([durationMs, statistics]) });
  const sizes = ({ database } = backend): number[] => {
    const { sizeBytes, sizeInUseBytes } = database.statistics();
    return [sizeBytes, sizeInUseBytes];
  };
  assert.deepEqual([backend.sizeBytes, backend.sizeInUseBytes], sizes());
  assert.deepEqual([backend.path, backend.pageSizeBytes], ['/db', 4096]);
  backend.put(META, bytes('a'), new Uint8Array(100_000));
  backend.commitNowThen(() => {});
  const began = world.clock.now();
  assert.ok(world.clock.advanceUntil(() => told.length > 0, 100));
  assert.equal(told[0]![0], world.clock.now() - began);
  assert.ok(told[0]![0] > 0);
  assert.deepEqual(told[0]![1], backend.database.statistics().lastCommit);
  world.clock.advance(10);
  assert.deepEqual([backend.sizeBytes, backend.sizeInUseBytes], sizes());
  assert.ok(backend.sizeInUseBytes > 100_000 && backend.sizeInUseBytes <= backend.sizeBytes);
  const before = backend.sizeInUseBytes;
  backend.deleteBucket(META);
  world.clock.advance(200);
  // The pages are free when the commit behind that which dropped them is there.
  backend.put(OTHER, bytes('a'), bytes('1'));
  world.clock.advance(200);
  assert.deepEqual([backend.sizeBytes, backend.sizeInUseBytes], sizes());
  assert.ok(backend.sizeInUseBytes < before - 90_000);
  world.close(backend);
  const again = world.open();
  assert.deepEqual(
    [again.sizeBytes, again.sizeInUseBytes],
    sizes(again),
    'the free pages are known when they are found',
  );
  world.close(again);
});

test('without syncs nothing is synced, with them every commit is', () => {
  for (const noSync of [false, true, undefined]) {
    const world = new World();
    const backend = world.open({ noSync });
    const before = world.operations.length;
    backend.put(META, bytes('a'), bytes('1'));
    world.close(backend);
    const syncs = world.operations.slice(before).filter(({ kind }) => kind === 'sync').length;
    assert.equal(syncs > 0, noSync !== true);
  }
});

/** The hash of what a file holds, in one go. */
function hashOf(disk: SimDisk): number {
  const database = Database.open({ disk, path: '/db', readOnly: true });
  const read = database.beginRead();
  const buckets = read.root.cursor();
  let hash = 0;
  const take = (part: Uint8Array): void => {
    hash = crc32cUpdate(hash, part, 0, part.length);
  };
  for (let on = buckets.first(); on; on = buckets.next()) {
    take(buckets.key());
    const cursor = read.bucket(buckets.key())!.cursor();
    for (let found = cursor.first(); found; found = cursor.next()) {
      take(cursor.key());
      take(cursor.value());
    }
  }
  read.close();
  database.close();
  return hash;
}

test('a hash is taken in slices of ten thousand keys or a megabyte, and is that of all there is', () => {
  const world = new World();
  const backend = world.open();
  const before = backend.database.statistics().openReaders;
  const many = defineBucket('many');
  const large = defineBucket('large');
  const turnsOf = (): number => {
    let turns = 0;
    let hash = -1;
    backend.commitNowThen(() => {
      backend.hashThen(
        () => false,
        (error, result) => {
          assert.equal(error, null);
          hash = result;
        },
      );
      const turn = (): void => {
        if (hash >= 0) return;
        turns++;
        world.clock.defer(turn);
      };
      world.clock.defer(turn);
    });
    world.clock.advance(1000);
    assert.equal(backend.database.statistics().openReaders, before);
    assert.equal(hash, hashOf(world.disk.killImage()));
    return turns;
  };
  backend.createBucket(many);
  const least = turnsOf();
  for (let i = 0; i < 9999; i++) backend.put(many, bytes(`k${i}`), bytes('v'));
  assert.equal(turnsOf(), least);
  for (let i = 0; i < 10_001; i++) backend.put(many, bytes(`l${i}`), bytes('v'));
  assert.equal(turnsOf(), least + 2);
  backend.deleteBucket(many);
  for (let i = 0; i < 8; i++) backend.put(large, bytes(`k${i}`), new Uint8Array(500 * 1024).fill(i));
  // Three of them are more than a megabyte: slices of three, three and two.
  assert.equal(turnsOf(), least + 2);
  world.close(backend);
});

test('a file that was replaced is let go when the last who holds it, and the last transaction, is done', () => {
  const world = new World();
  const backend = world.open();
  backend.startRevisions(1);
  writeRevision(backend, 2, 5);
  backend.retain();
  backend.retain();
  let snapshot: BackendSnapshot | null = null;
  backend.snapshotThen((_error, given) => {
    snapshot = given;
  });
  world.clock.advance(200);
  backend.retire();
  world.clock.advance(1000);
  backend.release();
  world.clock.advance(1000);
  assert.ok(backend.isOpen && backend.readRevision(2, 0), 'one holds it still');
  assert.throws(() => backend.put(META, bytes('a'), bytes('b')), { name: 'InvariantError' });
  backend.release();
  world.clock.advance(1000);
  assert.ok(backend.isOpen, 'a client reads it still');
  assert.deepEqual(world.disk.openPaths(), ['/db']);
  snapshot!.close();
  world.clock.advance(99);
  assert.ok(backend.isOpen);
  world.clock.advance(1);
  assert.ok(!backend.isOpen);
  assert.deepEqual(world.disk.openPaths(), []);
  assert.throws(() => backend.release(), { name: 'InvariantError' });
  assert.equal(world.clock.step(), false);
});

test('a file that was replaced and nobody holds is let go as soon as what was pending is durable', () => {
  const world = new World();
  const backend = world.open();
  backend.retain();
  backend.release();
  backend.put(META, bytes('a'), bytes('b'));
  backend.retire();
  assert.ok(backend.isOpen);
  assert.ok(world.clock.advanceUntil(() => !backend.isOpen, 50));
  assert.deepEqual(world.disk.openPaths(), []);
  assert.equal(world.clock.step(), false, 'the interval is not waited for');
});

test('closing at once commits what is pending and tells who waits for it, and refuses while a commit is under way', () => {
  const world = new World();
  const backend = world.open();
  backend.startRevisions(1);
  let told = 0;
  writeRevision(backend, 2, 3);
  backend.put(META, bytes('a'), bytes('b'));
  backend.commitNowThen((error) => {
    assert.equal(error, null);
    told++;
  });
  backend.close();
  assert.deepEqual([told, backend.isOpen, world.disk.openPaths()], [1, false, []]);
  for (const use of [
    () => backend.put(META, bytes('a'), bytes('b')),
    () => backend.commitNowThen(() => {}),
    () => backend.defragThen(() => {}),
    () => backend.closeThen(() => {}),
    () => backend.retain(),
    () => backend.retire(),
  ]) {
    assert.throws(use, { name: 'InvariantError' });
  }
  world.clock.advance(1000);
  assert.equal(world.clock.step(), false);
  const again = world.open();
  again.startRevisions(2);
  assert.deepEqual([again.readRevision(2, 0), again.get(META, bytes('a'))?.length], [true, 1]);
  again.put(META, bytes('a'), bytes('c'));
  again.commitNowThen(() => {});
  world.clock.settle();
  assert.throws(() => again.close(), { name: 'InvariantError' });
  world.clock.advance(100);
  const before = world.operations.length;
  again.close();
  assert.equal(world.operations.length, before, 'nothing is written for nothing');
});

test('readers and files of a backend are as many after as before, whatever it did', () => {
  const world = new World();
  const random = new SeededRandom(2);
  const backend = world.open({ batchLimit: 50 });
  backend.startRevisions(1);
  const before = backend.database.statistics().openReaders;
  let open = 0;
  for (let i = 2; i < 400; i++) {
    writeRevision(backend, i, random.below(2000));
    if (random.chance(0.1))
      backend.hashThen(
        () => false,
        () => {},
      );
    if (random.chance(0.05)) backend.defragThen((error) => assert.equal(error, null));
    if (random.chance(0.1)) {
      open++;
      backend.snapshotThen((_error, snapshot) => {
        world.clock.setTimer(random.below(50), () => {
          snapshot!.close();
          open--;
        });
      });
    }
    world.clock.advance(random.below(8));
  }
  world.clock.advance(2000);
  assert.deepEqual([open, backend.isDefragmenting], [0, false]);
  assert.equal(backend.database.statistics().openReaders, before);
  assert.deepEqual(world.disk.openPaths(), ['/db']);
  world.close(backend);
});

test('closing ends a defragmentation that is under way, and whoever asked for it is told', () => {
  const world = new World();
  const backend = world.open();
  for (let i = 0; i < 600; i++) backend.put(META, bytes(`k${i}`), new Uint8Array(10_000));
  world.clock.advance(1000);
  for (let i = 0; i < 600; i += 2) backend.delete(META, bytes(`k${i}`));
  world.clock.advance(1000);
  const told: (string | undefined)[] = [];
  backend.defragThen((error) => told.push(error?.code));
  backend.defragThen((error) => told.push(error?.code));
  world.clock.settle();
  assert.ok(backend.isDefragmenting);
  world.close(backend);
  assert.deepEqual(told, [undefined, undefined]);
});

test('tools read and write buckets in one transaction, those that are not there as if they were empty', () => {
  const database = Database.open({ disk: new SimDisk(), path: '/tool' });
  const write = database.beginWrite();
  const writer = transactionWriter(write);
  const content = (reader: BackendReader): string[] => {
    const found: string[] = [];
    for (const bucket of [META, OTHER]) {
      reader.forEach(bucket, (key, value) => found.push(`${bucket.name} ${key}=${value}`));
    }
    return found.map((entry) =>
      entry.replace(/\d+(?:,\d+)*/g, (codes) => Buffer.from(codes.split(',').map(Number)).toString()),
    );
  };
  assert.deepEqual([content(writer), writer.get(META, bytes('a'))], [[], null]);
  writer.delete(META, bytes('a'));
  writer.deleteBucket(META);
  assert.equal(write.bucket(META.nameBytes), null);
  writer.createBucket(OTHER);
  writer.createBucket(OTHER);
  writer.put(META, bytes('b'), bytes('x'));
  writer.put(META, bytes('a'), bytes('y'));
  writer.put(OTHER, bytes('c'), bytes('z'));
  assert.deepEqual(content(writer), ['meta a=y', 'meta b=x', 'other c=z']);
  writer.delete(META, bytes('b'));
  writer.deleteBucket(OTHER);
  assert.deepEqual(content(writer), ['meta a=y']);
  assert.equal(write.bucket(OTHER.nameBytes), null);
  write.commit();
  const read = database.beginRead();
  const reader = transactionReader(read);
  assert.deepEqual(content(reader), ['meta a=y']);
  assert.deepEqual(
    [reader.get(META, bytes('a'))?.[0], reader.get(META, bytes('b')), reader.get(OTHER, bytes('c'))],
    [0x79, null, null],
  );
  read.close();
  database.close();
});

test('a backend whose file can not be opened leaves nothing open', () => {
  for (let from = 0; ; from++) {
    let left = from;
    const disk = new SimDisk({
      onOperation: ({ path }) => {
        if (left-- === 0) throw new DiskError('EIO', path, 'EIO: test');
      },
    });
    try {
      const clock = new SimClock();
      new Backend({ disk, clock, path: '/db', onFatal: () => {} }).close();
    } catch {
      assert.deepEqual(disk.openPaths(), [], `operation ${from}`);
      continue;
    }
    assert.deepEqual(disk.openPaths(), []);
    assert.ok(from > 5);
    return;
  }
});
