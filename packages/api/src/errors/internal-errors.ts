/**
 * Errors as etcd's packages know them among themselves, by package, with what a client is told: an entry of
 * {@link RPC_ERRORS}, or code Unknown with the same text where etcd maps the error to nothing. (The mapping is that of
 * `togRPCError` in etcd's v3rpc.)
 */
import { GrpcCode } from '@etcd/base';
import { RPC_ERRORS, type RpcError } from './rpc-errors.ts';

export interface InternalError {
  /** With its package, as `mvcc.ErrCompacted`. */
  readonly name: string;
  readonly message: string;
  readonly rpc: RpcError;
}

export const INTERNAL_ERRORS = Object.freeze({
  errors: entries('errors', {
    ErrUnknownMethod: ['etcdserver: unknown method'],
    ErrStopped: ['etcdserver: server stopped', RPC_ERRORS.ErrGRPCStopped],
    ErrCanceled: ['etcdserver: request cancelled', RPC_ERRORS.ErrGRPCCanceled],
    ErrTimeout: ['etcdserver: request timed out', RPC_ERRORS.ErrGRPCTimeout],
    ErrTimeoutDueToLeaderFail: [
      'etcdserver: request timed out, possibly due to previous leader failure',
      RPC_ERRORS.ErrGRPCTimeoutDueToLeaderFail,
    ],
    ErrTimeoutDueToConnectionLost: [
      'etcdserver: request timed out, possibly due to connection lost',
      RPC_ERRORS.ErrGRPCTimeoutDueToConnectionLost,
    ],
    ErrTimeoutLeaderTransfer: ['etcdserver: request timed out, leader transfer took too long'],
    ErrTimeoutWaitAppliedIndex: [
      'etcdserver: request timed out, waiting for the applied index took too long',
      RPC_ERRORS.ErrGRPCTimeoutWaitAppliedIndex,
    ],
    ErrLeaderChanged: ['etcdserver: leader changed', RPC_ERRORS.ErrGRPCLeaderChanged],
    ErrNotEnoughStartedMembers: [
      'etcdserver: re-configuration failed due to not enough started members',
      RPC_ERRORS.ErrMemberNotEnoughStarted,
    ],
    ErrLearnerNotReady: [
      'etcdserver: can only promote a learner member which is in sync with leader',
      RPC_ERRORS.ErrGRPCLearnerNotReady,
    ],
    ErrNoLeader: ['etcdserver: no leader', RPC_ERRORS.ErrGRPCNoLeader],
    ErrNotLeader: ['etcdserver: not leader', RPC_ERRORS.ErrGRPCNotLeader],
    ErrRequestTooLarge: ['etcdserver: request is too large', RPC_ERRORS.ErrGRPCRequestTooLarge],
    ErrNoSpace: ['etcdserver: no space', RPC_ERRORS.ErrGRPCNoSpace],
    ErrTooManyRequests: ['etcdserver: too many requests', RPC_ERRORS.ErrTooManyRequests],
    ErrUnhealthy: ['etcdserver: unhealthy cluster', RPC_ERRORS.ErrGRPCUnhealthy],
    ErrCorrupt: ['etcdserver: corrupt cluster', RPC_ERRORS.ErrGRPCCorrupt],
    ErrBadLeaderTransferee: ['etcdserver: bad leader transferee', RPC_ERRORS.ErrGRPCBadLeaderTransferee],
    ErrClusterVersionUnavailable: [
      'etcdserver: cluster version not found during downgrade',
      RPC_ERRORS.ErrGRPCClusterVersionUnavailable,
    ],
    ErrWrongDowngradeVersionFormat: [
      'etcdserver: wrong downgrade target version format',
      RPC_ERRORS.ErrGRPCWrongDowngradeVersionFormat,
    ],
    ErrKeyNotFound: ['etcdserver: key not found', RPC_ERRORS.ErrGRPCKeyNotFound],
  }),
  auth: entries('auth', {
    ErrRootUserNotExist: ['auth: root user does not exist', RPC_ERRORS.ErrGRPCRootUserNotExist],
    ErrRootRoleNotExist: ['auth: root user does not have root role', RPC_ERRORS.ErrGRPCRootRoleNotExist],
    ErrUserAlreadyExist: ['auth: user already exists', RPC_ERRORS.ErrGRPCUserAlreadyExist],
    ErrUserEmpty: ['auth: user name is empty', RPC_ERRORS.ErrGRPCUserEmpty],
    ErrUserNotFound: ['auth: user not found', RPC_ERRORS.ErrGRPCUserNotFound],
    ErrRoleAlreadyExist: ['auth: role already exists', RPC_ERRORS.ErrGRPCRoleAlreadyExist],
    ErrRoleNotFound: ['auth: role not found', RPC_ERRORS.ErrGRPCRoleNotFound],
    ErrRoleEmpty: ['auth: role name is empty', RPC_ERRORS.ErrGRPCRoleEmpty],
    ErrPermissionNotGiven: ['auth: permission not given', RPC_ERRORS.ErrGRPCPermissionNotGiven],
    ErrAuthFailed: ['auth: authentication failed, invalid user ID or password', RPC_ERRORS.ErrGRPCAuthFailed],
    ErrNoPasswordUser: ['auth: authentication failed, password was given for no password user'],
    ErrPermissionDenied: ['auth: permission denied', RPC_ERRORS.ErrGRPCPermissionDenied],
    ErrRoleNotGranted: ['auth: role is not granted to the user', RPC_ERRORS.ErrGRPCRoleNotGranted],
    ErrPermissionNotGranted: [
      'auth: permission is not granted to the role',
      RPC_ERRORS.ErrGRPCPermissionNotGranted,
    ],
    ErrAuthNotEnabled: ['auth: authentication is not enabled', RPC_ERRORS.ErrGRPCAuthNotEnabled],
    ErrAuthOldRevision: ['auth: revision in header is old', RPC_ERRORS.ErrGRPCAuthOldRevision],
    ErrInvalidAuthToken: ['auth: invalid auth token', RPC_ERRORS.ErrGRPCInvalidAuthToken],
    ErrInvalidAuthOpts: ['auth: invalid auth options'],
    ErrInvalidAuthMgmt: ['auth: invalid auth management', RPC_ERRORS.ErrGRPCInvalidAuthMgmt],
    ErrInvalidAuthMethod: ['auth: invalid auth signature method'],
    ErrMissingKey: ['auth: missing key data'],
    ErrKeyMismatch: ["auth: public and private keys don't match"],
    ErrVerifyOnly: ['auth: token signing attempted with verify-only key'],
  }),
  membership: entries('membership', {
    ErrIDRemoved: ['membership: ID removed', RPC_ERRORS.ErrGRPCMemberNotFound],
    ErrIDExists: ['membership: ID exists', RPC_ERRORS.ErrGRPCMemberExist],
    ErrIDNotFound: ['membership: ID not found', RPC_ERRORS.ErrGRPCMemberNotFound],
    ErrPeerURLexists: ['membership: peerURL exists', RPC_ERRORS.ErrGRPCPeerURLExist],
    ErrMemberNotLearner: [
      'membership: can only promote a learner member',
      RPC_ERRORS.ErrGRPCMemberNotLearner,
    ],
    ErrTooManyLearners: [
      'membership: too many learner members in cluster',
      RPC_ERRORS.ErrGRPCTooManyLearners,
    ],
  }),
  lease: entries('lease', {
    ErrNotPrimary: ['not a primary lessor'],
    ErrLeaseNotFound: ['lease not found', RPC_ERRORS.ErrGRPCLeaseNotFound],
    ErrLeaseExists: ['lease already exists', RPC_ERRORS.ErrGRPCLeaseExist],
    ErrLeaseTTLTooLarge: ['too large lease TTL', RPC_ERRORS.ErrGRPCLeaseTTLTooLarge],
  }),
  mvcc: entries('mvcc', {
    ErrCompacted: ['mvcc: required revision has been compacted', RPC_ERRORS.ErrGRPCCompacted],
    ErrFutureRev: ['mvcc: required revision is a future revision', RPC_ERRORS.ErrGRPCFutureRev],
    ErrWatcherNotExist: ['mvcc: watcher does not exist'],
    ErrEmptyWatcherRange: ['mvcc: watcher range is empty'],
    ErrWatcherDuplicateID: ['mvcc: duplicate watch ID provided on the WatchStream'],
  }),
  version: entries('version', {
    ErrInvalidDowngradeTargetVersion: [
      'etcdserver: invalid downgrade target version',
      RPC_ERRORS.ErrGRPCInvalidDowngradeTargetVersion,
    ],
    ErrDowngradeInProcess: [
      'etcdserver: cluster has a downgrade job in progress',
      RPC_ERRORS.ErrGRPCDowngradeInProcess,
    ],
    ErrNoInflightDowngrade: ['etcdserver: no inflight downgrade job', RPC_ERRORS.ErrGRPCNoInflightDowngrade],
  }),
  snap: entries('snap', {
    ErrNoSnapshot: ['snap: no available snapshot'],
    ErrEmptySnapshot: ['snap: empty snapshot'],
    ErrCRCMismatch: ['snap: crc mismatch'],
    ErrNoDBSnapshot: ["snap: snapshot file doesn't exist"],
  }),
  wal: entries('wal', {
    ErrMetadataConflict: ['wal: conflicting metadata found'],
    ErrFileNotFound: ['wal: file not found'],
    ErrSnapshotMismatch: ['wal: snapshot mismatch'],
    ErrSnapshotNotFound: ['wal: snapshot not found'],
    ErrSliceOutOfRange: ['wal: slice bounds out of range'],
    ErrDecoderNotFound: ['wal: decoder not found'],
  }),
  rafthttp: entries('rafthttp', {
    errIncompatibleVersion: ['incompatible version'],
    ErrClusterIDMismatch: ['cluster ID mismatch'],
  }),
  v3discovery: entries('v3discovery', {
    ErrInvalidURL: ['discovery: invalid peer URL'],
    ErrBadSizeKey: ['discovery: size key is bad'],
    ErrSizeNotFound: ['discovery: size key not found'],
    ErrFullCluster: ['discovery: cluster is full'],
    ErrTooManyRetries: ['discovery: too many retries'],
  }),
  leasehttp: entries('leasehttp', {
    ErrLeaseHTTPTimeout: ['waiting for node to catch up its applied index has timed out'],
  }),
  clientv3: entries('clientv3', {
    ErrNoAvailableEndpoints: ['etcdclient: no available endpoints'],
    ErrOldCluster: ['etcdclient: old cluster version'],
    ErrMutuallyExclusiveCfg: ['Username/Password and Token configurations are mutually exclusive'],
  }),
  concurrency: entries('concurrency', {
    ErrLocked: ['mutex: Locked by another session'],
    ErrSessionExpired: ['mutex: session is expired'],
    ErrLockReleased: ['mutex: lock has already been released'],
    ErrElectionNotLeader: ['election: not leader'],
    ErrElectionNoLeader: ['election: no leader'],
  }),
});

function entries<Name extends string>(
  packageName: string,
  table: Readonly<Record<Name, readonly [message: string, rpc?: RpcError]>>,
): Readonly<Record<Name, InternalError>> {
  const errors = {} as Record<Name, InternalError>;
  for (const key in table) {
    const [message, mapped] = table[key];
    const name = `${packageName}.${key}`;
    const rpc = mapped ?? Object.freeze({ name, code: GrpcCode.Unknown, message });
    errors[key] = Object.freeze({ name, message, rpc });
  }
  return Object.freeze(errors);
}
