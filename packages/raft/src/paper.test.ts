// The rules of "In Search of an Understandable Consensus Algorithm" (extended version), section by section.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, Message, MessageType } from '@etcd/api/raftpb';
import { SeededRandom } from '@etcd/base';
import { RaftState } from './raft-state.ts';
import { entriesOf, idsOf, TestGroup, TestMember, type TestState } from './rafttest/test-group.ts';

const THREE: TestState = { voters: [1n, 2n, 3n] };

function memberOf(state: Partial<TestState> = {}, id = 1n): TestMember {
  return new TestMember(id, { ...THREE, ...state });
}

/** A message of a later or equal term from member `from` to member 1. */
function message(type: number, from: bigint, term: number, fields: Partial<Message> = {}): Message {
  return new Message({ type, from, to: 1n, term, ...fields });
}

const only = (messages: readonly Message[], type: number): Message[] =>
  messages.filter((sent) => sent.type === type);

/** Member 1 as leader of term 1 with its empty entry committed. */
function leaderOfThree(): TestMember {
  const member = memberOf();
  member.node.campaign();
  member.handle();
  member.receive(message(MessageType.MsgVoteResp, 2n, 1));
  member.receive(message(MessageType.MsgAppResp, 2n, 1, { index: 1 }));
  member.receive(message(MessageType.MsgAppResp, 3n, 1, { index: 1 }));
  assert.equal(member.node.raftState, RaftState.Leader);
  assert.equal(member.node.committed, 1);
  return member;
}

const ROLES: readonly (readonly [string, () => TestMember])[] = [
  ['follower', () => memberOf({ term: 1 })],
  [
    'candidate',
    () => {
      const member = memberOf();
      member.node.campaign();
      member.handle();
      return member;
    },
  ],
  ['leader', leaderOfThree],
];

for (const [role, make] of ROLES) {
  test(`5.1 a ${role} that sees a later term takes it over and follows`, () => {
    const member = make();
    member.receive(message(MessageType.MsgApp, 2n, 7));
    assert.deepEqual(
      [member.node.term, member.node.raftState, member.node.lead],
      [7, RaftState.Follower, 2n],
    );
  });

  test(`5.1 a ${role} takes nothing from a former term`, () => {
    const member = make();
    member.receive(message(MessageType.MsgApp, 2n, 7));
    const before = [member.log, member.node.committed, member.node.term];
    const entries = entriesOf(1, 5, 5);
    for (const type of [MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgVote]) {
      const sent = member.receive(message(type, 3n, 5, { entries, commit: 1 }));
      assert.deepEqual(sent, []);
    }
    assert.deepEqual([member.log, member.node.committed, member.node.term], before);
  });
}

test('5.2 members begin as followers', () => {
  assert.equal(memberOf().node.raftState, RaftState.Follower);
});

test('5.2 a leader sends heartbeats to everybody, at every heartbeat timeout', () => {
  const member = leaderOfThree();
  for (let i = 0; i < 3; i++) {
    const beats = only(member.tick(), MessageType.MsgHeartbeat);
    assert.deepEqual(
      beats.map(({ to, term, index, logTerm, entries }) => [to, term, index, logTerm, entries.length]),
      [
        [2n, 1, 0, 0, 0],
        [3n, 1, 0, 0, 0],
      ],
    );
  }
});

test('5.2 a follower that hears of nobody raises its term, votes for itself and asks the others', () => {
  const member = memberOf({ term: 1 });
  const requests = member.tick(10);
  assert.deepEqual([member.node.term, member.node.raftState], [2, RaftState.Candidate]);
  assert.equal(member.storage.initialState().hardState?.vote, 1n);
  assert.deepEqual(
    requests.map(({ type, to, term }) => [type, to, term]),
    [
      [MessageType.MsgVote, 2n, 2],
      [MessageType.MsgVote, 3n, 2],
    ],
  );
});

test('5.2 a candidate that gets no majority tries again in a later term', () => {
  const member = memberOf();
  member.tick(10);
  assert.equal(member.node.term, 1);
  const requests = member.tick(10);
  assert.deepEqual([member.node.term, member.node.raftState], [2, RaftState.Candidate]);
  assert.deepEqual(
    requests.map(({ term }) => term),
    [2, 2],
  );
});

test('5.2 word from a leader keeps a follower from campaigning', () => {
  const member = memberOf({ term: 1 });
  for (let i = 0; i < 5; i++) {
    member.tick(9);
    member.receive(message(MessageType.MsgHeartbeat, 2n, 1));
  }
  assert.equal(member.node.raftState, RaftState.Follower);
});

