/**
 * What an identity may do, by the state that is applied now. Asked by the applier for everything that goes through the log, and by
 * the RPCs for the rest. A verdict is null, or the error that the client gets; it depends on nothing but the applied
 * state, the request and the identity, so that every member comes to the same (S08).
 */
import type { InternalError, LeaseId } from '@etcd/api';
import type { DeleteRangeRequest, PutRequest, TxnRequest } from '@etcd/api/etcdserverpb';
import type { Identity } from '@etcd/storage/auth';

export interface Access {
  /** While this is false everybody may do everything, and nothing else is asked. */
  readonly isEnabled: boolean;
  /** What any user may do. */
  user(identity: Identity): InternalError | null;
  /** What only an administrator may do. */
  admin(identity: Identity): InternalError | null;
  /** Whether it is a user that has the role. */
  hasRole(identity: Identity, role: string): boolean;
  range(identity: Identity, key: Uint8Array, rangeEnd: Uint8Array): InternalError | null;
  put(identity: Identity, request: PutRequest): InternalError | null;
  deleteRange(identity: Identity, request: DeleteRangeRequest): InternalError | null;
  txn(identity: Identity, request: TxnRequest): InternalError | null;
  /** All keys that are attached to the lease: to revoke or renew it (write), or to tell their names (read). */
  leaseKeys(identity: Identity, lease: LeaseId, access: 'read' | 'write'): InternalError | null;
  /** All keys that are attached to any lease, for reading. */
  allLeaseKeys(identity: Identity): InternalError | null;
}

/** Of a member without authentication. */
export const OPEN_ACCESS: Access = {
  isEnabled: false,
  user: () => null,
  admin: () => null,
  hasRole: () => true,
  range: () => null,
  put: () => null,
  deleteRange: () => null,
  txn: () => null,
  leaseKeys: () => null,
  allLeaseKeys: () => null,
};
