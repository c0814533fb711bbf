/**
 * A list of ranges of arrays: encoded KeyValues of an answer, encoded events for watchers. The arrays may be written over in a later
 * turn, unless whoever made the list says that they are not.
 */
export class Slices {
  #buffers: Uint8Array[] = [];
  /** Start and end of each. */
  #bounds: number[] = [];
  #bytes = 0;

  get count(): number {
    return this.#buffers.length;
  }

  /** Bytes of all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Item `index` is `buffer(index)[start(index), end(index))`. */
  buffer(index: number): Uint8Array {
    return this.#buffers[index]!;
  }

  start(index: number): number {
    return this.#bounds[index * 2]!;
  }

  end(index: number): number {
    return this.#bounds[index * 2 + 1]!;
  }

  push(buffer: Uint8Array, start: number, end: number): void {
    if (this.#buffers.length === 0) {
      // Mostly it stays alone, and V8 makes room for seventeen when the first is pushed.
      this.#buffers = [buffer];
      this.#bounds = [start, end];
    } else {
      this.#buffers.push(buffer);
      this.#bounds.push(start, end);
    }
    this.#bytes += end - start;
  }

  /** Forgets all: their consumer has copied them. */
  clear(): void {
    this.truncate(0);
  }

  /** Forgets those from `count` on. */
  truncate(count: number): void {
    for (let i = count; i < this.#buffers.length; i++) this.#bytes -= this.end(i) - this.start(i);
    this.#buffers.length = count;
    this.#bounds.length = count * 2;
  }

  /** The items of `order`, in that order. */
  reorder(order: readonly number[]): void {
    const buffers = order.map((index) => this.#buffers[index]!);
    const bounds = order.flatMap((index) => [this.start(index), this.end(index)]);
    this.clear();
    for (let i = 0; i < buffers.length; i++) this.push(buffers[i]!, bounds[i * 2]!, bounds[i * 2 + 1]!);
  }
}
