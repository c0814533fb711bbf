import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConfChange,
  ConfChangeSingle,
  ConfChangeType,
  ConfChangeV2,
  ConfState,
  Entry,
  EntryType,
} from '@etcd/api/raftpb';
import fc from 'fast-check';
import { type Config, checkConfig, describeConfig, EMPTY_CONFIG, MAX_MEMBERS } from '../tracker/config.ts';
import { ConfChangeError, changeSimple, enterJoint, leaveJoint } from './changer.ts';
import {
  applyConfChange,
  confChangeEntry,
  decodeConfChangeEntry,
  formatChanges,
  leavesJoint,
  parseChanges,
  toConfChangeV2,
} from './conf-change.ts';
import { confStateOf, equivalentConfStates, restoreConfig } from './restore.ts';

// Member 1 is always a voter and never touched, so that no change leaves the group without voters.
const change = fc
  .record({ type: fc.nat({ max: 3 }), nodeId: fc.bigInt({ min: 2n, max: 7n }) })
  .map((fields) => new ConfChangeSingle(fields));
const changes = fc.array(change, { maxLength: 8 });

function startWith(initial: readonly ConfChangeSingle[]): Config {
  let { config } = changeSimple(EMPTY_CONFIG, parseChanges('v1'));
  for (const single of initial) config = changeSimple(config, [single]).config;
  return config;
}

test('changes lead to the same configuration one by one as in a joint step', () => {
  fc.assert(
    fc.property(changes, changes, (initial, applied) => {
      const start = startWith(initial);
      let oneByOne = start;
      for (const single of applied) oneByOne = changeSimple(oneByOne, [single]).config;
      const joint = enterJoint(start, false, applied).config;
      assert.equal(describeConfig(leaveJoint(joint).config), describeConfig(oneByOne));
      // The old voters have a say until the joint configuration is left.
      assert.equal(String(joint.voters.outgoing), String(start.voters.incoming));
      const automatic = enterJoint(start, true, applied).config;
      assert.equal(describeConfig(leaveJoint(automatic).config), describeConfig(oneByOne));
    }),
    { numRuns: 1000 },
  );
});

test('every configuration that can be reached is stored and restored as it is', () => {
  fc.assert(
    fc.property(changes, changes, fc.boolean(), (initial, applied, isJoint) => {
      const start = startWith(initial);
      const config = isJoint ? enterJoint(start, true, applied).config : start;
      const state = confStateOf(config);
      assert.equal(describeConfig(restoreConfig(state)), describeConfig(config));
      // In whatever order the members are listed.
      state.voters.reverse();
      state.learners.reverse();
      state.votersOutgoing.reverse();
      assert.ok(equivalentConfStates(state, confStateOf(restoreConfig(state))));
    }),
    { numRuns: 1000 },
  );
});

test('S21 what is no configuration is refused, not restored to another', () => {
  const many = Array.from({ length: MAX_MEMBERS + 1 }, (_, i) => BigInt(i + 1));
  for (const [what, state] of [
    ['a voter twice', { voters: [1n, 1n] }],
    ['a member that is none', { voters: [0n, 1n] }],
    ['voter and learner', { voters: [1n, 2n], learners: [2n] }],
    ['learners without voters', { learners: [1n] }],
    ['a joint one without voters', { votersOutgoing: [1n] }],
    ['learner of tomorrow that is none of the old voters', { voters: [1n], learnersNext: [2n] }],
    ['to be left, but not joint', { voters: [1n], autoLeave: true }],
    ['too many', { voters: many }],
    ['far too many', { voters: new Array<bigint>(1_000_000).fill(7n) }],
  ] as const) {
    const confState = new ConfState(state as Partial<ConfState>);
    assert.throws(() => restoreConfig(confState), ConfChangeError, what);
  }
  assert.equal(restoreConfig(new ConfState()), EMPTY_CONFIG);
});

