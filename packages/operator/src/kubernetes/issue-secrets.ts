/** Secrets with an authority, or with what it signs, as Kubernetes knows certificates. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { V1Secret } from '@kubernetes/client-node';
import { commonNameOf, hostsOf, type Role, secretName } from '../cluster/certificates.ts';
import { metadataOf, type Owner } from '../cluster/manifests.ts';
import {
  CERTIFICATE_KEY,
  certificatesIn,
  idOf,
  PRIVATE_KEY,
  seenCertificates,
  TRUSTED_KEY,
  textOf,
  validityOf,
} from './seen-certificates.ts';

/** At least twice what it signs. */
const AUTHORITY_VALIDITY_MS = 3650 * 86_400_000;
const KEY_KIND = 'ECDSA-P256';

/** A new authority, with those that were trusted before it. */
export async function authoritySecret(
  owner: Owner,
  secrets: readonly V1Secret[],
  resourceVersion: string | null,
  nowMs: number,
): Promise<V1Secret> {
  const { issueAuthority } = await import('@etcd/host/pki');
  const { certificatePem, key } = await issueAuthority({
    commonName: `${owner.name}.${owner.namespace} etcd CA`,
    validityMs: AUTHORITY_VALIDITY_MS,
    keyKind: KEY_KIND,
    nowMs,
  });
  const before = secrets.flatMap((secret) => certificatesIn(textOf(secret, TRUSTED_KEY)));
  const trusted = trustedFrom([new X509Certificate(certificatePem), ...before], nowMs);
  return secretOf(owner, 'ca', resourceVersion, certificatePem, keyPem(key), trusted);
}

/** The authority without those that have expired. */
export function withoutExpired(owner: Owner, secret: V1Secret, nowMs: number): V1Secret {
  const trusted = trustedFrom(certificatesIn(textOf(secret, TRUSTED_KEY)), nowMs);
  return copyOf(owner, 'ca', secret, trusted);
}

/** A certificate of a role as it stands, with whom the authority says is trusted. */
export function withTrust(owner: Owner, role: Role, secret: V1Secret, authority: V1Secret): V1Secret {
  return copyOf(owner, role, secret, textOf(authority, TRUSTED_KEY));
}

/** A new certificate and key for a role. Throws where it would not be what is declared: it would be made again and again. */
export async function certificateSecret(
  owner: Owner,
  role: Role,
  authority: V1Secret,
  resourceVersion: string | null,
  nowMs: number,
): Promise<V1Secret> {
  const { issueLeaf } = await import('@etcd/host/pki');
  const tls = owner.spec.tls!;
  const certificate = new X509Certificate(textOf(authority, CERTIFICATE_KEY));
  const { certificatePem, key } = await issueLeaf(
    { certificate, key: createPrivateKey(textOf(authority, PRIVATE_KEY)) },
    {
      commonName: commonNameOf(owner.name, tls, role),
      organizations: tls.organizations,
      usages: role === 'server' || role === 'peer' ? ['server', 'client'] : ['client'],
      hosts: hostsOf(owner.name, owner.namespace, tls, role),
      // Nobody believes it for longer than its authority.
      validityMs: Math.min(tls.validityMs, certificate.validToDate.getTime() - nowMs),
      keyKind: KEY_KIND,
      nowMs,
    },
  );
  const trusted = textOf(authority, TRUSTED_KEY);
  const secret = secretOf(owner, role, resourceVersion, certificatePem, keyPem(key), trusted);
  if (seenCertificates([secret], [], owner)?.certificates[0]?.isAsDeclared !== true)
    throw new Error(`spec.tls has names that no certificate can be made for, of the role ${role}`);
  return secret;
}

/** One text, each once, without those that have expired. */
function trustedFrom(certificates: readonly X509Certificate[], nowMs: number): string {
  const good = certificates.filter((one) => validityOf(one).notAfterMs > nowMs);
  return [...new Map(good.map((one) => [idOf(one), one.toString()])).values()].join('');
}

function copyOf(owner: Owner, role: Role | 'ca', secret: V1Secret, trusted: string): V1Secret {
  const version = secret.metadata?.resourceVersion ?? null;
  return secretOf(
    owner,
    role,
    version,
    textOf(secret, CERTIFICATE_KEY),
    textOf(secret, PRIVATE_KEY),
    trusted,
  );
}

function secretOf(
  owner: Owner,
  role: Role | 'ca',
  resourceVersion: string | null,
  certificatePem: string,
  key: string,
  trusted: string,
): V1Secret {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: {
      ...metadataOf(owner, secretName(owner.name, role)),
      ...(resourceVersion === null ? {} : { resourceVersion }),
    },
    data: {
      [CERTIFICATE_KEY]: base64(certificatePem),
      [PRIVATE_KEY]: base64(key),
      [TRUSTED_KEY]: base64(trusted),
    },
  };
}

/** PKCS#8, which every program reads. */
function keyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
