/** Whether a member has a certificate from an authority that is trusted: found out by a handshake, before clients are sent there. */
import type { Clock, Logger } from '@etcd/base';
import { connectTls, NO_TLS_FILES, TlsSide } from '@etcd/host/tls';
import type { Remote } from './remotes.ts';

export interface EndpointVerifierOptions {
  /** Empty: the system's authorities. */
  readonly trustedCaFile: string;
  /** The domain whose records named the members, which is what their certificates are for; empty: each member's own host. */
  readonly serverName: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const HANDSHAKE_TIMEOUT_MS = 5_000;

export class EndpointVerifier {
  readonly #side: TlsSide;
  readonly #clock: Clock;

  private constructor(side: TlsSide, clock: Clock) {
    this.#side = side;
    this.#clock = clock;
  }

  /** Rejects with {@link TlsError} for a file that can't be used. */
  static async open(options: EndpointVerifierOptions): Promise<EndpointVerifier> {
    const { trustedCaFile, serverName, clock, logger } = options;
    const files = { ...NO_TLS_FILES, trustedCaFile, serverName };
    const protocol = { cipherSuites: [], minVersion: 'TLS1.2', maxVersion: '' } as const;
    return new EndpointVerifier(await TlsSide.open({ files, protocol, clock, logger }), clock);
  }

  /** Rejects when the handshake fails, with the reason. */
  verify({ address: { host, port } }: Remote): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connectTls(this.#side, { host, port }, this.#clock);
      const late = this.#clock.setTimer(HANDSHAKE_TIMEOUT_MS, () => socket.destroy(new Error('i/o timeout')));
      socket.once('secureConnect', () => {
        resolve();
        socket.destroy();
      });
      socket.once('error', reject);
      socket.once('close', () => {
        late.cancel();
        reject(new Error('EOF'));
      });
    });
  }
}
