/** Leases as a member has them: as clients ask for them; those that expire are revoked through the log, while this member leads. */
import type { Lessor } from '@etcd/storage/lease';
import type { MemberEnvironment } from '../consensus/index.ts';
import { leaseCheckpointer } from './lease-checkpointer.ts';
import { LeaseRequests, type LeaseRequestsOptions } from './lease-requests.ts';
import { LeaseRevoker } from './lease-revoker.ts';
import type { Proposals } from './proposals.ts';

export interface MemberLeasesOptions
  extends Pick<MemberEnvironment, 'clock' | 'config' | 'ids' | 'logger' | 'metrics'>,
    Pick<LeaseRequestsOptions, 'confirmLeadership' | 'leader' | 'whenCaughtUp'> {
  readonly lessor: Lessor;
  readonly proposals: Pick<Proposals, 'proposeAsLeader'>;
}

/** Tells the lessor what to do with leases that expire, and gives what clients ask of. */
export function memberLeases(options: MemberLeasesOptions): LeaseRequests {
  const { config, lessor, metrics } = options;
  const { proposeAsLeader } = options.proposals;
  const revoker = new LeaseRevoker({
    ...options,
    propose: proposeAsLeader,
    isExpired: (id) => (lessor.lookup(id)?.remainingMs ?? 1) <= 0,
    onExpired: () => metrics.leaseExpiredTotal.inc(),
  });
  lessor.setExpiredHandler((leaseIds) => revoker.revoke(leaseIds));
  lessor.setCheckpointer(leaseCheckpointer(proposeAsLeader), config.featureGates.LeaseCheckpoint);
  return new LeaseRequests({ ...options, onRenewed: () => metrics.leaseRenewedTotal.inc() });
}
