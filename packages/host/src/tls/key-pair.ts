/**
 * A certificate with its chain and its key, from files in any of the common forms: RSA in PKCS#1 or PKCS#8, EC in SEC1 or PKCS#8, Ed25519; the
 * leaf first, then its chain; parameters of a curve in front of a key. What can't be used is refused in Go's words.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isPrivateKeyLabel, pemBlocks } from './pem.ts';
import { TlsError } from './tls-error.ts';

export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
  /** For OpenSSL: the leaf and its chain. */
  readonly certPem: string;
  readonly keyPem: string;
  readonly leaf: X509Certificate;
}

/** Throws {@link TlsError}. */
export function loadKeyPair(certFile: string, keyFile: string): KeyPair {
  const certificates = pemBlocks(readText(certFile)).filter(({ label }) => label === 'CERTIFICATE');
  const keyBlocks = pemBlocks(readText(keyFile)).filter(({ label }) => isPrivateKeyLabel(label));
  if (certificates.length === 0) {
    throw new TlsError('malformed', `tls: failed to find any PEM data in certificate input (${certFile})`);
  }
  if (keyBlocks.length === 0) {
    throw new TlsError('malformed', `tls: failed to find any PEM data in key input (${keyFile})`);
  }
  const leaf = parseCertificate(certificates[0]!.text, certFile);
  const key = parseKey(keyBlocks[0]!.text, keyFile);
  if (!leaf.checkPrivateKey(key)) {
    throw new TlsError('mismatch', `tls: private key does not match public key (${keyFile}, ${certFile})`);
  }
  return {
    certFile,
    keyFile,
    certPem: certificates.map(({ text }) => text).join(''),
    keyPem: keyBlocks[0]!.text,
    leaf,
  };
}

/** All certificates of a file of authorities. Throws {@link TlsError}. */
export function loadAuthorities(path: string): X509Certificate[] {
  const blocks = pemBlocks(readText(path)).filter(({ label }) => label === 'CERTIFICATE');
  if (blocks.length === 0) throw new TlsError('malformed', `no certificate of an authority in ${path}`);
  return blocks.map(({ text }) => parseCertificate(text, path));
}

/** A file as text; {@link TlsError} in Go's words when it can't be read. */
export function readText(path: string): string {
  return readBytes(path).toString('latin1');
}

export function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TlsError('unreadable', `open ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
};

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}

function parseCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new TlsError('malformed', `x509: malformed certificate (${path})`, { cause: error });
  }
}

function parseKey(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const isEncrypted = pem.includes('ENCRYPTED');
    const what = isEncrypted
      ? 'the private key is encrypted; decrypt it first'
      : 'tls: failed to parse private key';
    throw new TlsError('malformed', `${what} (${path})`, { cause: error });
  }
}
