import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { PutRequest, RangeRequest } from '@etcd/api/etcdserverpb';
import { encodeKeyValue, KeyValue } from '@etcd/api/mvccpb';
import { SeededRandom } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import { SimClock, SimDisk, type SimDiskOptions, SimulatedCrash } from '@etcd/testing';
import {
  type BackendOptions,
  mainOf,
  revisionBytes,
  subOf,
  TOMBSTONE_REVISION_BYTES,
} from '../backend/index.ts';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { KEY } from '../schema/index.ts';
import { executeRange, RangeScan } from './range.ts';
import { DELETE_RANGE, type OpResult, PUT, RANGE, type RangeResult, TXN, type TxnResult } from './results.ts';
import type { Store, StoreOptions } from './store.ts';
import {
  type RequestWorld,
  randomDeleteRange,
  randomPut,
  randomRange,
  randomTxn,
} from './testing/random-requests.ts';
import { type ReferenceOp, type ReferenceRange, ReferenceStore } from './testing/reference-store.ts';
import { keyValues } from './testing/result-messages.ts';
import { leaseSet, openBackend, SimMember } from './testing/sim-member.ts';
import { deleteRange, executeTxn, put } from './txn.ts';

checkDatabases();

const LEASES: ReadonlySet<bigint> = new Set([1n, 77n, -5n, 2n ** 62n]);

