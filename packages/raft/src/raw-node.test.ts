import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConfChange,
  ConfChangeType,
  ConfChangeV2,
  ConfState,
  Entry,
  EntryType,
  HardState,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { parseChanges } from './confchange/conf-change.ts';
import {
  ConfigError,
  decodeConfChangeEntry,
  describeConfig,
  formatStatus,
  isLocalTarget,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MemoryStorage,
  type RaftConfig,
  RaftState,
  RawNode,
  ReadOnlyOption,
  StepError,
  stepErrorText,
} from './index.ts';
import { entriesOf, idsOf, NO_JITTER, TestGroup, TestMember } from './rafttest/test-group.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

function configWith(options: Partial<RaftConfig> = {}): RaftConfig {
  return {
    id: 1n,
    electionTicks: 10,
    heartbeatTicks: 1,
    maxInflightMsgs: 256,
    random: NO_JITTER,
    storage: new MemoryStorage(),
    ...options,
  };
}

function leaderAlone(options: Partial<RaftConfig> = {}): TestMember {
  const member = new TestMember(1n, { voters: [1n] }, options);
  member.node.campaign();
  member.handle();
  return member;
}

test('parameters that make no sense are refused by name', () => {
  for (const [options, complaint] of [
    [{ id: 0n }, /cannot use none as id/],
    [{ id: LOCAL_APPEND_THREAD }, /cannot use local target as id/],
    [{ id: LOCAL_APPLY_THREAD }, /cannot use local target as id/],
    [{ heartbeatTicks: 0 }, /heartbeat tick must be greater than 0/],
    [{ heartbeatTicks: 1.5 }, /heartbeat tick/],
    [{ electionTicks: 1 }, /election tick must be greater than heartbeat tick/],
    [{ electionTicks: 2 ** 33 }, /election tick must be at most/],
    [{ electionTicks: Number.NaN }, /election tick/],
    [{ maxInflightMsgs: 0 }, /max inflight messages must be greater than 0/],
    [{ maxInflightBytes: 10, maxSizePerMsgBytes: 11 }, /max inflight bytes must be >= max message size/],
    [{ maxInflightBytes: 10 }, /max inflight bytes must be >= max message size/],
    [{ maxSizePerMsgBytes: -1 }, /sizes must not be negative/],
    [{ maxCommittedSizePerReadyBytes: -1 }, /sizes must not be negative/],
    [{ maxUncommittedEntriesSizeBytes: Number.NaN }, /sizes must not be negative/],
    [{ applied: -1 }, /applied must be an index/],
    [{ readOnlyOption: ReadOnlyOption.LeaseBased }, /CheckQuorum must be enabled/],
  ] as const) {
    assert.throws(
      () => new RawNode(configWith(options)),
      (error) =>
        error instanceof ConfigError && error.code === 'ERR_RAFT_CONFIG' && complaint.test(error.message),
    );
  }
});

test('a founded group has its members in the log, and every founder may campaign at once', () => {
  const storage = new MemoryStorage();
  const node = new RawNode(configWith({ storage }));
  node.bootstrap([{ id: 1n, context: bytes('one') }, { id: 2n }]);
  const ready = node.ready();
  assert.deepEqual([ready.hardState?.term, ready.hardState?.commit, ready.mustSync], [1, 2, true]);
  assert.equal(idsOf(ready.entries), '1/1 1/2');
  assert.equal(idsOf(ready.committedEntries), '1/1 1/2');
  const changes = ready.entries.map((entry) => decodeConfChangeEntry(entry) as ConfChange);
  assert.deepEqual(
    changes.map(({ type, nodeId }) => [type, nodeId]),
    [
      [ConfChangeType.ConfChangeAddNode, 1n],
      [ConfChangeType.ConfChangeAddNode, 2n],
    ],
  );
  assert.equal(Buffer.from(changes[0]!.context).toString(), 'one');
  storage.append(ready.entries);
  for (const change of changes) node.applyConfChange(change);
  node.advance();
  node.campaign();
  assert.equal(node.raftState, RaftState.Candidate);
  assert.equal(describeConfig(node.status().config), 'voters=(1 2)');
});

