/**
 * Records in the log how much is left of long leases, so that the next leader, who knows nothing of what the present one has
 * counted, does not give them their whole TTL again. On with the feature gate `LeaseCheckpoint`.
 */
import { LeaseCheckpoint, LeaseCheckpointRequest } from '@etcd/api/etcdserverpb';
import type { Checkpointer } from '@etcd/storage/lease';
import type { Propose } from '../request/index.ts';

export function leaseCheckpointer(propose: Propose): Checkpointer {
  return (due, done) => {
    const checkpoints = due.map((checkpoint) => new LeaseCheckpoint(checkpoint));
    propose('leaseCheckpoint', new LeaseCheckpointRequest({ checkpoints }), {
      kind: 'leaseCheckpoint',
      request: null,
      onApplied: () => done(null),
      onFailed: done,
    });
  };
}
