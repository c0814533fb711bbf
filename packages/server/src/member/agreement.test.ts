/** A member with another one beside it, which is there or is not, agrees, leads, or lies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import {
  encodeInternalRaftRequest,
  InternalRaftRequest,
  LeaseGrantRequest,
  PutRequest,
  RequestHeader,
} from '@etcd/api/etcdserverpb';
import { DowngradeInfoSetRequest } from '@etcd/api/membershippb';
import { Entry, EntryType, MessageType } from '@etcd/api/raftpb';
import { confChangeEntry } from '@etcd/raft';
import { NO_IDENTITY } from '@etcd/storage/auth';
import { removeMemberChange } from '@etcd/storage/membership';
import { BootWorld } from '../boot/testing/boot-world.ts';
import { AgreeingPeer } from './testing/agreeing-peer.ts';
import { SingleMember } from './testing/single-member.ts';

const { ErrLeaderChanged, ErrStopped, ErrTimeout, ErrTimeoutDueToLeaderFail } = INTERNAL_ERRORS.errors;
const TWO = '--initial-cluster=m1=http://localhost:2380,m2=http://m2:2380';
/** Beyond any election timeout, and beyond the time that a request may wait. */
const ELECTION_MS = 5000;
const REQUEST_MS = 20_000;

const put = (key: string): PutRequest => new PutRequest({ key: Buffer.from(key), value: Buffer.from('v') });

async function two(): Promise<{ readonly member: SingleMember; readonly peer: AgreeingPeer }> {
  const world = await BootWorld.create([TWO]);
  const member = await SingleMember.startIn(world);
  const { server } = member;
  assert.ok(world.clock.advanceUntil(() => server.membership.members().length === 2, ELECTION_MS));
  const peer = new AgreeingPeer(member);
  assert.ok(world.clock.advanceUntil(() => server.isLeader && member.isReady, ELECTION_MS));
  return { member, peer };
}

const isPut = (outcome: unknown): boolean =>
  typeof outcome === 'object' && outcome !== null && 'prevKv' in outcome;

/** What a follower would be told of a put: it is not this member's. */
const foreignPut = (key: string): Entry =>
  new Entry({
    data: encodeInternalRaftRequest(
      new InternalRaftRequest({ header: new RequestHeader({ id: 1n << 60n }), put: put(key) }),
    ),
  });

test('a leader applies nothing, and acknowledges nothing, that the other does not have', async () => {
  const { member, peer } = await two();
  const { store } = member.server;
  assert.equal(isPut(member.ask('put', put('a'))), true);
  assert.equal(store.revision, 2);
  peer.isThere = false;
  const outcomes = member.propose('put', put('b'));
  member.world.clock.advance(500);
  assert.deepEqual([outcomes.length, store.revision], [0, 2]);
  peer.isThere = true;
  member.world.clock.advance(1500);
  assert.deepEqual([outcomes.map(isPut), store.revision], [[true], 3]);
  member.stop();
});

test('without the other a leader steps down; who waits is told in time, and nothing of it is proposed later', async () => {
  const { member, peer } = await two();
  const { server, world } = member;
  const { store } = server;
  peer.isThere = false;
  world.clock.advance(ELECTION_MS);
  assert.deepEqual([server.isLeader, server.leader, server.lessor.isPrimary], [false, 0n, false]);
  const outcomes = member.propose('put', put('lost'));
  const unreadable: InternalError[] = [];
  server.read({ onReadable: () => assert.fail('a read'), onUnreadable: (error) => unreadable.push(error) });
  world.clock.advance(REQUEST_MS);
  assert.deepEqual([outcomes, unreadable], [[ErrTimeout], [ErrTimeout]]);
  assert.equal(server.pending.count, 0);
  peer.isThere = true;
  assert.ok(world.clock.advanceUntil(() => server.isLeader, 2 * ELECTION_MS));
  assert.equal(isPut(member.ask('put', put('kept'))), true);
  assert.equal(store.revision, 2, 'what has timed out is not applied');
  member.stop();
});

test('a request that a change of the leader has cost its answer says so when it times out', async () => {
  const { member, peer } = await two();
  const { clock } = member.world;
  peer.isThere = false;
  const outcomes = member.propose('put', put('a'));
  const unreadable: InternalError[] = [];
  member.server.read({
    onReadable: () => assert.fail('a read'),
    onUnreadable: (error) => unreadable.push(error),
  });
  clock.advance(100);
  peer.lead();
  clock.advance(100);
  assert.equal(member.server.leader, peer.id);
  assert.deepEqual(unreadable, [ErrLeaderChanged], 'what was asked of the former leader proves nothing');
  for (let i = 0; i < REQUEST_MS / 500; i++) {
    clock.advance(500);
    peer.send({ type: MessageType.MsgHeartbeat });
  }
  assert.deepEqual(outcomes, [ErrTimeoutDueToLeaderFail]);
  member.stop();
});

