/** Makes authorities and what they sign, in the form that kubeadm gives them. */
import 'reflect-metadata';
import { KeyObject, randomBytes, webcrypto, type X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import { KEY_ALGORITHMS, type KeyAlgorithm, type KeyKind } from './key-algorithm.ts';

/** Clocks of the machines that a certificate is for may be a little behind this one's. */
const BACKDATED_MS = 5 * 60_000;
const SERIAL_BYTES = 8;

export interface Issued {
  readonly certificatePem: string;
  readonly key: KeyObject;
}

export interface Authority {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

export interface LeafOptions {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly usages: readonly ('client' | 'server')[];
  /** Names and addresses. */
  readonly hosts: readonly string[];
  readonly validityMs: number;
  readonly keyKind: KeyKind;
  readonly nowMs: number;
}

export async function issueAuthority(options: {
  readonly commonName: string;
  readonly validityMs: number;
  readonly keyKind: KeyKind;
  readonly nowMs: number;
}): Promise<Issued> {
  const algorithm = KEY_ALGORITHMS[options.keyKind];
  const keys = await makeKeys(algorithm);
  const { KeyUsageFlags } = x509;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: nameOf(options.commonName, []),
    notBefore: new Date(options.nowMs - BACKDATED_MS),
    notAfter: new Date(options.nowMs + options.validityMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.KeyUsagesExtension(
        KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment | KeyUsageFlags.keyCertSign,
        true,
      ),
      new x509.BasicConstraintsExtension(true, undefined, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: options.commonName }]),
    ],
  });
  return { certificatePem: pemOf(certificate), key: KeyObject.from(keys.privateKey) };
}

/** A certificate that `authority` has signed. */
export async function issueLeaf(authority: Authority, options: LeafOptions): Promise<Issued> {
  const keys = await makeKeys(KEY_ALGORITHMS[options.keyKind]);
  const issuer = new x509.X509Certificate(authority.certificate.raw);
  const signingAlgorithm = algorithmOf(authority.key);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: nameOf(options.commonName, options.organizations),
    issuer: issuer.subjectName,
    notBefore: new Date(options.nowMs - BACKDATED_MS),
    notAfter: new Date(options.nowMs + options.validityMs),
    publicKey: keys.publicKey,
    signingKey: authority.key.toCryptoKey(signingAlgorithm as never, false, ['sign']),
    signingAlgorithm,
    extensions: await leafExtensions(issuer, options),
  });
  return { certificatePem: pemOf(certificate), key: KeyObject.from(keys.privateKey) };
}

async function leafExtensions(
  issuer: x509.X509Certificate,
  { usages, hosts }: LeafOptions,
): Promise<x509.Extension[]> {
  const { ExtendedKeyUsage, KeyUsageFlags } = x509;
  const uses = usages.map((use) =>
    use === 'client' ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
  );
  const names = hosts.map((value) => ({
    type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
    value,
  }));
  return [
    new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
    new x509.ExtendedKeyUsageExtension(uses),
    new x509.BasicConstraintsExtension(false, undefined, true),
    await authorityIdentifier(issuer),
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
  ];
}

/** By the authority's own identifier, where it has one. */
async function authorityIdentifier(issuer: x509.X509Certificate): Promise<x509.Extension> {
  const own = issuer.getExtension(x509.SubjectKeyIdentifierExtension);
  if (own !== null) return new x509.AuthorityKeyIdentifierExtension(own.keyId);
  return await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey);
}

function nameOf(commonName: string, organizations: readonly string[]): x509.JsonName {
  return [...organizations.map((organization) => ({ O: [organization] })), { CN: [commonName] }];
}

function makeKeys(algorithm: KeyAlgorithm): Promise<webcrypto.CryptoKeyPair> {
  const made = webcrypto.subtle.generateKey(algorithm as never, true, ['sign', 'verify']);
  return made as unknown as Promise<webcrypto.CryptoKeyPair>;
}

/** What a key signs with. */
function algorithmOf(key: KeyObject): KeyAlgorithm {
  if (key.asymmetricKeyType === 'rsa') return KEY_ALGORITHMS['RSA-2048'];
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return curve === 'secp384r1' ? KEY_ALGORITHMS['ECDSA-P384'] : KEY_ALGORITHMS['ECDSA-P256'];
}

/** Positive, and never nothing. */
function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x7f) | 0x01;
  return bytes.toString('hex');
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
