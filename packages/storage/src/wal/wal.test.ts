import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Entry, HardState } from '@etcd/api/raftpb';
import { Snapshot } from '@etcd/api/walpb';
import { DiskError, InvariantError, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { type DiskOperation, SimClock, SimDisk } from '@etcd/testing';
import {
  createWal,
  EntryList,
  openWal,
  readWal,
  repairWal,
  validSnapshots,
  verifyWal,
  type Wal,
  WalError,
  type WalErrorCode,
  type WalOptions,
  walExists,
} from './index.ts';
import { listSegments } from './segment-name.ts';
import { checkLogs } from './testing/check-logs.ts';

const left = checkLogs();

const METADATA = Buffer.from('0801100f', 'hex');
const START = { index: 0, term: 0 };
const DIRECTORY = '/data/wal';

function options(disk: SimDisk, more: Partial<WalOptions> = {}): WalOptions {
  return { disk, directory: DIRECTORY, clock: new SimClock(), segmentSizeBytes: 8192, ...more };
}

function entries(from: number, count: number, term = 1, sizeBytes = 100): Entry[] {
  return Array.from({ length: count }, (_, i) => {
    const data = new Uint8Array(sizeBytes).map((_, j) => (from + i + j) & 0xff);
    return new Entry({ term, index: from + i, data });
  });
}

const state = (term: number, vote: bigint, commit: number): HardState =>
  new HardState({ term, vote, commit });

const snapshot = (index: number, term: number): Snapshot =>
  new Snapshot({ index, term, confState: new ConfState({ voters: [1n] }) });

function reopen(disk: SimDisk, position = START): { wal: Wal; list: EntryList; hardState: HardState } {
  const list = new EntryList();
  const opened = openWal(options(disk), position, list);
  assert.deepEqual(Buffer.from(opened.metadata), METADATA);
  return { ...opened, list };
}

function plain(list: readonly Entry[]): unknown[] {
  return list.map((entry) => [entry.index, entry.term, Buffer.from(entry.data).toString('hex')]);
}

function walError(code: WalErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof WalError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}

test('what was saved is read back: entries, hard state, metadata', () => {
  const disk = new SimDisk();
  assert.equal(walExists(disk, DIRECTORY), false);
  const wal = createWal(options(disk), METADATA);
  assert.equal(walExists(disk, DIRECTORY), true);
  wal.save(state(1, 7n, 0), entries(1, 3));
  wal.save(state(2, 0n, 2), entries(4, 2, 2));
  assert.equal(wal.lastIndex, 5);
  wal.close();
  const { wal: again, list, hardState } = reopen(disk);
  assert.deepEqual(plain(list.entries), plain([...entries(1, 3), ...entries(4, 2, 2)]));
  assert.deepEqual({ ...hardState }, { ...state(2, 0n, 2) });
  assert.equal(again.lastIndex, 5);
  again.save(state(2, 0n, 5), entries(6, 1, 2));
  again.close();
  assert.equal(reopen(disk).list.entries.length, 6);
});

test('entries that are written again replace those from their index on', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  wal.save(state(1, 1n, 0), entries(1, 6));
  wal.save(state(3, 0n, 0), entries(4, 2, 3));
  wal.save(null, entries(6, 1, 3));
  wal.close();
  const expected = [...entries(1, 3), ...entries(4, 3, 3)];
  assert.deepEqual(plain(reopen(disk).list.entries), plain(expected));
});

test('entries behind a snapshot are void once one before it was replaced', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  wal.save(state(1, 1n, 2), entries(1, 6));
  wal.save(state(2, 1n, 2), entries(3, 2, 2));
  wal.save(state(2, 1n, 4), []);
  wal.saveSnapshot(snapshot(4, 2));
  wal.close();
  const { wal: again, list } = reopen(disk, { index: 4, term: 2 });
  assert.deepEqual(plain(list.entries), []);
  again.save(null, entries(5, 1, 2));
  again.close();
  assert.deepEqual(plain(reopen(disk, { index: 4, term: 2 }).list.entries), plain(entries(5, 1, 2)));
});

