/** In how many turns large jobs are done, what is told of them, which leases keys get, and the hash of a file that nobody has open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest } from '@etcd/api/etcdserverpb';
import { SeededRandom } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import { SimClock, SimDisk } from '@etcd/testing';
import type { BackendOptions } from '../backend/index.ts';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { writeScheduledCompact } from '../schema/index.ts';
import { hashOfDatabase } from './hash-file.ts';
import type { TreeIndex } from './key-index/tree-index.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import { executeRange } from './range.ts';
import { TxnResult } from './results.ts';
import type { StoreOptions } from './store.ts';
import { keyValues } from './testing/result-messages.ts';
import { SimMember } from './testing/sim-member.ts';
import { deleteRange, executeTxn, put } from './txn.ts';

checkDatabases();

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const textOf = (part: Uint8Array): string => Buffer.from(part).toString('latin1');
const MIB = 1024 * 1024;

/** Counts the turns that are asked for. */
class CountingClock extends SimClock {
  turns = 0;

  override defer(callback: () => void): void {
    this.turns++;
    super.defer(callback);
  }
}

class Member extends SimMember<CountingClock, SimDisk> {
  constructor(disk: SimDisk | null = null, options: Partial<StoreOptions & BackendOptions> = {}) {
    const clock = new CountingClock();
    const schedule = (_operation: unknown, complete: () => void): void => void clock.setTimer(1, complete);
    super(clock, disk?.afterKill({ schedule }) ?? new SimDisk({ schedule }), options);
  }

  put(key: string, value: string | Uint8Array = 'x', lease = 0n): void {
    const request = new PutRequest({
      key: bytes(key),
      value: typeof value === 'string' ? bytes(value) : value,
      lease,
    });
    assert.equal(put(this.store, request).error, null);
  }

  delete(key: string, end = ''): void {
    deleteRange(this.store, new DeleteRangeRequest({ key: bytes(key), rangeEnd: bytes(end) }));
  }

  turnsOf(run: () => void): number {
    this.clock.advance(1000);
    const before = this.clock.turns;
    run();
    this.clock.advance(100_000);
    return this.clock.turns - before;
  }
}

test('a store is restored a thousand revisions at a time', () => {
  const turnsFor = (revisions: number): number => {
    const member = new Member();
    for (let i = 0; i < revisions; i++) member.put(`k${i % 100}`);
    return new Member(member.stop()).clock.turns;
  };
  const least = turnsFor(999);
  assert.deepEqual([turnsFor(1000), turnsFor(2000), turnsFor(2001)], [least, least + 1, least + 2]);
});

test('a hash is taken two thousand revisions at a time, or a megabyte, and gently with rests', () => {
  const member = new Member();
  const turnsOfHash = (pace: 'fast' | 'gentle'): number => {
    let hashes = 0;
    const turns = member.turnsOf(() => {
      member.store.hashes.hashByRevThen(
        0,
        (error) => {
          assert.equal(error, null);
          hashes++;
        },
        pace,
      );
    });
    assert.equal(hashes, 1);
    return turns;
  };
  const least = turnsOfHash('fast');
  for (let i = 0; i < 1999; i++) member.put('k');
  // One turn for the commit, as well.
  const commit = turnsOfHash('fast') - least;
  const before = turnsOfHash('fast');
  assert.equal(before, least, 'a slice of two thousand comes to the end of 1999');
  member.put('k');
  turnsOfHash('fast');
  assert.equal(turnsOfHash('fast'), least + 1);
  assert.ok(commit >= 0);
  for (let i = 0; i < 4; i++) member.put('large', new Uint8Array(600 * 1024));
  turnsOfHash('fast');
  assert.equal(turnsOfHash('fast'), least + 3, 'two of them fill a slice');
  const began = member.clock.now();
  let took = -1;
  member.store.hashes.hashByRevThen(0, () => (took = member.clock.now() - began), 'gentle');
  member.clock.advance(10_000);
  assert.equal(took, 3, 'a millisecond of rest behind each slice that took none');
});

