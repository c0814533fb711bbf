/** When the log is cut, on disk and in memory, and in which order; the raft loop takes notes, everything else is as in production. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Entry } from '@etcd/api/raftpb';
import type { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { DiskError, SILENT_LOGGER } from '@etcd/base';
import { MemoryStorage } from '@etcd/raft';
import { Backend, transactionReader } from '@etcd/storage/backend';
import { Membership, newMember, parseVersion } from '@etcd/storage/membership';
import { createMetaBucket, readConsistentIndex } from '@etcd/storage/schema';
import { Snapshotter } from '@etcd/storage/snap';
import { type DiskOperation, SimClock, SimDisk } from '@etcd/testing';
import { LogKeeper, type LogKeeperOptions } from './log-keeper.ts';

const SELF = 1n;
const TERM = 2;
const CONF_STATE = new ConfState({ voters: [SELF] });
const MIB = 1024 * 1024;

type Recorded = Parameters<LogKeeperOptions['loop']['saveSnapshotRecord']>[1];

class World {
  readonly clock = new SimClock();
  readonly disk: SimDisk;
  readonly backend: Backend;
  readonly raftStorage = new MemoryStorage();
  readonly keeper: LogKeeper;
  /** Snapshots that the log was to name, and how to say that it does. */
  readonly records: { readonly snapshot: WalSnapshot; readonly done: Recorded }[] = [];
  readonly forgotten: number[] = [];
  readonly fatal: unknown[] = [];
  neededFrom = Number.POSITIVE_INFINITY;
  onOperation: (operation: DiskOperation) => void = () => {};

  constructor(options: Partial<LogKeeperOptions> = {}, version: string | null = '3.7.0') {
    const { clock, raftStorage } = this;
    this.disk = new SimDisk({
      schedule: (_operation, complete) => clock.setTimer(1, complete),
      onOperation: (operation) => this.onOperation(operation),
    });
    this.disk.makeDirectory('/snap', 0o700);
    this.backend = new Backend({
      disk: this.disk,
      clock,
      path: '/db',
      onFatal: (error) => assert.fail(error),
    });
    createMetaBucket(this.backend);
    const state = {
      members: [newMember(SELF, { peerUrls: ['http://m1:1'], isLearner: false })],
      removedIds: [],
      version: version === null ? null : parseVersion(version),
      downgrade: { enabled: false, targetVersion: '' },
    };
    this.keeper = new LogKeeper({
      raftStorage,
      snapshotter: new Snapshotter({ disk: this.disk, clock, directory: '/snap' }),
      membership: new Membership({ clusterId: 9n, state }),
      memberId: SELF,
      logger: SILENT_LOGGER,
      backend: () => this.backend,
      loop: {
        saveSnapshotRecord: (snapshot: WalSnapshot, done: Recorded) =>
          void this.records.push({ snapshot, done }),
      } as unknown as LogKeeperOptions['loop'],
      snapshotCount: 10,
      catchUpEntries: 5,
      neededFrom: () => this.neededFrom,
      snapshotIndex: 0,
      unreadableTo: 0,
      onForgotten: (entries) => this.forgotten.push(...entries.map(({ index }) => index)),
      onFatal: (error) => this.fatal.push(error),
      ...options,
    });
  }

  /** Applies entries one by one, up to `to`, in a cluster of `confState`. */
  apply(to: number, bytes = 0, confState = CONF_STATE): void {
    for (let index = this.raftStorage.lastIndex() + 1; index <= to; index++) {
      this.raftStorage.append([new Entry({ index, term: TERM })]);
      this.keeper.onApplied({ index, term: TERM, confState }, bytes);
    }
  }

  /** Waits for the disk; the log says that it has the record, if it is asked to by then. */
  settle(isRecorded = true): void {
    this.clock.advance(1000);
    for (const { done } of this.records.splice(0)) done(null, isRecorded);
  }

  get snapFiles(): string[] {
    return this.disk.readDirectory('/snap').filter((name) => name.endsWith('.snap'));
  }
}

