import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConfChange, ConfState, type Entry } from '@etcd/api/raftpb';
import { confChangeEntry } from '@etcd/raft';
import {
  addMemberChange,
  EMPTY_MEMBERSHIP,
  encodeV2Store,
  type Member,
  type MembershipState,
  membershipOfSnapshot,
  mendMembers,
  newMember,
  promoteMemberChange,
  recoverMembership,
  removeMemberChange,
  updateMemberChange,
} from './index.ts';

const CLUSTER = { clusterId: 7n, maxLearners: 1 };
const NO_DATA = new Uint8Array(0);

function member(id: bigint, more: Partial<Member> = {}): Member {
  return { ...newMember(id, { peerUrls: [`http://10.0.0.${id}:2380`], isLearner: false }), ...more };
}

function state(members: readonly Member[], removedIds: readonly bigint[] = []): MembershipState {
  return { ...EMPTY_MEMBERSHIP, members, removedIds };
}

function entries(...changes: ConfChange[]): Entry[] {
  return changes.map((change) => confChangeEntry(change));
}

/** What ends up in buckets that said `database` before. */
function mended(database: MembershipState, wanted: MembershipState): [string[], string[]] {
  const writes: string[] = [];
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  const findings = mendMembers(database, wanted, {
    put: (bucket, key, value) => writes.push(`${bucket} ${text(key)} ${text(value)}`),
    delete: (bucket, key) => writes.push(`${bucket} ${text(key)} gone`),
  });
  return [findings, writes];
}

test('members of another cluster that a database still lists are none, and are cleaned from it', () => {
  const own = member(5n, { name: 'm5', clientUrls: ['http://10.0.0.5:2379'] });
  const database = {
    ...state([member(1n), member(2n), member(3n)], [9n]),
    version: { major: 3, minor: 4, patch: 0, preRelease: '' },
  };
  const data = encodeV2Store(state([own]));
  const base = membershipOfSnapshot(data, new ConfState({ voters: [5n] }), database)!;
  const recovered = recoverMembership({ ...CLUSTER, base, entries: [], database });
  assert.deepEqual(recovered.members, [own]);
  assert.deepEqual(recovered.version, database.version);
  const [findings, writes] = mended(database, recovered);
  assert.equal(findings.length, 4);
  assert.deepEqual(writes.slice(1), ['members 1 gone', 'members 2 gone', 'members 3 gone']);
  assert.match(writes[0]!, /^members 5 \{"id":5,"peerURLs":\["http:\/\/10\.0\.0\.5:2380"\],"name":"m5"/);
  assert.deepEqual(mended(recovered, recovered), [[], []]);
});

test('a learner that was promoted is a voter, be it before the snapshot or behind it, with its data or without', () => {
  const learner = member(2n, { isLearner: true, name: 'm2', clientUrls: ['http://c'] });
  const database = state([member(1n), learner]);
  const promoted = { ...learner, isLearner: false };
  const before = membershipOfSnapshot(
    encodeV2Store(state([member(1n), promoted])),
    new ConfState({ voters: [1n, 2n] }),
    database,
  )!;
  const withoutData = membershipOfSnapshot(NO_DATA, new ConfState({ voters: [1n, 2n] }), database)!;
  const behind = membershipOfSnapshot(
    encodeV2Store(database),
    new ConfState({ voters: [1n], learners: [2n] }),
    database,
  )!;
  for (const [base, changes] of [
    [before, []],
    [withoutData, []],
    [behind, entries(promoteMemberChange(2n))],
    [
      EMPTY_MEMBERSHIP,
      entries(addMemberChange(member(1n)), addMemberChange(learner), promoteMemberChange(2n)),
    ],
  ] as const) {
    const recovered = recoverMembership({ ...CLUSTER, base, entries: changes, database });
    assert.deepEqual(recovered.members, [member(1n), promoted]);
    assert.match(mended(database, recovered)[0].join(), /^changed member \{"id":2/);
  }
});

test('changes behind the snapshot count, those that were refused do not, and removed members stay removed', () => {
  const base = membershipOfSnapshot(
    encodeV2Store(state([member(1n), member(2n), member(3n)], [8n])),
    new ConfState({ voters: [1n, 2n, 3n] }),
    EMPTY_MEMBERSHIP,
  )!;
  const changes = entries(
    removeMemberChange(2n),
    addMemberChange(member(2n)),
    addMemberChange(member(8n)),
    addMemberChange(member(4n)),
    addMemberChange(member(6n, { peerUrls: ['http://10.0.0.4:2380'] })),
    updateMemberChange(3n, ['http://elsewhere:2380']),
  );
  const database = state([member(1n, { name: 'm1' })]);
  const recovered = recoverMembership({ ...CLUSTER, base, entries: changes, database });
  assert.deepEqual(recovered.removedIds, [2n, 8n]);
  assert.deepEqual(
    recovered.members.map(({ id, name, peerUrls }) => [id, name, peerUrls[0]]),
    [
      [1n, 'm1', 'http://10.0.0.1:2380'],
      [3n, '', 'http://elsewhere:2380'],
      [4n, '', 'http://10.0.0.4:2380'],
    ],
  );
});

test('a snapshot without members says nothing, one whose data lacks a voter keeps it', () => {
  assert.equal(membershipOfSnapshot(NO_DATA, null, state([member(1n)])), null);
  assert.equal(membershipOfSnapshot(NO_DATA, new ConfState(), state([member(1n)])), null);
  const { members } = membershipOfSnapshot(
    encodeV2Store(state([member(1n), member(4n)])),
    new ConfState({ voters: [1n, 2n, 3n] }),
    state([member(2n, { isLearner: true })]),
  )!;
  assert.deepEqual(members, [member(1n), member(2n), member(3n, { peerUrls: [] })]);
});
