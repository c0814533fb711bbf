/**
 * What is asked of a certificate beyond its signature: that it is not revoked, has an allowed name, and comes from a host that it
 * names. Asked at every connection, also at one that resumes a session, since resuming skips what OpenSSL checks.
 */
import type { X509Certificate } from 'node:crypto';
import { factsOf } from './certificate-facts.ts';
import { alternativeNames, standsFor } from './certificate-names.ts';
import type { Revocations } from './revocations.ts';

export interface CertificateRules {
  readonly allowedCommonNames: readonly string[];
  readonly allowedHostnames: readonly string[];
  readonly revocations: Revocations;
}

/** How names and addresses are looked up; rejections are the reasons of a failed look-up. */
export interface HostLookup {
  /** Names of an address. */
  reverse(address: string): Promise<readonly string[]>;
  /** Addresses of a name. */
  lookup(name: string): Promise<readonly string[]>;
}

/** Why a certificate is not accepted; null if it is. `chain` begins with the leaf. */
export function certificateProblem(
  chain: readonly X509Certificate[],
  { allowedCommonNames, allowedHostnames, revocations }: CertificateRules,
  nowMs: number,
): string | null {
  const leaf = chain[0];
  if (leaf === undefined) return null;
  if (revocations.size > 0) {
    for (const certificate of chain) {
      const { serial } = factsOf(certificate);
      if (revocations.has(serial)) return `transport: certificate serial ${serial} revoked`;
    }
  }
  const { validFromMs, validToMs, commonName } = factsOf(leaf);
  if (nowMs > validToMs || nowMs < validFromMs) {
    return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
  }
  const isAllowed =
    (allowedCommonNames.length === 0 || allowedCommonNames.includes(commonName)) &&
    (allowedHostnames.length === 0 || allowedHostnames.some((host) => standsFor(leaf, host)));
  return isAllowed ? null : 'client certificate authentication failed';
}

/**
 * Whether a certificate may come from `address`: if it names hosts or addresses, only from those. A name is compared with the names of the
 * address first, and then with the addresses of the name. Resolves with the reason if not.
 */
export async function originProblem(
  leaf: X509Certificate,
  address: string,
  hosts: HostLookup,
): Promise<string | null> {
  const { dnsNames, ipAddresses } = alternativeNames(leaf);
  if (dnsNames.length === 0 && ipAddresses.length === 0) return null;
  if (ipAddresses.length > 0 && standsFor(leaf, address)) return null;
  if (dnsNames.length === 0) {
    return `x509: certificate is valid for ${ipAddresses.join(', ')}, not ${address}`;
  }
  let failure = '';
  try {
    const names = (await hosts.reverse(address)).map((name) => name.replace(/\.$/, ''));
    if (names.some((name) => dnsNames.some((pattern) => matches(pattern, name)))) return null;
  } catch (error) {
    failure = messageOf(error);
  }
  for (const name of dnsNames) {
    try {
      if ((await hosts.lookup(name)).includes(address)) return null;
    } catch (error) {
      failure = messageOf(error);
    }
  }
  const names = dnsNames.map((name) => JSON.stringify(name)).join(' ');
  const reason = failure === '' ? '' : ` (${failure})`;
  return `tls: ${JSON.stringify(address)} does not match any of DNSNames [${names}]${reason}`;
}

function matches(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
