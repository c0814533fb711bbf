/**
 * Revisions as flat numbers: what a compaction drops, what a commit deletes. Cleared and used again rather than made anew.
 */
/** Sorting packs a position into the low 16 bits of a double's 53. */
const MAX_SORTED = 65_536;
const MAX_SORTED_SPAN = 2 ** 37;

export class RevisionList {
  #count = 0;
  #mains = new Float64Array(16);
  #subs = new Int32Array(16);
  #tombstones = new Uint8Array(16);

  get count(): number {
    return this.#count;
  }

  push(main: number, sub: number, isTombstone: boolean): void {
    if (this.#count === this.#mains.length) this.#grow();
    this.#mains[this.#count] = main;
    this.#subs[this.#count] = sub;
    this.#tombstones[this.#count] = isTombstone ? 1 : 0;
    this.#count++;
  }

  clear(): void {
    this.#count = 0;
  }

  main(index: number): number {
    return this.#mains[index]!;
  }

  sub(index: number): number {
    return this.#subs[index]!;
  }

  isTombstone(index: number): boolean {
    return this.#tombstones[index] === 1;
  }

  /** Puts the revisions in order of main: for at most 65,536 of them that are less than 2^37 apart; else leaves them. */
  sortByMain(): void {
    const count = this.#count;
    if (count === 0 || count > MAX_SORTED) return;
    const mains = this.#mains.slice(0, count);
    let lowest = Number.POSITIVE_INFINITY;
    let highest = 0;
    for (const main of mains) {
      if (main < lowest) lowest = main;
      if (main > highest) highest = main;
    }
    if (highest - lowest >= MAX_SORTED_SPAN) return;
    // Place and position in one double: the array sorts without a comparator.
    const order = mains.map((main, index) => (main - lowest) * MAX_SORTED + index).sort();
    const subs = this.#subs.slice(0, count);
    const tombstones = this.#tombstones.slice(0, count);
    for (let i = 0; i < count; i++) {
      const from = order[i]! % MAX_SORTED;
      this.#mains[i] = mains[from]!;
      this.#subs[i] = subs[from]!;
      this.#tombstones[i] = tombstones[from]!;
    }
  }

  #grow(): void {
    const mains = new Float64Array(this.#count * 2);
    const subs = new Int32Array(this.#count * 2);
    const tombstones = new Uint8Array(this.#count * 2);
    mains.set(this.#mains);
    subs.set(this.#subs);
    tombstones.set(this.#tombstones);
    this.#mains = mains;
    this.#subs = subs;
    this.#tombstones = tombstones;
  }
}
