/**
 * What a connection is going to write: gathered during a turn of the event loop, written once at its end.
 *
 * Frames are built in place in blocks from a pool that all connections share. A block that is full is sealed
 * and the next one begun, so nothing that was built ever moves. Large bodies are not copied in: their chunks
 * are adopted and written between the blocks.
 *
 *   block A [ headers data trailers … ]  adopted chunk  block A [ … header ]  adopted chunk  block B [ … ]
 */
import type { Duplex } from '../duplex/duplex.ts';
import type { Sweepable, Sweeper } from './sweeper.ts';

/** The usual block: enough for the answers of a usual turn. */
export const OUTPUT_BLOCK_BYTES = 16 * 1024;
/** A turn that fills its first block gets larger ones, and large messages are made of them. */
export const LARGE_BLOCK_BYTES: number = 128 * 1024;
/** Blocks that are kept for reuse: 4 MiB of the usual ones. */
const MAX_POOLED_BLOCKS = 256;
/** 64 MiB of the large ones, what one connection may have waiting, for as long as they are in use; 12 MiB for good. */
const MAX_POOLED_LARGE_BLOCKS = 512;
const MAX_IDLE_LARGE_BLOCKS = 96;

const NO_BLOCK: Uint8Array = Buffer.allocUnsafeSlow(0);

/**
 * Blocks of memory that connections lend themselves while they have something to write. What is taken from here and given
 * back costs no zeroing, no page fault and no garbage collection.
 */
export class OutputPool implements Sweepable {
  readonly #sweeper: Sweeper;
  readonly #blocks: Uint8Array[] = [];
  readonly #largeBlocks: Uint8Array[] = [];
  /** Large blocks that nobody has needed since the last sweep. */
  #idleLargeBlocks = 0;

  constructor(sweeper: Sweeper) {
    this.#sweeper = sweeper;
  }

  take(isLarge: boolean): Uint8Array {
    const block = isLarge ? this.#largeBlocks.pop() : this.#blocks.pop();
    if (this.#largeBlocks.length < this.#idleLargeBlocks) this.#idleLargeBlocks = this.#largeBlocks.length;
    return block ?? Buffer.allocUnsafeSlow(isLarge ? LARGE_BLOCK_BYTES : OUTPUT_BLOCK_BYTES);
  }

  give(block: Uint8Array): void {
    if (block.length === OUTPUT_BLOCK_BYTES) {
      if (this.#blocks.length < MAX_POOLED_BLOCKS) this.#blocks.push(block);
    } else if (block.length === LARGE_BLOCK_BYTES && this.#largeBlocks.length < MAX_POOLED_LARGE_BLOCKS) {
      this.#largeBlocks.push(block);
      if (this.#largeBlocks.length > MAX_IDLE_LARGE_BLOCKS) this.#sweeper.add(this);
    }
  }

  /** Lets go of what a burst of large messages has left: half of it each time, so that the next burst may still come. */
  sweep(): void {
    const blocks = this.#largeBlocks;
    const surplus = Math.min(this.#idleLargeBlocks, blocks.length - MAX_IDLE_LARGE_BLOCKS);
    if (surplus > 0) blocks.length -= Math.ceil(surplus / 2);
    this.#idleLargeBlocks = blocks.length;
    if (blocks.length <= MAX_IDLE_LARGE_BLOCKS) this.#sweeper.delete(this);
  }
}

export class Output {
  /** The current block. Read anew after every {@link reserve}, which may begin another. */
  bytes: Uint8Array = NO_BLOCK;
  /** Where the next byte of the current block goes. */
  position = 0;

  /** Where a DATA frame begins that may still be extended: the last thing in this block. -1 for none. */
  openFrameAt = -1;

  readonly pool: OutputPool;
  /** Where the part of the current block begins that is not yet in `#sealed`. */
  #segmentStart = 0;
  #sealed: Uint8Array[] = [];
  #sealedBytes = 0;
  /** Blocks that `#sealed` refers to, besides the current one. */
  #fullBlocks: Uint8Array[] = [];
  /** Blocks that the duplex has not taken yet. */
  #blocksInFlight: Uint8Array[] = [];

  constructor(pool: OutputPool) {
    this.pool = pool;
  }

  /** Bytes that wait for {@link flush}. */
  get byteCount(): number {
    return this.#sealedBytes + this.position - this.#segmentStart;
  }

  /** Room for `length` bytes in one piece, to be filled at once: their position in {@link bytes}. */
  reserve(length: number): number {
    const at = this.position;
    if (at + length > this.bytes.length) return this.#reserveInNewBlock(length);
    this.position = at + length;
    return at;
  }

  /** Appends a copy of `source[start, end)`. */
  append(source: Uint8Array, start: number, end: number): void {
    const at = this.reserve(end - start);
    copyRange(this.bytes, at, source, start, end);
  }

  /** Appends `view` without copying: it must not change until it has been sent. */
  adopt(view: Uint8Array): void {
    this.#seal();
    this.#sealed.push(view);
    this.#sealedBytes += view.length;
  }

  /** Gives `block` to the pool when all that was appended or adopted so far has been sent. */
  releaseWhenSent(block: Uint8Array): void {
    this.#fullBlocks.push(block);
  }

  /** Hands everything to `duplex`, which has nothing pending. Returns how many bytes. */
  flush(duplex: Duplex): number {
    this.#seal();
    const count = this.#sealedBytes;
    if (count === 0) return 0;
    duplex.write(this.#sealed);
    this.#blocksInFlight = this.#fullBlocks;
    this.#blocksInFlight.push(this.bytes);
    this.#fullBlocks = [];
    this.#reset();
    if (duplex.pendingBytes === 0) this.onDrain();
    return count;
  }

  /** The duplex has taken everything: its blocks are free. */
  onDrain(): void {
    const blocks = this.#blocksInFlight;
    for (const block of blocks) this.pool.give(block);
    blocks.length = 0;
  }

  /** Forgets everything. The memory is left to the collector: the duplex may still read it. */
  discard(): void {
    this.#blocksInFlight = [];
    this.#fullBlocks = [];
    this.#reset();
  }

  #reset(): void {
    this.bytes = NO_BLOCK;
    this.position = 0;
    this.openFrameAt = -1;
    this.#segmentStart = 0;
    this.#sealed = [];
    this.#sealedBytes = 0;
  }

  #seal(): void {
    this.openFrameAt = -1;
    if (this.position === this.#segmentStart) return;
    this.#sealed.push(this.bytes.subarray(this.#segmentStart, this.position));
    this.#sealedBytes += this.position - this.#segmentStart;
    this.#segmentStart = this.position;
  }

  #reserveInNewBlock(length: number): number {
    this.#seal();
    const isFirst = this.bytes === NO_BLOCK;
    if (!isFirst) this.#fullBlocks.push(this.bytes);
    if (length > LARGE_BLOCK_BYTES) this.bytes = Buffer.allocUnsafeSlow(length);
    else this.bytes = this.pool.take(!isFirst || length > OUTPUT_BLOCK_BYTES);
    this.#segmentStart = 0;
    this.position = length;
    return 0;
  }
}

/** Ranges up to this long are copied faster by a loop than by a call into the runtime. */
const LOOP_COPY_BYTES = 24;

/** Copies `source[start, end)` to `target` at `at`. */
export function copyRange(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): void {
  if (end - start <= LOOP_COPY_BYTES) {
    for (let i = start; i < end; i++) target[at++] = source[i]!;
  } else if (start === 0 && end === source.length) {
    target.set(source, at);
  } else {
    target.set(source.subarray(start, end), at);
  }
}
