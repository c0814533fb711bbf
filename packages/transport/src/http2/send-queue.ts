/**
 * Body bytes of one stream that could not be sent yet: the peer's window is used up, or the socket is full.
 * Small writes are copied together into blocks of the pool; chunks whose ownership was passed are kept as they are.
 */
import { RingBuffer } from '@etcd/base';
import type { Body } from './body.ts';
import { copyRange, LARGE_BLOCK_BYTES, OUTPUT_BLOCK_BYTES, type OutputPool } from './output.ts';

export interface Segment {
  readonly bytes: Uint8Array;
  start: number;
  end: number;
  /** Whether `bytes` is a block that goes to the pool once this segment, the only one in it, has been sent. */
  readonly isPooled: boolean;
}

export class SendQueue {
  readonly #pool: OutputPool;
  readonly #segments = new RingBuffer<Segment>(4);
  /** The last segment, when it is a block of ours with room at its end. */
  #tail: Segment | null = null;
  #byteCount = 0;

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
    this.#adopt({ bytes: source, start, end, isPooled: false });
  }

  /** Appends the blocks of `body`, which is empty afterwards. */
  adoptBody(body: Body): void {
    for (const segment of body.take()) this.#adopt(segment);
  }

  /** The first segment of a queue that is not empty. */
  first(): Segment {
    return this.#segments.peek()!;
  }

  /** Takes `length` bytes, at most what the first segment holds, off the front. */
  consume(length: number): void {
    const segment = this.#segments.peek()!;
    segment.start += length;
    this.#byteCount -= length;
    if (segment.start < segment.end) return;
    this.#segments.take();
    if (segment === this.#tail) this.#tail = null;
  }

  #adopt(segment: Segment): void {
    this.#segments.push(segment);
    this.#tail = null;
    this.#byteCount += segment.end - segment.start;
  }

  #newBlock(length: number): Segment {
    const isPooled = length <= LARGE_BLOCK_BYTES;
    const bytes = isPooled ? this.#pool.take(length > OUTPUT_BLOCK_BYTES) : Buffer.allocUnsafeSlow(length);
    return { bytes, start: 0, end: 0, isPooled };
  }
}
