/**
 * One side's certificates, authorities and revocations as they are now, and how they come to be replaced while connections are
 * open: files that have changed are read again, all of them together, and take effect for new connections if they fit together.
 * If they don't (a certificate that is there before its key), what was in use stays in use, and one line says why.
 */
import { randomBytes, type X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import {
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';
import type { Clock, Logger, Timer } from '@etcd/base';
import { opensslCiphers, type TlsProtocol } from './cipher-suites.ts';
import { type NamedCertificate, warnOfExpiry } from './expiry.ts';
import { type KeyPair, loadAuthorities, loadKeyPair } from './key-pair.ts';
import type { CertificateRules } from './peer-certificate.ts';
import { loadRevocations, NO_REVOCATIONS } from './revocations.ts';
import { TlsError } from './tls-error.ts';
import { hasCertificate, type TlsFiles } from './tls-files.ts';

export interface TlsSideOptions {
  readonly files: TlsFiles;
  readonly protocol: TlsProtocol;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What was read together. */
interface Material {
  readonly server: SecureContextOptions | null;
  readonly client: SecureContext;
  readonly rules: CertificateRules;
  readonly certificates: readonly NamedCertificate[];
}

/** How often the files are looked at. */
const LOOK_INTERVAL_MS = 5000;
/** Certificates that expire soon are mentioned so often. */
const EXPIRY_INTERVAL_MS = 86_400_000;
/** A resumed session ends what is known of a client's certificate; so it must not be old. */
const SESSION_TIMEOUT_SECONDS = 300;
const TICKET_KEY_BYTES = 48;

export class TlsSide {
  readonly files: TlsFiles;
  readonly #options: TlsSideOptions;
  readonly #listeners = new Set<() => void>();
  #material: Material;
  #stamp: string;
  #timer: Timer | null = null;
  #expiryTimer: Timer | null = null;
  #isReloading = false;

  private constructor(options: TlsSideOptions, material: Material, stamp: string) {
    this.files = options.files;
    this.#options = options;
    this.#material = material;
    this.#stamp = stamp;
  }

  /** Reads everything. Rejects with {@link TlsError} for what can't be used. */
  static async open(options: TlsSideOptions): Promise<TlsSide> {
    const { files, logger, clock } = options;
    const listsBoth = files.allowedCommonNames.length > 0 && files.allowedHostnames.length > 0;
    if (listsBoth) throw new TlsError('setting', allowedProblem(files));
    const stamp = stampOf(files);
    const side = new TlsSide(options, await load(options), stamp);
    warnOfReadableKeys(files, logger);
    warnOfExpiry(side.certificates, clock.wallNow(), logger);
    return side;
  }

  /** For {@link node:tls.Server}; null without a certificate of its own. */
  get serverOptions(): SecureContextOptions | null {
    return this.#material.server;
  }

  /** Whether whoever connects must show a certificate. */
  get requiresClientCertificate(): boolean {
    return this.files.clientCertAuth || this.files.trustedCaFile !== '';
  }

  /** For connections that this side opens. */
  get clientContext(): SecureContext {
    return this.#material.client;
  }

  get rules(): CertificateRules {
    return this.#material.rules;
  }

  get certificates(): readonly NamedCertificate[] {
    return this.#material.certificates;
  }

  /** Calls `listener` after everything has been replaced. */
  onReload(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Looks at the files from now on. */
  start(): void {
    const { clock, logger } = this.#options;
    const look = (): void => {
      this.#timer = clock.setTimer(LOOK_INTERVAL_MS, () => {
        if (stampOf(this.files) !== this.#stamp) void this.reload();
        look();
      });
    };
    const warn = (): void => {
      this.#expiryTimer = clock.setTimer(EXPIRY_INTERVAL_MS, () => {
        warnOfExpiry(this.certificates, clock.wallNow(), logger);
        warn();
      });
    };
    look();
    warn();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#expiryTimer?.cancel();
    this.#listeners.clear();
  }

  /** Reads everything again, whether it has changed or not. What can't be used is logged, and changes nothing. */
  async reload(): Promise<void> {
    if (this.#isReloading) return;
    this.#isReloading = true;
    const { logger, clock } = this.#options;
    this.#stamp = stampOf(this.files);
    try {
      this.#material = await load(this.#options);
      logger.info('reloaded certificates', {
        'cert-file': this.files.certFile,
        'trusted-ca-file': this.files.trustedCaFile,
      });
      warnOfExpiry(this.certificates, clock.wallNow(), logger);
      for (const listener of this.#listeners) listener();
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      logger.warn('failed to reload certificates; those in use stay', { error: error.message });
    } finally {
      this.#isReloading = false;
    }
  }
}

function allowedProblem({ allowedCommonNames, allowedHostnames }: TlsFiles): string {
  const list = (names: readonly string[]): string =>
    `[${names.map((name) => JSON.stringify(name)).join(' ')}]`;
  const both = `(cns=${list(allowedCommonNames)}, hostnames=${list(allowedHostnames)})`;
  return `AllowedCNs and AllowedHostnames are mutually exclusive ${both}`;
}

async function load({ files, protocol }: TlsSideOptions): Promise<Material> {
  const { certFile, keyFile, clientCertFile, clientKeyFile, trustedCaFile, crlFile } = files;
  if ((certFile === '') !== (keyFile === '')) {
    throw new TlsError(
      'setting',
      `KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`,
    );
  }
  if ((clientCertFile === '') !== (clientKeyFile === '')) {
    const given = `key: ${clientKeyFile}, cert: ${clientCertFile}]`;
    throw new TlsError(
      'setting',
      `ClientKeyFile and ClientCertFile must both be present or both absent: ${given}`,
    );
  }
  const served = hasCertificate(files) ? loadKeyPair(certFile, keyFile) : null;
  const shown = clientCertFile === '' ? served : loadKeyPair(clientCertFile, clientKeyFile);
  const authorities = trustedCaFile === '' ? null : loadAuthorities(trustedCaFile);
  const revocations = crlFile === '' ? NO_REVOCATIONS : await loadRevocations(crlFile);
  const ca =
    authorities === null ? getCACertificates('system') : authorities.map((authority) => authority.toString());
  const server = served === null ? null : serverOptions(served, ca, protocol);
  // A listener makes its own of this: what is wrong with it has to show here.
  if (server !== null) contextOf(server, certFile);
  return {
    server,
    client: contextOf({ ...common(protocol), ca, ...pairOptions(shown) }, shown?.certFile ?? trustedCaFile),
    rules: {
      allowedCommonNames: files.allowedCommonNames,
      allowedHostnames: files.allowedHostnames,
      revocations,
    },
    certificates: named(served, shown, trustedCaFile, authorities),
  };
}

/** OpenSSL looks closer than we do, at the chain behind a leaf and at the strength of keys. */
function contextOf(options: SecureContextOptions, path: string): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TlsError('malformed', `tls: certificates can't be used (${path}): ${reason}`, { cause: error });
  }
}

function serverOptions(
  pair: KeyPair,
  ca: string[],
  protocol: TlsProtocol,
): SecureContextOptions & { ticketKeys: Buffer } {
  return {
    ...common(protocol),
    ...pairOptions(pair),
    ca,
    // New ones each time: a session from before a reload must not stand for a certificate that is not accepted any more.
    ticketKeys: randomBytes(TICKET_KEY_BYTES),
    sessionTimeout: SESSION_TIMEOUT_SECONDS,
  };
}

function pairOptions(pair: KeyPair | null): SecureContextOptions {
  return pair === null ? {} : { cert: pair.certPem, key: pair.keyPem };
}

function common({ cipherSuites, minVersion, maxVersion }: TlsProtocol): SecureContextOptions {
  const ciphers = opensslCiphers(cipherSuites);
  return {
    minVersion: minVersion === 'TLS1.3' ? 'TLSv1.3' : 'TLSv1.2',
    maxVersion: maxVersion === 'TLS1.2' ? 'TLSv1.2' : 'TLSv1.3',
    ...(ciphers === '' ? {} : { ciphers }),
  };
}

function named(
  served: KeyPair | null,
  shown: KeyPair | null,
  trustedCaFile: string,
  authorities: readonly X509Certificate[] | null,
): NamedCertificate[] {
  const certificates: NamedCertificate[] = [];
  if (served !== null) certificates.push({ path: served.certFile, certificate: served.leaf });
  if (shown !== null && shown !== served)
    certificates.push({ path: shown.certFile, certificate: shown.leaf });
  for (const certificate of authorities ?? []) certificates.push({ path: trustedCaFile, certificate });
  return certificates;
}

/** Changes when one of the files does, also when a link to it is set to another. */
function stampOf(files: TlsFiles): string {
  return filesOf(files)
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? `${path} -` : `${path} ${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    })
    .join('\n');
}

function filesOf({
  certFile,
  keyFile,
  clientCertFile,
  clientKeyFile,
  trustedCaFile,
  crlFile,
}: TlsFiles): string[] {
  return [certFile, keyFile, clientCertFile, clientKeyFile, trustedCaFile, crlFile].filter(
    (path) => path !== '',
  );
}

const READABLE_BY_OTHERS = 0o004;

function warnOfReadableKeys({ keyFile, clientKeyFile }: TlsFiles, logger: Logger): void {
  for (const path of new Set([keyFile, clientKeyFile])) {
    if (path === '') continue;
    const mode = statSync(path).mode;
    if ((mode & READABLE_BY_OTHERS) === 0) continue;
    logger.warn('private key file can be read by everybody on this machine', {
      path,
      mode: (mode & 0o777).toString(8),
    });
  }
}
