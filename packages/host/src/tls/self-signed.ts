/**
 * Certificates that a member makes for itself (`--auto-tls`, `--peer-auto-tls`): kept in a directory and used again at the next start. They encrypt,
 * but prove nothing. The package that makes them is loaded only by the start that does.
 */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import type { Clock, Logger } from '@etcd/base';
import { TlsError } from './tls-error.ts';
import { NO_TLS_FILES, type TlsFiles } from './tls-files.ts';

export interface SelfSignedOptions {
  readonly directory: string;
  /** Names and addresses that the certificate stands for, without ports. */
  readonly hosts: readonly string[];
  readonly validityYears: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const YEAR_MS = 365 * 86_400_000;
const SERIAL_BYTES = 16;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' };

/** The files of a directory, made if they are not there yet. Rejects with {@link TlsError}. */
export async function selfSignedFiles(options: SelfSignedOptions): Promise<TlsFiles> {
  const { directory, validityYears } = options;
  if (validityYears <= 0) {
    throw new TlsError('setting', 'selfSignedCertValidity is invalid,it should be greater than 0');
  }
  const certFile = resolve(join(directory, 'cert.pem'));
  const keyFile = resolve(join(directory, 'key.pem'));
  if (!isWritten(certFile) || !isWritten(keyFile)) await make(options, certFile, keyFile);
  return {
    ...NO_TLS_FILES,
    certFile,
    keyFile,
    clientCertFile: certFile,
    clientKeyFile: keyFile,
    isSelfSigned: true,
  };
}

/** Whether a file is there with something in it: after a cut of power, older releases of this program could find an empty one. */
function isWritten(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Whole or not at all, also when the power is cut: what is not there is made anew, but with half of it no member starts. */
function writeWhole(path: string, content: string | Buffer, mode: number): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, content, { mode, flush: true });
  renameSync(temporary, path);
}

async function make(options: SelfSignedOptions, certFile: string, keyFile: string): Promise<void> {
  const { directory, hosts, validityYears, clock, logger } = options;
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const notBefore = new Date(clock.wallNow());
  const notAfter = new Date(clock.wallNow() + validityYears * YEAR_MS);
  logger.warn('automatically generate certificates', {
    'certificate-validity-bound-not-after': notAfter.toISOString(),
  });
  const { KeyUsageFlags } = x509;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(SERIAL_BYTES).toString('hex'),
    name: 'O=etcd',
    notBefore,
    notAfter,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.KeyUsagesExtension(
        KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment | KeyUsageFlags.cRLSign,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host })),
      ),
    ],
  });
  const key = KeyObject.from(keys.privateKey).export({ type: 'sec1', format: 'pem' });
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeWhole(certFile, `${certificate.toString('pem')}\n`, 0o644);
    logger.info('created cert file', { path: certFile });
    writeWhole(keyFile, key, 0o600);
    logger.info('created key file', { path: keyFile });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TlsError('unreadable', `cannot write certificates: ${reason}`, { cause: error });
  }
}
