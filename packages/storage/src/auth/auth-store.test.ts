import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { decodeRole, Permission, PermissionType } from '@etcd/api/authpb';
import {
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
} from '@etcd/api/etcdserverpb';
import { hexFromBytes, utf8FromBytes, utf8ToBytes } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import type { Backend } from '../backend/index.ts';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { openBackend } from '../mvcc/testing/sim-member.ts';
import { AUTH_ROLES, AUTH_USERS, readAuthRevision, writeAuthRevision, writeUser } from '../schema/index.ts';
import { type AuthListener, AuthStore, type AuthStoreOptions } from './auth-store.ts';
import { bytesFromBase64 } from './base64.ts';

checkDatabases();

const ERRORS = INTERNAL_ERRORS.auth;
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
const NO_PASSWORD = { noPassword: true, unknown: null };

interface Fixture {
  readonly backend: Backend;
  readonly store: AuthStore;
  readonly told: string[];
}

function fixture(options: Partial<AuthStoreOptions> = {}): Fixture {
  const told: string[] = [];
  const listener: AuthListener = {
    onEnabled: () => told.push('enabled'),
    onDisabled: () => told.push('disabled'),
    onUserInvalidated: (name) => told.push(`invalid ${name}`),
    onUsersReplaced: () => told.push('replaced'),
    onRevision: () => {},
  };
  const backend = openBackend(new SimClock(), new SimDisk());
  const store = new AuthStore({ backend, listener, ...options });
  told.length = 0;
  return { backend, store, told };
}

function withRoot(options: Partial<AuthStoreOptions> = {}): Fixture {
  const all = fixture(options);
  addUser(all.store, 'root');
  assert.equal(all.store.grantRole('root', 'root'), null);
  return all;
}

function addUser(store: AuthStore, name: string): void {
  assert.equal(store.addUser(new AuthUserAddRequest({ name, options: NO_PASSWORD })), null);
}

function grant(store: AuthStore, name: string, key: string, rangeEnd = '', permType = 0): unknown {
  const perm = new Permission({ permType, key: bytes(key), rangeEnd: bytes(rangeEnd) });
  return store.grantPermission(new AuthRoleGrantPermissionRequest({ name, perm }));
}

test('a database that never had users begins at auth revision 1, one that had goes on', () => {
  const { backend, store } = fixture();
  assert.equal(store.revision, 1);
  assert.equal(readAuthRevision(backend), 1);
  assert.equal(store.isEnabled, false);
  writeAuthRevision(backend, 7);
  assert.equal(new AuthStore({ backend }).revision, 7);
});

test('authentication is enabled only with an administrator, and both switches may be thrown twice', () => {
  const { store, told } = fixture();
  assert.equal(store.enable(), ERRORS.ErrRootUserNotExist);
  addUser(store, 'root');
  assert.equal(store.enable(), ERRORS.ErrRootRoleNotExist);
  store.grantRole('root', 'root');
  const { revision } = store;
  assert.equal(store.enable(), null);
  assert.equal(store.enable(), null);
  assert.deepEqual([store.isEnabled, store.revision], [true, revision]);
  store.disable();
  store.disable();
  assert.deepEqual([store.isEnabled, store.revision], [false, revision + 1]);
  assert.deepEqual(told, ['enabled', 'disabled']);
});

test('the administrator and its role can not be taken away while authentication is on', () => {
  const { store } = withRoot();
  store.addRole('root');
  store.enable();
  const { revision } = store;
  assert.equal(store.deleteUser('root'), ERRORS.ErrInvalidAuthMgmt);
  assert.equal(store.revokeRole('root', 'root'), ERRORS.ErrInvalidAuthMgmt);
  assert.equal(store.deleteRole('root'), ERRORS.ErrInvalidAuthMgmt);
  assert.equal(store.revision, revision);
  store.disable();
  assert.equal(store.deleteRole('root'), null);
  assert.equal(store.deleteUser('root'), null);
});

test('while authentication is on, other users may lose the role of the administrator, and that one other roles', () => {
  const { store } = withRoot();
  for (const role of ['root', 'r']) store.addRole(role);
  addUser(store, 'u');
  for (const [user, role] of [
    ['u', 'root'],
    ['root', 'r'],
  ] as const) {
    store.grantRole(user, role);
    store.enable();
    assert.equal(store.revokeRole(user, role), null, `${role} of ${user}`);
  }
  assert.deepEqual([store.deleteRole('r'), store.deleteUser('u')], [null, null]);
  assert.equal(store.revokeRole('root', 'root'), ERRORS.ErrInvalidAuthMgmt);
  store.disable();
  assert.equal(store.revokeRole('root', 'root'), null);
  assert.equal(store.enable(), ERRORS.ErrRootRoleNotExist);
});

