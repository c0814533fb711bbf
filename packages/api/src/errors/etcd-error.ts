/**
 * An error of etcd at the edges, where errors are thrown: a client's failed call, a server's cold handler. Between the
 * edges an error is an entry of the tables.
 */
import { GrpcCode, grpcCodeFrom, grpcCodeName, InvariantError } from '@etcd/base';
import type { InternalError } from './internal-errors.ts';
import { RPC_ERRORS, type RpcError } from './rpc-errors.ts';

/** As etcd's clients do, which look at the text and not at the code. */
const BY_MESSAGE: ReadonlyMap<string, RpcError> = byMessage();

export class EtcdError extends Error {
  override readonly name = 'EtcdError';
  readonly code: GrpcCode;
  /** The entry of the table, to compare with `===`; one made for the occasion if the text is not in the table. */
  readonly entry: RpcError;

  constructor(entry: RpcError, options?: ErrorOptions) {
    super(entry.message, options);
    this.code = entry.code;
    this.entry = entry;
  }

  /** What a call that ended with this status throws. */
  static fromStatus(code: number, message: string): EtcdError {
    const known = BY_MESSAGE.get(message);
    if (known !== undefined) return new EtcdError(known);
    const actual = grpcCodeFrom(code);
    return new EtcdError({ name: grpcCodeName(actual), code: actual, message });
  }

  /** What a client is told of an internal error. */
  static fromInternal(error: InternalError): EtcdError {
    return new EtcdError(error.rpc);
  }

  /**
   * Whatever was thrown, as an EtcdError: others become Unknown with their text and stay as the cause. A broken invariant
   * is no answer to a client: it is thrown on.
   */
  static from(thrown: unknown): EtcdError {
    if (thrown instanceof EtcdError) return thrown;
    if (thrown instanceof InvariantError) throw thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new EtcdError({ name: 'Unknown', code: GrpcCode.Unknown, message }, { cause: thrown });
  }
}

function byMessage(): Map<string, RpcError> {
  const table = new Map<string, RpcError>();
  for (const entry of Object.values(RPC_ERRORS)) {
    // Two texts have a second entry with another code, behind the first.
    if (!table.has(entry.message)) table.set(entry.message, entry);
  }
  return table;
}
