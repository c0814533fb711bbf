import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerCall } from '@etcd/transport';
import { Callers } from './caller.ts';

/** A call with these headers; equal heads are one object, as those of a connection are. */
function callWith(headers: Readonly<Record<string, string>>, head: object = {}): ServerCall {
  return { head, metadata: (name: string) => headers[name] ?? null } as unknown as ServerCall;
}

test('S13 only those with the same credentials, and the same wish for a leader, may share', () => {
  const callers = new Callers('me');
  const keys = [
    {},
    { token: 'a' },
    { token: 'b' },
    { authorization: 'a' },
    { token: 'a', authorization: 'a' },
    { token: 'a', hasleader: 'true' },
    { 'x-etcd-proxy-via': 'other' },
  ].map((headers) => callers.of(callWith(headers)).key);
  assert.equal(new Set(keys).size, keys.length);
  const same = { token: 'a', traceparent: 'x', 'client-api-version': '3.5' };
  assert.equal(callers.of(callWith(same)).key, keys[1]);
  assert.equal(callers.of(callWith({ 'user-agent': 'x', cookie: 'y' })).key, keys[0]);
});

test('what the cluster makes something of is passed on, and the name of the proxy with it', () => {
  const callers = new Callers('me');
  const headers = {
    token: 'a',
    hasleader: 'true',
    'client-api-version': '3.7',
    cookie: 'no',
    'x-etcd-proxy-via': 'p',
  };
  const caller = callers.of(callWith(headers));
  assert.deepEqual(caller.metadata, [
    ['token', 'a'],
    ['hasleader', 'true'],
    ['client-api-version', '3.7'],
    ['x-etcd-proxy-via', 'p,me'],
  ]);
  assert.deepEqual([caller.hasToken, caller.requiresLeader, caller.isCircle], [true, true, false]);
  assert.deepEqual(callers.own.metadata, [['x-etcd-proxy-via', 'me']]);
});

test('a head is looked at once, and equal callers are one object', () => {
  const callers = new Callers('me');
  const head = {};
  const first = callers.of(callWith({ token: 'a' }, head));
  assert.equal(callers.of(callWith({ token: 'never looked at' }, head)), first);
  assert.equal(callers.of(callWith({ token: 'a' })), first);
});

test('S20 what is remembered of callers is bounded, by number and by length', () => {
  const callers = new Callers('me');
  const early = callers.of(callWith({ token: 'early' }));
  for (let i = 0; i < 2_000; i++) callers.of(callWith({ token: `t${i}` }));
  const again = callers.of(callWith({ token: 'early' }));
  assert.notEqual(again, early);
  assert.equal(again.key, early.key);
  const long = { token: 'x'.repeat(9_000) };
  assert.notEqual(callers.of(callWith(long)), callers.of(callWith(long)));
});
