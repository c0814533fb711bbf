import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import {
  CompactionRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  PutRequest,
} from '@etcd/api/etcdserverpb';
import { LeaseService, LockService } from '@etcd/api/services';
import { LockRequest, type LockResponse, UnlockRequest } from '@etcd/api/v3lockpb';
import { GrpcCode } from '@etcd/base';
import { executeRange } from '@etcd/storage/mvcc';
import { OPEN_ACCESS } from '../../apply/access.ts';
import { FakeMember, type TestStream } from '../testing/served-member.ts';
import { firstRequest } from './queue-requests.ts';

const { lock, unlock } = LockService.methods;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const NAME = bytes('m');

/** A member with leases 1 to 9. */
function newMember(): FakeMember {
  const member = new FakeMember();
  for (let id = 1n; id < 10n; id++) {
    member.log.replay('leaseGrant', new LeaseGrantRequest({ id, ttl: 1000 }));
  }
  return member;
}

/** A call that can be given up. */
function waiting(member: FakeMember, lease: bigint, token?: string): TestStream<LockRequest, LockResponse> {
  const stream = member.open(lock, token === undefined ? [] : [['token', token]]);
  stream.send(new LockRequest({ name: NAME, lease }));
  return stream;
}

function release(member: FakeMember, key: string): void {
  member.ask(unlock, new UnlockRequest({ key: bytes(key) }));
  member.clock.advance(200);
}

function contenders(member: FakeMember): number {
  return executeRange(member.store, firstRequest(bytes('m/'))).count;
}

const keyOf = ({ responses }: TestStream<LockRequest, LockResponse>): string | null =>
  responses[0] === undefined ? null : Buffer.from(responses[0].key).toString();

test('a lock is the first key under its name, put for the lease of its holder', () => {
  const member = newMember();
  const held = member.ask(lock, new LockRequest({ name: NAME, lease: 7n }));
  assert.equal(Buffer.from(held.key).toString(), 'm/7');
  assert.equal(held.header!.revision, member.store.revision);
  const asked = new LeaseTimeToLiveRequest({ id: 7n, keys: true });
  assert.deepEqual(member.ask(LeaseService.methods.leaseTimeToLive, asked).keys.map(String), ['m/7']);
  const again = member.ask(lock, new LockRequest({ name: NAME, lease: 7n }));
  assert.deepEqual([again.key, member.store.revision], [held.key, held.header!.revision]);
});

test('whoever has no lease gets one that lives for a minute', () => {
  const member = new FakeMember();
  const { key } = member.ask(lock, new LockRequest({ name: NAME }));
  const [id] = member.lessor.leases();
  assert.equal(Buffer.from(key).toString(), `m/${id!.toString(16)}`);
  const asked = new LeaseTimeToLiveRequest({ id: id! });
  assert.equal(member.ask(LeaseService.methods.leaseTimeToLive, asked).grantedTtl, 60);
});

test('others wait, and have their turn in the order in which they came', () => {
  const member = newMember();
  const first = waiting(member, 1n);
  const second = waiting(member, 2n);
  const third = waiting(member, 3n);
  assert.deepEqual([first, second, third].map(keyOf), ['m/1', null, null]);
  release(member, 'm/1');
  assert.deepEqual([second, third].map(keyOf), ['m/2', null]);
  release(member, 'm/2');
  assert.deepEqual([third].map(keyOf), ['m/3']);
  assert.equal(member.watches.streamCount, 0, 'nobody watches any more');
});

test('one in the middle that goes is not waited for, and its key is gone', () => {
  const member = newMember();
  waiting(member, 1n);
  const second = waiting(member, 2n);
  const third = waiting(member, 3n);
  assert.equal(contenders(member), 3);
  second.cancel();
  member.clock.advance(200);
  assert.equal(contenders(member), 2);
  assert.equal(keyOf(third), null, 'the first still has it');
  release(member, 'm/1');
  assert.equal(keyOf(third), 'm/3');
});

test('one that asks again for what it holds, and goes, does not lose it', () => {
  const member = newMember();
  assert.equal(keyOf(waiting(member, 1n)), 'm/1');
  const stream = member.open(lock);
  member.proposals.propose = new Proxy(member.proposals.propose, {
    apply: (target, self, args) => {
      stream.cancel();
      return Reflect.apply(target, self, args);
    },
  });
  stream.send(new LockRequest({ name: NAME, lease: 1n }));
  member.clock.advance(200);
  assert.equal(contenders(member), 1);
});

test('one that goes before its key is there leaves nothing', () => {
  const member = newMember();
  const stream = member.open(lock);
  member.proposals.propose = new Proxy(member.proposals.propose, {
    apply: (target, self, args) => {
      stream.cancel();
      return Reflect.apply(target, self, args);
    },
  });
  stream.send(new LockRequest({ name: NAME, lease: 1n }));
  member.clock.advance(200);
  assert.equal(contenders(member), 0);
  assert.equal(member.store.revision, 3, 'it was put, and deleted');
});

