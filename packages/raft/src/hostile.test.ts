// S21: a hostile or broken peer's messages, as they come out of the decoder.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConfChangeV2,
  ConfState,
  decodeMessage,
  Entry,
  EntryType,
  encodeMessage,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import fc from 'fast-check';
import { parseChanges } from './confchange/conf-change.ts';
import { LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, MAX_INDEX, MAX_TERM, StepError } from './index.ts';
import { RaftState } from './raft-state.ts';
import { entriesOf, TestMember, type TestOptions } from './rafttest/test-group.ts';

const { InvalidMessage, LocalMessage, PeerNotFound } = StepError;

function message(type: number, fields: Partial<Message> = {}): Message {
  return new Message({ type, from: 2n, to: 1n, term: 1, ...fields });
}

/** A follower of term 1 with three entries, two of them committed; it knows no leader yet. */
function follower(options: TestOptions = {}): TestMember {
  const state = { voters: [1n, 2n, 3n], logTerms: [1, 1, 1], term: 1, commit: 2 };
  const member = new TestMember(1n, state, options);
  member.handle();
  return member;
}

/** The same as leader of term 2, its empty entry not committed. */
function leader(options: TestOptions = {}): TestMember {
  const member = candidate(options);
  if (options.preVote === true) member.receive(message(MessageType.MsgPreVoteResp, { term: 2 }));
  member.receive(message(MessageType.MsgVoteResp, { term: 2 }));
  assert.equal(member.node.raftState, RaftState.Leader);
  return member;
}

function candidate(options: TestOptions = {}): TestMember {
  const member = follower(options);
  member.node.campaign();
  member.handle();
  return member;
}

/** A member that was never in a term, but has a log, as after a restore. */
function termless(options: TestOptions = {}): TestMember {
  return new TestMember(1n, { voters: [1n, 2n, 3n], logTerms: [1, 1], term: 0 }, options);
}

/** A member that knows nothing yet, not even its own group. */
function newcomer(options: TestOptions = {}): TestMember {
  return new TestMember(1n, { voters: [] }, options);
}

function learner(options: TestOptions = {}): TestMember {
  return new TestMember(1n, { voters: [2n, 3n], learners: [1n], logTerms: [1], term: 1 }, options);
}

/** The leader of a joint configuration, one half of which is all its own. */
function jointLeader(options: TestOptions = {}): TestMember {
  const member = leader(options);
  member.node.applyConfChange(new ConfChangeV2({ transition: 2, changes: parseChanges('r2 r3 l2') }));
  return member;
}

const stateOf = (member: TestMember): unknown[] => [
  member.log,
  member.node.term,
  member.node.committed,
  member.node.raftState,
  member.node.lead,
  member.applied.length,
];

function snapshotOf(
  index: number,
  term: number,
  confState: Partial<ConfState> = { voters: [1n, 2n, 3n] },
): Snapshot {
  return new Snapshot({
    metadata: new SnapshotMetadata({ index, term, confState: new ConfState(confState) }),
  });
}