test('a gentle hash rests four times as long as each slice took', () => {
  let slow = false;
  const clock = new (class extends SimClock {
    #reads = 0;

    /** Each look at it while it is slow is three milliseconds later. */
    override now(): number {
      return super.now() + (slow ? 3 * this.#reads++ : 0);
    }
  })();
  const schedule = (_operation: unknown, complete: () => void): void => void clock.setTimer(1, complete);
  const member = new SimMember(clock, new SimDisk({ schedule }));
  const rests: number[] = [];
  for (let i = 0; i < 2001; i++) put(member.store, new PutRequest({ key: bytes('k') }));
  clock.advance(1000);
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (delayMs, callback) => {
    if (slow) rests.push(delayMs);
    return setTimer(delayMs, callback);
  };
  let isDone = false;
  member.store.hashes.hashByRevThen(0, () => (isDone = true), 'gentle');
  slow = true;
  clock.advance(1000);
  assert.ok(isDone);
  assert.deepEqual(rests, [12]);
});

test('what a hash can not be given for is said, in a turn of its own, and nothing stays held', () => {
  const member = new Member();
  for (let i = 0; i < 9; i++) member.put('k');
  member.store.compact(5, () => {});
  member.clock.advance(1000);
  const readers = member.backend.database.statistics().openReaders;
  const answers: [number, InternalError | null, number][] = [];
  for (const revision of [4, 5, 10, 11, 0]) {
    member.store.hashes.hashByRevThen(revision, (error, hash, current) => {
      assert.equal(hash === null, error !== null);
      assert.equal(current, 10);
      answers.push([revision, error, hash?.revision ?? -1]);
    });
  }
  assert.equal(answers.length, 0);
  member.clock.advance(1000);
  const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;
  assert.deepEqual(
    answers.sort(([a], [b]) => a - b),
    [
      [0, null, 10],
      [4, ErrCompacted, -1],
      [5, null, 5],
      [10, null, 10],
      [11, ErrFutureRev, -1],
    ],
  );
  assert.deepEqual(
    [member.backend.database.statistics().openReaders, member.store.views.count],
    [readers, 0],
  );
});

test('a hash that waits for a commit when the store ends is told so, once', () => {
  const member = new Member();
  member.put('k');
  const told: (InternalError | null)[] = [];
  member.store.hashes.hashByRevThen(0, (error) => told.push(error));
  member.store.close();
  assert.deepEqual(told, [INTERNAL_ERRORS.errors.ErrStopped]);
  member.clock.advance(1000);
  assert.equal(told.length, 1);
});

test('a compaction works in slices with rests, and tells of each, and of the whole', () => {
  const told: string[] = [];
  const compactionObserver = {
    onSlice: (durationMs: number, removed: number) => told.push(`slice ${durationMs} ${removed}`),
    onFinished: (durationMs: number, wallMs: number) => told.push(`finished ${durationMs} ${wallMs}`),
  };
  const member = new Member(null, {
    compactionBatchLimit: 10,
    compactionSleepMs: 50,
    compactionHashes: false,
    compactionObserver,
  });
  for (let i = 0; i < 25; i++) member.put('k');
  const began = member.clock.now();
  let took = -1;
  member.store.compact(26, () => (took = member.clock.now() - began));
  assert.ok(member.store.isCompacting);
  member.clock.advance(99);
  assert.deepEqual(told, ['slice 0 10', 'slice 0 10']);
  assert.ok(member.store.isCompacting);
  member.clock.advance(1);
  const wallMs = member.clock.wallNow();
  assert.deepEqual(told.slice(2), ['slice 0 4', `finished 100 ${wallMs}`]);
  assert.deepEqual([took, member.store.isCompacting], [100, false]);
});

test('a compaction waits while ten thousand removals wait for their commit, or too much for the disk', () => {
  for (const isOverloaded of [false, true]) {
    const member = new Member(null, {
      compactionHashes: false,
      batchLimit: 1e6,
      batchIntervalMs: 1e6,
      maxPendingBytes: isOverloaded ? 1000 : 1e9,
    });
    for (let i = 0; i < 30; i++) member.put('k');
    member.backend.commitNowThen(() => {});
    member.clock.advance(1000);
    if (isOverloaded) member.put('large', new Uint8Array(1001));
    else for (let i = 0; i < 9998; i++) member.put(`l${i}`);
    // With the scheduled revision, which is written down, as many as there may be.
    assert.equal(member.backend.pendingOperations, isOverloaded ? 1 : 9998);
    member.store.compact(20, () => {});
    if (!isOverloaded) assert.equal(member.backend.pendingOperations, 9999);
    const isHeldUp = isOverloaded;
    member.clock.advance(1000);
    assert.equal(member.store.isCompacting, isHeldUp);
    if (!isOverloaded) {
      while (member.backend.pendingOperations < 10_000) member.put('m');
      member.store.compact(25, () => {});
      member.clock.advance(1000);
      assert.ok(member.store.isCompacting, 'held up');
    }
    member.backend.commitNowThen(() => {});
    member.clock.advance(1000);
    assert.ok(!member.store.isCompacting);
  }
});

/** Remembers the lease of each key by its ref, with the attachment that the index keeps for it. */
class Leases implements LeaseKeeper {
  readonly known: ReadonlySet<bigint>;
  #index: TreeIndex | null = null;
  readonly #leases = new Map<number, bigint>();

  constructor(known: readonly bigint[]) {
    this.known = new Set(known);
  }

  setIndex(index: TreeIndex): void {
    this.#index = index;
    this.#leases.clear();
  }

  has(lease: bigint): boolean {
    return this.known.has(lease);
  }

  setLease(ref: number, lease: bigint): void {
    const isNone = lease === 0n || !this.known.has(lease);
    this.#index!.setAttachment(ref, isNone ? 0 : 1);
    if (isNone) this.#leases.delete(ref);
    else this.#leases.set(ref, lease);
  }

  /** `key=lease`, sorted. */
  get attached(): string[] {
    const index = this.#index!;
    const keys = [...this.#leases].map(([ref, lease]) => {
      const start = index.keyStart(ref);
      return `${textOf(index.keyBuffer(ref).subarray(start, start + index.keyLength(ref)))}=${lease}`;
    });
    return keys.sort();
  }
}

