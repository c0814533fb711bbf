/** A growing list of 32-bit integers outside the V8 heap: page ids by the million. */
export class IntList {
  #values: Int32Array;
  #count = 0;

  constructor(capacity = 16) {
    this.#values = new Int32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  push(value: number): void {
    if (this.#count === this.#values.length) this.#grow();
    this.#values[this.#count++] = value;
  }

  at(index: number): number {
    return this.#values[index]!;
  }

  set(index: number, value: number): void {
    this.#values[index] = value;
  }

  /** Keeps the first `count`. */
  truncate(count: number): void {
    this.#count = count;
  }

  /** The values so far, not a copy: meant nothing any more after the next push. */
  view(): Int32Array {
    return this.#values.subarray(0, this.#count);
  }

  #grow(): void {
    const values = new Int32Array(Math.max(16, this.#values.length * 2));
    values.set(this.#values);
    this.#values = values;
  }
}