test('S21 messages that no member sends are refused and change nothing', () => {
  const cases: readonly (readonly [string, StepError, Message])[] = [
    ['an unknown type', LocalMessage, message(99)],
    ['a negative type', LocalMessage, message(-1)],
    ['no sender', InvalidMessage, message(MessageType.MsgVote, { from: 0n })],
    ['itself as sender', LocalMessage, message(MessageType.MsgAppResp, { from: 1n, index: 3 })],
    ['a thread as sender', LocalMessage, message(MessageType.MsgApp, { from: LOCAL_APPEND_THREAD })],
    ['another thread as sender', LocalMessage, message(MessageType.MsgApp, { from: LOCAL_APPLY_THREAD })],
    ['another receiver', InvalidMessage, message(MessageType.MsgApp, { to: 3n })],
    ['a stranger’s response', PeerNotFound, message(MessageType.MsgAppResp, { from: 9n })],
    ['no term', InvalidMessage, message(MessageType.MsgApp, { term: 0 })],
    ['a heartbeat without term', InvalidMessage, message(MessageType.MsgHeartbeat, { term: 0 })],
    ['a vote without term', InvalidMessage, message(MessageType.MsgVoteResp, { term: 0 })],
    ['a transfer without term', InvalidMessage, message(MessageType.MsgTransferLeader, { term: 0 })],
    ['a proposal with a term', InvalidMessage, message(MessageType.MsgProp, { entries: entriesOf(0, 0) })],
    ['a term beyond the limit', InvalidMessage, message(MessageType.MsgApp, { term: MAX_TERM + 1 })],
    ['a term beyond what Numbers hold', InvalidMessage, message(MessageType.MsgVote, { term: 2 ** 64 })],
    ['a log term beyond the limit', InvalidMessage, message(MessageType.MsgVote, { logTerm: 2 ** 53 })],
    ['an index beyond the limit', InvalidMessage, message(MessageType.MsgApp, { index: MAX_INDEX + 1 })],
    [
      'a commit index beyond the limit',
      InvalidMessage,
      message(MessageType.MsgHeartbeat, { commit: 2 ** 60 }),
    ],
    ['a hint beyond the limit', InvalidMessage, message(MessageType.MsgAppResp, { rejectHint: 2 ** 60 })],
    ['a term that is no number', InvalidMessage, message(MessageType.MsgApp, { term: Number.NaN })],
    ['half an index', InvalidMessage, message(MessageType.MsgApp, { index: 1.5 })],
    [
      'entries with a gap',
      InvalidMessage,
      message(MessageType.MsgApp, { index: 3, logTerm: 1, entries: entriesOf(5, 1) }),
    ],
    [
      'entries twice',
      InvalidMessage,
      message(MessageType.MsgApp, {
        index: 3,
        logTerm: 1,
        entries: [...entriesOf(4, 1), ...entriesOf(4, 1)],
      }),
    ],
    [
      'terms that fall',
      InvalidMessage,
      message(MessageType.MsgApp, { term: 3, index: 3, logTerm: 1, entries: entriesOf(4, 2, 1) }),
    ],
    [
      'terms below the preceding',
      InvalidMessage,
      message(MessageType.MsgApp, { term: 3, index: 3, logTerm: 2, entries: entriesOf(4, 1) }),
    ],
    [
      'entries of the future',
      InvalidMessage,
      message(MessageType.MsgApp, { index: 3, logTerm: 1, entries: entriesOf(4, 2) }),
    ],
    [
      'entries beyond the limit',
      InvalidMessage,
      message(MessageType.MsgApp, { index: MAX_INDEX, logTerm: 1, entries: entriesOf(MAX_INDEX + 1, 1) }),
    ],
    ['no snapshot', InvalidMessage, message(MessageType.MsgSnap)],
    [
      'a snapshot of the future',
      InvalidMessage,
      message(MessageType.MsgSnap, { snapshot: snapshotOf(9, 2) }),
    ],
    [
      'a snapshot beyond the limit',
      InvalidMessage,
      message(MessageType.MsgSnap, { snapshot: snapshotOf(2 ** 53, 1) }),
    ],
    ['an empty proposal', InvalidMessage, message(MessageType.MsgProp, { term: 0 })],
    ['a read without context', InvalidMessage, message(MessageType.MsgReadIndex, { term: 0 })],
    [
      'a read with two',
      InvalidMessage,
      message(MessageType.MsgReadIndex, { term: 0, entries: entriesOf(0, 0, 0) }),
    ],
    [
      'a read with a long context',
      InvalidMessage,
      message(MessageType.MsgReadIndex, { term: 0, entries: [new Entry({ data: new Uint8Array(1025) })] }),
    ],
  ];
  for (const make of [follower, candidate, leader]) {
    for (const [what, error, bad] of cases) {
      const member = make();
      const before = stateOf(member);
      assert.equal(member.node.step(bad), error, what);
      assert.deepEqual(member.handle(), [], what);
      assert.deepEqual(stateOf(member), before, what);
    }
  }
});

test('S21 what only a member itself may say is refused from the network', () => {
  const peerTypes = new Set<number>([2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 18]);
  for (const type of Object.values(MessageType)) {
    if (!peerTypes.has(type)) assert.equal(leader().node.step(message(type)), LocalMessage, String(type));
  }
});

