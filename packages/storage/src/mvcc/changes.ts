/** What a write transaction has changed, in order of sub revisions: for the watchers. Flat, and reused by the next one. */

const INITIAL_CAPACITY = 16;
/** A list that one huge transaction has made larger than this is not kept. */
const MAX_KEPT_CAPACITY = 65_536;

export class Changes {
  #count = 0;
  #refs = new Int32Array(INITIAL_CAPACITY);
  #prevMains = new Float64Array(INITIAL_CAPACITY);
  #prevSubs = new Int32Array(INITIAL_CAPACITY);
  #tombstones = new Uint8Array(INITIAL_CAPACITY);

  get count(): number {
    return this.#count;
  }

  /** The changed key in the index. The index of a change is its sub revision. */
  ref(index: number): number {
    return this.#refs[index]!;
  }

  isTombstone(index: number): boolean {
    return this.#tombstones[index] === 1;
  }

  /**
   * The revision of the pair that was there before the transaction, whatever the transaction has done to the key since: what
   * watchers are told as the previous pair. 0 when there was none, and for a put that creates the key, be it anew.
   */
  prevMain(index: number): number {
    return this.#prevMains[index]!;
  }

  prevSub(index: number): number {
    return this.#prevSubs[index]!;
  }

  push(ref: number, isTombstone: boolean, prevMain: number, prevSub: number): void {
    if (this.#count === this.#refs.length) this.#resize(this.#count * 2);
    this.#refs[this.#count] = ref;
    this.#prevMains[this.#count] = prevMain;
    this.#prevSubs[this.#count] = prevSub;
    this.#tombstones[this.#count] = isTombstone ? 1 : 0;
    this.#count++;
  }

  clear(): void {
    this.#count = 0;
    if (this.#refs.length > MAX_KEPT_CAPACITY) this.#resize(INITIAL_CAPACITY);
  }

  #resize(capacity: number): void {
    const kept = this.#count;
    const refs = new Int32Array(capacity);
    const prevMains = new Float64Array(capacity);
    const prevSubs = new Int32Array(capacity);
    const tombstones = new Uint8Array(capacity);
    refs.set(this.#refs.subarray(0, kept));
    prevMains.set(this.#prevMains.subarray(0, kept));
    prevSubs.set(this.#prevSubs.subarray(0, kept));
    tombstones.set(this.#tombstones.subarray(0, kept));
    this.#refs = refs;
    this.#prevMains = prevMains;
    this.#prevSubs = prevSubs;
    this.#tombstones = tombstones;
  }
}
