/**
 * Fields that a message carries and this program does not know: a newer peer's. They are kept in the order of arrival,
 * copied out of the input, and written back behind the known fields.
 */

const INITIAL_BYTES = 32;

export class UnknownFields {
  #buffer = new Uint8Array(INITIAL_BYTES);
  #length = 0;

  /** Encoded bytes held. */
  get length(): number {
    return this.#length;
  }

  /** A view of the encoded fields, valid until the next {@link append}. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Adds one encoded field, `source[start, end)`, tag included. */
  append(source: Uint8Array, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#buffer.length) this.#grow(length);
    this.#buffer.set(source.subarray(start, end), this.#length);
    this.#length = length;
  }

  #grow(length: number): void {
    // Doubling keeps a message of nothing but unknown fields linear to decode.
    const larger = new Uint8Array(Math.max(length, 2 * this.#buffer.length));
    larger.set(this.bytes());
    this.#buffer = larger;
  }
}
