import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type Method, RPC_ERRORS, type RpcError } from '@etcd/api';
import { Permission, PermissionType, UserAddOptions } from '@etcd/api/authpb';
import {
  AuthDisableRequest,
  AuthEnableRequest,
  AuthenticateRequest,
  AuthRoleAddRequest,
  AuthRoleDeleteRequest,
  AuthRoleGetRequest,
  AuthRoleGrantPermissionRequest,
  AuthRoleListRequest,
  AuthRoleRevokePermissionRequest,
  AuthStatusRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGetRequest,
  AuthUserGrantRoleRequest,
  AuthUserListRequest,
  AuthUserRevokeRoleRequest,
  PutRequest,
  RangeRequest,
} from '@etcd/api/etcdserverpb';
import { ClusterVersionSetRequest } from '@etcd/api/membershippb';
import { AuthService, KvService } from '@etcd/api/services';
import type { Metadata } from '@etcd/transport';
import { FakeMember } from './testing/served-member.ts';

const RPC = AuthService.methods;
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** A member whose users and roles count. Calls are those of whoever has logged in last. */
class MemberWithUsers extends FakeMember {
  token: Metadata = [];

  constructor() {
    super({ hasUsers: true });
  }

  /** The error's text; empty when it was done. */
  error<Request, Response>(method: Method<'unary', Request, Response>, request: NoInfer<Request>): string {
    return this.call(method, request, this.token)?.message ?? 'no answer';
  }

  get<Request, Response>(method: Method<'unary', Request, Response>, request: NoInfer<Request>): Response {
    return this.ask(method, request, this.token);
  }

  login(name: string, password: string): string {
    this.token = [];
    const answered = this.call(RPC.authenticate, new AuthenticateRequest({ name, password }));
    if (answered?.response == null) return answered?.message ?? 'no answer';
    this.token = [['token', answered.response.token]];
    return '';
  }

  addUser(name: string, password = name): void {
    this.get(RPC.userAdd, new AuthUserAddRequest({ name, password }));
  }

  /** Root and alice, who has the role `reader` of the key `k`; root has logged in. */
  static enabled(): MemberWithUsers {
    const member = new MemberWithUsers();
    for (const name of ['root', 'alice']) member.addUser(name);
    for (const name of ['root', 'reader']) member.get(RPC.roleAdd, new AuthRoleAddRequest({ name }));
    const perm = new Permission({ permType: PermissionType.READ, key: bytes('k') });
    member.get(RPC.roleGrantPermission, new AuthRoleGrantPermissionRequest({ name: 'reader', perm }));
    member.get(RPC.userGrantRole, new AuthUserGrantRoleRequest({ user: 'root', role: 'root' }));
    member.get(RPC.userGrantRole, new AuthUserGrantRoleRequest({ user: 'alice', role: 'reader' }));
    member.get(RPC.authEnable, new AuthEnableRequest());
    assert.equal(member.login('root', 'root'), '');
    return member;
  }
}

const textOf = ({ message }: RpcError): string => message;
const { ErrGRPCAuthFailed, ErrGRPCAuthNotEnabled, ErrGRPCAuthOldRevision } = RPC_ERRORS;
const { ErrGRPCInvalidAuthMgmt, ErrGRPCInvalidAuthToken, ErrGRPCPermissionDenied } = RPC_ERRORS;
const { ErrGRPCRoleAlreadyExist, ErrGRPCRoleNotFound, ErrGRPCUserAlreadyExist } = RPC_ERRORS;
const { ErrGRPCUserEmpty, ErrGRPCUserNotFound } = RPC_ERRORS;

test('the switch is thrown where there is an administrator, and says how it stands', () => {
  const member = new MemberWithUsers();
  const status = (): [boolean, number] => {
    const { enabled, authRevision } = member.get(RPC.authStatus, new AuthStatusRequest());
    return [enabled, authRevision];
  };
  assert.deepEqual(status(), [false, 1]);
  assert.equal(
    member.error(RPC.authEnable, new AuthEnableRequest()),
    textOf(RPC_ERRORS.ErrGRPCRootUserNotExist),
  );
  member.addUser('root');
  assert.equal(
    member.error(RPC.authEnable, new AuthEnableRequest()),
    textOf(RPC_ERRORS.ErrGRPCRootRoleNotExist),
  );
  const enabled = MemberWithUsers.enabled();
  assert.deepEqual(enabled.get(RPC.authStatus, new AuthStatusRequest()).enabled, true);
  enabled.get(RPC.authDisable, new AuthDisableRequest());
  enabled.token = [];
  assert.equal(enabled.get(RPC.authStatus, new AuthStatusRequest()).enabled, false);
  assert.equal(enabled.error(KvService.methods.put, new PutRequest({ key: bytes('k') })), '');
});