test('5.2 a candidate wins with a majority, loses against one, and waits in between', () => {
  for (const [size, votes, expected] of [
    [1, {}, RaftState.Leader],
    [3, { 2: true, 3: true }, RaftState.Leader],
    [3, { 2: true }, RaftState.Leader],
    [5, { 2: true, 3: true, 4: true, 5: true }, RaftState.Leader],
    [5, { 2: true, 3: true }, RaftState.Leader],
    [3, { 2: false, 3: false }, RaftState.Follower],
    [5, { 2: false, 3: false, 4: false, 5: false }, RaftState.Follower],
    [5, { 2: true, 3: false, 4: false, 5: false }, RaftState.Follower],
    [3, {}, RaftState.Candidate],
    [5, { 2: true }, RaftState.Candidate],
    [5, { 2: false, 3: false }, RaftState.Candidate],
  ] as const) {
    const voters = Array.from({ length: size }, (_, i) => BigInt(i + 1));
    const member = new TestMember(1n, { voters });
    member.node.campaign();
    member.handle();
    for (const [id, granted] of Object.entries(votes)) {
      member.receive(message(MessageType.MsgVoteResp, BigInt(id), 1, { reject: !granted }));
    }
    assert.equal(member.node.raftState, expected, `${size} ${JSON.stringify(votes)}`);
    assert.equal(member.node.term, 1);
  }
});

test('5.2 a vote that is repeated counts once', () => {
  const member = new TestMember(1n, { voters: [1n, 2n, 3n, 4n, 5n] });
  member.node.campaign();
  member.handle();
  for (let i = 0; i < 5; i++) member.receive(message(MessageType.MsgVoteResp, 2n, 1));
  assert.equal(member.node.raftState, RaftState.Candidate);
});

test('5.2 a member votes for one candidate in a term, the first that asks', () => {
  for (const [vote, candidate, granted] of [
    [0n, 2n, true],
    [0n, 3n, true],
    [2n, 2n, true],
    [3n, 3n, true],
    [2n, 3n, false],
    [3n, 2n, false],
  ] as const) {
    const member = memberOf({ term: 1, vote });
    const [answer] = member.receive(message(MessageType.MsgVote, candidate, 1));
    assert.deepEqual([answer?.type, answer?.reject], [MessageType.MsgVoteResp, !granted]);
    assert.equal(member.storage.initialState().hardState?.vote, granted ? candidate : vote);
  }
});

test('5.2 a candidate that hears from the leader of its term, or a later one, follows it', () => {
  for (const term of [1, 2]) {
    const member = memberOf();
    member.node.campaign();
    member.handle();
    member.receive(message(MessageType.MsgApp, 2n, term));
    assert.deepEqual(
      [member.node.raftState, member.node.term, member.node.lead],
      [RaftState.Follower, term, 2n],
    );
  }
});

test('5.2 election timeouts are spread over [timeout, 2 × timeout)', () => {
  for (const isCandidate of [false, true]) {
    const seen = new Set<number>();
    for (let seed = 1; seed <= 500; seed++) {
      const member = new TestMember(1n, THREE, { random: new SeededRandom(seed) });
      if (isCandidate) member.node.campaign();
      member.handle();
      const { term } = member.node;
      let ticks = 0;
      for (; member.node.term === term; ticks++) member.tick();
      seen.add(ticks);
    }
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      Array.from({ length: 10 }, (_, i) => 10 + i),
    );
  }
});

test('5.2 members seldom time out together', () => {
  let conflicts = 0;
  for (let round = 0; round < 500; round++) {
    const members = [1, 2, 3, 4, 5].map(
      (i) =>
        new TestMember(
          BigInt(i),
          { voters: [1n, 2n, 3n, 4n, 5n] },
          { random: new SeededRandom(round * 5 + i) },
        ),
    );
    let timedOut = 0;
    while (timedOut === 0) timedOut = members.filter((member) => member.tick().length > 0).length;
    if (timedOut > 1) conflicts++;
  }
  assert.ok(conflicts < 0.5 * 500, `${conflicts} of 500`);
});

test('5.3 a leader appends what is proposed and sends it with the entry that precedes it', () => {
  const member = leaderOfThree();
  const sent = member.propose('some data');
  assert.deepEqual(
    sent.map(({ type, to, term, index, logTerm, commit, entries }) => [
      type,
      to,
      term,
      index,
      logTerm,
      commit,
      idsOf(entries),
    ]),
    [
      [MessageType.MsgApp, 2n, 1, 1, 1, 1, '1/2'],
      [MessageType.MsgApp, 3n, 1, 1, 1, 1, '1/2'],
    ],
  );
  assert.equal(member.log, '1/1 1/2');
  assert.equal(member.storage.lastIndex(), 2);
});

