/**
 * The network between simulated members. Messages really travel as bytes, each for itself: they may be lost, late, overtaken or
 * doubled; links may be cut in one direction or in both. Databases travel chunk by chunk and arrive whole or not at all.
 *
 * One thing that could happen to messages in theory is left out: a proposal that a follower passes on is never doubled. Neither
 * etcd nor TCP would send it twice, and nothing in raft would notice: it would be applied twice.
 */
import { decodeMessage, encodeMessage, type Message, MessageType } from '@etcd/api/raftpb';
import { copyBytes, DiskError, type SeededRandom } from '@etcd/base';
import type {
  PeerHost,
  PeerNetwork,
  PeerRequest,
  PeerResponse,
  PeerResponseCallback,
  SnapshotBody,
} from '@etcd/server';
import type { SimClock } from '@etcd/testing';
import type { SimProcess } from './process.ts';
import type { SimSocket } from './sim-socket.ts';
import type { Trace } from './trace.ts';

/** How a link behaves, for every message on it. */
export interface LinkQuality {
  readonly lossRate: number;
  readonly repeatRate: number;
  /** Ordinary travel time is between half and the whole of this. */
  readonly latencyMs: number;
  /** Share of the messages that take up to {@link delayMs} more. */
  readonly delayRate: number;
  readonly delayMs: number;
}

const GOOD_LINK: LinkQuality = {
  lossRate: 0,
  repeatRate: 0,
  latencyMs: 1,
  delayRate: 0,
  delayMs: 0,
};

/** Bytes of a database that travel in one piece. */
const SNAPSHOT_CHUNK_BYTES = 64 * 1024;
/** How often a member tries to connect to the others: who was removed is told so then. */
const DIAL_MS = 2000;
/** How long a sender takes to notice that nobody listens. */
const NOTICE_MS = 5;
/** A transfer of which nothing more is heard, because the receiver has died, has failed after this. */
const TRANSFER_TIMEOUT_MS = 10_000;

interface Endpoint {
  readonly name: string;
  readonly process: SimProcess;
  readonly network: SimNetwork;
}

/** Who answers where a connection is asked for. */
export interface Answering {
  readonly machine: string;
  readonly process: SimProcess;
  /** null: nobody listens, and the machine says so. */
  readonly accept: ((socket: SimSocket) => void) | null;
}

/** How long a member that lives cannot be connected to, after something has refused it. */
const REFUSAL_MS = 1500;

/** All links of a world. Directions are separate: names are those of the machines. */
export class Fabric {
  readonly clock: SimClock;
  readonly trace: Trace;
  readonly #random: SeededRandom;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #cut = new Set<string>();
  /** World time since which a link has not been cut. */
  readonly #upSinceMs = new Map<string, number>();
  readonly #answers = new Map<string, Answering>();
  /** Machines that say that nobody listens: until then, or until somebody does. */
  readonly #refusedUntilMs = new Map<string, number>();
  /** Who answers in the place of a machine's member. */
  readonly #strangers = new Map<string, (socket: SimSocket) => void>();
  /** Machines whose member has no descriptor for a connection. */
  readonly #exhausted = new Set<string>();
  readonly #sockets = new Set<SimSocket>();
  #isTouched = false;
  quality: LinkQuality = GOOD_LINK;
  deliveredCount = 0;
  /** Databases that have arrived. */
  snapshotCount = 0;

  constructor(clock: SimClock, trace: Trace, random: SeededRandom) {
    this.clock = clock;
    this.trace = trace;
    this.#random = random;
  }

  get random(): SeededRandom {
    return this.#random;
  }

  // --- connections

  /** Whoever connects to `urls` from now on comes to `answering`. */
  accept(urls: readonly string[], answering: Answering): void {
    for (const url of urls) this.#answers.set(url, answering);
    this.#refusedUntilMs.delete(answering.machine);
  }

  /** The process has stopped listening. */
  close(machine: string, process: SimProcess): void {
    for (const [url, answering] of this.#answers) {
      if (answering.process === process) this.#answers.set(url, { machine, process, accept: null });
    }
  }