test('S21 an entry with too many changes is refused at once', () => {
  const start = startWith([]);
  const single = new ConfChangeSingle({ type: ConfChangeType.ConfChangeAddNode, nodeId: 2n });
  assert.throws(
    () => enterJoint(start, false, new Array<ConfChangeSingle>(1_000_000).fill(single)),
    /changes at once/,
  );
  const many = Array.from(
    { length: MAX_MEMBERS },
    (_, i) => new ConfChangeSingle({ type: ConfChangeType.ConfChangeAddNode, nodeId: BigInt(i + 2) }),
  );
  assert.throws(() => enterJoint(start, false, many), /more than 256 members/);
});

test('the rules of a configuration are checked, whoever made it', () => {
  const joint = enterJoint(startWith(parseChanges('v2 v3')), false, parseChanges('l2')).config;
  assert.equal(checkConfig(joint), null);
  const { learnersNext, voters } = joint;
  const [, , three] = voters.outgoing.ids;
  for (const [broken, complaint] of [
    [{ ...joint, learners: learnersNext }, '2 is in LearnersNext, but is already marked as learner'],
    [{ ...joint, learnersNext: learnersNext.with(9n) }, '9 is in LearnersNext, but not Voters[1]'],
    [{ ...joint, learners: learnersNext.without(2n).with(three!) }, '3 is in Learners and Voters[1]'],
    [{ ...EMPTY_CONFIG, autoLeave: true }, 'AutoLeave must be false when not joint'],
  ] as const) {
    assert.equal(checkConfig(broken), complaint);
  }
});

test('members that join begin anew, those that stay do not', () => {
  const start = startWith(parseChanges('v2 l3'));
  const { added } = enterJoint(start, false, parseChanges('v3 v4 l5 r2 u9'));
  assert.deepEqual([...added], [4n, 5n]);
});

test('a change is the same in the older and in the newer form', () => {
  const v1 = new ConfChange({
    type: ConfChangeType.ConfChangeAddLearnerNode,
    nodeId: 7n,
    context: Uint8Array.of(1),
  });
  const v2 = toConfChangeV2(v1);
  assert.equal(formatChanges(v2.changes), 'l7');
  assert.deepEqual(v2.context, v1.context);
  assert.equal(toConfChangeV2(v2), v2);
  const decoded = decodeConfChangeEntry(confChangeEntry(v1));
  assert.ok(decoded instanceof ConfChange);
  assert.equal(decoded.nodeId, 7n);
  const decodedV2 = decodeConfChangeEntry(confChangeEntry(v2));
  assert.ok(decodedV2 instanceof ConfChangeV2);
  assert.equal(formatChanges(decodedV2.changes), 'l7');
});

test('an entry without data leaves the joint configuration; an ordinary entry is no change', () => {
  const entry = confChangeEntry(null);
  assert.deepEqual([entry.type, entry.data.length], [EntryType.EntryConfChangeV2, 0]);
  const change = decodeConfChangeEntry(entry);
  assert.ok(change instanceof ConfChangeV2 && leavesJoint(change));
  assert.equal(decodeConfChangeEntry(new Entry()), null);
  assert.throws(() =>
    decodeConfChangeEntry(new Entry({ type: EntryType.EntryConfChange, data: Uint8Array.of(0xff) })),
  );
});

test('one change is simple, several are joint, and the transition may ask for more', () => {
  const start = startWith([]);
  for (const [text, transition, expected] of [
    ['v2', 0, 'voters=(1 2)'],
    ['v2 v3', 0, 'voters=(1 2 3)&&(1) autoleave'],
    ['v2', 1, 'voters=(1 2)&&(1) autoleave'],
    ['v2', 2, 'voters=(1 2)&&(1)'],
  ] as const) {
    const v2 = new ConfChangeV2({ transition, changes: parseChanges(text) });
    assert.equal(describeConfig(applyConfChange(start, v2).config), expected);
  }
  const unknown = new ConfChangeV2({ transition: 9, changes: parseChanges('v2') });
  assert.throws(() => applyConfChange(start, unknown), /unknown transition: 9/);
});
