/** What flags say about TLS: the files of both sides, and what is settled before any of them is read. */
import { type EtcdUrl, isSecureUrl } from '@etcd/base';
import {
  hasCertificate,
  NO_TLS_FILES,
  protocolProblem,
  type TlsFiles,
  type TlsProtocol,
  type TlsVersion,
} from '@etcd/host/tls';
import { ConfigError } from './config-error.ts';
import type { FlagSet } from './flag-set.ts';

export interface TlsConfig {
  readonly client: TlsFiles;
  readonly peer: TlsFiles;
  /** The member makes certificates for its client listeners. Never where there are files. */
  readonly clientAuto: boolean;
  readonly peerAuto: boolean;
  readonly selfSignedValidityYears: number;
  readonly protocol: TlsProtocol;
}

/** Where a member listens. */
export interface ListenUrls {
  readonly peer: readonly EtcdUrl[];
  readonly client: readonly EtcdUrl[];
  readonly clientHttp: readonly EtcdUrl[];
  readonly metrics: readonly EtcdUrl[];
}

/** Throws {@link ConfigError}, in etcd's words; `warn` gets what is worth a line. */
export function buildTls(
  flags: FlagSet,
  urls: ListenUrls,
  warn: (message: string, fields?: Readonly<Record<string, unknown>>) => void,
): TlsConfig {
  const protocol = buildProtocol(flags);
  const client: TlsFiles = {
    ...files(flags, ''),
    crlFile: flags.string('client-crl-file'),
    allowedCommonNames: flags.strings('client-transport-security.allowed-cn'),
    allowedHostnames: flags.strings('client-cert-allowed-hostname'),
  };
  const peer: TlsFiles = {
    ...files(flags, 'peer-'),
    crlFile: flags.string('peer-crl-file'),
    allowedCommonNames: flags.strings('peer-cert-allowed-cn'),
    allowedHostnames: flags.strings('peer-cert-allowed-hostname'),
    checksClientSan: !flags.bool('peer-skip-client-san-verification'),
  };
  const wantsClientAuto = flags.bool('auto-tls');
  const wantsPeerAuto = flags.bool('peer-auto-tls');
  if (wantsClientAuto && hasCertificate(client)) warn('ignoring client auto TLS since certs given');
  if (wantsPeerAuto && hasCertificate(peer)) warn('ignoring peer auto TLS since certs given');
  const tls: TlsConfig = {
    client,
    peer,
    clientAuto: wantsClientAuto && !hasCertificate(client),
    peerAuto: wantsPeerAuto && !hasCertificate(peer),
    selfSignedValidityYears: flags.number('self-signed-cert-validity'),
    protocol,
  };
  checkListeners(tls, urls);
  warnOfPlainListeners(tls, urls, warn);
  return tls;
}

function files(flags: FlagSet, prefix: '' | 'peer-'): TlsFiles {
  return {
    ...NO_TLS_FILES,
    certFile: flags.string(`${prefix}cert-file`),
    keyFile: flags.string(`${prefix}key-file`),
    clientCertFile: flags.string(`${prefix}client-cert-file`),
    clientKeyFile: flags.string(`${prefix}client-key-file`),
    trustedCaFile: flags.string(`${prefix}trusted-ca-file`),
    clientCertAuth: flags.bool(`${prefix}client-cert-auth`),
  };
}

function buildProtocol(flags: FlagSet): TlsProtocol {
  const settings = {
    cipherSuites: flags.strings('cipher-suites'),
    minVersion: flags.string('tls-min-version'),
    maxVersion: flags.string('tls-max-version'),
  };
  const problem = protocolProblem(settings);
  if (problem !== null) throw new ConfigError('invalid', problem);
  return {
    cipherSuites: settings.cipherSuites,
    minVersion: settings.minVersion as TlsVersion,
    maxVersion: settings.maxVersion as TlsVersion,
  };
}

/** A listener that is to be secure needs a certificate. */
function checkListeners(tls: TlsConfig, urls: ListenUrls): void {
  if (!tls.peerAuto && !hasCertificate(tls.peer)) {
    const url = urls.peer.find(isSecureUrl);
    if (url !== undefined)
      refuse(`cannot listen on TLS for ${url.host}: KeyFile and CertFile are not presented`);
  }
  if (tls.clientAuto || hasCertificate(tls.client)) return;
  const url = [...urls.client, ...urls.clientHttp].find(isSecureUrl);
  if (url !== undefined) {
    const names = '(--cert-file, --key-file)';
    refuse(`TLS key/cert ${names} must be provided for client url ${url.text} with HTTPS scheme`);
  }
  if (urls.metrics.some(isSecureUrl)) {
    refuse('client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url');
  }
}

/** Files for a listener that is not secure: somebody believes that it is. */
function warnOfPlainListeners(
  { client, peer }: TlsConfig,
  urls: ListenUrls,
  warn: (message: string, fields: Readonly<Record<string, unknown>>) => void,
): void {
  const sides = [
    { listeners: urls.peer, files: peer, field: 'peer-url', flag: '--peer-client-cert-auth' },
    {
      listeners: [...urls.client, ...urls.clientHttp],
      files: client,
      field: 'client-url',
      flag: '--client-cert-auth',
    },
  ];
  for (const { listeners, files: given, field, flag } of sides) {
    for (const url of listeners) {
      if (url.scheme !== 'http' && url.scheme !== 'unix') continue;
      const scheme = url.scheme.toUpperCase();
      if (hasCertificate(given)) {
        warn(`scheme is ${scheme} while key and cert files are present; ignoring key and cert files`, {
          [field]: url.text,
        });
      }
      if (given.clientCertAuth) {
        warn(`scheme is ${scheme} while ${flag} is enabled; ignoring client cert auth for this URL`, {
          [field]: url.text,
        });
      }
    }
  }
}

function refuse(message: string): never {
  throw new ConfigError('invalid', message);
}