const snapName = (index: number): string =>
  `${TERM.toString(16).padStart(16, '0')}-${index.toString(16).padStart(16, '0')}.snap`;

test('a snapshot is taken when more entries than the count have been applied since the last one', () => {
  const world = new World();
  world.apply(10);
  world.clock.advance(1000);
  assert.deepEqual(world.snapFiles, []);
  world.apply(11);
  world.settle();
  assert.deepEqual(world.snapFiles, [snapName(11)]);
  world.apply(21);
  world.clock.advance(1000);
  assert.equal(world.snapFiles.length, 1, 'not ten after the last one');
  world.apply(22);
  world.settle();
  assert.deepEqual(world.snapFiles, [snapName(11), snapName(22)]);
  assert.equal(world.raftStorage.snapshot().metadata.index, 22);
});

test('the database is committed up to the snapshot before its file is made, and the log names it last', () => {
  const world = new World();
  const order: string[] = [];
  const committed = (): number => readConsistentIndex(transactionReader(world.backend.committed)).index;
  world.onOperation = ({ kind, path }) => {
    if (kind === 'sync' && path.includes('/snap/')) order.push(`file behind entry ${committed()}`);
    assert.equal(world.records.length, 0, 'the log was told before all was on the disk');
  };
  world.apply(11);
  world.clock.advance(1000);
  assert.equal(order[0], 'file behind entry 11');
  const { snapshot } = world.records[0]!;
  assert.deepEqual([snapshot.index, snapshot.term, snapshot.confState?.voters], [11, TERM, [SELF]]);
});

test('databases that were received for older snapshots go when there is a newer one', () => {
  const world = new World();
  for (const index of [5, 11, 12]) {
    const name = `/snap/${index.toString(16).padStart(16, '0')}.snap.db`;
    world.disk.openFile(name, { access: 'readwrite', create: true }).close();
  }
  world.apply(11);
  world.settle();
  const left = world.disk.readDirectory('/snap').filter((name) => name.endsWith('.snap.db'));
  assert.deepEqual(
    left.map((name) => Number.parseInt(name, 16)),
    [11, 12],
  );
});

test('one snapshot is taken at a time: what falls due meanwhile waits until the first is in the log', () => {
  const world = new World();
  world.apply(40);
  world.clock.advance(1000);
  assert.deepEqual([world.records.length, world.snapFiles], [1, [snapName(11)]]);
  assert.equal(
    world.raftStorage.firstIndex(),
    7,
    'nor is the log in memory cut, which it may have to be cut behind',
  );
  world.settle();
  world.apply(41);
  world.settle();
  assert.deepEqual(world.snapFiles, [snapName(11), snapName(41)]);
  assert.equal(world.raftStorage.firstIndex(), 37);
});

test('a snapshot that the leader has overtaken is not that with which raft goes on', () => {
  const world = new World();
  world.apply(11);
  world.clock.advance(1000);
  world.keeper.onInstalled(30);
  world.settle(false);
  assert.equal(world.raftStorage.snapshot().metadata.index, 6, 'that of the log in memory, as before');
  world.raftStorage.append(Array.from({ length: 29 }, (_, i) => new Entry({ index: 12 + i, term: TERM })));
  for (const index of [31, 40]) world.keeper.onApplied({ index, term: TERM, confState: CONF_STATE }, 0);
  world.clock.advance(1000);
  assert.deepEqual(world.records, [], 'the count begins with the snapshot of the leader');
  assert.throws(() => world.keeper.onInstalled(30), /a snapshot of the leader that is older than our own/);
});

test('a snapshot that can not be written ends the member, and the log is never told of it', () => {
  const world = new World();
  world.onOperation = ({ kind, path }) => {
    if (kind === 'write' && path.includes('/snap/')) throw new DiskError('ENOSPC', path, 'no space left');
  };
  world.apply(11);
  world.clock.advance(1000);
  assert.deepEqual(
    world.fatal.map((error) => (error as DiskError).code),
    ['ENOSPC'],
  );
  assert.deepEqual(world.records, []);
});