test('a key has the lease of its last put, and none once it is deleted, also in a store that is started anew', () => {
  for (let seed = 1; seed <= 2; seed++) {
    const random = new SeededRandom(seed);
    const leases = new Leases([1n, 2n, 3n]);
    let member = new Member(null, { leases });
    const model = new Map<string, bigint>();
    const write = (key: string, lease: bigint): PutRequest => {
      model.set(key, lease);
      return new PutRequest({ key: bytes(key), value: bytes('v'), lease });
    };
    for (let step = 0; step < 120; step++) {
      const key = `k${random.below(12)}`;
      const lease = BigInt(random.below(4));
      const what = random.below(10);
      if (what < 5) put(member.store, write(key, lease));
      else if (what < 6 && model.has(key)) {
        const { key: name, value } = write(key, model.get(key)!);
        put(member.store, new PutRequest({ key: name, value, ignoreLease: true }));
      } else if (what < 8) {
        const isRange = random.chance(0.3);
        member.delete(key, isRange ? 'l' : '');
        for (const known of [...model.keys()])
          if (known === key || (isRange && known >= key)) model.delete(known);
      } else {
        // Changed twice in one transaction.
        const request = new TxnRequest();
        const remove = new DeleteRangeRequest({ key: bytes(key) });
        request.success.push(new RequestOp({ requestDeleteRange: remove }));
        model.delete(key);
        const other = `k${random.below(12)}x`;
        request.success.push(new RequestOp({ requestPut: write(other, lease) }));
        executeTxn(member.store, request);
      }
      if (random.chance(0.05)) {
        const last = member.store.revision;
        member.store.compact(1 + random.below(last), () => {});
        member.settle();
      }
      if (random.chance(0.05)) member = new Member(member.stop(), { leases });
      const expected = [...model].filter(([, of]) => of !== 0n).map(([name, of]) => `${name}=${of}`);
      assert.deepEqual(leases.attached, expected.sort(), `seed ${seed}, step ${step}`);
    }
  }
});

test('a lease that is not there any more when the store starts is reported, with how many keys have it, unless they have another since', () => {
  const member = new Member(null, { leases: new Leases([1n, 2n]) });
  member.put('a', 'x', 1n);
  member.put('b', 'x', 2n);
  member.put('b', 'y', 1n);
  member.put('c', 'x', 2n);
  member.put('d', 'x', 2n);
  member.put('d', 'y');
  member.put('e', 'x', 2n);
  member.delete('e');
  const errors: unknown[] = [];
  const error = (message: string, fields?: { readonly keys?: unknown }): number =>
    errors.push([message, fields?.keys]);
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error } as unknown as NonNullable<
    StoreOptions['logger']
  >;
  const leases = new Leases([1n]);
  const again = new Member(member.stop(), { leases, logger });
  assert.deepEqual(errors, [['failed to attach a lease', 1]]);
  assert.deepEqual(leases.attached, ['a=1', 'b=1']);
  again.stop();
});