test('only an empty storage is founded upon, and not by nobody', () => {
  assert.throws(() => new RawNode(configWith()).bootstrap([]), /at least one peer/);
  const storage = new MemoryStorage();
  storage.append(entriesOf(1, 1));
  assert.throws(() => new RawNode(configWith({ storage })).bootstrap([{ id: 1n }]), /nonempty Storage/);
});

test('a member that restarts goes on from storage, and applies what comes after what was applied', () => {
  const member = new TestMember(1n, { voters: [1n, 2n], logTerms: [1, 1, 1], commit: 2 }, { applied: 1 });
  assert.deepEqual([member.node.term, member.node.committed, member.node.applied], [1, 2, 1]);
  member.handle();
  assert.equal(idsOf(member.applied), '1/2');
});

test('a member that restarts from a snapshot begins behind it', () => {
  const storage = new MemoryStorage();
  const confState = new ConfState({ voters: [1n, 2n] });
  storage.applySnapshot(new Snapshot({ metadata: new SnapshotMetadata({ index: 5, term: 2, confState }) }));
  storage.append(entriesOf(6, 2, 2));
  storage.setHardState(new HardState({ term: 2, commit: 6 }));
  const node = new RawNode(configWith({ storage }));
  assert.deepEqual([node.applied, node.committed], [5, 6]);
  assert.equal(idsOf(node.ready().committedEntries), '2/6');
});

test('a storage that contradicts itself is a broken invariant', () => {
  const storage = new MemoryStorage();
  storage.setHardState(new HardState({ term: 1, commit: 7 }));
  assert.throws(() => new RawNode(configWith({ storage })), /state.commit 7 is out of range \[0, 0\]/);
});

test('a batch of proposals becomes one append, and its data is not copied', () => {
  const member = leaderAlone();
  const data = [bytes('a'), bytes('b'), bytes('c')];
  assert.equal(member.node.propose(data), null);
  const ready = member.node.ready();
  assert.deepEqual(
    ready.entries.map((entry) => entry.data),
    data,
  );
  for (const [i, entry] of ready.entries.entries()) assert.equal(entry.data, data[i]);
  assert.equal(idsOf(ready.entries), '1/2 1/3 1/4');
});

test('an empty batch is nothing', () => {
  const member = leaderAlone();
  assert.equal(member.node.propose([]), null);
  assert.equal(member.node.hasReady(), false);
});

test('with one voter, entries are written by one Ready and applied by the next, while more are written', () => {
  const { node, storage } = leaderAlone();
  const handled: string[] = [];
  for (const batch of ['a', 'b', 'c', null]) {
    if (batch !== null) node.propose([bytes(batch)]);
    const ready = node.ready();
    handled.push(
      `write ${idsOf(ready.entries)} apply ${idsOf(ready.committedEntries)} sync ${ready.mustSync}`,
    );
    storage.append(ready.entries);
    node.advance();
  }
  assert.deepEqual(handled, [
    'write 1/2 apply  sync true',
    'write 1/3 apply 1/2 sync true',
    'write 1/4 apply 1/3 sync true',
    'write  apply 1/4 sync false',
  ]);
});

test('a Ready is done before the next is handed out', () => {
  const { node } = leaderAlone();
  node.propose([bytes('a')]);
  node.ready();
  assert.throws(() => node.ready(), /without call to Advance/);
});

test('the arrays of a Ready are the driver’s', () => {
  const member = leaderAlone();
  member.node.propose([bytes('a'), bytes('b')]);
  const ready = member.node.ready();
  (ready.entries as Entry[]).length = 0;
  (ready.messages as Message[]).length = 0;
  assert.equal(member.log, '1/1 1/2 1/3');
});

test('nothing to do is nothing to do', () => {
  const member = leaderAlone();
  assert.equal(member.node.hasReady(), false);
  const { softState, hardState, entries, committedEntries, messages, readStates, snapshot, mustSync } =
    member.node.ready();
  assert.deepEqual([softState, hardState, snapshot, mustSync], [null, null, null, false]);
  assert.deepEqual(
    [entries, committedEntries, messages, readStates].map((list) => list.length),
    [0, 0, 0, 0],
  );
  member.node.advance();
});

