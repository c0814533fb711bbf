import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { Request } from '@etcd/api/etcdserverpb';
import {
  Attributes,
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
} from '@etcd/api/membershippb';
import { ConfChange } from '@etcd/api/raftpb';
import fc from 'fast-check';
import {
  addMemberChange,
  type BucketReader,
  type BucketWriter,
  bootstrapPeers,
  decodeV2Store,
  encodeV2Store,
  formatId,
  joinCluster,
  type Member,
  Membership,
  MembershipError,
  newCluster,
  newMember,
  parseVersion,
  promoteMemberChange,
  readMembership,
  removeMemberChange,
  updateMemberChange,
  validateAddMember,
  validateLearnerReady,
  validatePromoteMember,
  validateRemoveMember,
} from './index.ts';

const ERRORS = INTERNAL_ERRORS.membership;

/** A backend's buckets, as text. */
class Buckets implements BucketReader, BucketWriter {
  readonly content = new Map<string, Map<string, string>>();

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    const entries = this.content.get(bucket) ?? new Map<string, string>();
    this.content.set(bucket, entries);
    entries.set(Buffer.from(key).toString('latin1'), Buffer.from(value).toString());
  }

  delete(bucket: string, key: Uint8Array): void {
    this.content.get(bucket)?.delete(Buffer.from(key).toString('latin1'));
  }

  forEach(bucket: string, visit: (key: Uint8Array, value: Uint8Array) => void): void {
    for (const [key, value] of [...(this.content.get(bucket) ?? [])].sort()) {
      visit(Buffer.from(key, 'latin1'), Buffer.from(value));
    }
  }

  plain(): Record<string, Record<string, string>> {
    return Object.fromEntries(
      [...this.content].map(([name, entries]) => [name, Object.fromEntries(entries)]),
    );
  }
}

function voter(id: bigint, url = `http://m${id}:2380`): Member {
  return newMember(id, { peerUrls: [url], isLearner: false });
}

const learner = (id: bigint): Member => ({ ...voter(id), isLearner: true });

function applied(membership: Membership, buckets: Buckets, change: ConfChange): InternalError | string {
  const error = membership.validateConfChange(change);
  return error ?? membership.applyConfChange(change, buckets).kind;
}

function withMembers(...members: Member[]): { membership: Membership; buckets: Buckets } {
  const membership = new Membership({ clusterId: 1n });
  const buckets = new Buckets();
  for (const member of members) assert.equal(applied(membership, buckets, addMemberChange(member)), 'added');
  return { membership, buckets };
}

test('members come, are promoted, move and go', () => {
  const { membership, buckets } = withMembers(voter(3n), voter(1n), learner(2n));
  const apply = (change: ConfChange): unknown => applied(membership, buckets, change);
  assert.deepEqual(
    membership.members().map((member) => member.id),
    [1n, 2n, 3n],
  );
  assert.deepEqual(
    membership.votingMembers().map((member) => member.id),
    [1n, 3n],
  );
  assert.equal(apply(promoteMemberChange(2n)), 'promoted');
  assert.equal(membership.member(2n)!.isLearner, false);
  assert.deepEqual(membership.member(2n)!.peerUrls, ['http://m2:2380']);
  assert.equal(apply(updateMemberChange(3n, ['http://new:1', 'http://new:2'])), 'updated');
  assert.deepEqual(membership.member(3n)!.peerUrls, ['http://new:1', 'http://new:2']);
  assert.equal(apply(removeMemberChange(1n)), 'removed');
  assert.equal(membership.member(1n), null);
  assert.equal(membership.isRemoved(1n), true);
  assert.deepEqual(buckets.plain(), {
    members: {
      '2': '{"id":2,"peerURLs":["http://m2:2380"]}',
      '3': '{"id":3,"peerURLs":["http://new:1","http://new:2"]}',
    },
    members_removed: { '1': 'removed' },
  });
});