test('the hash of a file is the one that its member would give, compacted or about to be', () => {
  for (let seed = 1; seed <= 2; seed++) {
    const random = new SeededRandom(seed);
    const member = new Member();
    for (let i = 0; i < 80; i++) {
      if (random.chance(0.3)) member.delete(`k${random.below(9)}`);
      else member.put(`k${random.below(9)}`, `${i}`);
    }
    const newest = member.store.revision;
    if (random.chance(0.7)) member.store.compact(1 + random.below(newest), () => {});
    member.settle();
    const { compactRevision } = member.store;
    const wanted = [0, Math.max(1, compactRevision), newest];
    const expected = wanted.map((revision) => {
      const stored = member.store.hashes.stored.some((hash) => hash.revision === revision);
      return stored ? null : member.hash(revision);
    });
    const disk = member.stop();
    const database = Database.open({ disk, path: '/db', readOnly: true });
    for (const [i, revision] of wanted.entries()) {
      if (expected[i] === null) continue;
      const { error: _error, ...hash } = expected[i]!;
      assert.deepEqual(hashOfDatabase(database, revision).hash, hash, `seed ${seed}, at ${revision}`);
    }
    const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;
    assert.equal(hashOfDatabase(database, newest + 1).error, ErrFutureRev);
    assert.equal(hashOfDatabase(database, Math.max(1, compactRevision)).error, undefined);
    if (compactRevision > 1) assert.equal(hashOfDatabase(database, compactRevision - 1).error, ErrCompacted);
    assert.equal(database.statistics().openReaders, 0);
    database.close();
  }
});

test('a compaction that was only scheduled counts for the hash of a file, and is done when the store starts', () => {
  const member = new Member();
  for (let i = 0; i < 20; i++) member.put(`k${i % 3}`, `${i}`);
  member.clock.advance(1000);
  const whole = member.hash(0);
  writeScheduledCompact(member.backend, 15);
  const disk = member.stop();
  const database = Database.open({ disk, path: '/db', readOnly: true });
  const { hash, error } = hashOfDatabase(database, 0);
  assert.equal(error, undefined);
  assert.deepEqual([hash!.compactRevision, hash!.revision], [15, 21]);
  assert.notEqual(hash!.hash, whole.hash);
  assert.equal(hashOfDatabase(database, 14).error, INTERNAL_ERRORS.mvcc.ErrCompacted);
  database.close();
  const again = new Member(disk);
  assert.equal(again.store.compactRevision, 15);
  again.settle();
  assert.equal(again.hash(0).hash, hash!.hash);
  assert.ok(!again.store.isCompacting);
});

test('filters take in the revisions that they name, from the first one on', () => {
  const member = new Member();
  for (const key of ['a', 'b', 'c', 'a']) member.put(key);
  // a was created at 2 and changed at 5, b and c are of 3 and 4.
  const found = (filters: Partial<RangeRequest>): string =>
    [false, true]
      .map((isLimited) => {
        const limit = isLimited ? 1000 : 0;
        const request = new RangeRequest({ key: bytes('a'), rangeEnd: bytes('z'), limit, ...filters });
        const { kvs, count, more } = executeRange(member.store, request);
        assert.deepEqual([count, more], [3, false]);
        return keyValues(kvs)
          .map(({ key }) => textOf(key))
          .join('');
      })
      .filter((keys, i, all) => keys !== all[i - 1])
      .join();
  for (const [name, expected] of [
    ['minModRevision', ['abc', 'abc', 'abc', 'abc', 'ac', 'a', '']],
    ['maxModRevision', ['abc', '', '', 'b', 'bc', 'abc', 'abc']],
    ['minCreateRevision', ['abc', 'abc', 'abc', 'bc', 'c', '', '']],
    ['maxCreateRevision', ['abc', '', 'a', 'ab', 'abc', 'abc', 'abc']],
  ] as const) {
    for (const [revision, keys] of expected.entries())
      assert.equal(found({ [name]: revision }), keys, `${name} ${revision}`);
  }
  assert.equal(found({ minModRevision: 3, maxModRevision: 4 }), 'bc');
  assert.equal(found({ minCreateRevision: 2, maxCreateRevision: 2 }), 'a');
});

test('who compares members is shown each revision once, with its changes', () => {
  const seen: string[] = [];
  const member = new Member(null, {
    onRevision: (revision, log) => {
      const first = log.firstEntryOf(revision);
      seen.push(`${revision} ${log.firstEntryAfter(revision) - first}`);
    },
  });
  member.put('a');
  member.put('b');
  member.delete('none');
  member.delete('a', 'c');
  assert.deepEqual(seen, ['2 1', '3 1', '4 2']);
  member.put('large', new Uint8Array(3 * MIB));
  assert.equal(seen.length, 4);
});

test('a transaction may have as many nested ones as fit a request, at any depth', () => {
  const member = new Member();
  const nested = new RequestOp({ requestTxn: new TxnRequest() });
  const middle = new TxnRequest({ success: new Array<RequestOp>(300_000).fill(nested) });
  const result = executeTxn(
    member.store,
    new TxnRequest({ success: [new RequestOp({ requestTxn: middle })] }),
  );
  assert.equal(result.error, null);
  const [answer] = result.responses;
  assert.ok(answer instanceof TxnResult);
  assert.equal(answer.responses.length, 300_000);
});
