import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConfChange,
  ConfChangeType,
  ConfState,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { SILENT_LOGGER } from '@etcd/base';
import { entriesOf, idsOf, TestGroup, TestMember, type TestOptions } from './rafttest/test-group.ts';
import { ProgressState } from './tracker/progress.ts';

function message(type: number, from: bigint, term: number, fields: Partial<Message> = {}): Message {
  return new Message({ type, from, to: 1n, term, ...fields });
}

const appendsTo = (to: bigint, messages: readonly Message[]): Message[] =>
  messages.filter((sent) => sent.type === MessageType.MsgApp && sent.to === to);

/** Member 1 leads members 1 and 2, and 2 has acknowledged the empty entry. */
function leaderOfTwo(options: TestOptions = {}): TestMember {
  const member = new TestMember(1n, { voters: [1n, 2n] }, options);
  member.node.campaign();
  member.handle();
  member.receive(message(MessageType.MsgVoteResp, 2n, 1));
  member.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 1 }));
  return member;
}

const progressOf = (member: TestMember, id = 2n): string => String(member.node.status().progress.get(id));

test('the window limits what is under way, by count and by bytes', () => {
  const leader = leaderOfTwo({ maxInflightMsgs: 3 });
  for (let i = 0; i < 3; i++) assert.equal(appendsTo(2n, leader.propose('x')).length, 1);
  for (let i = 0; i < 5; i++) assert.equal(appendsTo(2n, leader.propose('x')).length, 0);
  assert.equal(progressOf(leader), 'StateReplicate match=1 next=5 paused inflight=3[full]');
  // An acknowledgement lets one message through, with all that has gathered.
  const [next, ...others] = appendsTo(
    2n,
    leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 2 })),
  );
  assert.equal(idsOf(next?.entries ?? []), '1/5 1/6 1/7 1/8 1/9');
  assert.equal(others.length, 0);

  const byBytes = leaderOfTwo({ maxInflightBytes: 10, maxSizePerMsgBytes: 0 });
  assert.equal(appendsTo(2n, byBytes.propose('123456')).length, 1);
  assert.equal(appendsTo(2n, byBytes.propose('123456')).length, 1);
  assert.equal(appendsTo(2n, byBytes.propose('1')).length, 0);
});

test('a full window is probed at every heartbeat, lest lost messages stop the flow for good', () => {
  const leader = leaderOfTwo({ maxInflightMsgs: 2 });
  for (let i = 0; i < 3; i++) leader.propose('x');
  for (let i = 0; i < 3; i++) {
    const sent = leader.receive(message(MessageType.MsgHeartbeatResp, 2n, 1));
    assert.deepEqual(
      appendsTo(2n, sent).map(({ entries }) => entries.length),
      [0],
    );
    assert.equal(appendsTo(2n, leader.propose('x')).length, 0);
  }
});

test('while a follower is probed, it gets one message per heartbeat', () => {
  const leader = leaderOfTwo();
  leader.node.reportUnreachable(2n);
  assert.equal(appendsTo(2n, leader.propose('x')).length, 1);
  for (let i = 0; i < 3; i++) assert.equal(appendsTo(2n, leader.propose('x')).length, 0);
  const [probe] = appendsTo(2n, leader.receive(message(MessageType.MsgHeartbeatResp, 2n, 1)));
  assert.equal(idsOf(probe?.entries ?? []), '1/2 1/3 1/4 1/5');
});

test('entries travel in messages of limited size', () => {
  const leader = leaderOfTwo({ maxSizePerMsgBytes: 2048 });
  const blob = 'x'.repeat(1000);
  leader.node.propose(new Array<Uint8Array>(10).fill(Buffer.from(blob)));
  assert.deepEqual(
    appendsTo(2n, leader.handle()).map(({ entries }) => entries.length),
    [2],
  );
  const sent = leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 3 }));
  assert.deepEqual(
    appendsTo(2n, sent)
      .map(({ entries }) => entries.length)
      .filter((count) => count > 0),
    [2, 2, 2, 2],
  );
});

test('followers that are equally far share the entries, not the messages', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  const sent = group.get(1).propose('a', 'b');
  const [toTwo, toThree] = [appendsTo(2n, sent)[0]!, appendsTo(3n, sent)[0]!];
  assert.notEqual(toTwo, toThree);
  assert.equal(toTwo.entries, toThree.entries);
});

