/**
 * Records in the log how much is left of long leases, so that the next leader, who knows nothing of what the present one has
 * counted, does not give them their whole TTL again. On with the feature gate `LeaseCheckpoint`.
 */
import {
  encodeLeaseCheckpointRequest,
  LeaseCheckpoint,
  LeaseCheckpointRequest,
} from '@etcd/api/etcdserverpb';
import type { Checkpointer } from '@etcd/storage/lease';
import type { Waiter } from '../request/index.ts';
import { RequestField } from '../request/index.ts';

export function leaseCheckpointer(
  propose: (field: number, bytes: Uint8Array, waiter: Waiter) => void,
): Checkpointer {
  return (due, done) => {
    const checkpoints = due.map((checkpoint) => new LeaseCheckpoint(checkpoint));
    const bytes = encodeLeaseCheckpointRequest(new LeaseCheckpointRequest({ checkpoints }));
    propose(RequestField.LEASE_CHECKPOINT, bytes, {
      request: null,
      onApplied: () => done(null),
      onFailed: done,
    });
  };
}
