/**
 * A binary min-heap. Items remember their position through `setIndex`, so that one whose order has changed, or
 * that is no longer wanted, is fixed or removed in O(log n) without a search.
 */
import { assert } from './assert.ts';

export interface HeapOrder<T> {
  /** Whether `a` comes before `b`. */
  readonly before: (a: T, b: T) => boolean;
  /** Told the item's new position whenever it moves; -1 once it has left the heap. */
  readonly setIndex: (item: T, index: number) => void;
}

export class Heap<T> {
  readonly #items: T[] = [];
  readonly #order: HeapOrder<T>;

  constructor(order: HeapOrder<T>) {
    this.#order = order;
  }

  get count(): number {
    return this.#items.length;
  }

  /** The least item, or undefined when empty. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#up(this.#items.length - 1);
  }

  /** Removes and returns the least item, or undefined when empty. */
  pop(): T | undefined {
    return this.#items.length === 0 ? undefined : this.removeAt(0);
  }

  /** Restores the order after the item at `index` has changed. */
  fix(index: number): void {
    assert(index >= 0 && index < this.#items.length, 'heap: index out of range');
    if (!this.#down(index)) this.#up(index);
  }

  /** Removes and returns the item at `index`. */
  removeAt(index: number): T {
    assert(index >= 0 && index < this.#items.length, 'heap: index out of range');
    const removed = this.#items[index]!;
    const last = this.#items.pop()!;
    if (index < this.#items.length) {
      this.#place(last, index);
      if (!this.#down(index)) this.#up(index);
    }
    this.#order.setIndex(removed, -1);
    return removed;
  }

  #place(item: T, index: number): void {
    this.#items[index] = item;
    this.#order.setIndex(item, index);
  }

  #up(index: number): void {
    const item = this.#items[index]!;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#items[parentIndex]!;
      if (!this.#order.before(item, parent)) break;
      this.#place(parent, index);
      index = parentIndex;
    }
    this.#place(item, index);
  }

  /** Returns whether the item moved. */
  #down(start: number): boolean {
    const item = this.#items[start]!;
    const count = this.#items.length;
    let index = start;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= count) break;
      if (child + 1 < count && this.#order.before(this.#items[child + 1]!, this.#items[child]!)) child++;
      if (!this.#order.before(this.#items[child]!, item)) break;
      this.#place(this.#items[child]!, index);
      index = child;
    }
    this.#place(item, index);
    return index !== start;
  }
}
