/** Users, roles and whether they matter. */

import { Permission, PermissionType, UserAddOptions } from '@etcd/api/authpb';
import {
  AuthDisableRequest,
  type AuthDisableResponse,
  AuthEnableRequest,
  type AuthEnableResponse,
  AuthRoleAddRequest,
  type AuthRoleAddResponse,
  AuthRoleDeleteRequest,
  type AuthRoleDeleteResponse,
  AuthRoleGetRequest,
  type AuthRoleGetResponse,
  AuthRoleGrantPermissionRequest,
  type AuthRoleGrantPermissionResponse,
  AuthRoleListRequest,
  type AuthRoleListResponse,
  AuthRoleRevokePermissionRequest,
  type AuthRoleRevokePermissionResponse,
  AuthStatusRequest,
  type AuthStatusResponse,
  AuthUserAddRequest,
  type AuthUserAddResponse,
  AuthUserChangePasswordRequest,
  type AuthUserChangePasswordResponse,
  AuthUserDeleteRequest,
  type AuthUserDeleteResponse,
  AuthUserGetRequest,
  type AuthUserGetResponse,
  AuthUserGrantRoleRequest,
  type AuthUserGrantRoleResponse,
  AuthUserListRequest,
  type AuthUserListResponse,
  AuthUserRevokeRoleRequest,
  type AuthUserRevokeRoleResponse,
} from '@etcd/api/etcdserverpb';
import { AuthService } from '@etcd/api/services';
import { type Bytes, keyRange, type RangeOptions } from '../keys.ts';
import { type CallOptions, NO_OPTIONS } from '../options.ts';
import type { Caller } from '../rpc/caller.ts';

const { methods } = AuthService;

export type PermissionKind = 'read' | 'write' | 'readwrite';

const PERMISSION_TYPES: Readonly<Record<PermissionKind, number>> = {
  read: PermissionType.READ,
  write: PermissionType.WRITE,
  readwrite: PermissionType.READWRITE,
};

export class Auth {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  enable(options: CallOptions = NO_OPTIONS): Promise<AuthEnableResponse> {
    return this.#caller.unary(methods.authEnable, new AuthEnableRequest(), options);
  }

  disable(options: CallOptions = NO_OPTIONS): Promise<AuthDisableResponse> {
    return this.#caller.unary(methods.authDisable, new AuthDisableRequest(), options);
  }

  status(options: CallOptions = NO_OPTIONS): Promise<AuthStatusResponse> {
    return this.#caller.unary(methods.authStatus, new AuthStatusRequest(), options);
  }

  /** Without a password the user can only come with a certificate. */
  userAdd(
    name: string,
    password: string | null,
    options: CallOptions = NO_OPTIONS,
  ): Promise<AuthUserAddResponse> {
    const request = new AuthUserAddRequest({
      name,
      password: password ?? '',
      options: new UserAddOptions({ noPassword: password === null }),
    });
    return this.#caller.unary(methods.userAdd, request, options);
  }

  userGet(name: string, options: CallOptions = NO_OPTIONS): Promise<AuthUserGetResponse> {
    return this.#caller.unary(methods.userGet, new AuthUserGetRequest({ name }), options);
  }

  userList(options: CallOptions = NO_OPTIONS): Promise<AuthUserListResponse> {
    return this.#caller.unary(methods.userList, new AuthUserListRequest(), options);
  }

  userDelete(name: string, options: CallOptions = NO_OPTIONS): Promise<AuthUserDeleteResponse> {
    return this.#caller.unary(methods.userDelete, new AuthUserDeleteRequest({ name }), options);
  }

  userChangePassword(
    name: string,
    password: string,
    options: CallOptions = NO_OPTIONS,
  ): Promise<AuthUserChangePasswordResponse> {
    const request = new AuthUserChangePasswordRequest({ name, password });
    return this.#caller.unary(methods.userChangePassword, request, options);
  }

  userGrantRole(
    user: string,
    role: string,
    options: CallOptions = NO_OPTIONS,
  ): Promise<AuthUserGrantRoleResponse> {
    return this.#caller.unary(methods.userGrantRole, new AuthUserGrantRoleRequest({ user, role }), options);
  }

  userRevokeRole(
    name: string,
    role: string,
    options: CallOptions = NO_OPTIONS,
  ): Promise<AuthUserRevokeRoleResponse> {
    return this.#caller.unary(methods.userRevokeRole, new AuthUserRevokeRoleRequest({ name, role }), options);
  }

  roleAdd(name: string, options: CallOptions = NO_OPTIONS): Promise<AuthRoleAddResponse> {
    return this.#caller.unary(methods.roleAdd, new AuthRoleAddRequest({ name }), options);
  }

  roleGet(role: string, options: CallOptions = NO_OPTIONS): Promise<AuthRoleGetResponse> {
    return this.#caller.unary(methods.roleGet, new AuthRoleGetRequest({ role }), options);
  }

  roleList(options: CallOptions = NO_OPTIONS): Promise<AuthRoleListResponse> {
    return this.#caller.unary(methods.roleList, new AuthRoleListRequest(), options);
  }

  roleDelete(role: string, options: CallOptions = NO_OPTIONS): Promise<AuthRoleDeleteResponse> {
    return this.#caller.unary(methods.roleDelete, new AuthRoleDeleteRequest({ role }), options);
  }

  roleGrantPermission(
    name: string,
    kind: PermissionKind,
    key: Bytes,
    options: RangeOptions & CallOptions = {},
  ): Promise<AuthRoleGrantPermissionResponse> {
    const perm = new Permission({ permType: PERMISSION_TYPES[kind], ...keyRange(key, options) });
    const request = new AuthRoleGrantPermissionRequest({ name, perm });
    return this.#caller.unary(methods.roleGrantPermission, request, options);
  }

  roleRevokePermission(
    role: string,
    key: Bytes,
    options: RangeOptions & CallOptions = {},
  ): Promise<AuthRoleRevokePermissionResponse> {
    const request = new AuthRoleRevokePermissionRequest({ role, ...keyRange(key, options) });
    return this.#caller.unary(methods.roleRevokePermission, request, options);
  }
}
