/**
 * Consecutive log entries in one array that is reused in a circle: appending, cutting off the tail and dropping the
 * head cost as much as the entries that come or go, however long the log is.
 *
 *     firstIndex          nextIndex
 *         v                   v
 *   [ .   5   6   7   8   9   .   . ]      capacity is a power of two, so positions wrap by a mask
 */
import type { LogIndex } from '@etcd/api';
import { type Entry, sizeEntry } from '@etcd/api/raftpb';
import { assert } from '@etcd/base';

const INITIAL_CAPACITY = 64;

export class EntryRing {
  #slots: (Entry | undefined)[] = new Array(INITIAL_CAPACITY);
  #head = 0;
  #count = 0;
  #firstIndex: LogIndex;

  constructor(firstIndex: LogIndex) {
    this.#firstIndex = firstIndex;
  }

  /** The index of the first entry, or of the next when there is none. */
  get firstIndex(): LogIndex {
    return this.#firstIndex;
  }

  /** The index behind the last entry. */
  get nextIndex(): number {
    return this.#firstIndex + this.#count;
  }

  get count(): number {
    return this.#count;
  }

  at(index: LogIndex): Entry {
    assert(index >= this.#firstIndex && index < this.nextIndex, 'entry ring: index out of range');
    return this.#slots[this.#slot(index)]!;
  }

  /** Appends `entries[from, …)`, the first of which must be at {@link nextIndex}. */
  append(entries: readonly Entry[], from = 0): void {
    const added = entries.length - from;
    if (added <= 0) return;
    assert(entries[from]!.index === this.nextIndex, 'entry ring: entries are not consecutive');
    if (this.#count + added > this.#slots.length) this.#grow(this.#count + added);
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#head + this.#count;
    for (let i = from; i < entries.length; i++) slots[slot++ & mask] = entries[i];
    this.#count += added;
  }

  /** Cuts off the entries from `index` on. */
  truncateFrom(index: LogIndex): void {
    assert(index >= this.#firstIndex && index <= this.nextIndex, 'entry ring: truncation out of range');
    this.#clear(index, this.nextIndex);
    this.#count = index - this.#firstIndex;
  }

  /** Drops the entries before `index`. */
  dropBefore(index: LogIndex): void {
    assert(index >= this.#firstIndex && index <= this.nextIndex, 'entry ring: drop out of range');
    this.#clear(this.#firstIndex, index);
    this.#head = this.#slot(index);
    this.#count -= index - this.#firstIndex;
    this.#firstIndex = index;
  }

  /** Drops everything; the next entry is at `firstIndex`. */
  reset(firstIndex: LogIndex): void {
    this.#clear(this.#firstIndex, this.nextIndex);
    this.#head = 0;
    this.#count = 0;
    this.#firstIndex = firstIndex;
  }

  /** The entries in [lo, hi), in an array of its own. */
  slice(lo: LogIndex, hi: LogIndex): Entry[] {
    assert(lo >= this.#firstIndex && lo <= hi && hi <= this.nextIndex, 'entry ring: slice out of range');
    const slots = this.#slots;
    const mask = slots.length - 1;
    const count = hi - lo;
    const entries = new Array<Entry>(count);
    let slot = this.#slot(lo);
    for (let i = 0; i < count; i++) entries[i] = slots[slot++ & mask]!;
    return entries;
  }

  /** The longest run from `lo` on, before `hi`, of at most `maxSizeBytes`, but at least one entry if there is one. */
  sliceOfSize(lo: LogIndex, hi: LogIndex, maxSizeBytes: number): Entry[] {
    return this.slice(lo, maxSizeBytes === Infinity ? hi : this.#endOfSize(lo, hi, maxSizeBytes));
  }

  #endOfSize(lo: LogIndex, hi: LogIndex, maxSizeBytes: number): number {
    let sizeBytes = 0;
    for (let index = lo; index < hi; index++) {
      sizeBytes += sizeEntry(this.at(index));
      if (sizeBytes > maxSizeBytes && index > lo) return index;
    }
    return hi;
  }

  #slot(index: LogIndex): number {
    return (this.#head + (index - this.#firstIndex)) & (this.#slots.length - 1);
  }

  /** Forgets the entries in [lo, hi), so that their data can be collected. */
  #clear(lo: LogIndex, hi: LogIndex): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#slot(lo);
    for (let index = lo; index < hi; index++) slots[slot++ & mask] = undefined;
  }

  #grow(needed: number): void {
    const old = this.#slots;
    let capacity = old.length;
    while (capacity < needed) capacity *= 2;
    const slots: (Entry | undefined)[] = new Array(capacity);
    for (let i = 0; i < this.#count; i++) slots[i] = old[(this.#head + i) & (old.length - 1)];
    this.#slots = slots;
    this.#head = 0;
  }
}