test('what lies far behind the records never becomes part of them', () => {
  const disk = new SimDisk();
  const large = options(disk, { segmentSizeBytes: 8_000_000 });
  const wal = createWal(large, METADATA);
  wal.save(state(1, 1n, 0), entries(1, 1));
  wal.close();
  const path = disk.join(DIRECTORY, listSegments(disk, DIRECTORY, SILENT_LOGGER)[0]!.name);
  const file = disk.openFile(path, { access: 'readwrite' });
  const stray = new Uint8Array(100_000).fill(0x82);
  file.write(stray, 0, stray.length, 5_000_000);
  file.close();
  const list = new EntryList();
  const { wal: again } = openWal(large, START, list);
  again.save(null, entries(2, 1, 1, 4_990_000));
  again.close();
  openWal(large, START, new EntryList()).wal.close();
  assert.equal(disk.stat(path)!.sizeBytes, 8_000_000);
});

test('full segments are followed by others, and reading begins in the one that holds the snapshot', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  for (let index = 1; index <= 200; index++) {
    wal.save(state(1, 1n, index - 1), entries(index, 1, 1, 500));
    if (index === 120) wal.saveSnapshot(snapshot(110, 1));
  }
  const segments = listSegments(disk, DIRECTORY, SILENT_LOGGER);
  assert.ok(segments.length > 10);
  assert.deepEqual(
    segments.map((segment) => segment.sequence),
    segments.map((_, i) => i),
  );
  wal.close();
  assert.equal(reopen(disk).list.entries.length, 200);
  const opens: string[] = [];
  const copy = new SimDisk({
    onOperation: (operation) => operation.kind === 'open' && opens.push(operation.path),
  });
  copyAll(disk, copy);
  opens.length = 0;
  const { list, wal: second } = reopen(copy, { index: 110, term: 1 });
  assert.deepEqual([list.entries[0]!.index, list.entries.length], [111, 90]);
  const held = segments.filter((segment) => segment.index > 110).length + 1;
  assert.equal(opens.length, held);
  second.close();
  assert.deepEqual(
    validSnapshots(options(disk)).map(({ index, term, confState }) => [index, term, confState?.voters]),
    [
      [0, 0, undefined],
      [110, 1, [1n]],
    ],
  );
});

function copyAll(from: SimDisk, to: SimDisk): void {
  to.makeDirectory(DIRECTORY, 0o700);
  for (const name of from.readDirectory(DIRECTORY)) {
    const content = from.readFile(from.join(DIRECTORY, name));
    const file = to.openFile(to.join(DIRECTORY, name), { access: 'readwrite', create: true });
    file.write(content, 0, content.length, 0);
    file.close();
  }
}

test('entries and votes are synced, a commit index alone waits for the next batch', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  const syncsOf = (act: () => void): number => {
    const before = disk.syncCount;
    act();
    return disk.syncCount - before;
  };
  assert.equal(
    syncsOf(() => wal.save(state(1, 1n, 0), [])),
    1,
    'vote',
  );
  assert.equal(
    syncsOf(() => wal.save(null, entries(1, 2))),
    1,
    'entries',
  );
  const written = disk.bytesWritten;
  assert.equal(
    syncsOf(() => wal.save(state(1, 1n, 1), [])),
    0,
    'commit',
  );
  assert.equal(
    syncsOf(() => wal.save(state(1, 1n, 2), [])),
    0,
    'commit',
  );
  assert.equal(
    syncsOf(() => wal.save(null, [])),
    0,
    'nothing',
  );
  assert.equal(disk.bytesWritten, written);
  assert.equal(verifyWal(options(disk), START).commit, 0);
  assert.equal(
    wal.saveThen(state(1, 1n, 2), [], () => assert.fail('nothing to wait for')),
    false,
  );
  wal.save(null, entries(3, 1));
  assert.equal(verifyWal(options(disk), START).commit, 2);
  wal.save(state(1, 1n, 3), []);
  wal.close();
  assert.equal(verifyWal(options(disk), START).commit, 3);
});

