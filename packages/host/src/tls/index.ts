/**
 * TLS for the listeners and the outgoing connections of a program. A {@link TlsSide} is what one side of it (its clients', its peers') has in files:
 * open it at the start, which refuses what can't be used with a {@link TlsError} of one line; `start()` has it look at the files, and
 * `reload()` reads them at once (on SIGHUP). Certificates, authorities and revocations take effect together, for new connections.
 *
 * A {@link TlsAcceptor} makes handshakes on accepted sockets and hands on those whose certificate is accepted; {@link connectTls} opens
 * connections. Both check what OpenSSL does not: revocation, allowed names, and where a certificate may come from.
 *
 * Texts of errors are those of Go's `crypto/tls`, `crypto/x509` and etcd, since people and tools look for them.
 */
export { protocolProblem, type TlsProtocol, type TlsVersion } from './cipher-suites.ts';
export { type NamedCertificate, secondsLeft } from './expiry.ts';
export { loadAuthorities, loadKeyPair } from './key-pair.ts';
export type { HostLookup } from './peer-certificate.ts';
export { selfSignedFiles } from './self-signed.ts';
export { TlsAcceptor, type TlsAcceptorOptions } from './tls-acceptor.ts';
export { connectTls, type TlsTarget } from './tls-connect.ts';
export { TlsError } from './tls-error.ts';
export { hasCertificate, NO_TLS_FILES, type TlsFiles } from './tls-files.ts';
export { TlsSide } from './tls-side.ts';
