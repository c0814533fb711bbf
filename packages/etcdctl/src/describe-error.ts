/** What went wrong, in the words of Go etcd's client where it has any. */

import { grpcCodeName } from '@etcd/base';
import { EtcdError, GrpcCode } from '@etcd/client';

export function describeError(error: unknown): string {
  if (!(error instanceof EtcdError)) return error instanceof Error ? error.message : String(error);
  const { name } = error.entry;
  const isKnown = name.startsWith('ErrGRPC') || name.startsWith('Context');
  const text = isKnown
    ? error.message
    : `rpc error: code = ${grpcCodeName(error.code)} desc = ${error.message}`;
  const { cause } = error;
  const isLate = error.code === GrpcCode.DeadlineExceeded && cause instanceof Error;
  return isLate ? `${text}: no connection: ${cause.message}` : text;
}
