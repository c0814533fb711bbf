/**
 * The phases that make certificates. What is there is kept: it is looked at, and used if it is signed by the authority, but never
 * replaced, also when the names in it are no longer those of the configuration.
 */
import type { X509Certificate } from 'node:crypto';
import { issueAuthority, issueLeaf } from '@etcd/host/pki';
import { PairError, PairFiles } from '../pki/pair-files.ts';
import { type CertificateSpec, ETCD_AUTHORITY, organizationsOf, servedNames } from './certificates.ts';
import type { ClusterConfig } from './cluster-config.ts';
import { ConfigError } from './config-error.ts';

export interface PhaseOutput {
  line(text: string): void;
  warn(text: string): void;
}

export interface CertificateDirectories {
  /** Where what is there is looked for. */
  readonly from: string;
  /** Where what is made goes: elsewhere when nothing may be changed. */
  readonly to: string;
}

export class CertificatePhases {
  readonly #config: ClusterConfig;
  readonly #existing: PairFiles;
  readonly #made: PairFiles;
  readonly #output: PhaseOutput;
  readonly #nowMs: number;

  constructor(
    config: ClusterConfig,
    directories: CertificateDirectories,
    output: PhaseOutput,
    nowMs: number = Date.now(),
  ) {
    this.#config = config;
    this.#existing = new PairFiles(directories.from);
    this.#made = new PairFiles(directories.to);
    this.#output = output;
    this.#nowMs = nowMs;
  }

  /** Throws {@link ConfigError} or {@link PairError}. */
  async run(spec: CertificateSpec): Promise<void> {
    const what = spec.isAuthority ? 'certificate authority' : 'certificate';
    if (this.#config.isExternal) {
      return this.#output.line(`[certs] External etcd mode: Skipping ${spec.baseName} ${what} generation`);
    }
    if (this.#existing.hasCertificate(spec.baseName)) this.#keep(spec);
    else if (spec.isAuthority) await this.#makeAuthority(spec);
    else await this.#makeLeaf(spec);
  }

  #keep(spec: CertificateSpec): void {
    const { baseName, isAuthority } = spec;
    const certificate = this.#existing.certificate(baseName);
    this.#checkPeriod(baseName, certificate);
    if (isAuthority) {
      const keyless = this.#existing.hasKey(baseName) ? '' : 'keyless ';
      return this.#output.line(`[certs] Using existing ${baseName} ${keyless}certificate authority`);
    }
    const authority = this.#authorityCertificate();
    this.#checkPeriod(ETCD_AUTHORITY.baseName, authority);
    if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) {
      throw new ConfigError(
        `[certs] certificate ${baseName} not signed by CA certificate ${ETCD_AUTHORITY.baseName}`,
      );
    }
    this.#output.line(`[certs] Using existing ${baseName} certificate and key on disk`);
  }

  #authorityCertificate(): X509Certificate {
    try {
      return this.#existing.certificate(ETCD_AUTHORITY.baseName);
    } catch (error) {
      if (!(error instanceof PairError)) throw error;
      throw new ConfigError(`couldn't load CA certificate ${ETCD_AUTHORITY.name}: ${error.message}`);
    }
  }

  async #makeAuthority(spec: CertificateSpec): Promise<void> {
    this.#refuseLonelyKey(spec);
    this.#output.line(`[certs] Generating "${spec.baseName}" certificate and key`);
    const { authorityValidityMs, keyKind } = this.#config;
    const issued = await issueAuthority({
      commonName: spec.commonName(this.#config),
      validityMs: authorityValidityMs,
      keyKind,
      nowMs: this.#nowMs,
    });
    this.#made.write(spec.baseName, issued.certificatePem, issued.key);
  }

  async #makeLeaf(spec: CertificateSpec): Promise<void> {
    const authority = this.#authority();
    this.#refuseLonelyKey(spec);
    this.#output.line(`[certs] Generating "${spec.baseName}" certificate and key`);
    const names =
      spec.namesField === null
        ? { dns: [], ips: [] }
        : servedNames(spec.namesField, this.#config, (text) => this.#output.warn(text));
    if (spec.namesField !== null) {
      const [dns, ips] = [names.dns.join(' '), names.ips.join(' ')];
      this.#output.line(
        `[certs] ${spec.baseName} serving cert is signed for DNS names [${dns}] and IPs [${ips}]`,
      );
    }
    const { validityMs, keyKind } = this.#config;
    const issued = await issueLeaf(authority, {
      commonName: spec.commonName(this.#config),
      organizations: organizationsOf(spec, this.#config),
      usages: spec.usages,
      hosts: [...names.dns, ...names.ips],
      validityMs,
      keyKind,
      nowMs: this.#nowMs,
    });
    this.#made.write(spec.baseName, issued.certificatePem, issued.key);
  }

  #authority(): { certificate: X509Certificate; key: ReturnType<PairFiles['key']> } {
    const { baseName } = ETCD_AUTHORITY;
    // Made a moment ago for show, it is not where it would be.
    const files = this.#existing.hasCertificate(baseName) ? this.#existing : this.#made;
    try {
      return { certificate: files.certificate(baseName), key: files.key(baseName) };
    } catch (error) {
      if (!(error instanceof PairError)) throw error;
      throw new ConfigError(`failure loading ${baseName} certificate authority: ${error.message}`);
    }
  }

  /** A key without its certificate is somebody's, and is not written over. */
  #refuseLonelyKey({ baseName }: CertificateSpec): void {
    if (!this.#existing.hasKey(baseName)) return;
    const missing = this.#existing.certificatePath(baseName);
    throw new ConfigError(
      `failure loading ${baseName} certificate: open ${missing}: no such file or directory`,
    );
  }

  #checkPeriod(baseName: string, certificate: X509Certificate): void {
    const problem =
      this.#nowMs > Date.parse(certificate.validTo)
        ? `expired on ${certificate.validTo}`
        : this.#nowMs < Date.parse(certificate.validFrom)
          ? `is not valid before ${certificate.validFrom}`
          : null;
    if (problem !== null)
      this.#output.warn(`WARNING: could not validate bounds for certificate ${baseName}: it ${problem}`);
  }
}
