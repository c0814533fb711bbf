/**
 * Who may do what. A verdict is null, or the error that the client gets. Called while an entry is applied, and before a
 * read is answered: so nothing here may depend on anything but the store, the request and the identity.
 */
import { INTERNAL_ERRORS, type InternalError, type LeaseId } from '@etcd/api';
import type { DeleteRangeRequest, PutRequest, RequestOp, TxnRequest } from '@etcd/api/etcdserverpb';
import type { AuthStore, Identity } from './auth-store.ts';
import { UserPermissions } from './user-permissions.ts';

const { ErrAuthOldRevision, ErrPermissionDenied, ErrUserEmpty, ErrUserNotFound } = INTERNAL_ERRORS.auth;

/** The keys of leases: the lessor's side of an attachment. */
export interface LeaseKeys {
  /** Whether the predicate holds for every key `buffer[start, end)` of the lease; true where there is no such lease. */
  everyKey(lease: LeaseId, predicate: (buffer: Uint8Array, start: number, end: number) => boolean): boolean;
}

/** For what only an administrator may do. */
export function authorizeAdmin(store: AuthStore, identity: Identity): InternalError | null {
  if (!store.isEnabled) return null;
  if (identity.name === '') return ErrUserEmpty;
  const permissions = store.permissionsOf(identity.name);
  if (permissions === null) return ErrUserNotFound;
  return permissions.isRoot ? null : ErrPermissionDenied;
}

/** For what any user may do. */
export function authorizeUser(store: AuthStore, identity: Identity): InternalError | null {
  return store.isEnabled && identity.name === '' ? ErrUserEmpty : null;
}

export function authorizeRange(
  store: AuthStore,
  identity: Identity,
  key: Uint8Array,
  rangeEnd: Uint8Array,
): InternalError | null {
  if (!store.isEnabled) return null;
  const permissions = permissionsOf(store, identity);
  if (!(permissions instanceof UserPermissions)) return permissions;
  return permissions.mayRead(key, rangeEnd) ? null : ErrPermissionDenied;
}

export function authorizePut(
  store: AuthStore,
  identity: Identity,
  request: PutRequest,
  leases: LeaseKeys,
): InternalError | null {
  if (!store.isEnabled) return null;
  const permissions = permissionsOf(store, identity);
  if (!(permissions instanceof UserPermissions)) return permissions;
  return mayPut(permissions, request, leases) ? null : ErrPermissionDenied;
}

export function authorizeDeleteRange(
  store: AuthStore,
  identity: Identity,
  request: DeleteRangeRequest,
): InternalError | null {
  if (!store.isEnabled) return null;
  const permissions = permissionsOf(store, identity);
  if (!(permissions instanceof UserPermissions)) return permissions;
  return mayDelete(permissions, request) ? null : ErrPermissionDenied;
}

/** All of the transaction, whichever branch will run, however deep (S02). */
export function authorizeTxn(
  store: AuthStore,
  identity: Identity,
  request: TxnRequest,
  leases: LeaseKeys,
): InternalError | null {
  if (!store.isEnabled) return null;
  const permissions = permissionsOf(store, identity);
  if (!(permissions instanceof UserPermissions)) return permissions;
  return mayTxn(permissions, request, leases) ? null : ErrPermissionDenied;
}

/**
 * For revoking a lease, which deletes its keys, and (as `READ`) for telling their names. An administrator is not asked for
 * the revision: the revocation of an expired lease must not be void because a role has changed meanwhile.
 */
export function authorizeLeaseKeys(
  store: AuthStore,
  identity: Identity,
  lease: LeaseId,
  leases: LeaseKeys,
  access: 'read' | 'write' = 'write',
): InternalError | null {
  if (!store.isEnabled) return null;
  const permissions = identity.name === '' ? null : store.permissionsOf(identity.name);
  if (permissions?.isRoot === true) return null;
  // A lease without keys is anybody's.
  if (leases.everyKey(lease, () => false)) return null;
  const refusal = refusalOf(store, identity);
  if (refusal !== null) return refusal;
  if (permissions === null) return ErrPermissionDenied;
  const isPermitted = leases.everyKey(lease, (buffer, start, end) =>
    access === 'write'
      ? permissions.mayWriteKey(buffer, start, end)
      : permissions.mayReadKey(buffer, start, end),
  );
  return isPermitted ? null : ErrPermissionDenied;
}

/** What an identity may do; or why it may do nothing. */
function permissionsOf(store: AuthStore, identity: Identity): UserPermissions | InternalError {
  return refusalOf(store, identity) ?? store.permissionsOf(identity.name) ?? ErrPermissionDenied;
}

/** What an identity is refused whatever it asks for. */
function refusalOf(store: AuthStore, { revision }: Identity): InternalError | null {
  if (revision === 0) return ErrUserEmpty;
  return revision < store.revision ? ErrAuthOldRevision : null;
}

function mayPut(permissions: UserPermissions, request: PutRequest, leases: LeaseKeys): boolean {
  const { key, lease } = request;
  if (permissions.isRoot) return true;
  if (!permissions.mayWriteKey(key, 0, key.length)) return false;
  if (request.prevKv && !permissions.mayReadKey(key, 0, key.length)) return false;
  // Whoever may not delete a key can't revoke its lease, so it must not tie another key to that lease either (S03).
  if (lease === 0n) return true;
  return leases.everyKey(lease, (buffer, start, end) => permissions.mayWriteKey(buffer, start, end));
}

function mayDelete(permissions: UserPermissions, request: DeleteRangeRequest): boolean {
  const { key, rangeEnd, prevKv } = request;
  return permissions.mayWrite(key, rangeEnd) && (!prevKv || permissions.mayRead(key, rangeEnd));
}

function mayTxn(permissions: UserPermissions, request: TxnRequest, leases: LeaseKeys): boolean {
  if (permissions.isRoot) return true;
  for (const { key, rangeEnd } of request.compare) if (!permissions.mayRead(key, rangeEnd)) return false;
  for (const op of request.success) if (!mayDo(permissions, op, leases)) return false;
  for (const op of request.failure) if (!mayDo(permissions, op, leases)) return false;
  return true;
}

/** An operation without a content does nothing. */
function mayDo(permissions: UserPermissions, op: RequestOp, leases: LeaseKeys): boolean {
  const { requestRange, requestPut, requestDeleteRange, requestTxn } = op;
  if (requestPut !== null) return mayPut(permissions, requestPut, leases);
  if (requestRange !== null) return permissions.mayRead(requestRange.key, requestRange.rangeEnd);
  if (requestDeleteRange !== null) return mayDelete(permissions, requestDeleteRange);
  if (requestTxn !== null) return mayTxn(permissions, requestTxn, leases);
  return true;
}
