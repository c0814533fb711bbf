/**
 * The Auth service. Changes go through the log, and are judged when they are applied; before, whoever asks is looked at once
 * more here, so that a stranger can neither fill the log nor have passwords hashed. Users and roles are read without the log,
 * once this member has applied what was committed when it was asked.
 */
import { INTERNAL_ERRORS, type InternalError, type RpcError } from '@etcd/api';
import {
  type AuthDisableRequest,
  AuthDisableResponse,
  AuthDisableResponseCodec,
  type AuthEnableRequest,
  AuthEnableResponse,
  AuthEnableResponseCodec,
  type AuthenticateRequest,
  AuthenticateResponse,
  AuthenticateResponseCodec,
  type AuthRoleAddRequest,
  AuthRoleAddResponse,
  AuthRoleAddResponseCodec,
  type AuthRoleDeleteRequest,
  AuthRoleDeleteResponse,
  AuthRoleDeleteResponseCodec,
  type AuthRoleGetRequest,
  AuthRoleGetResponse,
  AuthRoleGetResponseCodec,
  type AuthRoleGrantPermissionRequest,
  AuthRoleGrantPermissionResponse,
  AuthRoleGrantPermissionResponseCodec,
  AuthRoleListResponse,
  AuthRoleListResponseCodec,
  type AuthRoleRevokePermissionRequest,
  AuthRoleRevokePermissionResponse,
  AuthRoleRevokePermissionResponseCodec,
  AuthStatusResponse,
  AuthStatusResponseCodec,
  type AuthUserAddRequest,
  AuthUserAddResponse,
  AuthUserAddResponseCodec,
  type AuthUserChangePasswordRequest,
  AuthUserChangePasswordResponse,
  AuthUserChangePasswordResponseCodec,
  type AuthUserDeleteRequest,
  AuthUserDeleteResponse,
  AuthUserDeleteResponseCodec,
  type AuthUserGetRequest,
  AuthUserGetResponse,
  AuthUserGetResponseCodec,
  type AuthUserGrantRoleRequest,
  AuthUserGrantRoleResponse,
  AuthUserGrantRoleResponseCodec,
  AuthUserListResponse,
  AuthUserListResponseCodec,
  type AuthUserRevokeRoleRequest,
  AuthUserRevokeRoleResponse,
  AuthUserRevokeRoleResponseCodec,
  type ResponseHeader,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import { type Identity, nameProblem } from '@etcd/storage/auth';
import type { ServerCall } from '@etcd/transport';
import type { Authentication } from '../auth/index.ts';
import type { Kind, RequestOf, Waiter } from '../request/index.ts';
import { followProposal } from './call-parts.ts';
import { Login } from './login.ts';
import type { Call } from './row.ts';
import { answer, type RpcContext, refuse, refuseInternal } from './rpc-context.ts';
import { READS_AUTH, READS_ROLE, READS_USER } from './verdicts.ts';

const { ErrRoleNotFound, ErrUserNotFound } = INTERNAL_ERRORS.auth;

/** An empty password would let in whoever tries (S11); etcd accepts it. */
const EMPTY_PASSWORD: RpcError = {
  name: 'ErrGRPCPasswordEmpty',
  code: GrpcCode.InvalidArgument,
  message: 'etcdserver: password is empty',
};

function passwordTooShort(minLength: number): RpcError {
  return {
    name: 'ErrGRPCPasswordTooShort',
    code: GrpcCode.InvalidArgument,
    message: `etcdserver: password is shorter than ${minLength} characters`,
  };
}

const OLD_MEMBERS: RpcError = {
  name: 'ErrGRPCPasswordWithOldMembers',
  code: GrpcCode.FailedPrecondition,
  message:
    'etcdserver: passwords can not be set while the cluster is at 3.4, which would take them for empty',
};

/** The kinds that are answered with a header alone. */
type ChangeKind = Exclude<Extract<Kind, `auth${string}`>, 'authenticate'>;

export class AuthService {
  readonly #context: RpcContext;
  readonly #authentication: Pick<Authentication, 'passwords' | 'tokens'>;

  constructor(context: RpcContext, authentication: Pick<Authentication, 'passwords' | 'tokens'>) {
    this.#context = context;
    this.#authentication = authentication;
  }

  // --- the switch

  enable(call: Call<AuthEnableResponse>, request: AuthEnableRequest, identity: Identity): void {
    this.#change(call, 'authEnable', request, identity, (header) =>
      answer(call, AuthEnableResponseCodec, new AuthEnableResponse({ header })),
    );
  }

  disable(call: Call<AuthDisableResponse>, request: AuthDisableRequest, identity: Identity): void {
    this.#change(call, 'authDisable', request, identity, (header) =>
      answer(call, AuthDisableResponseCodec, new AuthDisableResponse({ header })),
    );
  }

  status(call: Call<AuthStatusResponse>): void {
    this.#read(call, (header) => {
      const { isEnabled: enabled, revision: authRevision } = this.#context.member.auth;
      answer(call, AuthStatusResponseCodec, new AuthStatusResponse({ header, enabled, authRevision }));
    });
  }

  authenticate(call: Call<AuthenticateResponse>, request: AuthenticateRequest): void {
    const { name, password } = request;
    // Nothing that outlives this call holds it.
    request.password = '';
    new Login(this.#context, this.#authentication, call, name, password, (token, revision) => {
      const header = this.#context.header.header(revision);
      answer(call, AuthenticateResponseCodec, new AuthenticateResponse({ header, token }));
    }).start();
  }

  // --- users

  addUser(call: Call<AuthUserAddResponse>, request: AuthUserAddRequest, identity: Identity): void {
    const { password } = request;
    request.password = '';
    if (this.#refuseName(call, 'authUserAdd', request.name)) return;
    const change = (): void =>
      this.#change(call, 'authUserAdd', request, identity, (header) =>
        answer(call, AuthUserAddResponseCodec, new AuthUserAddResponse({ header })),
      );
    // Without a name it is refused for that, whatever the password.
    if (request.options?.noPassword === true || request.name === '') return change();
    this.#withHash(call, 'authUserAdd', request, password, identity, change);
  }

  changePassword(
    call: Call<AuthUserChangePasswordResponse>,
    request: AuthUserChangePasswordRequest,
    identity: Identity,
  ): void {
    const { password } = request;
    request.password = '';
    const change = (): void =>
      this.#change(call, 'authUserChangePassword', request, identity, (header) =>
        answer(call, AuthUserChangePasswordResponseCodec, new AuthUserChangePasswordResponse({ header })),
      );
    this.#withHash(call, 'authUserChangePassword', request, password, identity, change);
  }

  deleteUser(call: Call<AuthUserDeleteResponse>, request: AuthUserDeleteRequest, identity: Identity): void {
    this.#change(call, 'authUserDelete', request, identity, (header) =>
      answer(call, AuthUserDeleteResponseCodec, new AuthUserDeleteResponse({ header })),
    );
  }

  grantRole(
    call: Call<AuthUserGrantRoleResponse>,
    request: AuthUserGrantRoleRequest,
    identity: Identity,
  ): void {
    this.#change(call, 'authUserGrantRole', request, identity, (header) =>
      answer(call, AuthUserGrantRoleResponseCodec, new AuthUserGrantRoleResponse({ header })),
    );
  }

  revokeRole(
    call: Call<AuthUserRevokeRoleResponse>,
    request: AuthUserRevokeRoleRequest,
    identity: Identity,
  ): void {
    this.#change(call, 'authUserRevokeRole', request, identity, (header) =>
      answer(call, AuthUserRevokeRoleResponseCodec, new AuthUserRevokeRoleResponse({ header })),
    );
  }

  /** A user may look at itself. */
  getUser(call: Call<AuthUserGetResponse>, request: AuthUserGetRequest, identity: Identity): void {
    this.#read(call, (header) => {
      const refusal = this.#context.judgeRead(READS_USER, identity, request);
      if (refusal !== null) return void refuseInternal(call, refusal);
      const user = this.#context.member.auth.user(request.name);
      if (user === null) return void refuseInternal(call, ErrUserNotFound);
      answer(call, AuthUserGetResponseCodec, new AuthUserGetResponse({ header, roles: user.roles }));
    });
  }

  listUsers(call: Call<AuthUserListResponse>, request: object, identity: Identity): void {
    this.#read(call, (header) => {
      const { auth } = this.#context.member;
      const refusal = this.#context.judgeRead(READS_AUTH, identity, request);
      if (refusal !== null) return void refuseInternal(call, refusal);
      answer(call, AuthUserListResponseCodec, new AuthUserListResponse({ header, users: auth.userNames() }));
    });
  }

  // --- roles

  addRole(call: Call<AuthRoleAddResponse>, request: AuthRoleAddRequest, identity: Identity): void {
    if (this.#refuseName(call, 'authRoleAdd', request.name)) return;
    this.#change(call, 'authRoleAdd', request, identity, (header) =>
      answer(call, AuthRoleAddResponseCodec, new AuthRoleAddResponse({ header })),
    );
  }

  deleteRole(call: Call<AuthRoleDeleteResponse>, request: AuthRoleDeleteRequest, identity: Identity): void {
    this.#change(call, 'authRoleDelete', request, identity, (header) =>
      answer(call, AuthRoleDeleteResponseCodec, new AuthRoleDeleteResponse({ header })),
    );
  }

  grantPermission(
    call: Call<AuthRoleGrantPermissionResponse>,
    request: AuthRoleGrantPermissionRequest,
    identity: Identity,
  ): void {
    this.#change(call, 'authRoleGrantPermission', request, identity, (header) =>
      answer(call, AuthRoleGrantPermissionResponseCodec, new AuthRoleGrantPermissionResponse({ header })),
    );
  }

  revokePermission(
    call: Call<AuthRoleRevokePermissionResponse>,
    request: AuthRoleRevokePermissionRequest,
    identity: Identity,
  ): void {
    this.#change(call, 'authRoleRevokePermission', request, identity, (header) =>
      answer(call, AuthRoleRevokePermissionResponseCodec, new AuthRoleRevokePermissionResponse({ header })),
    );
  }

  /** A user may look at its roles. */
  getRole(call: Call<AuthRoleGetResponse>, request: AuthRoleGetRequest, identity: Identity): void {
    this.#read(call, (header) => {
      const refusal = this.#context.judgeRead(READS_ROLE, identity, request);
      if (refusal !== null) return void refuseInternal(call, refusal);
      const permissions = this.#context.member.auth.permissionsOfRole(request.role);
      if (permissions === null) return void refuseInternal(call, ErrRoleNotFound);
      answer(call, AuthRoleGetResponseCodec, new AuthRoleGetResponse({ header, perm: [...permissions] }));
    });
  }

  listRoles(call: Call<AuthRoleListResponse>, request: object, identity: Identity): void {
    this.#read(call, (header) => {
      const { auth } = this.#context.member;
      const refusal = this.#context.judgeRead(READS_AUTH, identity, request);
      if (refusal !== null) return void refuseInternal(call, refusal);
      answer(call, AuthRoleListResponseCodec, new AuthRoleListResponse({ header, roles: auth.roleNames() }));
    });
  }

  // --- inside

  /** Whether the name is one that must not get into the log: members of Go would end of it. */
  #refuseName(call: ServerCall, kind: ChangeKind, name: string): boolean {
    const problem = nameProblem(name);
    if (problem === null) return false;
    this.#context.refused.badChange(call, kind, problem.message);
    refuseInternal(call, problem);
    return true;
  }

  /** Proposes a change for whoever may ask for it. */
  #change<K extends ChangeKind>(
    call: ServerCall,
    kind: K,
    request: RequestOf<K>,
    identity: Identity,
    then: (header: ResponseHeader) => void,
  ): void {
    this.#whenAdmin(call, kind, identity, () => {
      const { proposals } = this.#context.requests;
      const waiter: Waiter<ChangeKind> = {
        kind,
        request: null,
        onApplied: ({ revision }) => then(this.#context.header.header(revision)),
        onFailed: (error) => {
          if (error.name.startsWith('auth.')) this.#context.refused.badChange(call, kind, error.message);
          refuseInternal(call, error);
        },
      };
      const followed = call.trace === null ? null : followProposal(call.trace, waiter);
      proposals.propose<ChangeKind>(kind, request, identity, followed ?? waiter);
      followed?.onProposed();
    });
  }

  /** The verdict of the present: that of the moment when the change is applied may be another. */
  #whenAdmin(call: ServerCall, kind: ChangeKind, identity: Identity, then: () => void): void {
    const { member, requests } = this.#context;
    if (!member.access.isEnabled) return then();
    requests.read({
      onReadable: () => {
        const refusal = member.access.admin(identity);
        if (refusal === null) return call.isAlive ? then() : undefined;
        this.#context.refused.badChange(call, kind, refusal.message);
        refuseInternal(call, refusal);
      },
      onUnreadable: (error) => void refuseInternal(call, error),
    });
  }

  /** Puts the hash of the password into the request, where the client has not sent one: how long that password is, nobody knows. */
  #withHash(
    call: ServerCall,
    kind: ChangeKind,
    request: { hashedPassword: string },
    password: string,
    identity: Identity,
    then: () => void,
  ): void {
    this.#whenAdmin(call, kind, identity, () => {
      if (this.#hasOldMembers) return void refuse(call, OLD_MEMBERS);
      if (password === '') {
        if (request.hashedPassword === '') return void refuse(call, EMPTY_PASSWORD);
        return then();
      }
      const { minPasswordLength } = this.#context.member.config;
      if ([...password].length < minPasswordLength) {
        return void refuse(call, passwordTooShort(minPasswordLength));
      }
      this.#authentication.passwords.hashThen(password, (error, hash) => {
        if (error !== null) return call.fail(GrpcCode.Unknown, error.message);
        if (!call.isAlive) return;
        request.hashedPassword = Buffer.from(hash, 'latin1').toString('base64');
        then();
      });
    });
  }

  /** Members of etcd 3.4 read the password of a request, not its hash: for them there would be none. An undecided cluster is at 3.0. */
  get #hasOldMembers(): boolean {
    const { version } = this.#context.member.membership;
    return version !== null && version.major === 3 && version.minor === 4;
  }

  #read(call: ServerCall, then: (header: ResponseHeader) => void): void {
    const { requests, member, header } = this.#context;
    requests.read({
      onReadable: () => {
        if (call.isAlive) then(header.header(member.store.revision));
      },
      onUnreadable: (error: InternalError) => void refuseInternal(call, error),
    });
  }
}
