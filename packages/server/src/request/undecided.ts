/** Whether a request failed before the cluster could decide about it, or because the cluster decided against it. */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';

const { errors } = INTERNAL_ERRORS;

const UNDECIDED: ReadonlySet<InternalError> = new Set([
  errors.ErrCanceled,
  errors.ErrLeaderChanged,
  errors.ErrNoLeader,
  errors.ErrRequestTooLarge,
  errors.ErrStopped,
  errors.ErrTimeout,
  errors.ErrTimeoutDueToConnectionLost,
  errors.ErrTimeoutDueToLeaderFail,
  errors.ErrTooManyRequests,
]);

/** True for those errors with which a request does not come back from the log. */
export function isUndecided(error: InternalError): boolean {
  return UNDECIDED.has(error);
}
