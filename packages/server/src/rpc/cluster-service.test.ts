import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import {
  MemberAddRequest,
  MemberListRequest,
  MemberPromoteRequest,
  MemberRemoveRequest,
  MemberUpdateRequest,
} from '@etcd/api/etcdserverpb';
import { ClusterService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { FakeMember } from './testing/served-member.ts';

const { memberAdd, memberList, memberPromote, memberRemove, memberUpdate } = ClusterService.methods;
const THREE = new Map(['m1', 'm2', 'm3'].map((name) => [name, [`http://${name}:2380`]]));
const three = (): FakeMember => new FakeMember({ members: THREE });

function urlsOf(member: FakeMember): string[] {
  const { members } = member.ask(memberList, new MemberListRequest());
  return members.flatMap(({ peerUrls }) => peerUrls).sort();
}

test('the members are listed with all that is known of them', () => {
  const member = three();
  const { header, members } = member.ask(memberList, new MemberListRequest());
  assert.deepEqual([header!.memberId, header!.revision], [member.memberId, 0]);
  assert.deepEqual(members.map(({ name }) => name).sort(), ['m1', 'm2', 'm3']);
  assert.ok(members.every(({ isLearner, clientUrls }) => !isLearner && clientUrls.length === 0));
});

test('a list that has to be current waits for the majority', () => {
  const member = three();
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  const current = member.call(memberList, new MemberListRequest({ linearizable: true }));
  assert.equal(current?.message, RPC_ERRORS.ErrGRPCTimeout.message);
  assert.equal(member.call(memberList, new MemberListRequest())?.code, GrpcCode.OK);
  member.readError = null;
  assert.equal(member.ask(memberList, new MemberListRequest({ linearizable: true })).members.length, 3);
});

test('a member is added as a learner, promoted, given other URLs and removed', () => {
  const member = three();
  const added = member.ask(
    memberAdd,
    new MemberAddRequest({ peerUrls: ['http://m4:2380'], isLearner: true }),
  );
  const { id } = added.member!;
  assert.deepEqual([added.members.length, added.member!.isLearner], [4, true]);
  const promoted = member.ask(memberPromote, new MemberPromoteRequest({ id }));
  assert.equal(promoted.members.find((other) => other.id === id)!.isLearner, false);
  member.ask(memberUpdate, new MemberUpdateRequest({ id, peerUrls: ['http://m5:2380', 'http://m4:2380'] }));
  assert.deepEqual(urlsOf(member).slice(-2), ['http://m4:2380', 'http://m5:2380']);
  const removed = member.ask(memberRemove, new MemberRemoveRequest({ id }));
  assert.equal(removed.members.length, 3);
});

test('URLs that are none, or nobody, or somebody else, are refused', () => {
  const member = three();
  const add = (peerUrls: string[]): string =>
    member.call(memberAdd, new MemberAddRequest({ peerUrls }))!.message;
  for (const urls of [[], ['m4'], ['http://m4'], ['ftp://m4:2380'], ['http://m4:2380', 'x']]) {
    assert.equal(add(urls), RPC_ERRORS.ErrGRPCMemberBadURLs.message, urls.join());
  }
  assert.equal(add(['http://m2:2380']), RPC_ERRORS.ErrGRPCPeerURLExist.message);
  const update = new MemberUpdateRequest({ id: member.memberId, peerUrls: [] });
  assert.equal(member.call(memberUpdate, update)?.message, RPC_ERRORS.ErrGRPCMemberBadURLs.message);
  assert.equal(urlsOf(member).length, 3);
});

test('members that are not there are neither removed nor promoted nor changed', () => {
  const member = three();
  const id = 0x404n;
  const { message } = RPC_ERRORS.ErrGRPCMemberNotFound;
  assert.equal(member.call(memberRemove, new MemberRemoveRequest({ id }))?.message, message);
  assert.equal(member.call(memberPromote, new MemberPromoteRequest({ id }))?.message, message);
  const peerUrls = ['http://m9:2380'];
  assert.equal(member.call(memberUpdate, new MemberUpdateRequest({ id, peerUrls }))?.message, message);
});

test('what would leave the cluster unable to decide is refused, unless nobody is to look', () => {
  const facts = (member: FakeMember) => ({
    ...member.reconfiguration.facts,
    isActive: () => false,
    isConnected: () => false,
  });
  const strict = three();
  Object.assign(strict.reconfiguration, { facts: facts(strict) });
  const add = new MemberAddRequest({ peerUrls: ['http://m4:2380'] });
  assert.equal(strict.call(memberAdd, add)?.message, RPC_ERRORS.ErrGRPCUnhealthy.message);
  assert.equal(urlsOf(strict).length, 3);
  const lax = new FakeMember({ members: THREE, config: { strictReconfigCheck: false } });
  Object.assign(lax.reconfiguration, { facts: facts(lax) });
  assert.equal(lax.call(memberAdd, add)?.code, GrpcCode.OK);
});
