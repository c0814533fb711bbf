import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Secret } from '@kubernetes/client-node';
import { ROLES, type Role } from '../cluster/certificates.ts';
import type { Owner } from '../cluster/manifests.ts';
import { parseClusterSpec } from '../resources/etcd-cluster.ts';
import type { KubernetesApi } from './api.ts';
import { certificateRequests } from './certificate-requests.ts';
import { authoritySecret, certificateSecret, withoutExpired, withTrust } from './issue-secrets.ts';
import type { Parts } from './parts.ts';
import { Platform } from './platform.ts';
import { seenCertificates } from './seen-certificates.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const YEAR_MS = 365 * 86_400_000;

function ownerOf(tls: object): Owner {
  const parsed = parseClusterSpec({ size: 3, version: 'v3.6.4', tls });
  assert(parsed.ok);
  const { spec } = parsed;
  return { name: 'c', namespace: 'n', uid: 'u', spec, gateImage: 'operator:1', trustedIds: [] };
}

/** As the API server hands it out. */
function stored(secret: V1Secret, resourceVersion: string): V1Secret {
  return { ...secret, metadata: { ...secret.metadata, resourceVersion } };
}

test('an authority signs certificates for members and clients, and what is seen of them is what was made', async () => {
  const owner = ownerOf({
    providerCfg: { autoCfg: { organizations: ['us'], altNames: { ipAddresses: ['10.0.0.1'] } } },
  });
  const ca = stored(await authoritySecret(owner, [], null, NOW_MS), '1');
  const secrets = [ca];
  for (const role of ROLES) secrets.push(stored(await certificateSecret(owner, role, ca, null, NOW_MS), '2'));
  const seen = seenCertificates(secrets, [], owner)!;
  const { authority, certificates } = seen;
  assert(authority !== null);
  assert.deepEqual(
    authority.trusted.map(({ id }) => id),
    [authority.id],
  );
  assert.deepEqual(
    certificates.map(({ role, issuerId, trustedIds, isAsDeclared }) => ({
      role,
      issuerId,
      trustedIds,
      isAsDeclared,
    })),
    ROLES.map((role) => ({ role, issuerId: authority.id, trustedIds: [authority.id], isAsDeclared: true })),
  );
  for (const { notAfterMs } of certificates) assert.equal(notAfterMs, NOW_MS + YEAR_MS);
  const other = ownerOf({ providerCfg: { autoCfg: { altNames: { dnsNames: ['etcd.example.org'] } } } });
  const renamed = seenCertificates(secrets, [], other)!.certificates;
  assert(renamed.every(({ isAsDeclared }) => !isAsDeclared));
  assert.equal(seenCertificates(secrets, [], { ...owner, name: 'd' })!.authority, null);
});

test('the next authority is trusted beside the first, which is forgotten when it has expired', async () => {
  const owner = ownerOf({});
  const first = stored(await authoritySecret(owner, [], null, NOW_MS), '1');
  const server = stored(await certificateSecret(owner, 'server', first, null, NOW_MS), '2');
  const next = stored(await authoritySecret(owner, [first, server], '1', NOW_MS + 6 * YEAR_MS), '3');
  assert.equal(next.metadata?.resourceVersion, '3');
  const spread = stored(withTrust(owner, 'server', server, next), '4');
  const seen = seenCertificates([next, spread], [], owner)!;
  const [trusted, old] = seen.authority!.trusted;
  assert.equal(trusted!.id, seen.authority!.id);
  assert.equal(seen.certificates[0]!.issuerId, old!.id);
  assert.deepEqual(seen.certificates[0]!.trustedIds, [trusted!.id, old!.id]);
  const later = withoutExpired(owner, next, NOW_MS + 11 * YEAR_MS);
  assert.deepEqual(
    seenCertificates([later], [], owner)!.authority!.trusted.map(({ id }) => id),
    [trusted!.id],
  );
  const last = await certificateSecret(owner, 'server', first, null, NOW_MS + 9.5 * YEAR_MS);
  const authorityEndMs = seenCertificates([first], [], owner)!.authority!.notAfterMs;
  assert.equal(seenCertificates([last], [], owner)!.certificates[0]!.notAfterMs, authorityEndMs);
});

