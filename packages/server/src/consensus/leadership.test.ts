/** How the leadership comes to a member, and how it is handed on; raft and the network are what the test says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { RaftState } from '@etcd/raft';
import { type Member, Membership, newMember } from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import { Leadership, type LeadershipOptions } from './leadership.ts';

const {
  ErrBadLeaderTransferee,
  ErrNotLeader,
  ErrTimeout,
  ErrTimeoutDueToLeaderFail,
  ErrTimeoutLeaderTransfer,
} = INTERNAL_ERRORS.errors;
const SELF = 1n;
const OTHER = 2n;
const THIRD = 3n;
const ELECTION_MS = 1000;
const REQUEST_TIMEOUT_MS = 5000 + 2 * ELECTION_MS;

const voter = (id: bigint): Member =>
  newMember(id, { peerUrls: [`http://m${id}:1`], isLearner: false }, `m${id}`);
const learner = (id: bigint): Member => ({ ...voter(id), isLearner: true });

/** What raft would say of this member, and what it was told to do. */
class Raft {
  lead = 0n;
  term = 1;
  applied = 0;
  committed = 0;
  raftState: RaftState = RaftState.Follower;
  unanswered: bigint[] = [];
  readonly did: string[] = [];
  readonly match = new Map<bigint, number>();

  campaign(): void {
    this.did.push('campaign');
  }
  forgetLeader(): void {
    this.did.push('forget');
    this.lead = 0n;
  }
  transferLeader(id: bigint): void {
    this.did.push(`transfer to ${id}`);
  }
  bar(): void {
    this.did.push('bar');
  }
  unansweredVoters(): bigint[] {
    return this.unanswered;
  }
  status(): unknown {
    const progress = [...this.match].map(([id, match]) => [id, { id, match, isLearner: false }] as const);
    return { progress: new Map(progress) };
  }
}

class World {
  readonly clock = new SimClock();
  readonly raft = new Raft();
  readonly leadership: Leadership;
  /** Since when a member has been connected, by id. */
  readonly connected = new Map<bigint, number>();
  ticks = 0;

  constructor(members: readonly Member[], config: object = {}, removedIds: readonly bigint[] = []) {
    const state = {
      members,
      removedIds,
      version: null,
      downgrade: { enabled: false, targetVersion: '' },
    };
    const { clock, raft, connected } = this;
    const link = {
      get hasActivePeer(): boolean {
        return connected.size > 0;
      },
      isActive: (id: bigint) => connected.has(id),
      longestConnected: (ids: readonly bigint[]) =>
        ids.filter((id) => connected.has(id)).sort((a, b) => connected.get(a)! - connected.get(b)!)[0] ??
        null,
    };
    this.leadership = new Leadership({
      config: {
        electionTimeoutMs: ELECTION_MS,
        heartbeatIntervalMs: 100,
        initialElectionTickAdvance: true,
        preVote: true,
        ...config,
      } as LeadershipOptions['config'],
      node: raft as unknown as LeadershipOptions['node'],
      link: link as LeadershipOptions['link'],
      membership: new Membership({ clusterId: 9n, state }),
      memberId: SELF,
      clock,
      logger: SILENT_LOGGER,
      raftLogger: SILENT_LOGGER,
      random: new SeededRandom(1),
      wake: () => {},
      fastForward: (ticks) => {
        this.ticks += ticks;
      },
    });
  }

  setLeader(id: bigint): boolean {
    this.raft.lead = id;
    return this.leadership.onLeader(id);
  }
}

test('a member alone in its cluster campaigns once, and not before everything committed is applied', () => {
  const { leadership, raft } = new World([voter(SELF)]);
  raft.committed = 5;
  leadership.campaignIfAlone();
  assert.deepEqual(raft.did, []);
  raft.applied = 5;
  leadership.campaignIfAlone();
  leadership.campaignIfAlone();
  assert.deepEqual(raft.did, ['campaign']);
});