/** Starts on a new disk, or on what a crash leaves of one; power is cut at operation `cutAt`. */
class Member extends SimMember<SimClock, SimDisk> {
  constructor(disk: SimDisk | null, options: Partial<StoreOptions & BackendOptions> = {}, cutAt = -1) {
    const clock = new SimClock();
    const simOptions: SimDiskOptions = {
      schedule: (_operation, complete) => clock.setTimer(1, complete),
      onOperation: ({ sequence }) => {
        if (sequence === cutAt) throw new SimulatedCrash('cut');
      },
    };
    const started =
      disk === null ? new SimDisk(simOptions) : disk.afterCrash(new SeededRandom(1), simOptions);
    super(clock, started, { leases: leaseSet(LEASES), ...options });
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

function comparable(kvs: readonly KeyValue[]): unknown[] {
  return kvs.map(({ key, value, createRevision, modRevision, version, lease }) => ({
    key: Buffer.from(key).toString('latin1'),
    value: Buffer.from(value).toString('latin1'),
    createRevision,
    modRevision,
    version,
    lease,
  }));
}

function checkRange(actual: RangeResult, expected: ReferenceRange): void {
  assert.equal(actual.error, expected.error);
  if (expected.error !== null) return;
  assert.equal(actual.revision, expected.revision);
  assert.equal(actual.count, expected.count);
  assert.equal(actual.more, expected.more);
  assert.deepEqual(comparable(keyValues(actual.kvs)), comparable(expected.kvs));
}

function checkOp(actual: OpResult, expected: ReferenceOp): void {
  if ('range' in expected) {
    assert.equal(actual.kind, RANGE);
    checkRange(actual as RangeResult, expected.range);
  } else if ('put' in expected) {
    assert.ok(actual.kind === PUT);
    assert.equal(actual.revision, expected.put.revision);
    assert.deepEqual(
      comparable(keyValues(actual.prevKv)),
      comparable(expected.put.prevKv === null ? [] : [expected.put.prevKv]),
    );
  } else if ('deleteRange' in expected) {
    assert.ok(actual.kind === DELETE_RANGE);
    assert.equal(actual.revision, expected.deleteRange.revision);
    assert.equal(actual.deleted, expected.deleteRange.deleted);
    assert.equal(actual.prevKvs === null, expected.deleteRange.prevKvs === null);
    assert.deepEqual(comparable(keyValues(actual.prevKvs)), comparable(expected.deleteRange.prevKvs ?? []));
  } else if ('txn' in expected) {
    assert.ok(actual.kind === TXN);
    checkTxn(actual, expected.txn);
  }
}

function checkTxn(
  actual: TxnResult,
  expected: { succeeded: boolean; responses: readonly ReferenceOp[] },
): void {
  assert.equal(actual.succeeded, expected.succeeded);
  assert.equal(actual.responses.length, expected.responses.length);
  for (const [i, response] of expected.responses.entries()) checkOp(actual.responses[i]!, response);
}

function newReference(): ReferenceStore {
  const reference = new ReferenceStore();
  for (const lease of LEASES) reference.leases.add(lease);
  return reference;
}

/** One random request to both; what they answer must agree. */
function randomRequest(world: RequestWorld, { store }: Member, reference: ReferenceStore): void {
  const { random } = world;
  const what = random.below(100);
  if (what < 30) {
    const request = randomPut(world);
    const actual = put(store, request);
    const expected = reference.put(request);
    assert.equal(actual.error, expected.error);
    if (expected.error !== null) return;
    assert.equal(actual.revision, expected.revision);
    assert.deepEqual(
      comparable(keyValues(actual.prevKv)),
      comparable(expected.prevKv === null ? [] : [expected.prevKv]),
    );
  } else if (what < 40) {
    const request = randomDeleteRange(world);
    checkOp(deleteRange(store, request), { deleteRange: reference.deleteRange(request) });
  } else if (what < 70) {
    const request = randomTxn(world);
    const actual = executeTxn(store, request);
    const expected = reference.txn(request);
    assert.equal(actual.error, expected.error);
    if (expected.error !== null) return;
    assert.equal(actual.revision, expected.revision);
    checkTxn(actual, expected);
  } else {
    const request = randomRange(world);
    checkRange(executeRange(store, request), reference.range(request));
  }
  assert.equal(store.revision, reference.revision);
}

function worldOf(random: SeededRandom, reference: ReferenceStore): RequestWorld {
  return { random, revision: reference.revision, leases: [...reference.leases] };
}

function checkWhole(member: Member, reference: ReferenceStore): void {
  assert.equal(member.store.revision, reference.revision);
  assert.equal(member.store.compactRevision, reference.compactRevision);
  const all = { key: bytes('\0'), rangeEnd: bytes('\0') };
  const first = Math.max(reference.compactRevision, 1);
  for (let rev = first; rev <= reference.revision; rev += 1 + Math.floor((reference.revision - first) / 7)) {
    const request = new RangeRequest({ ...all, revision: rev });
    checkRange(executeRange(member.store, request), reference.range(request));
  }
  member.store.index.verify();
}

/** What is in the file, and not only what can be read, is what should be. */
function checkFile({ backend }: Member, reference: ReferenceStore): void {
  const cursor = backend.committed.bucket(KEY.nameBytes)!.cursor();
  const found: string[] = [];
  for (let on = cursor.first(); on; on = cursor.next()) {
    const mark = cursor.keyEnd - cursor.keyStart === TOMBSTONE_REVISION_BYTES ? 't' : '';
    found.push(`${mainOf(cursor.bytes, cursor.keyStart)}.${subOf(cursor.bytes, cursor.keyStart)}${mark}`);
  }
  const expected = reference.revisions.map(
    ({ main, sub, isTombstone }) => `${main}.${sub}${isTombstone ? 't' : ''}`,
  );
  assert.deepEqual(found, expected);
}

test('random requests and compactions get the answers of a simple store, across restarts', () => {
  for (let seed = 1; seed <= 8; seed++) {
    const random = new SeededRandom(seed);
    const reference = newReference();
    let member = new Member(null, { batchLimit: 50, recentBytes: random.pick([0, 1 << 20]) });
    for (let step = 0; step < 500; step++) {
      const what = random.below(100);
      if (what < 85) randomRequest(worldOf(random, reference), member, reference);
      else if (what < 90) member.clock.advance(random.below(200));
      else if (what < 92) {
        const rev = random.below(reference.revision + 2);
        const expected = reference.compact(rev);
        assert.equal(
          member.store.compact(rev, () => {}),
          expected,
        );
      } else if (what < 95) {
        member.settle();
        const rev = random.chance(0.5) ? 0 : Math.max(reference.compactRevision, 1) + random.below(3);
        if (rev > reference.revision) continue;
        const stored = member.store.hashes.stored.find(({ revision }) => revision === rev);
        const expected = stored?.hash ?? reference.hash(rev === 0 ? reference.revision : rev);
        assert.equal(member.hash(rev).hash, expected, `seed ${seed}: hash at ${rev}`);
      } else if (what === 95) {
        member.settle();
        member = new Member(member.stop(), { batchLimit: 50, recentBytes: random.pick([0, 1 << 20]) });
        checkFile(member, reference);
        checkWhole(member, reference);
      }
    }
    member.settle();
    checkWhole(member, reference);
    assert.equal(member.hash(0).hash, reference.hash(reference.revision));
    member = new Member(member.stop());
    checkWhole(member, reference);
    assert.equal(
      member.hash(0).hash,
      reference.hash(reference.revision),
      'the file holds what it should and no more',
    );
  }
});

/** A log of requests, as raft would hand it out: applied from any entry on, it leads to the same state. */
function makeLog(seed: number, length: number): ((store: Store | ReferenceStore) => void)[] {
  const random = new SeededRandom(seed);
  const reference = newReference();
  const log: ((store: Store | ReferenceStore) => void)[] = [];
  for (let i = 0; i < length; i++) {
    const entry = randomEntry(worldOf(random, reference));
    entry(reference);
    log.push(entry);
  }
  return log;
}

function randomEntry(world: RequestWorld): (store: Store | ReferenceStore) => void {
  const what = world.random.below(100);
  if (what < 50) {
    const request = randomPut(world);
    return (store) => (store instanceof ReferenceStore ? store.put(request) : put(store, request));
  }
  if (what < 65) {
    const request = randomDeleteRange(world);
    return (store) =>
      store instanceof ReferenceStore ? store.deleteRange(request) : deleteRange(store, request);
  }
  if (what < 93) {
    const request = randomTxn(world);
    return (store) => (store instanceof ReferenceStore ? store.txn(request) : executeTxn(store, request));
  }
  const rev = 1 + world.random.below(world.revision);
  return (store) => store.compact(rev, () => {});
}

function applyFrom(member: Member, log: readonly ((store: Store) => void)[], random: SeededRandom): void {
  for (let i = member.index.index; i < log.length; i++) {
    log[i]!(member.store);
    member.index.set(i + 1, 1);
    if (random.chance(0.4)) member.clock.advance(random.below(40));
  }
}

test('S22 S23 S26 after a crash at any point the rest of the log leads to the same state, compactions included', () => {
  const options = { batchLimit: 20, compactionBatchLimit: 5, recentBytes: 0 };
  for (let seed = 1; seed <= 6; seed++) {
    const log = makeLog(seed, 150);
    const reference = newReference();
    for (const entry of log) entry(reference);
    const uncut = new Member(null, options);
    applyFrom(uncut, log, new SeededRandom(seed));
    uncut.settle();
    const random = new SeededRandom(seed + 100);
    for (let round = 0; round < 12; round++) {
      const cutAt = 3 + random.below(uncut.disk.operationCount);
      let disk = crashAt(null, cutAt, log, seed, options);
      // Power may fail again while the member recovers.
      if (random.chance(0.5)) disk = crashAt(disk, 3 + random.below(60), log, seed + 1, options);
      const member = new Member(disk.afterCrash(random, {}), options);
      applyFrom(member, log, random);
      member.settle();
      checkWhole(member, reference);
      assert.equal(member.hash(0).hash, reference.hash(reference.revision), `seed ${seed}, cut at ${cutAt}`);
      checkFile(new Member(member.stop()), reference);
    }
  }
});

function crashAt(
  disk: SimDisk | null,
  cutAt: number,
  log: readonly ((store: Store) => void)[],
  seed: number,
  options: Partial<StoreOptions & BackendOptions>,
): SimDisk {
  let member: Member | null = null;
  let used: SimDisk | null = null;
  try {
    member = new Member(disk, options, cutAt);
    used = member.disk;
    applyFrom(member, log, new SeededRandom(seed));
    member.settle();
  } catch (error) {
    if (!(error instanceof SimulatedCrash)) throw error;
  }
  // A crash while the file is being created leaves what was there before.
  return used ?? disk ?? new SimDisk();
}

test('a range in steps is the range at its revision, whatever is written meanwhile', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const member = new Member(null, { recentBytes: 0, batchLimit: 30 });
    const reference = newReference();
    const world = (): RequestWorld => worldOf(random, reference);
    for (let i = 0; i < 60; i++) randomRequest(world(), member, reference);
    const request = randomRange(world());
    request.rangeEnd = bytes('\0');
    request.sortTarget = 0;
    const expected = reference.range(request);
    const scan = new RangeScan(member.store, request);
    scan.hold(member.store);
    const taken: unknown[] = [];
    while (!scan.step(1 + random.below(4))) {
      if (scan.isInOrder) {
        taken.push(...comparable(keyValues(scan.result.kvs)));
        scan.result.kvs.clear();
      }
      for (let i = random.below(4); i > 0; i--) randomRequest(world(), member, reference);
      member.clock.advance(random.below(60));
    }
    taken.push(...comparable(keyValues(scan.result.kvs)));
    assert.equal(scan.result.error, expected.error);
    assert.deepEqual(taken, comparable(expected.kvs), `seed ${seed}`);
    assert.deepEqual([scan.result.count, scan.result.more], [expected.count, expected.more]);
  }
});

