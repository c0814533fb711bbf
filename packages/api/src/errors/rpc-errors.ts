/**
 * Every error that etcd's services answer with: code and text exactly as clients match them (they compare the text). One
 * frozen entry each: on the hot path an error is one of these values, and nothing is thrown.
 *
 * Codes are those of etcd 3.6 and later; 3.4 and 3.5 answer Unavailable for the marked ones.
 */
import { GrpcCode } from '@etcd/base';

export interface RpcError {
  /** etcd's own name for it. */
  readonly name: string;
  /** What travels as `grpc-status`. */
  readonly code: GrpcCode;
  /** What travels as `grpc-message`. */
  readonly message: string;
}

export const RPC_ERRORS = entries({
  ErrGRPCEmptyKey: [GrpcCode.InvalidArgument, 'etcdserver: key is not provided'],
  ErrGRPCKeyNotFound: [GrpcCode.InvalidArgument, 'etcdserver: key not found'],
  ErrGRPCValueProvided: [GrpcCode.InvalidArgument, 'etcdserver: value is provided'],
  ErrGRPCLeaseProvided: [GrpcCode.InvalidArgument, 'etcdserver: lease is provided'],
  ErrGRPCTooManyOps: [GrpcCode.InvalidArgument, 'etcdserver: too many operations in txn request'],
  ErrGRPCDuplicateKey: [GrpcCode.InvalidArgument, 'etcdserver: duplicate key given in txn request'],
  ErrGRPCInvalidClientAPIVersion: [GrpcCode.InvalidArgument, 'etcdserver: invalid client api version'],
  ErrGRPCInvalidSortOption: [GrpcCode.InvalidArgument, 'etcdserver: invalid sort option'],
  ErrGRPCCompacted: [GrpcCode.OutOfRange, 'etcdserver: mvcc: required revision has been compacted'],
  ErrGRPCFutureRev: [GrpcCode.OutOfRange, 'etcdserver: mvcc: required revision is a future revision'],
  ErrGRPCNoSpace: [GrpcCode.ResourceExhausted, 'etcdserver: mvcc: database space exceeded'],
  ErrGRPCLeaseNotFound: [GrpcCode.NotFound, 'etcdserver: requested lease not found'],
  ErrGRPCLeaseExist: [GrpcCode.FailedPrecondition, 'etcdserver: lease already exists'],
  ErrGRPCLeaseTTLTooLarge: [GrpcCode.OutOfRange, 'etcdserver: too large lease TTL'],
  ErrGRPCWatchCanceled: [GrpcCode.Canceled, 'etcdserver: watch canceled'],
  ErrGRPCMemberExist: [GrpcCode.FailedPrecondition, 'etcdserver: member ID already exist'],
  ErrGRPCPeerURLExist: [GrpcCode.FailedPrecondition, 'etcdserver: Peer URLs already exists'],
  ErrGRPCMemberNotEnoughStarted: [
    GrpcCode.FailedPrecondition,
    'etcdserver: re-configuration failed due to not enough started members',
  ],
  ErrGRPCMemberBadURLs: [GrpcCode.InvalidArgument, 'etcdserver: given member URLs are invalid'],
  ErrGRPCMemberNotFound: [GrpcCode.NotFound, 'etcdserver: member not found'],
  ErrGRPCMemberNotLearner: [GrpcCode.FailedPrecondition, 'etcdserver: can only promote a learner member'],
  ErrGRPCLearnerNotReady: [
    GrpcCode.FailedPrecondition,
    'etcdserver: can only promote a learner member which is in sync with leader',
  ],
  ErrGRPCTooManyLearners: [GrpcCode.FailedPrecondition, 'etcdserver: too many learner members in cluster'],
  ErrGRPCClusterIDMismatch: [GrpcCode.FailedPrecondition, 'etcdserver: cluster ID mismatch'],
  ErrGRPCRequestTooLarge: [GrpcCode.InvalidArgument, 'etcdserver: request is too large'],
  ErrGRPCRequestTooManyRequests: [GrpcCode.ResourceExhausted, 'etcdserver: too many requests'],
  ErrGRPCRootUserNotExist: [GrpcCode.FailedPrecondition, 'etcdserver: root user does not exist'],
  ErrGRPCRootRoleNotExist: [GrpcCode.FailedPrecondition, 'etcdserver: root user does not have root role'],
  ErrGRPCUserAlreadyExist: [GrpcCode.FailedPrecondition, 'etcdserver: user name already exists'],
  ErrGRPCUserEmpty: [GrpcCode.InvalidArgument, 'etcdserver: user name is empty'],
  ErrGRPCUserNotFound: [GrpcCode.FailedPrecondition, 'etcdserver: user name not found'],
  ErrGRPCRoleAlreadyExist: [GrpcCode.FailedPrecondition, 'etcdserver: role name already exists'],
  ErrGRPCRoleNotFound: [GrpcCode.FailedPrecondition, 'etcdserver: role name not found'],
  ErrGRPCRoleEmpty: [GrpcCode.InvalidArgument, 'etcdserver: role name is empty'],
  ErrGRPCAuthFailed: [
    GrpcCode.InvalidArgument,
    'etcdserver: authentication failed, invalid user ID or password',
  ],
  ErrGRPCPermissionNotGiven: [GrpcCode.InvalidArgument, 'etcdserver: permission not given'],
  ErrGRPCPermissionDenied: [GrpcCode.PermissionDenied, 'etcdserver: permission denied'],
  ErrGRPCRoleNotGranted: [GrpcCode.FailedPrecondition, 'etcdserver: role is not granted to the user'],
  ErrGRPCPermissionNotGranted: [
    GrpcCode.FailedPrecondition,
    'etcdserver: permission is not granted to the role',
  ],
  ErrGRPCAuthNotEnabled: [GrpcCode.FailedPrecondition, 'etcdserver: authentication is not enabled'],
  ErrGRPCInvalidAuthToken: [GrpcCode.Unauthenticated, 'etcdserver: invalid auth token'],
  ErrGRPCInvalidAuthMgmt: [GrpcCode.InvalidArgument, 'etcdserver: invalid auth management'],
  ErrGRPCAuthOldRevision: [GrpcCode.InvalidArgument, 'etcdserver: revision of auth store is old'],
  ErrGRPCNoLeader: [GrpcCode.Unavailable, 'etcdserver: no leader'],
  ErrGRPCNotLeader: [GrpcCode.FailedPrecondition, 'etcdserver: not leader'],
  ErrGRPCLeaderChanged: [GrpcCode.Unavailable, 'etcdserver: leader changed'],
  // Unavailable before 3.6.
  ErrGRPCNotCapable: [GrpcCode.FailedPrecondition, 'etcdserver: not capable'],
  ErrGRPCStopped: [GrpcCode.Unavailable, 'etcdserver: server stopped'],
  ErrGRPCTimeout: [GrpcCode.Unavailable, 'etcdserver: request timed out'],
  ErrGRPCTimeoutDueToLeaderFail: [
    GrpcCode.Unavailable,
    'etcdserver: request timed out, possibly due to previous leader failure',
  ],
  ErrGRPCTimeoutDueToConnectionLost: [
    GrpcCode.Unavailable,
    'etcdserver: request timed out, possibly due to connection lost',
  ],
  ErrGRPCTimeoutWaitAppliedIndex: [
    GrpcCode.Unavailable,
    'etcdserver: request timed out, waiting for the applied index took too long',
  ],
  ErrGRPCUnhealthy: [GrpcCode.Unavailable, 'etcdserver: unhealthy cluster'],
  ErrGRPCCorrupt: [GrpcCode.DataLoss, 'etcdserver: corrupt cluster'],
  // Unavailable before 3.6.
  ErrGRPCNotSupportedForLearner: [GrpcCode.FailedPrecondition, 'etcdserver: rpc not supported for learner'],
  ErrGRPCBadLeaderTransferee: [GrpcCode.FailedPrecondition, 'etcdserver: bad leader transferee'],
  ErrGRPCWrongDowngradeVersionFormat: [
    GrpcCode.InvalidArgument,
    'etcdserver: wrong downgrade target version format',
  ],
  ErrGRPCInvalidDowngradeTargetVersion: [
    GrpcCode.InvalidArgument,
    'etcdserver: invalid downgrade target version',
  ],
  // Unavailable before 3.6.
  ErrGRPCClusterVersionUnavailable: [
    GrpcCode.FailedPrecondition,
    'etcdserver: cluster version not found during downgrade',
  ],
  ErrGRPCDowngradeInProcess: [
    GrpcCode.FailedPrecondition,
    'etcdserver: cluster has a downgrade job in progress',
  ],
  ErrGRPCNoInflightDowngrade: [GrpcCode.FailedPrecondition, 'etcdserver: no inflight downgrade job'],
  ErrGRPCCanceled: [GrpcCode.Canceled, 'etcdserver: request canceled'],
  ErrGRPCDeadlineExceeded: [GrpcCode.DeadlineExceeded, 'etcdserver: context deadline exceeded'],
  // Go etcd answers these two from the client's table, whose entries carry no status: so they travel as Unknown.
  ErrMemberNotEnoughStarted: [
    GrpcCode.Unknown,
    'etcdserver: re-configuration failed due to not enough started members',
  ],
  ErrTooManyRequests: [GrpcCode.Unknown, 'etcdserver: too many requests'],
  // What a context of Go says when its caller went away or ran out of time.
  ContextCanceled: [GrpcCode.Canceled, 'context canceled'],
  ContextDeadlineExceeded: [GrpcCode.DeadlineExceeded, 'context deadline exceeded'],
  // RangeStream serves only what it can produce in key order.
  RangeStreamSortOrder: [GrpcCode.Unimplemented, 'RangeStream does not support custom sort orders'],
  RangeStreamRevisionFilter: [GrpcCode.Unimplemented, 'RangeStream does not support revision filters'],
});

function entries<Name extends string>(
  table: Readonly<Record<Name, readonly [GrpcCode, string]>>,
): Readonly<Record<Name, RpcError>> {
  const errors = {} as Record<Name, RpcError>;
  for (const name in table) {
    const [code, message] = table[name];
    errors[name] = Object.freeze({ name, code, message });
  }
  return Object.freeze(errors);
}
