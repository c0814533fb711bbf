import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { DiskError, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import { type DiskOperation, SimClock, SimDisk, SimulatedCrash } from '@etcd/testing';
import fc from 'fast-check';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import {
  type DbReceiver,
  decodeSnapFile,
  encodeSnapFile,
  memberPurgeTargets,
  PURGE_INTERVAL_MS,
  PurgeLoop,
  SnapError,
  type SnapErrorCode,
  Snapshotter,
  snapDbName,
  snapName,
} from './index.ts';

checkDatabases();

const DIRECTORY = '/snap';

function snapshot(term: number, index: number): Snapshot {
  return new Snapshot({
    data: Buffer.from(`{"index":${index}}`),
    metadata: new SnapshotMetadata({ index, term, confState: new ConfState({ voters: [1n, 2n] }) }),
  });
}

function newDisk(disk = new SimDisk()): SimDisk {
  disk.makeDirectory(DIRECTORY, 0o700);
  disk.syncDirectory('/');
  return disk;
}

function snapshotter(disk: SimDisk, warnings: string[] = []): Snapshotter {
  const logger = { ...SILENT_LOGGER, warn: (message: string): number => warnings.push(message) };
  return new Snapshotter({ disk, directory: DIRECTORY, clock: new SimClock(), logger });
}

function snapError(code: SnapErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof SnapError && error.code === code;
}

function put(disk: SimDisk, path: string, content: Uint8Array): void {
  const file = disk.openFile(path, { access: 'readwrite', create: true, truncate: true });
  file.write(content, 0, content.length, 0);
  file.close();
}

test('a saved snapshot is loaded again, the newest first', async () => {
  const disk = newDisk();
  const snaps = snapshotter(disk);
  assert.throws(() => snaps.load(), snapError('no-snapshot'));
  snaps.saveSnap(snapshot(1, 10));
  await new Promise<void>((resolve, reject) =>
    snaps.saveSnapThen(snapshot(2, 300), (error) => (error === null ? resolve() : reject(error))),
  );
  snaps.saveSnap(new Snapshot());
  assert.deepEqual(disk.readDirectory(DIRECTORY), [snapName(1, 10), snapName(2, 300)]);
  assert.equal(snapName(2, 300), '0000000000000002-000000000000012c.snap');
  const loaded = snaps.load();
  assert.equal(loaded.metadata.index, 300);
  assert.equal(Buffer.from(loaded.data).toString(), '{"index":300}');
  assert.deepEqual(loaded.metadata.confState.voters, [1n, 2n]);
});

test('only snapshots that the log knows of are used', () => {
  const snaps = snapshotter(newDisk());
  for (const index of [10, 20, 30]) snaps.saveSnap(snapshot(1, index));
  const records = [
    { index: 10, term: 1 },
    { index: 20, term: 1 },
    { index: 30, term: 2 },
  ];
  assert.equal(snaps.loadNewestAvailable(records).metadata.index, 20);
  assert.throws(() => snaps.loadNewestAvailable([{ index: 0, term: 0 }]), snapError('no-snapshot'));
});

test('a damaged file is moved aside and the one before it is used', () => {
  const disk = newDisk();
  const warnings: string[] = [];
  const snaps = snapshotter(disk, warnings);
  snaps.saveSnap(snapshot(1, 10));
  for (const [index, content] of [
    [20, new Uint8Array(0)],
    [30, Buffer.from('not protobuf')],
    [40, encodeSnapFile(snapshot(1, 40)).map((byte, i) => (i === 20 ? byte ^ 4 : byte))],
    [50, Buffer.from('0805', 'hex')],
  ] as const) {
    put(disk, disk.join(DIRECTORY, snapName(1, index)), content);
  }
  put(disk, disk.join(DIRECTORY, 'stray'), new Uint8Array(1));
  put(disk, disk.join(DIRECTORY, 'db'), new Uint8Array(1));
  assert.equal(snaps.load().metadata.index, 10);
  const broken = disk.readDirectory(DIRECTORY).filter((name) => name.endsWith('.snap.broken'));
  assert.equal(broken.length, 4);
  assert.equal(
    warnings.filter((warning) => warning === 'found unexpected non-snap file; skipping').length,
    1,
  );
});

test('S17 any bytes give a snapshot or a SnapError', () => {
  const good = encodeSnapFile(snapshot(3, 77));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(good.length), fc.nat(7), (bytes, at, bit) => {
      const flipped = Uint8Array.from(good);
      if (at < good.length) flipped[at]! ^= 1 << bit;
      for (const content of [bytes, flipped, good.subarray(0, at)]) {
        try {
          const { metadata } = decodeSnapFile(content, 'x');
          if (content === flipped) assert.deepEqual([metadata.index, metadata.term], [77, 3]);
        } catch (error) {
          assert.ok(error instanceof SnapError, String(error));
        }
      }
    }),
  );
  for (let at = 0; at < good.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Uint8Array.from(good);
      flipped[at]! ^= 1 << bit;
      // Three bits at the end of the checksum's varint have no meaning.
      if (at === 5 && bit >= 4 && bit < 7)
        assert.deepEqual(decodeSnapFile(flipped, 'x'), decodeSnapFile(good, 'x'));
      else assert.throws(() => decodeSnapFile(flipped, 'x'), SnapError, `byte ${at} bit ${bit}`);
    }
  }
});

