/**
 * Passes TCP connections on to members of the cluster, and their bytes in both directions. A side that ends its sending half does so on
 * the other side too; a slow reader slows the writer, and nothing piles up in between.
 *
 * A member that can't be reached is left alone until the next round of tries; each connection goes on to the next one meanwhile. A
 * connection that comes from the gateway itself is ended: whatever address it went to leads back here, and would go round until
 * the descriptors are used up.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { Clock, Logger, Random, Timer } from '@etcd/base';
import { formatGoDuration } from '@etcd/host/args';
import { systemErrorText } from '@etcd/host/process';
import { type Remote, type RemoteAddress, Remotes } from './remotes.ts';

export interface TcpGatewayOptions {
  readonly addresses: readonly RemoteAddress[];
  readonly retryDelayMs: number;
  /** Connections of clients at once; further ones are refused. null: no limit. */
  readonly connectionLimit: number | null;
  /** Rejects when the certificate of a member that has to be verified is not good. */
  readonly verify: (remote: Remote) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
}

/** A member that does not answer, not even with a refusal, counts as lost after this. */
const DIAL_TIMEOUT_MS = 5_000;
const BACKLOG = 4096;
/** After so long without a byte a side is probed: one that has vanished would otherwise keep its connection for ever. */
const PROBE_AFTER_MS = 120_000;
const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: PROBE_AFTER_MS,
} as const;

export class TcpGateway {
  readonly remotes: Remotes;
  readonly #options: TcpGatewayOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Our ends of connections to members, and those of the clients: what is in both goes round in a circle. */
  readonly #outgoing = new Map<string, Remote>();
  readonly #incoming = new Map<string, Socket>();
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(options: TcpGatewayOptions) {
    this.#options = options;
    this.remotes = new Remotes(options.addresses, options.random);
    this.#server = createServer({ ...SOCKET_OPTIONS, pauseOnConnect: true }, (socket) =>
      this.#accept(socket),
    );
    if (options.connectionLimit !== null) this.#server.maxConnections = options.connectionLimit;
  }

  /** Connections of clients that are open. */
  get connectionCount(): number {
    return this.#incoming.size;
  }

  get port(): number {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? 0 : address.port;
  }

  /** Rejects when the address can't be had. */
  async listen(host: string, port: number): Promise<void> {
    await Promise.all(this.remotes.all.map((remote) => this.#verifyFirst(remote)));
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) =>
          this.#options.logger.error('listener failed', { error: error.message }),
        );
        resolve();
      });
    });
    this.#options.logger.info('ready to proxy client requests', {
      endpoints: this.remotes.all.map(({ text }) => text),
    });
    this.#scheduleRound();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(client: Socket): void {
    const from = addressOf(client.remoteAddress, client.remotePort);
    this.#adopt(client);
    this.#incoming.set(from, client);
    client.on('close', () => this.#incoming.delete(from));
    client.on('error', () => client.destroy());
    const looping = this.#outgoing.get(from);
    if (looping === undefined) this.#connect(client);
    else this.#refuseCircle(looping, client);
  }

  /** Tries one member after the other until one answers or none is left. */
  #connect(client: Socket): void {
    const remote = this.remotes.pick();
    if (remote === null || this.#isClosed) {
      client.destroy();
      return;
    }
    const { host, port } = remote.address;
    const server = dial({ host, port, ...SOCKET_OPTIONS });
    this.#adopt(server);
    const late = this.#options.clock.setTimer(DIAL_TIMEOUT_MS, () =>
      server.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' })),
    );
    const giveUp = (): void => {
      if (!hasEndedWell(client)) server.destroy();
    };
    client.on('close', giveUp);
    server.once('error', (error) => {
      client.off('close', giveUp);
      this.#deactivate(remote, error);
      if (!client.destroyed) this.#connect(client);
    });
    server.once('close', () => late.cancel());
    server.once('connect', () => {
      late.cancel();
      server.removeAllListeners('error');
      server.on('error', () => server.destroy());
      this.#join(client, server, remote);
    });
  }

  #join(client: Socket, server: Socket, remote: Remote): void {
    const ours = addressOf(server.localAddress, server.localPort);
    const looping = this.#incoming.get(ours);
    if (looping !== undefined) {
      server.destroy();
      this.#refuseCircle(remote, looping);
      client.destroy();
      return;
    }
    this.#outgoing.set(ours, remote);
    server.on('close', () => {
      this.#outgoing.delete(ours);
      if (!hasEndedWell(server)) client.destroy();
    });
    if (client.destroyed) {
      server.destroy();
      return;
    }
    client.pipe(server);
    server.pipe(client);
  }

  #refuseCircle(remote: Remote, client: Socket): void {
    client.destroy();
    this.#deactivate(remote, new Error('the endpoint leads back to this gateway'));
  }

  #deactivate(remote: Remote, error: Error): void {
    if (!remote.isActive || this.#isClosed) return;
    remote.isActive = false;
    this.#options.logger.warn('deactivated endpoint', this.#fields(remote, error));
  }

  async #verifyFirst(remote: Remote): Promise<void> {
    if (!remote.address.isVerified) return;
    try {
      await this.#options.verify(remote);
    } catch (error) {
      this.#deactivate(remote, error as Error);
    }
  }

  #scheduleRound(): void {
    this.#timer = this.#options.clock.setTimer(this.#options.retryDelayMs, () => {
      const inactive = this.remotes.all.filter(({ isActive }) => !isActive);
      void Promise.all(inactive.map((remote) => this.#tryAgain(remote))).then(() => {
        if (!this.#isClosed) this.#scheduleRound();
      });
    });
  }

  async #tryAgain(remote: Remote): Promise<void> {
    const { logger, verify } = this.#options;
    try {
      if (remote.address.isVerified) await verify(remote);
      else await this.#probe(remote);
      remote.isActive = true;
      logger.info('activated', { address: remote.text });
    } catch (error) {
      if (this.#isClosed) return;
      const message = 'failed to activate endpoint (stay inactive for another interval)';
      logger.warn(message, this.#fields(remote, error as Error));
    }
  }

  #probe(remote: Remote): Promise<void> {
    const { host, port } = remote.address;
    return new Promise((resolve, reject) => {
      const socket = dial({ host, port });
      this.#adopt(socket);
      const late = this.#options.clock.setTimer(DIAL_TIMEOUT_MS, () =>
        socket.destroy(new Error('i/o timeout')),
      );
      socket.once('connect', () => {
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
      socket.once('close', () => {
        late.cancel();
        reject(new Error('closed'));
      });
    });
  }

  #adopt(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #fields(remote: Remote, error: Error): Record<string, unknown> {
    return {
      address: remote.text,
      interval: formatGoDuration(this.#options.retryDelayMs),
      error: dialErrorText(remote, error),
    };
  }
}

/** Both halves are over in order: what is still on its way to the other side may arrive there. */
function hasEndedWell(socket: Socket): boolean {
  return socket.readableEnded && socket.writableFinished && socket.errored === null;
}

/** In the words of Go's `net`. */
function dialErrorText(remote: Remote, error: unknown): string {
  const cause: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(cause instanceof Error) || !('syscall' in cause)) return (cause as Error).message;
  return `dial tcp ${remote.text}: ${String(cause.syscall)}: ${systemErrorText(cause)}`;
}

function addressOf(host = '', port = 0): string {
  return `${host.replace(/^::ffff:(?=\d+\.)/i, '')} ${port}`;
}
