/**
 * How a member without a log finds those with whom it founds a cluster, where nobody lists them: by the SRV records of a domain
 * ({@link peersFromSrv}), or by a service at which all of them register until there are as many as the service says ({@link discover}):
 * another etcd, or one of the older kind that speaks the v2 API.
 *
 * All of them come to the text of an initial cluster, which is then treated as if it had been given. A service that can't be reached is
 * asked again, for as long as it takes; what can't get right by itself is a {@link DiscoveryError}, in etcd's words. Records and keys are
 * etcd's, so that members of both kinds found a cluster together.
 */
export { type DiscoverOptions, discover, type RegistryConfig } from './discover.ts';
export { DiscoveryError } from './discovery-error.ts';
export { peersFromSrv } from './srv-peers.ts';
