import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { DeleteRangeRequest, PutRequest, RangeRequest } from '@etcd/api/etcdserverpb';
import { latin1FromBytes, SeededRandom } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { executeRange } from '../mvcc/range.ts';
import { openBackend, SimMember } from '../mvcc/testing/sim-member.ts';
import { deleteRange, put } from '../mvcc/txn.ts';
import { type Checkpointer, Lessor, type LessorOptions, MAX_LEASE_TTL } from './lessor.ts';

checkDatabases();

const { ErrLeaseExists, ErrLeaseNotFound, ErrLeaseTTLTooLarge, ErrNotPrimary } = INTERNAL_ERRORS.lease;
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const NO_ERROR = null;

interface Member {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly sim: SimMember<SimClock, SimDisk>;
  readonly lessor: Lessor;
}

/** Runs what is deferred a millisecond later, so that a test can do something between two turns. */
class SlowClock extends SimClock {
  override defer(callback: () => void): void {
    this.setTimer(1, callback);
  }
}

function newMember(
  options: Partial<LessorOptions> = {},
  from: SimDisk | null = null,
  clock: SimClock = new SimClock(),
): Member {
  const simOptions = {
    schedule: (_operation: unknown, complete: () => void): void => {
      clock.setTimer(1, complete);
    },
  };
  const disk = from === null ? new SimDisk(simOptions) : from.afterCrash(new SeededRandom(1), simOptions);
  let lessor: Lessor | null = null;
  const sim = new SimMember(clock, disk, {
    makeLeases: (backend) => {
      lessor = new Lessor({ backend, clock, minTtl: 2, ...options });
      return lessor;
    },
  });
  lessor!.setStore(sim.store);
  return { clock, disk, sim, lessor: lessor! };
}

function putKey({ sim }: Member, key: string, lease: bigint): void {
  assert.equal(put(sim.store, new PutRequest({ key: bytes(key), value: bytes('v'), lease })).error, NO_ERROR);
}

function deleteKey({ sim }: Member, key: string): void {
  deleteRange(sim.store, new DeleteRangeRequest({ key: bytes(key) }));
}

function allKeys({ sim }: Member): string[] {
  const { kvs } = executeRange(
    sim.store,
    new RangeRequest({ key: bytes('\0'), rangeEnd: bytes('\0'), keysOnly: true }),
  );
  const keys: string[] = [];
  for (let i = 0; i < kvs.count; i++)
    keys.push(latin1FromBytes(kvs.buffer(i), kvs.start(i) + 2, kvs.end(i)).split('\x10')[0]!);
  return keys;
}

const keysOf = ({ lessor }: Member, id: bigint): string[] =>
  lessor.keysOf(id).map((key) => latin1FromBytes(key));

test('grants are checked, short TTLs are raised, and leases survive a restart with their keys', () => {
  const member = newMember();
  const { lessor } = member;
  assert.deepEqual(lessor.grant(0n, 10), { error: ErrLeaseNotFound, ttl: 0 });
  assert.deepEqual(lessor.grant(1n, MAX_LEASE_TTL + 1), { error: ErrLeaseTTLTooLarge, ttl: 0 });
  assert.deepEqual(lessor.grant(1n, MAX_LEASE_TTL), { error: null, ttl: MAX_LEASE_TTL });
  assert.deepEqual(lessor.grant(1n, 10), { error: ErrLeaseExists, ttl: 0 });
  assert.deepEqual(lessor.grant(-7n, -3), { error: null, ttl: 2 });
  assert.deepEqual(lessor.grant(2n ** 62n, 60), { error: null, ttl: 60 });
  putKey(member, 'b', -7n);
  putKey(member, 'a', -7n);
  putKey(member, 'c', 2n ** 62n);
  putKey(member, 'c', 1n);
  const check = (m: Member): void => {
    assert.equal(m.lessor.leaseCount, 3);
    assert.equal(m.lessor.lookup(-7n)?.ttl, 2);
    assert.equal(m.lessor.lookup(3n), null);
    assert.deepEqual([keysOf(m, -7n), keysOf(m, 1n), keysOf(m, 2n ** 62n)], [['a', 'b'], ['c'], []]);
  };
  check(member);
  check(newMember({}, member.sim.stop()));
});

