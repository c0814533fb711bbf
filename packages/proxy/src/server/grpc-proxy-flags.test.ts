import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFlags } from '@etcd/host/cli';
import { flagProblem, GRPC_PROXY_FLAGS } from './grpc-proxy-flags.ts';

function problem(...words: string[]): string | null {
  const parsed = parseFlags(GRPC_PROXY_FLAGS, words);
  assert.ok(typeof parsed !== 'string', String(parsed));
  return flagProblem(parsed.values);
}

test('the defaults are good', () => {
  assert.equal(problem(), null);
  assert.equal(problem('--resolver-prefix=p', '--resolver-ttl=5'), null);
  assert.equal(problem('--tls-min-version=TLS1.2', '--tls-max-version=TLS1.3'), null);
});

test('what does not go together is refused in the words of etcd', () => {
  assert.equal(problem('--resolver-prefix=p'), 'invalid resolver-ttl 0');
  assert.equal(problem('--resolver-ttl=5'), 'invalid resolver-prefix ""');
  assert.equal(
    problem('--resolver-prefix=p', '--resolver-ttl=5', '--advertise-client-url='),
    'invalid advertise-client-url ""',
  );
  assert.equal(
    problem('--auto-tls', '--self-signed-cert-validity=0'),
    'selfSignedCertValidity is invalid,it should be greater than 0',
  );
  assert.equal(
    problem('--tls-min-version=x'),
    'tls-min-version is invalid: unexpected TLS version "x" (must be one of: TLS1.2, TLS1.3)',
  );
  assert.equal(
    problem('--tls-max-version=TLS1.1'),
    'tls-max-version is invalid: unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)',
  );
  assert.equal(
    problem('--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'),
    'min version (TLS1.3) is greater than max version (TLS1.2)',
  );
  assert.equal(
    problem('--tls-min-version=TLS1.3', '--listen-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'),
    'cipher suites cannot be configured when only TLS1.3 is enabled',
  );
});
