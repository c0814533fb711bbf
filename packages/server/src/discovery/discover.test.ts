/** What a configuration for discovery at another etcd can have wrong before anybody is asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { discover, type RegistryConfig } from './discover.ts';
import { DiscoveryError } from './discovery-error.ts';

const CONFIG: Extract<RegistryConfig, { kind: 'etcd' }> = {
  kind: 'etcd',
  token: 'T',
  endpoints: ['http://127.0.0.1:1'],
  dialTimeoutMs: 1,
  requestTimeoutMs: 1,
  keepaliveTimeMs: 1,
  keepaliveTimeoutMs: 1,
  maxSendBytes: 0,
  maxReceiveBytes: 0,
  certFile: '',
  keyFile: '',
  caFile: '',
  serverName: '',
  insecureTransport: true,
  insecureSkipVerify: false,
  username: '',
  password: '',
  authToken: '',
};

test('a key without its certificate, and files that are not there, are refused as what the operator can set right', async () => {
  for (const [files, reason] of [
    [{ keyFile: '/k' }, /^KeyFile and CertFile must both be present\[key: \/k, cert: \]$/],
    [{ certFile: '/c' }, /^KeyFile and CertFile must both be present\[key: , cert: \/c\]$/],
    [{ certFile: '/no/cert', keyFile: '/no/key' }, /\/no\/(cert|key)/],
    [{ caFile: '/no/authority' }, /\/no\/authority/],
  ] as const) {
    const config = { ...CONFIG, ...files };
    const options = {
      memberId: 1n,
      ownText: 'm1=http://h1:1',
      mayBeRegistered: false,
      logger: SILENT_LOGGER,
    };
    await assert.rejects(
      discover({ ...options, config, clock: new SimClock() }),
      (error) => error instanceof DiscoveryError && reason.test(error.message),
    );
  }
});
