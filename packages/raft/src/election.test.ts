import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfChange, ConfChangeType, Entry, EntryType, Message, MessageType } from '@etcd/api/raftpb';
import { RaftState } from './raft-state.ts';
import { NO_JITTER, TestGroup, TestMember } from './rafttest/test-group.ts';

const OPTIONS = { preVote: true, checkQuorum: true };

function message(type: number, from: bigint, term: number, fields: Partial<Message> = {}): Message {
  return new Message({ type, from, to: 1n, term, ...fields });
}

const termsOf = (group: TestGroup): number[] => [...group.members.values()].map(({ node }) => node.term);

test('with pre-vote a member that was cut off comes back without deposing the leader', () => {
  for (const preVote of [true, false]) {
    const group = new TestGroup(3, { preVote });
    group.campaign(1);
    group.isolate(3);
    group.deliver(group.get(1).propose('missed'));
    group.campaign(3);
    group.heal();
    group.campaign(3);
    // It can't win, for it lacks an entry; without pre-vote the others take over its term all the same.
    assert.deepEqual(termsOf(group), new Array(3).fill(preVote ? 1 : 3));
    assert.equal(group.leader, preVote ? group.get(1) : undefined);
  }
});

test('a pre-vote changes neither the term nor the vote of anybody', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n], term: 1, vote: 3n });
  const [answer] = member.receive(message(MessageType.MsgPreVote, 2n, 5));
  // It answers for the candidate's term, so that the candidate does not ignore it.
  assert.deepEqual([answer?.type, answer?.term, answer?.reject], [MessageType.MsgPreVoteResp, 5, false]);
  assert.deepEqual([member.node.term, member.storage.initialState().hardState?.vote], [1, 3n]);
});

test('a pre-candidate with an old log is refused, and told the term', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n], logTerms: [1, 3], term: 4 });
  const [refused] = member.receive(message(MessageType.MsgPreVote, 2n, 5, { logTerm: 1, index: 9 }));
  assert.deepEqual([refused?.reject, refused?.term], [true, 4]);
  // One of a former term is answered, too, or it would never learn.
  const [stale] = member.receive(message(MessageType.MsgPreVote, 2n, 2, { logTerm: 3, index: 9 }));
  assert.deepEqual([stale?.reject, stale?.term], [true, 4]);
});

test('two pre-candidates that split the votes both try again', () => {
  const group = new TestGroup(3, { preVote: true });
  group.campaign(1);
  group.isolate(1);
  group.get(2).node.campaign();
  group.get(3).node.campaign();
  group.deliver();
  // Both got the pre-votes, both voted for themselves.
  assert.deepEqual(termsOf(group), [1, 2, 2]);
  assert.deepEqual(
    [2, 3].map((id) => group.get(id).node.raftState),
    [RaftState.Candidate, RaftState.Candidate],
  );
  group.campaign(2);
  assert.deepEqual(termsOf(group), [1, 3, 3]);
  assert.equal(group.leader, group.get(2));
});

test('of pre-candidates that yield, one is elected at once, however many there are', () => {
  for (const size of [3, 5]) {
    const group = new TestGroup(size, { preVote: true, yieldsPreVote: true });
    group.campaign(1);
    group.isolate(1);
    for (let id = 2; id <= size; id++) group.get(id).node.campaign();
    group.deliver();
    assert.equal(group.leader, group.get(size), `${size} members`);
    assert.equal(group.get(size).node.term, 2);
  }
});

test('a pre-candidate yields to one with a longer log, whatever its id', () => {
  const group = new TestGroup(3, { preVote: true, yieldsPreVote: true });
  group.campaign(1);
  group.isolate(3);
  group.deliver(group.get(1).propose('only on 1 and 2'));
  group.heal();
  group.isolate(1);
  group.get(2).node.campaign();
  group.get(3).node.campaign();
  group.deliver();
  assert.equal(group.leader, group.get(2));
  assert.equal(group.get(2).node.term, 2);
});

test('members with and without pre-vote elect together', () => {
  const group = new TestGroup(3);
  group.members.set(3n, new TestMember(3n, { voters: [1n, 2n, 3n] }, { preVote: true }));
  group.campaign(1);
  group.isolate(3);
  group.deliver(group.get(1).propose('a'));
  group.heal();
  group.isolate(1);
  // 3 lacks an entry; 2 has it.
  group.campaign(3);
  group.campaign(2);
  assert.equal(group.leader, group.get(2));
  assert.equal(group.get(3).log, group.get(2).log);
});

test('with check-quorum a leader that hears of no quorum steps down', () => {
  const group = new TestGroup(3, OPTIONS);
  group.campaign(1);
  group.isolate(1);
  const leader = group.get(1);
  leader.tick(10);
  assert.equal(leader.node.raftState, RaftState.Leader);
  leader.tick(10);
  assert.deepEqual([leader.node.raftState, leader.node.lead, leader.node.term], [RaftState.Follower, 0n, 1]);
});

