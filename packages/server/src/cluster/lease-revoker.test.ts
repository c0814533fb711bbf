import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { LeaseRevokeRequest } from '@etcd/api/etcdserverpb';
import { SILENT_LOGGER } from '@etcd/base';
import { type PendingWaiter, type Propose, waiterOf } from '../request/index.ts';
import { LeaseRevoker } from './lease-revoker.ts';

test('a lease that was renewed while its revocation waited is not revoked', () => {
  const expired = new Set(Array.from({ length: 20 }, (_, i) => BigInt(i + 1)));
  const proposed: { id: bigint; waiter: PendingWaiter }[] = [];
  const propose: Propose = (_kind, request, waiter) => {
    assert.ok(request instanceof LeaseRevokeRequest);
    proposed.push({ id: request.id, waiter });
  };
  const revoker = new LeaseRevoker({
    logger: SILENT_LOGGER,
    propose,
    confirmLeadership: (then) => then(true),
    isExpired: (id) => expired.has(id),
    onExpired: () => {},
  });
  revoker.revoke([...expired]);
  assert.equal(proposed.length, 16, 'the others wait');
  // Meanwhile another led, and then this member again: the lease has a full term before it.
  expired.delete(17n);
  proposed[0]!.waiter.onFailed(INTERNAL_ERRORS.errors.ErrTimeout);
  waiterOf(proposed[1]!.waiter, 'leaseRevoke')!.onApplied({ revision: 1 });
  assert.deepEqual(
    proposed.slice(16).map(({ id }) => id),
    [18n, 19n],
  );
});

function setUp(leads = true) {
  const proposed: { id: bigint; waiter: PendingWaiter }[] = [];
  const counts = { expired: 0, warnings: [] as string[] };
  const revoker = new LeaseRevoker({
    logger: { ...SILENT_LOGGER, warn: (message) => void counts.warnings.push(message) },
    propose: (_kind, request, waiter) => {
      assert.ok(request instanceof LeaseRevokeRequest);
      proposed.push({ id: request.id, waiter });
    },
    confirmLeadership: (then) => then(leads),
    isExpired: () => true,
    onExpired: () => counts.expired++,
  });
  const apply = (i: number): void => waiterOf(proposed[i]!.waiter, 'leaseRevoke')!.onApplied({ revision: 1 });
  return { proposed, counts, revoker, apply };
}

test('a member that does not surely lead revokes nothing', () => {
  const { proposed, counts, revoker } = setUp(false);
  revoker.revoke([1n, 2n]);
  assert.deepEqual([proposed.length, counts.warnings.length], [0, 1]);
});

test('S20 sixteen revocations are under way at a time, and each that ends makes room for the next', () => {
  const { proposed, counts, revoker, apply } = setUp();
  revoker.revoke(Array.from({ length: 40 }, (_, i) => BigInt(i)));
  for (let i = 0; i < 40; i++) {
    assert.equal(proposed.length, Math.min(40, 16 + i));
    apply(i);
  }
  assert.deepEqual([proposed.length, counts.expired], [40, 40]);
});

test('a revocation that fails is logged with the lease, counts as none, and makes room as well', () => {
  const { proposed, counts, revoker } = setUp();
  revoker.revoke(Array.from({ length: 17 }, (_, i) => BigInt(i)));
  proposed[0]!.waiter.onFailed(INTERNAL_ERRORS.errors.ErrTimeout);
  assert.deepEqual([proposed.length, counts.expired], [17, 0]);
  assert.deepEqual(counts.warnings, ['failed to revoke lease']);
});

test('a lease that is handed out again while its revocation waits, or is slow, is not revoked twice', () => {
  const { proposed, revoker, apply } = setUp();
  const ids = Array.from({ length: 20 }, (_, i) => BigInt(i));
  for (let i = 0; i < 3; i++) revoker.revoke(ids);
  for (let i = 0; i < proposed.length; i++) apply(i);
  assert.deepEqual(
    proposed.map(({ id }) => id),
    ids,
  );
  // One whose revocation was lost is revoked when it is handed out the next time.
  revoker.revoke([1n]);
  proposed[20]!.waiter.onFailed(INTERNAL_ERRORS.errors.ErrTimeout);
  revoker.revoke([1n]);
  assert.equal(proposed.length, 22);
});