test('changes that must not be applied get the error that every member gives', () => {
  const { membership, buckets } = withMembers(voter(1n), voter(2n), learner(3n));
  const apply = (change: ConfChange): unknown => applied(membership, buckets, change);
  apply(removeMemberChange(2n));
  assert.equal(apply(addMemberChange(voter(2n))), ERRORS.ErrIDRemoved);
  assert.equal(apply(removeMemberChange(2n)), ERRORS.ErrIDRemoved);
  assert.equal(apply(addMemberChange(voter(1n, 'http://other:1'))), ERRORS.ErrIDExists);
  assert.equal(apply(addMemberChange(voter(4n, 'http://m1:2380'))), ERRORS.ErrPeerURLexists);
  assert.equal(apply(addMemberChange(learner(4n))), ERRORS.ErrTooManyLearners);
  assert.equal(apply(promoteMemberChange(9n)), ERRORS.ErrIDNotFound);
  assert.equal(apply(promoteMemberChange(1n)), ERRORS.ErrMemberNotLearner);
  assert.equal(apply(removeMemberChange(9n)), ERRORS.ErrIDNotFound);
  assert.equal(apply(updateMemberChange(9n, ['http://x:1'])), ERRORS.ErrIDNotFound);
  assert.equal(apply(updateMemberChange(1n, ['http://m3:2380'])), ERRORS.ErrPeerURLexists);
  assert.equal(apply(updateMemberChange(1n, ['http://m1:2380'])), 'updated', 'its own URL');
  assert.equal(apply(addMemberChange(voter(5n, 'http://m2:2380'))), 'added', 'the URL of a removed member');
  const many = new Membership({ clusterId: 1n, maxLearners: 3 });
  for (const id of [1n, 2n, 3n]) assert.equal(applied(many, buckets, addMemberChange(learner(id))), 'added');
  assert.equal(applied(many, buckets, addMemberChange(learner(4n))), ERRORS.ErrTooManyLearners);
});

test('changes that no etcd proposes are fatal', () => {
  const { membership, buckets } = withMembers(voter(1n));
  const malformed = new ConfChange({ nodeId: 5n, context: Buffer.from('{') });
  assert.throws(() => membership.validateConfChange(malformed), { code: 'malformed' });
  const unknown = new ConfChange({ type: 9, nodeId: 1n });
  assert.throws(() => membership.validateConfChange(unknown), { code: 'malformed' });
  const mixed = addMemberChange(voter(6n));
  mixed.nodeId = 7n;
  assert.equal(membership.validateConfChange(mixed), null);
  assert.throws(() => membership.applyConfChange(mixed, buckets), { code: 'id-mismatch' });
  const update = updateMemberChange(8n, ['x']);
  update.nodeId = 1n;
  assert.throws(() => membership.applyConfChange(update, buckets), { code: 'id-mismatch' });
});

test('attributes, version and downgrade are set by requests of the log, new and old', () => {
  const { membership, buckets } = withMembers(voter(0xa1n), voter(2n));
  membership.applyClusterMemberAttrSet(
    new ClusterMemberAttrSetRequest({
      memberId: 0xa1n,
      memberAttributes: new Attributes({ name: 'one', clientUrls: ['http://c:1'] }),
    }),
    buckets,
  );
  assert.equal(membership.memberByName('one')!.id, 0xa1n);
  membership.applyClusterVersionSet(new ClusterVersionSetRequest({ ver: '3.6.0' }), buckets);
  membership.applyDowngradeInfoSet(new DowngradeInfoSetRequest({ enabled: true, ver: '3.5.0' }), buckets);
  assert.deepEqual(buckets.plain()['cluster'], {
    clusterVersion: '3.6.0',
    downgrade: '{"target-version":"3.5.0","enabled":true}',
  });
  assert.deepEqual(membership.downgrade, { targetVersion: '3.5.0', enabled: true });
  membership.applyDowngradeInfoSet(new DowngradeInfoSetRequest({ enabled: false, ver: '3.5.0' }), buckets);
  assert.equal(buckets.plain()['cluster']!['downgrade'], '{"target-version":"","enabled":false}');

  const put = (path: string, val: string): boolean =>
    membership.applyV2Request(new Request({ method: 'PUT', path, val }), buckets);
  assert.equal(put('/0/members/a1/attributes', '{"name":"uno","clientURLs":["http://c:2"]}'), true);
  assert.equal(put('/0/version', '3.7.0'), true);
  assert.deepEqual(buckets.plain(), {
    members: {
      a1: '{"id":161,"peerURLs":["http://m161:2380"],"name":"uno","clientURLs":["http://c:2"]}',
      '2': '{"id":2,"peerURLs":["http://m2:2380"]}',
    },
    cluster: { clusterVersion: '3.7.0', downgrade: '{"target-version":"","enabled":false}' },
  });
  assert.equal(put('/1/foo', 'bar'), false);
  assert.equal(put('/1/0/members/a1/attributes', '{"name":"x"}'), false);
  assert.equal(membership.applyV2Request(new Request({ method: 'SYNC' }), buckets), false);
  assert.throws(() => put('/0/version', 'x'), { code: 'malformed' });
  assert.throws(() => put('/0/members/a1/attributes', 'x'), { code: 'malformed' });
  assert.equal(put('/0/members/77/attributes', '{"name":"nobody"}'), true);
  assert.equal(membership.member(0x77n), null);
  applied(membership, buckets, removeMemberChange(2n));
  put('/0/members/2/attributes', '{"name":"late"}');
  assert.equal(buckets.plain()['members']!['2'], undefined);
});

