/**
 * Writers of protobuf's wire format. `sizeX` says how many bytes `writeX` writes; `writeX(target, position, value)`
 * writes them and returns the position behind. Nothing checks that `target` is large enough: the caller has sized it.
 */
import { assert } from '@etcd/base';
import type { UnknownFields } from './unknown-fields.ts';
import { BIG_UINT64, HIGH, LOW, WORDS } from './words.ts';

const TWO_28 = 0x1000_0000;
const TWO_32 = 0x1_0000_0000;
const TWO_63 = 2 ** 63;
const TWO_64 = 2 ** 64;

// The two words of the number that split() was given last.
let low = 0;
let high = 0;

/** A length, or any other integer in [0, 2^32). */
export function sizeUint32(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < TWO_28 ? 4 : 5;
}

export function writeUint32(target: Uint8Array, position: number, value: number): number {
  while (value >= 0x80) {
    target[position++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  target[position] = value;
  return position + 1;
}

/** int32 or an enum: negative values take ten bytes, as for int64. */
export function sizeInt32(value: number): number {
  return value < 0 ? 10 : sizeUint32(value);
}

export function writeInt32(target: Uint8Array, position: number, value: number): number {
  return value < 0
    ? writeWords(target, position, value >>> 0, 0xffff_ffff)
    : writeUint32(target, position, value);
}

/** The body of a packed field. */
export function sizeInt32s(values: readonly number[]): number {
  let size = 0;
  for (const value of values) size += sizeInt32(value);
  return size;
}

/** A counter (int64). An integer beyond the type's range is written as the nearest one inside. */
export function sizeInt64(value: number): number {
  if (value >= 0 && value < TWO_28) return sizeUint32(value);
  split(value, -TWO_63, TWO_63);
  return sizeWords(low, high);
}

export function writeInt64(target: Uint8Array, position: number, value: number): number {
  if (value >= 0 && value < TWO_28) return writeUint32(target, position, value);
  split(value, -TWO_63, TWO_63);
  return writeWords(target, position, low, high);
}

/** A non-negative counter (uint64). An integer beyond the type's range is written as the nearest one inside. */
export function sizeUint64(value: number): number {
  if (value >= 0 && value < TWO_28) return sizeUint32(value);
  split(value, 0, TWO_64);
  return sizeWords(low, high);
}

export function writeUint64(target: Uint8Array, position: number, value: number): number {
  if (value >= 0 && value < TWO_28) return writeUint32(target, position, value);
  split(value, 0, TWO_64);
  return writeWords(target, position, low, high);
}

/** An identifier, signed or not: the 64 bits are the same. */
export function sizeBigInt(value: bigint): number {
  BIG_UINT64[0] = value;
  return sizeWords(WORDS[LOW]!, WORDS[HIGH]!);
}

export function writeBigInt(target: Uint8Array, position: number, value: bigint): number {
  BIG_UINT64[0] = value;
  return writeWords(target, position, WORDS[LOW]!, WORDS[HIGH]!);
}

/** What a body of `length` bytes takes with its length before it. */
export function sizeDelimited(length: number): number {
  return sizeUint32(length) + length;
}

/** Length and content. */
export function writeBytes(target: Uint8Array, position: number, value: Uint8Array): number {
  position = writeUint32(target, position, value.length);
  target.set(value, position);
  return position + value.length;
}

/** Length and UTF-8; a lone surrogate becomes U+FFFD. */
export function sizeString(text: string): number {
  return sizeDelimited(utf8Length(text));
}

export function writeString(target: Uint8Array, position: number, text: string): number {
  position = writeUint32(target, position, utf8Length(text));
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i)!;
    if (code < 0x80) {
      target[position++] = code;
    } else if (code < 0x800) {
      target[position++] = 0xc0 | (code >> 6);
      target[position++] = 0x80 | (code & 0x3f);
    } else if (code < 0x1_0000) {
      const scalar = isSurrogate(code) ? 0xfffd : code;
      target[position++] = 0xe0 | (scalar >> 12);
      target[position++] = 0x80 | ((scalar >> 6) & 0x3f);
      target[position++] = 0x80 | (scalar & 0x3f);
    } else {
      target[position++] = 0xf0 | (code >> 18);
      target[position++] = 0x80 | ((code >> 12) & 0x3f);
      target[position++] = 0x80 | ((code >> 6) & 0x3f);
      target[position++] = 0x80 | (code & 0x3f);
      i++;
    }
  }
  return position;
}

export function writeUnknown(target: Uint8Array, position: number, fields: UnknownFields): number {
  target.set(fields.bytes(), position);
  return position + fields.length;
}

function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    // A surrogate pair is two units and four bytes, one more for each unit; a lone surrogate is three bytes.
    if (code < 0x800) length++;
    else if (text.codePointAt(i)! < 0x1_0000) length += 2;
    else {
      length += 2;
      i++;
    }
  }
  return length;
}

function isSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdfff;
}

/** Splits `value`, confined to [min, limit), into {@link low} and {@link high}, two's complement. */
function split(value: number, min: number, limit: number): void {
  assert(Number.isInteger(value), 'a counter is an integer');
  if (value >= limit) {
    low = 0xffff_ffff;
    high = limit === TWO_64 ? 0xffff_ffff : 0x7fff_ffff;
    return;
  }
  const confined = value < min ? min : value;
  low = confined >>> 0;
  high = Math.floor(confined / TWO_32) >>> 0;
}

function sizeWords(lowWord: number, highWord: number): number {
  if (highWord === 0) return sizeUint32(lowWord);
  // ceil(bits / 7) for bits in [33, 64], without a division.
  return ((64 - Math.clz32(highWord)) * 9 + 64) >>> 6;
}

function writeWords(target: Uint8Array, position: number, lowWord: number, highWord: number): number {
  while (highWord !== 0) {
    target[position++] = (lowWord & 0x7f) | 0x80;
    lowWord = ((lowWord >>> 7) | (highWord << 25)) >>> 0;
    highWord >>>= 7;
  }
  return writeUint32(target, position, lowWord);
}