test('a contender whose lease has ended meanwhile does not have the lock', () => {
  const member = newMember();
  waiting(member, 1n);
  const second = waiting(member, 2n);
  member.log.replay('leaseRevoke', new LeaseRevokeRequest({ id: 2n }));
  member.clock.advance(200);
  assert.ok(second.isOpen);
  release(member, 'm/1');
  assert.deepEqual(second.end, { code: GrpcCode.Unknown, message: 'mutex: session is expired' });
});

test('what is waited for may be compacted away', () => {
  const member = newMember();
  waiting(member, 1n);
  const second = waiting(member, 2n);
  for (const value of ['a', 'b'])
    member.log.replay('put', new PutRequest({ key: bytes('x'), value: bytes(value) }));
  member.log.replay('compaction', new CompactionRequest({ revision: member.store.revision }));
  member.clock.advance(1000);
  release(member, 'm/1');
  assert.equal(keyOf(second), 'm/2');
});

test('errors have the text of etcd, and the code that its own client leaves them with', () => {
  const member = newMember();
  const answered = member.call(lock, new LockRequest({ name: NAME, lease: 99n }));
  assert.deepEqual(
    [answered?.code, answered?.message],
    [GrpcCode.Unknown, RPC_ERRORS.ErrGRPCLeaseNotFound.message],
  );
  const empty = member.call(unlock, new UnlockRequest());
  assert.deepEqual([empty?.code, empty?.message], [GrpcCode.Unknown, RPC_ERRORS.ErrGRPCEmptyKey.message]);
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  waiting(member, 1n);
  const second = waiting(member, 2n);
  assert.deepEqual(second.end, { code: GrpcCode.Unknown, message: RPC_ERRORS.ErrGRPCTimeout.message });
  member.clock.advance(200);
  assert.equal(contenders(member), 1, 'it does not stand in the way of others');
});

test('a full database has no room for a lease, nor for a place', () => {
  const member = new FakeMember({ quotaBytes: 1 });
  for (const lease of [0n, 7n]) {
    const answered = member.call(lock, new LockRequest({ name: NAME, lease }));
    assert.deepEqual(
      [answered?.code, answered?.message],
      [GrpcCode.Unknown, RPC_ERRORS.ErrGRPCNoSpace.message],
    );
  }
});

test('who waits is told when the member stops, or must not tell any more what it has, and leaves the queue', () => {
  for (const [end, { code, message }] of [
    [(member: FakeMember) => member.services.stop(), RPC_ERRORS.ErrGRPCStopped],
    [(member: FakeMember) => member.fence(), RPC_ERRORS.ErrGRPCCorrupt],
  ] as const) {
    const member = newMember();
    waiting(member, 1n);
    const second = waiting(member, 2n);
    end(member);
    member.clock.advance(200);
    assert.deepEqual(second.end, { code, message });
    assert.equal(contenders(member), 1);
  }
});

test('S04 each step is judged in the name of who calls, as his token has it then', () => {
  const member = newMember();
  const asked: string[] = [];
  const judge = (what: string) => (identity: { readonly name: string }) => {
    asked.push(`${what} by ${identity.name}`);
    return identity.name === 'root' ? null : INTERNAL_ERRORS.auth.ErrPermissionDenied;
  };
  for (const name of ['alice', 'root']) member.users.set(name, { name, revision: 1 });
  waiting(member, 1n);
  member.log.rules = {
    ...OPEN_ACCESS,
    isEnabled: true,
    txn: judge('txn'),
    range: judge('range'),
    deleteRange: judge('delete'),
  };
  const denied = waiting(member, 2n, 'alice');
  assert.deepEqual(denied.end, {
    code: GrpcCode.Unknown,
    message: RPC_ERRORS.ErrGRPCPermissionDenied.message,
  });
  const forged = waiting(member, 2n, 'forged');
  assert.deepEqual(forged.end, {
    code: GrpcCode.Unknown,
    message: RPC_ERRORS.ErrGRPCInvalidAuthToken.message,
  });
  const waits = waiting(member, 2n, 'root');
  assert.deepEqual(asked, ['txn by alice', 'txn by root', 'range by root', 'range by root']);
  member.users.delete('root');
  member.log.rules = { ...member.log.rules, deleteRange: () => null };
  release(member, 'm/1');
  member.clock.advance(200);
  assert.equal(keyOf(waits), null, 'the token has ended');
  assert.equal(waits.end?.message, RPC_ERRORS.ErrGRPCInvalidAuthToken.message);
  assert.equal(contenders(member), 0, 'the place is given up in the name that it was taken in');
});