  /** Who answers at `url`; null: nothing comes back. */
  answerAt(url: string): Answering | null {
    const answering = this.#answers.get(url);
    if (answering === undefined) return null;
    const { machine, process } = answering;
    if (this.#isRefused(machine)) return { machine, process, accept: null };
    if (!process.isAlive) return null;
    const whole = this.#strangers.get(machine) ?? answering.accept;
    // The kernel has made the connection before the process fails to take it.
    const accept = this.#exhausted.has(machine) ? (socket: SimSocket): void => socket.reset() : whole;
    return { machine, process, accept };
  }

  #isRefused(machine: string): boolean {
    return (this.#refusedUntilMs.get(machine) ?? Number.NEGATIVE_INFINITY) > this.clock.now();
  }

  /** Nobody is there who could say that a connection is none of his. */
  isDark(machine: string): boolean {
    if (this.#isRefused(machine)) return false;
    return ![...this.#answers.values()].some(
      (answering) => answering.machine === machine && answering.process.isAlive,
    );
  }

  remember(socket: SimSocket): void {
    this.#sockets.add(socket);
  }

  forget(socket: SimSocket): void {
    this.#sockets.delete(socket);
  }

  /** Those of members that live. */
  get sockets(): SimSocket[] {
    return [...this.#sockets].filter(({ isAlive }) => isAlive);
  }

  /** Somebody else answers in the place of the member on `machine`. */
  impersonate(machine: string, accept: (socket: SimSocket) => void): void {
    this.#strangers.set(machine, accept);
  }

  /** The member on `machine` can make and take no connection; those that there are stay. */
  exhaust(machine: string, isExhausted: boolean): void {
    if (isExhausted) this.#exhausted.add(machine);
    else this.#exhausted.delete(machine);
  }

  isExhausted(machine: string): boolean {
    return this.#exhausted.has(machine);
  }

  unmask(machine: string): void {
    this.#strangers.delete(machine);
  }

  /** Something small, as the news that a connection is gone, travels; or is lost. */
  carry(from: string, to: string, arrive: () => void): void {
    this.clock.setTimer(this.travelMs(), () => {
      if (!this.isCut(from, to) && !this.isLost()) arrive();
    });
  }

  /** A stream has been used: what it does next waits for its turn of the event loop. */
  touch(): void {
    this.#isTouched = true;
  }

  takeTouched(): boolean {
    const isTouched = this.#isTouched;
    this.#isTouched = false;
    return isTouched;
  }

  #resetAll(machine: string): void {
    for (const socket of this.#sockets) {
      if (socket.machine !== machine) continue;
      const { peer } = socket;
      socket.breakOff('ECONNRESET');
      if (peer !== null) this.carry(machine, peer.machine, () => peer.breakOff('ECONNRESET'));
      if (!socket.isAlive) this.#sockets.delete(socket);
    }
  }

  // --- links

  listen(url: string, endpoint: Endpoint): void {
    this.#endpoints.set(url, endpoint);
  }

  /** Who listens at `url`; null if nobody does. */
  at(url: string): Endpoint | null {
    const found = this.#endpoints.get(url);
    return found?.process.isAlive === true && found.network.host !== null ? found : null;
  }

  /** Whoever tries to connect to `urls` is refused: the process that listened has ended, or something before it says so. */
  refuse(name: string, urls: readonly string[]): void {
    const isAlive = [...this.#answers.values()].some(
      ({ machine, process }) => machine === name && process.isAlive,
    );
    this.#refusedUntilMs.set(name, isAlive ? this.clock.now() + REFUSAL_MS : Number.POSITIVE_INFINITY);
    this.#resetAll(name);
    for (const network of new Set([...this.#endpoints.values()].map((endpoint) => endpoint.network))) {
      network.onRefused(name, urls);
    }
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  mend(from: string, to: string): void {
    const link = `${from}>${to}`;
    if (this.#cut.delete(link)) this.#upSinceMs.set(link, this.clock.now());
  }

  heal(): void {
    for (const link of this.#cut) this.#upSinceMs.set(link, this.clock.now());
    this.#cut.clear();
    this.#strangers.clear();
    for (const socket of this.#sockets) socket.slowUntilMs = 0;
    this.quality = GOOD_LINK;
  }

  get hasCuts(): boolean {
    return this.#cut.size > 0;
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  /** World time since which messages could pass in both directions; null if they can't. */
  upSinceMs(a: string, b: string): number | null {
    if (this.isCut(a, b) || this.isCut(b, a)) return null;
    return Math.max(this.#upSinceMs.get(`${a}>${b}`) ?? 0, this.#upSinceMs.get(`${b}>${a}`) ?? 0);
  }

  isLost(): boolean {
    return this.#random.chance(this.quality.lossRate);
  }

  isRepeated(): boolean {
    return this.#random.chance(this.quality.repeatRate);
  }

  travelMs(): number {
    const { latencyMs, delayRate, delayMs } = this.quality;
    const usualMs = (latencyMs * (1000 + this.#random.below(1000))) / 2000;
    return this.#random.chance(delayRate) ? usualMs + this.#random.below(delayMs) : usualMs;
  }
}

export interface SimNetworkOptions {
  readonly fabric: Fabric;
  readonly process: SimProcess;
  /** Of the machine. */
  readonly name: string;
  /** Where this member is reached. */
  readonly urls: readonly string[];
  /** What the member hears for a message that has come: the message, unless a bug is planted there. */
  readonly hear: (message: Message) => readonly Message[];
}

/** One member's way to the others. */
export class SimNetwork implements PeerNetwork {
  readonly #options: SimNetworkOptions;
  readonly #fabric: Fabric;
  readonly #process: SimProcess;
  readonly #name: string;
  readonly #peers = new Map<bigint, readonly string[]>();
  readonly #startMs: number;
  host: PeerHost | null = null;

  constructor(options: SimNetworkOptions) {
    this.#options = options;
    this.#fabric = options.fabric;
    this.#process = options.process;
    this.#name = options.name;
    this.#startMs = options.process.worldMs;
  }

  start(host: PeerHost): void {
    this.host = host;
    for (const url of this.#options.urls) {
      this.#fabric.listen(url, { name: this.#name, process: this.#process, network: this });
    }
    this.#dialLater();
  }

  stop(): void {
    this.host = null;
  }

  addPeer(id: bigint, urls: readonly string[]): void {
    this.#peers.set(id, urls);
  }

  updatePeer(id: bigint, urls: readonly string[]): void {
    this.#peers.set(id, urls);
  }

  removePeer(id: bigint): void {
    this.#peers.delete(id);
  }

  /** Nobody listens at `urls` of machine `name` any more. */
  onRefused(name: string, urls: readonly string[]): void {
    if (this.host === null || !this.#process.isAlive || this.#fabric.isCut(this.#name, name)) return;
    for (const [id, peerUrls] of this.#peers) {
      if (!peerUrls.some((url) => urls.includes(url))) continue;
      this.#process.setTimer(this.#fabric.travelMs(), () => this.host?.onPeerGone(id));
    }
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) this.#send(message);
  }

  sendSnapshot(message: Message, body: SnapshotBody): void {
    new SnapshotTransfer(this.#fabric, this.#process, this.#name, this, message, body).start(
      this.#endpointOf(message.to),
    );
  }

  activeSinceMs(id: bigint): number | null {
    const endpoint = this.#endpointOf(id);
    if (endpoint === null) return null;
    const upMs = this.#fabric.upSinceMs(this.#name, endpoint.name);
    if (upMs === null) return null;
    const sinceMs = Math.max(upMs, this.#startMs, endpoint.network.#startMs);
    return this.#process.now() - (this.#process.worldMs - sinceMs) * this.#process.clockRate;
  }

  request(url: string, request: PeerRequest, timeoutMs: number, done: PeerResponseCallback): void {
    let isDone = false;
    const finish = (response: PeerResponse | null, reason: string): void => {
      if (isDone) return;
      isDone = true;
      timer.cancel();
      done(response, reason);
    };
    const timer = this.#process.setTimer(timeoutMs, () => finish(null, 'timed out'));
    const target = this.#fabric.at(url);
    if (target === null || this.#fabric.isCut(this.#name, target.name)) {
      if (target === null) this.#process.setTimer(NOTICE_MS, () => finish(null, 'connection refused'));
      return;
    }
    const copy = request.body === undefined ? request : { ...request, body: copyBytes(request.body) };
    this.#travel(target, () => {
      const { host } = target.network;
      if (host === null) return;
      host.onRequest(copy, (response) => target.network.#respond(this, response, finish));
    });
  }

  #dialLater(): void {
    this.#process.setTimer(DIAL_MS, () => {
      const { host } = this;
      if (host === null) return;
      for (const id of this.#peers.keys()) {
        const peer = this.#endpointOf(id);
        if (peer === null || this.#fabric.upSinceMs(this.#name, peer.name) === null) continue;
        if (peer.network.host?.isRemoved(host.memberId) === true) host.onRemovedFromCluster();
      }
      this.#dialLater();
    });
  }

  #respond(to: SimNetwork, response: PeerResponse, finish: PeerResponseCallback): void {
    const body = copyBytes(response.body);
    this.#travel({ name: to.#name, process: to.#process, network: to }, () =>
      finish({ ...response, body }, ''),
    );
  }

  /** Runs `arrive` in the process of `target` when what left now has come there, if it comes. */
  #travel(target: Endpoint, arrive: () => void): void {
    const fabric = this.#fabric;
    if (!this.#process.isAlive || fabric.isLost()) return;
    fabric.clock.setTimer(this.#process.aheadMs + fabric.travelMs(), () => {
      if (!fabric.isCut(this.#name, target.name)) target.process.run(arrive);
    });
  }

  #endpointOf(id: bigint): Endpoint | null {
    for (const url of this.#peers.get(id) ?? []) {
      const endpoint = this.#fabric.at(url);
      if (endpoint !== null) return endpoint;
    }
    return null;
  }

  #send(message: Message): void {
    if (!this.#process.isAlive || !this.#peers.has(message.to)) return;
    const fabric = this.#fabric;
    const target = this.#endpointOf(message.to);
    if (target === null || fabric.isCut(this.#name, target.name)) {
      this.#reportUnreachable(message.to);
      return;
    }
    const bytes = encodeMessage(message);
    fabric.trace.mix(message.type, Number(message.to & 0xffffffn), message.term ^ (message.index << 8));
    if (fabric.isLost()) {
      fabric.trace.detail(fabric.clock.now(), `${this.#name} > ${target.name} lost ${describe(message)}`);
      return;
    }
    this.#carry(bytes, target);
    if (message.type !== MessageType.MsgProp && fabric.isRepeated()) this.#carry(bytes, target);
  }

  #carry(bytes: Uint8Array, target: Endpoint): void {
    const fabric = this.#fabric;
    fabric.clock.setTimer(this.#process.aheadMs + fabric.travelMs(), () => {
      if (fabric.isCut(this.#name, target.name)) return;
      target.process.run(() => target.network.#receive(decodeMessage(bytes), this));
    });
  }

  #receive(message: Message, sender: SimNetwork): void {
    const { host } = this;
    if (host === null || sender.host?.clusterId !== host.clusterId || message.to !== host.memberId) return;
    if (host.isRemoved(message.from)) return this.#rejectRemoved(sender);
    const fabric = this.#fabric;
    fabric.deliveredCount++;
    if (fabric.trace.isVerbose) {
      fabric.trace.detail(fabric.clock.now(), `${sender.#name} > ${this.#name} ${describe(message)}`);
    }
    this.learn(message.from, sender);
    for (const heard of this.#options.hear(message)) host.receive(heard);
  }

  /** Whoever is not known yet says where it is reached: a newcomer could answer nobody otherwise. */
  learn(id: bigint, sender: SimNetwork): void {
    if (!this.#peers.has(id)) this.#peers.set(id, sender.#options.urls);
  }

  /** A member that was removed is told so whenever it says something. */
  #rejectRemoved(sender: SimNetwork): void {
    this.#travel({ name: sender.#name, process: sender.#process, network: sender }, () => {
      sender.host?.onRemovedFromCluster();
    });
  }

  #reportUnreachable(id: bigint): void {
    this.#process.setTimer(NOTICE_MS, () => this.host?.reportUnreachable(id));
  }
}

/** Carries one database: read it whole at the sender, then write it whole at the receiver. */
class SnapshotTransfer {
  readonly #fabric: Fabric;
  readonly #process: SimProcess;
  readonly #name: string;
  readonly #sender: SimNetwork;
  readonly #message: Message;
  readonly #body: SnapshotBody;
  readonly #chunks: Uint8Array[] = [];
  #remaining: number;
  #isReported = false;

  constructor(
    fabric: Fabric,
    process: SimProcess,
    name: string,
    sender: SimNetwork,
    message: Message,
    body: SnapshotBody,
  ) {
    this.#fabric = fabric;
    this.#process = process;
    this.#name = name;
    this.#sender = sender;
    this.#message = message;
    this.#body = body;
    this.#remaining = body.sizeBytes;
  }

  start(target: Endpoint | null): void {
    this.#read(target, encodeMessage(this.#message));
  }

  #read(target: Endpoint | null, message: Uint8Array): void {
    if (this.#remaining === 0) {
      this.#body.close();
      return this.#carry(target, message);
    }
    const chunk = new Uint8Array(Math.min(SNAPSHOT_CHUNK_BYTES, this.#remaining));
    this.#body.readThen(chunk, (error, bytesRead) => {
      if (error !== null || bytesRead < chunk.length) {
        this.#body.close();
        return this.#report(false);
      }
      this.#chunks.push(chunk);
      this.#remaining -= bytesRead;
      this.#read(target, message);
    });
  }

  #carry(target: Endpoint | null, message: Uint8Array): void {
    const fabric = this.#fabric;
    if (target === null || fabric.isLost()) return this.#report(false);
    fabric.clock.setTimer(this.#process.aheadMs + fabric.travelMs() * (1 + this.#chunks.length), () => {
      const isGone = fabric.isCut(this.#name, target.name) || !target.process.isAlive;
      if (isGone || target.network.host === null) return this.#report(false);
      target.process.run(() => this.#write(target, decodeMessage(message)));
    });
  }

  #write(target: Endpoint, message: Message): void {
    const { host } = target.network;
    if (host === null) return this.#report(false);
    this.#fabric.clock.setTimer(TRANSFER_TIMEOUT_MS, () => this.#report(false));
    const text = `${this.#name} > ${target.name} snapshot ${message.snapshot?.metadata.index}`;
    this.#fabric.trace.add(this.#fabric.clock.now(), text);
    target.network.learn(message.from, this.#sender);
    const receiver = host.receiveSnapshot(message);
    if (receiver instanceof DiskError) return this.#report(false);
    let next = 0;
    const step = (error: Error | null): void => {
      if (error !== null) return this.#report(false);
      const chunk = this.#chunks[next++];
      if (chunk !== undefined) return receiver.write(chunk, step);
      receiver.finish((failed) => {
        if (failed !== null) return this.#report(false);
        this.#fabric.snapshotCount++;
        target.network.host?.receive(message);
        this.#report(true);
      });
    };
    step(null);
  }

  /** The way back may be cut; then the sender's connection breaks, which means the same as a failure. */
  #report(isDelivered: boolean): void {
    if (this.#isReported) return;
    this.#isReported = true;
    this.#fabric.clock.setTimer(this.#fabric.travelMs(), () =>
      this.#process.run(() => this.#sender.host?.reportSnapshot(this.#message.to, isDelivered)),
    );
  }
}

const TYPE_NAMES = Object.fromEntries(Object.entries(MessageType).map(([name, value]) => [value, name]));

function describe({ type, term, index, logTerm, commit, entries, reject }: Message): string {
  const what = `${TYPE_NAMES[type]} term=${term} index=${index} logTerm=${logTerm} commit=${commit}`;
  return `${what}${entries.length > 0 ? ` entries=${entries.length}` : ''}${reject ? ' reject' : ''}`;
}
