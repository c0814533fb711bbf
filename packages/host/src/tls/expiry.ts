/** How long certificates are valid: a warning at the start and at every reload, and daily in the last month. */
import type { X509Certificate } from 'node:crypto';
import type { Logger } from '@etcd/base';

export interface NamedCertificate {
  /** The file that it came from. */
  readonly path: string;
  readonly certificate: X509Certificate;
}

const DAY_MS = 86_400_000;
/** From so many days on every look warns. */
const WARNING_DAYS = 30;

/** Seconds until the certificate is not valid any more; negative once it is not. */
export function secondsLeft({ certificate }: NamedCertificate, wallMs: number): number {
  return Math.floor((Date.parse(certificate.validTo) - wallMs) / 1000);
}

/** Says of each certificate, in one line, when it can't be used, or soon can't. */
export function warnOfExpiry(
  certificates: readonly NamedCertificate[],
  wallMs: number,
  logger: Logger,
): void {
  for (const named of certificates) {
    const { path, certificate } = named;
    const fields = {
      path,
      subject: certificate.subject,
      'valid-from': certificate.validFrom,
      'valid-to': certificate.validTo,
    };
    const leftMs = Date.parse(certificate.validTo) - wallMs;
    if (Date.parse(certificate.validFrom) > wallMs) logger.warn('certificate is not valid yet', fields);
    else if (leftMs < 0) logger.warn('certificate has expired', fields);
    else if (leftMs < WARNING_DAYS * DAY_MS) {
      logger.warn('certificate expires soon', { ...fields, 'days-left': Math.floor(leftMs / DAY_MS) });
    }
  }
}