test('a member does not campaign early beside other voters, as a learner, or where that is switched off', () => {
  for (const world of [
    new World([voter(SELF), voter(OTHER)]),
    new World([learner(SELF), voter(OTHER)]),
    new World([voter(SELF)], { initialElectionTickAdvance: false }),
  ]) {
    world.leadership.campaignIfAlone();
    assert.deepEqual(world.raft.did, []);
  }
});

test('the first election comes early once another member is there, once, and not when there is a leader or it is late', () => {
  const world = new World([voter(SELF), voter(OTHER)]);
  world.leadership.onTick();
  assert.equal(world.ticks, 0, 'nobody is there who would have stayed silent');
  world.connected.set(OTHER, 0);
  world.leadership.onTick();
  world.leadership.onTick();
  assert.equal(world.ticks, 8);
  for (const prepare of [(late: World) => late.clock.advance(6000), (led: World) => led.setLeader(OTHER)]) {
    const other = new World([voter(SELF), voter(OTHER)]);
    prepare(other);
    other.connected.set(OTHER, 0);
    other.leadership.onTick();
    assert.equal(other.ticks, 0);
  }
});

test('a leader is news once; none at all is not', () => {
  const world = new World([voter(SELF), voter(OTHER)]);
  assert.equal(world.setLeader(OTHER), true);
  assert.equal(world.setLeader(OTHER), false);
  assert.equal(world.setLeader(0n), false);
  assert.equal(world.leadership.isLeader, false);
  assert.equal(world.setLeader(SELF), true);
  assert.equal(world.leadership.isLeader, true);
});

test('when the process of the leader ends its followers forget it at once, and campaign soon unless another leads', () => {
  const world = new World([voter(SELF), voter(OTHER), voter(THIRD)]);
  world.setLeader(OTHER);
  world.leadership.onPeerGone(THIRD);
  assert.deepEqual(world.raft.did, []);
  world.leadership.onPeerGone(OTHER);
  assert.deepEqual(world.raft.did, ['forget']);
  world.clock.advance(200);
  assert.deepEqual(world.raft.did, ['forget', 'campaign']);
  const late = new World([voter(SELF), voter(OTHER), voter(THIRD)]);
  late.setLeader(OTHER);
  late.leadership.onPeerGone(OTHER);
  late.raft.lead = THIRD;
  late.clock.advance(200);
  assert.deepEqual(late.raft.did, ['forget']);
});

test('a learner, and a member without pre-votes, forget a leader that is gone but do not campaign', () => {
  for (const world of [
    new World([learner(SELF), voter(OTHER)]),
    new World([voter(SELF), voter(OTHER)], { preVote: false }),
  ]) {
    world.setLeader(OTHER);
    world.leadership.onPeerGone(OTHER);
    world.clock.advance(1000);
    assert.deepEqual(world.raft.did, ['forget']);
  }
});

test('a candidate that nobody it can reach will still vote for tries again soon, once in a term', () => {
  const world = new World([voter(SELF), voter(OTHER), voter(THIRD)], { initialElectionTickAdvance: false });
  world.raft.raftState = RaftState.Candidate;
  world.raft.unanswered = [THIRD];
  world.connected.set(THIRD, 0);
  world.leadership.onTick();
  world.clock.advance(1000);
  assert.deepEqual(world.raft.did, [], 'one that is there may still answer');
  world.connected.delete(THIRD);
  world.leadership.onTick();
  world.leadership.onTick();
  world.clock.advance(1000);
  assert.deepEqual(world.raft.did, ['campaign']);
});

