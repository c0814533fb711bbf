/**
 * When a call that failed is made again. The rule is etcd's: what can be repeated without harm is, while the server is
 * unavailable; a write is made again only when it is certain that no server has seen it, so that it happens at most once.
 */
import { type EtcdError, RPC_ERRORS } from '@etcd/api';
import { AuthService, ClusterService, KvService, LeaseService, MaintenanceService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';

/** Attempts of one call. */
export const MAX_ATTEMPTS = 100;
/** Pause after each round over a majority of the endpoints. */
export const RETRY_PAUSE_MS = 25;

/** Calls that change nothing, or that name what they change: twice is as good as once. */
const REPEATABLE: ReadonlySet<string> = new Set(
  [
    KvService.methods.range,
    LeaseService.methods.leaseGrant,
    LeaseService.methods.leaseRevoke,
    LeaseService.methods.leaseTimeToLive,
    LeaseService.methods.leaseLeases,
    ClusterService.methods.memberList,
    MaintenanceService.methods.alarm,
    MaintenanceService.methods.status,
    MaintenanceService.methods.hash,
    MaintenanceService.methods.hashKv,
    MaintenanceService.methods.moveLeader,
    AuthService.methods.userList,
    AuthService.methods.userGet,
    AuthService.methods.roleGet,
    AuthService.methods.roleList,
  ].map((method) => method.path),
);

export const Verdict = { FAIL: 0, RETRY: 1, REFRESH_TOKEN: 2 } as const;

/** How a call to `path` that ended with `error` goes on. */
export function verdictOf(
  path: string,
  error: EtcdError,
  isUnprocessed: boolean,
  endpointCount: number,
): number {
  const { entry } = error;
  // Refused before anything was done.
  if (
    entry === RPC_ERRORS.ErrGRPCInvalidAuthToken ||
    entry === RPC_ERRORS.ErrGRPCAuthOldRevision ||
    entry === RPC_ERRORS.ErrGRPCUserEmpty
  ) {
    return Verdict.REFRESH_TOKEN;
  }
  if (entry === RPC_ERRORS.ErrGRPCNotSupportedForLearner && endpointCount > 1) return Verdict.RETRY;
  if (isUnprocessed) return Verdict.RETRY;
  return error.code === GrpcCode.Unavailable && REPEATABLE.has(path) ? Verdict.RETRY : Verdict.FAIL;
}