const anyState = fc
  .record({
    ids: fc.uniqueArray(fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }), { maxLength: 8 }),
    removed: fc.nat(3),
    name: fc.string({ unit: 'grapheme', minLength: 1 }),
    hasVersion: fc.boolean(),
    enabled: fc.boolean(),
  })
  .map(({ ids, removed, name, hasVersion, enabled }) => ({
    members: ids.slice(removed).map((id, i): Member => {
      const member = { ...voter(id), isLearner: i === 1 };
      return i % 2 === 0 ? { ...member, name, clientUrls: [`http://c${i}:2379`] } : member;
    }),
    removedIds: ids.slice(0, removed),
    version: hasVersion ? parseVersion('3.5.0') : null,
    downgrade: enabled ? { enabled, targetVersion: '3.5.0' } : { enabled: false, targetVersion: '' },
  }));

test('buckets and v2 store give back what was put into them', () => {
  fc.assert(
    fc.property(anyState, (state) => {
      const sorted = new Membership({ clusterId: 1n, state }).state();
      const { state: fromV2, hasUserKeys } = decodeV2Store(encodeV2Store(state));
      const back = new Membership({ clusterId: 1n, state: fromV2 }).state();
      assert.deepEqual({ ...back, downgrade: sorted.downgrade }, sorted);
      assert.equal(hasUserKeys, false);

      const buckets = new Buckets();
      const membership = new Membership({ clusterId: 1n, maxLearners: 9 });
      for (const member of state.members) {
        const { name, clientUrls } = member;
        applied(membership, buckets, addMemberChange({ ...member, name: '', clientUrls: [] }));
        membership.setAttributes(member.id, { name, clientUrls }, buckets);
      }
      for (const id of state.removedIds) membership.applyConfChange(removeMemberChange(id), buckets);
      if (state.version !== null) membership.setVersion(state.version, buckets);
      membership.setDowngrade(state.downgrade, buckets);
      assert.deepEqual(new Membership({ clusterId: 1n, state: readMembership(buckets) }).state(), sorted);
      assert.deepEqual(membership.state(), sorted);
    }),
  );
});

test('the v2 store has the shape that etcd reads', () => {
  const member = { ...voter(0x8e9e05c52164694dn), name: 'default', clientUrls: ['http://localhost:2379'] };
  const state = {
    members: [member],
    removedIds: [7n],
    version: parseVersion('3.5.0'),
    downgrade: { enabled: false, targetVersion: '' },
  };
  const store = JSON.parse(Buffer.from(encodeV2Store(state)).toString());
  assert.deepEqual(Object.keys(store), ['Root', 'WatcherHub', 'CurrentIndex', 'Stats', 'CurrentVersion']);
  const node = store.Root.Children['0'].Children.members.Children['8e9e05c52164694d'];
  assert.deepEqual(Object.keys(node.Children), ['attributes', 'raftAttributes']);
  assert.deepEqual(node.Children.attributes, {
    Path: '/0/members/8e9e05c52164694d/attributes',
    CreatedIndex: 2,
    ModifiedIndex: 2,
    ExpireTime: '0001-01-01T00:00:00Z',
    Value: '{"name":"default","clientURLs":["http://localhost:2379"]}',
    Children: null,
  });
  assert.deepEqual(store.Root.Children['1'].Children, {});
  assert.equal(store.WatcherHub.EventHistory.Queue.Events.length, 1000);
  assert.equal(store.CurrentIndex, 4);
});

test('S17 what is no v2 store, or no membership bucket, is refused', () => {
  const refused = (json: string): void => {
    assert.throws(() => decodeV2Store(Buffer.from(json)), MembershipError, json);
  };
  const cluster = (children: string): string => `{"Root":{"Children":{"0":{"Children":{${children}}}}}}`;
  refused('');
  refused('{"Root":3}');
  refused(cluster('"members":{"Children":{"xyz":{}}}'));
  refused(cluster('"members":{"Children":{"1":{}}}'));
  refused(cluster('"members":{"Children":{"1":{"Children":{"other":{"Value":""}}}}}'));
  refused(cluster('"members":{"Children":{"1":{"Children":{"raftAttributes":{"Value":3}}}}}'));
  refused(cluster('"version":{"Value":"one"}'));
  assert.deepEqual(decodeV2Store(Buffer.from('{}')).state.members, []);
  const user = '{"Root":{"Children":{"1":{"Children":{"foo":{"Value":"bar"}}}}}}';
  assert.equal(decodeV2Store(Buffer.from(user)).hasUserKeys, true);
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (json) => {
      try {
        decodeV2Store(Buffer.from(json));
      } catch (error) {
        assert.ok(error instanceof MembershipError, String(error));
      }
    }),
  );
  for (const [bucket, key, value] of [
    ['members', 'zz', '{}'],
    ['members', '1', '['],
    ['members_removed', '', 'removed'],
    ['cluster', 'clusterVersion', '3'],
    ['cluster', 'downgrade', '{"enabled":true,"target-version":"?"}'],
  ] as const) {
    const buckets = new Buckets();
    buckets.put(bucket, Buffer.from(key), Buffer.from(value));
    assert.throws(() => readMembership(buckets), MembershipError, `${bucket} ${key}`);
  }
});