test('a record that can not be written ends the member', () => {
  const world = new World();
  world.apply(11);
  world.clock.advance(1000);
  const error = new DiskError('EIO', '/wal', 'write error');
  world.records[0]!.done(error, true);
  assert.deepEqual(world.fatal, [error]);
  assert.equal(world.raftStorage.snapshot().metadata.index, 6, 'not the one that has failed');
});

test('who asks for a snapshot gets it with the next entry, and is told when the log has it', () => {
  const world = new World();
  const told: string[] = [];
  world.apply(3);
  world.keeper.force(() => told.push('first'));
  world.keeper.force(() => told.push('second'));
  world.clock.advance(1000);
  assert.deepEqual(world.records, [], 'not without an entry: it may be in the middle of one');
  world.apply(4);
  world.clock.advance(1000);
  assert.deepEqual(told, []);
  world.settle();
  assert.deepEqual([told, world.snapFiles], [['first', 'second'], [snapName(4)]]);
  world.apply(6);
  world.settle();
  assert.equal(world.snapFiles.length, 1, 'it was asked for once');
});

test('in memory so many entries are kept as slow members may ask for, and more only for who catches up', () => {
  const world = new World({ snapshotCount: 100_000 });
  const { raftStorage } = world;
  const keepsAbout = (count: number): void => {
    const kept = raftStorage.lastIndex() - raftStorage.firstIndex() + 1;
    assert.ok(kept >= count && kept < 2 * count, `${kept} are kept`);
  };
  world.apply(20);
  keepsAbout(5);
  world.neededFrom = 18;
  world.apply(40);
  assert.equal(raftStorage.firstIndex(), 18);
  assert.ok(raftStorage.snapshot().metadata.index >= 17, 'whoever is behind gets a snapshot instead');
  world.neededFrom = Number.POSITIVE_INFINITY;
  world.apply(60);
  keepsAbout(5);
  const gone = Array.from({ length: world.raftStorage.firstIndex() - 1 }, (_, i) => i + 1);
  assert.deepEqual(world.forgotten, gone, 'each entry is given up once, in order');
});

test('a member that is alone keeps few entries once the log does not begin at its first, and as many as others do when there are others', () => {
  const world = new World({ snapshotCount: 100_000, catchUpEntries: 2000 });
  const { raftStorage } = world;
  world.apply(2000);
  assert.equal(raftStorage.firstIndex(), 1, 'who is added now may still get all of them');
  world.apply(4000);
  assert.ok(raftStorage.firstIndex() > 4000 - 2 * 256, `${raftStorage.firstIndex()} is the first`);
  const alone = raftStorage.firstIndex();
  world.apply(5000, 0, new ConfState({ voters: [SELF], learners: [2n] }));
  assert.equal(raftStorage.firstIndex(), alone, 'nothing is dropped that a slow member might ask for');
  world.apply(8000, 0, new ConfState({ voters: [SELF, 2n] }));
  const kept = raftStorage.lastIndex() - raftStorage.firstIndex() + 1;
  assert.ok(kept >= 2000 && kept < 2000 + 2 * 256, `${kept} are kept`);
});

test('S21 large entries leave memory before there are as many as may be kept, and even those that are needed have a bound', () => {
  const world = new World({ snapshotCount: 100_000, catchUpEntries: 200 });
  world.apply(1000, MIB);
  const { raftStorage } = world;
  const keptMib = (): number => raftStorage.lastIndex() - raftStorage.firstIndex() + 1;
  assert.ok(keptMib() >= 64 && keptMib() <= 80, `${keptMib()} MiB are kept`);
  world.neededFrom = raftStorage.firstIndex();
  world.apply(3000, MIB);
  assert.ok(keptMib() >= 512 && keptMib() <= 528, `${keptMib()} MiB are kept for one that catches up`);
});

test('an entry that another release can not read is put behind a snapshot at once, but not in a cluster of its own release', () => {
  const open = new World();
  open.apply(3);
  open.keeper.onUnreadable(4);
  open.apply(4);
  open.settle();
  assert.deepEqual(open.snapFiles, [snapName(4)]);
  for (const version of ['3.4.0', null]) {
    const closed = new World({}, version);
    closed.keeper.onUnreadable(4);
    closed.apply(10);
    closed.settle();
    assert.deepEqual(closed.snapFiles, []);
  }
});

