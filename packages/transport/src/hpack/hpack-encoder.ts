/**
 * Encodes header blocks (RFC 7541). One encoder serves one direction of one connection; blocks must be sent
 * in the order in which they were encoded.
 *
 * Which fields enter the dynamic table is the caller's choice, field by field. As long as {@link
 * HpackEncoder.version} stays the same, encoding the same fields gives the same bytes, so callers keep
 * finished blocks for the usual cases.
 */
import { DEFAULT_TABLE_SIZE_BYTES, DynamicTable } from './dynamic-table.ts';
import { HeaderField } from './header-field.ts';
import { huffmanEncode, huffmanEncodedLength } from './huffman.ts';
import { STATIC_TABLE_COUNT, staticIndexOfField, staticIndexOfName } from './static-table.ts';

/** How a field that is in no table yet is sent. */
export const Indexing = {
  /** As a literal every time. */
  NONE: 0,
  /** As a literal that enters the table: one or two bytes from the second time on. */
  INCREMENTAL: 1,
  /** As a literal that no intermediary may index either: for secrets that are short enough to guess. */
  NEVER: 2,
} as const;

const INITIAL_BUFFER_BYTES = 256;
/** Room for the largest integer representation. */
const MAX_INTEGER_BYTES = 6;

export class HpackEncoder {
  readonly #table = new DynamicTable(DEFAULT_TABLE_SIZE_BYTES);
  #buffer = Buffer.allocUnsafeSlow(INITIAL_BUFFER_BYTES);
  #length = 0;
  // Size changes that the peer has to be told in front of the next block; -1 for none.
  #smallestPendingSize = -1;
  #pendingVersions = 0;

  /** Changes whenever the same fields may have to be encoded differently. */
  get version(): number {
    return this.#table.version + this.#pendingVersions;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. More than the default is not made use of. */
  setPeerTableSize(sizeBytes: number): void {
    const size = Math.min(sizeBytes, DEFAULT_TABLE_SIZE_BYTES);
    if (size === this.#table.maxSizeBytes && this.#smallestPendingSize < 0) return;
    this.#table.resize(size);
    this.#smallestPendingSize =
      this.#smallestPendingSize < 0 ? size : Math.min(this.#smallestPendingSize, size);
  }

  begin(): void {
    this.#length = 0;
    if (this.#smallestPendingSize < 0) return;
    this.#reserve(2 * MAX_INTEGER_BYTES);
    if (this.#smallestPendingSize < this.#table.maxSizeBytes)
      this.#integer(0x20, 5, this.#smallestPendingSize);
    this.#integer(0x20, 5, this.#table.maxSizeBytes);
    this.#smallestPendingSize = -1;
    // Whoever compares versions from before and after a block must not take this one for one to send again.
    this.#pendingVersions++;
  }

  /** Adds a field; `name` in lower case, `value` latin1. */
  add(name: string, value: string, indexing: number): void {
    const staticIndex = staticIndexOfField(name, value);
    const index = staticIndex !== 0 ? staticIndex : this.#dynamicIndex(name, value);
    if (index !== 0) {
      this.#reserve(MAX_INTEGER_BYTES);
      this.#integer(0x80, 7, index);
      return;
    }
    let nameIndex = staticIndexOfName(name);
    if (nameIndex === 0) nameIndex = this.#dynamicIndex(name, null);
    const field = indexing === Indexing.INCREMENTAL ? new HeaderField(name, value) : null;
    // A field that would push out most of the others is not worth its place.
    const isIndexed = field !== null && field.sizeBytes * 2 <= this.#table.maxSizeBytes;
    this.#reserve(3 * MAX_INTEGER_BYTES + name.length + value.length);
    if (isIndexed) this.#integer(0x40, 6, nameIndex);
    else this.#integer(indexing === Indexing.NEVER ? 0x10 : 0x00, 4, nameIndex);
    if (nameIndex === 0) this.#string(name);
    this.#string(value);
    if (isIndexed) this.#table.insert(field);
  }

  /** The block; a view that is valid until the next {@link begin}. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Index of the field, or of any field of that name when `value` is null; 0 when there is none. */
  #dynamicIndex(name: string, value: string | null): number {
    for (let i = 0; i < this.#table.count; i++) {
      const field = this.#table.at(i)!;
      if (field.name === name && (value === null || field.value === value)) return STATIC_TABLE_COUNT + 1 + i;
    }
    return 0;
  }

  #reserve(length: number): void {
    if (this.#buffer.length - this.#length >= length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + length));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }

  #integer(pattern: number, prefixBits: number, value: number): void {
    const mask = (1 << prefixBits) - 1;
    if (value < mask) {
      this.#buffer[this.#length++] = pattern | value;
      return;
    }
    this.#buffer[this.#length++] = pattern | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
    this.#buffer[this.#length++] = rest;
  }

  #string(text: string): void {
    const encodedLength = huffmanEncodedLength(text);
    if (encodedLength < text.length) {
      this.#integer(0x80, 7, encodedLength);
      this.#length = huffmanEncode(text, this.#buffer, this.#length);
      return;
    }
    this.#integer(0x00, 7, text.length);
    this.#length += this.#buffer.write(text, this.#length, 'latin1');
  }
}
