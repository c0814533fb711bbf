/**
 * Authorities and certificates for tests, made on the spot: good ones, and every kind that has to be refused. Files are written where
 * the caller says, and hold nothing that is used anywhere else.
 */
import 'reflect-metadata';
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

export type KeyKind = 'ec' | 'rsa' | 'ed25519';

export interface CertificateOptions {
  /** The name of the certificate unless told; '': the subject has none. */
  readonly commonName?: string;
  readonly hosts?: readonly string[];
  readonly keyKind?: KeyKind;
  /** PEM form of the key; PKCS#8 unless told. */
  readonly keyForm?: 'pkcs8' | 'sec1' | 'pkcs1';
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly usages?: readonly ('client' | 'server')[];
  readonly isAuthority?: boolean;
}

export interface IssuedCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly serialNumber: string;
}

interface Algorithm {
  readonly name: string;
  readonly [parameter: string]: unknown;
}

const ALGORITHMS: Readonly<Record<KeyKind, Algorithm>> = {
  ec: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  },
  ed25519: { name: 'Ed25519' },
};

const YEAR_MS = 365 * 86_400_000;

/** An authority with a directory of its own, in which the files of what it issues are, too. */
export class TestAuthority {
  readonly caFile: string;
  readonly #directory: string;
  readonly #name: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #certificate: x509.X509Certificate;

  private constructor(
    directory: string,
    name: string,
    keys: webcrypto.CryptoKeyPair,
    certificate: x509.X509Certificate,
  ) {
    this.#directory = directory;
    this.#name = name;
    this.#keys = keys;
    this.#certificate = certificate;
    this.caFile = join(directory, `${name}.pem`);
  }

  static async create(directory: string, name = 'ca'): Promise<TestAuthority> {
    mkdirSync(directory, { recursive: true });
    const keys = await makeKeys('ec');
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerial(),
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - YEAR_MS),
      notAfter: new Date(Date.now() + 10 * YEAR_MS),
      keys,
      signingAlgorithm: ALGORITHMS.ec,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const authority = new TestAuthority(directory, name, keys, certificate);
    writeFileSync(authority.caFile, `${certificate.toString('pem')}\n`);
    return authority;
  }

  /** Writes `NAME.pem` and `NAME-key.pem`. */
  async issue(name: string, options: CertificateOptions = {}): Promise<IssuedCertificate> {
    const { keyKind = 'ec', keyForm = 'pkcs8', hosts = [], usages = ['client', 'server'] } = options;
    const keys = await makeKeys(keyKind);
    const serialNumber = newSerial();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: options.commonName === '' ? `O=${name}` : `CN=${options.commonName ?? name}`,
      issuer: this.#certificate.subject,
      notBefore: options.notBefore ?? new Date(Date.now() - YEAR_MS),
      notAfter: options.notAfter ?? new Date(Date.now() + YEAR_MS),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHMS.ec,
      extensions: extensionsOf(hosts, usages, options.isAuthority ?? false),
    });
    const certFile = join(this.#directory, `${name}.pem`);
    const keyFile = join(this.#directory, `${name}-key.pem`);
    writeFileSync(certFile, `${certificate.toString('pem')}\n`);
    const key = KeyObject.from(keys.privateKey);
    writeFileSync(keyFile, key.export({ type: keyForm, format: 'pem' }), { mode: 0o600 });
    return { certFile, keyFile, serialNumber };
  }

  /** Writes a list of revoked serials, DER as etcd reads it. */
  async revoke(serials: readonly string[]): Promise<string> {
    const list = await x509.X509CrlGenerator.create({
      issuer: this.#certificate.subject,
      thisUpdate: new Date(),
      nextUpdate: new Date(Date.now() + YEAR_MS),
      signingAlgorithm: ALGORITHMS.ec,
      signingKey: this.#keys.privateKey,
      entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date() })),
    });
    const path = join(this.#directory, `${this.#name}.crl`);
    writeFileSync(path, Buffer.from(list.rawData));
    return path;
  }
}

function makeKeys(kind: KeyKind): Promise<webcrypto.CryptoKeyPair> {
  const made = webcrypto.subtle.generateKey(ALGORITHMS[kind], true, ['sign', 'verify']);
  return made as Promise<webcrypto.CryptoKeyPair>;
}

function extensionsOf(
  hosts: readonly string[],
  usages: readonly ('client' | 'server')[],
  isAuthority: boolean,
): x509.Extension[] {
  const { ExtendedKeyUsage, KeyUsageFlags } = x509;
  const names = hosts.map((value) => ({
    type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
    value,
  }));
  const uses = usages.map((use) =>
    use === 'client' ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
  );
  return [
    new x509.BasicConstraintsExtension(isAuthority, undefined, true),
    new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
    ...(uses.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(uses)]),
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
  ];
}

/** Positive, whatever its first bits. */
function newSerial(): string {
  return `01${randomBytes(15).toString('hex')}`;
}