test('users: what is refused, what moves the revision, who is told', () => {
  const { store, told } = fixture();
  assert.equal(store.addUser(new AuthUserAddRequest()), ERRORS.ErrUserEmpty);
  addUser(store, 'a');
  assert.equal(store.addUser(new AuthUserAddRequest({ name: 'a' })), ERRORS.ErrUserAlreadyExist);
  assert.equal(store.grantRole('b', 'r'), ERRORS.ErrUserNotFound);
  assert.equal(store.grantRole('a', 'r'), ERRORS.ErrRoleNotFound);
  store.addRole('r');
  const before = store.revision;
  assert.equal(store.grantRole('a', 'r'), null);
  assert.equal(store.revision, before + 1);
  assert.equal(store.grantRole('a', 'r'), null, 'granted already');
  assert.equal(store.revision, before + 1);
  assert.equal(store.hasRole('a', 'r'), true);
  assert.equal(store.revokeRole('b', 'r'), ERRORS.ErrUserNotFound);
  assert.equal(store.revokeRole('a', 'r'), null);
  assert.equal(store.revokeRole('a', 'r'), ERRORS.ErrRoleNotGranted);
  assert.equal(store.deleteUser('b'), ERRORS.ErrUserNotFound);
  assert.equal(store.deleteUser('a'), null);
  assert.deepEqual(store.userNames(), []);
  assert.deepEqual(told, ['invalid a']);
});

test('roles: what is refused, and a deleted role is nobody’s any more', () => {
  const { store } = fixture();
  assert.equal(store.addRole(''), ERRORS.ErrRoleEmpty);
  assert.equal(store.addRole('r'), null);
  assert.equal(store.addRole('r'), ERRORS.ErrRoleAlreadyExist);
  assert.equal(store.permissionsOfRole('x'), null);
  assert.equal(store.deleteRole('x'), ERRORS.ErrRoleNotFound);
  addUser(store, 'a');
  addUser(store, 'b');
  store.grantRole('a', 'r');
  const before = store.revision;
  assert.equal(store.deleteRole('r'), null);
  assert.equal(store.revision, before + 1);
  assert.deepEqual(store.user('a')?.roles, []);
});

test('S01 a permission is granted on a key, on what begins before it ends, or without an end', () => {
  const { store } = fixture();
  store.addRole('r');
  for (const [key, end] of [
    ['', ''],
    ['', '\0'],
    ['', 'b'],
    ['b', 'a'],
    ['b', 'b'],
  ] as const) {
    assert.equal(grant(store, 'r', key, end), ERRORS.ErrInvalidAuthMgmt, `${key}, ${end}`);
  }
  assert.equal(
    store.grantPermission(new AuthRoleGrantPermissionRequest({ name: 'r' })),
    ERRORS.ErrPermissionNotGiven,
  );
  assert.equal(grant(store, 'x', 'a'), ERRORS.ErrRoleNotFound);
  for (const [key, end] of [
    ['a', ''],
    ['a', '\0'],
    ['a', 'b'],
    ['\0', '\0'],
  ] as const) {
    assert.equal(grant(store, 'r', key, end), null);
  }
});

test('a permission of the same range is replaced, others are kept in the order of their keys', () => {
  const { store } = fixture();
  store.addRole('r');
  grant(store, 'r', 'b', 'c', PermissionType.READ);
  grant(store, 'r', 'a', '', PermissionType.READ);
  grant(store, 'r', 'b', 'd', PermissionType.READ);
  grant(store, 'r', 'b', 'c', PermissionType.WRITE);
  const shown = (): string[] =>
    store
      .role('r')!
      .keyPermission.map(
        ({ permType, key, rangeEnd }) => `${utf8FromBytes(key)}-${utf8FromBytes(rangeEnd)} ${permType}`,
      );
  assert.deepEqual(shown(), ['a- 0', 'b-c 1', 'b-d 0']);
  const revoke = (key: string, rangeEnd = ''): unknown =>
    store.revokePermission(
      new AuthRoleRevokePermissionRequest({ role: 'r', key: bytes(key), rangeEnd: bytes(rangeEnd) }),
    );
  assert.equal(revoke('b'), ERRORS.ErrPermissionNotGranted);
  assert.equal(revoke('b', 'c'), null);
  assert.deepEqual(shown(), ['a- 0', 'b-d 0']);
  assert.equal(
    store.revokePermission(new AuthRoleRevokePermissionRequest({ role: 'x' })),
    ERRORS.ErrRoleNotFound,
  );
});

test('the role root shows that it may do everything', () => {
  const { store } = fixture();
  store.addRole('root');
  const [permission] = store.permissionsOfRole('root')!;
  assert.deepEqual(
    [permission!.permType, hexFromBytes(permission!.key), hexFromBytes(permission!.rangeEnd)],
    [PermissionType.READWRITE, '', '00'],
  );
});

test('records have the bytes that Go members write', () => {
  const { backend, store } = fixture();
  store.addUser(new AuthUserAddRequest({ name: 'u', hashedPassword: base64('hash') }));
  for (const role of ['b', '\u{10000}', '\uffff', 'a']) {
    store.addRole(role);
    store.grantRole('u', role);
  }
  grant(store, 'a', 'k', '', PermissionType.READWRITE);
  const text = (bucket: typeof AUTH_USERS, key: string): string =>
    hexFromBytes(backend.get(bucket, utf8ToBytes(key))!);
  // Roles in the order of their bytes, not of UTF-16; the options are there though nothing is set.
  assert.equal(
    text(AUTH_USERS, 'u'),
    `0a0175${'120468617368'}${'1a0161'}${'1a0162'}${'1a03efbfbf'}${'1a04f0908080'}2200`,
  );
  assert.equal(text(AUTH_ROLES, 'a'), `0a0161${'1205'}${'0802'}${'12016b'}`);
});