test('messages that overtake each other are sorted out', () => {
  const leader = leaderOfTwo();
  const follower = new TestMember(2n, { voters: [1n, 2n], logTerms: [1] });
  const first = appendsTo(2n, leader.propose('a'))[0]!;
  const second = appendsTo(2n, leader.propose('b'))[0]!;
  const [rejection] = follower.receive(second);
  assert.deepEqual([rejection?.reject, rejection?.rejectHint], [true, 1]);
  const [acknowledgement] = follower.receive(first);
  assert.equal(acknowledgement?.index, 2);
  // The rejection comes last and is out of date: what was rejected is missed at the next heartbeat.
  assert.deepEqual(
    leader.receive(acknowledgement!).filter(({ to }) => to !== 2n),
    [],
  );
  assert.deepEqual(leader.receive(rejection!), []);
  for (let queue = leader.tick(); queue.length > 0; ) {
    const answers = queue.flatMap((sent) => follower.receive(sent));
    queue = answers.flatMap((answer) => leader.receive(answer));
  }
  // Repeated, both say nothing new.
  leader.receive(rejection!);
  leader.receive(acknowledgement!);
  assert.equal(follower.log, '1/1 1/2 1/3');
  assert.equal(leader.node.committed, 3);
});

test('logs that diverge are brought together in one probe per term at most', () => {
  for (const [leaderTerms, followerTerms, maxProbes] of [
    // The follower's tail is of a former term, all of it newer than what they share.
    [[1, 3, 3, 3, 5, 5, 5, 5, 5], [1, 1, 1, 1, 2, 2], 2],
    [[1, 3, 3, 3, 3, 3, 3, 3, 7], [1, 3, 3, 4, 4, 5, 5, 5, 6], 3],
    [[1, 2, 2, 2, 4, 4, 4], [1, 3, 3, 3, 3], 2],
    [new Array<number>(200).fill(1).concat(3), [1, ...new Array<number>(500).fill(2)], 3],
  ] as const) {
    const term = 10;
    const leader = new TestMember(1n, { voters: [1n, 2n, 3n], logTerms: leaderTerms, term });
    leader.node.campaign();
    leader.handle();
    let queue = leader.receive(message(MessageType.MsgVoteResp, 3n, term + 1));
    const follower = new TestMember(2n, { voters: [1n, 2n, 3n], logTerms: followerTerms, term });
    let rejections = 0;
    while (queue.length > 0) {
      const answers = appendsTo(2n, queue).flatMap((sent) => follower.receive(sent));
      rejections += answers.filter(({ reject }) => reject).length;
      queue = answers.flatMap((answer) => leader.receive(answer));
    }
    assert.equal(follower.log, leader.log);
    assert.ok(rejections <= maxProbes, `${rejections} probes`);
  }
});

test('a follower that is behind the log gets a snapshot, once it is heard of and there is one', () => {
  const leader = leaderOfTwo();
  leader.propose('a');
  leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 2 }));
  const { confState } = leader.storage.initialState();
  leader.storage.createSnapshot(2, confState, Uint8Array.of());
  leader.storage.compact(2);
  leader.node.reportUnreachable(2n);
  const raft = leader.raft;
  const progress = raft.tracker.get(2n)!;
  progress.reset(0, 1);

  // Nothing was heard of it.
  assert.deepEqual(
    leader.propose('b').filter(({ to }) => to === 2n),
    [],
  );
  const [sent] = leader.receive(message(MessageType.MsgHeartbeatResp, 2n, 1));
  assert.deepEqual([sent?.type, sent?.snapshot?.metadata.index], [MessageType.MsgSnap, 2]);
  assert.equal(progress.state, ProgressState.Snapshot);
  // Until it is known what became of it, nothing else is sent.
  assert.deepEqual(
    leader.propose('c').filter(({ to }) => to === 2n),
    [],
  );
  leader.node.reportSnapshot(2n, 'finish');
  assert.equal(String(progress), 'StateProbe match=0 next=3 paused');
  const [append] = appendsTo(2n, leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 2 })));
  assert.equal(idsOf(append?.entries ?? []), '1/3 1/4');
});

test('an acknowledgement ends the wait for a snapshot, whichever snapshot it was', () => {
  const leader = leaderOfTwo();
  leader.propose('a', 'b', 'c');
  const progress = leader.raft.tracker.get(2n)!;
  progress.becomeSnapshot(4);
  leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 2 }));
  assert.equal(progress.state, ProgressState.Replicate);
});

function snapshotOf(index: number, term: number, fields: Partial<ConfState>): Snapshot {
  return new Snapshot({ metadata: new SnapshotMetadata({ index, term, confState: new ConfState(fields) }) });
}