test('5.3 an entry is committed once it is on a majority; the leader tells the index with what it sends next', () => {
  for (const [size, acceptors, isCommitted] of [
    [1, [], true],
    [3, [], false],
    [3, [2], true],
    [3, [2, 3], true],
    [5, [], false],
    [5, [2], false],
    [5, [2, 3], true],
    [5, [2, 3, 4, 5], true],
  ] as const) {
    const group = new TestGroup(size);
    group.campaign(1);
    group.isolate(
      ...Array.from({ length: size }, (_, i) => i + 1).filter(
        (id) => !acceptors.some((a) => a === id) && id !== 1,
      ),
    );
    group.deliver(group.get(1).propose('data'));
    assert.equal(group.get(1).node.committed, isCommitted ? 2 : 1);
    assert.equal(group.get(1).applied.at(-1)?.index, isCommitted ? 2 : 1);
    for (const id of acceptors) assert.equal(group.get(id).node.committed, isCommitted ? 2 : 1);
  }
});

test('5.3 committing an entry commits what precedes it, of former leaders too', () => {
  for (const logTerms of [[], [2], [1, 2], [1]]) {
    const group = new TestGroup(3, {}, () => ({ logTerms, term: 2 }));
    group.campaign(1);
    group.deliver(group.get(1).propose('data'));
    for (const member of group.members.values()) {
      assert.equal(
        idsOf(member.applied),
        idsOf([...entriesOf(1, ...logTerms), ...entriesOf(logTerms.length + 1, 3, 3)]),
      );
    }
  }
});

test('5.3 a follower applies in order what it learns to be committed', () => {
  for (const commit of [1, 2, 3]) {
    const member = memberOf({ term: 1 });
    const entries = entriesOf(1, 1, 1, 1);
    member.receive(message(MessageType.MsgApp, 2n, 1, { entries, commit }));
    assert.equal(idsOf(member.applied), idsOf(entriesOf(1, ...new Array<number>(commit).fill(1))));
  }
});

test('5.3 a follower takes entries only behind the entry that precedes them', () => {
  for (const [term, index, isAccepted, hint] of [
    [0, 0, true, 0],
    [1, 1, true, 0],
    [2, 2, true, 0],
    // Another entry there, or none.
    [1, 2, false, 1],
    [3, 3, false, 2],
  ] as const) {
    const member = memberOf({ logTerms: [1, 2], term: 3, commit: 0 });
    const [answer] = member.receive(message(MessageType.MsgApp, 2n, 3, { logTerm: term, index }));
    assert.deepEqual([answer?.reject, answer?.index], [!isAccepted, index]);
    if (!isAccepted) assert.equal(answer?.rejectHint, hint);
  }
});

test('5.3 a conflicting entry goes with all that follow it; what agrees stays', () => {
  for (const [term, index, terms, expected] of [
    [2, 2, [3], '1/1 2/2 3/3'],
    [1, 1, [3, 4], '1/1 3/2 4/3'],
    [0, 0, [1], '1/1 2/2'],
    [0, 0, [3], '3/1'],
  ] as const) {
    const member = memberOf({ logTerms: [1, 2], term: 4 });
    const entries = entriesOf(index + 1, ...terms);
    member.receive(message(MessageType.MsgApp, 2n, 4, { logTerm: term, index, entries }));
    assert.equal(member.log, expected);
    assert.equal(idsOf(member.storage.entries(1, member.storage.lastIndex() + 1, Infinity)!), expected);
  }
});

test('5.3 figure 7: a leader brings every log into agreement with its own', () => {
  const leaderTerms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  for (const terms of [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ]) {
    const group = new TestGroup(3, {}, (id) => ({
      logTerms: id === 1n ? leaderTerms : id === 2n ? terms : [],
      term: 7,
      commit: 0,
    }));
    // The third member is there for its vote.
    group.isolate(2);
    group.campaign(1);
    group.heal();
    group.deliver(group.get(1).tick());
    assert.equal(group.get(2).log, group.get(1).log);
    assert.equal(group.get(2).node.committed, 11);
  }
});

test('5.4.1 a request for a vote tells the last entry of the log, and goes to everybody', () => {
  for (const logTerms of [[1], [1, 2]]) {
    const member = memberOf({ logTerms });
    const requests = member.tick(10);
    assert.deepEqual(
      requests.map(({ type, to, term, index, logTerm }) => [type, to, term, index, logTerm]),
      [2n, 3n].map((to) => [MessageType.MsgVote, to, logTerms.at(-1)! + 1, logTerms.length, logTerms.at(-1)]),
    );
  }
});