test('S09 S11 a password is kept as its hash; a user without one gets none', () => {
  const { store, told } = fixture();
  const stored = (name: string): string => utf8FromBytes(store.user(name)!.password);
  store.addUser(new AuthUserAddRequest({ name: 'a', password: 'ignored', hashedPassword: base64('$2a$x') }));
  assert.equal(stored('a'), '$2a$x');
  assert.equal(
    store.addUser(new AuthUserAddRequest({ name: 'b', hashedPassword: '!' })),
    ERRORS.ErrNoPasswordUser,
  );
  addUser(store, 'c');
  const change = (name: string, hashedPassword: string): unknown =>
    store.changePassword(new AuthUserChangePasswordRequest({ name, hashedPassword }));
  assert.equal(change('a', base64('$2a$y')), null);
  assert.equal(stored('a'), '$2a$y');
  assert.equal(change('c', base64('$2a$z')), null);
  assert.equal(stored('c'), '');
  assert.equal(change('d', ''), ERRORS.ErrUserNotFound);
  assert.deepEqual(told, ['invalid a', 'invalid c']);
});

test('a password in the clear, as members of etcd 3.4 write it, is hashed alike by all', () => {
  const { store } = fixture({
    hashPassword: (password, name, revision) => utf8ToBytes(`hash of ${password} ${name} ${revision}`),
  });
  store.addUser(new AuthUserAddRequest({ name: 'a', password: 'p' }));
  assert.equal(utf8FromBytes(store.user('a')!.password), 'hash of p a 1');
});

test('a snapshot’s users take the place of those that were', () => {
  const { store, told } = withRoot();
  store.enable();
  const other = withRoot().backend;
  writeUser(other, Object.assign(store.user('root')!, { name: utf8ToBytes('another') }));
  told.length = 0;
  store.recover(other);
  assert.deepEqual(store.userNames(), ['another', 'root']);
  assert.equal(store.isEnabled, false);
  assert.deepEqual(told, ['disabled']);
});

test('S08 what a snapshot’s users have done meanwhile is not known: whoever has a token may have lost the right to it', () => {
  const { store, told } = withRoot();
  store.enable();
  const other = withRoot();
  other.store.enable();
  told.length = 0;
  store.recover(other.backend);
  assert.deepEqual(told, ['enabled']);
  const further = withRoot();
  further.store.enable();
  further.store.changePassword(
    new AuthUserChangePasswordRequest({ name: 'root', hashedPassword: base64('new') }),
  );
  told.length = 0;
  store.recover(further.backend);
  assert.deepEqual(told, ['enabled', 'replaced']);
});

test('base64 is read as Go reads it', () => {
  for (const text of ['', 'a', 'ab', 'abc', 'abcd', '\xff\xfe\x00']) {
    assert.equal(hexFromBytes(bytesFromBase64(base64(text))!), hexFromBytes(bytes(text)));
  }
  assert.equal(utf8FromBytes(bytesFromBase64('YW\r\nJj\n')!), 'abc');
  for (const text of ['a', 'ab', 'ab=', 'a===', '=', 'ab==ab==', 'YWJ-', 'YW Jj', 'YW=j']) {
    assert.equal(bytesFromBase64(text), null, text);
  }
});

test('permissions are kept in order however they come', () => {
  const { backend, store } = fixture();
  store.addRole('r');
  for (let i = 0; i < 200; i++) grant(store, 'r', `k${String((i * 7919) % 200).padStart(3, '0')}`);
  const { keyPermission } = decodeRole(backend.get(AUTH_ROLES, bytes('r'))!);
  const keys = keyPermission.map(({ key }) => utf8FromBytes(key));
  assert.deepEqual(keys, [...keys].sort());
  assert.equal(keys.length, 200);
});

test('S20 a name that is no key of the database is refused when it is applied; the longest that is one is kept', () => {
  const [clock, disk] = [new SimClock(), new SimDisk()];
  const backend = openBackend(clock, disk);
  const store = new AuthStore({ backend });
  const longest = 'n'.repeat(32_768);
  const { revision } = store;
  for (const name of [`${longest}n`, 'ü'.repeat(16_385)]) {
    for (const problem of [
      store.addRole(name),
      store.addUser(new AuthUserAddRequest({ name, options: NO_PASSWORD })),
    ]) {
      assert.equal(problem?.rpc.message, 'etcdserver: name is longer than 32768 bytes');
    }
  }
  assert.equal(store.revision, revision);
  assert.equal(store.addRole(longest), null);
  addUser(store, longest);
  backend.close();
  const kept = new AuthStore({ backend: openBackend(clock, disk) });
  assert.deepEqual([kept.roleNames(), kept.userNames()], [[longest], [longest]]);
});
