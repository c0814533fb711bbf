/**
 * A member as one of a cluster: what only the leader knows ({@link LeaderRequests}, {@link LeaseRequests}) or may decide
 * (what {@link memberLeases} has revoked and checkpointed), what each member tells the others about itself and what they agree on
 * ({@link ClusterAttributes}), and changes of the membership ({@link Reconfiguration}).
 *
 * What only the leader may decide is never passed on: it is void once another member leads.
 */
export { ClusterAttributes } from './cluster-attributes.ts';
export { LeaderRequests } from './leader-requests.ts';
export { LeaseRequests } from './lease-requests.ts';
export { leaseTimeToLive } from './lease-time-to-live.ts';
export { memberLeases } from './member-leases.ts';
export { Proposals } from './proposals.ts';
export { Reconfiguration } from './reconfiguration.ts';
export { Releases } from './releases.ts';