test('revoking deletes the keys in their order in one transaction, and the lease with them', () => {
  const member = newMember();
  const { lessor, sim } = member;
  lessor.grant(5n, 10);
  for (const key of ['z', 'b', 'a', 'm']) putKey(member, key, 5n);
  putKey(member, 'other', 0n);
  const before = sim.store.revision;
  const changed: string[] = [];
  sim.store.setObserver((_revision, changes) => {
    for (let i = 0; i < changes.count; i++) {
      const ref = changes.ref(i);
      const start = sim.store.index.keyStart(ref);
      changed.push(latin1FromBytes(sim.store.index.keyBuffer(ref), start, start + 1));
    }
  });
  assert.equal(lessor.revoke(5n), null);
  assert.deepEqual(changed, ['a', 'b', 'm', 'z']);
  assert.equal(sim.store.revision, before + 1);
  assert.equal(lessor.revoke(5n), ErrLeaseNotFound);
  assert.equal(lessor.attachedKeyCount, 0);
  const again = newMember({}, sim.stop());
  assert.equal(again.lessor.leaseCount, 0);
  assert.deepEqual(allKeys(again), ['other']);
});

test('revoking a lease without keys changes no revision', () => {
  const { lessor, sim } = newMember();
  lessor.grant(5n, 10);
  assert.equal(lessor.revoke(5n), null);
  assert.equal(sim.store.revision, 1);
});

test('only the primary lets leases expire, and hands them out until they are revoked', () => {
  const member = newMember();
  const { lessor, clock } = member;
  const handed: bigint[][] = [];
  lessor.setExpiredHandler((ids) => handed.push([...ids]));
  lessor.grant(1n, 5);
  clock.advance(60_000);
  assert.deepEqual(handed, []);
  assert.equal(lessor.lookup(1n)!.remainingMs, Number.POSITIVE_INFINITY);
  lessor.promote(1000);
  assert.equal(lessor.lookup(1n)!.remainingMs, 6000);
  clock.advance(5900);
  assert.deepEqual(handed, []);
  clock.advance(700);
  assert.deepEqual(handed, [[1n]]);
  clock.advance(2000);
  assert.deepEqual(handed, [[1n]], 'not again before the retry interval');
  clock.advance(2000);
  assert.deepEqual(handed, [[1n], [1n]]);
  lessor.revoke(1n);
  clock.advance(60_000);
  assert.equal(handed.length, 2);
});

test('a demoted member hands out nothing', () => {
  const { lessor, clock } = newMember();
  let handed = 0;
  lessor.setExpiredHandler((ids) => {
    handed += ids.length;
  });
  lessor.promote(0);
  lessor.grant(1n, 5);
  lessor.demote();
  clock.advance(60_000);
  assert.equal(handed, 0);
});

test('renewing gives the full TTL again, on the primary alone', () => {
  const { lessor, clock } = newMember();
  const answers: unknown[] = [];
  const renew = (id: bigint): void => lessor.renewThen(id, (error, ttl) => answers.push(error ?? ttl));
  lessor.grant(1n, 10);
  renew(1n);
  lessor.promote(0);
  clock.advance(9000);
  renew(1n);
  clock.advance(9000);
  assert.equal(lessor.lookup(1n)!.remainingMs, 1000);
  renew(2n);
  assert.deepEqual(answers, [ErrNotPrimary, 10, ErrLeaseNotFound]);
});

test('renewing an expired lease is answered when it is revoked, or when the primary changes', () => {
  const { lessor, clock } = newMember();
  const answers: unknown[] = [];
  lessor.promote(0);
  for (const id of [1n, 2n]) lessor.grant(id, 5);
  clock.advance(5000);
  for (const id of [1n, 2n]) lessor.renewThen(id, (error, ttl) => answers.push(error ?? ttl));
  assert.deepEqual(answers, []);
  lessor.revoke(1n);
  assert.deepEqual(answers, [ErrLeaseNotFound]);
  lessor.demote();
  assert.deepEqual(answers, [ErrLeaseNotFound, ErrNotPrimary]);
});

test('expired leases are handed out at a bounded rate, earliest first', () => {
  const { lessor, clock } = newMember();
  const batches: number[] = [];
  const seen = new Set<bigint>();
  lessor.promote(0);
  for (let i = 1; i <= 2200; i++) lessor.grant(BigInt(i), 5);
  lessor.setExpiredHandler((ids) => {
    batches.push(ids.length);
    for (const id of ids) {
      seen.add(id);
      lessor.revoke(id);
    }
  });
  clock.advance(5000 + 2600);
  assert.deepEqual(batches, [500, 500, 500, 500, 200]);
  assert.equal(seen.size, 2200);
});

