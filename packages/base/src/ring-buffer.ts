/**
 * A first-in first-out queue over one array that is reused in a circle. `Array.shift` moves every element of a
 * long queue; this never does.
 *
 *        head           head + count
 *          v                v
 *   [ .  . x  x  x  x  x  x .  . ]      capacity is a power of two, so positions wrap by a mask
 */
export class RingBuffer<T> {
  #slots: (T | undefined)[];
  #mask: number;
  #head = 0;
  #count = 0;

  /** @param capacity slots reserved at first, rounded up to a power of two; grows when full. */
  constructor(capacity = 16) {
    let size = 1;
    while (size < capacity) size *= 2;
    this.#slots = new Array(size);
    this.#mask = size - 1;
  }

  get count(): number {
    return this.#count;
  }

  /** Appends at the tail. */
  push(item: T): void {
    if (this.#count === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#count) & this.#mask] = item;
    this.#count++;
  }

  /** Removes and returns the head, or undefined when empty. */
  take(): T | undefined {
    if (this.#count === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & this.#mask;
    this.#count--;
    return item;
  }

  /** The item `index` places behind the head, or undefined outside [0, count). */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#count) return undefined;
    return this.#slots[(this.#head + index) & this.#mask];
  }

  /** The head, or undefined when empty. */
  peek(): T | undefined {
    return this.at(0);
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#head = 0;
    this.#count = 0;
  }

  #grow(): void {
    const old = this.#slots;
    const slots: (T | undefined)[] = new Array(old.length * 2);
    for (let i = 0; i < this.#count; i++) slots[i] = old[(this.#head + i) & this.#mask];
    this.#slots = slots;
    this.#mask = slots.length - 1;
    this.#head = 0;
  }
}