test('proposals are dropped without a leader, by a candidate, and where they are not passed on', () => {
  const member = new TestMember(1n, { voters: [1n, 2n] });
  assert.equal(member.node.propose([bytes('a')]), StepError.ProposalDropped);
  member.node.campaign();
  assert.equal(member.node.propose([bytes('a')]), StepError.ProposalDropped);

  const group = new TestGroup(2, { disableProposalForwarding: true });
  group.campaign(1);
  assert.equal(group.get(2).node.propose([bytes('a')]), StepError.ProposalDropped);
  assert.equal(stepErrorText(StepError.ProposalDropped), 'raft proposal dropped');
});

test('a follower passes proposals on, and the leader gives them their place', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  group.deliver(group.get(2).propose('a', 'b'));
  for (const member of group.members.values()) {
    assert.deepEqual(
      member.applied.map(({ data }) => Buffer.from(data).toString()),
      ['', 'a', 'b'],
    );
  }
});

test('what a leader may hold uncommitted has a bound; an empty entry and the first of all always fit', () => {
  const group = new TestGroup(3, { maxUncommittedEntriesSizeBytes: 16 });
  group.campaign(1);
  const leader = group.get(1);
  group.isolate(1);
  assert.equal(leader.node.propose([bytes('x'.repeat(100))]), null);
  leader.handle();
  assert.equal(leader.node.propose([bytes('y')]), StepError.ProposalDropped);
  assert.equal(leader.node.propose([bytes('')]), null);
  // Once it is applied there is room again.
  group.heal();
  group.deliver(leader.tick());
  group.deliver(leader.tick());
  assert.equal(leader.applied.length, 3);
  assert.equal(leader.node.propose([bytes('y'.repeat(10)), bytes('y'.repeat(6))]), null);
  assert.equal(leader.node.propose([bytes('y')]), StepError.ProposalDropped);
});

test('a configuration change for which there was no room does not stand in the way of the next one', () => {
  const group = new TestGroup(3, { maxUncommittedEntriesSizeBytes: 16 });
  group.campaign(1);
  const leader = group.get(1);
  group.isolate(1);
  leader.node.propose([bytes('x'.repeat(100))]);
  leader.handle();
  const change = new ConfChange({ type: ConfChangeType.ConfChangeAddLearnerNode, nodeId: 4n });
  assert.equal(leader.node.proposeConfChange(change), StepError.ProposalDropped);
  group.heal();
  for (let i = 0; i < 2; i++) group.deliver(leader.tick());
  assert.equal(leader.node.proposeConfChange(change), null);
  group.deliver(leader.handle());
  assert.equal(leader.applied.at(-1)!.type, EntryType.EntryConfChange);
});

test('committed entries are handed out by and by', () => {
  const member = leaderAlone({ maxCommittedSizePerReadyBytes: 2048 });
  const blob = 'x'.repeat(1000);
  for (let i = 0; i < 3; i++) member.node.propose([bytes(blob)]);
  const counts: number[] = [];
  while (member.node.hasReady()) {
    const ready = member.node.ready();
    counts.push(ready.committedEntries.length);
    member.storage.append(ready.entries);
    member.node.advance();
  }
  assert.deepEqual(counts, [0, 2, 1]);
});

test('a configuration change counts from when it is applied, not from when it is committed', () => {
  const member = leaderAlone();
  const change = new ConfChange({ type: ConfChangeType.ConfChangeAddNode, nodeId: 2n });
  assert.equal(member.node.proposeConfChange(change), null);
  let ready = member.node.ready();
  member.storage.append(ready.entries);
  member.node.advance();
  ready = member.node.ready();
  assert.deepEqual(
    ready.committedEntries.map(({ type }) => type),
    [EntryType.EntryConfChange],
  );
  assert.equal(describeConfig(member.node.status().config), 'voters=(1)');
  const confState = member.node.applyConfChange(change);
  assert.deepEqual(confState.voters, [1n, 2n]);
  member.node.advance();
  // From now on it takes both.
  member.propose('a');
  assert.equal(member.node.committed, 2);
});

test('an application that rejects a change makes it one about nobody', () => {
  const member = leaderAlone();
  const confState = member.node.applyConfChange(
    new ConfChange({ type: ConfChangeType.ConfChangeAddNode, nodeId: 0n }),
  );
  assert.deepEqual(confState.voters, [1n]);
});

test('a committed change that can’t be applied is a broken invariant, and changes nothing', () => {
  const member = leaderAlone();
  const change = new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 1n });
  assert.throws(() => member.node.applyConfChange(change), /can't be applied: removed all voters/);
  assert.equal(describeConfig(member.node.status().config), 'voters=(1)');
});

