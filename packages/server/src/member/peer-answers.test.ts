/** What a member answers on its peer URLs besides raft's messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LeaseGrantRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { MessageType } from '@etcd/api/raftpb';
import { parseMembers } from '@etcd/storage/membership';
import { BootWorld } from '../boot/testing/boot-world.ts';
import type { PeerRequest, PeerResponse } from '../peer/index.ts';
import { answerPeerRequest } from './peer-answers.ts';
import { AgreeingPeer } from './testing/agreeing-peer.ts';
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

/** A member of two that follows. */
async function follower(): Promise<{ readonly member: SingleMember; readonly peer: AgreeingPeer }> {
  const two = '--initial-cluster=m1=http://localhost:2380,m2=http://m2:2380';
  const member = await SingleMember.startIn(await BootWorld.create([two]));
  const { clock } = member.world;
  assert.ok(clock.advanceUntil(() => member.server.membership.members().length === 2, 5000));
  const peer = new AgreeingPeer(member);
  assert.ok(clock.advanceUntil(() => member.isReady, 20_000));
  member.ask('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 30 }));
  peer.lead();
  clock.advance(10);
  assert.equal(member.server.leader, peer.id);
  return { member, peer };
}

const renewal = (id: number): Partial<PeerRequest> => ({ body: Buffer.from([8, id]) });
const lookup = (id: number): Partial<PeerRequest> => ({ body: Buffer.from([10, 2, 8, id]) });

test('a member that does not lead renews no lease, describes none and promotes nobody', async () => {
  const { member } = await follower();
  for (const [path, body, status, reason] of [
    ['/leases', renewal(5), 400, 'not a primary lessor'],
    ['/leases', renewal(6), 400, 'not a primary lessor'],
    ['/leases/internal', lookup(5), 500, 'not a primary lessor'],
    ['/members/promote/12345', {}, 500, 'Internal Server Error'],
  ] as const) {
    const answer = ask(member, 'POST', path, body);
    assert.equal(answer.status, status, path);
    assert.ok(text(answer).includes(reason), text(answer));
  }
  member.stop();
});

test('what depends on entries that are committed and not applied waits for them, up to a second', async () => {
  const member = await SingleMember.start();
  const { server, world } = member;
  const answers: number[] = [];
  // What is proposed now is committed in a turn to come.
  member.propose('leaseGrant', new LeaseGrantRequest({ id: 9n, ttl: 30 }));
  const renew = (): void =>
    answerPeerRequest(server, { method: 'POST', path: '/leases', ...renewal(9) }, ({ status }) =>
      answers.push(status),
    );
  renew();
  world.clock.advance(100);
  renew();
  world.clock.advance(100);
  assert.deepEqual(answers, [404, 200], 'what was not even committed is not waited for');
  Object.defineProperty(server, 'committedIndex', { get: () => server.appliedIndex + 1, configurable: true });
  renew();
  world.clock.advance(999);
  assert.equal(answers.length, 2);
  world.clock.advance(1);
  assert.deepEqual(answers.slice(2), [408]);
  Reflect.deleteProperty(server, 'committedIndex');
  member.stop();
});

test('while a quorum can not be reached no lease is renewed, and nothing is said of a downgrade', async () => {
  const { member, peer } = await follower();
  const { clock } = member.world;
  // It leads again, and the other falls silent before it can confirm that.
  peer.send({ type: MessageType.MsgTimeoutNow });
  assert.ok(clock.advanceUntil(() => member.server.isLeader && member.server.lessor.isPrimary, 20_000));
  peer.isThere = false;
  const statuses: number[] = [];
  const collect = ({ status }: PeerResponse): void => void statuses.push(status);
  answerPeerRequest(member.server, { method: 'POST', path: '/leases', ...renewal(5) }, collect);
  answerPeerRequest(member.server, { method: 'POST', path: '/leases/internal', ...lookup(5) }, collect);
  answerPeerRequest(member.server, { method: 'GET', path: '/downgrade/enabled' }, collect);
  clock.advance(100);
  assert.deepEqual(statuses, []);
  clock.advance(20_000);
  assert.deepEqual(statuses.toSorted(), [400, 500, 500]);
  member.stop();
});

test('a request without a body, or with one of another message, is a bad request', async () => {
  const member = await SingleMember.start();
  for (const [method, path, more] of [
    ['POST', '/leases/internal', {}],
    ['POST', '/leases/internal', { body: Buffer.from([0x0a, 0x7f]) }],
    ['POST', '/leases', { body: Buffer.from([0x08]) }],
    ['GET', '/members/hashkv', {}],
    ['GET', '/members/hashkv', { body: Buffer.from('{"revision":1.5}') }],
    ['GET', '/members/hashkv', { body: Buffer.from('{"revision":9007199254740993}') }],
    ['GET', '/members/hashkv', { body: Buffer.from('{"revision":null}') }],
  ] as const) {
    assert.equal(ask(member, method, path, more).status, 400, `${path} ${JSON.stringify(more)}`);
  }
  member.stop();
});