test('a snapshot replaces log and configuration', () => {
  for (const fields of [
    { voters: [1n, 2n, 3n] },
    { voters: [2n, 3n], learners: [1n] },
    { voters: [2n], votersOutgoing: [1n, 2n] },
    { voters: [2n], votersOutgoing: [1n, 2n], learnersNext: [1n], autoLeave: true },
  ]) {
    const member = new TestMember(1n, { voters: [1n, 2n], logTerms: [1, 1], term: 1 });
    const [answer] = member.receive(
      message(MessageType.MsgSnap, 2n, 11, { snapshot: snapshotOf(11, 11, fields) }),
    );
    assert.deepEqual([answer?.type, answer?.index], [MessageType.MsgAppResp, 11]);
    assert.deepEqual([member.node.committed, member.node.applied, member.storage.firstIndex()], [11, 11, 12]);
    assert.deepEqual(member.storage.term(11), 11);
    const { confState } = member.storage.initialState();
    assert.deepEqual({ ...new ConfState(fields) }, { ...confState });
  }
});

test('a snapshot of what is in the log already tells only what is committed', () => {
  const member = new TestMember(1n, { voters: [1n, 2n], logTerms: [1, 1, 1], term: 1, commit: 1 });
  const snapshot = snapshotOf(2, 1, { voters: [1n, 2n] });
  const [answer] = member.receive(message(MessageType.MsgSnap, 2n, 1, { snapshot }));
  assert.deepEqual([answer?.index, member.node.committed, member.storage.firstIndex()], [2, 2, 1]);
  assert.equal(member.log, '1/1 1/2 1/3');
});

test('an old snapshot is answered with what is committed', () => {
  const member = new TestMember(1n, { voters: [1n, 2n], logTerms: [1, 1, 1], term: 1, commit: 3 });
  const snapshot = snapshotOf(2, 1, { voters: [1n, 2n] });
  const [answer] = member.receive(message(MessageType.MsgSnap, 2n, 1, { snapshot }));
  assert.deepEqual([answer?.index, member.node.committed], [3, 3]);
});

test('an append from before what is committed is answered with what is', () => {
  const member = new TestMember(1n, { voters: [1n, 2n], logTerms: [1, 1, 1], term: 1, commit: 3 });
  const [answer] = member.receive(
    message(MessageType.MsgApp, 2n, 1, { index: 1, logTerm: 1, entries: entriesOf(2, 1) }),
  );
  assert.deepEqual([answer?.index, answer?.reject], [3, false]);
});

test('a commit index goes no further than what the message shows to agree', () => {
  // The tail here is of another leader; the message says nothing of it.
  const member = new TestMember(1n, { voters: [1n, 2n], logTerms: [1, 1, 1], term: 2 });
  member.receive(message(MessageType.MsgApp, 2n, 2, { index: 1, logTerm: 1, commit: 3 }));
  assert.equal(member.node.committed, 1);
});

test('a follower that has lost what it acknowledged says so once, confirms nothing, and gets it again', () => {
  const lines: string[] = [];
  const logger = { ...SILENT_LOGGER, error: (line: string) => void lines.push(line) };
  const follower = new TestMember(2n, { voters: [1n, 2n], logTerms: [1] }, { logger });
  const leader = leaderOfTwo();
  for (let i = 0; i < 3; i++) leader.propose('x');
  leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 4 }));
  assert.equal(progressOf(leader), 'StateReplicate match=4 next=5');
  const exchange = (sent: readonly Message[]): Message[] =>
    sent.filter(({ to }) => to === 2n).flatMap((one) => follower.receive(one));
  leader.node.readIndex(Buffer.from('question'));
  const reports = exchange(leader.handle());
  for (let i = 0; i < 5; i++) exchange(leader.tick());
  assert.equal(lines.filter((line) => line.includes('tocommit(4) is out of range [lastIndex(1)]')).length, 1);
  let answers = reports;
  for (let i = 0; i < 6; i++) answers = exchange(answers.flatMap((answer) => leader.receive(answer)));
  assert.equal(leader.reads.length, 0, 'with its log it may have lost a vote for a later leader');
  assert.equal(follower.node.committed, 4);
  assert.equal(progressOf(leader), 'StateReplicate match=4 next=5');
  // A report that comes late does no harm but for some entries that are sent twice.
  for (let i = 0; i < 6; i++)
    answers = exchange([...reports, ...answers].flatMap((one) => leader.receive(one)));
  assert.equal(progressOf(leader), 'StateReplicate match=4 next=5');
});