test('a joint configuration with automatic leave is left as soon as it is in force', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  const change = new ConfChangeV2({ changes: parseChanges('r3 l2 l4') });
  group.get(1).node.proposeConfChange(change);
  group.deliver();
  assert.equal(describeConfig(group.get(1).node.status().config), 'voters=(1) learners=(2 4)');
});

test('an older change applied while a newer snapshot waits does not disturb the snapshot’s configuration', () => {
  const member = new TestMember(1n, { voters: [1n, 2n], term: 1 });
  const change = new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 2n });
  const entries = [new Entry({ term: 1, index: 1, type: EntryType.EntryConfChange })];
  member.node.step(appendOf(entries, 1));
  const ready = member.node.ready();
  assert.equal(idsOf(ready.committedEntries), '1/1');
  // The snapshot comes while the application is at it: member 2 was removed and is back.
  const confState = new ConfState({ voters: [1n, 2n, 3n] });
  const metadata = new SnapshotMetadata({ index: 9, term: 1, confState });
  member.node.step(message(MessageType.MsgSnap, { snapshot: new Snapshot({ metadata }) }));
  assert.deepEqual(member.node.applyConfChange(change).voters, [1n]);
  assert.equal(describeConfig(member.node.status().config), 'voters=(1 2 3)');
  member.node.advance();
  member.handle();
  // Behind the snapshot, changes count again.
  assert.deepEqual(member.node.applyConfChange(change).voters, [1n, 3n]);
});

test('a status is a copy, and a text', () => {
  const group = new TestGroup(2);
  group.campaign(1);
  const status = group.get(1).node.status();
  assert.deepEqual([...status.progress.keys()], [1n, 2n]);
  status.progress.get(2n)!.becomeProbe();
  assert.equal(String(group.get(1).node.status().progress.get(2n)), 'StateReplicate match=1 next=2');
  assert.deepEqual(JSON.parse(formatStatus(group.get(1).node.status())), {
    id: '1',
    term: 1,
    vote: '1',
    commit: 1,
    lead: '1',
    raftState: 'StateLeader',
    applied: 1,
    progress: {
      '1': { match: 1, next: 2, state: 'StateReplicate' },
      '2': { match: 1, next: 2, state: 'StateReplicate' },
    },
    leadtransferee: '0',
  });
  const basic = group.get(2).node.basicStatus();
  assert.deepEqual([basic.id, basic.lead, basic.raftState, basic.applied], [2n, 1n, RaftState.Follower, 1]);
  assert.equal(group.get(2).node.status().progress.size, 0);
});

test('reports about strangers, or to a member that does not lead, mean nothing', () => {
  const group = new TestGroup(2);
  group.campaign(1);
  for (const node of [group.get(1).node, group.get(2).node]) {
    node.reportUnreachable(9n);
    node.reportSnapshot(9n, 'finish');
    node.transferLeader(9n);
  }
  group.get(2).node.reportUnreachable(1n);
  group.get(1).node.forgetLeader();
  assert.equal(group.get(1).node.raftState, RaftState.Leader);
  group.get(1).node.reportUnreachable(2n);
  assert.equal(String(group.get(1).node.status().progress.get(2n)), 'StateProbe match=1 next=2');
});

// Asynchronous storage writes.

function asyncLeader(): RawNode {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n] }, { asyncStorageWrites: true });
  member.node.campaign();
  for (const local of member.node.ready().messages.filter(({ to }) => isLocalTarget(to))) {
    for (const response of local.responses) member.node.stepLocal(response);
  }
  member.node.step(message(MessageType.MsgVoteResp));
  assert.equal(member.node.raftState, RaftState.Leader);
  return member.node;
}

