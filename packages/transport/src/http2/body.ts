/**
 * A large message in the making: bytes in blocks of the pool that connections share, in order. It belongs to whoever
 * makes it until it is given to a call, and returns to the pool block by block as the network takes it.
 */
import { assert } from '@etcd/base';
import { copyRange, LARGE_BLOCK_BYTES, type OutputPool } from './output.ts';
import type { Segment } from './send-queue.ts';

const NO_BLOCK = new Uint8Array(0);

export class Body {
  /** The block that is being filled. Read anew after every {@link reserve}. */
  block: Uint8Array = NO_BLOCK;
  readonly #pool: OutputPool;
  #full: Segment[] = [];
  #fullBytes = 0;
  #used = 0;

  constructor(pool: OutputPool) {
    this.#pool = pool;
  }

  /** Bytes so far. */
  get length(): number {
    return this.#fullBytes + this.#used;
  }

  /** Room for a few bytes in one piece, to be filled at once: their position in {@link block}. */
  reserve(length: number): number {
    assert(length <= LARGE_BLOCK_BYTES, 'body: a piece is longer than a block');
    if (this.#used + length > this.block.length) this.#nextBlock();
    const at = this.#used;
    this.#used += length;
    return at;
  }

  /** Appends a copy of `source[start, end)`, over as many blocks as it takes. */
  append(source: Uint8Array, start: number, end: number): void {
    while (start < end) {
      if (this.#used === this.block.length) this.#nextBlock();
      const take = Math.min(end - start, this.block.length - this.#used);
      copyRange(this.block, this.#used, source, start, start + take);
      this.#used += take;
      start += take;
    }
  }

  /** The blocks, for whoever sends them. The body is empty afterwards. */
  take(): readonly Segment[] {
    this.#seal();
    const full = this.#full;
    this.#full = [];
    this.#fullBytes = 0;
    return full;
  }

  /** Gives everything back to the pool. */
  discard(): void {
    for (const { bytes } of this.take()) this.#pool.give(bytes);
  }

  #nextBlock(): void {
    this.#seal();
    this.block = this.#pool.take(true);
  }

  #seal(): void {
    if (this.#used > 0) this.#full.push({ bytes: this.block, start: 0, end: this.#used, isPooled: true });
    this.#fullBytes += this.#used;
    this.block = NO_BLOCK;
    this.#used = 0;
  }
}