test('whoever has logged in is known by the token, and may do what its roles permit', () => {
  const member = MemberWithUsers.enabled();
  const put = (): string => member.error(KvService.methods.put, new PutRequest({ key: bytes('k') }));
  const range = (): string => member.error(KvService.methods.range, new RangeRequest({ key: bytes('k') }));
  assert.deepEqual([put(), range()], ['', '']);
  assert.equal(member.login('alice', 'alice'), '');
  assert.deepEqual([put(), range()], [textOf(ErrGRPCPermissionDenied), '']);
  member.token = [['token', 'forged']];
  assert.equal(range(), textOf(ErrGRPCInvalidAuthToken));
  member.token = [];
  assert.equal(range(), textOf(ErrGRPCUserEmpty));
});

test('a login fails alike for a wrong password and for a user that is not there', () => {
  const member = MemberWithUsers.enabled();
  for (const [name, password] of [
    ['alice', 'wrong'],
    ['alice', ''],
    ['nobody', 'alice'],
    ['', ''],
  ] as const) {
    assert.equal(member.login(name, password), textOf(ErrGRPCAuthFailed), `${name} ${password}`);
  }
  assert.equal(new MemberWithUsers().login('root', 'root'), textOf(ErrGRPCAuthNotEnabled));
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  assert.equal(member.login('alice', 'alice'), textOf(RPC_ERRORS.ErrGRPCTimeout));
});

test('a user without a password can not log in', () => {
  const member = MemberWithUsers.enabled();
  const options = new UserAddOptions({ noPassword: true });
  member.get(RPC.userAdd, new AuthUserAddRequest({ name: 'cert', options }));
  for (const password of ['', 'cert']) {
    assert.equal(
      member.login('cert', password),
      textOf(INTERNAL_ERRORS.auth.ErrNoPasswordUser.rpc),
      password,
    );
  }
});

test('S09 neither what is logged in with nor what is set is in the log', () => {
  const member = MemberWithUsers.enabled();
  member.addUser('bob', 'first-secret');
  member.get(
    RPC.userChangePassword,
    new AuthUserChangePasswordRequest({ name: 'bob', password: 'second-secret' }),
  );
  assert.equal(member.login('bob', 'second-secret'), '');
  const log = Buffer.concat(member.log.entries).toString('latin1');
  for (const secret of ['first-secret', 'second-secret']) {
    // The test's own hashes have the password in them; what they are encoded in has not.
    assert.ok(!log.includes(secret), secret);
  }
  assert.equal(member.login('bob', 'first-secret'), textOf(ErrGRPCAuthFailed), 'the old one is void');
});

test('S11 nobody is given an empty password, or one that is too long, and a hash may be brought along', () => {
  const member = MemberWithUsers.enabled();
  const add = (request: Partial<AuthUserAddRequest>): string =>
    member.error(RPC.userAdd, new AuthUserAddRequest({ name: 'bob', ...request }));
  const change = (password: string): string =>
    member.error(RPC.userChangePassword, new AuthUserChangePasswordRequest({ name: 'alice', password }));
  assert.match(add({ password: '' }), /password is empty/);
  assert.match(change(''), /password is empty/);
  assert.match(add({ password: 'x'.repeat(73) }), /exceeds 72 bytes/);
  assert.equal(member.login('alice', 'alice'), '', 'nothing has changed');
  assert.equal(member.login('root', 'root'), '');
  assert.equal(add({ name: '' }), textOf(ErrGRPCUserEmpty));
  assert.equal(add({ hashedPassword: Buffer.from('hash of brought').toString('base64') }), '');
  assert.equal(member.login('bob', 'brought'), '');
});

test('S11 while the cluster is at 3.4, whose members read passwords and not hashes, none are set', () => {
  const member = MemberWithUsers.enabled();
  member.log.replay('clusterVersionSet', new ClusterVersionSetRequest({ ver: '3.4.0' }));
  const add = new AuthUserAddRequest({ name: 'bob', password: 'bob' });
  assert.match(member.error(RPC.userAdd, add), /while the cluster is at 3\.4/);
  member.log.replay('clusterVersionSet', new ClusterVersionSetRequest({ ver: '3.5.0' }));
  assert.equal(member.error(RPC.userAdd, new AuthUserAddRequest({ name: 'bob', password: 'bob' })), '');
});