test('asynchronous: promises travel with the write that they wait for, all else goes at once', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n], term: 1 }, { asyncStorageWrites: true });
  member.node.step(appendOf(entriesOf(1, 1, 1), 1));
  member.node.step(message(MessageType.MsgHeartbeat));
  const ready = member.node.ready();
  assert.deepEqual(
    ready.messages.map(({ type, to }) => [type, to]),
    [
      [MessageType.MsgHeartbeatResp, 2n],
      [MessageType.MsgStorageAppend, LOCAL_APPEND_THREAD],
    ],
  );
  const append = ready.messages[1]!;
  assert.equal(idsOf(append.entries), '1/1 1/2');
  assert.deepEqual([append.term, append.vote, append.commit], [1, 0n, 1]);
  assert.deepEqual(
    append.responses.map(({ type, to, index }) => [type, to, index]),
    [
      [MessageType.MsgAppResp, 2n, 2],
      [MessageType.MsgStorageAppendResp, 1n, 2],
    ],
  );
  // Committed, but not known to be in storage: not applied yet.
  assert.equal(ready.committedEntries.length, 0);
  member.storage.append(append.entries);
  member.node.stepLocal(append.responses[1]!);
  const [apply] = member.node.ready().messages;
  assert.deepEqual(
    [apply?.type, apply?.to, idsOf(apply?.entries ?? [])],
    [MessageType.MsgStorageApply, LOCAL_APPLY_THREAD, '1/1'],
  );
  assert.equal(member.node.applied, 0);
  member.node.stepLocal(apply!.responses[0]!);
  assert.equal(member.node.applied, 1);
});

test('asynchronous: one Ready need not be done before the next', () => {
  const node = asyncLeader();
  const first = node.ready();
  node.propose([bytes('a')]);
  const second = node.ready();
  assert.equal(idsOf(first.entries), '1/1');
  assert.equal(idsOf(second.entries), '1/2');
  assert.throws(() => node.advance(), /must not be called when using AsyncStorageWrites/);
});

test('asynchronous: a leader’s acknowledgement to itself counts only in its term', () => {
  const node = asyncLeader();
  const append = node.ready().messages.find(({ type }) => type === MessageType.MsgStorageAppend)!;
  node.step(message(MessageType.MsgHeartbeat, { term: 2, from: 3n }));
  for (const response of append.responses) node.stepLocal(response);
  assert.deepEqual([node.term, node.committed, node.raftState], [2, 0, RaftState.Follower]);
});

test('asynchronous: a candidate’s vote for itself counts only in its term', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n] }, { asyncStorageWrites: true });
  member.node.campaign();
  const append = member.node.ready().messages.find(({ type }) => type === MessageType.MsgStorageAppend)!;
  member.node.step(message(MessageType.MsgVoteResp, { reject: true }));
  member.node.step(message(MessageType.MsgVoteResp, { reject: true, from: 3n }));
  assert.equal(member.node.raftState, RaftState.Follower);
  for (const response of append.responses) member.node.stepLocal(response);
  assert.equal(member.node.raftState, RaftState.Follower);
});

test('asynchronous: a snapshot that is in storage counts in every term', () => {
  for (const hasNewTerm of [false, true]) {
    const member = new TestMember(1n, { voters: [1n, 2n, 3n], term: 1 }, { asyncStorageWrites: true });
    const confState = new ConfState({ voters: [1n, 2n, 3n] });
    const snapshot = new Snapshot({ metadata: new SnapshotMetadata({ index: 10, term: 1, confState }) });
    member.node.step(message(MessageType.MsgSnap, { snapshot }));
    const { messages } = member.node.ready();
    const append = messages.find(({ type }) => type === MessageType.MsgStorageAppend)!;
    member.storage.applySnapshot(snapshot);
    if (hasNewTerm) member.node.step(message(MessageType.MsgHeartbeat, { term: 2, from: 3n }));
    for (const response of append.responses) if (response.to === 1n) member.node.stepLocal(response);
    assert.deepEqual([member.node.applied, member.node.committed], [10, 10]);
    assert.equal(member.raft.log.unstable.snapshot, null);
  }
});

test('asynchronous: what a stranger sends is not taken for local', () => {
  const node = asyncLeader();
  const forged = message(MessageType.MsgStorageAppendResp, { from: LOCAL_APPEND_THREAD });
  assert.equal(node.step(forged), StepError.LocalMessage);
  assert.throws(() => node.stepLocal(message(MessageType.MsgAppResp)), /from another member/);
  assert.throws(() => node.stepLocal(message(MessageType.MsgAppResp, { to: 2n })), /for another member/);
});

/** A message of term 1 from member 2 to member 1. */
function message(type: number, fields: Partial<Message> = {}): Message {
  return new Message({ type, from: 2n, to: 1n, term: 1, ...fields });
}

function appendOf(entries: Entry[], commit: number): Message {
  return message(MessageType.MsgApp, { entries, commit });
}