test('a follower applies what the leader says is committed, decides about no lease, and passes proposals on', async () => {
  const { member, peer } = await two();
  const { server, world } = member;
  member.ask('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 2 }));
  peer.lead();
  peer.append(foreignPut('x'));
  world.clock.advance(100);
  assert.deepEqual([server.isLeader, server.leader, server.store.revision], [false, peer.id, 2]);
  for (let i = 0; i < 20; i++) {
    peer.send({ type: MessageType.MsgHeartbeat });
    world.clock.advance(500);
  }
  assert.equal(server.lessor.has(5n), true, 'its time is over, and that is for the leader to say');
  const before = peer.count(MessageType.MsgProp);
  const outcomes = member.propose('put', put('y'));
  world.clock.advance(10);
  const { entries } = peer.received.get(MessageType.MsgProp)![before]!;
  assert.deepEqual([entries.length, outcomes], [1, []]);
  peer.append(entries[0]!);
  world.clock.advance(10);
  assert.deepEqual([outcomes.map(isPut), server.store.revision], [[true], 3]);
  member.stop();
});

test('a leader that lies about what is in its log is not followed there, and the member lives', async () => {
  const { member, peer } = await two();
  const { server, world } = member;
  peer.lead();
  world.clock.advance(100);
  const { appliedIndex } = server;
  const { lastIndex, lastTerm } = peer;
  for (const entry of [
    new Entry({ data: Buffer.from([0xff, 0xff, 0xff]) }),
    new Entry({ type: EntryType.EntryConfChange, data: Buffer.from('{}') }),
    new Entry({ type: EntryType.EntryConfChangeV2 }),
    new Entry({ type: 77 as never }),
  ]) {
    Object.assign(peer, { lastIndex, lastTerm });
    peer.append(entry);
    world.clock.advance(100);
    assert.equal(server.appliedIndex, appliedIndex);
  }
  Object.assign(peer, { lastIndex, lastTerm });
  peer.append(foreignPut('honest'));
  world.clock.advance(100);
  assert.deepEqual([server.appliedIndex, server.store.revision, member.fatal], [appliedIndex + 1, 2, []]);
  member.stop();
});

test('a member that the log removes says so a second later, once, and one that another says is removed at once', async () => {
  const { member, peer } = await two();
  const { world, server } = member;
  peer.lead();
  const entry = confChangeEntry(removeMemberChange(server.memberId));
  peer.append(entry);
  world.clock.advance(900);
  assert.deepEqual([server.membership.isRemoved(server.memberId), member.removedCount], [true, 0]);
  world.clock.advance(10_000);
  assert.equal(member.removedCount, 1);
  member.stop();
  const told = await two();
  told.member.world.network.host!.onRemovedFromCluster();
  assert.equal(told.member.removedCount, 1);
  told.member.stop();
  told.member.world.network.host!.onRemovedFromCluster();
  assert.equal(told.member.removedCount, 1, 'it has stopped');
});

test('a leader that stops hands over, and everybody who still waits is told that it has stopped', async () => {
  const { member, peer } = await two();
  const { world, server } = member;
  world.clock.advance(10_000);
  const done = member.propose('put', put('a'));
  world.clock.advance(50);
  let isStopped = false;
  server.stopThen(() => {
    isStopped = true;
  });
  world.clock.advance(100);
  assert.equal(peer.count(MessageType.MsgTimeoutNow), 1);
  const waiting = member.propose('put', put('b'));
  assert.deepEqual(
    [done.map(isPut), waiting, isStopped],
    [[true], [], false],
    'it waits until the other leads',
  );
  peer.lead();
  world.clock.advance(1000);
  assert.equal(isStopped, true);
  assert.deepEqual(waiting, [ErrStopped]);
  server.stopThen(() => assert.fail('stopped twice'));
  world.clock.advance(1000);
});

test('before a downgrade the others are asked what they run: one that a member could not read is refused', async () => {
  const { member } = await two();
  const { network, clock } = member.world;
  const outcomes: (string | null)[] = [];
  const downgrade = (): void =>
    member.server.setDowngrade(new DowngradeInfoSetRequest({ enabled: true, ver: '3.6.0' }), NO_IDENTITY, {
      kind: 'downgradeInfoSet',
      request: null,
      onApplied: () => outcomes.push(null),
      onFailed: ({ message }) => outcomes.push(message),
    });
  for (const release of ['3.4.0', '3.6.0']) {
    network.answers.set('http://m2:2380', () => {
      const body = Buffer.from(JSON.stringify({ etcdserver: release, etcdcluster: release }));
      return { status: 200, body };
    });
    downgrade();
    clock.advance(1000);
  }
  assert.match(outcomes[0]!, /a member runs 3\.4 and could not read the request/);
  assert.deepEqual(outcomes.slice(1), [null]);
  assert.equal(member.server.membership.downgrade.enabled, true);
  member.stop();
});
