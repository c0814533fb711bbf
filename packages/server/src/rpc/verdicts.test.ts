import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import {
  AlarmAction,
  AlarmRequest,
  AuthRoleGetRequest,
  AuthUserGetRequest,
  LeaseKeepAliveRequest,
  LeaseLeasesRequest,
  LeaseRevokeRequest,
  LeaseTimeToLiveRequest,
  RangeRequest,
  WatchCancelRequest,
  WatchCreateRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import type { Identity } from '@etcd/storage/auth';
import type { Access } from '../apply/index.ts';
import type { JudgedVerdict } from './row.ts';
import * as verdicts from './verdicts.ts';

const { ErrPermissionDenied } = INTERNAL_ERRORS.auth;
const ALICE: Identity = { name: 'alice', revision: 1 };
const NOBODY: Identity = { name: '', revision: 0 };
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** What is asked of the access until it denies, which it does from the question `denied` on. */
function asked<Request>(
  verdict: JudgedVerdict<Request>,
  request: Request,
  { identity = ALICE, denied = '' }: { readonly identity?: Identity; readonly denied?: string } = {},
): string[] {
  const questions: string[] = [];
  const ask =
    (what: string) =>
    (...args: unknown[]): InternalError | null => {
      const rest = args
        .slice(1)
        .map((arg) => (arg instanceof Uint8Array ? `[${Buffer.from(arg)}]` : String(arg)));
      questions.push([what, ...rest].join(' '));
      return what === denied ? ErrPermissionDenied : null;
    };
  const access: Access = {
    isEnabled: true,
    user: ask('user'),
    admin: ask('admin'),
    range: ask('range'),
    put: ask('put'),
    deleteRange: ask('deleteRange'),
    txn: ask('txn'),
    leaseKeys: ask('leaseKeys'),
    allLeaseKeys: ask('allLeaseKeys'),
    hasRole: (_identity, role) => role === 'mine',
  };
  const outcome = verdict.judge(access, identity, request);
  assert.equal(
    outcome,
    questions.some((question) => question.split(' ')[0] === denied) ? ErrPermissionDenied : null,
  );
  return questions;
}

test('S01 a range and a watch are judged as their client wrote them', () => {
  const key = bytes('k');
  const rangeEnd = Uint8Array.of(0);
  assert.deepEqual(asked(verdicts.READS_RANGE, new RangeRequest({ key, rangeEnd })), ['range [k] [\0]']);
  const watch = (createRequest: Partial<WatchCreateRequest>): string[] =>
    asked(verdicts.WATCHES_RANGE, new WatchRequest({ createRequest: new WatchCreateRequest(createRequest) }));
  assert.deepEqual(watch({ key, rangeEnd: bytes('l') }), ['range [k] [l]']);
  assert.deepEqual(
    watch({ rangeEnd: bytes('l') }),
    ['range [\0] [l]'],
    'without a key it begins at the first',
  );
  const cancelRequest = new WatchCancelRequest({ watchId: 1n });
  assert.deepEqual(asked(verdicts.WATCHES_RANGE, new WatchRequest({ cancelRequest })), []);
});

test('S05 what concerns a lease needs a user, and then its keys', () => {
  const id = 5n;
  const { RENEWS_LEASE, ASKS_FOR_LEASE, REVOKES_LEASE, LISTS_LEASES } = verdicts;
  assert.deepEqual(asked(RENEWS_LEASE, new LeaseKeepAliveRequest({ id })), ['user', 'leaseKeys 5 write']);
  assert.deepEqual(asked(RENEWS_LEASE, new LeaseKeepAliveRequest({ id }), { denied: 'user' }), ['user']);
  assert.deepEqual(asked(ASKS_FOR_LEASE, new LeaseTimeToLiveRequest({ id })), ['user']);
  assert.deepEqual(asked(ASKS_FOR_LEASE, new LeaseTimeToLiveRequest({ id, keys: true })), [
    'user',
    'leaseKeys 5 read',
  ]);
  asked(ASKS_FOR_LEASE, new LeaseTimeToLiveRequest({ id, keys: true }), { denied: 'leaseKeys' });
  assert.deepEqual(asked(REVOKES_LEASE, new LeaseRevokeRequest({ id })), ['user']);
  assert.deepEqual(asked(LISTS_LEASES, new LeaseLeasesRequest()), ['user', 'allLeaseKeys']);
  asked(LISTS_LEASES, new LeaseLeasesRequest(), { denied: 'allLeaseKeys' });
});

test('S05 of the keys of a lease every one has to be readable', () => {
  const keys = [bytes('a'), bytes('b')];
  assert.deepEqual(asked(verdicts.TELLS_LEASE_KEYS, keys), ['range [a] []', 'range [b] []']);
  assert.deepEqual(asked(verdicts.TELLS_LEASE_KEYS, keys, { denied: 'range' }), ['range [a] []']);
  assert.deepEqual(asked(verdicts.TELLS_LEASE_KEYS, []), []);
});

test('S04 users and roles are looked at by an administrator, by the user itself, and by whoever has the role', () => {
  const { READS_USER, READS_ROLE, READS_AUTH } = verdicts;
  const user = (name: string, identity = ALICE): string[] =>
    asked(READS_USER, new AuthUserGetRequest({ name }), { identity });
  assert.deepEqual([user('alice'), user('bob')], [[], ['admin']]);
  assert.deepEqual(user('', NOBODY), ['admin'], 'nobody is not somebody without a name');
  const role = (name: string): string[] => asked(READS_ROLE, new AuthRoleGetRequest({ role: name }));
  assert.deepEqual([role('mine'), role('other')], [[], ['admin']]);
  assert.deepEqual(asked(READS_AUTH, {}), ['admin']);
});

test('S04 alarms are read by any user and changed by an administrator', () => {
  const alarm = (action: number): string[] =>
    asked(verdicts.READS_OR_SETS_ALARM, new AlarmRequest({ action }));
  assert.deepEqual(alarm(AlarmAction.GET), ['user']);
  for (const action of [AlarmAction.ACTIVATE, AlarmAction.DEACTIVATE, 99]) {
    assert.deepEqual(alarm(action), ['admin'], `${action}`);
  }
});
