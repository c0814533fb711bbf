/**
 * What a connection is going to write: gathered during a turn of the event loop, written once at its end.
 *
 * Frames are built in place in blocks from a pool that all connections share. A block that is full is sealed
 * and the next one begun, so nothing that was built ever moves. Large bodies are not copied in: their chunks
 * are adopted and written between the blocks.
 *
 *   block A [ headers data trailers … ]  adopted chunk  block A [ … header ]  adopted chunk  block B [ … ]
 */
import { poisonReleased } from '@etcd/base';
import type { Duplex } from '../duplex/duplex.ts';
import type { Sweepable, Sweeper } from './sweeper.ts';

/** Enough for a dozen small answers: thousands of connections may have one each in the same turn. */
const SMALL_BLOCK_BYTES = 2 * 1024;
/** The first block of a connection that wrote more the last time, and what comes behind a small one. */
export const OUTPUT_BLOCK_BYTES = 16 * 1024;
/** A turn that fills its first block gets larger ones, and large messages are made of them. */
export const LARGE_BLOCK_BYTES: number = 128 * 1024;
/** Blocks that are kept for reuse: 4 MiB of the usual ones, 8 of the small. */
const MAX_POOLED_BLOCKS = 256;
const MAX_POOLED_SMALL_BLOCKS = 4096;
/** 64 MiB of the large ones, what one connection may have waiting, for as long as they are in use; 12 MiB for good. */
const MAX_POOLED_LARGE_BLOCKS = 512;
const MAX_IDLE_LARGE_BLOCKS = 96;

/**
 * Memory of others that one write may hold; a second one may be gathered meanwhile. A value of 1 kB may hold a megabyte, and a write of
 * values from all over the database all of that.
 */
const MAX_BORROWED_BYTES = 2 * 1024 * 1024;

const NOTHING_BORROWED: Set<ArrayBufferLike> = new Set();
const NO_BLOCK: Uint8Array = Buffer.allocUnsafeSlow(0);
/** Shared by all that has none, which is the usual case: a list that is made for every write is garbage that may grow old. */
const NONE: Uint8Array[] = [];

/**
 * Blocks of memory that connections lend themselves while they have something to write. What is taken from here and given
 * back costs no zeroing, no page fault and no garbage collection.
 */
export class OutputPool implements Sweepable {
  readonly #sweeper: Sweeper;
  readonly #smallBlocks: Uint8Array[] = [];
  readonly #blocks: Uint8Array[] = [];
  readonly #largeBlocks: Uint8Array[] = [];
  /** Large blocks that nobody has needed since the last sweep. */
  #idleLargeBlocks = 0;

  constructor(sweeper: Sweeper) {
    this.#sweeper = sweeper;
  }

  takeSmall(): Uint8Array {
    return this.#smallBlocks.pop() ?? Buffer.allocUnsafeSlow(SMALL_BLOCK_BYTES);
  }

