import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import {
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  MoveLeaderRequest,
  PutRequest,
  RangeRequest,
  WatchCreateRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import { KvService, LeaseService, MaintenanceService, WatchService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import { OPEN_ACCESS } from '../apply/access.ts';
import { FakeMember } from './testing/served-member.ts';

const { range } = KvService.methods;
const { leaseGrant, leaseKeepAlive } = LeaseService.methods;
const { moveLeader } = MaintenanceService.methods;
const { watch } = WatchService.methods;
const ALICE: Identity = { name: 'alice', revision: 1 };
/** A token that this member has yet to learn of. */
const LATE = [['token', 'late']] as const;
const key = Buffer.from('k');

/** Tokens are waited for; only alice may do anything. */
function waitingMember(): FakeMember {
  const member = new FakeMember();
  for (const id of [1n, 2n, 3n]) member.ask(leaseGrant, new LeaseGrantRequest({ id, ttl: 60 }));
  member.resolving = [];
  const onlyAlice = ({ name }: Identity) =>
    name === ALICE.name ? null : INTERNAL_ERRORS.auth.ErrPermissionDenied;
  member.log.rules = {
    ...OPEN_ACCESS,
    isEnabled: true,
    user: onlyAlice,
    admin: onlyAlice,
    range: onlyAlice,
    leaseKeys: onlyAlice,
  };
  // The token comes to be known, for the messages of streams too.
  member.users.set(ALICE.name, ALICE);
  return member;
}

test('a call whose caller is not known yet waits, and is then judged and answered as any other', () => {
  for (const [identity, code] of [
    [ALICE, GrpcCode.OK],
    [{ name: 'bob', revision: 1 }, GrpcCode.PermissionDenied],
    [null, GrpcCode.Unauthenticated],
  ] as const) {
    const member = waitingMember();
    const stream = member.open(range, LATE);
    stream.send(new RangeRequest({ key }));
    stream.halfClose();
    assert.ok(stream.isOpen, 'nobody knows yet who it is');
    member.resolve(identity);
    assert.equal(stream.end?.code, code);
  }
});

test('a client that has gone before it is known is not served', () => {
  const member = waitingMember();
  const stream = member.open(moveLeader, LATE);
  stream.send(new MoveLeaderRequest({ targetId: 2n }));
  stream.halfClose();
  stream.cancel();
  member.resolve(ALICE);
  assert.deepEqual(member.movedTo, []);
});

test('when authentication is disabled meanwhile nobody is asked who he is', () => {
  const member = waitingMember();
  const stream = member.open(range, LATE);
  stream.send(new RangeRequest({ key }));
  stream.halfClose();
  member.log.rules = OPEN_ACCESS;
  member.resolve(null);
  assert.equal(stream.end?.code, GrpcCode.OK);
});

test('what a stream is sent while its caller is found out is answered in order, to the last and with its end', () => {
  for (const count of [0, 1, 3, 40]) {
    const member = waitingMember();
    const stream = member.open(leaseKeepAlive, LATE);
    const sent = Array.from({ length: count }, (_, i) => BigInt((i % 3) + 1));
    for (const id of sent) stream.send(new LeaseKeepAliveRequest({ id }));
    stream.halfClose();
    assert.deepEqual([stream.responses.length, stream.isOpen], [0, true]);
    member.users.set('late', ALICE);
    member.resolve(ALICE);
    assert.deepEqual(
      stream.responses.map(({ id }) => id),
      sent,
    );
    assert.equal(stream.end?.code, GrpcCode.OK, `${count} keepalives`);
  }
});

test('a stream goes on where it was when its caller has been found out', () => {
  const member = waitingMember();
  const stream = member.open(watch, LATE);
  stream.send(new WatchRequest({ createRequest: new WatchCreateRequest({ key }) }));
  member.users.set('late', ALICE);
  member.resolve(ALICE);
  stream.send(new WatchRequest({ createRequest: new WatchCreateRequest({ key, watchId: 9n }) }));
  assert.deepEqual(
    stream.responses.map(({ created, canceled, watchId }) => [created, canceled, watchId]),
    [
      [true, false, 0n],
      [true, false, 9n],
    ],
  );
});

test('S17 nonsense that was sent meanwhile ends the stream, and what comes behind it is not read', () => {
  const member = waitingMember();
  const stream = member.open(leaseKeepAlive, LATE);
  stream.send(new LeaseKeepAliveRequest({ id: 1n }));
  stream.sendBytes(Uint8Array.of(0xff, 0xff));
  stream.send(new LeaseKeepAliveRequest({ id: 2n }));
  member.users.set('late', ALICE);
  member.resolve(ALICE);
  assert.deepEqual(
    stream.responses.map(({ id }) => id),
    [1n],
  );
  assert.equal(stream.end?.code, GrpcCode.Internal);
});

test('a stream whose token is none is told so with each message, as in etcd', () => {
  const member = waitingMember();
  const stream = member.open(watch, LATE);
  stream.send(new WatchRequest({ createRequest: new WatchCreateRequest({ key }) }));
  member.resolve(null);
  assert.match(stream.responses[0]!.cancelReason, /etcdserver: invalid auth token$/);
  assert.ok(stream.isOpen);
  const keepAlive = member.open(leaseKeepAlive, LATE);
  keepAlive.send(new LeaseKeepAliveRequest({ id: 1n }));
  member.resolve(null);
  assert.equal(keepAlive.end?.message, RPC_ERRORS.ErrGRPCInvalidAuthToken.message);
});

test('a stream whose client goes while it waits leaves nothing behind', () => {
  const member = waitingMember();
  const stream = member.open(watch, LATE);
  stream.send(new WatchRequest({ createRequest: new WatchCreateRequest({ key }) }));
  stream.cancel();
  member.resolve(ALICE);
  assert.deepEqual([member.watches.watcherCount, member.watches.streamCount], [0, 0]);
});

test('a stream of somebody who may not call it at all is refused when that is known', () => {
  const member = waitingMember();
  const { snapshot } = MaintenanceService.methods;
  const stream = member.open(snapshot, LATE);
  stream.send(snapshot.request.create());
  stream.halfClose();
  member.resolve({ name: 'bob', revision: 1 });
  assert.equal(stream.end?.code, GrpcCode.PermissionDenied);
  const put = member.call(KvService.methods.put, new PutRequest({ key }), [['token', 'alice']]);
  assert.equal(put?.code, GrpcCode.OK, 'others are not held up');
});

test('while authentication is off nobody waits, whatever token a stream comes with', () => {
  const member = waitingMember();
  member.log.rules = OPEN_ACCESS;
  const stream = member.open(leaseKeepAlive, LATE);
  stream.send(new LeaseKeepAliveRequest({ id: 1n }));
  assert.equal(stream.responses.length, 1);
  assert.deepEqual(member.resolving, []);
});
