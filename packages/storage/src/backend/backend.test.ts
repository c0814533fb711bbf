import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32cUpdate, DiskError, SeededRandom } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import { SimClock, SimDisk, SimulatedCrash } from '@etcd/testing';
import type { BackendOptions, BackendSnapshot } from './api.ts';
import { Backend } from './backend.ts';
import { type Bucket, defineBucket, KEY_BUCKET } from './bucket.ts';
import { revisionBytes } from './revision.ts';
import { checkDatabases } from './testing/check-databases.ts';

checkDatabases();

const META = defineBucket('meta');
const OTHER = defineBucket('other');
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const text = (value: Uint8Array | null): string | null =>
  value === null ? null : Buffer.from(value).toString('latin1');

interface World {
  readonly clock: SimClock;
  readonly disk: SimDisk;
}

function newWorld(clock = new SimClock()): World {
  return { clock, disk: new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) }) };
}

function open({ clock, disk }: World, options: Partial<BackendOptions> = {}): Backend {
  return new Backend({
    disk,
    clock,
    path: '/db',
    onFatal: (error) => {
      throw error;
    },
    ...options,
  });
}

function writeRevisionOf(
  backend: Backend,
  main: number,
  sub: number,
  value: string,
  isTombstone = false,
): void {
  const log = backend.reserveRevision(main, sub, isTombstone, value.length);
  Buffer.from(log.buffer.buffer, log.buffer.byteOffset).write(value, log.start, 'latin1');
}

function revision(backend: Backend, main: number, sub: number): string | null {
  if (!backend.readRevision(main, sub)) return null;
  const { buffer, start, end } = backend.value;
  return text(buffer.subarray(start, end));
}

function contentOf(backend: Backend, bucket: Bucket): [string, string][] {
  const content: [string, string][] = [];
  backend.forEach(bucket, (key, value) => content.push([text(key)!, text(value)!]));
  return content;
}

function close(backend: Backend, { clock }: World): void {
  let closed = false;
  backend.closeThen((error) => {
    assert.equal(error, null);
    closed = true;
  });
  clock.advance(1000);
  assert.ok(closed);
}

test('what is written is read at once, after the commit, and after a restart', () => {
  const world = newWorld();
  const backend = open(world);
  backend.startRevisions(1);
  backend.createBucket(META);
  backend.put(META, bytes('a'), bytes('1'));
  backend.put(META, bytes('b'), bytes('2'));
  writeRevisionOf(backend, 2, 0, 'two');
  writeRevisionOf(backend, 3, 0, 'three');
  writeRevisionOf(backend, 3, 1, '', true);
  const check = (b: Backend): void => {
    assert.equal(text(b.get(META, bytes('a'))), '1');
    assert.deepEqual(contentOf(b, META), [
      ['a', '1'],
      ['b', '2'],
    ]);
    assert.equal(revision(b, 2, 0), 'two');
    assert.equal(revision(b, 3, 0), 'three');
    assert.equal(revision(b, 3, 2), null);
    assert.equal(revision(b, 4, 0), null);
  };
  check(backend);
  world.clock.advance(150);
  assert.equal(backend.pendingOperations, 0);
  check(backend);
  close(backend, world);
  const again = open(world);
  again.startRevisions(3);
  check(again);
});

test('revisions may begin while buckets are being committed', () => {
  const world = newWorld();
  const backend = open(world);
  backend.createBucket(META);
  let isCommitted = false;
  backend.commitNowThen(() => (isCommitted = true));
  // The commit is at the disk, which takes a millisecond for each operation.
  world.clock.advance(1);
  assert.equal(isCommitted, false);
  backend.startRevisions(7);
  writeRevisionOf(backend, 8, 0, 'eight');
  world.clock.advance(1000);
  assert.ok(isCommitted);
  assert.equal(revision(backend, 8, 0), 'eight');
  close(backend, world);
  const again = open(world);
  again.startRevisions(8);
  assert.equal(revision(again, 8, 0), 'eight');
});