test('asynchronous saves are done when they are durable, through cuts as well', async () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  const save = (index: number): Promise<void> =>
    new Promise((resolve, reject) => {
      let returned = false;
      const done = (error: DiskError | null): void => {
        assert.ok(returned, 'done is not called before saveThen returns');
        if (error !== null) reject(error);
        else resolve();
      };
      assert.equal(wal.saveThen(state(1, 1n, index - 1), entries(index, 1, 1, 700), done), true);
      assert.equal(wal.isSaving, true);
      assert.throws(() => wal.save(null, entries(index + 1, 1)), InvariantError);
      returned = true;
    });
  for (let index = 1; index <= 40; index++) {
    if (index % 3 === 0) wal.save(state(1, 1n, index - 1), entries(index, 1, 1, 700));
    else await save(index);
    assert.equal(wal.isSaving, false);
    if (index === 20) {
      await new Promise<void>((resolve) => wal.saveSnapshotThen(snapshot(15, 1), () => resolve()));
    }
  }
  wal.close();
  assert.ok(listSegments(disk, DIRECTORY, SILENT_LOGGER).length > 2);
  const { wal: again, list } = reopen(disk);
  assert.equal(list.entries.length, 40);
  again.close();
  assert.equal(reopen(disk, { index: 15, term: 1 }).list.entries.length, 25);
});

test('S22 a snapshot from the leader counts from the moment when it was recorded: nothing that comes later is needed', async () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  wal.save(state(1, 2n, 5), entries(1, 5));
  await new Promise<void>((resolve) =>
    wal.saveReceivedSnapshotThen(snapshot(20, 1), state(1, 2n, 20), (error) => {
      assert.equal(error, null);
      resolve();
    }),
  );
  assert.equal(wal.lastIndex, 20);
  // The process ends here, without a word to the log.
  const left = disk.afterCrash(new SeededRandom(1));
  assert.deepEqual(
    validSnapshots(options(left)).map(({ index }) => index),
    [0, 20],
  );
  const { wal: again, list, hardState } = reopen(left, { index: 20, term: 1 });
  assert.deepEqual([list.entries.length, hardState.commit], [0, 20]);
  again.save(state(1, 2n, 20), entries(21, 1));
  again.close();
});

test('S22 entries that a snapshot from the leader has replaced are not part of the log, nor do they say how long it is', () => {
  const disk = new SimDisk({ schedule: (_operation, complete) => complete() });
  const wal = createWal(options(disk), METADATA);
  // A leader that was cut off: from entry 6 on, nobody else has these.
  wal.save(state(3, 1n, 5), entries(1, 20, 3));
  wal.saveReceivedSnapshotThen(snapshot(10, 5), state(5, 0n, 10), (error) => assert.equal(error, null));
  assert.equal(wal.lastIndex, 10);
  const { wal: again, list } = reopen(disk.crashImage(new SeededRandom(1)), { index: 10, term: 5 });
  assert.deepEqual(list.entries, []);
  assert.equal(again.lastIndex, 10);
  again.close();
  wal.save(state(5, 0n, 10), entries(11, 2, 5));
  wal.close();
  const third = reopen(disk, { index: 10, term: 5 });
  assert.deepEqual(
    third.list.entries.map(({ index, term }) => [index, term]),
    [
      [11, 5],
      [12, 5],
    ],
  );
  third.wal.close();
});

test('entries behind a snapshot that the member has made itself stay', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  wal.save(state(3, 1n, 10), entries(1, 20, 3));
  wal.saveSnapshot(snapshot(10, 3));
  wal.saveSnapshot(snapshot(10, 3));
  wal.close();
  const { list, wal: again } = reopen(disk, { index: 10, term: 3 });
  assert.equal(list.entries.length, 10);
  assert.equal(again.lastIndex, 20);
  again.close();
});

