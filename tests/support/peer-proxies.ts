/**
 * A network between the members of a cluster that can be cut and slowed down: a proxy on loopback before each member's peer
 * port, which all others are told to use. Who dials is known from the header that every peer request carries, so each direction
 * between two members can be cut by itself. What is sent over a cut link is held, as a TCP connection would, and arrives when
 * the link is whole again. Bytes can be damaged on their way.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Cluster, Place } from './cluster.ts';
import { freePort } from './temporary.ts';

interface Pipe {
  /** The member before whose port it is. */
  readonly position: number;
  /** Where the dialing member's id, in hex, is written when a request has told it. Before, nothing of raft is sent. */
  readonly dialer: { id: string | null };
  /** Whether it carries what the dialing member sends, and not what it gets. */
  readonly isRequest: boolean;
  readonly source: Socket;
  readonly sink: Socket;
}

const HOST = '127.0.0.1';
const FROM_HEADER = /x-server-from: ([0-9a-f]+)/i;

export class PeerProxies {
  delayMs = 0;
  /** Changes what is on its way, in place; null: nothing is changed. */
  damage: ((chunk: Buffer) => void) | null = null;
  readonly #scheme: 'http' | 'https';
  readonly #servers: Server[] = [];
  readonly #pipes = new Set<Pipe>();
  /** `from>to` of the directions that are cut. */
  readonly #cuts = new Set<string>();
  /** Member id in hex to position, as soon as the cluster is there. */
  readonly #positions = new Map<string, number>();

  /** @param scheme over TLS nobody can be told apart: no single direction can be cut. */
  constructor(scheme: 'http' | 'https' = 'http') {
    this.#scheme = scheme;
  }

  /** For {@link ClusterOptions.place}. */
  readonly place = async (position: number, peerPort: number): Promise<Place> => {
    const port = await freePort();
    const server = createServer({ allowHalfOpen: true }, (dialer) =>
      this.#accept(dialer, position, peerPort),
    );
    await new Promise<void>((resolve) => server.listen(port, HOST, resolve));
    this.#servers.push(server);
    return { advertisedPeerUrl: `${this.#scheme}://${HOST}:${port}`, peerScheme: this.#scheme };
  };

  /** Connections break, and what is on its way is lost. */
  reset(): void {
    for (const { source, sink } of [...this.#pipes]) {
      source.resetAndDestroy();
      sink.resetAndDestroy();
    }
  }

  /** Learns which member has which id; cuts have an effect from then on. */
  async learn(cluster: Cluster): Promise<void> {
    for (const [position, member] of cluster.members.entries())
      this.#positions.set((await member.id()).toString(16), position);
    this.#update();
  }

  /** Cuts one direction. */
  cut(from: number, to: number): void {
    this.#cuts.add(`${from}>${to}`);
    this.#update();
  }

  /** Cuts all links between members of different groups. */
  split(...groups: readonly (readonly number[])[]): void {
    for (const [i, group] of groups.entries()) {
      for (const other of groups.toSpliced(i, 1).flat()) for (const member of group) this.cut(member, other);
    }
  }

  heal(): void {
    this.#cuts.clear();
    this.#update();
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const { source, sink } of this.#pipes) {
      source.destroy();
      sink.destroy();
    }
  }

  #accept(dialer: Socket, position: number, peerPort: number): void {
    const listener = connect({ port: peerPort, host: HOST, allowHalfOpen: true });
    const shared = { position, dialer: { id: null as string | null } };
    const request: Pipe = { ...shared, isRequest: true, source: dialer, sink: listener };
    const answer: Pipe = { ...shared, isRequest: false, source: listener, sink: dialer };
    dialer.setNoDelay(true);
    listener.setNoDelay(true);
    this.#carry(request, (chunk) => {
      shared.dialer.id ??= FROM_HEADER.exec(chunk.toString('latin1'))?.[1] ?? null;
    });
    this.#carry(answer, () => {});
  }

  #carry(pipe: Pipe, look: (chunk: Buffer) => void): void {
    const { source, sink } = pipe;
    this.#pipes.add(pipe);
    const later = (action: () => void): void => {
      if (this.delayMs === 0) action();
      else setTimeout(action, this.delayMs);
    };
    const end = (): void => {
      if (!this.#pipes.delete(pipe)) return;
      later(() => sink.destroy());
    };
    source.on('data', (chunk: Buffer) => {
      look(chunk);
      this.damage?.(chunk);
      // The chunk that tells who is at the other end may be the first that must not get there.
      if (this.#isCut(pipe)) {
        source.pause();
        source.unshift(chunk);
      } else later(() => sink.write(chunk));
    });
    source.on('end', () => later(() => sink.end()));
    source.on('error', end);
    source.on('close', end);
  }

  #isCut({ position, dialer, isRequest }: Pipe): boolean {
    const other = dialer.id === null ? undefined : this.#positions.get(dialer.id);
    if (other === undefined) return false;
    return this.#cuts.has(isRequest ? `${other}>${position}` : `${position}>${other}`);
  }

  #update(): void {
    for (const pipe of this.#pipes) {
      if (this.#isCut(pipe)) pipe.source.pause();
      else pipe.source.resume();
    }
  }
}
