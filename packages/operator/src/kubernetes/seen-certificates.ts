/** What the secrets of a cluster say. Certificates are read once for each version of a secret: looks come often, and checking signatures takes a while. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { KubernetesObject, V1Secret } from '@kubernetes/client-node';
import {
  commonNameOf,
  hostsOf,
  ROLES,
  type Role,
  type SeenAuthority,
  type SeenCertificate,
  type SeenCertificates,
  secretName,
} from '../cluster/certificates.ts';
import type { Owner } from '../cluster/manifests.ts';
import { certificateRequests } from './certificate-requests.ts';

export const CERTIFICATE_KEY = 'tls.crt';
export const PRIVATE_KEY = 'tls.key';
export const TRUSTED_KEY = 'ca.crt';

interface ReadSecret {
  readonly leaf: X509Certificate;
  readonly trusted: readonly X509Certificate[];
  /** Of {@link trusted}, the signer of the leaf. */
  readonly issuer: X509Certificate | null;
}

const READ = new WeakMap<V1Secret, ReadSecret | null>();
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export function seenCertificates(
  secrets: readonly V1Secret[],
  requests: readonly KubernetesObject[],
  owner: Owner,
): SeenCertificates | null {
  const { tls } = owner.spec;
  if (tls === null) return null;
  const secretOf = (role: Role | 'ca'): V1Secret | undefined =>
    secrets.find(({ metadata }) => metadata?.name === secretName(owner.name, role));
  const ca = secretOf('ca');
  return {
    authority: tls.issuer !== null || ca === undefined ? null : seenAuthority(ca),
    certificates: ROLES.flatMap((role) => {
      const secret = secretOf(role);
      return (secret === undefined ? null : seenCertificate(secret, role, owner)) ?? [];
    }),
    isRequested: tls.issuer !== null && isRequested(requests, owner),
  };
}

function seenAuthority(secret: V1Secret): SeenAuthority | null {
  const read = readSecret(secret);
  if (read === null) return null;
  return {
    id: idOf(read.leaf),
    ...validityOf(read.leaf),
    trusted: read.trusted.map((one) => ({ id: idOf(one), notAfterMs: validityOf(one).notAfterMs })),
    resourceVersion: secret.metadata?.resourceVersion ?? '',
  };
}

function seenCertificate(secret: V1Secret, role: Role, owner: Owner): SeenCertificate | null {
  const read = readSecret(secret);
  if (read === null) return null;
  return {
    role,
    ...validityOf(read.leaf),
    issuerId: read.issuer === null ? null : idOf(read.issuer),
    trustedIds: read.trusted.map(idOf),
    isAsDeclared: isAsDeclared(read.leaf, role, owner),
    resourceVersion: secret.metadata?.resourceVersion ?? '',
  };
}

function isAsDeclared(leaf: X509Certificate, role: Role, { name, namespace, spec }: Owner): boolean {
  const tls = spec.tls!;
  return (
    isDeepStrictEqual(subjectFields(leaf, 'CN'), [commonNameOf(name, tls, role)]) &&
    isDeepStrictEqual(subjectFields(leaf, 'O'), tls.organizations) &&
    hostsOf(name, namespace, tls, role).every(
      (host) => (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined,
    )
  );
}

/** As they were given: the text of a subject has marks before commas and the like. */
function subjectFields(certificate: X509Certificate, name: 'CN' | 'O'): string[] {
  const { subject } = certificate.toLegacyObject() as {
    readonly subject?: Readonly<Record<string, unknown>>;
  };
  return [subject?.[name] ?? []].flat().map(String);
}

/** null: it holds no certificate that can be read, or not the key to it. */
function readSecret(secret: V1Secret): ReadSecret | null {
  const known = READ.get(secret);
  if (known !== undefined) return known;
  const [leaf] = certificatesIn(textOf(secret, CERTIFICATE_KEY));
  const trusted = certificatesIn(textOf(secret, TRUSTED_KEY));
  const signs = (one: X509Certificate): boolean => leaf!.checkIssued(one) && leaf!.verify(one.publicKey);
  const isWhole = leaf !== undefined && hasKey(secret, leaf);
  const read = isWhole ? { leaf, trusted, issuer: trusted.find(signs) ?? null } : null;
  READ.set(secret, read);
  return read;
}

function hasKey(secret: V1Secret, leaf: X509Certificate): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(textOf(secret, PRIVATE_KEY)));
  } catch {
    return false;
  }
}

/** Those in a PEM text; none where it is damaged. */
export function certificatesIn(pem: string): X509Certificate[] {
  try {
    return [...pem.matchAll(PEM)].map(([text]) => new X509Certificate(text));
  } catch {
    return [];
  }
}

export function textOf({ data = {} }: V1Secret, key: string): string {
  return Buffer.from(data[key] ?? '', 'base64').toString('utf8');
}

export function idOf({ raw }: X509Certificate): string {
  return createHash('sha256').update(raw).digest('hex').slice(0, 16);
}

export function validityOf({ validFromDate, validToDate }: X509Certificate): {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
} {
  return { notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
}

function isRequested(requests: readonly KubernetesObject[], owner: Owner): boolean {
  return certificateRequests(owner).every((wanted) => {
    const found = requests.find(({ metadata }) => metadata?.name === wanted.metadata?.name);
    const { spec } = (found ?? {}) as { readonly spec?: Readonly<Record<string, unknown>> };
    if (spec === undefined) return false;
    // What cert-manager or somebody else adds is theirs.
    return Object.entries(wanted.spec).every(([key, value]) => isDeepStrictEqual(spec[key], value));
  });
}
