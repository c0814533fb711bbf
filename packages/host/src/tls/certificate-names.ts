/** Names of a certificate, and whether it stands for a host: as Go does, by its alternative names alone, never by the common name. */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

export interface CertificateNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** The alternative names that are hosts and addresses. */
export function alternativeNames(certificate: X509Certificate): CertificateNames {
  const dnsNames: string[] = [];
  const ipAddresses: string[] = [];
  // Entries are separated by ", "; one that has odd characters is a JSON string, so that no name can pass for two.
  for (const entry of (certificate.subjectAltName ?? '').match(/[^,\s"][^,"]*(?:"(?:[^"\\]|\\.)*")?/g) ??
    []) {
    const colon = entry.indexOf(':');
    const kind = entry.slice(0, colon);
    const raw = entry.slice(colon + 1);
    const value = raw.startsWith('"') ? String(JSON.parse(raw)) : raw;
    if (kind === 'DNS') dnsNames.push(value);
    else if (kind === 'IP Address') ipAddresses.push(value);
  }
  return { dnsNames, ipAddresses };
}

/** The subject's common name; '' if it has none. */
export function commonName(certificate: X509Certificate): string {
  const legacy = certificate.toLegacyObject().subject as { CN?: string | string[] } | undefined;
  const name = legacy?.CN ?? '';
  // Of several the last one stands, as in Go.
  return typeof name === 'string' ? name : (name.at(-1) ?? '');
}

/** Whether the certificate was made for this host, a name or an address. */
export function standsFor(certificate: X509Certificate, host: string): boolean {
  // Behind a percent sign stands the link over which the address is reached, which no certificate names.
  if (isIP(host) !== 0) return certificate.checkIP(host.replace(/%.*$/, '')) !== undefined;
  return certificate.checkHost(host, { subject: 'never' }) !== undefined;
}
