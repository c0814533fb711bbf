import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import { Permission, UserAddOptions } from '@etcd/api/authpb';
import {
  AuthEnableRequest,
  AuthenticateRequest,
  AuthRoleAddRequest,
  AuthRoleGrantPermissionRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserGrantRoleRequest,
  RangeRequest,
} from '@etcd/api/etcdserverpb';
import { AuthService, KvService } from '@etcd/api/services';
import type { LogFields, Logger } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { ServerCall } from '@etcd/transport';
import { OPEN_ACCESS } from '../apply/access.ts';
import { createHandles } from '../metrics/metric-table.ts';
import { RefusedCallers } from './refused-callers.ts';
import { FakeMember } from './testing/served-member.ts';

const A_MINUTE_MS = 60_000;

interface Line {
  readonly message: string;
  readonly fields: LogFields;
}

class Refusing {
  readonly clock = new SimClock();
  readonly metrics = createHandles();
  readonly lines: Line[] = [];
  readonly refused: RefusedCallers;

  constructor() {
    const logger = {
      warn: (message: string, fields: LogFields) => this.lines.push({ message, fields }),
    } as Pick<Logger, 'warn'> as Logger;
    this.refused = new RefusedCallers({ clock: this.clock, logger, metrics: this.metrics });
  }

  count(reason: string): number {
    return this.metrics.authRefusalsTotal.labels(reason).value;
  }
}

function callFrom(remoteAddress: string, metadata: Readonly<Record<string, string>> = {}): ServerCall {
  return {
    info: { remoteAddress },
    metadata: (name: string) => metadata[name] ?? null,
  } as unknown as ServerCall;
}

test('S09 a token that is nobody’s is counted each time, and told once with where it came from, by its fingerprint', () => {
  const refusing = new Refusing();
  const { refused, lines, clock } = refusing;
  for (let i = 0; i < 5; i++) refused.badToken(callFrom(`10.0.0.1:${1000 + i}`, { token: 'stolen.1' }));
  assert.equal(refusing.count('token'), 5);
  assert.deepEqual(
    lines.map(({ message, fields }) => [message, fields['remote-addr']]),
    [['invalid auth token', '10.0.0.1:1000']],
  );
  assert.match(String(lines[0]!.fields['token-fingerprint']), /^[0-9a-f]{12}$/);
  assert.ok(!JSON.stringify(lines).includes('stolen'));

  refused.badToken(callFrom('10.0.0.1:1', { token: 'another.1' }));
  refused.badToken(callFrom('10.0.0.2:1', { token: 'stolen.1' }));
  assert.equal(lines.length, 3, 'another token, another host');
  clock.advance(A_MINUTE_MS);
  refused.badToken(callFrom('10.0.0.1:1', { token: 'stolen.1' }));
  assert.equal(lines.length, 4, 'it goes on');
});

test('S20 whoever tries many tokens fills no log: what is not told is counted', () => {
  const refusing = new Refusing();
  const { refused, lines, clock } = refusing;
  for (let i = 0; i < 1000; i++) refused.badToken(callFrom('10.0.0.1:1', { token: `guess.${i}` }));
  assert.equal(lines.length, 100);
  clock.advance(A_MINUTE_MS);
  refused.badLogin(callFrom('10.0.0.1:1'), 'u', 'wrong');
  assert.equal(lines[100]!.fields['suppressed'], 900);
  assert.deepEqual([refusing.count('token'), refusing.count('login')], [1000, 1]);
});

test('S20 of a name only a beginning is told, however long it is', () => {
  const { refused, lines } = new Refusing();
  refused.badLogin(callFrom('', { 'x-forwarded-for': 'a'.repeat(10_000) }), 'u'.repeat(1_000_000), 'wrong');
  assert.ok(JSON.stringify(lines).length < 400);
});

test('a call that comes through the gateway is told with the address of who asked the gateway', () => {
  const { refused, lines } = new Refusing();
  refused.badLogin(callFrom('', { 'x-forwarded-for': '10.0.0.3:5' }), 'u', 'wrong');
  assert.equal(lines[0]!.fields['remote-addr'], '10.0.0.3:5');
  refused.badLogin(callFrom('10.0.0.4:5', { 'x-forwarded-for': '10.0.0.3:5' }), 'u', 'wrong');
  assert.equal(lines[1]!.fields['remote-addr'], '10.0.0.4:5', 'nobody else is believed');
});

const { userAdd, userChangePassword, userGrantRole, roleAdd, roleGrantPermission, authEnable, authenticate } =
  AuthService.methods;

function withRoot(minPasswordLength = 0): FakeMember {
  const member = new FakeMember({ config: { minPasswordLength } });
  member.ask(userAdd, new AuthUserAddRequest({ name: 'root', password: 'a password' }));
  member.ask(roleAdd, new AuthRoleAddRequest({ name: 'root' }));
  member.ask(userGrantRole, new AuthUserGrantRoleRequest({ user: 'root', role: 'root' }));
  return member;
}

test('bad tokens, failed logins and changes that are refused are counted by what they were', () => {
  const member = withRoot();
  const count = (reason: string): number => member.metrics.handles.authRefusalsTotal.labels(reason).value;
  for (const [key, rangeEnd] of [
    ['', ''],
    ['b', 'a'],
    ['b', 'b'],
  ] as const) {
    const perm = new Permission({ key: Buffer.from(key), rangeEnd: Buffer.from(rangeEnd) });
    const answered = member.call(
      roleGrantPermission,
      new AuthRoleGrantPermissionRequest({ name: 'root', perm }),
    );
    assert.equal(answered?.message, RPC_ERRORS.ErrGRPCInvalidAuthMgmt.message);
  }
  assert.equal(count('change'), 3);
  member.ask(authEnable, new AuthEnableRequest());
  const login = member.call(authenticate, new AuthenticateRequest({ name: 'nobody', password: 'x' }));
  assert.equal(login?.message, RPC_ERRORS.ErrGRPCAuthFailed.message);
  assert.equal(count('login'), 1);
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true };
  const range = member.call(KvService.methods.range, new RangeRequest({ key: Buffer.from('k') }), [
    ['token', 'forged.1'],
  ]);
  assert.equal(range?.message, RPC_ERRORS.ErrGRPCInvalidAuthToken.message);
  assert.equal(count('token'), 1);
});

test('S11 a new password has as many characters as are asked for, in whichever script; a hash is taken as it is', () => {
  const member = withRoot(8);
  const add = (name: string, password: string, hashedPassword = ''): string | undefined =>
    member.call(userAdd, new AuthUserAddRequest({ name, password, hashedPassword }))?.message;
  const tooShort = 'etcdserver: password is shorter than 8 characters';
  assert.equal(add('a', 'seven77'), tooShort);
  assert.equal(add('a', '🔑🔑🔑🔑'), tooShort, 'four characters in sixteen bytes');
  assert.equal(add('a', ''), 'etcdserver: password is empty');
  assert.equal(add('a', 'eight888'), '');
  assert.equal(add('b', '', Buffer.from('$2a$04$').toString('base64')), '');
  const change = new AuthUserChangePasswordRequest({ name: 'a', password: 'short' });
  assert.equal(member.call(userChangePassword, change)?.message, tooShort);
  const without = new AuthUserAddRequest({ name: 'c', options: new UserAddOptions({ noPassword: true }) });
  assert.equal(member.call(userAdd, without)?.message, '', 'a user may still have none');
});
