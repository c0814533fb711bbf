/**
 * Decodes header blocks (RFC 7541). One decoder serves one direction of one connection, and must see every
 * block in order, those of refused streams too: each may change the table that the next one refers to.
 *
 * `T` is what the owner makes of a list of fields. The decoder remembers it (`block-memo.ts`), so for a block
 * that it has seen before the owner gets the same object again and neither decodes nor interprets anything.
 *
 * One header, named in the options, is left out of the list and reported in {@link volatileField}: it is
 * expected to differ from block to block while the rest repeats.
 */
import { latin1FromBytes } from '@etcd/base';
import { BlockMemo, FieldListMemo, hashRange, LiteralMemo } from './block-memo.ts';
import { DEFAULT_TABLE_SIZE_BYTES, DynamicTable } from './dynamic-table.ts';
import { HeaderField } from './header-field.ts';
import { huffmanDecode, maxHuffmanDecodedLength } from './huffman.ts';
import { STATIC_TABLE, STATIC_TABLE_COUNT } from './static-table.ts';

export interface HpackDecoderOptions<T> {
  /**
   * Makes of a complete list what {@link HpackDecoder.decode} returns. The list is not changed afterwards.
   */
  readonly interpret: (fields: readonly HeaderField[], listSizeBytes: number) => T;
  /** A list longer than this (RFC 7541 sizes: 32 bytes a field on top) is decoded but not delivered. */
  readonly maxListSizeBytes: number;
  /** The table size that our SETTINGS allow the peer. */
  readonly maxTableSizeBytes?: number;
  /** Kind of the header that is kept out of the list. */
  readonly volatileKind?: number | undefined;
}

/** Integers beyond this have no honest use in a header block, whatever they stand for. */
const MAX_INTEGER = 1 << 24;
const MAX_INTEGER_BYTES = 5;

const NO_KIND = -1;

const INDEXED = 0x80;
/** An index that does not fit into the byte. */
const LONG_INDEX = 0xff;
const INCREMENTAL = 0x40;
const SIZE_UPDATE = 0x20;
const HUFFMAN = 0x80;

// Strings are decoded here before they become JavaScript strings; shared, since decoding never nests.
let scratch = Buffer.allocUnsafeSlow(4096);

export class HpackDecoder<T> {
  /** The volatile header of the block decoded last, or null. */
  volatileField: HeaderField | null = null;
  /**
   * Whether the last {@link decode} returned null because of the list's size, not because the block is
   * broken.
   */
  isListTooLarge = false;

  readonly #table: DynamicTable;
  readonly #maxTableSizeBytes: number;
  readonly #maxListSizeBytes: number;
  readonly #volatileKind: number;
  readonly #interpret: (fields: readonly HeaderField[], listSizeBytes: number) => T;
  readonly #blocks = new BlockMemo<T>();
  readonly #lists = new FieldListMemo<T>();
  readonly #literals = new LiteralMemo();

  // The block being decoded.
  #bytes: Uint8Array = scratch;
  #position = 0;
  #end = 0;
  #fields: HeaderField[] = [];
  #listSizeBytes = 0;
  #listHash = 0;

  constructor(options: HpackDecoderOptions<T>) {
    this.#maxTableSizeBytes = options.maxTableSizeBytes ?? DEFAULT_TABLE_SIZE_BYTES;
    this.#table = new DynamicTable(this.#maxTableSizeBytes);
    this.#maxListSizeBytes = options.maxListSizeBytes;
    this.#volatileKind = options.volatileKind ?? NO_KIND;
    this.#interpret = options.interpret;
  }

  get tableSizeBytes(): number {
    return this.#table.sizeBytes;
  }

  /**
   * Decodes the complete block `bytes[start, end)`. Null when it is broken, which leaves the table undefined
   * and the connection unusable, or when {@link isListTooLarge} says so, after which decoding goes on.
   */
  decode(bytes: Uint8Array, start: number, end: number): T | null {
    const version = this.#table.version;
    const hash = hashRange(bytes, start, end);
    const known = this.#blocks.find(bytes, start, end, hash, version);
    if (known !== null) {
      this.volatileField = known.volatileField;
      this.isListTooLarge = false;
      return known.meaning;
    }
    this.#begin(bytes, start, end);
    const isWhole = this.#decodeFields();
    // What arrived must not stay alive through this reference.
    this.#bytes = scratch;
    if (!isWhole) return null;
    if (this.#listSizeBytes > this.#maxListSizeBytes) {
      this.isListTooLarge = true;
      return null;
    }
    const meaning = this.#meaning();
    if (this.#table.version === version) {
      const entry = { tableVersion: version, meaning, volatileField: this.volatileField };
      this.#blocks.remember(bytes, start, end, hash, entry);
    }
    return meaning;
  }