  take(isLarge: boolean): Uint8Array {
    const block = isLarge ? this.#largeBlocks.pop() : this.#blocks.pop();
    if (this.#largeBlocks.length < this.#idleLargeBlocks) this.#idleLargeBlocks = this.#largeBlocks.length;
    return block ?? Buffer.allocUnsafeSlow(isLarge ? LARGE_BLOCK_BYTES : OUTPUT_BLOCK_BYTES);
  }

  give(block: Uint8Array): void {
    poisonReleased(block);
    if (block.length === SMALL_BLOCK_BYTES) {
      if (this.#smallBlocks.length < MAX_POOLED_SMALL_BLOCKS) this.#smallBlocks.push(block);
    } else if (block.length === OUTPUT_BLOCK_BYTES) {
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
  #sealed: Uint8Array[] = NONE;
  #sealedBytes = 0;
  /** Memory elsewhere that `#sealed` refers to, and how much it is. */
  #borrowed: Set<ArrayBufferLike> = NOTHING_BORROWED;
  #borrowedBytes = 0;
  /** Blocks that `#sealed` refers to, besides the current one. */
  #fullBlocks: Uint8Array[] = NONE;
  /** Blocks that the duplex has not taken yet: the last one, and those that were full. */
  #blockInFlight: Uint8Array = NO_BLOCK;
  #fullBlocksInFlight: Uint8Array[] = NONE;
  /** What was written last would have fitted a small block. */
  #wroteLittle = true;

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
    this.#addSealed(view);
  }

  /**
   * The same for a view of memory that others made and have done with: all of that memory is held until the view has been sent. Copied
   * where a peer that reads nothing would hold too much of it.
   */
  borrow(view: Uint8Array): void {
    const memory = view.buffer;
    if (!this.#borrowed.has(memory)) {
      if (this.#borrowedBytes + memory.byteLength > MAX_BORROWED_BYTES) {
        this.append(view, 0, view.length);
        return;
      }
      if (this.#borrowed === NOTHING_BORROWED) this.#borrowed = new Set();
      this.#borrowed.add(memory);
      this.#borrowedBytes += memory.byteLength;
    }
    this.adopt(view);
  }

  /** Gives `block` to the pool when all that was appended or adopted so far has been sent. */
  releaseWhenSent(block: Uint8Array): void {
    this.#addFull(block);
  }

  /** Hands everything to `duplex`, which has nothing pending. Returns how many bytes. */
  flush(duplex: Duplex): number {
    this.#seal();
    const count = this.#sealedBytes;
    if (count === 0) return 0;
    this.#wroteLittle = count <= SMALL_BLOCK_BYTES;
    duplex.write(this.#sealed);
    this.#blockInFlight = this.bytes;
    this.#fullBlocksInFlight = this.#fullBlocks;
    this.#fullBlocks = NONE;
    this.#reset();
    if (duplex.pendingBytes === 0) this.onDrain();
    return count;
  }

  /** The duplex has taken everything: its blocks are free. */
  onDrain(): void {
    const block = this.#blockInFlight;
    const full = this.#fullBlocksInFlight;
    this.#blockInFlight = NO_BLOCK;
    this.#fullBlocksInFlight = NONE;
    for (const each of full) this.pool.give(each);
    this.pool.give(block);
  }

  /** Forgets everything. The memory is left to the collector: the duplex may still read it. */
  discard(): void {
    this.#blockInFlight = NO_BLOCK;
    this.#fullBlocksInFlight = NONE;
    this.#fullBlocks = NONE;
    this.#reset();
  }

  #reset(): void {
    this.bytes = NO_BLOCK;
    this.position = 0;
    this.openFrameAt = -1;
    this.#segmentStart = 0;
    this.#sealed = NONE;
    this.#sealedBytes = 0;
    this.#borrowed = NOTHING_BORROWED;
    this.#borrowedBytes = 0;
  }

  #seal(): void {
    this.openFrameAt = -1;
    if (this.position === this.#segmentStart) return;
    this.#addSealed(this.bytes.subarray(this.#segmentStart, this.position));
    this.#segmentStart = this.position;
  }

  #addSealed(part: Uint8Array): void {
    if (this.#sealed === NONE) this.#sealed = [part];
    else this.#sealed.push(part);
    this.#sealedBytes += part.length;
  }

  #addFull(block: Uint8Array): void {
    if (this.#fullBlocks === NONE) this.#fullBlocks = [block];
    else this.#fullBlocks.push(block);
  }

  #reserveInNewBlock(length: number): number {
    this.#seal();
    const previous = this.bytes;
    if (previous !== NO_BLOCK) this.#addFull(previous);
    if (length > LARGE_BLOCK_BYTES) this.bytes = Buffer.allocUnsafeSlow(length);
    else if (previous === NO_BLOCK && length <= SMALL_BLOCK_BYTES && this.#wroteLittle) {
      this.bytes = this.pool.takeSmall();
    } else this.bytes = this.pool.take(previous.length >= OUTPUT_BLOCK_BYTES || length > OUTPUT_BLOCK_BYTES);
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