test('with check-quorum a leader that hears of a quorum goes on', () => {
  const group = new TestGroup(3, OPTIONS);
  group.campaign(1);
  group.isolate(3);
  for (let i = 0; i < 50; i++) group.deliver(group.get(1).tick());
  assert.equal(group.get(1).node.raftState, RaftState.Leader);
});

test('with check-quorum a follower protects a leader that it heard of lately', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n], term: 1 }, { checkQuorum: true });
  member.receive(message(MessageType.MsgHeartbeat, 2n, 1));
  member.tick(9);
  assert.deepEqual(member.receive(message(MessageType.MsgVote, 3n, 2)), []);
  assert.equal(member.node.term, 1);
  // Not from the leader's own wish, and not for longer than an election timeout.
  const transfer = message(MessageType.MsgVote, 3n, 2, { context: Buffer.from('CampaignTransfer') });
  assert.equal(member.receive(transfer)[0]?.reject, false);
  member.receive(message(MessageType.MsgHeartbeat, 3n, 2));
  member.node.forgetLeader();
  assert.equal(member.receive(message(MessageType.MsgVote, 2n, 3))[0]?.reject, false);
});

test('with check-quorum a member whose term ran ahead is not stuck', () => {
  const group = new TestGroup(3, { checkQuorum: true });
  group.campaign(1);
  group.isolate(3);
  group.campaign(3);
  group.campaign(3);
  group.heal();
  assert.equal(group.get(3).node.term, 3);
  // Its answer to a heartbeat of the former term deposes the leader, and an election in a later term takes it back.
  group.deliver(group.get(1).tick());
  assert.equal(group.get(1).node.raftState, RaftState.Follower);
  for (let i = 0; i < 30; i++) for (const member of group.members.values()) group.deliver(member.tick());
  assert.ok(group.leader !== undefined);
  assert.equal(new Set(termsOf(group)).size, 1);
});

test('a member that is no voter does not campaign, whatever it is told', () => {
  for (const state of [{ voters: [2n, 3n] }, { voters: [2n, 3n], learners: [1n] }]) {
    const member = new TestMember(1n, state, { random: NO_JITTER });
    member.node.campaign();
    assert.deepEqual(member.tick(30), []);
    assert.deepEqual(member.receive(message(MessageType.MsgTimeoutNow, 2n, 1)), []);
    assert.equal(member.node.raftState, RaftState.Follower);
  }
});

test('a learner votes: it may have been promoted without knowing', () => {
  const member = new TestMember(1n, { voters: [2n, 3n], learners: [1n] });
  assert.equal(
    member.receive(message(MessageType.MsgVote, 2n, 2, { logTerm: 9, index: 9 }))[0]?.reject,
    false,
  );
});

test('a member does not campaign while a committed configuration change is not applied', () => {
  const change = new Entry({ term: 1, index: 1, type: EntryType.EntryConfChangeV2 });
  const member = new TestMember(1n, { voters: [1n, 2n, 3n], term: 1 });
  member.node.step(message(MessageType.MsgApp, 2n, 1, { entries: [change], commit: 1 }));
  member.node.campaign();
  assert.equal(member.node.raftState, RaftState.Follower);
});

test('a leader that is told to campaign, or a second time to become one, goes on', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  group.campaign(1);
  assert.deepEqual([group.get(1).node.raftState, group.get(1).node.term], [RaftState.Leader, 1]);
});

test('a transfer is off when its target is removed', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  group.isolate(3);
  const leader = group.get(1);
  group.deliver(leader.propose('a'));
  leader.node.transferLeader(3n);
  assert.equal(leader.node.basicStatus().leadTransferee, 3n);
  leader.node.applyConfChange(new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 3n }));
  assert.equal(leader.node.basicStatus().leadTransferee, 0n);
});

test('a transfer to a learner, or to a member that gets the log by a snapshot', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  const leader = group.get(1);
  leader.node.applyConfChange(new ConfChange({ type: ConfChangeType.ConfChangeAddLearnerNode, nodeId: 3n }));
  leader.node.transferLeader(3n);
  assert.equal(leader.node.basicStatus().leadTransferee, 0n);

  leader.node.applyConfChange(new ConfChange({ type: ConfChangeType.ConfChangeAddNode, nodeId: 3n }));
  group.isolate(3);
  group.deliver(leader.propose('a'));
  const { confState } = leader.storage.initialState();
  leader.storage.createSnapshot(leader.node.applied, confState, Uint8Array.of());
  leader.storage.compact(leader.node.applied);
  group.heal();
  leader.node.transferLeader(3n);
  group.deliver(leader.handle());
  group.deliver(leader.tick());
  assert.equal(group.leader, group.get(3));
});
