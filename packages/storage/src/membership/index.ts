/**
 * Who belongs to the cluster. {@link Membership} is the model: a pure function of the log's configuration changes and of the few
 * requests that change attributes, versions and downgrades. Everything else here is about how it is identified, stored
 * and judged.
 *
 * Applying a configuration change: `validateConfChange`; if that gives an error, raft gets the change with node id 0 and the
 * proposer the error; else raft gets the change as it is, `applyConfChange` stores it in the transaction of the entry, and its
 * effect says what to do with the connection to the member. Entries that the database has already (index at or below its
 * consistent index) are not applied again: the membership was read from the same database.
 *
 * Two forms on disk. The backend's buckets ({@link readMembership}, and the writers behind `Membership`) are what a running member
 * writes. The v2 store ({@link encodeV2Store}) goes into every raft snapshot. At a start, and when a database comes from the
 * leader, the log counts: {@link membershipOfSnapshot}, {@link recoverMembership}, and {@link mendMembers} for the buckets.
 *
 * Identities are BigInts, printed with {@link formatId}. Errors that a client is told are entries of `INTERNAL_ERRORS`;
 * what can only mean broken files or a broken peer is thrown as {@link MembershipError}.
 */
export {
  type ClusterVersionDecision,
  type ClusterVersionFacts,
  type DowngradeInfo,
  decideClusterVersion,
  isCompatibleWithCluster,
  isDowngradeComplete,
  isServerTooOld,
  isValidClusterVersionChange,
  lowestMemberVersion,
  MIN_CLUSTER_VERSION,
  NO_DOWNGRADE,
  parseDowngradeTarget,
  validateDowngrade,
} from './cluster-version.ts';
export {
  type BootstrapPeer,
  bootstrapPeers,
  joinCluster,
  newCluster,
  type PeerUrlsByName,
} from './initial-cluster.ts';
export {
  bootstrapProblem,
  formatInitialCluster,
  type InitialCluster,
  joinProblem,
  parseInitialCluster,
  type ResolveHost,
  resolvedUrlText,
} from './initial-cluster-text.ts';
export {
  type Attributes,
  addMemberChange,
  attributesJson,
  computeClusterId,
  computeMemberId,
  formatId,
  isStarted,
  type Member,
  memberJson,
  membersJson,
  newMember,
  parseId,
  parseMember,
  parseMembers,
  promoteMemberChange,
  type RaftAttributes,
  removeMemberChange,
  updateMemberChange,
} from './member.ts';
export {
  type ConfChangeEffect,
  checkConfChange,
  checkV2Request,
  Membership,
  type MembershipOptions,
} from './membership.ts';
export {
  type BucketReader,
  type BucketWriter,
  type MembershipState,
  readMembership,
} from './membership-buckets.ts';
export { MembershipError, type MembershipErrorCode } from './membership-error.ts';
export {
  HEALTH_INTERVAL_MS,
  type ReconfigurationFacts,
  validateAddMember,
  validateLearnerReady,
  validatePromoteMember,
  validateRemoveMember,
} from './reconfiguration.ts';
export {
  EMPTY_MEMBERSHIP,
  type LoggedMembership,
  membershipOfSnapshot,
  mendMembers,
  recoverMembership,
} from './recovery.ts';
export {
  clusterVersionOf,
  compareVersions,
  equalVersions,
  formatClusterVersion,
  formatVersion,
  parseVersion,
  type SemanticVersion,
} from './semantic-version.ts';
export { decodeV2Store, encodeV2Store, type V2Store, withMembers } from './v2-store.ts';