test('a member that is added gets no entry from memory that it might not read', () => {
  for (const [version, first] of [
    ['3.7.0', 8],
    ['3.4.0', 1],
  ] as const) {
    const world = new World({ catchUpEntries: 1000, unreadableTo: 7, snapshotIndex: 0 }, version);
    world.apply(8);
    world.settle();
    assert.equal(world.raftStorage.firstIndex(), 1);
    world.keeper.onMemberAdded();
    world.apply(9);
    assert.equal(world.raftStorage.firstIndex(), first, version);
  }
});

/** Where the log in memory begins when the entries have been applied, each of so many bytes. */
function firstAfter(options: Partial<LogKeeperOptions>, neededFrom: number, ...sizes: number[]): number {
  const world = new World({ snapshotCount: 100_000, catchUpEntries: 100_000, ...options });
  world.neededFrom = neededFrom;
  for (const [i, bytes] of sizes.entries()) world.apply(i + 1, bytes);
  return world.raftStorage.firstIndex();
}

test('S21 the bounds on what is kept in memory hold to the byte', () => {
  const none = Number.POSITIVE_INFINITY;
  assert.equal(firstAfter({}, none, 1, 64 * MIB), 1);
  assert.equal(firstAfter({}, none, 1, 64 * MIB + 1), 2);
  assert.equal(firstAfter({}, 1, 1, 64 * MIB + 1), 1, 'somebody needs it');
  assert.equal(firstAfter({}, 1, 1, 512 * MIB), 1);
  assert.equal(firstAfter({}, 1, 1, 512 * MIB + 1), 2, 'whoever needs it');
  assert.equal(firstAfter({}, 2, 1, 64 * MIB + 1), 2, 'what is before is not needed');
});

test('the log in memory is looked at after so many entries, or bytes', () => {
  const keeps = { catchUpEntries: 256 };
  const none = Number.POSITIVE_INFINITY;
  const sizes = (count: number, last: number): number[] => [...new Array<number>(count - 1).fill(0), last];
  assert.equal(firstAfter(keeps, none, ...sizes(256, 0)), 1);
  assert.equal(firstAfter(keeps, none, ...sizes(257, 0)), 2);
  // The next look is at 513 otherwise.
  assert.equal(firstAfter(keeps, none, ...sizes(512, 8 * MIB - 1)), 2);
  assert.equal(firstAfter(keeps, none, ...sizes(512, 8 * MIB)), 257);
  assert.equal(
    firstAfter({ catchUpEntries: 0 }, none, 0, 0, 0),
    4,
    'nothing is kept, and each entry looked at',
  );
  assert.equal(firstAfter({ catchUpEntries: 3 }, none, 0, 0, 0, 0, 0, 0), 2);
  assert.equal(firstAfter({ catchUpEntries: 3 }, none, 0, 0, 0, 0, 0, 0, 0), 5);
});

test('a snapshot of the log that was found is the one to count from', () => {
  const world = new World({ snapshotIndex: 5 });
  world.raftStorage.append(Array.from({ length: 5 }, (_, i) => new Entry({ index: i + 1, term: TERM })));
  world.apply(15);
  world.settle();
  assert.deepEqual(world.snapFiles, []);
  world.apply(16);
  world.settle();
  assert.deepEqual(world.snapFiles, [snapName(16)]);
});

test('databases of snapshots before that of the leader go when it is installed', () => {
  const world = new World();
  for (const index of [5, 29, 30, 31]) {
    const name = `/snap/${index.toString(16).padStart(16, '0')}.snap.db`;
    world.disk.openFile(name, { access: 'readwrite', create: true }).close();
  }
  world.keeper.onInstalled(30);
  const left = world.disk.readDirectory('/snap').filter((name) => name.endsWith('.snap.db'));
  assert.deepEqual(
    left.map((name) => Number.parseInt(name, 16)),
    [30, 31],
  );
});