test('S04 whoever may not change users has no password hashed and nothing put into the log', () => {
  const member = MemberWithUsers.enabled();
  const { passwords } = member.authentication;
  let hashed = 0;
  const hashThen = passwords.hashThen.bind(passwords);
  passwords.hashThen = (...args) => {
    hashed++;
    hashThen(...args);
  };
  member.login('alice', 'alice');
  const { appliedIndex } = member.log;
  const requests: readonly [Method<'unary', object, object>, object][] = [
    [RPC.userAdd, new AuthUserAddRequest({ name: 'bob', password: 'bob' })],
    [RPC.userChangePassword, new AuthUserChangePasswordRequest({ name: 'root', password: 'mine' })],
    [RPC.userDelete, new AuthUserDeleteRequest({ name: 'root' })],
    [RPC.userGrantRole, new AuthUserGrantRoleRequest({ user: 'alice', role: 'root' })],
    [RPC.userRevokeRole, new AuthUserRevokeRoleRequest({ name: 'root', role: 'root' })],
    [RPC.roleAdd, new AuthRoleAddRequest({ name: 'mine' })],
    [RPC.roleDelete, new AuthRoleDeleteRequest({ role: 'reader' })],
    [RPC.roleGrantPermission, new AuthRoleGrantPermissionRequest({ name: 'reader', perm: new Permission() })],
    [RPC.roleRevokePermission, new AuthRoleRevokePermissionRequest({ role: 'reader', key: bytes('k') })],
    [RPC.authDisable, new AuthDisableRequest()],
    [RPC.authEnable, new AuthEnableRequest()],
    [RPC.userList, new AuthUserListRequest()],
    [RPC.roleList, new AuthRoleListRequest()],
  ];
  for (const [method, request] of requests) {
    assert.equal(member.error(method, request), textOf(ErrGRPCPermissionDenied), method.path);
  }
  assert.deepEqual([hashed, member.log.appliedIndex], [0, appliedIndex]);
});

test('a user looks at itself and at its roles, and at nobody else’s', () => {
  const member = MemberWithUsers.enabled();
  const user = (name: string): string => member.error(RPC.userGet, new AuthUserGetRequest({ name }));
  const role = (name: string): string => member.error(RPC.roleGet, new AuthRoleGetRequest({ role: name }));
  assert.deepEqual([user('alice'), user('nobody')], ['', textOf(ErrGRPCUserNotFound)]);
  assert.deepEqual([role('reader'), role('nothing')], ['', textOf(ErrGRPCRoleNotFound)]);
  member.login('alice', 'alice');
  const denied = textOf(ErrGRPCPermissionDenied);
  assert.deepEqual([user('alice'), user('root'), user('nobody')], ['', denied, denied]);
  assert.deepEqual([role('reader'), role('root'), role('nothing')], ['', denied, denied]);
  assert.deepEqual(member.get(RPC.userGet, new AuthUserGetRequest({ name: 'alice' })).roles, ['reader']);
});

test('users, roles and permissions are shown as they were made', () => {
  const member = MemberWithUsers.enabled();
  assert.deepEqual(member.get(RPC.userList, new AuthUserListRequest()).users, ['alice', 'root']);
  assert.deepEqual(member.get(RPC.roleList, new AuthRoleListRequest()).roles, ['reader', 'root']);
  const shown = (): string[] =>
    member
      .get(RPC.roleGet, new AuthRoleGetRequest({ role: 'reader' }))
      .perm.map(({ permType, key, rangeEnd }) => `${permType} ${key} ${rangeEnd}`);
  const perm = new Permission({ permType: PermissionType.READWRITE, key: bytes('a'), rangeEnd: bytes('b') });
  member.get(RPC.roleGrantPermission, new AuthRoleGrantPermissionRequest({ name: 'reader', perm }));
  assert.deepEqual(shown(), [`${PermissionType.READWRITE} a b`, `${PermissionType.READ} k `]);
  const revoke = new AuthRoleRevokePermissionRequest({ role: 'reader', key: bytes('k') });
  member.get(RPC.roleRevokePermission, revoke);
  assert.equal(shown().length, 1);
  assert.equal(
    member.error(RPC.roleRevokePermission, revoke),
    textOf(RPC_ERRORS.ErrGRPCPermissionNotGranted),
  );
});