test('5.4.1 a member does not vote for a candidate whose log is less up to date than its own', () => {
  for (const [logTerms, logTerm, index, granted] of [
    [[1], 1, 1, true],
    [[1], 1, 2, true],
    [[1, 1], 1, 1, false],
    [[1], 2, 1, true],
    [[1], 2, 2, true],
    [[1, 1], 2, 1, true],
    [[2], 1, 1, false],
    [[2], 1, 2, false],
    [[1, 2], 1, 1, false],
  ] as const) {
    const member = memberOf({ logTerms });
    const [answer] = member.receive(message(MessageType.MsgVote, 2n, 3, { logTerm, index }));
    assert.deepEqual([answer?.type, answer?.reject], [MessageType.MsgVoteResp, !granted]);
  }
});

test('5.4.2 only entries of the leader’s term are committed by counting', () => {
  for (const [index, committed] of [
    [1, 0],
    [2, 0],
    [3, 3],
  ] as const) {
    const member = memberOf({ logTerms: [1, 2], term: 2 });
    member.node.campaign();
    member.handle();
    member.receive(message(MessageType.MsgVoteResp, 2n, 3));
    member.receive(message(MessageType.MsgAppResp, 2n, 3, { index }));
    assert.equal(member.node.committed, committed);
  }
});

test('5.4.2 figure 8: an entry on a majority may still be replaced, but not one of the leader’s term', () => {
  const group = new TestGroup(5, { maxSizePerMsgBytes: 0, maxInflightMsgs: 1 }, () => ({
    logTerms: [1],
    term: 1,
  }));
  // (a) 1 leads term 2 and gets its entry to 2 alone.
  group.lost = ({ type, to, entries }) => type === MessageType.MsgApp && entries.length > 0 && to !== 2n;
  group.campaign(1);
  group.heal();
  assert.deepEqual([group.get(1).log, group.get(2).log, group.get(3).log], ['1/1 2/2', '1/1 2/2', '1/1']);
  // (b) 5 leads term 3 with the votes of 3 and 4, and gets its entry to nobody.
  group.isolate(1, 2);
  group.lost = ({ type }) => type === MessageType.MsgApp;
  group.campaign(5);
  group.heal();
  assert.equal(group.get(5).log, '1/1 3/2');
  group.lost = ({ type }) => type !== MessageType.MsgHeartbeat;
  group.deliver(group.get(5).tick());
  // (c) 1 leads term 4. Entry 2/2 gets to 3 and 4, and so to a majority; the entry of term 4 to nobody.
  group.isolate(5);
  group.lost = ({ type, to, index, entries }) =>
    type === MessageType.MsgApp &&
    entries.some(({ term }) => term === 4) &&
    group.members.get(to)!.raft.log.lastIndex() >= index;
  group.campaign(1);
  assert.equal(group.leader, group.get(1));
  assert.deepEqual(
    [3, 4].map((id) => group.get(id).log),
    ['1/1 2/2', '1/1 2/2'],
  );
  const { progress } = group.get(1).node.status();
  assert.deepEqual(
    [1n, 3n, 4n].map((id) => progress.get(id)!.match >= 2),
    [true, true, true],
  );
  assert.ok(group.get(1).node.committed < 2);
  // (d) 5 leads term 5 with the votes of the others, and replaces it.
  group.heal();
  group.lost = ({ type }) => type !== MessageType.MsgHeartbeat;
  group.deliver(group.get(1).tick());
  group.heal();
  group.isolate(1);
  group.campaign(5);
  assert.deepEqual(
    [2, 3, 4, 5].map((id) => group.get(id).log),
    new Array(4).fill('1/1 3/2 5/3'),
  );
  assert.equal(group.get(5).node.committed, 3);
  // 1 had committed nothing that it has to take back.
  group.heal();
  group.deliver(group.get(5).tick());
  assert.equal(group.get(1).log, '1/1 3/2 5/3');
});

test('5.4.3 a new leader has every entry that was committed', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  group.isolate(3);
  group.deliver(group.get(1).propose('committed'));
  group.heal();
  // 3 lacks the entry: nobody who has it votes for 3.
  group.campaign(3);
  assert.notEqual(group.leader, group.get(3));
  group.campaign(2);
  assert.equal(group.leader, group.get(2));
  assert.ok(group.get(2).log.startsWith('1/1 1/2'));
});

test('8 a new leader commits an empty entry before anything else', () => {
  const group = new TestGroup(3);
  group.campaign(1);
  const [first] = group.get(2).applied;
  assert.deepEqual([first?.index, first?.term, first?.data.length], [1, 1, 0]);
  assert.ok(first instanceof Entry);
});
