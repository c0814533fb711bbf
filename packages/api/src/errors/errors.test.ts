import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrpcCode, grpcCodeFrom, grpcCodeName, InvariantError } from '@etcd/base';
import { EtcdError } from './etcd-error.ts';
import { INTERNAL_ERRORS } from './internal-errors.ts';
import { RPC_ERRORS } from './rpc-errors.ts';

test('codes have the numbers and names of gRPC', () => {
  assert.equal(GrpcCode.OK, 0);
  assert.equal(GrpcCode.Unauthenticated, 16);
  assert.equal(grpcCodeName(GrpcCode.FailedPrecondition), 'FailedPrecondition');
  assert.equal(grpcCodeName(42), 'Code(42)');
  assert.equal(grpcCodeFrom(14), GrpcCode.Unavailable);
  for (const odd of [17, -1, 1.5, Number.NaN]) assert.equal(grpcCodeFrom(odd), GrpcCode.Unknown);
});

test('every error is frozen, and the text of an RPC error begins as clients expect', () => {
  for (const [name, entry] of Object.entries(RPC_ERRORS)) {
    assert.equal(entry.name, name);
    assert.ok(Object.isFrozen(entry));
    if (name.startsWith('Err')) assert.match(entry.message, /^etcdserver: /);
  }
});

test('internal errors reach a client as what etcd maps them to, or as Unknown with their own text', () => {
  const { auth, errors, lease, membership, mvcc } = INTERNAL_ERRORS;
  assert.equal(mvcc.ErrCompacted.rpc, RPC_ERRORS.ErrGRPCCompacted);
  assert.equal(lease.ErrLeaseNotFound.rpc, RPC_ERRORS.ErrGRPCLeaseNotFound);
  assert.equal(membership.ErrIDRemoved.rpc, RPC_ERRORS.ErrGRPCMemberNotFound);
  assert.equal(auth.ErrUserAlreadyExist.rpc.message, 'etcdserver: user name already exists');
  assert.deepEqual(errors.ErrUnknownMethod.rpc, {
    name: 'errors.ErrUnknownMethod',
    code: GrpcCode.Unknown,
    message: 'etcdserver: unknown method',
  });
  for (const errorsOfPackage of Object.values(INTERNAL_ERRORS)) {
    for (const entry of Object.values(errorsOfPackage)) {
      if (!Object.values(RPC_ERRORS).includes(entry.rpc)) {
        assert.equal(entry.rpc.code, GrpcCode.Unknown);
        assert.equal(entry.rpc.message, entry.message);
      }
    }
  }
});

test('the two errors that Go etcd sends without a status travel as Unknown', () => {
  const { errors } = INTERNAL_ERRORS;
  assert.equal(errors.ErrNotEnoughStartedMembers.rpc.code, GrpcCode.Unknown);
  assert.equal(errors.ErrTooManyRequests.rpc.code, GrpcCode.Unknown);
  assert.equal(errors.ErrTooManyRequests.rpc.message, 'etcdserver: too many requests');
});

test('a client knows an error by its text and keeps what it does not know', () => {
  const known = EtcdError.fromStatus(GrpcCode.Unknown, 'etcdserver: too many requests');
  assert.equal(known.entry, RPC_ERRORS.ErrGRPCRequestTooManyRequests);
  assert.equal(known.code, GrpcCode.ResourceExhausted);
  const other = EtcdError.fromStatus(GrpcCode.Internal, 'something else');
  assert.equal(other.code, GrpcCode.Internal);
  assert.equal(other.message, 'something else');
  assert.equal(other.entry.name, 'Internal');
});

test('whatever is thrown becomes an EtcdError with its cause, but a broken invariant stays one', () => {
  const original = EtcdError.fromInternal(INTERNAL_ERRORS.mvcc.ErrFutureRev);
  assert.equal(EtcdError.from(original), original);
  const cause = new TypeError('no');
  const wrapped = EtcdError.from(cause);
  assert.equal(wrapped.code, GrpcCode.Unknown);
  assert.equal(wrapped.message, 'no');
  assert.equal(wrapped.cause, cause);
  assert.equal(EtcdError.from('text').message, 'text');
  assert.throws(() => EtcdError.from(new InvariantError('broken')), InvariantError);
});