function putText(store: Store, key: string, value: string): void {
  assert.equal(put(store, new PutRequest({ key: bytes(key), value: bytes(value) })).error, null);
}

test('a limit holds over the steps of a range, and behind the filters', () => {
  const member = new Member(null);
  for (let i = 0; i < 50; i++) putText(member.store, `k${i + 10}`, String(i));
  for (const { limit, minModRevision } of [
    { limit: 7, minModRevision: 0 },
    { limit: 7, minModRevision: 12 },
  ]) {
    const request = new RangeRequest({ key: bytes('k'), rangeEnd: bytes('l'), limit, minModRevision });
    const scan = new RangeScan(member.store, request);
    scan.hold(member.store);
    const taken: unknown[] = [];
    for (let isDone = false; !isDone; ) {
      isDone = scan.step(3);
      taken.push(...comparable(keyValues(scan.result.kvs)));
      scan.result.kvs.clear();
    }
    const whole = executeRange(member.store, request);
    assert.equal(taken.length, limit);
    assert.deepEqual(taken, comparable(keyValues(whole.kvs)));
    assert.deepEqual([scan.result.count, scan.result.more], [50, true]);
  }
});

test('compaction calls back when it is finished, also those who came too late for it', () => {
  const member = new Member(null, { compactionBatchLimit: 10 });
  for (let i = 0; i < 100; i++) putText(member.store, 'k', String(i));
  const order: string[] = [];
  assert.equal(
    member.store.compact(60, () => order.push('60')),
    null,
  );
  assert.equal(
    member.store.compact(80, () => order.push('80')),
    null,
  );
  assert.equal(
    member.store.compact(70, () => order.push('behind 80')),
    INTERNAL_ERRORS.mvcc.ErrCompacted,
  );
  assert.equal(
    member.store.compact(200, () => order.push('never')),
    INTERNAL_ERRORS.mvcc.ErrFutureRev,
  );
  assert.deepEqual(order, []);
  member.settle();
  assert.deepEqual(order, ['60', '80', 'behind 80']);
  let idle = false;
  member.store.compact(80, () => {
    idle = true;
  });
  member.clock.advance(1);
  assert.ok(idle, 'with nothing running the callback comes at once');
});

