/**
 * What a client throws beside the server's own errors: an {@link EtcdError} of `@etcd/api` is what the server answered,
 * a {@link ClientError} is what happened on this side.
 */
import { EtcdError, RPC_ERRORS } from '@etcd/api';

export type ClientErrorCode =
  /** The client, or the thing that was asked, has been closed. */
  | 'closed'
  /** An endpoint is no address. */
  | 'bad-endpoint'
  /** The lease has expired or was revoked, or could not be kept alive for as long as it lives. */
  | 'lease-lost'
  /** The lock or the leadership is somebody else's by now. */
  | 'not-owner'
  /** The election has no leader. */
  | 'no-leader'
  /** More is waiting than the named bound allows. */
  | 'overloaded'
  /** The server did what the protocol does not allow. */
  | 'protocol';

export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;

  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The revision that was asked for, or that a watch should go on from, is compacted. */
export class CompactedError extends EtcdError {
  /** The oldest revision that the server still has: a watch may start again here, after a fresh read. */
  readonly compactRevision: number;

  constructor(compactRevision: number) {
    super(RPC_ERRORS.ErrGRPCCompacted);
    this.compactRevision = compactRevision;
  }
}

/** Whether `error` is the entry of the error table: `isError(thrown, RPC_ERRORS.ErrGRPCKeyNotFound)`. */
export function isError(thrown: unknown, entry: EtcdError['entry']): boolean {
  return thrown instanceof EtcdError && thrown.entry === entry;
}