test('S21 entries that contradict committed ones are not looked at', () => {
  const member = follower();
  const { log } = member;
  // By itself the message is well-formed; it comes from a leader whose log is not a log of this group.
  for (const [index, terms] of [
    [0, [2, 2, 2]],
    [1, [3, 3]],
  ] as const) {
    const entries = entriesOf(index + 1, ...terms);
    const bad = message(MessageType.MsgApp, { term: 3, index, logTerm: index, entries, commit: 3 });
    assert.deepEqual(
      member.receive(bad).map(({ index, reject }) => [index, reject]),
      [[2, false]],
    );
    assert.deepEqual([member.log, member.node.committed], [log, 2]);
  }
});

test('S21 a second leader in a term is refused', () => {
  const member = follower();
  member.receive(message(MessageType.MsgHeartbeat));
  assert.equal(member.node.lead, 2n);
  const before = stateOf(member);
  for (const bad of [
    message(MessageType.MsgApp, { from: 3n, index: 3, logTerm: 1, entries: entriesOf(4, 1), commit: 4 }),
    message(MessageType.MsgHeartbeat, { from: 3n, commit: 3 }),
    message(MessageType.MsgSnap, { from: 3n, snapshot: snapshotOf(9, 1) }),
  ]) {
    assert.deepEqual(member.receive(bad), []);
    assert.deepEqual(stateOf(member), before);
  }
});

test('S21 a leader takes no orders from another in its term', () => {
  const member = leader();
  const before = stateOf(member);
  for (const type of [
    MessageType.MsgApp,
    MessageType.MsgHeartbeat,
    MessageType.MsgSnap,
    MessageType.MsgTimeoutNow,
  ]) {
    member.receive(message(type, { term: 2, commit: 4, snapshot: snapshotOf(9, 1) }));
    assert.deepEqual(stateOf(member), before);
  }
});

test('S21 acknowledgements of entries that there are not count nothing', () => {
  const member = leader();
  for (const from of [2n, 3n])
    member.receive(message(MessageType.MsgAppResp, { from, term: 2, index: MAX_INDEX }));
  assert.equal(member.node.committed, 2);
  assert.equal(member.node.status().progress.get(2n)?.match, 0);
  member.receive(message(MessageType.MsgAppResp, { term: 2, index: 4 }));
  assert.equal(member.node.committed, 4);
});

test('S21 rejections with absurd positions leave the progress sane', () => {
  const member = leader();
  for (const index of [0, 1, 3, 4, 5, MAX_INDEX]) {
    for (const rejectHint of [0, 3, MAX_INDEX]) {
      for (const logTerm of [0, 1, 2, MAX_TERM]) {
        member.receive(
          message(MessageType.MsgAppResp, { term: 2, reject: true, index, rejectHint, logTerm }),
        );
        const { match, next } = member.node.status().progress.get(2n)!;
        assert.ok(match < next && next <= 5, `${match} ${next}`);
      }
    }
  }
});

test('S21 snapshots that can’t be are ignored, and answered with what is committed', () => {
  for (const [what, snapshot] of [
    ['no index', snapshotOf(0, 0)],
    ['older than what is committed', snapshotOf(2, 1)],
    ['a term below that of committed entries', snapshotOf(9, 0)],
    ['without this member', snapshotOf(9, 1, { voters: [2n, 3n] })],
    ['no voters', snapshotOf(9, 1, { learners: [1n] })],
    ['a voter twice', snapshotOf(9, 1, { voters: [1n, 1n] })],
    ['a voter that is none', snapshotOf(9, 1, { voters: [0n, 1n] })],
    ['contradictory', snapshotOf(9, 1, { voters: [1n], learnersNext: [1n] })],
    ['to be left though not joint', snapshotOf(9, 1, { voters: [1n], autoLeave: true })],
    ['a million voters', snapshotOf(9, 1, { voters: [1n, ...new Array<bigint>(1_000_000).fill(7n)] })],
  ] as const) {
    const member = follower();
    const before = [member.log, member.node.committed, member.node.status().config];
    const [answer] = member.receive(message(MessageType.MsgSnap, { snapshot }));
    assert.deepEqual([answer?.type, answer?.index], [MessageType.MsgAppResp, 2], what);
    assert.deepEqual([member.log, member.node.committed, member.node.status().config], before, what);
  }
});