test('compaction looks at what has changed since the one before, unless it has to leave a hash', () => {
  const member = new Member(null, {
    compactionHashes: false,
    compactionBatchLimit: 100,
    compactionSleepMs: 1000,
  });
  for (let i = 0; i < 5000; i++) putText(member.store, `k${i}`, 'x');
  member.store.compact(member.store.revision, () => {});
  member.settle();
  for (let i = 0; i < 50; i++) putText(member.store, `k${i}`, 'y');
  const begun = member.clock.now();
  member.store.compact(member.store.revision, () => {});
  member.settle();
  assert.ok(member.clock.now() - begun < 5000, 'a few slices for fifty changes, not fifty for all keys');
  assert.deepEqual(member.store.hashes.stored, []);
});

test('garbage that an earlier compaction left behind is found at restore and removed by the next', () => {
  const member = new Member(null);
  const reference = newReference();
  for (let i = 0; i < 20; i++) {
    const request = new PutRequest({ key: bytes(`k${i % 2}`), value: bytes(String(i)) });
    put(member.store, request);
    reference.put(request);
  }
  reference.compact(10);
  member.store.compact(10, () => {});
  member.settle();
  // As another program leaves it that does not do all it says.
  const disk = member.stop();
  const database = Database.open({ disk, path: '/db' });
  const write = database.beginWrite();
  const kv = new KeyValue({ key: bytes('k1'), createRevision: 3, modRevision: 5, version: 2 });
  write.bucket(KEY.nameBytes)!.put(revisionBytes(5), encodeKeyValue(kv));
  write.commit();
  database.close();
  const again = new Member(disk, { compactionHashes: false });
  again.store.compact(12, () => {});
  reference.compact(12);
  again.settle();
  checkFile(new Member(again.stop()), reference);
});

