import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import {
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseLeasesRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  PutRequest,
} from '@etcd/api/etcdserverpb';
import { KvService, LeaseService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { OPEN_ACCESS } from '../apply/access.ts';
import { FakeMember } from './testing/served-member.ts';

const { leaseGrant, leaseKeepAlive, leaseLeases, leaseRevoke, leaseTimeToLive } = LeaseService.methods;
const key = Buffer.from('key');

function withLease(id: bigint, ttl = 60): FakeMember {
  const member = new FakeMember();
  member.ask(leaseGrant, new LeaseGrantRequest({ id, ttl }));
  return member;
}

test('a lease gets the id that was asked for, or one that no lease has', () => {
  const member = withLease(5n);
  const again = member.call(leaseGrant, new LeaseGrantRequest({ id: 5n, ttl: 60 }));
  assert.equal(again?.message, RPC_ERRORS.ErrGRPCLeaseExist.message);
  const ids = [1, 2, 3].map(() => member.ask(leaseGrant, new LeaseGrantRequest({ ttl: 60 })).id);
  assert.equal(new Set(ids).size, 3);
  for (const id of ids) assert.ok(id > 0n && id !== 5n);
  assert.deepEqual(
    member
      .ask(leaseLeases, new LeaseLeasesRequest())
      .leases.map(({ id }) => id)
      .sort(),
    [5n, ...ids].sort(),
  );
});

test('a lease without a time to live is refused', () => {
  const tooLong = new LeaseGrantRequest({ id: 1n, ttl: 9_000_000_001 });
  assert.equal(
    new FakeMember().call(leaseGrant, tooLong)?.message,
    INTERNAL_ERRORS.lease.ErrLeaseTTLTooLarge.rpc.message,
  );
});

test('a lease that is revoked is gone, with its keys', () => {
  const member = withLease(5n);
  member.ask(KvService.methods.put, new PutRequest({ key, lease: 5n }));
  const { keys, grantedTtl } = member.ask(
    leaseTimeToLive,
    new LeaseTimeToLiveRequest({ id: 5n, keys: true }),
  );
  assert.deepEqual([keys.map(String), grantedTtl], [['key'], 60]);
  const { keys: untold } = member.ask(leaseTimeToLive, new LeaseTimeToLiveRequest({ id: 5n }));
  assert.deepEqual(untold, []);
  assert.equal(member.ask(leaseRevoke, new LeaseRevokeRequest({ id: 5n })).header!.revision, 3);
  assert.equal(member.ask(leaseTimeToLive, new LeaseTimeToLiveRequest({ id: 5n })).ttl, -1);
  const again = member.call(leaseRevoke, new LeaseRevokeRequest({ id: 5n }));
  assert.equal(again?.message, RPC_ERRORS.ErrGRPCLeaseNotFound.message);
});

test('without room no lease is granted', () => {
  const member = new FakeMember({ quotaBytes: 1 });
  const refused = member.call(leaseGrant, new LeaseGrantRequest({ ttl: 5 }));
  assert.equal(refused?.message, RPC_ERRORS.ErrGRPCNoSpace.message);
  assert.deepEqual(member.log.told, ['no space']);
});

test('keepalives are answered in order, those for leases that are gone with no time', () => {
  const member = withLease(5n);
  const stream = member.open(leaseKeepAlive);
  for (const id of [5n, 6n, 5n]) stream.send(new LeaseKeepAliveRequest({ id }));
  member.clock.advance(10);
  assert.deepEqual(
    stream.responses.map(({ id, ttl }) => [id, ttl]),
    [
      [5n, 60],
      [6n, 0],
      [5n, 60],
    ],
  );
  stream.halfClose();
  assert.equal(stream.end?.code, GrpcCode.OK);
});

test('a lease that is kept alive does not end', () => {
  const member = withLease(5n, 10);
  const stream = member.open(leaseKeepAlive);
  for (let i = 0; i < 10; i++) {
    member.clock.advance(6000);
    stream.send(new LeaseKeepAliveRequest({ id: 5n }));
  }
  assert.ok(member.lessor.has(5n));
  assert.ok(member.ask(leaseTimeToLive, new LeaseTimeToLiveRequest({ id: 5n })).ttl >= 9);
});

test('a stream ends when the member can not renew, when it stops, and when its data are wrong', () => {
  const noLeader = withLease(5n);
  const failing = noLeader.open(leaseKeepAlive);
  noLeader.leader = 0n;
  noLeader.lessor.demote();
  failing.send(new LeaseKeepAliveRequest({ id: 5n }));
  noLeader.clock.advance(1000);
  assert.equal(failing.end?.message, RPC_ERRORS.ErrGRPCNoLeader.message);

  const stopping = new FakeMember();
  const stopped = stopping.open(leaseKeepAlive);
  stopping.services.stop();
  stopping.clock.settle();
  assert.equal(stopped.end?.message, RPC_ERRORS.ErrGRPCStopped.message);

  const wrong = new FakeMember();
  const fenced = wrong.open(leaseKeepAlive);
  wrong.fence();
  assert.equal(fenced.end?.message, RPC_ERRORS.ErrGRPCCorrupt.message);
});

test('a stream whose client wants a leader ends after some elections without one', () => {
  const member = new FakeMember();
  const careful = member.open(leaseKeepAlive, [['hasleader', 'true']]);
  const patient = member.open(leaseKeepAlive);
  member.clock.advance(5000);
  assert.ok(careful.isOpen);
  member.leader = 0n;
  member.clock.advance(2500);
  assert.ok(careful.isOpen, 'a short election is waited for');
  member.clock.advance(1000);
  assert.equal(careful.end?.message, RPC_ERRORS.ErrGRPCNoLeader.message);
  assert.ok(patient.isOpen);
});

test('each keepalive is judged, by the token that its client has then', () => {
  const member = withLease(5n);
  member.users.set('alice', { name: 'alice', revision: 1 });
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true };
  const stream = member.open(leaseKeepAlive, [['token', 'alice']]);
  stream.send(new LeaseKeepAliveRequest({ id: 5n }));
  assert.equal(stream.responses.length, 1);
  member.users.delete('alice');
  stream.send(new LeaseKeepAliveRequest({ id: 5n }));
  assert.equal(stream.end?.message, RPC_ERRORS.ErrGRPCInvalidAuthToken.message);
  assert.equal(stream.responses.length, 1);
});

