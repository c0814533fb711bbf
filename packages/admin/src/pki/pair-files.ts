/**
 * Certificates and their keys in a directory: `etcd/ca` is `etcd/ca.crt` and `etcd/ca.key`. Keys are PKCS#1 or SEC1, as programs that read
 * them have always known them, and for their owner alone; they are there before their certificates are.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export type PairProblem = 'missing' | 'unreadable';

/** The message names the file. */
export class PairError extends Error {
  override readonly name = 'PairError';
  readonly problem: PairProblem;

  constructor(problem: PairProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}

export class PairFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  certificatePath(baseName: string): string {
    return join(this.directory, `${baseName}.crt`);
  }

  keyPath(baseName: string): string {
    return join(this.directory, `${baseName}.key`);
  }

  /** Throws {@link PairError}. */
  certificate(baseName: string): X509Certificate {
    const path = this.certificatePath(baseName);
    return parse(path, (text) => new X509Certificate(text));
  }

  /** Throws {@link PairError}. */
  key(baseName: string): KeyObject {
    const path = this.keyPath(baseName);
    return parse(path, (text) => createPrivateKey(text));
  }

  hasCertificate(baseName: string): boolean {
    return isThere(() => this.certificate(baseName));
  }

  hasKey(baseName: string): boolean {
    return isThere(() => this.key(baseName));
  }

  write(baseName: string, certificatePem: string, key: KeyObject): void {
    const type = key.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1';
    const keyPem = key.export({ type, format: 'pem' });
    mkdirSync(dirname(this.keyPath(baseName)), { recursive: true, mode: 0o755 });
    replace(this.keyPath(baseName), keyPem, 0o600);
    replace(this.certificatePath(baseName), certificatePem, 0o644);
  }
}

/** Whole or not at all: a key that is cut is worse than an old one. */
function replace(path: string, content: string | Buffer, mode: number): void {
  const temporary = `${path}.new`;
  writeFileSync(temporary, content, { mode, flush: true });
  renameSync(temporary, path);
}

function parse<T>(path: string, read: (text: Buffer) => T): T {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new PairError('missing', `open ${path}: no such file or directory`);
    throw new PairError('unreadable', `open ${path}: ${message}`, { cause: error });
  }
  try {
    return read(content);
  } catch (error) {
    throw new PairError('unreadable', `${path} is not what its name says: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function isThere(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof PairError) return false;
    throw error;
  }
}
