/**
 * Body bytes of one stream that could not be sent yet: the peer's window is used up, or the socket is full.
 * Small writes are copied together into blocks of the pool; chunks whose ownership was passed are kept as they are, and so are
 * the blocks of large messages, which have the headers of their frames in them.
 */
import { assert, RingBuffer } from '@etcd/base';
import { copyRange, LARGE_BLOCK_BYTES, OUTPUT_BLOCK_BYTES, type Output, type OutputPool } from './output.ts';
import type { References } from './references.ts';

export interface Segment {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** Whether `bytes` is a block that goes to the pool once this segment, the only one in it, has been sent. */
  readonly isPooled: boolean;
  /** Whether it consists of DATA frames, headers included. */
  readonly isFramed: boolean;
  /** Of one that refers to memory elsewhere: all of it in order, what is in `bytes` included. */
  references: References | null;
  /** Body bytes of one that is framed: what is left of them. */
  payloadBytes: number;
  /** Of a frame that has been sent in part, which begins at `start` without its header. */
  frameRestBytes: number;
}

export class SendQueue {
  readonly #pool: OutputPool;
  readonly #segments = new RingBuffer<Segment>(4);
  /** The last segment, when it is a block of ours with room at its end. */
  #tail: Segment | null = null;
  #byteCount = 0;
  /** Whether a segment may refer to memory elsewhere. */
  #hasReferences = false;

  constructor(pool: OutputPool) {
    this.#pool = pool;
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  /** Room for `length` bytes in one piece at the end of the queue; see {@link tailBytes} for where. */
  reserve(length: number): number {
    let tail = this.#tail;
    if (tail === null || tail.bytes.length - tail.end < length) {
      tail = this.#newBlock(length);
      this.#segments.push(tail);
      this.#tail = tail;
    }
    const at = tail.end;
    tail.end += length;
    this.#byteCount += length;
    return at;
  }

  /** The memory that the position returned by {@link reserve} refers to. */
  get tailBytes(): Uint8Array {
    return this.#tail!.bytes;
  }

  /** Appends a copy. */
  append(source: Uint8Array, start: number, end: number): void {
    const at = this.reserve(end - start);
    copyRange(this.tailBytes, at, source, start, end);
  }

  /** Appends `source[start, end)` itself, which must not change any more. */
  adopt(source: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    this.#adopt(plainSegment(source, start, end, false));
    this.#byteCount += end - start;
  }

  /** Appends a block of frames. */
  adoptFrames(segment: Segment): void {
    assert(segment.isFramed, 'send queue: a block without frames');
    this.#adopt(segment);
    this.#byteCount += segment.payloadBytes;
    if (segment.references !== null) this.#hasReferences = true;
  }

  /** The first segment of a queue that is not empty. */
  first(): Segment {
    return this.#segments.peek()!;
  }

  /** Bytes at the front without frames, counted up to `most`: what one frame may be made of. */
  plainBytes(most: number): number {
    let sum = 0;
    for (let i = 0; sum < most; i++) {
      const segment = this.#segments.at(i);
      if (segment === undefined || segment.isFramed) break;
      sum += segment.end - segment.start;
    }
    return Math.min(sum, most);
  }

  /** Takes `length` bytes, at most what the first segment holds, off the front; `payloadBytes` of them are body. */
  consume(length: number, payloadBytes: number): void {
    const segment = this.#segments.peek()!;
    segment.start += length;
    this.#byteCount -= payloadBytes;
    if (segment.start < segment.end) return;
    this.#segments.take();
    if (segment === this.#tail) this.#tail = null;
  }

  /** Refers to no memory elsewhere any more: what is referred to is copied, a block for a block. Blocks that `output` has parts of are left to it. */
  settle(output: Output): void {
    if (!this.#hasReferences) return;
    this.#hasReferences = false;
    for (let i = 0; i < this.#segments.count; i++) this.#putTogether(this.#segments.at(i)!, output);
  }

  #putTogether(segment: Segment, output: Output): void {
    const { references, bytes } = segment;
    if (references === null) return;
    const block = this.#pool.take(true);
    segment.start = 0;
    segment.end = references.copyTo(block);
    segment.references = null;
    segment.bytes = block;
    // The socket may have a part of it still.
    if (references.isWhole) this.#pool.give(bytes);
    else output.releaseWhenSent(bytes);
  }

  #adopt(segment: Segment): void {
    this.#segments.push(segment);
    this.#tail = null;
  }

  #newBlock(length: number): Segment {
    const isPooled = length <= LARGE_BLOCK_BYTES;
    const bytes = isPooled ? this.#pool.take(length > OUTPUT_BLOCK_BYTES) : Buffer.allocUnsafeSlow(length);
    return plainSegment(bytes, 0, 0, isPooled);
  }
}

function plainSegment(bytes: Uint8Array, start: number, end: number, isPooled: boolean): Segment {
  return {
    bytes,
    start,
    end,
    isPooled,
    isFramed: false,
    references: null,
    payloadBytes: 0,
    frameRestBytes: 0,
  };
}