test('S05 names of keys are told to those only who may read them', () => {
  const member = withLease(5n);
  const asked: string[] = [];
  member.users.set('alice', { name: 'alice', revision: 1 });
  const leaseKeys = (_identity: unknown, lease: bigint, access: string) => {
    asked.push(`${access} ${lease}`);
    return INTERNAL_ERRORS.auth.ErrPermissionDenied;
  };
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true, leaseKeys };
  const token = [['token', 'alice']] as const;
  const withKeys = member.call(leaseTimeToLive, new LeaseTimeToLiveRequest({ id: 5n, keys: true }), token);
  assert.equal(withKeys?.code, GrpcCode.PermissionDenied);
  const without = member.call(leaseTimeToLive, new LeaseTimeToLiveRequest({ id: 5n }), token);
  assert.equal(without?.code, GrpcCode.OK);
  assert.deepEqual(asked, ['read 5']);
});

test('a stream that ends, for whatever reason, is forgotten', () => {
  const member = withLease(5n);
  member.users.set('alice', { name: 'alice', revision: 1 });
  const open = () => member.open(leaseKeepAlive, [['token', 'alice']]);
  const ends: (() => void)[] = [
    () => open().cancel(),
    () => open().halfClose(),
    () => open().sendBytes(Uint8Array.of(0xff)),
    () => {
      member.leader = 0n;
      member.lessor.demote();
      open().send(new LeaseKeepAliveRequest({ id: 5n }));
      member.clock.advance(1000);
    },
    () => {
      const stream = open();
      member.log.rules = { ...OPEN_ACCESS, isEnabled: true };
      member.users.delete('alice');
      stream.send(new LeaseKeepAliveRequest({ id: 5n }));
    },
  ];
  for (const [i, end] of ends.entries()) {
    end();
    assert.equal(member.services.streamCount, 0, `end ${i}`);
  }
});

test('S20 a client that sends keepalives faster than they can be confirmed is read no further, and loses none', () => {
  const member = withLease(5n);
  member.confirming = [];
  const stream = member.open(leaseKeepAlive);
  for (let i = 0; i < 500; i++) stream.send(new LeaseKeepAliveRequest({ id: 5n }));
  const method = [...member.grpc.methods].find(({ path }) => path === leaseKeepAlive.path)!;
  assert.ok(method.messagesReceived <= 2, `${method.messagesReceived} were taken, of which one is at work`);
  while (member.confirming.length > 0) {
    for (const confirm of member.confirming.splice(0)) confirm();
    member.clock.settle();
  }
  assert.equal(stream.responses.length, 500);
});

test('a keepalive that is none is counted as a failure of its stream', () => {
  const member = withLease(5n);
  const { serverStreamFailuresTotal } = member.metrics.handles;
  member.open(leaseKeepAlive).sendBytes(Uint8Array.of(0xff));
  assert.equal(serverStreamFailuresTotal.labels('receive', 'lease-keepalive').value, 1);
});