test('the next segment is prepared in the background: locked, full of zeros, removed at the end', async () => {
  const disk = new SimDisk();
  const size = 2 * 1024 * 1024;
  const wal = createWal(options(disk, { segmentSizeBytes: size }), METADATA);
  let index = 1;
  const fill = async (until: number): Promise<void> => {
    for (const end = index + until; index < end; index++) {
      wal.save(state(1, 1n, 0), entries(index, 1, 1, 10_000));
      await new Promise(setImmediate);
    }
  };
  await fill(10);
  assert.deepEqual(disk.readDirectory(DIRECTORY), ['0000000000000000-0000000000000000.wal']);
  await fill(140);
  assert.ok(disk.readDirectory(DIRECTORY).includes('0.tmp'));
  assert.equal(disk.stat(`${DIRECTORY}/0.tmp`)!.sizeBytes, size);
  await fill(100);
  assert.equal(listSegments(disk, DIRECTORY, SILENT_LOGGER).length, 2);
  await fill(100);
  assert.ok(disk.readDirectory(DIRECTORY).includes('0.tmp'));
  wal.close();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.deepEqual(
    disk.readDirectory(DIRECTORY).filter((name) => name.endsWith('.tmp')),
    [],
  );
  const list = new EntryList();
  openWal(options(disk, { segmentSizeBytes: size }), START, list).wal.close();
  assert.equal(list.entries.length, index - 1);
});

test('for large batches the next segment is reserved, and gets no zeros', () => {
  const pending: (() => void)[] = [];
  const disk = new SimDisk({ schedule: (_operation, complete) => pending.push(complete) });
  const segmentSizeBytes = 256 * 1024;
  const wal = createWal(options(disk, { segmentSizeBytes }), METADATA);
  for (let index = 1; index <= 40; index++) {
    wal.save(state(1, 1n, 0), entries(index, 1, 1, 17_000));
    if (index === 1) assert.equal(disk.stat(`${DIRECTORY}/0.tmp`)?.sizeBytes, segmentSizeBytes);
  }
  assert.equal(pending.length, 0);
  assert.equal(listSegments(disk, DIRECTORY, SILENT_LOGGER).length, 3);
  for (let index = 41; index <= 46; index++) wal.save(null, entries(index, 1, 1, 10_000));
  assert.equal(pending.length, 1, 'small ones follow: zeros are being written');
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) next();
  wal.close();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) next();
  assert.equal(plain(reopen(disk).list.entries).length, 46);
});

test('a segment that is needed while zeros are on their way to it is given up for another', () => {
  const pending: (() => void)[] = [];
  const disk = new SimDisk({ schedule: (_operation, complete) => pending.push(complete) });
  const wal = createWal(options(disk), METADATA);
  wal.save(state(1, 1n, 0), entries(1, 1, 1, 3000));
  assert.equal(pending.length, 1, 'zeros are being written');
  wal.save(null, entries(2, 1, 1, 9000));
  wal.save(null, entries(3, 1, 1, 4000));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) next();
  wal.save(null, entries(4, 2, 1, 9000));
  wal.close();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) next();
  assert.deepEqual(plain(reopen(disk).list.entries).length, 5);
  assert.ok(!disk.readDirectory(DIRECTORY).some((name) => name.endsWith('.tmp')));
});

test('a log in use is locked against a second writer, not against readers', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  wal.save(state(1, 1n, 0), entries(1, 100, 1, 300));
  assert.throws(() => reopen(disk), walError('locked'));
  assert.throws(() => repairWal(options(disk)), walError('locked'));
  const list = new EntryList();
  readWal(options(disk), START, list);
  assert.equal(list.entries.length, 100);
  wal.close();
  reopen(disk).wal.close();
});

