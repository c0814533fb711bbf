/**
 * How far this member, when it leads, raises the version of its cluster: `--max-cluster-version`.
 *
 * The cluster version decides which fields, log entries and buckets may be written, and with that which releases can
 * still open the data directory. Go etcd raises it, for good, as soon as every member could; here the way back stays
 * open until somebody closes it:
 *
 *  - `keep` (the default): a cluster that has a version keeps it; a new cluster starts, as etcd's do, at the version of its
 *    oldest member.
 *  - `3.5`, `3.6`, `3.7`: a new cluster starts there, and an older one is raised to it once all its members
 *    can follow.
 *
 * The setting never lowers a version (`etcdctl downgrade` does), and a Go leader does not ask for it.
 */

export const MAX_CLUSTER_VERSION_VALUES = ['keep', '3.5', '3.6', '3.7'] as const;

export type MaxClusterVersion = (typeof MAX_CLUSTER_VERSION_VALUES)[number];

/** As `3.5`: major and minor, which is all that a cluster version has. */
export type ClusterVersion = `${number}.${number}`;

/** Below this it is no decision, only the version that a cluster has while not all of its members have said what they are. */
const LOWEST_DECIDED_VERSION: ClusterVersion = '3.4';

/** The version of a cluster that has none yet. `lowestMember` is the oldest member's, which bounds it. */
export function newClusterVersion(limit: MaxClusterVersion, lowestMember: ClusterVersion): ClusterVersion {
  return limit === 'keep' || compareClusterVersions(limit, lowestMember) > 0 ? lowestMember : limit;
}

/** What the leader sets in place of `current`; equal to it when there is nothing to do. Never lower. */
export function raisedClusterVersion(
  limit: MaxClusterVersion,
  current: ClusterVersion,
  lowestMember: ClusterVersion,
): ClusterVersion {
  if (limit === 'keep') {
    const isDecided = compareClusterVersions(current, LOWEST_DECIDED_VERSION) >= 0;
    const target = newClusterVersion(limit, lowestMember);
    return isDecided || compareClusterVersions(target, current) < 0 ? current : target;
  }
  const target = compareClusterVersions(limit, lowestMember) > 0 ? lowestMember : limit;
  return compareClusterVersions(target, current) > 0 ? target : current;
}

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`. */
export function compareClusterVersions(a: ClusterVersion, b: ClusterVersion): number {
  const [aMajor, aMinor] = a.split('.').map(Number) as [number, number];
  const [bMajor, bMinor] = b.split('.').map(Number) as [number, number];
  return aMajor - bMajor || aMinor - bMinor;
}