test('S22 a snapshot whose save was cut off is not there, one that was saved is', () => {
  for (let cut = 0; cut < 60; cut++) {
    const disk = newDisk(
      new SimDisk({
        onOperation: ({ sequence }) => {
          if (sequence === cut + 2) throw new SimulatedCrash('cut');
        },
        schedule: (_operation, complete) => complete(),
      }),
    );
    const saved: number[] = [];
    try {
      const snaps = snapshotter(disk);
      for (let index = 1; index <= 8; index++) {
        if (index % 2 === 0) snaps.saveSnap(snapshot(1, index));
        else snaps.saveSnapThen(snapshot(1, index), (error) => assert.equal(error, null));
        saved.push(index);
      }
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error;
    }
    const after = disk.afterCrash(new SeededRandom(cut), {});
    const snaps = snapshotter(after);
    snaps.removeLeftovers();
    for (const name of after.readDirectory(DIRECTORY)) {
      decodeSnapFile(after.readFile(after.join(DIRECTORY, name)), name);
    }
    if (saved.length === 0) continue;
    const { index } = snaps.load().metadata;
    assert.ok(index === saved.length || index === saved.length + 1, `${index} of ${saved.length}`);
  }
});

const chunk = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);

/** A small database, as bytes. */
function database(): Buffer {
  const disk = newDisk();
  Database.open({ disk, path: '/sent' }).close();
  return Buffer.from(disk.readFile('/sent'));
}

function receive(snaps: Snapshotter, index: number, limitBytes: number): DbReceiver {
  const receiver = snaps.receiveDb(index, limitBytes);
  assert.ok(!(receiver instanceof DiskError));
  return receiver;
}

function write(receiver: DbReceiver, bytes: Uint8Array): Promise<unknown> {
  return new Promise((resolve) => receiver.write(bytes, resolve));
}

function finish(receiver: DbReceiver): Promise<unknown> {
  return new Promise((resolve) => receiver.finish(resolve));
}

test('a received database gets its name when all of it is durable', async () => {
  const disk = newDisk();
  const snaps = snapshotter(disk);
  const sent = database();
  const receiver = receive(snaps, 0x1234, 100_000);
  for (let at = 0; at < sent.length; at += 1000) {
    assert.equal(await write(receiver, sent.subarray(at, at + 1000)), null);
  }
  assert.throws(() => snaps.dbFilePath(0x1234), snapError('no-db'));
  assert.equal(await finish(receiver), null);
  assert.deepEqual(disk.readDirectory(DIRECTORY), ['0000000000001234.snap.db']);
  const path = snaps.dbFilePath(0x1234);
  const after = disk.afterCrash(new SeededRandom(1), {});
  assert.deepEqual(Buffer.from(after.readFile(path)), sent);
  const later = snapshotter(after);
  later.releaseSnapDbs(0x1234);
  assert.equal(later.dbFilePath(0x1234), path);
  later.releaseSnapDbs(0x1235);
  assert.throws(() => later.dbFilePath(0x1234), snapError('no-db'));
});

