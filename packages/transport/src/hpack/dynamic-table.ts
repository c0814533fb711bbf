/**
 * The dynamic table of HPACK (RFC 7541, section 2.3.2): first in, first out, bounded by bytes. Kept in a
 * ring, newest entry at `head`, so that nothing moves on insertion.
 */
import type { HeaderField } from './header-field.ts';

/** The table's size before either side says otherwise. */
export const DEFAULT_TABLE_SIZE_BYTES = 4096;

const INITIAL_SLOTS = 16;

export class DynamicTable {
  // Allocated with the first entry: many connections never send one.
  #slots: (HeaderField | null)[] = [];
  #newest = 0;
  #count = 0;
  #sizeBytes = 0;
  #maxSizeBytes: number;
  #version = 0;
  #insertions = 0;

  constructor(maxSizeBytes: number) {
    this.#maxSizeBytes = maxSizeBytes;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get maxSizeBytes(): number {
    return this.#maxSizeBytes;
  }

  /** Changes whenever an index may mean something else than before. */
  get version(): number {
    return this.#version;
  }

  /** How many fields were ever inserted: the n-th of them is at index `insertions - n` while it is there. */
  get insertions(): number {
    return this.#insertions;
  }

  /** Entry `index`, 0 being the newest; null outside the table. */
  at(index: number): HeaderField | null {
    if (index >= this.#count) return null;
    return this.#slots[(this.#newest - index) & (this.#slots.length - 1)]!;
  }

  /** Inserts, evicting the oldest as needed; a field larger than the whole table empties it. */
  insert(field: HeaderField): void {
    this.#version++;
    this.#insertions++;
    this.#evictTo(this.#maxSizeBytes - field.sizeBytes);
    if (field.sizeBytes > this.#maxSizeBytes) return;
    if (this.#count === this.#slots.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#slots.length - 1);
    this.#slots[this.#newest] = field;
    this.#count++;
    this.#sizeBytes += field.sizeBytes;
  }

  resize(maxSizeBytes: number): void {
    this.#version++;
    this.#maxSizeBytes = maxSizeBytes;
    this.#evictTo(maxSizeBytes);
  }

  #evictTo(sizeBytes: number): void {
    while (this.#count > 0 && this.#sizeBytes > sizeBytes) {
      const slot = (this.#newest - (this.#count - 1)) & (this.#slots.length - 1);
      this.#sizeBytes -= this.#slots[slot]!.sizeBytes;
      this.#slots[slot] = null;
      this.#count--;
    }
  }

  #grow(): void {
    const slots: (HeaderField | null)[] = new Array(Math.max(INITIAL_SLOTS, this.#slots.length * 2)).fill(
      null,
    );
    for (let i = 0; i < this.#count; i++) slots[this.#count - 1 - i] = this.at(i);
    this.#newest = Math.max(0, this.#count - 1);
    this.#slots = slots;
  }
}
