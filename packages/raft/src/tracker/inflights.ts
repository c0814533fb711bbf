/**
 * The window of append messages that were sent to a follower and not yet acknowledged, bounded by count and by
 * bytes. The leader asks {@link Inflights.full} before sending, then {@link Inflights.add}s the index of the
 * message's last entry, in ascending order; an acknowledgement frees every message up to its index.
 *
 * The bytes bound may be overshot by one message, so that a message larger than the bound can be sent at all.
 */
import type { LogIndex } from '@etcd/api';
import { assert } from '@etcd/base';

export class Inflights {
  readonly #maxCount: number;
  readonly #maxBytes: number;
  // A ring in two parallel arrays, whose length is a power of two and grows on demand: most followers acknowledge
  // before a few messages are under way, and the permitted count may be in the millions.
  #indexes: number[] = [];
  #sizes: number[] = [];
  #start = 0;
  #count = 0;
  #sizeBytes = 0;

  /** @param maxBytes 0 for no bound. */
  constructor(maxCount: number, maxBytes: number) {
    assert(maxCount > 0, 'inflights: no message may be in flight');
    this.#maxCount = maxCount;
    this.#maxBytes = maxBytes === 0 ? Infinity : maxBytes;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Whether nothing more may be sent for now. */
  get full(): boolean {
    return this.#count >= this.#maxCount || this.#sizeBytes >= this.#maxBytes;
  }

  /** Records a sent message. Must not be called when {@link full}. */
  add(index: LogIndex, sizeBytes: number): void {
    assert(!this.full, 'cannot add into a Full inflights');
    if (this.#count === this.#indexes.length) this.#grow();
    const slot = (this.#start + this.#count) & (this.#indexes.length - 1);
    this.#indexes[slot] = index;
    this.#sizes[slot] = sizeBytes;
    this.#count++;
    this.#sizeBytes += sizeBytes;
  }

  /** Frees the messages whose last entry is at `index` or before. */
  freeLE(index: LogIndex): void {
    const mask = this.#indexes.length - 1;
    while (this.#count > 0 && this.#indexes[this.#start]! <= index) {
      this.#sizeBytes -= this.#sizes[this.#start]!;
      this.#start = (this.#start + 1) & mask;
      this.#count--;
    }
    assert(this.#count > 0 || this.#sizeBytes === 0, 'inflights: bytes without messages');
  }

  /** Frees every message. */
  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#sizeBytes = 0;
  }

  /** An independent copy, for status reports. */
  clone(): Inflights {
    const copy = new Inflights(this.#maxCount, this.#maxBytes);
    const mask = this.#indexes.length - 1;
    for (let i = 0; i < this.#count; i++) {
      const slot = (this.#start + i) & mask;
      copy.#indexes.push(this.#indexes[slot]!);
      copy.#sizes.push(this.#sizes[slot]!);
    }
    // Pad to a power of two, so that positions wrap by a mask.
    while (copy.#indexes.length & (copy.#indexes.length - 1)) {
      copy.#indexes.push(0);
      copy.#sizes.push(0);
    }
    copy.#count = this.#count;
    copy.#sizeBytes = this.#sizeBytes;
    return copy;
  }

  #grow(): void {
    const oldCapacity = this.#indexes.length;
    const capacity = oldCapacity === 0 ? 4 : oldCapacity * 2;
    const indexes: number[] = [];
    const sizes: number[] = [];
    for (let i = 0; i < capacity; i++) {
      const slot = (this.#start + i) & (oldCapacity - 1);
      indexes.push(i < this.#count ? this.#indexes[slot]! : 0);
      sizes.push(i < this.#count ? this.#sizes[slot]! : 0);
    }
    this.#indexes = indexes;
    this.#sizes = sizes;
    this.#start = 0;
  }
}