test('a reader beside a writer sees a whole log, however far it got', () => {
  let index = 0;
  let isWriting = false;
  const disk = new SimDisk({
    onOperation: ({ kind }) => {
      if (kind !== 'read' || isWriting) return;
      // The log grows between any two reads of the reader.
      isWriting = true;
      wal.save(state(1, 1n, index), entries(++index, 1, 1, 1500));
      wal.save(state(1, 1n, index), entries(++index, 1, 1, 30));
      isWriting = false;
    },
  });
  const wal = createWal(options(disk, { segmentSizeBytes: 40_000 }), METADATA);
  for (let round = 0; round < 30; round++) {
    const before = index;
    const list = new EntryList();
    readWal(options(disk), START, list);
    assert.ok(list.entries.length >= before);
  }
});

test('segments are unlocked once a snapshot has made them superfluous', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  for (let index = 1; index <= 60; index++) wal.save(state(1, 1n, 0), entries(index, 1, 1, 1000));
  const segments = listSegments(disk, DIRECTORY, SILENT_LOGGER);
  const locked = (): number[] =>
    segments
      .filter((segment) => {
        const file = disk.openFile(disk.join(DIRECTORY, segment.name), { access: 'readwrite' });
        const free = file.tryLock('ofd');
        file.close();
        return !free;
      })
      .map((segment) => segment.sequence);
  const all = segments.map((segment) => segment.sequence);
  assert.deepEqual(locked(), all);
  wal.releaseTo(0);
  wal.releaseTo(segments[1]!.index);
  assert.deepEqual(locked(), all);
  wal.releaseTo(segments[1]!.index + 1);
  assert.deepEqual(locked(), all.slice(1));
  wal.releaseTo(segments[4]!.index);
  assert.deepEqual(locked(), all.slice(3));
  wal.releaseTo(1_000_000);
  assert.deepEqual(locked(), all.slice(-1));
  wal.save(null, entries(61, 1));
  wal.close();
});

test('a log that can not be opened is refused with the reason', () => {
  const disk = new SimDisk();
  assert.throws(() => reopen(disk), walError('not-found'));
  disk.makeDirectory(DIRECTORY, 0o700);
  assert.throws(() => reopen(disk), walError('not-found'));
  const wal = createWal(options(disk), METADATA);
  assert.throws(() => createWal(options(disk), METADATA), walError('exists'));
  for (let index = 1; index <= 40; index++) wal.save(state(2, 1n, index), entries(index, 1, 2, 1000));
  wal.saveSnapshot(snapshot(30, 2));
  wal.close();
  assert.throws(() => reopen(disk, { index: 12, term: 2 }), walError('snapshot-not-found'));
  assert.throws(() => reopen(disk, { index: 30, term: 1 }), walError('snapshot-mismatch'));
  const segments = listSegments(disk, DIRECTORY, SILENT_LOGGER);
  const path = (at: number): string => disk.join(DIRECTORY, segments[at]!.name);
  disk.rename(path(2), `${path(2)}.away`);
  assert.throws(() => reopen(disk), walError('corrupt'));
  disk.rename(path(1), `${path(1)}.away`);
  disk.rename(path(0), `${path(0)}.away`);
  assert.throws(() => reopen(disk), walError('not-found'));
  assert.equal(reopen(disk, { index: 30, term: 2 }).list.entries.length, 10);
});

test('segments of different members do not make a log', () => {
  left.expectDamage();
  const disk = new SimDisk();
  const fill = (metadata: Uint8Array, directory: string): void => {
    const wal = createWal(options(disk, { directory }), metadata);
    for (let index = 1; index <= 12; index++) wal.save(state(1, 1n, index), entries(index, 1, 1, 1000));
    wal.close();
  };
  fill(METADATA, DIRECTORY);
  fill(Buffer.from('08021010', 'hex'), '/other');
  const second = listSegments(disk, DIRECTORY, SILENT_LOGGER)[1]!;
  disk.rename(disk.join('/other', second.name), disk.join(DIRECTORY, second.name));
  // The checksum that the second segment continues already tells them apart.
  assert.throws(() => reopen(disk), walError('corrupt'));
});