test('S21 a member whose log is behind what it acknowledged neither votes nor campaigns until it has caught up', () => {
  const member = follower();
  // Only its own storage can have lost this, or the leader is broken. The public library's member would die.
  const [report, ...others] = member.receive(message(MessageType.MsgHeartbeat, { commit: 7 }));
  assert.deepEqual([report?.type, report?.reject, report?.rejectHint], [MessageType.MsgAppResp, true, 3]);
  assert.deepEqual(others, []);
  assert.equal(member.node.committed, 2);
  member.tick(30);
  member.node.campaign();
  assert.equal(member.node.raftState, RaftState.Follower);
  const request = message(MessageType.MsgVote, { from: 3n, term: 2, index: 9, logTerm: 1 });
  assert.deepEqual(
    member.receive(request).map(({ reject }) => reject),
    [true],
  );
  // The leader of the next term brings it up to date.
  member.receive(
    message(MessageType.MsgApp, {
      term: 3,
      index: 3,
      logTerm: 1,
      entries: entriesOf(4, 1, 1, 1, 1),
      commit: 7,
    }),
  );
  assert.equal(member.node.committed, 7);
  const next = message(MessageType.MsgVote, { from: 3n, term: 4, index: 9, logTerm: 3 });
  assert.deepEqual(
    member.receive(next).map(({ reject }) => reject),
    [false],
  );
});

test('S21 a pre-vote that is refused before the first term is not answered', () => {
  const member = termless();
  assert.deepEqual(member.receive(message(MessageType.MsgPreVote)), []);
  const better = message(MessageType.MsgPreVote, { logTerm: 1, index: 2 });
  assert.deepEqual(
    member.receive(better).map(({ term, reject }) => [term, reject]),
    [[1, false]],
  );
});

test('S21 proposals of a peer that can’t be applied, or not even read, are refused', () => {
  for (const [what, entry] of [
    ['not decodable', new Entry({ type: EntryType.EntryConfChange, data: Uint8Array.of(0xff) })],
    [
      'not decodable in the newer form',
      new Entry({ type: EntryType.EntryConfChangeV2, data: Uint8Array.of(0x12, 0x7f) }),
    ],
    ['of an unknown type', new Entry({ type: 7 })],
  ] as const) {
    const member = leader();
    const before = member.log;
    assert.equal(
      member.node.step(message(MessageType.MsgProp, { term: 0, entries: [entry] })),
      StepError.ProposalDropped,
      what,
    );
    assert.equal(member.log, before);
  }
});

test('S21 what a peer says about the place of a proposed entry does not count', () => {
  const member = leader();
  const entries = [new Entry({ term: 2 ** 60, index: -7, data: Buffer.from('x') })];
  member.receive(message(MessageType.MsgProp, { term: 0, entries }));
  assert.equal(member.log, '1/1 1/2 1/3 2/4 2/5');
});

test('S21 at the highest term nobody campaigns, and nothing breaks', () => {
  const member = follower();
  member.receive(message(MessageType.MsgVote, { term: MAX_TERM, index: 9, logTerm: 1 }));
  assert.equal(member.node.term, MAX_TERM);
  member.tick(100);
  member.node.campaign();
  assert.deepEqual([member.node.term, member.node.raftState], [MAX_TERM, RaftState.Follower]);
  // A message of the same term still counts.
  member.receive(message(MessageType.MsgHeartbeat, { term: MAX_TERM, commit: 3 }));
  assert.equal(member.node.committed, 3);
});

test('S21 at the highest index nobody campaigns, and nothing breaks', () => {
  const member = follower();
  member.receive(message(MessageType.MsgSnap, { snapshot: snapshotOf(MAX_INDEX, 1) }));
  assert.equal(member.node.committed, MAX_INDEX);
  member.tick(100);
  assert.equal(member.node.raftState, RaftState.Follower);
  assert.deepEqual(
    member.receive(message(MessageType.MsgApp, { index: MAX_INDEX, logTerm: 1 })).map(({ index }) => index),
    [MAX_INDEX],
  );
});

test('S21 a search for the end of agreement does not take longer for a long log', () => {
  const member = new TestMember(1n, {
    voters: [1n, 2n],
    logTerms: new Array<number>(50_000).fill(5),
    term: 5,
  });
  const start = process.cpuUsage();
  for (let i = 0; i < 2000; i++) {
    member.node.step(message(MessageType.MsgApp, { term: 5, index: 49_999, logTerm: 1 }));
  }
  assert.ok(process.cpuUsage(start).user < 1_000_000, 'two thousand searches took over a second');
});

