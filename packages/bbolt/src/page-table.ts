/**
 * An integer per page id, -1 where none was set. Two levels: chunks of 4096 ids exist only where something was set, so that
 * the memory follows the pages in use and not the size that a file claims.
 */
const CHUNK_BITS = 12;
const CHUNK_MASK = (1 << CHUNK_BITS) - 1;

export const ABSENT = -1;

export class PageTable {
  readonly #chunks: (Int32Array | undefined)[] = [];

  get(pgid: number): number {
    const chunk = this.#chunks[pgid >>> CHUNK_BITS];
    return chunk === undefined ? ABSENT : chunk[pgid & CHUNK_MASK]!;
  }

  set(pgid: number, value: number): void {
    const index = pgid >>> CHUNK_BITS;
    let chunk = this.#chunks[index];
    if (chunk === undefined) {
      if (value === ABSENT) return;
      chunk = new Int32Array(CHUNK_MASK + 1).fill(ABSENT);
      // Holes would turn the array into a dictionary when a far page comes first.
      while (this.#chunks.length < index) this.#chunks.push(undefined);
      this.#chunks[index] = chunk;
    }
    chunk[pgid & CHUNK_MASK] = value;
  }
}
