import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PutRequest } from '@etcd/api/etcdserverpb';
import { Entry, HardState } from '@etcd/api/raftpb';
import { InvariantError, type LogFields, type Logger, SILENT_LOGGER } from '@etcd/base';
import { Database, type WritableBucket } from '@etcd/bbolt';
import { Backend } from '@etcd/storage/backend';
import { backendPath, snapDirectory, walDirectory } from '@etcd/storage/data';
import { Lessor } from '@etcd/storage/lease';
import { put, Store } from '@etcd/storage/mvcc';
import { createMetaBucket, writeConsistentIndex } from '@etcd/storage/schema';
import { createWal } from '@etcd/storage/wal';
import { SimClock, SimDisk } from '@etcd/testing';
import { openedProblem, verifyLeft } from './verification.ts';

const config = { dataDir: '/data', walDir: '' };
const LEASE = 11n;

class LineLogger implements Logger {
  readonly lines: string[] = [];
  enabled(): boolean {
    return true;
  }
  debug(): void {}
  info(message: string, _fields?: LogFields): void {
    this.lines.push(message);
  }
  warn(): void {}
  error(): void {}
  fatal(): void {}
  child(): Logger {
    return this;
  }
}

/** A member's data, with a key that has a lease; the log has three entries, of which two are committed. */
class Data {
  readonly disk: SimDisk;
  readonly backend: Backend;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly logger = new LineLogger();

  constructor(consistentIndex = 2) {
    const clock = new SimClock();
    const disk = new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) });
    this.disk = disk;
    disk.makeDirectory(snapDirectory(config), 0o700);
    this.backend = new Backend({ disk, clock, path: backendPath(config), onFatal: assert.fail });
    createMetaBucket(this.backend);
    this.lessor = new Lessor({ backend: this.backend, clock, minTtl: 1 });
    this.store = new Store({ backend: this.backend, clock, leases: this.lessor });
    this.lessor.setStore(this.store);
    this.store.restoreThen((error) => assert.equal(error, null));
    clock.advanceUntil(() => this.store.isReady, 1000);
    this.lessor.grant(LEASE, 60);
    put(this.store, new PutRequest({ key: Buffer.from('k'), value: Buffer.from('v'), lease: LEASE }));
    writeConsistentIndex(this.backend, { index: consistentIndex, term: 1 });
    const wal = createWal(
      { disk, clock, directory: walDirectory(config), segmentSizeBytes: 65_536 },
      Buffer.from('m'),
    );
    wal.save(
      new HardState({ term: 1, vote: 1n, commit: 2 }),
      [1, 2, 3].map((index) => new Entry({ index, term: 1 })),
    );
    wal.close();
    this.backend.commitNowThen(() => {});
    clock.advance(1000);
  }

  /** Ends the member, has somebody else write into its file, and looks. */
  leave(bucket: string | null, damage: (bucket: WritableBucket) => void = () => {}): void {
    this.lessor.stop();
    this.store.close();
    this.backend.close();
    if (bucket !== null) {
      const database = Database.open({ disk: this.disk, path: backendPath(config) });
      const write = database.beginWrite();
      damage(write.bucket(Buffer.from(bucket))!);
      write.commit();
      database.close();
    }
    verifyLeft({ config, disk: this.disk, logger: this.logger, store: this.store, lessor: this.lessor });
  }
}

function refusal(look: () => void): string {
  try {
    look();
  } catch (error) {
    assert.ok(error instanceof InvariantError);
    return error.message;
  }
  return assert.fail('nothing was found');
}

test('data that are whole are said to be, when they are opened and when they are left', () => {
  const data = new Data();
  assert.equal(openedProblem({ ...data, logger: data.logger }), null);
  data.leave(null);
  assert.deepEqual(data.logger.lines, new Array(2).fill('verification of persisted state successful'));
});

test('a lease that the database lost, has besides, or has with another TTL, ends the process', () => {
  const id = Buffer.alloc(8);
  id.writeBigInt64BE(LEASE);
  assert.match(
    refusal(() => new Data().leave('lease', (leases) => leases.delete(id))),
    /^verification of persisted state failed: \/data\/member\/snap\/db: 1 leases are known, and 0 are there$/,
  );
  // Fields ID and TTL.
  assert.match(
    refusal(() =>
      new Data().leave('lease', (leases) => leases.put(Buffer.alloc(8, 1), Buffer.from([8, 12, 16, 60]))),
    ),
    /lease 12 is not known$/,
  );
  assert.match(
    refusal(() => new Data().leave('lease', (leases) => leases.put(id, Buffer.from([8, 11, 16, 61])))),
    /lease 11 has another TTL$/,
  );
});

test('a database that is ahead of its log ends the process', () => {
  assert.match(
    refusal(() => new Data(3).leave(null)),
    /^verification of persisted state failed: \/data\/member\/wal: consistent index 3 .* beyond what is committed, 2$/,
  );
});

test('keys that the index has and the file has not are found when the data are opened', () => {
  const data = new Data();
  const other = new Data();
  put(other.store, new PutRequest({ key: Buffer.from('more'), value: Buffer.from('v') }));
  const problem = openedProblem({ ...data, store: other.store, logger: SILENT_LOGGER });
  assert.match(
    problem!,
    /^verification of persisted state failed: .*: the index has 2 keys, and the database 1 of them$/,
  );
});

test('whoever looks leaves no transaction open, whatever is found', () => {
  const data = new Data();
  const other = new Data();
  put(other.store, new PutRequest({ key: Buffer.from('more'), value: Buffer.from('v') }));
  const openReaders = (): number => data.backend.database.statistics().openReaders;
  const before = openReaders();
  openedProblem({ ...data, logger: SILENT_LOGGER });
  openedProblem({ ...data, store: other.store, logger: SILENT_LOGGER });
  assert.equal(openReaders(), before);
});

test('a database of more than 256 MiB is passed over, with a line in the log', () => {
  const limit = 256 * 1024 * 1024;
  const look = (sizeBytes: number): readonly string[] => {
    const data = new Data();
    // It is read no further than its size.
    const disk = { stat: () => ({ sizeBytes }) } as unknown as SimDisk;
    const { logger, store, lessor } = data;
    try {
      verifyLeft({ config, disk, logger, store, lessor });
    } catch {
      return ['looked at'];
    }
    return logger.lines;
  };
  assert.deepEqual(look(limit), ['looked at']);
  assert.deepEqual(look(limit + 1), [
    'verification of persisted state skipped: the database is too large for it',
  ]);
});