test('changes that are being committed and newer ones are read as one, deletions and dropped buckets included', () => {
  const world = newWorld();
  const random = new SeededRandom(11);
  const backend = open(world, { batchLimit: 20 });
  const model = new Map<string, string>();
  for (let step = 0; step < 3000; step++) {
    const key = `k${random.below(40)}`;
    const what = random.below(100);
    if (what < 50) {
      backend.put(OTHER, bytes(key), bytes(`v${step}`));
      model.set(key, `v${step}`);
    } else if (what < 75) {
      backend.delete(OTHER, bytes(key));
      model.delete(key);
    } else if (what === 99) {
      backend.deleteBucket(OTHER);
      model.clear();
    } else world.clock.advance(random.below(4));
    assert.equal(text(backend.get(OTHER, bytes(key))), model.get(key) ?? null);
    if (step % 20 === 0) {
      assert.deepEqual(
        contentOf(backend, OTHER),
        [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
    }
  }
  close(backend, world);
  const again = open(world);
  assert.deepEqual(
    contentOf(again, OTHER),
    [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
});

test('a batch is committed after the interval, at the limit, or when told', () => {
  const world = newWorld();
  const backend = open(world, { batchIntervalMs: 100, batchLimit: 10 });
  world.clock.advance(500);
  const commits = (): number => backend.database.statistics().commits;
  const before = commits();
  backend.put(META, bytes('a'), bytes('1'));
  world.clock.advance(99);
  assert.equal(commits(), before);
  world.clock.advance(50);
  assert.equal(commits(), before + 1, 'after the interval');
  for (let i = 0; i < 10; i++) backend.put(META, bytes(`k${i}`), bytes('1'));
  world.clock.advance(40);
  assert.equal(commits(), before + 2, 'at the limit');
  backend.put(META, bytes('b'), bytes('1'));
  let done = false;
  backend.commitNowThen(() => {
    done = true;
  });
  world.clock.advance(40);
  assert.equal(commits(), before + 3, 'when told');
  assert.ok(done);
  world.clock.advance(1000);
  assert.equal(commits(), before + 3, 'nothing for nothing');
  close(backend, world);
});

test('commitNowThen calls back after everything written before it is durable, commits under way included', () => {
  const world = newWorld();
  const backend = open(world);
  world.clock.advance(100);
  const order: string[] = [];
  backend.put(META, bytes('a'), bytes('1'));
  backend.commitNowThen(() => order.push('first'));
  world.clock.settle();
  backend.put(META, bytes('a'), bytes('2'));
  backend.commitNowThen(() => {
    order.push('second');
    const survivor = world.disk.afterCrash(new SeededRandom(1), {});
    const after = Database.open({ disk: survivor, path: '/db' });
    assert.equal(text(after.beginRead().bucket(META.nameBytes)!.get(bytes('a'))), '2');
  });
  world.clock.advance(100);
  assert.deepEqual(order, ['first', 'second']);
});

test('S23 the pre-commit hook sees what is applied when the batch is sealed, and its values are in the same commit', () => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = new SeededRandom(seed);
    const world = newWorld();
    const backend = open(world, { batchLimit: 7 });
    let applied = 0;
    backend.startRevisions(1);
    backend.setPreCommitHook((batch) => batch.put(META, bytes('index'), bytes(String(applied))));
    for (let entry = 1; entry <= 200; entry++) {
      // One entry: two changes and the index that stands for them, in one synchronous stretch.
      writeRevisionOf(backend, entry + 1, 0, `value ${entry}`);
      backend.put(OTHER, bytes('last'), bytes(String(entry)));
      applied = entry;
      if (random.chance(0.3)) world.clock.advance(random.below(30));
      if (random.chance(0.01)) break;
    }
    const disk = world.disk.afterCrash(random, {});
    const survivor = open({ clock: new SimClock(), disk });
    const index = Number(text(survivor.get(META, bytes('index'))) ?? 0);
    assert.equal(Number(text(survivor.get(OTHER, bytes('last'))) ?? 0), index);
    survivor.startRevisions(index + 1);
    for (let entry = 1; entry <= index; entry++)
      assert.equal(revision(survivor, entry + 1, 0), `value ${entry}`);
    assert.equal(
      survivor.committed.bucket(KEY_BUCKET.nameBytes)?.get(revisionBytes(index + 2)) ?? null,
      null,
    );
  }
});

test('old committed revisions leave memory at the bound and are then read from the file', () => {
  const world = newWorld();
  const backend = open(world, { recentBytes: 2 * 1024 * 1024, batchLimit: 100 });
  backend.startRevisions(1);
  const value = (main: number): string => `${main} `.repeat(2000).slice(0, 5000);
  for (let main = 2; main <= 2000; main++) {
    writeRevisionOf(backend, main, 0, value(main));
    if (main % 50 === 0) world.clock.advance(200);
  }
  world.clock.advance(500);
  const log = backend.revisionLog;
  assert.ok(log.bytes <= 2 * 1024 * 1024);
  assert.ok(log.firstMain > 1000);
  assert.equal(log.lastMain, 2000);
  for (const main of [2, 3, 777, log.firstMain - 1, log.firstMain, 2000]) {
    assert.equal(revision(backend, main, 0), value(main));
  }
  close(backend, world);
});

test('S20 writes faster than the disk make the backend overloaded, and it recovers', () => {
  const world = newWorld();
  const backend = open(world, { maxPendingBytes: 100_000 });
  backend.startRevisions(1);
  for (let main = 2; main < 40; main++) writeRevisionOf(backend, main, 0, 'x'.repeat(5000));
  assert.ok(backend.overloaded);
  world.clock.advance(1000);
  assert.ok(!backend.overloaded);
  assert.equal(backend.pendingBytes, 0);
  close(backend, world);
});

test('deleted revisions are gone from the file, also when the revision itself is not yet in it', () => {
  const world = newWorld();
  const backend = open(world);
  backend.startRevisions(1);
  writeRevisionOf(backend, 2, 0, 'old');
  world.clock.advance(200);
  writeRevisionOf(backend, 3, 0, 'new');
  writeRevisionOf(backend, 4, 0, '', true);
  backend.deleteRevision(2, 0, false);
  backend.deleteRevision(3, 0, false);
  backend.deleteRevision(4, 0, true);
  close(backend, world);
  const again = open(world);
  const bucket = again.committed.bucket(KEY_BUCKET.nameBytes)!;
  assert.equal(bucket.cursor().first(), false);
});

test('a long value behind a few short ones, each in a commit of its own, loses none of them', () => {
  const world = newWorld();
  const backend = open(world);
  backend.startRevisions(1);
  const values = ['short', 'short', 'x'.repeat(5000), 'y'.repeat(40_000), 'short'];
  for (const [i, value] of values.entries()) {
    writeRevisionOf(backend, i + 2, 0, value);
    world.clock.advance(200);
  }
  const { database } = backend;
  const read = database.beginRead();
  assert.deepEqual([...database.check(read)].filter(Boolean), []);
  read.close();
  close(backend, world);
  const again = open(world);
  again.startRevisions(values.length + 1);
  assert.deepEqual(
    values.map((_, i) => revision(again, i + 2, 0)),
    values,
  );
});

test('a snapshot is the file at one commit, whatever is written while it is read', () => {
  const world = newWorld();
  const backend = open(world);
  backend.startRevisions(1);
  for (let main = 2; main < 500; main++) writeRevisionOf(backend, main, 0, `value ${main}`);
  const chunks: Uint8Array[] = [];
  let size = -1;
  backend.snapshotThen((error, snapshot) => {
    assert.equal(error, null);
    const read = (): void => {
      const target = new Uint8Array(3000);
      snapshot!.readThen(target, (readError, count) => {
        assert.equal(readError, null);
        if (count === 0) {
          size = snapshot!.sizeBytes;
          return snapshot!.close();
        }
        chunks.push(target.subarray(0, count));
        writeRevisionOf(backend, backend.revisionLog.lastMain + 1, 0, 'later');
        world.clock.setTimer(20, read);
      });
    };
    read();
  });
  world.clock.advance(20_000);
  const copy = Buffer.concat(chunks);
  assert.equal(copy.length, size);
  const disk = new SimDisk();
  const file = disk.openFile('/copy', { access: 'readwrite', create: true });
  file.write(copy, 0, copy.length, 0);
  file.close();
  const database = Database.open({ disk, path: '/copy' });
  const cursor = database.beginRead().bucket(KEY_BUCKET.nameBytes)!.cursor();
  let count = 0;
  for (let on = cursor.first(); on; on = cursor.next()) count++;
  assert.equal(count, 498);
  close(backend, world);
});

test('the hash covers names, keys and values of all buckets but the ignored keys', () => {
  const world = newWorld();
  const backend = open(world);
  backend.startRevisions(1);
  backend.createBucket(OTHER);
  backend.put(META, bytes('index'), bytes('7'));
  backend.put(META, bytes('kept'), bytes('8'));
  writeRevisionOf(backend, 2, 0, 'value');
  let expected = 0;
  for (const part of ['key', revisionBytes(2), 'value', 'meta', 'kept', '8', 'other']) {
    const data = typeof part === 'string' ? bytes(part) : part;
    expected = crc32cUpdate(expected, data, 0, data.length);
  }
  let hash = -1;
  world.clock.advance(1000);
  const before = backend.database.statistics().openReaders;
  backend.hashThen(
    (bucket, key) => bucket === 'meta' && text(key) === 'index',
    (error, result) => {
      assert.equal(error, null);
      hash = result;
    },
  );
  world.clock.advance(1000);
  assert.equal(hash, expected);
  assert.equal(backend.database.statistics().openReaders, before, 'pages that it has read may be used again');
  close(backend, world);
});

test('a failed commit is fatal once, and everyone who waits is told', () => {
  const clock = new SimClock();
  let isBroken = false;
  const disk = new SimDisk({
    schedule: (_operation, complete) => clock.setTimer(1, complete),
    onOperation: ({ kind, path }) => {
      if (isBroken && kind === 'sync') throw new DiskError('EIO', path, 'EIO: sync');
    },
  });
  const fatal: string[] = [];
  const told: string[] = [];
  const backend = open({ clock, disk }, { onFatal: (error) => fatal.push(error.code) });
  clock.advance(100);
  isBroken = true;
  backend.put(META, bytes('a'), bytes('1'));
  backend.commitNowThen((error) => told.push(`first ${error?.code}`));
  clock.settle();
  backend.put(META, bytes('b'), bytes('1'));
  backend.commitNowThen((error) => told.push(`second ${error?.code}`));
  clock.advance(500);
  backend.commitNowThen((error) => told.push(`third ${error?.code}`));
  clock.advance(500);
  assert.equal(fatal.length, 1);
  assert.deepEqual(told, [`first ${fatal[0]}`, `second ${fatal[0]}`, `third ${fatal[0]}`]);
});

test('S26 a crash at any operation of the disk leaves a prefix of what was committed', () => {
  const run = (cutAt: number): { disk: SimDisk; durable: number } => {
    const clock = new SimClock();
    const disk = new SimDisk({
      schedule: (_operation, complete) => clock.setTimer(1, complete),
      onOperation: (operation) => {
        if (operation.sequence === cutAt) throw new SimulatedCrash('cut');
      },
    });
    let durable = 1;
    try {
      const backend = open({ clock, disk }, { batchLimit: 5 });
      backend.startRevisions(1);
      for (let main = 2; main <= 60; main++) {
        writeRevisionOf(backend, main, 0, `value ${main}`);
        if (main > 20) backend.deleteRevision(main - 15, 0, false);
        backend.commitNowThen((error) => {
          if (error === null) durable = Math.max(durable, main);
        });
        clock.advance(main % 7);
      }
      clock.advance(1000);
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error;
    }
    return { disk, durable };
  };
  const total = run(-1).disk.operationCount;
  const random = new SeededRandom(5);
  for (let cutAt = 1; cutAt < total; cutAt += 1 + random.below(3)) {
    const { disk, durable } = run(cutAt);
    const world = { clock: new SimClock(), disk: disk.afterCrash(random, {}) };
    if (world.disk.stat('/db') === null) continue;
    const backend = open(world);
    const cursor = backend.committed.bucket(KEY_BUCKET.nameBytes)?.cursor();
    const mains: number[] = [];
    for (let on = cursor?.first() ?? false; on; on = cursor!.next()) {
      mains.push(Buffer.from(cursor!.key()).readUInt32BE(4));
    }
    const last = mains.at(-1) ?? 1;
    assert.ok(last >= durable, `cut at ${cutAt}: ${last} is older than ${durable}`);
    const expected = Array.from({ length: last - 1 }, (_, i) => i + 2).filter(
      (main) => main > last - 15 || last <= 20 || main < 6,
    );
    assert.deepEqual(mains, expected, `cut at ${cutAt}`);
  }
});

test('S26 defragmentation makes the file shorter while it is written to, and loses nothing at any crash', () => {
  const world = newWorld();
  const backend = open(world, { batchLimit: 1000 });
  backend.startRevisions(1);
  const value = (main: number): string => `${main} `.repeat(60);
  for (let main = 2; main <= 12_000; main++) {
    writeRevisionOf(backend, main, 0, value(main));
    if (main % 500 === 0) world.clock.advance(50);
  }
  for (let main = 2; main <= 12_000; main++) {
    if (main % 10 !== 0) backend.deleteRevision(main, 0, false);
    if (main % 500 === 0) world.clock.advance(50);
  }
  world.clock.advance(1000);
  const before = backend.sizeBytes;
  const told: string[] = [];
  backend.defragThen(() => told.push('first'));
  backend.defragThen(() => told.push('second'));
  assert.ok(backend.isDefragmenting);
  let last = 12_000;
  for (let i = 0; i < 400 && told.length === 0; i++) {
    writeRevisionOf(backend, ++last, 0, value(last));
    world.clock.advance(3);
  }
  assert.deepEqual(told, ['first', 'second']);
  assert.ok(!backend.isDefragmenting);
  assert.ok(backend.sizeBytes < before / 4, `${backend.sizeBytes} of ${before} bytes`);
  const survivor = open({ clock: new SimClock(), disk: world.disk.afterCrash(new SeededRandom(2), {}) });
  survivor.startRevisions(last);
  for (let main = 10; main <= 12_000; main += 10) assert.equal(revision(survivor, main, 0), value(main));
});

test('a backend whose file was replaced finishes what is pending, and serves the readers that are still at work', () => {
  const world = newWorld();
  const backend = open(world);
  backend.createBucket(OTHER);
  backend.put(OTHER, bytes('k'), bytes('v'));
  let snapshot: BackendSnapshot | null = null;
  let committed = false;
  backend.snapshotThen((error, found) => {
    assert.equal(error, null);
    snapshot = found;
  });
  world.clock.advance(200);
  backend.put(OTHER, bytes('k'), bytes('w'));
  backend.commitNowThen((error) => {
    committed = error === null;
  });
  world.disk.rename('/db', '/old');
  backend.retire();
  const next = open(world);
  world.clock.advance(1000);
  assert.ok(committed);
  const read = new Uint8Array(snapshot!.sizeBytes);
  let readBytes = 0;
  snapshot!.readThen(read, (error, count) => {
    assert.equal(error, null);
    readBytes = count;
  });
  world.clock.advance(10);
  assert.equal(readBytes, read.length);
  snapshot!.close();
  world.clock.advance(1000);
  assert.equal(text(next.get(OTHER, bytes('k'))), null);
  next.close();
  const old = open({ ...world }, { path: '/old' });
  assert.equal(text(old.get(OTHER, bytes('k'))), 'w', 'the lock was released');
  old.close();
});
