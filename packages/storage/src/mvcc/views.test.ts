import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { PutRequest, RangeRequest, SortTarget } from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import { SimClock, SimDisk } from '@etcd/testing';
import type { BackendOptions } from '../backend/index.ts';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { executeRange, RangeScan } from './range.ts';
import type { Store } from './store.ts';
import { keyValues } from './testing/result-messages.ts';
import { openBackend, SimMember } from './testing/sim-member.ts';
import { put } from './txn.ts';
import { MAX_HOLD_MS } from './views.ts';

checkDatabases();

class Member extends SimMember<SimClock, SimDisk> {
  constructor(disk: SimDisk | null, options: Partial<BackendOptions> = {}) {
    const clock = new SimClock();
    const schedule = (_operation: unknown, complete: () => void): void => void clock.setTimer(1, complete);
    super(clock, disk ?? new SimDisk({ schedule }), options);
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

function comparable(kvs: readonly KeyValue[]): unknown[] {
  return kvs.map(({ key, value, modRevision, version }) => [
    Buffer.from(key).toString('latin1'),
    Buffer.from(value).toString('latin1'),
    modRevision,
    version,
  ]);
}

function putText(store: Store, key: string, value: string): void {
  assert.equal(put(store, new PutRequest({ key: bytes(key), value: bytes(value) })).error, null);
}

const ALL_K = { key: bytes('k'), rangeEnd: bytes('l') };

/** What a scan finds, taken in small steps between which `meanwhile` happens. */
function readInSteps(scan: RangeScan, meanwhile: (step: number) => void): unknown[] {
  const taken: unknown[] = [];
  for (let step = 0, isDone = false; !isDone; step++) {
    isDone = scan.step(3);
    taken.push(...comparable(keyValues(scan.result.kvs)));
    scan.result.kvs.clear();
    if (!isDone) meanwhile(step);
  }
  return taken;
}

for (const recentBytes of [0, 1 << 20]) {
  test(`compactions wait for a range in steps, and only for one that reads before them (${recentBytes} bytes in memory)`, () => {
    const member = new Member(null, { recentBytes, batchLimit: 20 });
    for (let i = 0; i < 50; i++) putText(member.store, `k${i % 10}`, String(i));
    const request = new RangeRequest({ ...ALL_K, revision: 40 });
    const expected = comparable(keyValues(executeRange(member.store, request).kvs));
    const scan = new RangeScan(member.store, request);
    scan.hold(member.store);
    let isCompacted = false;
    const taken = readInSteps(scan, (step) => {
      if (step === 0) {
        assert.equal(
          member.store.compact(40, () => {}),
          null,
        );
        member.settle();
        assert.equal(
          member.store.compact(45, () => {
            isCompacted = true;
          }),
          null,
        );
        // Who asks now is told of it at once.
        assert.equal(executeRange(member.store, request).error, INTERNAL_ERRORS.mvcc.ErrCompacted);
      }
      member.clock.advance(1000);
      assert.ok(!isCompacted && member.store.isCompacting);
    });
    assert.equal(scan.result.error, null);
    assert.deepEqual(taken, expected);
    assert.deepEqual([scan.result.count, member.store.views.count], [10, 0]);
    member.settle();
    assert.ok(isCompacted);
  });
}

test('a range that holds up a compaction for too long ends with the compacted error, and lets it go on', () => {
  const member = new Member(null);
  for (let i = 0; i < 50; i++) putText(member.store, `k${i % 10}`, String(i));
  const scan = new RangeScan(member.store, new RangeRequest({ ...ALL_K, revision: 40 }));
  scan.hold(member.store);
  assert.ok(!scan.step(3));
  member.clock.advance(10 * MAX_HOLD_MS);
  assert.ok(!scan.step(3), 'as long as nobody waits it may take any time');
  member.store.compact(45, () => {});
  member.clock.advance(MAX_HOLD_MS - 1000);
  assert.ok(member.store.isCompacting && !scan.step(1));
  member.clock.advance(2000);
  member.settle();
  assert.ok(scan.step(3));
  assert.equal(scan.result.error, INTERNAL_ERRORS.mvcc.ErrCompacted);
  assert.deepEqual([scan.result.kvs.count, member.store.views.count], [0, 0]);
});

test('a range in steps that is given up holds nothing', () => {
  const member = new Member(null);
  for (let i = 0; i < 50; i++) putText(member.store, `k${i % 10}`, String(i));
  const scan = new RangeScan(member.store, new RangeRequest({ ...ALL_K, revision: 40 }));
  scan.hold(member.store);
  assert.ok(!scan.step(3));
  member.store.compact(50, () => {});
  scan.close();
  member.clock.advance(1000);
  assert.ok(!member.store.isCompacting);
  assert.ok(scan.step(3), 'and finds nothing more');
});

/** A store whose database is about to be replaced by that of a member that is ahead and has compacted. */
function aboutToBeReplaced(): { member: Member; replace: (then?: () => void) => void } {
  const member = new Member(null, { recentBytes: 0, batchLimit: 20 });
  for (let i = 0; i < 60; i++) putText(member.store, `k${i}`, `of the old store ${i}`);
  member.clock.advance(1000);
  // Not yet in the file.
  putText(member.store, 'k7', 'pending');
  const replace = (then = (): void => {}): void => {
    const ahead = new Member(null);
    for (let i = 0; i < 90; i++) putText(ahead.store, `other${i}`, 'x');
    ahead.store.compact(91, () => {});
    ahead.settle();
    const backend = openBackend(member.clock, ahead.stop());
    const old = member.store.backend;
    old.retire();
    member.store.replaceThen(backend, (error) => {
      assert.equal(error, null);
      then();
    });
    member.clock.advance(1000);
    assert.ok(member.store.isReady);
  };
  return { member, replace };
}

test('a range in steps goes on to its end in the store that a snapshot has replaced, and then lets it go', () => {
  for (const sortTarget of [SortTarget.KEY, SortTarget.MOD]) {
    const { member, replace } = aboutToBeReplaced();
    const request = new RangeRequest({ ...ALL_K, sortTarget });
    const expected = comparable(keyValues(executeRange(member.store, request).kvs));
    const old = member.store.backend;
    const scan = new RangeScan(member.store, request);
    scan.hold(member.store);
    const taken: unknown[] = [];
    for (let step = 0; !scan.step(3); step++) {
      if (scan.isInOrder) {
        taken.push(...comparable(keyValues(scan.result.kvs)));
        scan.result.kvs.clear();
      }
      if (step === 2) replace();
      assert.ok(old.isOpen);
    }
    taken.push(...comparable(keyValues(scan.result.kvs)));
    assert.equal(scan.result.error, null);
    assert.deepEqual(taken, expected);
    assert.deepEqual([scan.result.count, scan.result.more], [60, false]);
    member.clock.advance(1000);
    assert.ok(!old.isOpen);
    assert.equal(executeRange(member.store, new RangeRequest(ALL_K)).count, 0);
  }
});

test('a replaced store is kept for one snapshot, and for a time: then who still reads it is told to ask again', () => {
  for (const end of ['time', 'snapshot'] as const) {
    const { member, replace } = aboutToBeReplaced();
    const old = member.store.backend;
    const scan = new RangeScan(member.store, new RangeRequest(ALL_K));
    scan.hold(member.store);
    assert.ok(!scan.step(3));
    replace();
    assert.ok(!scan.step(3) && old.isOpen);
    if (end === 'time') member.clock.advance(MAX_HOLD_MS);
    else replace();
    assert.ok(scan.step(3));
    assert.equal(scan.result.error, INTERNAL_ERRORS.errors.ErrStopped);
    member.clock.advance(1000);
    assert.ok(!old.isOpen);
  }
});

test('a hash goes on in the store that a snapshot has replaced', () => {
  const { member, replace } = aboutToBeReplaced();
  const expected = member.hash(0).hash;
  const hashes: (number | undefined)[] = [];
  member.store.hashes.hashByRevThen(0, (_error, hash) => hashes.push(hash?.hash), 'gentle');
  replace();
  assert.deepEqual(hashes, [expected]);
  assert.equal(member.store.views.count, 0);
});

test('who waits for a compaction is told of it though a snapshot has overtaken it', () => {
  const { member, replace } = aboutToBeReplaced();
  let doneCount = 0;
  const done = (): void => void doneCount++;
  member.store.compact(20, done);
  member.store.compact(20, done);
  member.store.compact(30, done);
  replace(() => assert.equal(doneCount, 0));
  assert.equal(doneCount, 3);
});

test('a store that ends lets go of all that reads it', () => {
  const { member } = aboutToBeReplaced();
  const scan = new RangeScan(member.store, new RangeRequest(ALL_K));
  scan.hold(member.store);
  assert.ok(!scan.step(3));
  member.stop();
  assert.ok(scan.step(3));
  assert.equal(scan.result.error, INTERNAL_ERRORS.errors.ErrStopped);
  assert.equal(member.hash(0).error, INTERNAL_ERRORS.errors.ErrStopped);
});
