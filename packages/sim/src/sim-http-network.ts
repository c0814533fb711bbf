/**
 * The program's own code for the way to other members, over simulated connections: streams, POSTs, probes and databases as HTTP, in simulated time.
 * Connections are reset, lost at one end alone, read slowly, refused by members that live, or answered by somebody else.
 */
import { createServer } from 'node:http';
import type { Message } from '@etcd/api/raftpb';
import { MessageType } from '@etcd/api/raftpb';
import { DiskError, type EtcdUrl, type Logger } from '@etcd/base';
import {
  HttpPeerNetwork,
  type HttpPeerNetworkOptions,
  type Metrics,
  type PeerHost,
  type PeerNetwork,
  type PeerRequest,
  type PeerResponseCallback,
  type SnapshotBody,
} from '@etcd/server';
import type { SimProcess } from './process.ts';
import type { Fabric } from './sim-network.ts';
import { SimSocket } from './sim-socket.ts';

type Receiver = ReturnType<PeerHost['receiveSnapshot']>;
type Dialer = NonNullable<HttpPeerNetworkOptions['dialer']>;

/** How long a kernel tries to connect before it says so; whoever dials has given up by then. */
const SYN_MS = 1000;
const MAX_SYNS = 10;
const DIAL_TIMEOUT_MS = 2000;
/** What stays in a buffer that is used again. */
const POISON = 0xdb;

export interface SimHttpNetworkOptions {
  readonly fabric: Fabric;
  readonly process: SimProcess;
  /** Of the machine. */
  readonly name: string;
  readonly urls: readonly string[];
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly hear: (message: Message) => readonly Message[];
}

export class SimHttpNetwork implements PeerNetwork {
  readonly #options: SimHttpNetworkOptions;
  readonly #fabric: Fabric;
  readonly #process: SimProcess;
  readonly #network: HttpPeerNetwork;
  readonly #server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 });