  #begin(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = end;
    this.#fields.length = 0;
    this.#listSizeBytes = 0;
    this.#listHash = 0;
    this.volatileField = null;
    this.isListTooLarge = false;
  }

  #meaning(): T {
    const hash = this.#listHash ^ (this.#listHash >>> 15);
    const known = this.#lists.find(this.#fields, hash);
    if (known !== null) return known;
    const fields = this.#fields.slice();
    const meaning = this.#interpret(fields, this.#listSizeBytes);
    this.#lists.remember(fields, hash, meaning);
    return meaning;
  }

  #decodeFields(): boolean {
    if (!this.#resizeTable()) return false;
    const bytes = this.#bytes;
    const end = this.#end;
    while (this.#position < end) {
      const byte = bytes[this.#position]!;
      let field: HeaderField | null;
      if (byte < INDEXED) {
        field = this.#literal(byte);
      } else if (byte < LONG_INDEX) {
        // Nearly always an index is one byte.
        this.#position++;
        field = this.#entry(byte - INDEXED);
      } else {
        field = this.#entry(this.#integer(7));
      }
      if (field === null) return false;
      this.#add(field);
    }
    return true;
  }

  /**
   * Changes of the table's size come in front of the first field, at most two: the smallest in between, the
   * final one.
   */
  #resizeTable(): boolean {
    for (let updates = 0; this.#position < this.#end; updates++) {
      if ((this.#bytes[this.#position]! & 0xe0) !== SIZE_UPDATE) break;
      const sizeBytes = this.#integer(5);
      if (updates === 2 || sizeBytes < 0 || sizeBytes > this.#maxTableSizeBytes) return false;
      this.#table.resize(sizeBytes);
    }
    return true;
  }

  #add(field: HeaderField): void {
    this.#listSizeBytes += field.sizeBytes;
    // Past the limit only the table is kept right: a few bytes may refer to a large entry over and over.
    if (this.#listSizeBytes > this.#maxListSizeBytes) return;
    if (field.kind === this.#volatileKind) {
      this.volatileField = field;
      return;
    }
    this.#fields.push(field);
    this.#listHash = (Math.imul(this.#listHash, 31) + field.id) | 0;
  }

  #entry(index: number): HeaderField | null {
    if (index > STATIC_TABLE_COUNT) return this.#table.at(index - STATIC_TABLE_COUNT - 1);
    return index > 0 ? STATIC_TABLE[index]! : null;
  }

  #literal(byte: number): HeaderField | null {
    const isIncremental = (byte & INCREMENTAL) !== 0;
    if (!isIncremental && (byte & SIZE_UPDATE) !== 0) return null;
    const nameIndex = this.#integer(isIncremental ? 6 : 4);
    const sameName = nameIndex > 0 ? this.#entry(nameIndex) : null;
    const name = nameIndex === 0 ? this.#string() : (sameName?.name ?? null);
    if (name === null) return null;
    const field = this.#fieldOf(name, sameName);
    if (field !== null && isIncremental) this.#table.insert(field);
    return field;
  }

  /** Reads a literal's value and returns the field object, a known one when there is one. */
  #fieldOf(name: string, sameName: HeaderField | null): HeaderField | null {
    if (this.#position >= this.#end) return null;
    const isHuffman = this.#bytes[this.#position]! >= HUFFMAN;
    const length = this.#integer(7);
    const start = this.#position;
    const end = start + length;
    if (length < 0 || end > this.#end) return null;
    const isVolatile = sameName !== null && sameName.kind === this.#volatileKind;
    const known = isVolatile ? null : this.#literals.find(name, isHuffman, this.#bytes, start, end);
    if (known !== null) {
      this.#position = end;
      return known;
    }
    const value = this.#text(isHuffman, start, end);
    if (value === null) return null;
    const field = new HeaderField(name, value, sameName);
    if (!isVolatile) this.#literals.remember(field, isHuffman, this.#bytes, start, end);
    return field;
  }

  #string(): string | null {
    if (this.#position >= this.#end) return null;
    const isHuffman = (this.#bytes[this.#position]! & HUFFMAN) !== 0;
    const length = this.#integer(7);
    const start = this.#position;
    if (length < 0 || start + length > this.#end) return null;
    return this.#text(isHuffman, start, start + length);
  }

  #text(isHuffman: boolean, start: number, end: number): string | null {
    this.#position = end;
    const room = isHuffman ? maxHuffmanDecodedLength(end - start) : end - start;
    if (scratch.length < room) scratch = Buffer.allocUnsafeSlow(room * 2);
    if (isHuffman) {
      const length = huffmanDecode(this.#bytes, start, end, scratch, 0);
      return length < 0 ? null : latin1FromBytes(scratch, 0, length);
    }
    // Through the scratch buffer, because the block need not be a Buffer.
    for (let i = start; i < end; i++) scratch[i - start] = this.#bytes[i]!;
    return latin1FromBytes(scratch, 0, end - start);
  }

  /**
   * Reads an integer with a prefix of `prefixBits` (RFC 7541, section 5.1); -1 when it is cut off or absurd.
   */
  #integer(prefixBits: number): number {
    const bytes = this.#bytes;
    const mask = (1 << prefixBits) - 1;
    const prefix = bytes[this.#position++]! & mask;
    if (prefix < mask) return prefix;
    let value = prefix;
    for (let i = 0; i < MAX_INTEGER_BYTES; i++) {
      if (this.#position >= this.#end) return -1;
      const byte = bytes[this.#position++]!;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if ((byte & 0x80) === 0) return value <= MAX_INTEGER ? value : -1;
    }
    return -1;
  }
}