test('S22 a database that a killed process has named already has a durable name when it is received again', () => {
  const options = { schedule: (_operation: DiskOperation, complete: () => void) => complete() };
  let isCut = false;
  const onOperation = ({ kind }: DiskOperation): void => {
    if (isCut && kind === 'syncDirectory') throw new SimulatedCrash('killed');
  };
  const disk = newDisk(new SimDisk({ ...options, onOperation }));
  const sent = database();
  const receiveOn = (on: SimDisk): void => {
    const receiver = receive(snapshotter(on), 7, 100_000);
    receiver.write(sent, (error) => assert.equal(error, null));
    receiver.finish((error) => assert.equal(error, null));
  };
  isCut = true;
  assert.throws(() => receiveOn(disk), SimulatedCrash);
  const killed = disk.afterKill(options);
  assert.ok(killed.readDirectory(DIRECTORY).includes('0000000000000007.snap.db'));
  receiveOn(killed);
  for (let seed = 0; seed < 20; seed++) {
    snapshotter(killed.crashImage(new SeededRandom(seed))).dbFilePath(7);
  }
});

test('S21 what is received and is no database, or not all of one, gets no name', async () => {
  const sent = database();
  for (const bytes of [chunk(0, 0), chunk(20_000, 7), sent.subarray(0, 4096), sent.subarray(0, -1)]) {
    const disk = newDisk();
    const receiver = receive(snapshotter(disk), 7, 100_000);
    assert.equal(await write(receiver, bytes), null);
    assert.ok(snapError('no-database')(await finish(receiver)), `${bytes.length} bytes`);
    assert.deepEqual(disk.readDirectory(DIRECTORY), []);
  }
});

test('S18 a database that is too large, given up or not finished leaves nothing', async () => {
  const disk = newDisk();
  const snaps = snapshotter(disk);
  const tooLarge = receive(snaps, 1, 1500);
  const clock = new SimClock();
  const limited = receive(new Snapshotter({ disk, directory: DIRECTORY, clock }), 2, 1500);
  tooLarge.abort();
  tooLarge.abort();
  await write(limited, chunk(1000, 1));
  let failure: unknown = null;
  limited.write(chunk(501, 1), (error) => {
    failure = error;
  });
  clock.settle();
  assert.ok(snapError('too-large')(failure));
  const aborted = receive(snaps, 3, 1500);
  aborted.write(chunk(10, 1), () => assert.fail('given up'));
  aborted.abort();
  await new Promise(setImmediate);
  assert.deepEqual(disk.readDirectory(DIRECTORY), []);
  const left = receive(snaps, 4, 1500);
  await write(left, chunk(10, 1));
  put(disk, disk.join(DIRECTORY, 'db.tmp.123'), chunk(3, 3));
  put(disk, disk.join(DIRECTORY, 'db'), chunk(3, 3));
  assert.equal(disk.readDirectory(DIRECTORY).length, 3);
  snapshotter(disk).removeLeftovers();
  assert.deepEqual(disk.readDirectory(DIRECTORY), ['db']);
});

/** A disk on which every operation from the n-th on, of those that change something, fails. */
function failingDisk(from: number): SimDisk {
  let left = from;
  const disk = new SimDisk({
    onOperation: ({ kind, path }) => {
      if (kind === 'read' || !path.startsWith(DIRECTORY) || left-- > 0) return;
      throw new DiskError('EROFS', path, `EROFS: read-only file system, ${kind} '${path}'`);
    },
  });
  return disk;
}

test('whatever a disk refuses while a database comes in is reported, and ends nothing else', async () => {
  const sent = database();
  let refused = 0;
  for (let from = 1; ; from++) {
    const disk = newDisk(failingDisk(from));
    const receiver = snapshotter(disk).receiveDb(9, 100_000);
    const outcome =
      receiver instanceof DiskError ? receiver : ((await write(receiver, sent)) ?? (await finish(receiver)));
    if (outcome === null) break;
    assert.ok(outcome instanceof DiskError, String(outcome));
    refused++;
  }
  assert.ok(refused >= 4, `open, write, sync, rename: ${refused}`);
});

