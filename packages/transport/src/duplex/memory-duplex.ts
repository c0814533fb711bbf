/**
 * Two duplex streams that are connected with each other in memory, for tests and simulated clusters. How the
 * bytes are cut into chunks, how long they travel and how many fit in between are options, so that a receiver
 * meets every cut a network can make.
 */
import type { Clock } from '@etcd/base';
import { assert, copyBytes, RingBuffer } from '@etcd/base';
import type { Duplex, DuplexReceiver } from './duplex.ts';

export interface MemoryDuplexOptions {
  readonly clock: Clock;
  /** Size of the next chunk, at least 1; whole writes unless told. */
  readonly nextChunkBytes?: () => number;
  /** Time from the write to the delivery. 0 delivers in the same instant, after the current callbacks. */
  readonly latencyMs?: number;
  /**
   * Bytes that are taken off the sender's hands before the receiver has seen them, like a kernel's socket
   * buffers.
   */
  readonly capacityBytes?: number;
}

/**
 * Both ends of a fresh connection. `theirs` are the options of the second end where they differ: its own clock, if it
 * belongs to another simulated process.
 */
export function memoryDuplexPair(
  options: MemoryDuplexOptions,
  theirs: MemoryDuplexOptions = options,
): [Duplex, Duplex] {
  const a = new MemoryDuplex(options);
  const b = new MemoryDuplex(theirs);
  a.connect(b);
  b.connect(a);
  return [a, b];
}

class MemoryDuplex implements Duplex {
  readonly #options: MemoryDuplexOptions;
  readonly #capacityBytes: number;
  #peer: MemoryDuplex | null = null;
  #receiver: DuplexReceiver | null = null;
  /** Chunks on their way to this end. */
  readonly #inbound = new RingBuffer<Uint8Array>();
  #inboundBytes = 0;
  #isPaused = false;
  #isScheduled = false;
  #hasEnded = false;
  #hasReportedEnd = false;
  #isDestroyed = false;
  #isClosed = false;
  #wantsDrain = false;

  constructor(options: MemoryDuplexOptions) {
    this.#options = options;
    this.#capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
  }

  connect(peer: MemoryDuplex): void {
    this.#peer = peer;
  }

  readonly writesParts = true;

  get pendingBytes(): number {
    return Math.max(0, this.#peer!.#inboundBytes - this.#capacityBytes);
  }

  open(receiver: DuplexReceiver): void {
    assert(this.#receiver === null, 'memory duplex: opened twice');
    this.#receiver = receiver;
    this.#schedule();
  }

  write(parts: readonly Uint8Array[]): void {
    if (this.#isDestroyed || this.#peer!.#hasEnded || this.#peer!.#isDestroyed) return;
    for (const part of parts) this.#peer!.#receive(part);
    if (this.pendingBytes > 0) this.#wantsDrain = true;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  end(): void {
    this.#peer!.#hasEnded = true;
    this.#peer!.#schedule();
    this.#maybeClose();
  }

  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#peer!.#hasEnded = true;
    this.#peer!.#schedule();
    this.#options.clock.defer(() => this.#close());
  }

  #receive(bytes: Uint8Array): void {
    const nextChunkBytes = this.#options.nextChunkBytes;
    for (let at = 0; at < bytes.length; ) {
      const length = nextChunkBytes === undefined ? bytes.length : Math.max(1, nextChunkBytes());
      // Copied even where nothing is cut: the sender reuses its memory. A Buffer, as from a socket.
      const chunk = Buffer.from(copyBytes(bytes.subarray(at, at + length)).buffer);
      this.#inbound.push(chunk);
      at += chunk.length;
    }
    this.#inboundBytes += bytes.length;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#receiver === null) return;
    this.#isScheduled = true;
    const deliver = (): void => {
      this.#isScheduled = false;
      this.#deliver();
    };
    const latencyMs = this.#options.latencyMs ?? 0;
    if (latencyMs === 0) this.#options.clock.defer(deliver);
    else this.#options.clock.setTimer(latencyMs, deliver);
  }

  #deliver(): void {
    // What is sent meanwhile travels in a turn of its own.
    for (let count = this.#inbound.count; count > 0 && !this.#isPaused && !this.#isDestroyed; count--) {
      const chunk = this.#inbound.take()!;
      this.#inboundBytes -= chunk.length;
      this.#receiver!.onData(chunk);
    }
    this.#peer!.#maybeDrained();
    if (this.#isDestroyed || this.#isPaused) return;
    if (this.#inbound.count > 0) this.#schedule();
    else if (this.#hasEnded && !this.#hasReportedEnd) {
      this.#hasReportedEnd = true;
      this.#receiver!.onEnd();
      this.#maybeClose();
    }
  }

  #maybeDrained(): void {
    if (!this.#wantsDrain || this.pendingBytes > 0 || this.#isClosed) return;
    this.#wantsDrain = false;
    this.#options.clock.defer(() => {
      if (!this.#isClosed) this.#receiver?.onDrain();
    });
  }

  /** Like a socket, a stream is closed once both directions have ended. */
  #maybeClose(): void {
    if (this.#hasReportedEnd && this.#peer!.#hasEnded) this.#options.clock.defer(() => this.#close());
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isDestroyed = true;
    this.#inbound.clear();
    this.#receiver?.onClose(null);
  }
}
