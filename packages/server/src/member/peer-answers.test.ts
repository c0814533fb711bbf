/** What a member answers on its peer URLs besides raft's messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LeaseGrantRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { parseMembers } from '@etcd/storage/membership';
import type { PeerRequest, PeerResponse } from '../peer/index.ts';
import { answerPeerRequest } from './peer-answers.ts';
import { SingleMember } from './testing/single-member.ts';

const text = ({ body }: PeerResponse): string => Buffer.from(body).toString();

function ask(
  member: SingleMember,
  method: string,
  path: string,
  more: Partial<PeerRequest> = {},
): PeerResponse {
  let answer: PeerResponse | null = null;
  answerPeerRequest(member.server, { method, path, ...more }, (response) => {
    answer = response;
  });
  member.world.clock.advanceUntil(() => answer !== null, 60_000);
  return answer!;
}

test('the members, the versions and whether there is a downgrade are told', async () => {
  const member = await SingleMember.start();
  const { server } = member;
  const [self] = parseMembers(text(ask(member, 'GET', '/members')));
  assert.deepEqual([self!.id, self!.name], [server.memberId, 'm1']);
  const version = JSON.parse(text(ask(member, 'GET', '/version?x=1'))) as Record<string, string>;
  assert.deepEqual(Object.keys(version).slice(0, 2), ['etcdserver', 'etcdcluster']);
  assert.match(version['etcdcluster']!, /^3\.\d+\.0$/);
  assert.equal(text(ask(member, 'GET', '/downgrade/enabled')), 'false');
  member.stop();
});

test('a wrong path or method is refused as an HTTP server does', async () => {
  const member = await SingleMember.start();
  assert.equal(ask(member, 'GET', '/nowhere').status, 404);
  for (const [method, path, allowed] of [
    ['POST', '/version', 'GET'],
    ['GET', '/leases', 'POST'],
    ['GET', '/members/promote/1', 'POST'],
  ] as const) {
    const { status, headers } = ask(member, method, path);
    assert.deepEqual([status, headers], [405, { allow: allowed }]);
  }
  member.stop();
});

test('a promotion of nobody, of no id, and of a voter, has the status that etcd gives it', async () => {
  const member = await SingleMember.start();
  assert.equal(ask(member, 'POST', '/members/promote/12345').status, 404);
  assert.equal(ask(member, 'POST', '/members/promote/abc').status, 404);
  assert.equal(ask(member, 'POST', '/members/promote/18446744073709551616').status, 404);
  assert.equal(ask(member, 'POST', `/members/promote/${member.server.memberId}`).status, 412);
  member.stop();
});

test('a hash is for the own cluster, at a revision that is there, and has ids without a loss', async () => {
  const member = await SingleMember.start();
  const { server } = member;
  member.ask('put', new PutRequest({ key: Buffer.from('k'), value: Buffer.from('v') }));
  const hashKv = (body: string, headers: Record<string, string> = {}): PeerResponse =>
    ask(member, 'GET', '/members/hashkv', { body: Buffer.from(body), headers });
  const answer = hashKv('{"revision":2}', { 'x-etcd-cluster-id': server.clusterId.toString(16) });
  assert.equal(answer.status, 200);
  assert.ok(text(answer).includes(`"member_id":${server.memberId}`));
  assert.match(text(answer), /"hash":\d+,"compact_revision":-?\d+,"hash_revision":2\}/);
  assert.equal(hashKv('{}', { 'x-etcd-cluster-id': 'abc' }).status, 412);
  assert.equal(hashKv('{"revision":99}').status, 400);
  for (const body of ['', 'x', '[]', '7', '{"revision":"1"}']) {
    assert.equal(hashKv(body).status, body === '[]' ? 200 : 400, body);
  }
  member.stop();
});

test('a lease is renewed and described by the leader, and one that is not there is not found', async () => {
  const member = await SingleMember.start();
  member.ask('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 30 }));
  // Field ID.
  const renew = (id: number): PeerResponse => ask(member, 'POST', '/leases', { body: Buffer.from([8, id]) });
  assert.deepEqual([renew(5).status, renew(5).contentType], [200, 'application/protobuf']);
  assert.equal(renew(6).status, 404);
  assert.equal(ask(member, 'POST', '/leases', { body: Buffer.from([0xff]) }).status, 400);
  // Field LeaseTimeToLiveRequest with field ID.
  const look = (id: number): PeerResponse =>
    ask(member, 'POST', '/leases/internal', { body: Buffer.from([10, 2, 8, id]) });
  assert.equal(look(5).status, 200);
  assert.equal(look(6).status, 404);
  assert.equal(ask(member, 'POST', '/leases/internal').status, 400, 'no request in it');
  member.stop();
});
