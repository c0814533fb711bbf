/**
 * How long names of users and roles may be: they are keys of the database. Etcd takes longer ones into its log, and ends when it applies them,
 * with every start anew.
 */
import type { InternalError } from '@etcd/api';
import { GrpcCode, utf8ToBytes } from '@etcd/base';

/** What a key of the database takes. */
const MAX_NAME_BYTES = 32_768;

const REASON = `name is longer than ${MAX_NAME_BYTES} bytes`;

const ERR_NAME_TOO_LONG: InternalError = {
  name: 'auth.ErrNameTooLong',
  message: `auth: ${REASON}`,
  rpc: { name: 'ErrGRPCNameTooLong', code: GrpcCode.InvalidArgument, message: `etcdserver: ${REASON}` },
};

/** Why a user or role can't be called that; null: it can, as far as its length goes. */
export function nameProblem(name: string): InternalError | null {
  return utf8ToBytes(name).length > MAX_NAME_BYTES ? ERR_NAME_TOO_LONG : null;
}