test('a founding cluster has the identities that its flags give', () => {
  const cluster = newCluster(
    'etcd-cluster',
    new Map([
      ['b', ['http://10.0.0.2:2380', 'http://10.0.0.1:2380']],
      ['a', ['http://10.0.0.3:2380']],
    ]),
  );
  const peers = bootstrapPeers(cluster);
  assert.deepEqual(
    peers.map((peer) => peer.id),
    cluster.members().map((member) => member.id),
  );
  const b = cluster.memberByName('b')!;
  const context = peers.find((peer) => peer.id === b.id)!.context;
  assert.equal(
    Buffer.from(context).toString(),
    `{"id":${b.id},"peerURLs":["http://10.0.0.1:2380","http://10.0.0.2:2380"],"name":"b"}`,
  );
  const twice = new Map([
    ['a', ['http://x:1']],
    ['b', ['http://x:1']],
  ]);
  assert.throws(() => newCluster('t', twice), { code: 'duplicate-id' });
});

test('a joining member takes over the identities of the members with its URLs', () => {
  const local = newCluster(
    't',
    new Map([
      ['a', ['http://a:1']],
      ['b', ['http://b:1']],
    ]),
  );
  const same = (a: readonly string[], b: readonly string[]): boolean => a.join() === b.join();
  const existing = {
    clusterId: 5n,
    members: [{ ...voter(11n, 'http://b:1'), name: 'bee' }, voter(12n, 'http://a:1')],
  };
  const joined = joinCluster(local, existing, same);
  assert.equal(joined.clusterId, 5n);
  assert.deepEqual(
    joined.members().map((member) => [formatId(member.id), member.name]),
    [
      ['b', 'b'],
      ['c', 'a'],
    ],
  );
  assert.throws(() => joinCluster(local, { ...existing, members: [voter(1n)] }, same), {
    code: 'member-count',
  });
  const other = { clusterId: 5n, members: [voter(1n), voter(2n)] };
  assert.throws(() => joinCluster(local, other, same), { code: 'no-match' });
});

test('strict reconfiguration keeps the quorum that there is', () => {
  const started = (id: bigint): Member => ({ ...voter(id), name: `m${id}` });
  const facts = (members: Member[], connected: bigint[]) => ({
    members,
    localId: 1n,
    isConnected: (id: bigint) => connected.includes(id),
    isActive: (id: bigint) => connected.includes(id),
  });
  const {
    ErrNotEnoughStartedMembers: few,
    ErrUnhealthy: unhealthy,
    ErrLearnerNotReady,
  } = INTERNAL_ERRORS.errors;
  const three = [started(1n), started(2n), started(3n)];
  const add = (members: Member[], connected: bigint[], isLearner = false): unknown =>
    validateAddMember(facts(members, connected), isLearner);
  assert.equal(add([started(1n)], []), null, 'one to two');
  assert.equal(add([started(1n), voter(2n)], []), few, 'the second has not started');
  assert.equal(add([started(1n), voter(2n)], [], true), unhealthy);
  assert.equal(add(three, [2n, 3n]), null);
  assert.equal(add(three, [2n]), unhealthy, 'two of four would be no quorum');
  assert.equal(add([...three, learner(4n)], [2n, 3n], true), null);

  const remove = (members: Member[], connected: bigint[], id: bigint): unknown =>
    validateRemoveMember(facts(members, connected), id);
  assert.equal(remove(three, [2n, 3n], 3n), null);
  assert.equal(remove(three, [2n], 3n), null, 'one that is down');
  assert.equal(remove(three, [2n], 2n), unhealthy);
  assert.equal(remove(three, [3n], 1n), unhealthy);
  assert.equal(remove([started(1n), started(2n), voter(3n)], [2n], 2n), few);
  assert.equal(remove([...three, learner(4n)], [], 4n), null);
  assert.equal(remove([started(1n)], [], 1n), few);

  assert.equal(validatePromoteMember([started(1n), learner(2n)]), null);
  assert.equal(validatePromoteMember([started(1n), voter(2n), voter(3n), learner(4n)]), few);
  assert.equal(validateLearnerReady(90, 100), null);
  assert.equal(validateLearnerReady(89, 100), ErrLearnerNotReady);
  assert.equal(validateLearnerReady(null, 100), ERRORS.ErrIDNotFound);
});
