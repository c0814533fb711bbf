import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry, EntryType, HardState } from '@etcd/api/raftpb';
import { confChangeEntry, decodeConfChangeEntry, toConfChangeV2 } from '@etcd/raft';
import {
  addMemberChange,
  type Member,
  newMember,
  parseMember,
  promoteMemberChange,
  removeMemberChange,
} from '@etcd/storage/membership';
import { type LogOfLostCluster, logOfNewCluster } from './force-new-cluster.ts';

const SELF = 1n;
const PEER_URLS = ['http://127.0.0.1:2380'];

const member = (id: bigint, isLearner = false): Member =>
  newMember(id, { peerUrls: [`http://${id}`], isLearner });

function entry(index: number, given: Entry = new Entry({ type: EntryType.EntryNormal })): Entry {
  given.index = index;
  given.term = 3;
  return given;
}

function lost(overrides: Partial<LogOfLostCluster>): LogOfLostCluster {
  return {
    hardState: new HardState({ term: 3, vote: 2n, commit: 12 }),
    entries: [entry(11), entry(12), entry(13)],
    snapshotIndex: 10,
    consistentIndex: 11,
    members: [member(SELF), member(2n), member(3n)],
    memberId: SELF,
    peerUrls: PEER_URLS,
    ...overrides,
  };
}

/** As `remove 2`. */
function describe(added: readonly Entry[]): string[] {
  return added.map((change) => {
    const { changes } = toConfChangeV2(decodeConfChangeEntry(change)!);
    const [{ type, nodeId }] = changes as [(typeof changes)[number]];
    return `${['add', 'remove', 'update', 'add learner'][type]} ${nodeId}`;
  });
}

test('committed entries are kept, others dropped, and all other members removed behind them', () => {
  const { hardState, kept, added } = logOfNewCluster(lost({}));
  assert.deepEqual(
    kept.map(({ index }) => index),
    [11, 12],
  );
  assert.deepEqual(
    added.map(({ index, term }) => [index, term]),
    [
      [13, 3],
      [14, 3],
    ],
  );
  assert.deepEqual(describe(added), ['remove 2', 'remove 3']);
  assert.deepEqual([hardState.term, hardState.vote, hardState.commit], [3, 2n, 14]);
});

test('what the database has applied is committed, whatever the log says', () => {
  const { kept, hardState } = logOfNewCluster(lost({ consistentIndex: 13 }));
  assert.deepEqual(
    kept.map(({ index }) => index),
    [11, 12, 13],
  );
  assert.equal(hardState.commit, 15);
});

test('changes that are committed but not applied count', () => {
  const entries = [
    entry(11),
    entry(12, confChangeEntry(removeMemberChange(2n))),
    entry(13, confChangeEntry(addMemberChange(member(4n)))),
    entry(14, confChangeEntry(removeMemberChange(3n))),
  ];
  const hardState = new HardState({ term: 3, vote: 0n, commit: 13 });
  const { added } = logOfNewCluster(lost({ entries, hardState }));
  assert.deepEqual(describe(added), ['remove 3', 'remove 4'], 'the removal at 14 was never committed');
});

test('what a lone voter has in its log is committed, until somebody votes with it', () => {
  const hardState = new HardState({ term: 3, vote: SELF, commit: 11 });
  const indices = (entries: readonly Entry[]): number[] => entries.map(({ index }) => index);
  for (const [members, removals] of [
    [[member(SELF)], []],
    [[member(SELF), member(2n, true)], ['remove 2']],
  ] as const) {
    const { kept, added, hardState: next } = logOfNewCluster(lost({ members, hardState }));
    assert.deepEqual(indices(kept), [11, 12, 13]);
    assert.deepEqual([describe(added), next.commit], [removals, 13 + removals.length]);
  }
  const entries = [entry(11), entry(12, confChangeEntry(addMemberChange(member(2n)))), entry(13)];
  const joined = logOfNewCluster(lost({ members: [member(SELF)], entries, hardState }));
  assert.deepEqual([indices(joined.kept), describe(joined.added)], [[11, 12], ['remove 2']]);
});

test('a learner that was promoted by what is committed and not applied is a voter', () => {
  const entries = [entry(11), entry(12, confChangeEntry(promoteMemberChange(SELF))), entry(13)];
  const { added } = logOfNewCluster(lost({ members: [member(SELF, true), member(2n)], entries }));
  assert.deepEqual(describe(added), ['remove 2']);
});

test('a member that was removed, or only learned, becomes the one voter', () => {
  const removed = logOfNewCluster(lost({ members: [member(2n)] }));
  assert.deepEqual(describe(removed.added), ['add 1', 'remove 2']);
  const { changes, context } = toConfChangeV2(decodeConfChangeEntry(removed.added[0]!)!);
  assert.equal(changes.length, 1);
  assert.deepEqual(parseMember(context).peerUrls, PEER_URLS);
  const learner = logOfNewCluster(lost({ members: [member(SELF, true), member(2n)] }));
  assert.deepEqual(describe(learner.added), ['add 1', 'remove 2']);
});

test('a log without entries goes on behind its snapshot', () => {
  const hardState = new HardState({ term: 3, vote: 0n, commit: 10 });
  const { added } = logOfNewCluster(lost({ entries: [], consistentIndex: 10, hardState }));
  assert.deepEqual(
    added.map(({ index }) => index),
    [11, 12],
  );
});