test('names with marks that a subject escapes are those that were declared, and names that can not be made are refused', async () => {
  const autoCfg = { commonName: 'a, b', organizations: ['Acme, Inc.', 'x=y <z>', 'Acme, Inc.'] };
  const owner = ownerOf({ providerCfg: { autoCfg } });
  const ca = await authoritySecret(owner, [], null, NOW_MS);
  const client = await certificateSecret(owner, 'client', ca, null, NOW_MS);
  assert.equal(seenCertificates([client], [], owner)!.certificates[0]!.isAsDeclared, true);
  const fewer = ownerOf({ providerCfg: { autoCfg: { ...autoCfg, organizations: ['Acme, Inc.'] } } });
  assert.equal(seenCertificates([client], [], fewer)!.certificates[0]!.isAsDeclared, false);
  const odd = ownerOf({ providerCfg: { autoCfg: { altNames: { dnsNames: ['ä.example.org'] } } } });
  await assert.rejects(certificateSecret(odd, 'server', ca, null, NOW_MS), /no certificate can be made/);
});

test('a certificate with the key of another is none: neither an authority nor a member has any use for it', async () => {
  const owner = ownerOf({});
  const ca = await authoritySecret(owner, [], null, NOW_MS);
  const other = await authoritySecret(owner, [], null, NOW_MS);
  const server = await certificateSecret(owner, 'server', ca, null, NOW_MS);
  const withKeyOf = (secret: V1Secret, { data }: V1Secret): V1Secret => ({
    ...secret,
    data: { ...secret.data, 'tls.key': data!['tls.key']! },
  });
  const good = seenCertificates([ca, server], [], owner)!;
  assert(good.authority !== null && good.certificates.length === 1);
  const mixed = seenCertificates([withKeyOf(ca, other), withKeyOf(server, other)], [], owner)!;
  assert.equal(mixed.authority, null);
  assert.deepEqual(mixed.certificates, []);
});

test('what is in a secret and no certificate is no certificate', () => {
  const owner = ownerOf({});
  const broken = (role: Role | 'ca', text: string): V1Secret => ({
    metadata: { name: `c-${role}-tls` },
    data: { 'tls.crt': Buffer.from(text).toString('base64') },
  });
  const damaged = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const secrets = [broken('ca', damaged), broken('server', ''), broken('peer', damaged)];
  const seen = seenCertificates(secrets, [], owner)!;
  assert.equal(seen.authority, null);
  assert.deepEqual(seen.certificates, []);
});

test('a secret that is damaged is replaced, in the version that was seen', async () => {
  const owner = ownerOf({});
  const good = stored(await authoritySecret(owner, [], null, NOW_MS), '7');
  const ca = { ...good, data: { ...good.data, 'tls.key': '' } };
  const calls: (string | undefined)[] = [];
  const api = {
    create: async () => void calls.push('created'),
    replace: async (...[, , name, body]: [unknown, unknown, string, V1Secret]) =>
      void calls.push(name, body.metadata?.resourceVersion),
  };
  const platform = new Platform(api as unknown as KubernetesApi);
  const parts = { secrets: [ca] } as unknown as Parts;
  await platform.perform({ kind: 'make-authority', resourceVersion: null }, parts, owner, NOW_MS);
  assert.deepEqual(calls, ['c-ca-tls', '7']);
  await platform.perform(
    { kind: 'issue-certificate', role: 'peer', resourceVersion: null },
    { ...parts, secrets: [good] },
    owner,
    NOW_MS,
  );
  assert.deepEqual(calls.slice(2), ['created']);
});

test('cert-manager is asked for a certificate of each role, once', () => {
  const certManagerCfg = { issuerKind: 'ClusterIssuer', issuerName: 'x', validityDuration: '100d12h' };
  const owner = ownerOf({ provider: 'cert-manager', providerCfg: { certManagerCfg } });
  const requests = certificateRequests(owner);
  assert.deepEqual(
    requests.map(({ spec }) => [spec['secretName'], spec['commonName'], spec['duration'], spec['usages']]),
    [
      ['c-server-tls', 'c', '2412h0m0s', ['server auth', 'client auth']],
      ['c-peer-tls', 'c', '2412h0m0s', ['server auth', 'client auth']],
      ['c-client-tls', 'c-client', '2412h0m0s', ['client auth']],
      ['c-operator-tls', 'root', '2412h0m0s', ['client auth']],
    ],
  );
  assert.deepEqual(requests[0]!.spec['issuerRef'], {
    kind: 'ClusterIssuer',
    name: 'x',
    group: 'cert-manager.io',
  });
  assert.equal(seenCertificates([], [], owner)!.isRequested, false);
  const found = requests.map((request) => ({
    ...request,
    spec: { ...request.spec, revisionHistoryLimit: 1 },
  }));
  assert.equal(seenCertificates([], found, owner)!.isRequested, true);
  assert.equal(seenCertificates([], found.slice(1), owner)!.isRequested, false);
});
