/** The client's half of TLS: a connection to a server whose certificate is checked as Go checks it. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { Clock } from '@etcd/base';
import { alternativeNames, standsFor } from './certificate-names.ts';
import { certificateProblem } from './peer-certificate.ts';
import type { TlsSide } from './tls-side.ts';

export interface TlsTarget {
  /** A Unix socket; the certificate is then checked for {@link host}. */
  readonly path?: string | undefined;
  /** Name or address. */
  readonly host: string;
  readonly port?: number | undefined;
  readonly protocols?: readonly string[] | undefined;
}

/** May be written to before it is there; errors come as its events. */
export function connectTls(
  side: TlsSide,
  { path, host, port, protocols }: TlsTarget,
  clock: Clock,
): TLSSocket {
  const name = side.files.serverName === '' ? host : side.files.serverName;
  const where = path === undefined ? { host, port } : { path };
  const socket = connect({
    ...where,
    secureContext: side.clientContext,
    ...(isIP(name) === 0 && name !== '' ? { servername: name } : {}),
    ...(protocols === undefined ? {} : { ALPNProtocols: [...protocols] }),
    // Certificates that both sides have made themselves prove nothing; the traffic is encrypted all the same.
    rejectUnauthorized: !side.files.isSelfSigned,
    checkServerIdentity: (_host, { raw }) => {
      const problem = serverProblem(side, new X509Certificate(raw), name, clock);
      return problem === null ? undefined : new Error(problem);
    },
  });
  return socket.setNoDelay(true);
}

function serverProblem(side: TlsSide, leaf: X509Certificate, name: string, clock: Clock): string | null {
  if (!standsFor(leaf, name)) return nameProblem(leaf, name);
  return certificateProblem([leaf], side.rules, clock.wallNow());
}

/** In the words of Go's `x509`, for which people search. */
function nameProblem(leaf: X509Certificate, name: string): string {
  const { dnsNames, ipAddresses } = alternativeNames(leaf);
  const prefix = 'tls: failed to verify certificate: x509: ';
  if (isIP(name) !== 0) {
    if (ipAddresses.length === 0) {
      return `${prefix}cannot validate certificate for ${name} because it doesn't contain any IP SANs`;
    }
    return `${prefix}certificate is valid for ${ipAddresses.join(', ')}, not ${name}`;
  }
  if (dnsNames.length === 0)
    return `${prefix}certificate is not valid for any names, but wanted to match ${name}`;
  return `${prefix}certificate is valid for ${dnsNames.join(', ')}, not ${name}`;
}
