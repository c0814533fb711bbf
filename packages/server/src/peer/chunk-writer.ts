/**
 * An endless HTTP/1.1 body, written straight into blocks that go to the socket as they are: each block is one HTTP chunk,
 *
 *   8 hex digits CR LF | what was encoded | CR LF
 *
 * so that a turn's messages cost one copy and, as a rule, one write. Blocks are used again when the kernel has them.
 */
import type { Socket } from 'node:net';
import { type Clock, EMPTY_BYTES, RingBuffer } from '@etcd/base';
import type { FrameTarget } from './frame-target.ts';

const HEAD_BYTES = 10;
const TAIL_BYTES = 2;
const CR = 13;
const LF = 10;
const HEX_DIGITS = Buffer.from('0123456789abcdef');

/** As long as the other end may take nothing of what is sent. */
export const WRITE_TIMEOUT_MS = 5000;
/** A large block may take longer: 1 MiB a second is what a link must be able to do. */
export const MIN_BYTES_PER_MS = 1024;
/** As much as a leader sends in a busy turn; a larger frame gets a block of its own. */
const BLOCK_BYTES = 256 * 1024;
const MAX_POOLED_BLOCKS = 16;

/** Blocks that are free, for all connections together. */
export class BlockPool {
  readonly #free: Uint8Array[] = [];

  /** At least `bytes` long. */
  take(bytes: number): Uint8Array {
    if (bytes > BLOCK_BYTES) return Buffer.allocUnsafeSlow(bytes);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  give(block: Uint8Array): void {
    if (block.length === BLOCK_BYTES && this.#free.length < MAX_POOLED_BLOCKS) this.#free.push(block);
  }
}

/** A block on its way. */
interface Writing {
  readonly block: Uint8Array;
  readonly payloadBytes: number;
  readonly frames: number;
}

export class ChunkWriter implements FrameTarget {
  readonly #socket: Socket;
  readonly #pool: BlockPool;
  readonly #clock: Clock;
  readonly #writing = new RingBuffer<Writing>(4);
  #block: Uint8Array = EMPTY_BYTES;
  #at = 0;
  #frames = 0;
  #pendingBytes = 0;
  #pendingFrames = 0;
  #isOver = false;
  /** Since when the first of {@link #writing} has been the first. */
  #headSinceMs = 0;

  /** @param socket a connection on which the head of the response has been written. */
  constructor(socket: Socket, pool: BlockPool, clock: Clock) {
    this.#socket = socket;
    this.#pool = pool;
    this.#clock = clock;
  }

  get bytes(): Uint8Array {
    return this.#block;
  }

  /** Bytes of frames that the kernel does not have yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get pendingFrames(): number {
    return this.#pendingFrames;
  }

  reserve(length: number): number {
    if (this.#at + length + TAIL_BYTES > this.#block.length) {
      this.flush();
      this.#block = this.#pool.take(HEAD_BYTES + length + TAIL_BYTES);
      this.#at = HEAD_BYTES;
    }
    const at = this.#at;
    this.#at += length;
    this.#frames++;
    this.#pendingFrames++;
    this.#pendingBytes += length;
    return at;
  }

  /** Hands what was encoded to the socket. */
  flush(): void {
    const block = this.#block;
    if (this.#frames === 0 || this.#isOver) return;
    const payloadBytes = this.#at - HEAD_BYTES;
    writeChunkSize(block, payloadBytes);
    block[this.#at] = CR;
    block[this.#at + 1] = LF;
    if (this.#writing.count === 0) this.#headSinceMs = this.#clock.now();
    this.#writing.push({ block, payloadBytes, frames: this.#frames });
    const end = this.#at + TAIL_BYTES;
    this.#block = EMPTY_BYTES;
    this.#at = 0;
    this.#frames = 0;
    this.#socket.write(block.subarray(0, end), this.#onWritten);
  }

  /** Whether the kernel does not take the block that is next, though it has had the time. */
  isStalled(): boolean {
    const next = this.#writing.peek();
    if (next === undefined) return false;
    const allowedMs = WRITE_TIMEOUT_MS + next.payloadBytes / MIN_BYTES_PER_MS;
    return this.#clock.now() - this.#headSinceMs > allowedMs;
  }

  /** What is pending is given up. */
  abandon(): void {
    this.#isOver = true;
    this.#pendingBytes = 0;
    this.#pendingFrames = 0;
  }

  readonly #onWritten = (error?: Error | null): void => {
    const written = this.#writing.take();
    if (written === undefined || error || this.#isOver) return;
    this.#headSinceMs = this.#clock.now();
    this.#pendingBytes -= written.payloadBytes;
    this.#pendingFrames -= written.frames;
    this.#pool.give(written.block);
  };
}

/** Always all eight digits: the size is known only behind what it counts. */
function writeChunkSize(block: Uint8Array, size: number): void {
  for (let i = 7; i >= 0; i--) {
    block[i] = HEX_DIGITS[size & 15]!;
    size >>>= 4;
  }
  block[8] = CR;
  block[9] = LF;
}