test('a failed write or sync ends the log, inline and asynchronously', async () => {
  for (const kind of ['write', 'sync', 'rename', 'syncDirectory'] as const) {
    let failing = false;
    const fail = (operation: DiskOperation): void => {
      if (failing && operation.kind === kind) throw new DiskError('EIO', operation.path, 'EIO: test');
    };
    const disk = new SimDisk({ onOperation: fail });
    const batch = entries(3, 1, 1, 9000);
    const inline = createWal(options(disk), METADATA);
    inline.save(state(1, 1n, 0), entries(1, 2));
    failing = true;
    assert.throws(() => inline.save(null, batch), { code: 'EIO' });
    assert.throws(() => inline.save(null, batch), InvariantError);
    inline.close();
    failing = false;
    const { wal } = reopen(disk);
    failing = true;
    const error = await new Promise((resolve) => wal.saveThen(null, batch, resolve));
    assert.equal((error as DiskError).code, 'EIO', kind);
    assert.throws(() => wal.saveThen(null, batch, () => {}), InvariantError);
    wal.close();
    failing = false;
    assert.ok(reopen(disk).list.entries.length >= 2);
  }
});

test('S22 what raft must never do is refused: a lower term, a second vote, a gap, a committed entry changed', () => {
  const wal = createWal(options(new SimDisk()), METADATA);
  wal.save(state(5, 1n, 0), entries(1, 2, 5));
  assert.throws(() => wal.save(state(4, 1n, 0), []), InvariantError);
  assert.throws(() => wal.save(state(5, 2n, 0), []), InvariantError);
  assert.throws(() => wal.save(null, entries(4, 1, 5)), InvariantError);
  assert.throws(() => wal.saveSnapshot(new Snapshot({ index: 2, term: 5 })), InvariantError);
  wal.save(state(5, 1n, 1), []);
  assert.throws(() => wal.save(null, entries(1, 1, 5)), InvariantError);
  wal.save(null, entries(2, 1, 5));
});

test('S22 a snapshot record that goes back is refused, also by a log that was opened again', () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk), METADATA);
  wal.save(state(5, 1n, 9), entries(1, 9, 5));
  wal.saveSnapshot(snapshot(8, 5));
  assert.equal(wal.snapshotIndex, 8);
  assert.throws(() => wal.saveSnapshot(snapshot(7, 5)), InvariantError);
  wal.saveSnapshot(snapshot(8, 5));
  wal.close();
  for (const position of [
    { index: 0, term: 0 },
    { index: 8, term: 5 },
  ]) {
    const { wal: again } = openWal(options(disk), position, new EntryList());
    assert.equal(again.snapshotIndex, 8);
    assert.throws(() => again.saveSnapshotThen(snapshot(7, 5), () => {}), InvariantError);
    again.close();
  }
});

test('syncs and writes are measured, and slow ones are reported', () => {
  const clock = new SimClock();
  let slowMs = 0;
  const disk = new SimDisk({
    onOperation: (operation) => operation.kind === 'sync' && clock.advance(slowMs),
  });
  const durations: number[] = [];
  const sizes: number[] = [];
  const warnings: string[] = [];
  const logger = { ...SILENT_LOGGER, warn: (message: string): number => warnings.push(message) };
  const wal = createWal(
    options(disk, {
      clock,
      logger,
      onSync: (ms) => durations.push(ms),
      onWrite: (bytes) => sizes.push(bytes),
    }),
    METADATA,
  );
  wal.save(state(1, 1n, 0), entries(1, 1));
  assert.equal(wal.prefersInline, true);
  slowMs = 1500;
  wal.save(null, entries(2, 1));
  assert.deepEqual(durations, [0, 1500]);
  assert.deepEqual(sizes.length, 2);
  assert.deepEqual(warnings, ['slow fdatasync']);
  assert.equal(wal.prefersInline, false);
});