test('only a leader can move the leadership, to another voter, and hears of it when that one leads or in time', () => {
  const world = new World([voter(SELF), voter(OTHER), learner(THIRD)]);
  const heard: unknown[] = [];
  const move = (id: bigint): void => world.leadership.moveTo(id, (error) => heard.push(error));
  move(OTHER);
  world.setLeader(SELF);
  for (const id of [THIRD, 9n, SELF]) move(id);
  assert.deepEqual(heard, [ErrNotLeader, ErrBadLeaderTransferee, ErrBadLeaderTransferee, null]);
  move(OTHER);
  assert.deepEqual(world.raft.did, ['transfer to 2']);
  world.setLeader(OTHER);
  assert.deepEqual(heard.slice(4), [null]);
  world.setLeader(SELF);
  move(OTHER);
  world.clock.advance(REQUEST_TIMEOUT_MS);
  assert.deepEqual(heard.slice(5), [ErrTimeoutLeaderTransfer]);
});

test('a leader that stops hands over to the voter that has been connected longest; any other member just stops', () => {
  const world = new World([voter(SELF), voter(OTHER), voter(THIRD)]);
  let stopped = 0;
  world.leadership.handOver(() => stopped++);
  assert.equal(stopped, 1);
  world.setLeader(SELF);
  world.leadership.handOver(() => stopped++);
  assert.equal(stopped, 2, 'nobody is there to take over');
  world.connected.set(OTHER, 20).set(THIRD, 10);
  world.leadership.handOver(() => stopped++);
  assert.deepEqual([world.raft.did, stopped], [['transfer to 3'], 2]);
  world.setLeader(THIRD);
  assert.equal(stopped, 3);
});

test('a leader that was removed stops without waiting for a successor, who would not hear it', () => {
  const world = new World([voter(OTHER), voter(THIRD)], {}, [SELF]);
  world.connected.set(OTHER, 20).set(THIRD, 10);
  world.setLeader(SELF);
  let stopped = 0;
  world.leadership.handOver(() => stopped++);
  assert.deepEqual([world.raft.did, stopped], [[], 1]);
});

test('a leader with a slow disk hands over to one that was faster, but not before it has led for a while', () => {
  const world = new World([voter(SELF), voter(OTHER), voter(THIRD)]);
  world.connected.set(OTHER, 0).set(THIRD, 0);
  world.setLeader(SELF);
  world.raft.match.set(SELF, 7).set(OTHER, 6).set(THIRD, 7);
  const save = (): void => world.leadership.onSaved(ELECTION_MS, 7);
  for (let i = 0; i < 5; i++) save();
  assert.deepEqual(world.raft.did, [], 'it has only just begun to lead');
  world.clock.advance(11 * ELECTION_MS);
  save();
  assert.deepEqual(world.raft.did, ['transfer to 3']);
  save();
  assert.equal(world.raft.did.length, 1, 'it takes three slow saves again');
});

test('a slow leader hands over to nobody whom the membership does not have as a voter, whatever raft says', () => {
  const world = new World([voter(SELF), learner(OTHER)]);
  world.connected.set(OTHER, 0).set(THIRD, 0);
  world.setLeader(SELF);
  world.raft.match.set(SELF, 7).set(OTHER, 7).set(THIRD, 7);
  world.clock.advance(11 * ELECTION_MS);
  for (let i = 0; i < 5; i++) world.leadership.onSaved(ELECTION_MS, 7);
  assert.deepEqual(world.raft.did, []);
});

test('a member that has to step aside never leads again', () => {
  const world = new World([voter(SELF), voter(OTHER)]);
  world.connected.set(OTHER, 0);
  world.setLeader(SELF);
  world.leadership.stepAside();
  assert.deepEqual(world.raft.did, ['bar', 'transfer to 2']);
});

test('a request that met a change of the leader is told so when it times out', () => {
  const world = new World([voter(SELF), voter(OTHER)]);
  assert.equal(world.leadership.timeoutError(world.clock.now()), ErrTimeout);
  world.clock.advance(10_000);
  world.setLeader(OTHER);
  const sinceMs = world.clock.now();
  assert.equal(world.leadership.timeoutError(sinceMs - 1), ErrTimeoutDueToLeaderFail);
  assert.equal(world.leadership.timeoutError(sinceMs), ErrTimeout);
  assert.equal(world.leadership.timeoutError(sinceMs - 2 * ELECTION_MS), ErrTimeout);
});