test('whatever a disk refuses while a snapshot is saved is reported to whoever saves it', async () => {
  let refused = 0;
  for (let from = 1; ; from++) {
    const clock = new SimClock();
    const snaps = new Snapshotter({ disk: newDisk(failingDisk(from)), directory: DIRECTORY, clock });
    const outcome = await new Promise((resolve) => {
      snaps.saveSnapThen(snapshot(1, 5), resolve);
      clock.settle();
    });
    if (outcome === null) break;
    assert.ok(outcome instanceof DiskError, String(outcome));
    refused++;
  }
  assert.ok(refused >= 4, `open, write, sync, rename: ${refused}`);
});

test('a received database that can not be removed stays until the next start', () => {
  const problems: string[] = [];
  let isStuck = false;
  const disk = newDisk(
    new SimDisk({
      onOperation: ({ kind, path }) => {
        if (isStuck && kind === 'remove')
          throw new DiskError('EPERM', path, 'EPERM: operation not permitted');
      },
    }),
  );
  const logger = { ...SILENT_LOGGER, error: (message: string): number => problems.push(message) };
  const snaps = new Snapshotter({ disk, directory: DIRECTORY, clock: new SimClock(), logger });
  for (const index of [1, 2]) put(disk, disk.join(DIRECTORY, snapDbName(index)), chunk(3, 3));
  isStuck = true;
  snaps.releaseSnapDbs(3);
  assert.deepEqual(problems, new Array(2).fill('failed to remove orphaned .snap.db file'));
  isStuck = false;
  snaps.releaseSnapDbs(3);
  assert.deepEqual(disk.readDirectory(DIRECTORY), []);
});

test('the oldest files are purged down to the limit, and no segment that is locked', () => {
  const disk = newDisk();
  disk.makeDirectory('/wal', 0o700);
  const clock = new SimClock();
  for (let i = 1; i <= 7; i++) {
    put(disk, disk.join(DIRECTORY, snapName(1, i)), chunk(1, 1));
    put(disk, `/wal/000000000000000${i}-0000000000000000.wal`, chunk(1, 1));
  }
  put(disk, disk.join(DIRECTORY, 'db'), chunk(1, 1));
  const locked = disk.openFile('/wal/0000000000000003-0000000000000000.wal', { access: 'readwrite' });
  locked.tryLock('ofd');
  const targets = memberPurgeTargets({ snap: DIRECTORY, wal: '/wal' }, { maxSnapshots: 5, maxWals: 2 });
  const loop = new PurgeLoop({ disk, clock, targets, onError: (error) => assert.fail(error) });
  loop.start();
  assert.deepEqual(disk.readDirectory(DIRECTORY), [...[3, 4, 5, 6, 7].map((i) => snapName(1, i)), 'db']);
  assert.equal(disk.readDirectory('/wal').length, 5);
  locked.close();
  clock.advance(PURGE_INTERVAL_MS - 1);
  assert.equal(disk.readDirectory('/wal').length, 5);
  clock.advance(1);
  assert.deepEqual(disk.readDirectory('/wal'), [
    '0000000000000006-0000000000000000.wal',
    '0000000000000007-0000000000000000.wal',
  ]);
  loop.stop();
  put(disk, '/wal/0000000000000008-0000000000000000.wal', chunk(1, 1));
  clock.advance(10 * PURGE_INTERVAL_MS);
  assert.equal(disk.readDirectory('/wal').length, 3);
  const keepAll = memberPurgeTargets({ snap: DIRECTORY, wal: '/wal' }, { maxSnapshots: 0, maxWals: 0 });
  new PurgeLoop({ disk, clock, targets: keepAll, onError: (error) => assert.fail(error) }).start();
  assert.equal(disk.readDirectory('/wal').length, 3);
});

test('a file that can not be removed stops the purging', () => {
  const clock = new SimClock();
  const errors: string[] = [];
  const targets = memberPurgeTargets({ snap: '/nowhere', wal: '/nowhere' }, { maxSnapshots: 1, maxWals: 1 });
  new PurgeLoop({ disk: new SimDisk(), clock, targets, onError: (error) => errors.push(error.code) }).start();
  clock.advance(10 * PURGE_INTERVAL_MS);
  assert.deepEqual(errors, ['ENOENT']);
});
