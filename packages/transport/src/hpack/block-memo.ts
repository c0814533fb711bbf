/**
 * Remembers what recent header blocks and literals meant. Clients repeat themselves: the same method on the
 * same connection sends the same bytes, so the usual block is recognised by a hash and a comparison instead
 * of decoded. Three small direct-mapped caches; a collision only costs a decode.
 *
 * - {@link BlockMemo}: bytes of a block to its meaning, as long as the dynamic table has not changed.
 * - {@link FieldListMemo}: the list of field objects of a block to its meaning. Finds the same meaning when indices
 *   have moved because some other field (a timeout that differs in every request) went into the table.
 * - {@link LiteralMemo}: name and encoded bytes of a literal to its field object, whatever the table holds.
 */
import { copyBytes } from '@etcd/base';
import type { HeaderField } from './header-field.ts';

const SLOTS = 32;
/** Longer blocks and literals are decoded every time: what is remembered costs memory on every connection. */
const MAX_REMEMBERED_BYTES = 1024;

class BlockEntry<T> {
  readonly bytes: Uint8Array;
  readonly tableVersion: number;
  readonly meaning: T;
  readonly volatileField: HeaderField | null;

  constructor(bytes: Uint8Array, tableVersion: number, meaning: T, volatileField: HeaderField | null) {
    this.bytes = bytes;
    this.tableVersion = tableVersion;
    this.meaning = meaning;
    this.volatileField = volatileField;
  }
}

export class BlockMemo<T> {
  #slots: (BlockEntry<T> | null)[] = [];

  find(
    bytes: Uint8Array,
    start: number,
    end: number,
    hash: number,
    tableVersion: number,
  ): BlockEntry<T> | null {
    if (this.#slots.length === 0) return null;
    const entry = this.#slots[hash & (SLOTS - 1)]!;
    if (entry === null || entry.tableVersion !== tableVersion) return null;
    return equalRange(entry.bytes, bytes, start, end) ? entry : null;
  }

  remember(
    bytes: Uint8Array,
    start: number,
    end: number,
    hash: number,
    entry: { tableVersion: number; meaning: T; volatileField: HeaderField | null },
  ): void {
    if (end - start > MAX_REMEMBERED_BYTES) return;
    if (this.#slots.length === 0) this.#slots = new Array(SLOTS).fill(null);
    this.#slots[hash & (SLOTS - 1)] = new BlockEntry(
      copyBytes(bytes.subarray(start, end)),
      entry.tableVersion,
      entry.meaning,
      entry.volatileField,
    );
  }
}

interface FieldListEntry<T> {
  readonly fields: readonly HeaderField[];
  readonly meaning: T;
}

export class FieldListMemo<T> {
  #slots: (FieldListEntry<T> | null)[] = [];

  /** The meaning of `fields`, or null. */
  find(fields: readonly HeaderField[], hash: number): T | null {
    if (this.#slots.length === 0) return null;
    const slot = hash & (SLOTS - 1);
    const entry = this.#slots[slot]!;
    if (entry !== null && equalLists(entry.fields, fields)) return entry.meaning;
    const neighbour = this.#slots[slot ^ 1]!;
    return neighbour !== null && equalLists(neighbour.fields, fields) ? neighbour.meaning : null;
  }

  remember(fields: readonly HeaderField[], hash: number, meaning: T): void {
    if (this.#slots.length === 0) this.#slots = new Array(SLOTS).fill(null);
    // Of two lists that meet in a slot the first stays: it is likely the one that all requests repeat.
    const slot = hash & (SLOTS - 1);
    this.#slots[this.#slots[slot] === null ? slot : slot ^ 1] = { fields, meaning };
  }
}

function equalLists(a: readonly HeaderField[], b: readonly HeaderField[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

interface LiteralEntry {
  readonly name: string;
  readonly isHuffman: boolean;
  readonly bytes: Uint8Array;
  readonly field: HeaderField;
}

export class LiteralMemo {
  #slots: (LiteralEntry | null)[] = [];

  find(name: string, isHuffman: boolean, bytes: Uint8Array, start: number, end: number): HeaderField | null {
    if (this.#slots.length === 0) return null;
    const entry = this.#slots[literalSlot(name, bytes, start, end)]!;
    if (entry === null || entry.name !== name || entry.isHuffman !== isHuffman) return null;
    return equalRange(entry.bytes, bytes, start, end) ? entry.field : null;
  }

  remember(field: HeaderField, isHuffman: boolean, bytes: Uint8Array, start: number, end: number): void {
    if (end - start > MAX_REMEMBERED_BYTES) return;
    if (this.#slots.length === 0) this.#slots = new Array(SLOTS).fill(null);
    const slot = literalSlot(field.name, bytes, start, end);
    this.#slots[slot] = { name: field.name, isHuffman, bytes: copyBytes(bytes.subarray(start, end)), field };
  }
}

/** Multiplicative hash of `bytes[start, end)`; the low bits are the well-mixed ones. */
export function hashRange(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
  return hash ^ (hash >>> 15);
}

function literalSlot(name: string, bytes: Uint8Array, start: number, end: number): number {
  return (hashRange(bytes, start, end) + name.length) & (SLOTS - 1);
}

function equalRange(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = known.length;
  if (length !== end - start) return false;
  for (let i = 0; i < length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
