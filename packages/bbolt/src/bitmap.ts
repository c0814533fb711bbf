/**
 * A bit per page id. A database of 8 GiB takes 256 KiB, whatever its fragmentation, and runs of set bits are found 32 pages
 * a step.
 */
export class Bitmap {
  #words: Uint32Array;
  #count = 0;

  constructor(bits = 0) {
    this.#words = new Uint32Array((bits + 31) >>> 5);
  }

  /** How many bits are set. */
  get count(): number {
    return this.#count;
  }

  has(bit: number): boolean {
    const index = bit >>> 5;
    return index < this.#words.length && (this.#words[index]! & (1 << (bit & 31))) !== 0;
  }

  /** Sets a bit; false when it was set already. */
  add(bit: number): boolean {
    const index = bit >>> 5;
    if (index >= this.#words.length) this.#grow(index + 1);
    const word = this.#words[index]!;
    const mask = 1 << (bit & 31);
    if ((word & mask) !== 0) return false;
    this.#words[index] = word | mask;
    this.#count++;
    return true;
  }

  /** Clears a bit; false when it was clear already. */
  delete(bit: number): boolean {
    const index = bit >>> 5;
    if (index >= this.#words.length) return false;
    const word = this.#words[index]!;
    const mask = 1 << (bit & 31);
    if ((word & mask) === 0) return false;
    this.#words[index] = word & ~mask;
    this.#count--;
    return true;
  }

  /** The first set bit in [from, ∞), or -1. */
  nextSet(from: number): number {
    const words = this.#words;
    let index = from >>> 5;
    if (index >= words.length) return -1;
    let word = words[index]! & (-1 << (from & 31));
    while (word === 0) {
      if (++index >= words.length) return -1;
      word = words[index]!;
    }
    return (index << 5) + lowestSet(word);
  }

  /** The first clear bit in [from, ∞). */
  nextClear(from: number): number {
    const words = this.#words;
    let index = from >>> 5;
    if (index >= words.length) return from;
    let word = ~words[index]! & (-1 << (from & 31));
    while (word === 0) {
      if (++index >= words.length) return index << 5;
      word = ~words[index]!;
    }
    return (index << 5) + lowestSet(word);
  }

  /** The lowest start, not below `from`, of `length` set bits in a row; -1 when there is none. */
  findRun(from: number, length: number): number {
    for (let start = this.nextSet(from); start !== -1; ) {
      const end = this.nextClear(start);
      if (end - start >= length) return start;
      start = this.nextSet(end);
    }
    return -1;
  }

  /** How many bits are set in [0, end). */
  countBelow(end: number): number {
    const words = this.#words;
    const whole = Math.min(words.length, end >>> 5);
    let count = 0;
    for (let i = 0; i < whole; i++) count += bitCount(words[i]!);
    if (whole < words.length) count += bitCount(words[whole]! & ~(-1 << (end & 31)));
    return count;
  }

  /** The length of the run of set bits that ends right before `end`. */
  runBefore(end: number): number {
    let length = 0;
    while (length < end && this.has(end - length - 1)) length++;
    return length;
  }

  #grow(words: number): void {
    const grown = new Uint32Array(Math.max(words, this.#words.length * 2));
    grown.set(this.#words);
    this.#words = grown;
  }
}

function bitCount(word: number): number {
  word -= (word >>> 1) & 0x5555_5555;
  word = (word & 0x3333_3333) + ((word >>> 2) & 0x3333_3333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function lowestSet(word: number): number {
  return 31 - Math.clz32(word & -word);
}