// Everything else, at random: fields from a small range so that messages make sense now and then.
const small = fc.nat({ max: 6 });
const number = fc.oneof({ weight: 20, arbitrary: small }, fc.constantFrom(MAX_TERM, 2 ** 53, 2 ** 63));
const id = fc.bigInt({ min: 0n, max: 4n });
const entry = fc
  .record({ term: small, index: small, data: fc.uint8Array({ maxLength: 4 }) })
  .map((fields) => new Entry(fields));
const ids = fc.array(id, { maxLength: 4 });
const snapshot = fc
  .record({
    index: number,
    term: small,
    voters: ids,
    learners: ids,
    votersOutgoing: ids,
    learnersNext: ids,
    autoLeave: fc.boolean(),
  })
  .map(({ index, term, ...confState }) => snapshotOf(index, term, confState));
const anyMessage = fc
  .record({
    type: fc.oneof({ weight: 20, arbitrary: fc.nat({ max: 25 }) }, fc.integer({ min: -1000, max: 1000 })),
    from: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(2n, 3n) }, id),
    to: fc.oneof({ weight: 20, arbitrary: fc.constant(1n) }, id),
    term: number,
    logTerm: number,
    index: number,
    commit: number,
    rejectHint: number,
    reject: fc.boolean(),
    entries: fc.oneof(
      fc.array(entry, { maxLength: 3 }),
      fc
        .tuple(small, fc.array(small, { maxLength: 3 }))
        .map(([first, terms]) => entriesOf(first, ...terms.sort())),
    ),
    context: fc.oneof(fc.uint8Array({ maxLength: 9 }), fc.constant(Buffer.from('CampaignTransfer'))),
    snapshot: fc.option(snapshot),
  })
  .map((fields) => new Message(fields));

test('S21 no sequence of messages makes a member fail, or take back or change what is committed', () => {
  const inputs = fc.array(
    fc.oneof({ weight: 10, arbitrary: anyMessage }, fc.constant('tick'), fc.constant('propose')),
    { maxLength: 60, size: 'max' },
  );
  fc.assert(
    fc.property(
      fc.constantFrom(follower, candidate, leader, termless, newcomer, learner, jointLeader),
      fc.boolean(),
      inputs,
      (make, isCareful, sequence) => {
        const member = make({ preVote: isCareful, checkQuorum: isCareful });
        const committed: string[] = [];
        for (const input of sequence) {
          if (input === 'tick') member.tick(7);
          else if (input === 'propose') member.propose('x');
          else member.receive(decodeMessage(encodeMessage(input)));
          const { log } = member.raft;
          assert.ok(log.committed >= log.applied && log.committed <= log.lastIndex());
          for (let index = Math.max(1, log.firstIndex()); index <= Math.min(log.committed, 20); index++) {
            const known = `${log.term(index)}`;
            assert.equal(committed[index] ?? known, known);
            committed[index] = known;
          }
        }
      },
    ),
    { numRuns: Number(process.env['RAFT_FUZZ_RUNS'] ?? 1000) },
  );
});

test('S21 a member whose application has more than its log campaigns not, and votes only for who has that', () => {
  const state = { voters: [1n, 2n, 3n], logTerms: [1, 1, 1], commit: 2 };
  for (const [mustHave, answers] of [
    [{ index: 7, term: 2 }, [true, true, false, false]],
    [{ index: 7, term: 0 }, [true, true, true, true]],
    [{ index: 3, term: 1 }, [false, false, false, false]],
  ] as const) {
    const given = [
      { index: 9, logTerm: 1 },
      { index: 6, logTerm: 2 },
      { index: 7, logTerm: 2 },
      { index: 4, logTerm: 3 },
    ].map((end) => {
      const member = new TestMember(1n, state, { mustHave });
      return member.receive(message(MessageType.MsgVote, { term: 4, ...end }))[0]!.reject;
    });
    assert.deepEqual(given, answers, JSON.stringify(mustHave));
  }
  const member = new TestMember(1n, state, { mustHave: { index: 7, term: 2 } });
  member.tick(30);
  assert.equal(member.node.raftState, RaftState.Follower);
  member.receive(
    message(MessageType.MsgApp, { term: 3, index: 3, logTerm: 1, entries: entriesOf(4, 2, 2, 2, 2) }),
  );
  member.tick(30);
  assert.equal(member.node.raftState, RaftState.Candidate);
});