test('a sync of a second is not slow, what is longer is, and how long is said; inline and asynchronously', () => {
  const clock = new SimClock();
  const pending: (() => void)[] = [];
  let slowMs = 0;
  const disk = new SimDisk({
    onOperation: ({ kind }) => kind === 'sync' && clock.advance(slowMs),
    schedule: (_operation, complete) => pending.push(complete),
  });
  const told: unknown[] = [];
  const warn = (message: string, fields?: object): number => told.push([message, fields]);
  const wal = createWal(
    options(disk, {
      clock,
      logger: { ...SILENT_LOGGER, warn },
      onSync: (ms) => told.push(ms),
      onWrite: (bytes, ms) => told.push([bytes > 100, ms]),
    }),
    METADATA,
  );
  clock.advance(77);
  const save = (index: number, durationMs: number, isInline: boolean): void => {
    slowMs = durationMs;
    if (isInline) wal.save(state(1, 1n, 0), entries(index, 1));
    else {
      let isDone = false;
      wal.saveThen(state(1, 1n, 0), entries(index, 1), () => (isDone = true));
      while (!isDone) pending.shift()!();
    }
  };
  const slow = (took: string): unknown => ['slow fdatasync', { took, 'expected-duration': '1s' }];
  let index = 1;
  for (const isInline of [true, false]) {
    save(index++, 1000, isInline);
    assert.deepEqual(told.splice(0), [[true, 1000], 1000]);
    save(index++, 1001, isInline);
    assert.deepEqual(told.splice(0), [[true, 1001], 1001, slow('1.001s')]);
    save(index++, 65_432, isInline);
    assert.deepEqual(told.splice(0), [[true, 65_432], 65_432, slow('65.432s')]);
  }
  wal.close();
});

test('syncs decide how the next save had better be made, and none where nothing is synced', () => {
  for (const unsafeNoFsync of [false, true]) {
    const clock = new SimClock();
    let slowMs = 0;
    const disk = new SimDisk({
      onOperation: ({ kind }) => kind === 'write' && clock.advance(slowMs),
      schedule: (_operation, complete) => complete(),
    });
    const syncs: number[] = [];
    const wal = createWal(options(disk, { clock, unsafeNoFsync, onSync: (ms) => syncs.push(ms) }), METADATA);
    slowMs = 20;
    wal.save(state(1, 1n, 0), entries(1, 1));
    assert.equal(wal.prefersInline, unsafeNoFsync);
    assert.deepEqual(syncs, unsafeNoFsync ? [] : [20]);
    slowMs = 0;
    for (let index = 2; index < 66; index++) wal.saveThen(null, entries(index, 1, 1, 10), () => {});
    assert.equal(wal.prefersInline, true, 'asynchronous ones were fast');
    wal.close();
  }
});

test('leftovers of what was being made go when a log is made or opened, and nothing else does', () => {
  const disk = new SimDisk();
  const touch = (path: string): void => {
    disk.openFile(path, { access: 'readwrite', create: true }).close();
  };
  disk.makeDirectory('/data', 0o700);
  disk.makeDirectory(`${DIRECTORY}.tmp`, 0o700);
  touch(`${DIRECTORY}.tmp/half`);
  disk.makeDirectory(DIRECTORY, 0o700);
  touch(`${DIRECTORY}/stray`);
  createWal(options(disk), METADATA).close();
  const segment = '0000000000000000-0000000000000000.wal';
  assert.deepEqual(disk.readDirectory('/data'), ['wal']);
  assert.deepEqual(disk.readDirectory(DIRECTORY), [segment]);
  for (const name of ['0.tmp', '1.tmp', '2.tmp', '00.tmp', '1.tmp.x']) touch(`${DIRECTORY}/${name}`);
  reopen(disk).wal.close();
  assert.deepEqual(disk.readDirectory(DIRECTORY), ['00.tmp', segment, '1.tmp.x', '2.tmp']);
});

test('without fsync nothing is synced', async () => {
  const disk = new SimDisk();
  const wal = createWal(options(disk, { unsafeNoFsync: true }), METADATA);
  const before = disk.syncCount;
  wal.save(state(1, 1n, 0), entries(1, 1));
  await new Promise((resolve) => wal.saveThen(null, entries(2, 1), resolve));
  assert.equal(disk.syncCount, before);
});
