import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { decodeLeaseCheckpointRequest } from '@etcd/api/etcdserverpb';
import type { Waiter } from '../request/index.ts';
import { RequestField } from '../request/index.ts';
import { leaseCheckpointer } from './lease-checkpointer.ts';

test('checkpoints go into the log as one request, and their outcome comes back', () => {
  const proposed: { field: number; bytes: Uint8Array; waiter: Waiter }[] = [];
  const checkpoint = leaseCheckpointer((field, bytes, waiter) => proposed.push({ field, bytes, waiter }));
  const outcomes: (InternalError | null)[] = [];
  const due = [
    { id: 7n, remainingTtl: 1000 },
    { id: 8n, remainingTtl: 0 },
  ];
  checkpoint(due, (error) => outcomes.push(error));
  checkpoint(due, (error) => outcomes.push(error));
  assert.deepEqual([proposed.length, outcomes], [2, []]);
  const [first, second] = proposed;
  assert.equal(first!.field, RequestField.LEASE_CHECKPOINT);
  const { checkpoints } = decodeLeaseCheckpointRequest(first!.bytes);
  assert.deepEqual(
    checkpoints.map(({ id, remainingTtl }) => ({ id, remainingTtl })),
    due,
  );
  first!.waiter.onApplied({});
  second!.waiter.onFailed(INTERNAL_ERRORS.errors.ErrTimeout);
  assert.deepEqual(outcomes, [null, INTERNAL_ERRORS.errors.ErrTimeout]);
});