test('who rejects an append is named in the log as everywhere, in hexadecimal', () => {
  const lines: string[] = [];
  const logger = { ...SILENT_LOGGER, debug: (line: string) => void lines.push(line) };
  const leader = new TestMember(1n, { voters: [1n, 0x2fn] }, { logger });
  leader.node.campaign();
  leader.handle();
  leader.receive(message(MessageType.MsgVoteResp, 0x2fn, 1));
  leader.receive(message(MessageType.MsgAppResp, 0x2fn, 1, { reject: true, index: 0, rejectHint: 0 }));
  assert.equal(lines.filter((line) => line.endsWith(' from 2f for index 0')).length, 1);
});

test('a report of the loss of more than is acknowledged changes nothing, one of what is begins anew', () => {
  const leader = leaderOfTwo();
  for (let i = 0; i < 3; i++) leader.propose('x');
  leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 3 }));
  const lossOf = (index: number): Message =>
    message(MessageType.MsgAppResp, 2n, 1, {
      reject: true,
      index,
      rejectHint: 1,
      context: Buffer.from('lost'),
    });
  const context = lossContext();
  const before = progressOf(leader);
  assert.equal(before, 'StateReplicate match=3 next=5 inflight=1');
  // It speaks of more than was ever acknowledged: it is of another time.
  assert.deepEqual(leader.receive(new Message({ ...lossOf(4), context })), []);
  assert.equal(progressOf(leader), before);
  const [again] = appendsTo(2n, leader.receive(new Message({ ...lossOf(3), context })));
  assert.equal(idsOf(again?.entries ?? []), '1/2 1/3 1/4');
  assert.equal(progressOf(leader), 'StateProbe match=0 next=2 paused');
});

/** What tells the report of a loss from other rejections, as a follower sends it. */
function lossContext(): Uint8Array {
  const follower = new TestMember(1n, { voters: [1n, 2n], logTerms: [1] });
  const [report] = follower.receive(message(MessageType.MsgHeartbeat, 2n, 1, { commit: 3 }));
  assert.equal(report?.reject, true);
  return report.context;
}

test('proposals are refused once so much is not committed, to the byte; what has no payload never is', () => {
  const refused = (...sizes: number[]): boolean[] => {
    const leader = leaderOfTwo({ maxUncommittedEntriesSizeBytes: 10 });
    return sizes.map((size) => leader.node.propose([new Uint8Array(size)]) !== null);
  };
  assert.deepEqual(refused(11), [false], 'the first may be of any size');
  assert.deepEqual(refused(11, 1, 0), [false, true, false]);
  assert.deepEqual(refused(5, 5, 1), [false, false, true]);
  assert.deepEqual(refused(5, 6, 5), [false, true, false]);
  assert.deepEqual(refused(1, 10, 9), [false, true, false]);
  assert.deepEqual(refused(0, 11, 1), [false, false, true]);
  const leader = leaderOfTwo({ maxUncommittedEntriesSizeBytes: 10 });
  leader.propose('12345', '12345');
  assert.notEqual(leader.node.propose([Buffer.from('1')]), null);
  leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 2 }));
  assert.equal(leader.node.propose([Buffer.from('12345')]), null, 'what is applied does not count');
  assert.notEqual(leader.node.propose([Buffer.from('1')]), null);
});

test('a leader follows itself from the start', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n], logTerms: [1, 1] });
  member.node.campaign();
  member.handle();
  member.node.step(message(MessageType.MsgVoteResp, 2n, 2));
  assert.equal(progressOf(member, 1n), 'StateReplicate match=2 next=3');
  assert.equal(progressOf(member, 2n), 'StateProbe match=0 next=3 paused inactive');
  member.handle();
  assert.equal(progressOf(member, 1n), 'StateReplicate match=3 next=4');
});

test('a voter that is removed may let entries be committed, of which everybody is told at once', () => {
  const state = { voters: [1n, 2n], learners: [3n] };
  const leader = new TestMember(1n, state);
  leader.node.campaign();
  leader.handle();
  leader.receive(message(MessageType.MsgVoteResp, 2n, 1));
  for (const from of [2n, 3n]) leader.receive(message(MessageType.MsgAppResp, from, 1, { index: 1 }));
  leader.node.proposeConfChange(new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 2n }));
  leader.handle();
  leader.propose('behind it');
  leader.receive(message(MessageType.MsgAppResp, 3n, 1, { index: 3 }));
  assert.equal(leader.node.committed, 1);
  const sent = leader.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 2 }));
  assert.equal(leader.node.committed, 3);
  assert.deepEqual(
    appendsTo(3n, sent).map(({ commit }) => commit),
    [2, 3],
  );
  assert.deepEqual(
    leader.applied.map(({ index }) => index),
    [1, 2, 3],
  );
});
