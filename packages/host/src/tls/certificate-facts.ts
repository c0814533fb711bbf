/** What every connection asks of its certificate, which is mostly that of a connection before: read once, and kept for so many. */
import type { X509Certificate } from 'node:crypto';
import { commonName } from './certificate-names.ts';
import { serialText } from './revocations.ts';

export interface CertificateFacts {
  /** In the form of lists of revocations. */
  readonly serial: string;
  readonly commonName: string;
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** The oldest goes first. */
const MAX_KNOWN = 1000;
/** By all bytes of the certificate: there is nothing secret in it. */
const known = new Map<string, CertificateFacts>();

export function factsOf(certificate: X509Certificate): CertificateFacts {
  const key = certificate.raw.toString('latin1');
  const facts = known.get(key);
  if (facts !== undefined) return facts;
  if (known.size >= MAX_KNOWN) {
    for (const oldest of known.keys()) {
      known.delete(oldest);
      break;
    }
  }
  const read: CertificateFacts = {
    serial: serialText(certificate.serialNumber),
    commonName: commonName(certificate),
    validFromMs: Date.parse(certificate.validFrom),
    validToMs: Date.parse(certificate.validTo),
  };
  known.set(key, read);
  return read;
}
