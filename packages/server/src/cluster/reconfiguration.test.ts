import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { type ConfChange, ConfChangeType } from '@etcd/api/raftpb';
import { Counter, Family } from '@etcd/host/metrics';
import { Membership, NO_DOWNGRADE, newMember } from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import type { MembersResult, Waiter } from '../request/index.ts';
import { Reconfiguration, type ReconfigurationOptions } from './reconfiguration.ts';

const { ErrNotLeader, ErrLearnerNotReady } = INTERNAL_ERRORS.errors;
const { ErrIDNotFound } = INTERNAL_ERRORS.membership;
const LEARNER = 3n;

/** Member 1 of voters 1 and 2 and a learner. `match` says how far the leader knows the others to be. */
function setUp(
  match: Readonly<Record<string, number>>,
  pendingSnapshots: Readonly<Record<string, number>> = {},
) {
  const members = [1n, 2n, LEARNER].map((id) =>
    newMember(id, { peerUrls: [`http://m${id}:2380`], isLearner: id === LEARNER }, `m${id}`),
  );
  const clock = new SimClock();
  const world = {
    leads: true,
    active: new Set([2n, LEARNER]),
    proposed: [] as ConfChange[],
    asked: [] as bigint[],
    answer: [null, null] as [InternalError | null, typeof members | null],
  };
  const progress = new Map(
    Object.entries(match).map(([id, index]) => [
      BigInt(id),
      { match: index, pendingSnapshot: pendingSnapshots[id] ?? 0 },
    ]),
  );
  const metrics = {
    learnerPromoteSuccesses: new Counter(),
    learnerPromoteFailures: new Family(['Reason'], () => new Counter()),
  };
  const options: Omit<ReconfigurationOptions, 'link' | 'leader' | 'node' | 'metrics'> = {
    clock,
    memberId: 1n,
    membership: new Membership({
      clusterId: 7n,
      state: { members, removedIds: [], version: null, downgrade: NO_DOWNGRADE },
    }),
    isLeader: () => world.leads,
    isStrict: true,
    propose: (change, waiter) => {
      world.proposed.push(change);
      waiter.onApplied({ members });
    },
  };
  const parts = {
    node: { status: () => ({ progress }) },
    link: { isActive: (id: bigint) => world.active.has(id), isConnected: () => true },
    leader: {
      promoteMember: (
        id: bigint,
        done: (error: InternalError | null, found: typeof members | null) => void,
      ) => {
        world.asked.push(id);
        done(...world.answer);
      },
    },
  };
  const reconfiguration = new Reconfiguration({
    ...options,
    ...parts,
    metrics,
  } as unknown as ReconfigurationOptions);
  const outcomes: (InternalError | MembersResult)[] = [];
  const waiter: Waiter<'confChange'> = {
    kind: 'confChange',
    request: null,
    onApplied: (result) => outcomes.push(result),
    onFailed: (error) => outcomes.push(error),
  };
  return { world, clock, members, metrics, reconfiguration, outcomes, waiter };
}

test('a learner that has caught up becomes a voter, and that is counted', () => {
  const { world, members, metrics, reconfiguration, outcomes, waiter } = setUp({ 1: 100, 2: 100, 3: 95 });
  reconfiguration.promote(LEARNER, waiter);
  assert.deepEqual(outcomes, [{ members }]);
  assert.deepEqual(
    world.proposed.map(({ type, nodeId }) => [type, nodeId]),
    [[ConfChangeType.ConfChangeAddNode, LEARNER]],
  );
  assert.equal(metrics.learnerPromoteSuccesses.value, 1);
});

test('a learner that lags, or that the leader does not follow, stays one, with the reason counted', () => {
  for (const match of [
    { 1: 100, 2: 100, 3: 80 },
    { 1: 100, 2: 100 },
  ]) {
    const { world, metrics, reconfiguration, outcomes, waiter } = setUp(match);
    reconfiguration.promote(LEARNER, waiter);
    const [refusal] = outcomes as [InternalError];
    assert.deepEqual(world.proposed, []);
    assert.equal(metrics.learnerPromoteFailures.labels(refusal.message).value, 1);
    assert.equal(refusal, 3 in match ? ErrLearnerNotReady : ErrIDNotFound);
  }
});

test('a member that does not lead asks the leader, and does it itself when it has come to lead meanwhile', () => {
  const { world, members, reconfiguration, outcomes, waiter } = setUp({ 1: 100, 2: 100, 3: 100 });
  world.leads = false;
  world.answer = [null, members];
  reconfiguration.promote(LEARNER, waiter);
  world.answer = [ErrLearnerNotReady, null];
  reconfiguration.promote(LEARNER, waiter);
  assert.deepEqual(world.asked, [LEARNER, LEARNER]);
  assert.deepEqual(outcomes.splice(0), [{ members }, ErrLearnerNotReady]);
  world.answer = [null, null];
  reconfiguration.promote(LEARNER, waiter);
  assert.deepEqual(outcomes.splice(0), [ErrNotLeader], 'nobody leads');
  reconfiguration.promoteHere(LEARNER, waiter);
  assert.deepEqual(outcomes, [ErrNotLeader]);
  assert.deepEqual(world.proposed, []);
});

test('entries are kept from the first that a connected member is yet to get, behind a snapshot on its way', () => {
  const { world, clock, reconfiguration } = setUp({ 1: 100, 2: 90, 3: 40 }, { 3: 60 });
  assert.equal(reconfiguration.neededFrom(), 61);
  world.active.delete(LEARNER);
  clock.advance(15_001);
  assert.equal(reconfiguration.neededFrom(), 91);
  world.active.delete(2n);
  clock.advance(15_001);
  assert.equal(reconfiguration.neededFrom(), Number.POSITIVE_INFINITY);
  world.active.add(2n);
  world.leads = false;
  assert.equal(reconfiguration.neededFrom(), Number.POSITIVE_INFINITY, 'others need what the leader has');
});

test('a member that was connected just now is one that catches up, one that is away for longer is not, nor one that was never there', () => {
  const { world, clock, reconfiguration } = setUp({ 1: 100, 2: 90, 3: 40 });
  world.active.delete(LEARNER);
  assert.equal(reconfiguration.neededFrom(), 91, 'nobody has seen the learner');
  world.active.add(LEARNER);
  assert.equal(reconfiguration.neededFrom(), 41);
  world.active.delete(LEARNER);
  clock.advance(15_000);
  assert.equal(reconfiguration.neededFrom(), 41);
  clock.advance(1);
  assert.equal(reconfiguration.neededFrom(), 91);
  world.active.add(LEARNER);
  assert.equal(reconfiguration.neededFrom(), 41);
  world.active.delete(LEARNER);
  world.leads = false;
  reconfiguration.neededFrom();
  world.leads = true;
  assert.equal(reconfiguration.neededFrom(), 91, 'what was seen in another term of office does not count');
});

test('a change is judged by the members as they are now, and by who is connected', () => {
  const { reconfiguration, members } = setUp({});
  const { facts } = reconfiguration;
  assert.deepEqual(
    facts.members.map(({ id }) => id),
    members.map(({ id }) => id),
  );
  assert.deepEqual([facts.localId, facts.isActive(2n), facts.isActive(9n)], [1n, true, false]);
});
