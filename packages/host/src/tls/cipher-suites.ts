/**
 * Cipher suites by their names in Go and in the registry, as etcd's flag takes them, and what OpenSSL calls them. Those of TLS 1.3
 * can't be chosen, in Go or here: all of them are good.
 */
import { TlsError } from './tls-error.ts';

const OPENSSL_NAMES: Readonly<Record<string, string>> = {
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  // The last two under the names that they had first.
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
};

const TLS13_NAMES: ReadonlySet<string> = new Set([
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
]);

/** Known to Go, which calls them insecure: broken ciphers, padding oracles, or no forward secrecy. */
const WEAK_NAMES: ReadonlySet<string> = new Set([
  'TLS_RSA_WITH_RC4_128_SHA',
  'TLS_RSA_WITH_3DES_EDE_CBC_SHA',
  'TLS_RSA_WITH_AES_128_CBC_SHA',
  'TLS_RSA_WITH_AES_256_CBC_SHA',
  'TLS_RSA_WITH_AES_128_CBC_SHA256',
  'TLS_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_RC4_128_SHA',
  'TLS_ECDHE_RSA_WITH_RC4_128_SHA',
  'TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA',
  'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256',
]);

/** What OpenSSL has to be told for these names; '' for none, which leaves its choice. Throws {@link TlsError} for what is unknown or weak. */
export function opensslCiphers(names: readonly string[]): string {
  const ciphers: string[] = [];
  for (const name of names) {
    if (TLS13_NAMES.has(name)) continue;
    if (WEAK_NAMES.has(name))
      throw new TlsError('setting', `weak TLS cipher suite ${JSON.stringify(name)} is refused`);
    const known = OPENSSL_NAMES[name];
    if (known === undefined)
      throw new TlsError('setting', `unexpected TLS cipher suite ${JSON.stringify(name)}`);
    ciphers.push(known);
  }
  return ciphers.join(':');
}

export type TlsVersion = '' | 'TLS1.2' | 'TLS1.3';

export interface TlsProtocol {
  readonly cipherSuites: readonly string[];
  readonly minVersion: TlsVersion;
  /** '': the newest that there is. */
  readonly maxVersion: TlsVersion;
}

/** The first thing that is wrong with the settings, in etcd's words; null if they can be used. */
export function protocolProblem(settings: {
  readonly cipherSuites: readonly string[];
  readonly minVersion: string;
  readonly maxVersion: string;
}): string | null {
  const { cipherSuites, minVersion, maxVersion } = settings;
  for (const version of [minVersion, maxVersion]) {
    if (version === '' || version === 'TLS1.2' || version === 'TLS1.3') continue;
    return `unexpected TLS version ${JSON.stringify(version)} (must be one of: TLS1.2, TLS1.3)`;
  }
  if (maxVersion === 'TLS1.2' && minVersion === 'TLS1.3') {
    return `min version (${minVersion}) is greater than max version (${maxVersion})`;
  }
  if (minVersion === 'TLS1.3' && cipherSuites.length > 0) {
    return 'cipher suites cannot be configured when only TLS1.3 is enabled';
  }
  try {
    opensslCiphers(cipherSuites);
    return null;
  } catch (error) {
    if (error instanceof TlsError) return error.message;
    throw error;
  }
}
