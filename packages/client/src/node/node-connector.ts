/** Connections over TCP, Unix sockets and TLS. */
import { connect as connectSocket, isIP } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { type Duplex, socketDuplex } from '@etcd/transport';
import type { Endpoint } from '../endpoint.ts';
import type { Connector } from '../options.ts';

export interface TlsOptions extends Pick<SecureContextOptions, 'ca' | 'cert' | 'key' | 'passphrase'> {
  /** The name that the server's certificate must have, if not the endpoint's host. */
  readonly serverName?: string | undefined;
  /** Take any certificate: for tests, since it protects from nobody. */
  readonly insecureSkipVerify?: boolean | undefined;
}

export class NodeConnector implements Connector {
  readonly isSecure: boolean;
  readonly #tls: TlsOptions;

  constructor(tls?: TlsOptions) {
    this.isSecure = tls !== undefined;
    this.#tls = tls ?? {};
  }

  connect(endpoint: Endpoint): Duplex {
    const address =
      endpoint.path === null ? { host: endpoint.host, port: endpoint.port } : { path: endpoint.path };
    if (!(endpoint.isSecure ?? this.isSecure))
      return socketDuplex(connectSocket({ ...address, noDelay: true }));
    const { serverName, insecureSkipVerify, ...context } = this.#tls;
    const name = serverName ?? endpoint.host;
    const options = {
      ...context,
      ...address,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.2' as const,
      rejectUnauthorized: insecureSkipVerify !== true,
    };
    // An address is no name that TLS could ask for; the certificate is checked against the host all the same.
    const named = name === '' || isIP(name) !== 0 ? options : { ...options, servername: name };
    // Loaded when it is needed: most of a short program's life would go into it.
    return socketDuplex(process.getBuiltinModule('node:tls').connect(named));
  }
}
