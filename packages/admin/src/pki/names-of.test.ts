import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { issueAuthority, issueLeaf } from '@etcd/host/pki';
import { hostsOf, subjectFields } from './names-of.ts';

test('names are read as they were given, so that the next certificate has them too', async () => {
  const common = { validityMs: 86_400_000, keyKind: 'ECDSA-P256', nowMs: Date.now() } as const;
  const { certificatePem, key } = await issueAuthority({ ...common, commonName: 'ca' });
  const names = {
    commonName: 'a, b',
    organizations: ['Acme, Inc.', 'others', 'Acme, Inc.'],
    hosts: ['a.example.org', '10.0.0.1', '::1'],
  };
  const authority = { certificate: new X509Certificate(certificatePem), key };
  const leaf = await issueLeaf(authority, { ...common, ...names, usages: ['client'] });
  const made = new X509Certificate(leaf.certificatePem);
  assert.deepEqual(subjectFields(made, 'CN'), [names.commonName]);
  assert.deepEqual(subjectFields(made, 'O'), names.organizations);
  assert.deepEqual(hostsOf(made), ['a.example.org', '10.0.0.1', '0:0:0:0:0:0:0:1']);
  assert.deepEqual(subjectFields(new X509Certificate(certificatePem), 'O'), []);
});