test('a promotion spreads what would expire in one second', () => {
  const { lessor, clock } = newMember();
  for (let i = 1; i <= 3000; i++) lessor.grant(BigInt(i), 10);
  lessor.promote(1000);
  const perSecond = new Map<number, number>();
  for (let i = 1; i <= 3000; i++) {
    const second = Math.floor(lessor.lookup(BigInt(i))!.remainingMs / 1000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  assert.deepEqual(
    [...perSecond].sort(([a], [b]) => a - b),
    [
      [11, 750],
      [12, 750],
      [13, 750],
      [14, 750],
    ],
  );
  clock.advance(1000);
});

test('S20 promoting very many leases takes turns, and none expires too early meanwhile', () => {
  const clock = new SlowClock();
  const { lessor } = newMember({}, null, clock);
  const count = 45_000;
  for (let i = 1; i <= count; i++) lessor.grant(BigInt(i), 5000);
  lessor.promote(1000);
  const last = BigInt(count);
  assert.equal(lessor.lookup(last)!.remainingMs, 5001_000, 'asked for before its turn');
  clock.advance(1);
  lessor.renewThen(last - 1n, (error) => assert.equal(error, null));
  clock.advance(20);
  const seconds = new Map<number, number>();
  for (let i = 1; i <= count - 2; i++) {
    const second = Math.floor((lessor.lookup(BigInt(i))!.remainingMs + clock.now()) / 1000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  assert.equal(Math.min(...seconds.keys()), 5001);
  assert.ok(Math.max(...seconds.values()) <= 750);
  lessor.promote(0);
  lessor.demote();
  clock.advance(100);
  assert.equal(
    lessor.lookup(1n)!.remainingMs,
    Number.POSITIVE_INFINITY,
    'a promotion that was overtaken ends',
  );
});

test('few leases are not put off by a promotion', () => {
  const { lessor } = newMember();
  for (let i = 1; i <= 900; i++) lessor.grant(BigInt(i), 10);
  lessor.promote(1000);
  for (let i = 1; i <= 900; i++) assert.equal(lessor.lookup(BigInt(i))!.remainingMs, 11_000);
});

test('checkpoints record what is left of long leases, shorten the next promotion, and end with a renewal', () => {
  const member = newMember({ checkpointIntervalMs: 60_000, persistsCheckpoints: () => true });
  const { lessor, clock } = member;
  const recorded: [bigint, number][] = [];
  lessor.setCheckpointer((checkpoints, done) => {
    for (const { id, remainingTtl } of checkpoints) {
      recorded.push([id, remainingTtl]);
      lessor.checkpoint(id, remainingTtl);
    }
    done(null);
  });
  lessor.promote(0);
  lessor.grant(1n, 300);
  lessor.grant(2n, 30);
  clock.advance(125_000);
  assert.deepEqual(recorded, [
    [1n, 240],
    [1n, 180],
  ]);
  const disk = member.sim.stop();
  const next = newMember({ persistsCheckpoints: () => true }, disk);
  next.lessor.promote(0);
  assert.equal(next.lessor.lookup(1n)!.remainingMs, 180_000);
  next.lessor.setCheckpointer((checkpoints, done) => {
    for (const { id, remainingTtl } of checkpoints) next.lessor.checkpoint(id, remainingTtl);
    done(null);
  });
  next.lessor.renewThen(1n, (error, ttl) => assert.deepEqual([error, ttl], [null, 300]));
  assert.equal(next.lessor.lookup(1n)!.remainingMs, 300_000);
  next.lessor.promote(0);
  assert.equal(next.lessor.lookup(1n)!.remainingMs, 300_000, 'the checkpoint is gone');
});

test('a lease that is revoked has no checkpoint due any more, whoever has its place', () => {
  const { lessor, clock } = newMember({ checkpointIntervalMs: 60_000, persistsCheckpoints: () => true });
  const recorded: [bigint, number][] = [];
  lessor.setCheckpointer((checkpoints, done) => {
    for (const { id, remainingTtl } of checkpoints) recorded.push([id, remainingTtl]);
    done(null);
  });
  lessor.promote(0);
  lessor.grant(1n, 300);
  clock.advance(30_000);
  assert.equal(lessor.revoke(1n), null);
  // Nobody has its place, and then somebody has.
  clock.advance(65_000);
  lessor.grant(2n, 100);
  clock.advance(65_000);
  assert.deepEqual(recorded, [[2n, 40]]);
});

test('a member that makes no checkpoints takes back those of others when it renews', () => {
  const { lessor } = newMember();
  lessor.promote(0);
  lessor.grant(1n, 600);
  const made: number[] = [];
  const checkpointer: Checkpointer = (checkpoints, done) => {
    for (const { id, remainingTtl } of checkpoints) {
      made.push(remainingTtl);
      lessor.checkpoint(id, remainingTtl);
    }
    done(null);
  };
  lessor.setCheckpointer(checkpointer, false);
  lessor.checkpoint(1n, 60);
  lessor.promote(0);
  assert.equal(lessor.lookup(1n)!.remainingMs, 60_000);
  lessor.renewThen(1n, (error, ttl) => assert.deepEqual([error, ttl], [null, 600]));
  assert.deepEqual(made, [0]);
  assert.equal(lessor.lookup(1n)!.remainingMs, 600_000);
});

/** A primary whose checkpoints are applied when the test says so, in the order in which they were proposed. */
function withSlowCheckpoints() {
  const { lessor, clock } = newMember({ checkpointIntervalMs: 60_000, persistsCheckpoints: () => true });
  const proposed: Parameters<Checkpointer>[] = [];
  lessor.setCheckpointer((checkpoints, done) => void proposed.push([checkpoints, done]));
  lessor.promote(0);
  lessor.grant(1n, 300);
  const apply = (): number[] => {
    const [checkpoints, done] = proposed.shift()!;
    for (const { id, remainingTtl } of checkpoints) lessor.checkpoint(id, remainingTtl);
    done(null);
    return checkpoints.map(({ remainingTtl }) => remainingTtl);
  };
  const renew = (): (number | null)[] => {
    const ttls: (number | null)[] = [];
    lessor.renewThen(1n, (_error, ttl) => ttls.push(ttl));
    return ttls;
  };
  /** What the next primary gives it. */
  const nextMs = (): number => {
    lessor.demote();
    lessor.promote(0);
    return lessor.lookup(1n)!.remainingMs;
  };
  return { lessor, clock, proposed, apply, renew, nextMs };
}

test('a checkpoint that is under way when a lease is renewed is taken back before the renewal is answered', () => {
  const { clock, proposed, apply, renew, nextMs } = withSlowCheckpoints();
  clock.advance(61_000);
  assert.equal(proposed.length, 1, 'what is left is on its way');
  const ttls = renew();
  assert.deepEqual(ttls, [], 'nothing is promised that a change of the leader would break');
  assert.deepEqual(apply(), [240]);
  assert.deepEqual(apply(), [0]);
  assert.deepEqual(ttls, [300]);
  assert.equal(nextMs(), 300_000);
});

test('while a renewal waits what is left is not recorded: it would be applied behind it', () => {
  const { lessor, clock, proposed, apply, renew, nextMs } = withSlowCheckpoints();
  clock.advance(61_000);
  apply();
  clock.advance(59_000);
  const ttls = renew();
  clock.advance(30_000);
  assert.equal(proposed.length, 1, 'the renewal alone');
  assert.deepEqual(apply(), [0]);
  assert.deepEqual(ttls, [300]);
  assert.equal(lessor.lookup(1n)!.remainingMs, 300_000);
  clock.advance(61_000);
  assert.deepEqual(apply(), [240], 'afterwards it is again');
  assert.equal(nextMs(), 240_000);
});

test('a checkpoint of an earlier leader that comes behind a renewal is put right at once', () => {
  const { lessor, clock, proposed, apply, nextMs } = withSlowCheckpoints();
  lessor.checkpoint(1n, 100);
  clock.advance(1000);
  assert.equal(proposed.length, 1);
  assert.deepEqual(apply(), [0]);
  assert.equal(proposed.length, 0);
  assert.equal(nextMs(), 300_000);
});

test('a renewal whose checkpoint fails says so', () => {
  const { lessor } = newMember();
  lessor.promote(0);
  lessor.grant(1n, 300);
  lessor.checkpoint(1n, 100);
  lessor.setCheckpointer((_checkpoints, done) => done(INTERNAL_ERRORS.errors.ErrTimeout));
  lessor.renewThen(1n, (error) => assert.equal(error, INTERNAL_ERRORS.errors.ErrTimeout));
});

test('leases are listed by what is left of them', () => {
  const { lessor } = newMember();
  lessor.promote(0);
  for (const [id, ttl] of [
    [1n, 50],
    [2n, 10],
    [3n, MAX_LEASE_TTL],
    [4n, 30],
  ] as const) {
    lessor.grant(id, ttl);
  }
  assert.deepEqual(lessor.leases(), [2n, 4n, 1n, 3n]);
});

test('recovering takes over the leases of a snapshot and forgets the old ones', () => {
  const other = newMember();
  other.lessor.grant(9n, 20);
  putKey(other, 'new', 9n);
  const member = newMember();
  member.lessor.grant(1n, 10);
  putKey(member, 'old', 1n);
  const backend = openBackend(member.clock, other.sim.stop());
  member.lessor.recover(backend);
  let done = false;
  member.sim.store.replaceThen(backend, () => {
    done = true;
  });
  other.clock.advance(1000);
  member.clock.advance(1000);
  assert.ok(done);
  assert.deepEqual([member.lessor.has(1n), keysOf(member, 9n)], [false, ['new']]);
  member.lessor.revoke(9n);
  assert.deepEqual(allKeys(member), []);
});

test('expiry is seen twice a second, and told again each three seconds as long as the lease is there', () => {
  const { lessor, clock } = newMember();
  const told: [bigint, number][] = [];
  lessor.setExpiredHandler((ids) => {
    for (const id of ids) told.push([id, clock.now()]);
  });
  lessor.promote(0);
  lessor.grant(1n, 5);
  clock.advance(200);
  lessor.grant(2n, 5);
  clock.advance(9000);
  assert.deepEqual(told, [
    [1n, 5000],
    [2n, 5500],
    [1n, 8000],
    [2n, 8500],
  ]);
  lessor.stop();
  clock.advance(9000);
  assert.equal(told.length, 4, 'nothing after its stop');
});

test('leases that last no longer than the interval of checkpoints have none, longer ones have until that is left', () => {
  const member = newMember();
  const { lessor, clock } = member;
  const recorded: [bigint, number, number][] = [];
  lessor.setCheckpointer((checkpoints, done) => {
    for (const { id, remainingTtl } of checkpoints) {
      recorded.push([id, remainingTtl, clock.now()]);
      lessor.checkpoint(id, remainingTtl);
    }
    done(null);
  });
  lessor.promote(0);
  lessor.grant(1n, 300);
  lessor.grant(2n, 301);
  lessor.grant(3n, 900);
  clock.advance(1_000_000);
  assert.deepEqual(recorded, [
    [2n, 1, 300_000],
    [3n, 600, 300_000],
    [3n, 300, 600_000],
  ]);
  const next = newMember({}, member.sim.stop());
  next.lessor.promote(0);
  assert.equal(next.lessor.lookup(3n)!.remainingMs, 900_000, 'unless told, they are not written down');
});

test('of what is left of a lease, a second that has begun is recorded whole', () => {
  const { lessor, clock } = newMember({ checkpointIntervalMs: 60_500 });
  const recorded: number[] = [];
  lessor.setCheckpointer((checkpoints) => recorded.push(...checkpoints.map((it) => it.remainingTtl)));
  lessor.promote(0);
  clock.advance(50);
  lessor.grant(1n, 300);
  clock.advance(61_000);
  assert.deepEqual(recorded, [240]);
});

test('there is no checkpoint of a lease that has all of its time left, nor of one that has none', () => {
  const { lessor, clock } = newMember({ checkpointIntervalMs: 60_900 });
  const recorded: [bigint, number][] = [];
  lessor.setCheckpointer((checkpoints) => {
    for (const { id, remainingTtl } of checkpoints) recorded.push([id, remainingTtl]);
  });
  lessor.promote(0);
  lessor.grant(1n, 61);
  lessor.grant(2n, 300);
  // At the instant at which both are due, and before that.
  clock.setTimer(61_000, () => lessor.renewThen(2n, (error) => assert.equal(error, null)));
  clock.advance(50);
  lessor.grant(3n, 61);
  clock.advance(61_000);
  assert.deepEqual(recorded, [[3n, 1]]);
});

test('checkpoints come in batches of a thousand, and never none', () => {
  const { lessor, clock } = newMember({ checkpointIntervalMs: 1000 });
  const batches: number[] = [];
  lessor.setCheckpointer((checkpoints) => batches.push(checkpoints.length));
  lessor.promote(0);
  for (let i = 1; i <= 1000; i++) lessor.grant(BigInt(i), 10);
  clock.advance(1200);
  assert.deepEqual(batches, [1000]);
  for (let i = 1001; i <= 3001; i++) lessor.grant(BigInt(i), 10);
  clock.advance(1500);
  assert.deepEqual(batches, [1000, 1000, 1000, 1]);
});

test('from a thousand leases on a promotion spreads them', () => {
  for (const [count, later] of [
    [999, 0],
    [1000, 250],
  ] as const) {
    const { lessor } = newMember();
    for (let i = 1; i <= count; i++) lessor.grant(BigInt(i), 10);
    lessor.promote(0);
    let found = 0;
    for (let i = 1; i <= count; i++) if (lessor.lookup(BigInt(i))!.remainingMs > 10_000) found++;
    assert.equal(found, later);
  }
});

test('a renewal that waits for its checkpoint is refused when the primary, the lease or the lessor is gone by then', () => {
  const ends: readonly [(lessor: Lessor) => void, unknown[]][] = [
    [() => {}, [null, 300]],
    [(lessor) => lessor.demote(), [ErrNotPrimary, -1]],
    [(lessor) => lessor.revoke(1n), [ErrLeaseNotFound, -1]],
    [(lessor) => lessor.stop(), [ErrNotPrimary, -1]],
  ];
  for (const [end, answer] of ends) {
    const { lessor } = newMember();
    const answers: unknown[] = [];
    const waiting: (() => void)[] = [];
    lessor.promote(0);
    lessor.grant(1n, 300);
    lessor.checkpoint(1n, 100);
    lessor.setCheckpointer((_checkpoints, done) => waiting.push(() => done(null)));
    lessor.renewThen(1n, (...given) => answers.push(given));
    assert.deepEqual(answers, []);
    end(lessor);
    for (const go of waiting) go();
    assert.deepEqual(answers, [answer]);
  }
});

test('an error of a renewal comes with a TTL of -1', () => {
  const { lessor, clock } = newMember();
  const answers: unknown[] = [];
  const renew = (id: bigint): void => lessor.renewThen(id, (...given) => answers.push(given));
  renew(1n);
  lessor.promote(0);
  renew(1n);
  for (const id of [1n, 2n]) lessor.grant(id, 5);
  clock.advance(5000);
  for (const id of [1n, 2n, 2n]) renew(id);
  lessor.revoke(1n);
  lessor.stop();
  lessor.stop();
  lessor.grant(3n, 300);
  lessor.checkpoint(3n, 1);
  lessor.setCheckpointer((_checkpoints, done) => done(INTERNAL_ERRORS.errors.ErrTimeout));
  renew(3n);
  assert.deepEqual(answers, [
    [ErrNotPrimary, -1],
    [ErrLeaseNotFound, -1],
    [ErrLeaseNotFound, -1],
    [ErrNotPrimary, -1],
    [ErrNotPrimary, -1],
    [INTERNAL_ERRORS.errors.ErrTimeout, -1],
  ]);
});

test('a lease without a checkpoint is renewed without one, and one with it while nobody proposes any', () => {
  const { lessor } = newMember();
  const answers: unknown[] = [];
  lessor.promote(0);
  lessor.grant(1n, 300);
  lessor.checkpoint(1n, 100);
  lessor.renewThen(1n, (...given) => answers.push(given));
  lessor.grant(2n, 300);
  lessor.setCheckpointer(() => assert.fail('nothing is to be taken back'));
  lessor.renewThen(2n, (...given) => answers.push(given));
  assert.deepEqual(answers, [
    [null, 300],
    [null, 300],
  ]);
});

test('leases are listed to the second, those of one second in the order of their grants', () => {
  const { lessor, clock } = newMember();
  const grantAt = (ms: number, id: bigint, ttl: number): void => {
    clock.advance(ms - clock.now());
    lessor.grant(id, ttl);
  };
  lessor.promote(0);
  // What is left of them at 10 s: 2.0, 1.999, 1.5 s, nothing since 1 s, MAX, MAX, 0.2 s.
  grantAt(0, 9n, 30);
  grantAt(4000, 1n, 8);
  grantAt(4999, 2n, 7);
  grantAt(5500, 3n, 6);
  grantAt(6000, 4n, 3);
  grantAt(6000, 5n, MAX_LEASE_TTL);
  grantAt(6000, 6n, MAX_LEASE_TTL);
  grantAt(7200, 7n, 3);
  lessor.revoke(9n);
  clock.advance(10_000 - clock.now());
  assert.deepEqual(lessor.leases(), [4n, 7n, 2n, 3n, 1n, 5n, 6n]);
  lessor.demote();
  assert.deepEqual(lessor.leases(), [1n, 2n, 3n, 4n, 5n, 6n, 7n]);
});

test('a primary that recovers gives the leases of the snapshot their time from then on, and refuses who waits', () => {
  const other = newMember();
  other.lessor.grant(9n, 20);
  other.lessor.checkpoint(9n, 15);
  const disk = other.sim.stop();
  const { lessor, clock } = newMember({ checkpointIntervalMs: 10_000 });
  const answers: unknown[] = [];
  const told: bigint[] = [];
  const recorded: bigint[] = [];
  lessor.setExpiredHandler((ids) => told.push(...ids));
  lessor.setCheckpointer((checkpoints) => recorded.push(...checkpoints.map(({ id }) => id)));
  lessor.promote(1000);
  for (const id of [1n, 2n]) lessor.grant(id, 30);
  lessor.grant(3n, 5);
  clock.advance(5000);
  lessor.renewThen(3n, (...given) => answers.push(given));
  assert.deepEqual(told, [3n]);
  lessor.recover(openBackend(clock, disk));
  assert.deepEqual(answers, [[ErrNotPrimary, -1]]);
  assert.deepEqual([lessor.leaseCount, lessor.lookup(9n)!.remainingMs], [1, 21_000]);
  clock.advance(25_000);
  assert.deepEqual([told, recorded], [[3n, 9n, 9n], [9n]]);
});

test('what a backend says of leases is compared with what is known', () => {
  const put = (...leases: readonly (readonly [bigint, number, number])[]): Member => {
    const member = newMember({ persistsCheckpoints: () => true });
    for (const [id, ttl, remainingTtl] of leases) {
      member.lessor.grant(id, ttl);
      if (remainingTtl !== 0) member.lessor.checkpoint(id, remainingTtl);
    }
    return member;
  };
  const { lessor } = put([1n, 10, 0], [2n, 20, 5]);
  const differenceFrom = (...leases: readonly (readonly [bigint, number, number])[]): string | null =>
    lessor.differenceFrom(put(...leases).sim.backend);
  assert.equal(differenceFrom([1n, 10, 0], [2n, 20, 20]), null);
  assert.equal(differenceFrom([1n, 10, 0], [2n, 20, 21]), 'lease 2 has more left than it was given');
  assert.equal(differenceFrom([1n, 10, 0], [2n, 21, 0]), 'lease 2 has another TTL');
  assert.equal(differenceFrom([1n, 10, 0], [3n, 20, 0]), 'lease 3 is not known');
  assert.equal(differenceFrom([3n, 10, 0], [4n, 20, 0]), 'lease 3 is not known', 'the first of them');
  assert.equal(differenceFrom([1n, 10, 0]), '2 leases are known, and 1 are there');
});

test('a lease that nobody knows has no keys, takes none, and is checkpointed by nobody', () => {
  const member = newMember();
  const { lessor } = member;
  lessor.checkpoint(1n, 5);
  assert.deepEqual([lessor.leaseCount, lessor.keysOf(1n), lessor.has(1n)], [0, [], false]);
  putKey(member, 'a', 0n);
  const ref = member.sim.store.index.find(bytes('a'), 0, 1);
  lessor.setLease(ref, 1n);
  assert.deepEqual([lessor.leaseOf(ref), lessor.attachedKeyCount], [0n, 0]);
  lessor.grant(1n, 10);
  lessor.setLease(ref, 1n);
  lessor.setLease(ref, 1n);
  assert.deepEqual([lessor.leaseOf(ref), lessor.attachedKeyCount, keysOf(member, 1n)], [1n, 1, ['a']]);
  lessor.setLease(ref, 7n);
  assert.deepEqual([lessor.leaseOf(ref), lessor.attachedKeyCount, keysOf(member, 1n)], [0n, 0, []]);
});

// --- against a model

interface ModelLease {
  ttl: number;
  expiryMs: number;
  readonly keys: Set<string>;
}

test('random grants, puts, deletions, renewals, revocations, leaders and restarts agree with a plain model', () => {
  for (let seed = 1; seed <= 10; seed++) runAgainstModel(seed);
});

function runAgainstModel(seed: number): void {
  const random = new SeededRandom(seed);
  const model = new Map<bigint, ModelLease>();
  const keyLease = new Map<string, bigint>();
  const keys = new Set<string>();
  let member = newMember();
  let isPrimary = false;
  const randomId = (): bigint => BigInt(random.below(20)) * 2n ** BigInt(random.pick([0, 31, 33])) + 1n;
  const detach = (key: string): void => {
    const lease = keyLease.get(key);
    if (lease !== undefined) model.get(lease)!.keys.delete(key);
    keyLease.delete(key);
  };
  for (let step = 0; step < 600; step++) {
    const { lessor, clock } = member;
    const id = random.chance(0.7) && model.size > 0 ? random.pick([...model.keys()]) : randomId();
    const known = model.get(id);
    const key = `k${random.below(25)}`;
    const what = random.below(100);
    if (what < 15) {
      const ttl = random.below(30);
      const { error } = lessor.grant(id, ttl);
      assert.equal(error, known === undefined ? null : ErrLeaseExists);
      if (known === undefined) {
        const granted = Math.max(ttl, 2);
        model.set(id, { ttl: granted, expiryMs: clock.now() + granted * 1000, keys: new Set() });
      }
    } else if (what < 50) {
      const lease = known === undefined || random.chance(0.2) ? 0n : id;
      putKey(member, key, lease);
      keys.add(key);
      detach(key);
      if (lease !== 0n) {
        known!.keys.add(key);
        keyLease.set(key, lease);
      }
    } else if (what < 60) {
      deleteKey(member, key);
      keys.delete(key);
      detach(key);
    } else if (what < 68) {
      assert.equal(lessor.revoke(id), known === undefined ? ErrLeaseNotFound : null);
      for (const attached of known?.keys ?? []) {
        keys.delete(attached);
        keyLease.delete(attached);
      }
      model.delete(id);
    } else if (what < 78) {
      lessor.renewThen(id, (error, ttl) => {
        if (error !== null) return;
        assert.equal(ttl, known!.ttl);
        known!.expiryMs = clock.now() + ttl * 1000;
      });
    } else if (what < 90) clock.advance(random.below(3000));
    else if (what < 95) {
      isPrimary = random.chance(0.7);
      if (isPrimary) lessor.promote(500);
      else lessor.demote();
      for (const lease of model.values()) lease.expiryMs = clock.now() + 500 + lease.ttl * 1000;
    } else if (what < 97) {
      member = newMember({}, member.sim.stop());
      isPrimary = false;
    }
    checkAgainst(member, model, keys, keyLease, isPrimary, `seed ${seed}, step ${step}`);
  }
}

function checkAgainst(
  member: Member,
  model: ReadonlyMap<bigint, ModelLease>,
  keys: ReadonlySet<string>,
  keyLease: ReadonlyMap<string, bigint>,
  isPrimary: boolean,
  label: string,
): void {
  const { lessor, clock } = member;
  assert.equal(lessor.leaseCount, model.size, label);
  assert.equal(lessor.attachedKeyCount, keyLease.size, label);
  for (const [id, lease] of model) {
    assert.deepEqual(keysOf(member, id), [...lease.keys].sort(), label);
    const info = lessor.lookup(id)!;
    assert.equal(info.ttl, lease.ttl);
    assert.equal(
      info.remainingMs,
      isPrimary ? lease.expiryMs - clock.now() : Number.POSITIVE_INFINITY,
      label,
    );
  }
  assert.deepEqual(allKeys(member), [...keys].sort(), label);
}

test('every key of a lease is asked for until one fails', () => {
  const member = newMember();
  member.lessor.grant(1n, 10);
  for (const key of ['a', 'b', 'c']) putKey(member, key, 1n);
  const asked: string[] = [];
  const isAll = member.lessor.everyKey(1n, (buffer, start, end) => {
    asked.push(latin1FromBytes(buffer, start, end));
    return true;
  });
  assert.deepEqual([isAll, asked.sort()], [true, ['a', 'b', 'c']]);
  assert.equal(
    member.lessor.everyKey(1n, () => false),
    false,
  );
  assert.equal(
    member.lessor.everyKey(2n, () => false),
    true,
    'no such lease',
  );
});