  constructor(options: SimHttpNetworkOptions) {
    const { fabric, process, logger, metrics, urls } = options;
    this.#options = options;
    this.#fabric = fabric;
    this.#process = process;
    this.#network = new HttpPeerNetwork({
      clock: process,
      logger,
      metrics: metrics.handles,
      peerUrls: urls.slice(0, 1),
      dialTimeoutMs: DIAL_TIMEOUT_MS,
      dialer: this.#dialer(),
    });
    this.#server.on('request', (request, response) => {
      // Whatever is sent depends on the seed alone.
      response.sendDate = false;
      if (process.isAlive) this.#network.http.onHttp1(request, response);
    });
  }

  start(host: PeerHost): void {
    const { name, urls } = this.#options;
    this.#network.start(this.#guarded(host));
    this.#fabric.accept(urls, {
      machine: name,
      process: this.#process,
      accept: (socket) => this.#process.run(() => this.#server.emit('connection', socket.asSocket())),
    });
  }

  stop(): void {
    this.#network.stop();
    this.#fabric.close(this.#options.name, this.#process);
  }

  addPeer(id: bigint, urls: readonly string[]): void {
    this.#network.addPeer(id, urls);
  }

  updatePeer(id: bigint, urls: readonly string[]): void {
    this.#network.updatePeer(id, urls);
  }

  removePeer(id: bigint): void {
    this.#network.removePeer(id);
  }

  send(messages: readonly Message[]): void {
    this.#network.send(messages);
  }

  sendSnapshot(message: Message, body: SnapshotBody): void {
    this.#network.sendSnapshot(message, body);
  }

  activeSinceMs(id: bigint): number | null {
    return this.#network.activeSinceMs(id);
  }

  request(url: string, request: PeerRequest, timeoutMs: number, done: PeerResponseCallback): void {
    this.#network.request(url, request, timeoutMs, (response, reason) =>
      this.#process.run(() => done(response, reason)),
    );
  }

  /** What a stream calls in a turn of its own belongs to the process: it may fail there, or not run any more. */
  #guarded(host: PeerHost): PeerHost {
    const process = this.#process;
    return {
      memberId: host.memberId,
      clusterId: host.clusterId,
      receive: (message) => this.#receive(host, message),
      receiveSnapshot: (message) => this.#receiveSnapshot(host, message),
      isRemoved: (id) => host.isRemoved(id),
      reportUnreachable: (id) => process.run(() => host.reportUnreachable(id)),
      reportSnapshot: (id, isDelivered) => process.run(() => host.reportSnapshot(id, isDelivered)),
      onPeerGone: (id) => process.run(() => host.onPeerGone(id)),
      onRemovedFromCluster: () => process.run(() => host.onRemovedFromCluster()),
      onRequest: (request, respond) => process.run(() => host.onRequest(request, respond)),
    };
  }

  #receiveSnapshot(host: PeerHost, message: Message): Receiver {
    const receiver = host.receiveSnapshot(message);
    if (receiver instanceof DiskError) return receiver;
    // A stream may go on for a moment when its process is dead already, and so is the disk.
    const inProcess: Partial<typeof receiver> = {
      write: (chunk, done) => this.#process.run(() => receiver.write(chunk, done)),
      finish: (done) => this.#process.run(() => receiver.finish(done)),
      abort: () => this.#process.run(() => receiver.abort()),
    };
    return new Proxy(receiver, {
      get: (of, name) => inProcess[name as keyof typeof receiver] ?? of[name as keyof typeof receiver],
    });
  }

  #receive(host: PeerHost, message: Message): void {
    const fabric = this.#fabric;
    fabric.deliveredCount++;
    if (message.type === MessageType.MsgSnap) fabric.snapshotCount++;
    fabric.trace.mix(message.type, Number(message.to & 0xffffffn), message.term ^ (message.index << 8));
    for (const heard of this.#options.hear(message)) this.#process.run(() => host.receive(heard));
  }

  #dialer(): Dialer {
    return {
      connect: (url) => this.#dial(url).asSocket(),
      connectStream: (url, onBytes) => {
        const socket = this.#dial(url);
        socket.on('data', (chunk: Uint8Array) => {
          // As a buffer that is used again for the next bytes.
          const buffer = Uint8Array.from(chunk);
          onBytes(buffer, buffer.length);
          buffer.fill(POISON);
        });
        return socket.asSocket();
      },
    };
  }

  #dial(url: EtcdUrl): SimSocket {
    const { name } = this.#options;
    const fabric = this.#fabric;
    const socket = new SimSocket({ fabric, process: this.#process, machine: name }, true);
    fabric.remember(socket);
    if (fabric.isExhausted(name)) fabric.clock.setTimer(0, () => socket.breakOff('EMFILE'));
    else this.#knock(socket, url.text, MAX_SYNS);
    return socket;
  }

  /** Asks whoever listens for a connection, again and again while nothing comes back. */
  #knock(socket: SimSocket, url: string, left: number): void {
    const { name } = this.#options;
    const fabric = this.#fabric;
    const again = (): void => {
      if (left > 0) fabric.clock.setTimer(SYN_MS, () => this.#knock(socket, url, left - 1));
    };
    if (!socket.isAlive) return;
    const answer = fabric.answerAt(url);
    if (answer === null || fabric.isCut(name, answer.machine) || fabric.isCut(answer.machine, name)) {
      return again();
    }
    fabric.clock.setTimer(this.#process.aheadMs + 2 * fabric.travelMs(), () => {
      if (!socket.isAlive) return;
      if (answer.accept === null) return socket.breakOff('ECONNREFUSED');
      if (!answer.process.isAlive) return again();
      const theirs = new SimSocket({ fabric, process: answer.process, machine: answer.machine }, false);
      fabric.remember(theirs);
      socket.join(theirs);
      theirs.join(socket);
      fabric.touch();
      answer.accept(theirs);
      this.#process.run(() => socket.established());
    });
  }
}
