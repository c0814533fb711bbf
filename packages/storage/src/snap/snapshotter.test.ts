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
  const warn = (message: string, fields?: { readonly path?: unknown }): number =>
    warnings.push(`${message}: ${fields?.path}`);
  return new Snapshotter({
    disk,
    directory: DIRECTORY,
    clock: new SimClock(),
    logger: { ...SILENT_LOGGER, warn },
  });
}

function snapshotterAt(disk: SimDisk, clock: SimClock): Snapshotter {
  return new Snapshotter({ disk, directory: DIRECTORY, clock });
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
  assert.deepEqual(disk.openPaths(), []);
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
  assert.deepEqual(
    warnings.filter((warning) => warning.startsWith('found unexpected')),
    ['found unexpected non-snap file; skipping: /snap/stray'],
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

test('why a file is no snapshot is said', () => {
  const good = encodeSnapFile(snapshot(3, 77));
  const codeOf = (content: Uint8Array): string => {
    try {
      decodeSnapFile(content, 'x');
      return 'none';
    } catch (error) {
      assert.ok(error instanceof SnapError);
      return error.code;
    }
  };
  assert.equal(codeOf(good), 'none');
  assert.equal(codeOf(new Uint8Array(0)), 'empty');
  // A checksum of nothing, with and without the field for the data.
  assert.equal(codeOf(Buffer.from('0800', 'hex')), 'empty');
  assert.equal(codeOf(Buffer.from('08001200', 'hex')), 'empty');
  assert.equal(codeOf(Buffer.from('0801120100', 'hex')), 'crc');
  assert.equal(codeOf(good.map((byte, i) => (i === 20 ? byte ^ 4 : byte))), 'crc');
  assert.equal(codeOf(good.subarray(0, -1)), 'malformed');
  assert.equal(codeOf(good.subarray(0, 1)), 'malformed');
  assert.equal(codeOf(Buffer.from('not protobuf')), 'malformed');
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

const MIB = 1024 * 1024;
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
  receiver.abort();
  assert.throws(() => receiver.write(sent, () => {}), { name: 'InvariantError' });
  assert.throws(() => receiver.finish(() => {}), { name: 'InvariantError' });
  assert.deepEqual([disk.readDirectory(DIRECTORY), disk.openPaths()], [['0000000000001234.snap.db'], []]);
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

/** A disk on which `count` operations from the n-th on, of those that change something, fail. */
function failingDisk(from: number, count = Number.POSITIVE_INFINITY): SimDisk {
  let left = from;
  const disk = new SimDisk({
    onOperation: ({ kind, path }) => {
      if (kind === 'read' || !path.startsWith(DIRECTORY) || left-- > 0 || left < -count) return;
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
    assert.deepEqual(disk.openPaths(), []);
    refused++;
  }
  assert.ok(refused >= 4, `open, write, sync, rename: ${refused}`);
});

test('a database whose coming in one failure of the disk has ended leaves nothing behind', async () => {
  const sent = database();
  const left: string[] = [];
  for (let from = 1; ; from++) {
    const disk = newDisk(failingDisk(from, 1));
    const receiver = snapshotter(disk).receiveDb(9, 100_000);
    const outcome =
      receiver instanceof DiskError ? receiver : ((await write(receiver, sent)) ?? (await finish(receiver)));
    if (outcome === null) break;
    assert.deepEqual(disk.openPaths(), []);
    left.push(disk.readDirectory(DIRECTORY).join());
  }
  // Opening, truncating (the name is there), writing, syncing, opening for the check, renaming, and syncing the name.
  const [temporary, name] = ['tmp-0-0000000000000009.snap.db', '0000000000000009.snap.db'];
  assert.deepEqual(left, ['', temporary, '', '', '', '', name]);
});

/** A disk on which everything takes its time: an operation of each kind as many milliseconds as `KINDS_MS` says. */
const KINDS_MS: Readonly<Partial<Record<DiskOperation['kind'], number>>> = {
  open: 1,
  write: 20,
  sync: 300,
  rename: 4000,
  syncDirectory: 50_000,
};

function slowDisk(clock: SimClock): SimDisk {
  let isSlow = false;
  const disk = newDisk(
    new SimDisk({
      onOperation: ({ kind }) => isSlow && clock.advance(KINDS_MS[kind] ?? 0),
      schedule: (_operation, complete) => complete(),
    }),
  );
  isSlow = true;
  return disk;
}

test('how long a snapshot takes is told: its sync, its encoding, and all of it', () => {
  const clock = new SimClock();
  const told: [string, ...number[]][] = [];
  const snaps = new Snapshotter({
    disk: slowDisk(clock),
    directory: DIRECTORY,
    clock,
    onSync: (ms) => told.push(['sync', ms]),
    onSave: (ms, encodingMs) => told.push(['save', ms, encodingMs]),
  });
  clock.advance(7);
  const slow = (index: number): Snapshot => {
    const saved = snapshot(1, index);
    const { data } = saved;
    let reads = 0;
    const get = (): Uint8Array => {
      if (reads++ === 0) clock.advance(2);
      return data;
    };
    return Object.defineProperty(saved, 'data', { get });
  };
  snaps.saveSnap(slow(5));
  snaps.saveSnapThen(slow(6), (error) => assert.equal(error, null));
  const once = [
    ['sync', 300],
    ['save', 54_323, 2],
  ];
  assert.deepEqual(told, [...once, ...once]);
});

test('how long a database takes that comes in is told: its last sync, and all of it from its first byte on', () => {
  const clock = new SimClock();
  const told: [string, number][] = [];
  const snaps = new Snapshotter({
    disk: slowDisk(clock),
    directory: DIRECTORY,
    clock,
    onDbSync: (ms) => told.push(['sync', ms]),
    onDbSave: (ms) => told.push(['save', ms]),
  });
  clock.advance(7);
  const receiver = receive(snaps, 7, 100_000);
  clock.advance(600_000);
  receiver.write(database(), (error) => assert.equal(error, null));
  receiver.finish((error) => assert.equal(error, null));
  // It is opened once more to be checked.
  assert.deepEqual(told, [
    ['sync', 300],
    ['save', 654_321],
  ]);
});

test('a database larger than a step is synced as it comes, with a rest as long as each sync took', () => {
  const clock = new SimClock();
  const syncs: number[] = [];
  const disk = newDisk(
    new SimDisk({
      onOperation: ({ kind, path }) =>
        kind === 'sync' && path.startsWith(DIRECTORY) && syncs.push(clock.now()),
      schedule: ({ kind }, complete) => clock.setTimer(kind === 'sync' ? 100 : 1, complete),
    }),
  );
  const receiver = receive(snapshotterAt(disk, clock), 7, 16 * MIB);
  let taken = 0;
  const next = (error: unknown): void => {
    assert.equal(error, null);
    if (++taken <= 9) receiver.write(chunk(MIB, taken), next);
  };
  receiver.write(chunk(MIB, 0), next);
  clock.advance(1000);
  assert.deepEqual([taken, receiver.sizeBytes], [10, 10 * MIB]);
  assert.deepEqual(syncs, [4, 208]);
  receiver.write(chunk(MIB, 1), () => assert.fail('given up'));
  receiver.abort();
  assert.equal(disk.readDirectory(DIRECTORY).length, 1, 'what is being written is not closed');
  clock.advance(1);
  assert.deepEqual([disk.readDirectory(DIRECTORY), disk.openPaths()], [[], []]);
});

test('a database may be as long as was allowed, to the byte', async () => {
  const sent = database();
  for (const limit of [sent.length - 1, sent.length]) {
    const disk = newDisk();
    const clock = new SimClock();
    const receiver = receive(snapshotterAt(disk, clock), 7, limit);
    assert.equal(await write(receiver, sent.subarray(0, 1000)), null);
    const last = write(receiver, sent.subarray(1000));
    clock.settle();
    if (limit < sent.length) {
      assert.ok(snapError('too-large')(await last));
      assert.deepEqual(disk.readDirectory(DIRECTORY), []);
      continue;
    }
    assert.equal(await last, null);
    assert.equal(receiver.sizeBytes, limit);
    assert.equal(await finish(receiver), null);
  }
});

test('what can not be closed or removed behind a failure is a warning, and the failure is what is told', async () => {
  const warnings: string[] = [];
  const disk = newDisk(
    new SimDisk({
      onOperation: ({ kind, path }) => {
        if (kind === 'remove') throw new DiskError('EPERM', path, 'EPERM: remove');
      },
    }),
  );
  const openFile = disk.openFile.bind(disk);
  disk.openFile = (path, options) => {
    const file = openFile(path, options);
    const close = file.close.bind(file);
    return Object.assign(file, {
      close: () => {
        close();
        throw new DiskError('EIO', path, 'EIO: close');
      },
    });
  };
  const warn = (message: string, fields?: { readonly error?: unknown }): number =>
    warnings.push(`${message}: ${fields?.error}`);
  const clock = new SimClock();
  const logger = { ...SILENT_LOGGER, warn };
  const receiver = receive(new Snapshotter({ disk, directory: DIRECTORY, clock, logger }), 7, 10);
  const told = write(receiver, chunk(11, 1));
  clock.settle();
  assert.ok(snapError('too-large')(await told));
  const message = 'failed to remove an unfinished database snapshot';
  assert.deepEqual(warnings, [`${message}: EIO: close`, `${message}: EPERM: remove`]);
});

test('a receiver that is given up while its disk is at work leaves nothing when that is over, and calls nobody', () => {
  for (const isFinishing of [false, true]) {
    for (const isBroken of [false, true]) {
      const clock = new SimClock();
      let fails = false;
      const disk = newDisk(
        new SimDisk({
          schedule: (_operation, complete) => clock.setTimer(1, complete),
          onOperation: ({ path }) => {
            if (fails) throw new DiskError('EIO', path, 'EIO: test');
          },
        }),
      );
      const receiver = receive(snapshotterAt(disk, clock), 7, 16 * MIB);
      receiver.write(chunk(10, 1), (error) => assert.equal(error, null));
      clock.advance(10);
      fails = isBroken;
      if (isFinishing) receiver.finish(() => assert.fail('given up'));
      else receiver.write(chunk(10, 1), () => assert.fail('given up'));
      fails = false;
      receiver.abort();
      assert.throws(() => receiver.write(chunk(10, 1), () => {}), { name: 'InvariantError' });
      assert.equal(disk.openPaths().length, 1, 'not closed under a write');
      receiver.abort();
      clock.advance(10);
      assert.deepEqual([disk.readDirectory(DIRECTORY), disk.openPaths()], [[], []]);
    }
  }
});

test('removing all takes snapshots and received databases alone, durably, and says how many', () => {
  const operations: string[] = [];
  const disk = newDisk(new SimDisk({ onOperation: ({ kind }) => operations.push(kind) }));
  const snaps = snapshotter(disk);
  operations.length = 0;
  assert.equal(snaps.removeAll(), 0);
  assert.deepEqual(operations, [], 'nothing is synced for nothing');
  snaps.saveSnap(snapshot(1, 5));
  for (const name of [snapDbName(9), 'db', 'tmp-1', 'x.snap.broken', 'a.snap.db']) {
    put(disk, disk.join(DIRECTORY, name), chunk(1, 1));
  }
  assert.equal(snaps.removeAll(), 2 + 1);
  assert.deepEqual(disk.crashImage(new SeededRandom(3)).readDirectory(DIRECTORY), [
    'db',
    'tmp-1',
    'x.snap.broken',
  ]);
});

test('the snapshot that a record names is loaded, or null where it is not there or damaged, which it stays', () => {
  const disk = newDisk();
  const snaps = snapshotter(disk);
  snaps.saveSnap(snapshot(2, 5));
  assert.equal(snaps.loadRecorded({ index: 5, term: 2 })?.metadata.index, 5);
  assert.equal(snaps.loadRecorded({ index: 5, term: 1 }), null);
  const path = disk.join(DIRECTORY, snapName(2, 5));
  put(disk, path, chunk(50, 1));
  assert.equal(snaps.loadRecorded({ index: 5, term: 2 }), null);
  assert.notEqual(disk.stat(path), null);
  assert.equal(disk.stat(path)?.mode, 0o600, 'nobody else may read it');
});

test('whatever a disk refuses while a snapshot is reported to whoever saves it', async () => {
  let refused = 0;
  for (let from = 1; ; from++) {
    const clock = new SimClock();
    const disk = newDisk(failingDisk(from));
    const snaps = new Snapshotter({ disk, directory: DIRECTORY, clock });
    const outcome = await new Promise((resolve) => {
      snaps.saveSnapThen(snapshot(1, 5), resolve);
      clock.settle();
    });
    assert.deepEqual(disk.openPaths(), []);
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
  const keepMore = memberPurgeTargets({ snap: DIRECTORY, wal: '/wal' }, { maxSnapshots: 6, maxWals: 4 });
  new PurgeLoop({ disk, clock, targets: keepMore, onError: (error) => assert.fail(error) }).start();
  assert.deepEqual([disk.readDirectory('/wal').length, disk.readDirectory(DIRECTORY).length], [3, 6]);
  const keepAll = memberPurgeTargets({ snap: DIRECTORY, wal: '/wal' }, { maxSnapshots: 0, maxWals: 0 });
  new PurgeLoop({ disk, clock, targets: keepAll, onError: (error) => assert.fail(error) }).start();
  assert.equal(disk.readDirectory('/wal').length, 3);
});

test('a purge that is told to stop while it is at work does not come again', () => {
  const clock = new SimClock();
  let loop: PurgeLoop | null = null;
  const disk = newDisk(new SimDisk({ onOperation: ({ kind }) => kind === 'remove' && loop!.stop() }));
  for (let i = 1; i <= 3; i++) put(disk, disk.join(DIRECTORY, snapName(1, i)), chunk(1, 1));
  const targets = memberPurgeTargets({ snap: DIRECTORY, wal: DIRECTORY }, { maxSnapshots: 1, maxWals: 1 });
  loop = new PurgeLoop({ disk, clock, targets, onError: (error) => assert.fail(error) });
  loop.start();
  assert.equal(disk.readDirectory(DIRECTORY).length, 1);
  assert.equal(clock.step(), false);
});

test('a file that can not be removed stops the purging', () => {
  const clock = new SimClock();
  const errors: string[] = [];
  const targets = memberPurgeTargets({ snap: '/nowhere', wal: '/nowhere' }, { maxSnapshots: 1, maxWals: 1 });
  new PurgeLoop({ disk: new SimDisk(), clock, targets, onError: (error) => errors.push(error.code) }).start();
  clock.advance(10 * PURGE_INTERVAL_MS);
  assert.deepEqual(errors, ['ENOENT']);
});
