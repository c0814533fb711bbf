import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { LeaseCheckpoint, LeaseCheckpointRequest } from '@etcd/api/etcdserverpb';
import { type PendingWaiter, type Propose, waiterOf } from '../request/index.ts';
import { leaseCheckpointer } from './lease-checkpointer.ts';

test('checkpoints go into the log as one request, and their outcome comes back', () => {
  const proposed: { kind: string; request: object; waiter: PendingWaiter }[] = [];
  const propose: Propose = (kind, request, waiter) => void proposed.push({ kind, request, waiter });
  const checkpoint = leaseCheckpointer(propose);
  const outcomes: (InternalError | null)[] = [];
  const due = [
    { id: 7n, remainingTtl: 1000 },
    { id: 8n, remainingTtl: 0 },
  ];
  checkpoint(due, (error) => outcomes.push(error));
  checkpoint(due, (error) => outcomes.push(error));
  assert.deepEqual([proposed.length, outcomes], [2, []]);
  const [first, second] = proposed;
  assert.equal(first!.kind, 'leaseCheckpoint');
  const checkpoints = due.map((checkpoint) => new LeaseCheckpoint(checkpoint));
  assert.deepEqual(first!.request, new LeaseCheckpointRequest({ checkpoints }));
  waiterOf(first!.waiter, 'leaseCheckpoint')!.onApplied({ revision: 1 });
  second!.waiter.onFailed(INTERNAL_ERRORS.errors.ErrTimeout);
  assert.deepEqual(outcomes, [null, INTERNAL_ERRORS.errors.ErrTimeout]);
});
