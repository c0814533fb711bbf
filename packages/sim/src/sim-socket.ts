/**
 * One end of a simulated TCP connection between members, as a stream that `node:http` takes for a socket. Bytes arrive in order, in pieces of any size,
 * and wait where a link is cut, as a kernel sends again what is not confirmed; there is only so much room for what the other end does not read.
 * Ends may be lost one at a time: the other one learns of it when it sends something, or never.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { copyBytes, RingBuffer } from '@etcd/base';
import type { SimProcess } from './process.ts';
import type { Fabric } from './sim-network.ts';

/** How soon a kernel sends again what was not confirmed. */
const RETRANSMISSION_MS = 200;
/** What is on its way or unread before a sender has to wait. */
const WINDOW_BYTES = 64 * 1024;
const MAX_PIECE_BYTES = 16 * 1024;

export interface SocketOptions {
  readonly fabric: Fabric;
  readonly process: SimProcess;
  /** Of the machine that it is on. */
  readonly machine: string;
}

type WriteDone = (error?: Error | null) => void;

/** What travels: bytes, or the end of them. */
type Piece = Uint8Array | null;

export class SimSocket extends Duplex {
  readonly machine: string;
  readonly remoteAddress = '10.0.0.0';
  readonly #fabric: Fabric;
  readonly #process: SimProcess;
  #peer: SimSocket | null = null;
  #isConnecting: boolean;
  /** A write that waits for room, or for the connection. */
  #waiting: (() => void) | null = null;
  /** From this end to the other, in order; the first may be on its way. */
  readonly #outbound = new RingBuffer<Piece>();
  #outboundBytes = 0;
  #isMoving = false;
  /** This end reads no more for now. */
  #isFull = false;
  /** Nothing is read before this: a process that has other things to do. */
  slowUntilMs = 0;

  constructor({ fabric, process, machine }: SocketOptions, isConnecting: boolean) {
    super({ allowHalfOpen: false });
    this.machine = machine;
    this.#fabric = fabric;
    this.#process = process;
    this.#isConnecting = isConnecting;
    // An error that nobody waits for ends no process.
    this.on('error', () => {});
  }

  /** As `node:http` wants it. */
  asSocket(): Socket {
    return this as Duplex as Socket;
  }

  get isAlive(): boolean {
    return this.#process.isAlive && !this.destroyed;
  }

  get peer(): SimSocket | null {
    return this.#peer;
  }

  /** The two ends know each other from here on. */
  join(peer: SimSocket): void {
    this.#peer = peer;
  }

  /** The other end is there. */
  established(): void {
    this.#isConnecting = false;
    if (this.destroyed) return;
    this.emit('connect');
    this.#goOn();
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** The connection breaks at this end alone: nobody tells the other one. */
  breakOff(code: 'ECONNRESET' | 'ECONNREFUSED' | 'EPIPE' | 'EMFILE'): void {
    if (!this.isAlive) return;
    this.#fabric.touch();
    this.#process.run(() => {
      const syscall = code === 'ECONNREFUSED' ? 'connect' : 'read';
      this.#peer = null;
      this.destroy(Object.assign(new Error(`${syscall} ${code}`), { code, syscall }));
    });
  }

  /** The other end is told, too, if it can be. */
  reset(): void {
    const peer = this.#peer;
    this.breakOff('ECONNRESET');
    if (peer !== null) this.#fabric.carry(this.machine, peer.machine, () => peer.breakOff('ECONNRESET'));
  }

  override _write(chunk: Uint8Array, _encoding: string, done: WriteDone): void {
    this.#accept(chunk, done);
  }

  override _final(done: WriteDone): void {
    this.#accept(null, done);
  }

  override _read(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    const peer = this.#peer;
    if (peer !== null) peer.#move();
  }

  override _destroy(error: Error | null, done: WriteDone): void {
    const peer = this.#peer;
    this.#peer = null;
    this.#waiting = null;
    this.#fabric.forget(this);
    this.#fabric.touch();
    // What was written before still arrives, unless the connection is broken.
    if (peer !== null && this.#process.isAlive) {
      const pieces: Piece[] = [];
      while (error === null && this.#outbound.count > 0) pieces.push(this.#outbound.take() ?? null);
      this.#farewell(peer, pieces);
    }
    done(error);
  }

  #farewell(peer: SimSocket, pieces: readonly Piece[]): void {
    this.#fabric.carry(this.machine, peer.machine, () => {
      if (!peer.isAlive) return;
      peer.#process.run(() => {
        for (const piece of pieces) if (piece !== null && !peer.destroyed) peer.#take(piece);
        if (!peer.destroyed) peer.push(null);
        peer.#peer = null;
      });
    });
  }

  /** The kernel takes the bytes, and their memory is the sender's again, when there is room. */
  #accept(chunk: Piece, done: WriteDone): void {
    if (!this.#process.isAlive) return;
    this.#fabric.touch();
    if (this.#isConnecting || this.#outboundBytes >= WINDOW_BYTES) {
      this.#waiting = () => this.#accept(chunk, done);
      return;
    }
    if (chunk === null) this.#outbound.push(null);
    else this.#cut(chunk);
    this.#move();
    done();
  }

  #cut(chunk: Uint8Array): void {
    const { random } = this.#fabric;
    for (let at = 0; at < chunk.length; ) {
      const length = random.chance(0.7) ? MAX_PIECE_BYTES : 1 + random.below(100);
      const piece = copyBytes(chunk.subarray(at, at + length));
      this.#outbound.push(piece);
      at += piece.length;
    }
    this.#outboundBytes += chunk.length;
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }

  /** Brings the first piece over, and the others after it. */
  #move(delayMs = this.#fabric.travelMs()): void {
    if (this.#isMoving || this.#outbound.count === 0) return;
    this.#isMoving = true;
    this.#fabric.clock.setTimer(this.#process.aheadMs + delayMs, () => {
      this.#isMoving = false;
      this.#arrive();
    });
  }

  #arrive(): void {
    const peer = this.#peer;
    const fabric = this.#fabric;
    if (peer === null || !this.#process.isAlive) return;
    if (fabric.isCut(this.machine, peer.machine) || fabric.isLost()) return this.#move(RETRANSMISSION_MS);
    if (!peer.isAlive) {
      // Where power was cut nobody answers; who is there again does not know the connection.
      if (fabric.isDark(peer.machine)) return this.#move(RETRANSMISSION_MS);
      return fabric.carry(peer.machine, this.machine, () => this.breakOff('ECONNRESET'));
    }
    if (peer.#isFull || peer.slowUntilMs > fabric.clock.now()) return this.#move(RETRANSMISSION_MS);
    fabric.touch();
    peer.#process.run(() => this.#deliverTo(peer));
  }

  #deliverTo(peer: SimSocket): void {
    // Everything that has come meanwhile is read at once.
    for (let piece = this.#outbound.take(); piece !== undefined; piece = this.#outbound.take()) {
      if (peer.destroyed) break;
      this.#outboundBytes -= piece?.length ?? 0;
      if (piece === null) peer.push(null);
      else peer.#take(piece);
      if (peer.#isFull) break;
    }
    if (this.#outboundBytes < WINDOW_BYTES && this.#waiting !== null) this.#process.run(() => this.#goOn());
    this.#move();
  }

  #take(piece: Uint8Array): void {
    if (!this.push(Buffer.from(piece.buffer, piece.byteOffset, piece.length))) this.#isFull = true;
  }
}
