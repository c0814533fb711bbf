import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfChange, ConfChangeType, ConfChangeV2, Message, MessageType } from '@etcd/api/raftpb';
import { parseChanges } from './confchange/conf-change.ts';
import { ReadOnlyOption } from './index.ts';
import { JointConfig } from './quorum/joint.ts';
import { MajorityConfig } from './quorum/majority.ts';
import { TestGroup, TestMember } from './rafttest/test-group.ts';
import { MAX_PENDING_READS, ReadOnly } from './read-only.ts';

const context = (text: string): Uint8Array => Buffer.from(text);

function readsOf(member: TestMember): string[] {
  return member.reads.splice(0).map(({ index, requestContext }) => `${index} ${Buffer.from(requestContext)}`);
}

function leading(group: TestGroup): TestMember {
  group.campaign(1);
  return group.get(1);
}

function read(group: TestGroup, id: number, name: string): void {
  group.get(id).node.readIndex(context(name));
  group.deliver();
}

test('a read is answered with the commit index once a quorum has confirmed the leader', () => {
  const group = new TestGroup(3);
  const leader = leading(group);
  group.deliver(leader.propose('a', 'b'));
  read(group, 1, 'one');
  assert.deepEqual(readsOf(leader), ['3 one']);
  read(group, 3, 'two');
  assert.deepEqual(readsOf(group.get(3)), ['3 two']);
  assert.deepEqual(readsOf(leader), []);
});

test('S28 a leader that is cut off answers no read, also when it comes back', () => {
  const group = new TestGroup(3);
  const former = leading(group);
  group.isolate(1);
  read(group, 1, 'stale');
  group.campaign(2);
  group.deliver(group.get(2).propose('newer'));
  assert.deepEqual(readsOf(former), []);
  group.heal();
  for (let i = 0; i < 3; i++) {
    group.deliver(former.tick());
    group.deliver(group.get(2).tick());
  }
  assert.deepEqual(readsOf(former), []);
  // Neither by winning again.
  group.campaign(1);
  assert.equal(group.leader, former);
  assert.deepEqual(readsOf(former), []);
});

test('S28 responses to heartbeats from before the read do not confirm it', () => {
  const group = new TestGroup(3);
  const leader = leading(group);
  // Followers answer the heartbeats of a first read, but the answers are held up.
  const held: Message[] = [];
  group.lost = (message) => message.type === MessageType.MsgHeartbeatResp && held.push(message) > 0;
  read(group, 1, 'first');
  assert.equal(held.length, 2);
  // Meanwhile others elect a leader that commits more.
  group.isolate(1);
  group.lost = () => false;
  group.campaign(2);
  group.deliver(group.get(2).propose('newer'));
  assert.equal(group.get(2).node.committed, 3);
  // The former leader, which knows nothing of that, is asked again, and then hears the answers to the first.
  leader.node.readIndex(context('second'));
  leader.handle();
  for (const message of held) leader.receive(message);
  assert.deepEqual(readsOf(leader), ['1 first']);
});

test('S28 a new leader answers no read before it has committed an entry of its term', () => {
  const group = new TestGroup(3);
  const former = leading(group);
  group.deliver(former.propose('a'));
  // The followers have the entry, but do not know that it is committed.
  group.lost = ({ type }) => type === MessageType.MsgApp;
  former.propose('b');
  group.heal();
  group.isolate(1);
  group.lost = ({ type, from }) => type === MessageType.MsgAppResp && from === 3n;
  group.get(2).node.campaign();
  group.deliver();
  const leader = group.get(2);
  assert.equal(leader.node.lead, 2n);
  read(group, 2, 'early');
  read(group, 3, 'forwarded');
  assert.deepEqual([readsOf(leader), readsOf(group.get(3))], [[], []]);
  group.lost = () => false;
  group.deliver(leader.tick());
  group.deliver(leader.tick());
  assert.deepEqual(readsOf(leader), ['3 early']);
  assert.deepEqual(readsOf(group.get(3)), ['3 forwarded']);
});

test('S28 reads that wait for a new leader’s first commit are gone with its leadership', () => {
  const group = new TestGroup(3);
  group.campaign(3);
  group.lost = ({ type }) => type === MessageType.MsgApp;
  group.campaign(1);
  read(group, 1, 'early');
  group.heal();
  group.campaign(2);
  group.campaign(1);
  group.deliver(group.get(1).propose('a'));
  assert.equal(group.leader, group.get(1));
  assert.deepEqual(readsOf(group.get(1)), []);
});

