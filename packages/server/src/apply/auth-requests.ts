/**
 * Applies what concerns users and roles. Who may ask is judged here, as when the request is replayed (S08); the one exception
 * is a login, whose password was checked before it was proposed.
 */
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import type { InternalAuthenticateRequest, InternalRaftRequest } from '@etcd/api/etcdserverpb';
import type { AuthStore, Identity } from '@etcd/storage/auth';
import type { ConsistentIndex } from '@etcd/storage/schema';
import type { TokenProvider } from '../auth/index.ts';
import type { AuthenticateResult, Kind } from '../request/index.ts';
import type { Access } from './access.ts';

const { ErrAuthFailed, ErrAuthNotEnabled } = INTERNAL_ERRORS.auth;

export interface AuthRequestContext {
  readonly auth: AuthStore;
  readonly access: Access;
  readonly tokens: TokenProvider;
  readonly consistentIndex: ConsistentIndex;
  /** Whether the cluster has members of etcd 3.4, which count differently. */
  readonly hasOldMembers: () => boolean;
}

/** The kinds that change users, roles or the switch, and answer with nothing but "done". */
export type AuthKind = {
  [K in Kind]: K extends `auth${string}` ? (K extends 'authenticate' ? never : K) : never;
}[Kind];

export interface AuthOutcome {
  readonly kind: AuthKind;
  readonly error: InternalError | null;
}

/** Null where the request is none of these. */
export function applyAuthChange(
  { auth, access }: AuthRequestContext,
  request: InternalRaftRequest,
  identity: Identity,
): AuthOutcome | null {
  const change = changeOf(auth, request);
  if (change === null) return null;
  const [kind, apply] = change;
  return { kind, error: access.admin(identity) ?? apply() };
}

type Change = readonly [AuthKind, () => InternalError | null];

function changeOf(auth: AuthStore, request: InternalRaftRequest): Change | null {
  if (request.authEnable !== null) return ['authEnable', () => auth.enable()];
  if (request.authDisable !== null) {
    return [
      'authDisable',
      () => {
        auth.disable();
        return null;
      },
    ];
  }
  return changeOfUser(auth, request) ?? changeOfRole(auth, request);
}

function changeOfUser(auth: AuthStore, request: InternalRaftRequest): Change | null {
  const { authUserAdd, authUserDelete, authUserChangePassword, authUserGrantRole, authUserRevokeRole } =
    request;
  if (authUserAdd !== null) return ['authUserAdd', () => auth.addUser(authUserAdd)];
  if (authUserDelete !== null) return ['authUserDelete', () => auth.deleteUser(authUserDelete.name)];
  if (authUserChangePassword !== null) {
    return ['authUserChangePassword', () => auth.changePassword(authUserChangePassword)];
  }
  if (authUserGrantRole !== null) {
    return ['authUserGrantRole', () => auth.grantRole(authUserGrantRole.user, authUserGrantRole.role)];
  }
  if (authUserRevokeRole !== null) {
    return ['authUserRevokeRole', () => auth.revokeRole(authUserRevokeRole.name, authUserRevokeRole.role)];
  }
  return null;
}

function changeOfRole(auth: AuthStore, request: InternalRaftRequest): Change | null {
  const { authRoleAdd, authRoleDelete, authRoleGrantPermission, authRoleRevokePermission } = request;
  if (authRoleAdd !== null) return ['authRoleAdd', () => auth.addRole(authRoleAdd.name)];
  if (authRoleDelete !== null) return ['authRoleDelete', () => auth.deleteRole(authRoleDelete.role)];
  if (authRoleGrantPermission !== null) {
    return ['authRoleGrantPermission', () => auth.grantPermission(authRoleGrantPermission)];
  }
  if (authRoleRevokePermission !== null) {
    return ['authRoleRevokePermission', () => auth.revokePermission(authRoleRevokePermission)];
  }
  return null;
}

/** Makes a simple token known on this member; the error, if the user can't be logged in (any more). */
export function applyAuthenticate(
  { auth, tokens, consistentIndex, hasOldMembers }: AuthRequestContext,
  { name, simpleToken }: InternalAuthenticateRequest,
): AuthenticateResult | InternalError {
  if (!auth.isEnabled) return ErrAuthNotEnabled;
  const user = auth.user(name);
  if (user === null || user.options?.noPassword === true) return ErrAuthFailed;
  // The position before this entry, which is what etcd has come to when it names the token; 3.4 counts this one already.
  const { index } = consistentIndex;
  tokens.register(name, simpleToken, index);
  if (hasOldMembers()) tokens.register(name, simpleToken, index + 1);
  return { name, prefix: simpleToken, index, revision: auth.revision };
}

/** What other members put into the log to read users and roles: nothing to do for who has not asked. */
export function isAuthRead(request: InternalRaftRequest): boolean {
  return (
    request.authStatus !== null ||
    request.authUserGet !== null ||
    request.authUserList !== null ||
    request.authRoleGet !== null ||
    request.authRoleList !== null
  );
}
