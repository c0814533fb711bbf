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
