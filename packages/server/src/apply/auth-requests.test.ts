import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { Permission, PermissionType, UserAddOptions } from '@etcd/api/authpb';
import {
  AuthDisableRequest,
  AuthEnableRequest,
  AuthRoleAddRequest,
  AuthRoleDeleteRequest,
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthStatusRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGetRequest,
  AuthUserGrantRoleRequest,
  AuthUserRevokeRoleRequest,
  encodeInternalRaftRequest,
  InternalAuthenticateRequest,
  InternalRaftRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  RequestHeader,
} from '@etcd/api/etcdserverpb';
import { ClusterVersionSetRequest } from '@etcd/api/membershippb';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import type { Kind, RequestOf } from '../request/index.ts';
import { SingleLog } from './testing/single-log.ts';

const { ErrAuthFailed, ErrAuthNotEnabled, ErrPermissionDenied, ErrUserEmpty, ErrUserNotFound } =
  INTERNAL_ERRORS.auth;
const HASH = Buffer.from('hash').toString('base64');
const perm = new Permission({ permType: PermissionType.READWRITE, key: Buffer.from('k') });

/** Root, alice with the role `rw` of the key `k`, and cert without a password; authentication is on. */
class LogWithUsers extends SingleLog {
  constructor() {
    super({ hasUsers: true });
    for (const name of ['root', 'alice']) {
      this.replay('authUserAdd', new AuthUserAddRequest({ name, hashedPassword: HASH }));
    }
    const options = new UserAddOptions({ noPassword: true });
    this.replay('authUserAdd', new AuthUserAddRequest({ name: 'cert', options }));
    for (const name of ['root', 'rw']) this.replay('authRoleAdd', new AuthRoleAddRequest({ name }));
    this.replay('authRoleGrantPermission', new AuthRoleGrantPermissionRequest({ name: 'rw', perm }));
    this.replay('authUserGrantRole', new AuthUserGrantRoleRequest({ user: 'root', role: 'root' }));
    this.replay('authUserGrantRole', new AuthUserGrantRoleRequest({ user: 'alice', role: 'rw' }));
    this.replay('authEnable', new AuthEnableRequest());
  }

  identity(name: string): Identity {
    return { name, revision: this.auth.revision };
  }
}

/** One of each kind of change. */
const CHANGES: { readonly [K in Extract<Kind, `auth${string}`>]?: RequestOf<K> } = {
  authUserAdd: new AuthUserAddRequest({ name: 'bob', hashedPassword: HASH }),
  authUserChangePassword: new AuthUserChangePasswordRequest({ name: 'bob', hashedPassword: HASH }),
  authUserGrantRole: new AuthUserGrantRoleRequest({ user: 'bob', role: 'rw' }),
  authUserRevokeRole: new AuthUserRevokeRoleRequest({ name: 'bob', role: 'rw' }),
  authUserDelete: new AuthUserDeleteRequest({ name: 'bob' }),
  authRoleAdd: new AuthRoleAddRequest({ name: 'r' }),
  authRoleGrantPermission: new AuthRoleGrantPermissionRequest({ name: 'r', perm }),
  authRoleRevokePermission: new AuthRoleRevokePermissionRequest({ role: 'r', key: perm.key }),
  authRoleDelete: new AuthRoleDeleteRequest({ role: 'r' }),
  authEnable: new AuthEnableRequest(),
  authDisable: new AuthDisableRequest(),
};

test('S04 S08 every change of users and roles is made for an administrator and refused to all others, when it is applied', () => {
  const log = new LogWithUsers();
  for (const [kind, request] of Object.entries(CHANGES) as [Kind, RequestOf<Kind>][]) {
    const { revision } = log.auth;
    for (const [who, error] of [
      [NO_IDENTITY, ErrUserEmpty],
      [log.identity('alice'), ErrPermissionDenied],
      [log.identity('nobody'), ErrUserNotFound],
    ] as const) {
      assert.equal(log.propose(kind, request, who)!.error, error, `${kind} by ${who.name}`);
      assert.equal(log.auth.revision, revision, kind);
    }
    assert.ok(log.propose(kind, request, log.identity('root'))!.result, kind);
  }
  assert.ok(!log.auth.isEnabled);
});

