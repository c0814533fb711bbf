/** Connections of a proxy to members: plain, or over TLS with certificates that are replaced while they are in use. */
import { connect, type Socket } from 'node:net';
import type { Clock } from '@etcd/base';
import type { Connector, Endpoint } from '@etcd/client';
import { connectTls, type TlsSide } from '@etcd/host/tls';
import { type Duplex, socketDuplex } from '@etcd/transport';

export class ProxyConnector implements Connector {
  readonly isSecure: boolean;
  readonly #side: TlsSide | null;
  readonly #clock: Clock;

  /**
   * @param side for endpoints over TLS.
   * @param isSecure whether endpoints without a scheme are.
   */
  constructor(side: TlsSide | null, isSecure: boolean, clock: Clock) {
    this.#side = side;
    this.isSecure = isSecure;
    this.#clock = clock;
  }

  connect(endpoint: Endpoint): Duplex {
    return socketDuplex(this.dial(endpoint, ['h2']));
  }

  /** May be written to before it is there; errors come as its events. */
  dial(endpoint: Endpoint, protocols: readonly string[]): Socket {
    const { host, port, path } = endpoint;
    const where = path === null ? { host, port } : { path };
    if (!(endpoint.isSecure ?? this.isSecure)) return connect({ ...where, noDelay: true });
    if (this.#side === null) throw new Error(`${endpoint.text} needs TLS`);
    return connectTls(this.#side, { host, port, path: path ?? undefined, protocols }, this.#clock);
  }
}