test('a hash waits with later compactions, and gives what was asked for', () => {
  const member = new Member(null);
  const reference = newReference();
  for (let i = 0; i < 5000; i++) {
    const request = new PutRequest({ key: bytes(`k${i % 50}`), value: bytes(String(i)) });
    put(member.store, request);
    reference.put(request);
  }
  const expected = reference.hash(3000);
  let hash = -1;
  let compacted = false;
  member.store.hashes.hashByRevThen(3000, (error, result) => {
    assert.equal(error, null);
    assert.ok(!compacted);
    hash = result!.hash;
  });
  member.store.compact(4000, () => {
    compacted = true;
  });
  member.settle();
  assert.equal(hash, expected);
  assert.ok(compacted);
  assert.deepEqual(member.hash(3000).error, INTERNAL_ERRORS.mvcc.ErrCompacted);
  assert.deepEqual(member.hash(6000).error, INTERNAL_ERRORS.mvcc.ErrFutureRev);
  // Before all revisions there is nothing to hash but the name of the bucket: etcd's answer too.
  assert.equal(member.hash(-4).hash, 0x40a4756d);
});

test('finished compactions leave hashes, the last ten of them, that answer for their revisions', () => {
  const member = new Member(null);
  const reference = newReference();
  const hashes: number[] = [];
  let previous = -1;
  for (let i = 1; i <= 12; i++) {
    for (let j = 0; j < 10; j++) {
      const request = new PutRequest({ key: bytes(`k${j % 3}`), value: bytes(`${i} ${j}`) });
      put(member.store, request);
      reference.put(request);
    }
    const rev = reference.revision - 2;
    // Over what was there before this compaction removed anything.
    hashes.push(reference.hash(rev, previous));
    assert.equal(
      member.store.compact(rev, () => {}),
      null,
    );
    member.settle();
    assert.deepEqual(member.hash(rev), {
      error: null,
      hash: hashes.at(-1)!,
      compactRevision: previous,
      revision: rev,
    });
    reference.compact(rev);
    previous = rev;
  }
  assert.deepEqual(
    member.store.hashes.stored.map(({ hash }) => hash),
    hashes.slice(-10),
  );
});

test('a store goes on with another backend as if it had been there from the start', () => {
  const other = new Member(null);
  const reference = newReference();
  const random = new SeededRandom(4);
  for (let i = 0; i < 200; i++) randomRequest(worldOf(random, reference), other, reference);
  reference.compact(20);
  other.store.compact(20, () => {});
  other.settle();
  const member = new Member(null);
  for (let i = 0; i < 50; i++) putText(member.store, `old${i}`, 'x');
  member.store.compact(30, () => {});
  const backend = openBackend(member.clock, other.stop());
  let done = false;
  member.store.replaceThen(backend, (error) => {
    assert.equal(error, null);
    done = true;
  });
  other.clock.advance(1000);
  member.clock.advance(1000);
  assert.ok(done);
  checkWhole(member, reference);
  for (let i = 0; i < 100; i++) randomRequest(worldOf(random, reference), member, reference);
});

test('S17 a file whose revisions are damaged is refused, with what is wrong', () => {
  for (const [key, value, problem] of [
    ['short', '', /not a revision/],
    ['\0\0\0\0\0\0\0\x02x\0\0\0\0\0\0\0\0', '', /not a revision/],
    ['\xff\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0', '', /not a revision/],
    ['\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0', '\xff\xff', /value of revision 2.0/],
  ] as const) {
    const disk = new SimDisk();
    const database = Database.open({ disk, path: '/db' });
    const write = database.beginWrite();
    write.createBucket(KEY.nameBytes).put(bytes(key), bytes(value));
    write.commit();
    database.close();
    const member = new Member(disk);
    assert.ok(!member.store.isReady);
    assert.match(String(member.restoreError), problem);
  }
});
