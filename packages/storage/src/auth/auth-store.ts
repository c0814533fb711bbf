/** The auth store: `index.ts` has the contract. Named and ordered as etcd's own, so that the same entries leave the same bytes. */
import { type AuthRevision, INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import { Permission, PermissionType, Role, User, UserAddOptions } from '@etcd/api/authpb';
import type {
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
} from '@etcd/api/etcdserverpb';
import {
  compareBytes,
  copyBytes,
  EMPTY_BYTES,
  equalBytes,
  type Logger,
  SILENT_LOGGER,
  utf8FromBytes,
  utf8ToBytes,
} from '@etcd/base';
import type { BackendWriter } from '../backend/index.ts';
import {
  createAuthBuckets,
  deleteRole,
  deleteUser,
  readAuthEnabled,
  readAuthRevision,
  readRole,
  readRoles,
  readUser,
  readUsers,
  writeAuthEnabled,
  writeAuthRevision,
  writeRole,
  writeUser,
} from '../schema/index.ts';
import { bytesFromBase64 } from './base64.ts';
import { withGrant } from './grant-order.ts';
import { isValidKeyRange } from './key-ranges.ts';
import { nameProblem } from './name-limit.ts';
import { UserPermissions } from './user-permissions.ts';

/** The user that must exist where authentication is enabled, and the role that may do everything. */
const ROOT_USER = 'root';
const ROOT_ROLE = 'root';

const ERRORS = INTERNAL_ERRORS.auth;

/** Who asks, and at which auth revision that was established. Without a user: no name, revision 0. */
export interface Identity {
  readonly name: string;
  readonly revision: AuthRevision;
}

export const NO_IDENTITY: Identity = { name: '', revision: 0 };

/** Told of what tokens and streams depend on. */
export interface AuthListener {
  onEnabled(): void;
  onDisabled(): void;
  /** The user was deleted, or has another password: whatever was handed out to it before this revision is void. */
  onUserInvalidated(name: string, revision: AuthRevision): void;
  /** Users have changed in ways that nobody has told of: what was handed out to any of them may be void. */
  onUsersReplaced(revision: AuthRevision): void;
  /** Users, roles or permissions have changed. */
  onRevision(revision: AuthRevision): void;
}

export interface AuthStoreOptions {
  readonly backend: BackendWriter;
  readonly logger?: Logger | undefined;
  readonly listener?: AuthListener | undefined;
  /**
   * Hashes a password that came in the clear, as members of etcd 3.4 write them into the log. Must give the same bytes
   * for the same arguments.
   */
  readonly hashPassword?:
    | ((password: string, name: string, revision: AuthRevision) => Uint8Array)
    | undefined;
}

const NO_LISTENER: AuthListener = {
  onEnabled: () => {},
  onDisabled: () => {},
  onUserInvalidated: () => {},
  onUsersReplaced: () => {},
  onRevision: () => {},
};

/** All that roles grant where one of them is `root`, as RoleGet shows it. */
const ROOT_PERMISSION = new Permission({
  permType: PermissionType.READWRITE,
  rangeEnd: Uint8Array.of(0),
});

export class AuthStore {
  readonly #logger: Logger;
  readonly #listener: AuthListener;
  readonly #hashPassword: AuthStoreOptions['hashPassword'];
  #backend: BackendWriter;
  #isEnabled = false;
  #revision = 0;
  /** Of the users that were asked for since the revision moved. */
  readonly #permissions = new Map<string, UserPermissions>();

  /** Creates the buckets where they are missing. */
  constructor(options: AuthStoreOptions) {
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#listener = options.listener ?? NO_LISTENER;
    this.#hashPassword = options.hashPassword;
    this.#backend = options.backend;
    this.#load();
  }

  // --- asking

  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  /** Grows with every change of users and roles. */
  get revision(): AuthRevision {
    return this.#revision;
  }

  /** What the user may do now; null when there is no such user. */
  permissionsOf(name: string): UserPermissions | null {
    const known = this.#permissions.get(name);
    if (known !== undefined) return known;
    const user = this.user(name);
    if (user === null) return null;
    const roles = user.roles.map((role) => this.role(role)).filter((role) => role !== null);
    const permissions = new UserPermissions(name, isRoot(user), roles);
    this.#permissions.set(name, permissions);
    return permissions;
  }

  user(name: string): User | null {
    return readUser(this.#backend, name);
  }

  /** Names, in their order. */
  userNames(): string[] {
    return readUsers(this.#backend).map((user) => utf8FromBytes(user.name));
  }

  role(name: string): Role | null {
    return readRole(this.#backend, name);
  }

  roleNames(): string[] {
    return readRoles(this.#backend).map((role) => utf8FromBytes(role.name));
  }

  /** What the role grants; null when there is no such role. */
  permissionsOfRole(name: string): readonly Permission[] | null {
    const role = this.role(name);
    if (role === null) return null;
    return name === ROOT_ROLE ? [ROOT_PERMISSION] : role.keyPermission;
  }

  /** In whose name members do on their own what clients need a permission for. */
  get ownIdentity(): Identity {
    return this.#isEnabled ? { name: ROOT_USER, revision: this.#revision } : NO_IDENTITY;
  }

  hasRole(user: string, role: string): boolean {
    return this.user(user)?.roles.includes(role) ?? false;
  }

  // --- life

  /** Goes on with another backend: that of a snapshot. Which users were deleted meanwhile, or got another password, is not told. */
  recover(backend: BackendWriter): void {
    const { revision } = this;
    this.#backend = backend;
    this.#load();
    if (this.#revision !== revision) this.#listener.onUsersReplaced(this.#revision);
    this.#listener.onRevision(this.#revision);
  }

  #load(): void {
    createAuthBuckets(this.#backend);
    this.#permissions.clear();
    this.#revision = readAuthRevision(this.#backend);
    this.#isEnabled = readAuthEnabled(this.#backend);
    if (this.#revision === 0) this.#advance();
    if (this.#isEnabled) this.#listener.onEnabled();
    else this.#listener.onDisabled();
  }

  // --- what is applied, on every member: the switch

  enable(): InternalError | null {
    if (this.#isEnabled) {
      this.#logger.info('authentication is already enabled; ignored auth enable request');
      return null;
    }
    const root = this.user(ROOT_USER);
    if (root === null) return ERRORS.ErrRootUserNotExist;
    if (!isRoot(root)) return ERRORS.ErrRootRoleNotExist;
    writeAuthEnabled(this.#backend, true);
    this.#isEnabled = true;
    this.#listener.onEnabled();
    this.#listener.onRevision(this.#revision);
    this.#logger.info('enabled authentication');
    return null;
  }

  disable(): void {
    if (!this.#isEnabled) return;
    writeAuthEnabled(this.#backend, false);
    this.#isEnabled = false;
    this.#advance();
    this.#listener.onDisabled();
    this.#logger.info('disabled authentication');
  }

  // --- users

  addUser(request: AuthUserAddRequest): InternalError | null {
    const { name } = request;
    if (name === '') return ERRORS.ErrUserEmpty;
    const problem = nameProblem(name);
    if (problem !== null) return problem;
    if (this.user(name) !== null) return ERRORS.ErrUserAlreadyExist;
    const options = new UserAddOptions({ noPassword: request.options?.noPassword ?? false });
    const password = options.noPassword ? EMPTY_BYTES : this.#storedPassword(request);
    if (password === null) return ERRORS.ErrNoPasswordUser;
    writeUser(this.#backend, new User({ name: utf8ToBytes(name), password, options }));
    this.#advance();
    this.#logger.info('added a user', { 'user-name': name });
    return null;
  }

  deleteUser(name: string): InternalError | null {
    if (this.#isEnabled && name === ROOT_USER) {
      this.#logger.error("cannot delete 'root' user", { 'user-name': name });
      return ERRORS.ErrInvalidAuthMgmt;
    }
    const user = this.user(name);
    if (user === null) return ERRORS.ErrUserNotFound;
    deleteUser(this.#backend, name);
    this.#advance();
    this.#listener.onUserInvalidated(name, this.#revision);
    this.#logger.info('deleted a user', { 'user-name': name, 'user-roles': user.roles });
    return null;
  }

  changePassword(request: AuthUserChangePasswordRequest): InternalError | null {
    const { name } = request;
    const user = this.user(name);
    if (user === null) return ERRORS.ErrUserNotFound;
    const password = user.options?.noPassword === true ? EMPTY_BYTES : this.#storedPassword(request);
    if (password === null) return ERRORS.ErrNoPasswordUser;
    this.#writeUser(user, { password });
    this.#advance();
    this.#listener.onUserInvalidated(name, this.#revision);
    this.#logger.info('changed a password of a user', { 'user-name': name, 'user-roles': user.roles });
    return null;
  }

  grantRole(name: string, role: string): InternalError | null {
    const user = this.user(name);
    if (user === null) return ERRORS.ErrUserNotFound;
    if (role !== ROOT_ROLE && this.role(role) === null) return ERRORS.ErrRoleNotFound;
    const { roles } = user;
    if (roles.includes(role)) {
      this.#logger.warn('ignored grant role request to a user', {
        'user-name': name,
        'user-roles': roles,
        'duplicate-role-name': role,
      });
      return null;
    }
    const granted = [...roles, role].sort(compareNames);
    this.#writeUser(user, { roles: granted });
    this.#advance();
    this.#logger.info('granted a role to a user', {
      'user-name': name,
      'user-roles': granted,
      'added-role-name': role,
    });
    return null;
  }

  revokeRole(name: string, role: string): InternalError | null {
    if (this.#isEnabled && name === ROOT_USER && role === ROOT_ROLE) {
      this.#logger.error("'root' user cannot revoke 'root' role", { 'user-name': name, 'role-name': role });
      return ERRORS.ErrInvalidAuthMgmt;
    }
    const user = this.user(name);
    if (user === null) return ERRORS.ErrUserNotFound;
    const { roles } = user;
    const rest = roles.filter((other) => other !== role);
    if (rest.length === roles.length) return ERRORS.ErrRoleNotGranted;
    this.#writeUser(user, { roles: rest });
    this.#advance();
    this.#logger.info('revoked a role from a user', {
      'user-name': name,
      'old-user-roles': roles,
      'new-user-roles': rest,
      'revoked-role-name': role,
    });
    return null;
  }

  // --- roles

  addRole(name: string): InternalError | null {
    if (name === '') return ERRORS.ErrRoleEmpty;
    const problem = nameProblem(name);
    if (problem !== null) return problem;
    if (this.role(name) !== null) return ERRORS.ErrRoleAlreadyExist;
    writeRole(this.#backend, new Role({ name: utf8ToBytes(name) }));
    this.#advance();
    this.#logger.info('created a role', { 'role-name': name });
    return null;
  }

  deleteRole(name: string): InternalError | null {
    if (this.#isEnabled && name === ROOT_ROLE) {
      this.#logger.error("cannot delete 'root' role", { 'role-name': name });
      return ERRORS.ErrInvalidAuthMgmt;
    }
    if (this.role(name) === null) return ERRORS.ErrRoleNotFound;
    deleteRole(this.#backend, name);
    for (const user of readUsers(this.#backend)) {
      const rest = user.roles.filter((role) => role !== name);
      if (rest.length < user.roles.length) this.#writeUser(user, { roles: rest });
    }
    this.#advance();
    this.#logger.info('deleted a role', { 'role-name': name });
    return null;
  }

  grantPermission({ name, perm }: AuthRoleGrantPermissionRequest): InternalError | null {
    if (perm === null) return ERRORS.ErrPermissionNotGiven;
    if (!isValidKeyRange(perm)) return ERRORS.ErrInvalidAuthMgmt;
    const role = this.role(name);
    if (role === null) return ERRORS.ErrRoleNotFound;
    const { permType } = perm;
    const key = copyBytes(perm.key);
    const rangeEnd = copyBytes(perm.rangeEnd);
    const { keyPermission: before } = role;
    // Only the first permission of the key is looked at, as etcd does: the records are the same, byte by byte.
    const place = before.findIndex((other) => compareBytes(other.key, key) >= 0);
    const granted = new Permission({ permType, key, rangeEnd });
    const isKnown = place >= 0 && isSameRange(before[place]!, granted);
    const keyPermission = isKnown ? before.with(place, granted) : withGrant(before, granted);
    writeRole(this.#backend, new Role({ name: role.name, keyPermission }));
    this.#advance();
    this.#logger.info('granted/updated a permission to a user', {
      'user-name': name,
      'permission-name': permissionName(permType),
      key: utf8FromBytes(key),
      'range-end': utf8FromBytes(rangeEnd),
    });
    return null;
  }

  revokePermission({ role: name, key, rangeEnd }: AuthRoleRevokePermissionRequest): InternalError | null {
    const role = this.role(name);
    if (role === null) return ERRORS.ErrRoleNotFound;
    const keyPermission = role.keyPermission.filter(
      (permission) => !isSameRange(permission, { key, rangeEnd }),
    );
    if (keyPermission.length === role.keyPermission.length) return ERRORS.ErrPermissionNotGranted;
    writeRole(this.#backend, new Role({ name: role.name, keyPermission }));
    this.#advance();
    this.#logger.info('revoked a permission on range', {
      'role-name': name,
      key: utf8FromBytes(key),
      'range-end': utf8FromBytes(rangeEnd),
    });
    return null;
  }

  // --- inside

  #advance(): void {
    this.#revision++;
    writeAuthRevision(this.#backend, this.#revision);
    this.#permissions.clear();
    this.#listener.onRevision(this.#revision);
  }

  #writeUser({ name, password, roles, options }: User, change: Partial<User>): void {
    writeUser(this.#backend, new User({ name, password, roles, options, ...change }));
  }

  /** What is kept of the password of a request; null when it is not in the form that it must have. */
  #storedPassword(request: { name: string; password: string; hashedPassword: string }): Uint8Array | null {
    const { name, password, hashedPassword } = request;
    if (password === '' || hashedPassword !== '') return bytesFromBase64(hashedPassword);
    return this.#hashPassword?.(password, name, this.#revision) ?? null;
  }
}

function isRoot(user: User): boolean {
  return user.roles.includes(ROOT_ROLE);
}

/** The order of Go's strings: that of their bytes. */
function compareNames(a: string, b: string): number {
  return compareBytes(utf8ToBytes(a), utf8ToBytes(b));
}

function isSameRange(
  a: Pick<Permission, 'key' | 'rangeEnd'>,
  b: Pick<Permission, 'key' | 'rangeEnd'>,
): boolean {
  return equalBytes(a.key, b.key) && equalBytes(a.rangeEnd, b.rangeEnd);
}

function permissionName(type: number): string {
  return ['READ', 'WRITE', 'READWRITE'][type] ?? String(type);
}