test('S08 a login makes its token known on the member that asked and on all others, by the position of its entry', () => {
  const request = new InternalAuthenticateRequest({ name: 'alice', simpleToken: 'prefix' });
  const own = new LogWithUsers();
  const { result } = own.propose('authenticate', request)!;
  const { appliedIndex } = own;
  assert.deepEqual(result, {
    name: 'alice',
    prefix: 'prefix',
    index: appliedIndex - 1,
    revision: own.auth.revision,
  });
  const other = new LogWithUsers();
  other.replay('authenticate', request);
  for (const log of [own, other]) {
    const known = log.authentication.tokens.find(`prefix.${appliedIndex - 1}`, () => log.auth.revision);
    assert.equal(known?.name, 'alice');
  }
});

test('while members of etcd 3.4 are about, which count differently, a token is known under both names', () => {
  for (const [version, isKnown] of [
    [null, true],
    ['3.4.0', true],
    ['3.5.0', false],
  ] as const) {
    const log = new LogWithUsers();
    if (version !== null) log.replay('clusterVersionSet', new ClusterVersionSetRequest({ ver: version }));
    log.replay('authenticate', new InternalAuthenticateRequest({ name: 'alice', simpleToken: 'prefix' }));
    const { tokens } = log.authentication;
    const find = (index: number): Identity | null => tokens.find(`prefix.${index}`, () => log.auth.revision);
    assert.equal(find(log.appliedIndex - 1)?.name, 'alice', `${version}`);
    assert.equal(find(log.appliedIndex)?.name === 'alice', isKnown, `${version}`);
  }
});

test('nobody is logged in who is gone, has no password, or while authentication is off', () => {
  const log = new LogWithUsers();
  const login = (name: string) =>
    log.propose('authenticate', new InternalAuthenticateRequest({ name, simpleToken: name }))!.error;
  assert.equal(login('alice'), undefined);
  assert.deepEqual([login('nobody'), login('cert')], [ErrAuthFailed, ErrAuthFailed]);
  log.propose('authDisable', new AuthDisableRequest(), log.identity('root'));
  assert.equal(login('alice'), ErrAuthNotEnabled);
});

test('what members of Go put into the log to read users changes nothing, and is no fault', () => {
  const log = new LogWithUsers();
  const { revision } = log.auth;
  for (const read of [
    { authStatus: new AuthStatusRequest() },
    { authUserGet: new AuthUserGetRequest({ name: 'alice' }) },
  ]) {
    const header = new RequestHeader({ id: 77n, username: 'alice', authRevision: revision });
    log.append(encodeInternalRaftRequest(new InternalRaftRequest({ header, ...read })));
  }
  assert.equal(log.auth.revision, revision);
  assert.deepEqual(log.told, [], 'and it takes no room');
});

test('S05 all leases are shown to who may read the keys of all of them', () => {
  const log = new LogWithUsers();
  const root = log.identity('root');
  for (const id of [1n, 2n]) log.propose('leaseGrant', new LeaseGrantRequest({ id, ttl: 60 }), root);
  const verdict = (name: string) => log.access.allLeaseKeys(log.identity(name));
  assert.deepEqual([verdict('root'), verdict('alice')], [null, null], 'they have no keys');
  const key = Buffer.from('k');
  log.propose('put', new PutRequest({ key, lease: 1n }), root);
  assert.deepEqual([verdict('alice'), verdict('cert')], [null, ErrPermissionDenied]);
  log.propose('put', new PutRequest({ key: Buffer.from('other'), lease: 2n }), root);
  assert.deepEqual([verdict('root'), verdict('alice')], [null, ErrPermissionDenied]);
  const revoke = new LeaseRevokeRequest({ id: 2n });
  assert.equal(log.propose('leaseRevoke', revoke, log.identity('alice'))!.error, ErrPermissionDenied);
  assert.ok(log.lessor.has(2n));
});

test('a role is had by its users, and by nobody without a name', () => {
  const { access } = new LogWithUsers();
  const has = (name: string, role: string): boolean => access.hasRole({ name, revision: 0 }, role);
  assert.deepEqual([has('alice', 'rw'), has('root', 'root')], [true, true]);
  assert.deepEqual([has('alice', 'root'), has('nobody', 'rw'), has('', 'rw')], [false, false, false]);
});
