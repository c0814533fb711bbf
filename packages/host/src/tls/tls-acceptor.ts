/**
 * The server's half of TLS on connections that a listener has accepted: the handshake within its deadline, then what else is asked
 * of a certificate. What is refused is logged with where it came from, once and as often as {@link RefusalLog} has it, and ends alone.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Clock, LogFields, Logger } from '@etcd/base';
import { nameClient } from '@etcd/transport';
import { RefusalLog } from '../logging/index.ts';
import { factsOf } from './certificate-facts.ts';
import { alternativeNames } from './certificate-names.ts';
import { certificateProblem, type HostLookup, originProblem } from './peer-certificate.ts';
import type { TlsSide } from './tls-side.ts';

export interface TlsAcceptorOptions {
  readonly side: TlsSide;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Protocols that are offered, the best first: `h2`, `http/1.1`. */
  readonly protocols: readonly string[];
  /** The line about a connection that is refused. */
  readonly rejectedMessage: string;
  readonly hosts: HostLookup;
  /** Not paused; nothing has been read from it yet. */
  readonly onSecure: (socket: TLSSocket) => void;
  readonly onRejected: () => void;
  /** Within which a handshake has to be done; etcd's ten seconds unless told. */
  readonly handshakeTimeoutMs?: number;
}

/** Of the names of a certificate that nobody vouches for. */
const MAX_NAMES_SHOWN = 20;
/** As long as etcd's. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

export class TlsAcceptor {
  readonly #options: TlsAcceptorOptions;
  readonly #server: Server;
  readonly #refusals: RefusalLog;

  constructor(options: TlsAcceptorOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options.clock, options.logger);
    const { side, protocols, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS } = options;
    this.#server = createServer({
      ...side.serverOptions,
      requestCert: side.requiresClientCertificate,
      // Refused in #check, where it is still known who is there: Node would only hang up.
      rejectUnauthorized: false,
      ALPNProtocols: [...protocols],
      handshakeTimeout: handshakeTimeoutMs,
    } satisfies TlsOptions);
    side.onReload(() => this.#server.setSecureContext(side.serverOptions!));
    this.#server.on('tlsClientError', (error, socket) => this.#reject(socket, handshakeErrorText(error)));
    this.#server.on('secureConnection', (socket) => this.#check(socket));
  }

  accept(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  #check(socket: TLSSocket): void {
    const { side, clock, hosts, onSecure } = this.#options;
    const { requiresClientCertificate, rules } = side;
    const chain = requiresClientCertificate ? chainOf(socket, rules.revocations.size > 0) : [];
    const problem =
      this.#signatureProblem(socket, chain) ?? certificateProblem(chain, rules, clock.wallNow());
    if (problem !== null) return this.#reject(socket, problem);
    nameClient(socket, chain.length === 0 ? '' : factsOf(chain[0]!).commonName);
    if (!side.files.checksClientSan || chain.length === 0) return onSecure(socket);
    // Until the names have been looked up there is nobody to hear of an error.
    const onError = (): void => {};
    socket.on('error', onError);
    const judge = (reason: string | null): void => {
      socket.off('error', onError);
      if (socket.destroyed) return;
      if (reason === null) onSecure(socket);
      else this.#reject(socket, reason);
    };
    originProblem(chain[0]!, plainAddress(socket), hosts).then(judge, (error: unknown) =>
      judge(String(error)),
    );
  }

  #signatureProblem(socket: TLSSocket, chain: readonly X509Certificate[]): string | null {
    if (!this.#options.side.requiresClientCertificate) return null;
    if (chain.length === 0) return "tls: client didn't provide a certificate";
    return socket.authorized ? null : handshakeErrorText(socket.authorizationError);
  }

  #reject(socket: TLSSocket, error: string): void {
    const { logger, rejectedMessage, onRejected } = this.#options;
    const address = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`;
    const fields = (): LogFields => ({
      'remote-addr': address,
      'server-name': typeof socket.servername === 'string' ? socket.servername : '',
      ...shownNames(socket.getPeerX509Certificate?.()),
      error,
    });
    // Whoever only looks whether the port is open has done nothing wrong.
    if (error === 'EOF') logger.debug(rejectedMessage, fields());
    else this.#refusals.warn(rejectedMessage, address, fields);
    onRejected();
    socket.destroy();
  }
}

function shownNames(leaf: X509Certificate | undefined): LogFields {
  if (leaf === undefined) return {};
  const { ipAddresses, dnsNames } = alternativeNames(leaf);
  return {
    'ip-addresses': ipAddresses.slice(0, MAX_NAMES_SHOWN),
    'dns-names': dnsNames.slice(0, MAX_NAMES_SHOWN),
  };
}

/** The verified chain, the leaf first; the leaf alone where nobody asks for the others. */
function chainOf(socket: TLSSocket, isWhole: boolean): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined) {
    chain.push(next);
    const issuer: X509Certificate | undefined = isWhole ? next.issuerCertificate : undefined;
    next = issuer === undefined || issuer.raw.equals(next.raw) ? undefined : issuer;
  }
  return chain;
}

/** An IPv4 address that came in over an IPv6 socket is one of IPv4 all the same. */
function plainAddress({ remoteAddress = '' }: TLSSocket): string {
  return remoteAddress.replace(/^::ffff:(?=\d+\.)/i, '');
}

const HANDSHAKE_ERRORS: Readonly<Record<string, string>> = {
  ERR_SSL_HTTP_REQUEST: 'tls: first record does not look like a TLS handshake',
  ERR_SSL_WRONG_VERSION_NUMBER: 'tls: first record does not look like a TLS handshake',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'tls: client offered only unsupported versions',
  ERR_SSL_VERSION_TOO_LOW: 'tls: client offered only unsupported versions',
  ERR_SSL_NO_SHARED_CIPHER: 'tls: no cipher suite supported by both client and server',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'i/o timeout',
  ECONNRESET: 'EOF',
  UNABLE_TO_GET_ISSUER_CERT:
    'tls: failed to verify certificate: x509: certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'tls: failed to verify certificate: x509: certificate signed by unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'tls: failed to verify certificate: x509: certificate signed by unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN:
    'tls: failed to verify certificate: x509: certificate signed by unknown authority',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'tls: failed to verify certificate: x509: certificate signed by unknown authority',
  CERT_HAS_EXPIRED: 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
  CERT_NOT_YET_VALID: 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
  INVALID_PURPOSE: 'tls: failed to verify certificate: x509: certificate specifies an incompatible key usage',
};

/** What went wrong in a handshake, in the words of Go's `crypto/tls` where it has some. */
function handshakeErrorText(error: Error | string): string {
  // A certificate that is not accepted comes as a code alone.
  if (typeof error === 'string') return HANDSHAKE_ERRORS[error] ?? error;
  const code = 'code' in error ? String(error.code) : '';
  return HANDSHAKE_ERRORS[code] ?? error.message;
}
