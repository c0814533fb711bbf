import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity } from '@etcd/storage/auth';
import { NO_IDENTITY } from '@etcd/storage/auth';
import type { ServerCall } from '@etcd/transport';
import type { TokenProvider } from '../auth/index.ts';
import { TokenCallers } from './callers.ts';

const U: Identity = { name: 'u', revision: 3 };

function callers(byCertificate = false): TokenCallers {
  const tokens = {
    find: (token: string) => (token === 'good' ? U : null),
    resolveThen: (token: string, _revision: unknown, done: (identity: Identity | null) => void) =>
      done(token === 'late' ? U : null),
  } as unknown as TokenProvider;
  return new TokenCallers(tokens, { revision: 3 }, byCertificate);
}

/** @param commonName that of the client's certificate; null: the connection is plain. */
function call(metadata: Readonly<Record<string, string>>, commonName: string | null = null): ServerCall {
  return {
    metadata: (name: string) => metadata[name] ?? null,
    info: { commonName: commonName ?? '', isSecure: commonName !== null },
  } as unknown as ServerCall;
}

test('a caller is who its token says, however the token is sent', () => {
  for (const metadata of [
    { token: 'good' },
    { authorization: 'good' },
    { authorization: 'Bearer good' },
    { token: 'Bearer good', authorization: 'bad' },
  ]) {
    assert.equal(callers().identify(call(metadata)), U);
  }
  assert.equal(callers().identify(call({ token: 'bad' })), null);
  assert.equal(callers().identify(call({ token: '' })), null, 'an empty token is one, and nobody\u2019s');
  assert.equal(callers().identify(call({})), NO_IDENTITY);
});

test('a token that is not known yet is waited for', () => {
  const resolved: (Identity | null)[] = [];
  for (const metadata of [{ token: 'late' }, { token: 'bad' }, {}]) {
    callers().resolveThen(call(metadata), (identity) => resolved.push(identity));
  }
  assert.deepEqual(resolved, [U, null, NO_IDENTITY]);
});

test('S07 a certificate names its client only where that is asked for, a token goes before it, and the gateway lends nobody its own', () => {
  assert.equal(callers(false).identify(call({}, 'cn')), NO_IDENTITY);
  assert.deepEqual(callers(true).identify(call({}, 'cn')), { name: 'cn', revision: 3 });
  assert.equal(callers(true).identify(call({ token: 'good' }, 'cn')), U);
  assert.equal(callers(true).identify(call({ token: 'bad' }, 'cn')), null);
  assert.equal(callers(true).identify(call({ 'grpcgateway-accept': '*/*' }, 'cn')), NO_IDENTITY);
  assert.equal(callers(true).identify(call({})), NO_IDENTITY);
  assert.deepEqual(callers(true).identify(call({}, '')), { name: '', revision: 3 }, 'a user without a name');
  assert.equal(callers(true).identify(call({ 'grpcgateway-accept': '*/*' }, '')), NO_IDENTITY);
});
