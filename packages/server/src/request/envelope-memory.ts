/**
 * The memory that envelopes are written into: chunks filled one after the other. Each envelope of a chunk lives until its entry is
 * dropped from the log in memory, behind what is applied, and {@link EnvelopeMemory.release | released}; when all are, the chunk is
 * filled again.
 *
 *     [ envelope 1 | envelope 2 | … | envelope n ]     given: n, released so far: r; free when the chunk is full and r = n
 *
 * An envelope that never comes to this member's log, as one that was passed on to the leader or refused, is never released, and its
 * chunk is left to the garbage collector with all that is in it.
 */
import { assert, EMPTY_BYTES, poisonReleased } from '@etcd/base';

export const CHUNK_BYTES: number = 128 * 1024;
/** An envelope of more than this gets memory of its own, which is not used again. */
const MAX_SHARED_BYTES = CHUNK_BYTES / 8;
/** Chunks that wait to be filled again: 4 MiB, four times what one look at the log drops of objects of 4 kB. */
const MAX_SPARE_CHUNKS = 32;

class Chunk {
  readonly bytes: Uint8Array = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  used = 0;
  given = 0;
  released = 0;
}

export class EnvelopeMemory {
  /** What was {@link reserve | reserved} last lies in here. */
  bytes: Uint8Array = EMPTY_BYTES;
  #open: Chunk | null = null;
  readonly #spare: Chunk[] = [];
  /** Weak, since not every envelope is released. */
  readonly #chunks = new WeakMap<ArrayBufferLike, Chunk>();
  /** The chunk of the envelope that was released last, and its memory: mostly the next one is a neighbour. */
  #lastBuffer: ArrayBufferLike | null = null;
  #lastChunk: Chunk | undefined;

  /** Room for an envelope of `size` bytes: its position in {@link bytes}. */
  reserve(size: number): number {
    if (size > MAX_SHARED_BYTES) {
      this.bytes = Buffer.allocUnsafeSlow(size);
      return 0;
    }
    const open = this.#open;
    const chunk = open !== null && open.used + size <= CHUNK_BYTES ? open : this.#next();
    this.bytes = chunk.bytes;
    const at = chunk.used;
    chunk.used += size;
    chunk.given++;
    return at;
  }

  /** Nobody has a view of this envelope any more, if it is one: its entry was dropped. Each is released once. */
  release(envelope: Uint8Array): void {
    const { buffer } = envelope;
    if (buffer !== this.#lastBuffer) {
      this.#lastBuffer = buffer;
      this.#lastChunk = this.#chunks.get(buffer);
    }
    const chunk = this.#lastChunk;
    if (chunk === undefined) return;
    poisonReleased(envelope);
    chunk.released++;
    assert(chunk.released <= chunk.given, 'envelopes: one was released twice');
    if (chunk !== this.#open) this.#keepIfFree(chunk);
  }

  #next(): Chunk {
    const full = this.#open;
    const spare = this.#spare.pop();
    const chunk = spare ?? new Chunk();
    if (spare === undefined) this.#chunks.set(chunk.bytes.buffer, chunk);
    this.#open = chunk;
    if (full !== null) this.#keepIfFree(full);
    return chunk;
  }

  #keepIfFree(chunk: Chunk): void {
    if (chunk.released < chunk.given || this.#spare.length >= MAX_SPARE_CHUNKS) return;
    chunk.used = 0;
    chunk.given = 0;
    chunk.released = 0;
    this.#spare.push(chunk);
  }
}