test('what is there already, is not there, or holds up everything is refused in the words of the protocol', () => {
  const member = MemberWithUsers.enabled();
  const cases: [string, RpcError][] = [
    [
      member.error(RPC.userAdd, new AuthUserAddRequest({ name: 'alice', password: 'x' })),
      ErrGRPCUserAlreadyExist,
    ],
    [member.error(RPC.roleAdd, new AuthRoleAddRequest({ name: 'reader' })), ErrGRPCRoleAlreadyExist],
    [member.error(RPC.userDelete, new AuthUserDeleteRequest({ name: 'nobody' })), ErrGRPCUserNotFound],
    [member.error(RPC.userDelete, new AuthUserDeleteRequest({ name: 'root' })), ErrGRPCInvalidAuthMgmt],
    [member.error(RPC.roleDelete, new AuthRoleDeleteRequest({ role: 'nothing' })), ErrGRPCRoleNotFound],
    [
      member.error(RPC.userRevokeRole, new AuthUserRevokeRoleRequest({ name: 'root', role: 'root' })),
      ErrGRPCInvalidAuthMgmt,
    ],
    [
      member.error(RPC.userChangePassword, new AuthUserChangePasswordRequest({ name: 'no', password: 'x' })),
      ErrGRPCUserNotFound,
    ],
  ];
  for (const [message, error] of cases) assert.equal(message, textOf(error));
  assert.equal(member.error(RPC.roleDelete, new AuthRoleDeleteRequest({ role: 'reader' })), '');
  assert.deepEqual(member.get(RPC.userGet, new AuthUserGetRequest({ name: 'alice' })).roles, []);
});

test('whoever is deleted, or has another password, has to log in again', () => {
  const member = MemberWithUsers.enabled();
  const root = member.token;
  member.login('alice', 'alice');
  const alice = member.token;
  const range = (): string => {
    const answered = member.call(KvService.methods.range, new RangeRequest({ key: bytes('k') }), alice);
    return answered?.message ?? 'no answer';
  };
  assert.equal(range(), '');
  member.token = root;
  member.get(RPC.userChangePassword, new AuthUserChangePasswordRequest({ name: 'alice', password: 'new' }));
  assert.equal(range(), textOf(ErrGRPCInvalidAuthToken));
  member.get(RPC.userDelete, new AuthUserDeleteRequest({ name: 'alice' }));
  assert.equal(member.login('alice', 'new'), textOf(ErrGRPCAuthFailed));
});

/** Has users changed before each of the next logins is applied. */
function disturbLogins(member: MemberWithUsers, count: number): void {
  const { proposals } = member;
  const propose = proposals.propose.bind(proposals);
  proposals.propose = (kind, ...rest) => {
    if (kind === 'authenticate' && count-- > 0) {
      const name = `made at ${member.log.appliedIndex}`;
      member.log.replay('authRoleAdd', new AuthRoleAddRequest({ name }), member.auth.ownIdentity);
    }
    propose(kind, ...rest);
  };
}

test('S08 a password that was checked before users changed is checked again, and not for ever', () => {
  const member = MemberWithUsers.enabled();
  disturbLogins(member, 9);
  assert.equal(member.login('alice', 'alice'), '');
  disturbLogins(member, 10);
  assert.equal(member.login('alice', 'alice'), textOf(ErrGRPCAuthOldRevision));
});

test('S20 a client that goes while its password is checked is not logged in', () => {
  const member = MemberWithUsers.enabled();
  const { passwords } = member.authentication;
  const verifyThen = passwords.verifyThen.bind(passwords);
  const checks: (() => void)[] = [];
  passwords.verifyThen = (...args) => void checks.push(() => verifyThen(...args));
  const { appliedIndex } = member.log;
  const open = (): ReturnType<typeof member.open> => {
    const stream = member.open(RPC.authenticate);
    stream.send(new AuthenticateRequest({ name: 'alice', password: 'alice' }));
    return stream;
  };
  const [gone, patient] = [open(), open()];
  gone.cancel();
  for (const check of checks) check();
  member.clock.settle();
  assert.equal(member.log.appliedIndex, appliedIndex + 1, 'only one login is in the log');
  assert.equal(patient.responses.length, 1);
});

test('what can not be read is not answered', () => {
  const member = MemberWithUsers.enabled();
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  const timeout = textOf(RPC_ERRORS.ErrGRPCTimeout);
  assert.equal(member.error(RPC.authStatus, new AuthStatusRequest()), timeout);
  assert.equal(member.error(RPC.userList, new AuthUserListRequest()), timeout);
  assert.equal(member.error(RPC.userGet, new AuthUserGetRequest({ name: 'alice' })), timeout);
  assert.equal(member.error(RPC.roleList, new AuthRoleListRequest()), timeout);
  assert.equal(member.error(RPC.roleAdd, new AuthRoleAddRequest({ name: 'r' })), timeout);
});

test('S20 a name of a user or role that is no key of the database does not get into the log', () => {
  const member = MemberWithUsers.enabled();
  const { appliedIndex } = member;
  const name = 'n'.repeat(40_000);
  const tooLong = 'etcdserver: name is longer than 32768 bytes';
  assert.equal(member.error(RPC.roleAdd, new AuthRoleAddRequest({ name })), tooLong);
  assert.equal(member.error(RPC.userAdd, new AuthUserAddRequest({ name, password: 'p' })), tooLong);
  assert.equal(member.appliedIndex, appliedIndex);
});