test('S28 the only voter answers no read before it has committed an entry of its term', () => {
  // A power failure took the commit index, which is not synced; the entries are there.
  const member = new TestMember(1n, { voters: [1n], logTerms: [1, 1, 1], term: 1, commit: 1 });
  member.node.campaign();
  const ready = member.node.ready();
  member.storage.setHardState(ready.hardState!);
  member.node.advance();
  assert.equal(member.node.lead, 1n);
  member.node.readIndex(context('early'));
  assert.deepEqual(member.raft.readStates, []);
  member.handle();
  assert.deepEqual(readsOf(member), ['4 early']);
});

test('S28 a leader that was removed answers only with the consent of those who are left', () => {
  const group = new TestGroup(2);
  const leader = leading(group);
  leader.node.proposeConfChange(new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 1n }));
  group.deliver();
  assert.equal(leader.node.lead, 1n);
  leader.node.readIndex(context('alone'));
  leader.handle();
  assert.deepEqual(readsOf(leader), []);
});

test('S28 an answer to a read counts only from the leader', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n], term: 1 });
  const message = (type: number, from: bigint): Message =>
    new Message({ type, from, to: 1n, term: 1, index: 0, entries: [] });
  member.receive(message(MessageType.MsgHeartbeat, 2n));
  member.node.readIndex(context('read'));
  const [request] = member.handle();
  for (const from of [3n, 2n]) {
    member.receive(
      new Message({
        ...message(MessageType.MsgReadIndexResp, from),
        index: Number(from),
        entries: request!.entries,
      }),
    );
  }
  assert.deepEqual(readsOf(member), ['2 read']);
  member.receive(message(MessageType.MsgReadIndexResp, 2n));
  assert.deepEqual(readsOf(member), []);
});

test('a leader that is a quorum by itself in a joint configuration answers at once', () => {
  const member = new TestMember(1n, { voters: [1n] });
  member.node.campaign();
  member.handle();
  member.node.proposeConfChange(new ConfChangeV2({ transition: 2, changes: parseChanges('l2') }));
  member.handle();
  assert.equal(member.raft.tracker.config.voters.isJoint, true);
  member.node.readIndex(context('read'));
  member.handle();
  assert.deepEqual(readsOf(member), ['2 read']);
});

test('by lease, a leader answers without asking', () => {
  const group = new TestGroup(3, { readOnlyOption: ReadOnlyOption.LeaseBased, checkQuorum: true });
  const leader = leading(group);
  group.isolate(1);
  leader.node.readIndex(context('read'));
  leader.handle();
  assert.deepEqual(readsOf(leader), ['1 read']);
});

test('reads without a leader are dropped', () => {
  const member = new TestMember(1n, { voters: [1n, 2n] });
  member.node.readIndex(context('follower'));
  member.node.campaign();
  member.node.readIndex(context('candidate'));
  assert.deepEqual(
    member.handle().filter(({ type }) => type === MessageType.MsgReadIndex),
    [],
  );
});

test('S21 reads that wait are bounded', () => {
  const queue = new ReadOnly();
  const request = new Message();
  for (let i = 0; i < MAX_PENDING_READS; i++) assert.ok(queue.add(request, 1));
  assert.equal(queue.add(request, 1), false);

  const group = new TestGroup(3);
  const leader = leading(group);
  group.isolate(1);
  leader.node.readIndex(context('x'));
  const { readOnly } = leader.raft;
  while (readOnly.add(request, 1));
  leader.handle();
  leader.node.readIndex(context('one too many'));
  assert.deepEqual(leader.handle(), []);
});

test('S21 contexts that no heartbeat had confirm nothing', () => {
  const voters = new JointConfig(MajorityConfig.of([1n, 2n, 3n]));
  const queue = new ReadOnly();
  queue.add(new Message(), 7);
  queue.acknowledgeAll(1n);
  for (const bad of [
    new Uint8Array(0),
    new Uint8Array(7),
    new Uint8Array(9),
    new Uint8Array(8).fill(0xff),
    Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0),
    new Uint8Array(1000),
  ]) {
    queue.receiveAck(2n, bad);
    assert.deepEqual(queue.takeConfirmed(voters), []);
  }
  queue.receiveAck(2n, queue.heartbeatContext());
  assert.deepEqual(
    queue.takeConfirmed(voters).map(({ index }) => index),
    [7],
  );
  assert.equal(queue.heartbeatContext().length, 0);
});
