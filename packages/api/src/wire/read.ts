/**
 * Readers of protobuf's wire format, as the generated decoders call them:
 *
 *     value = readX(bytes, position, end);
 *     position = cursor;
 *
 * Each reads one value at `position`, looks at no byte outside `[position, end)`, and leaves in {@link cursor} where the
 * next one begins. The second result travels in a module variable because returning two values would allocate.
 * Malformed input throws {@link DecodeError}.
 *
 * 64-bit integers come in two forms. Counters are Numbers: exact up to 2^53, the nearest double beyond, so that a
 * revision from the far future is still in the future. Identifiers are BigInts, always exact.
 */
import { EMPTY_BYTES, latin1FromBytes } from '@etcd/base';
import { MAX_MESSAGE_DEPTH, malformed } from './decode-error.ts';
import { UnknownFields } from './unknown-fields.ts';
import { BIG_INT64, BIG_UINT64, HIGH, LOW, WORDS } from './words.ts';

/** Where the value that was read last ended. */
export let cursor = 0;

// The 64 bits of the varint that readLong read last.
let low = 0;
let high = 0;

/** The wire types that etcd's messages use; a field's tag is `number * 8 + type`. */
export const WIRE_VARINT = 0;
export const WIRE_DELIMITED = 2;

// Those that only unknown fields have.
const WIRE_FIXED64 = 1;
const WIRE_START_GROUP = 3;
const WIRE_END_GROUP = 4;
const WIRE_FIXED32 = 5;
const TWO_32 = 0x1_0000_0000;

/** A non-negative counter (uint64). */
export function readUint64(bytes: Uint8Array, position: number, end: number): number {
  if (position < end) {
    const byte = bytes[position]!;
    if (byte < 0x80) {
      cursor = position + 1;
      return byte;
    }
  }
  return readUint64Slow(bytes, position, end);
}

/** A counter that may be negative (int64). */
export function readInt64(bytes: Uint8Array, position: number, end: number): number {
  if (position < end) {
    const byte = bytes[position]!;
    if (byte < 0x80) {
      cursor = position + 1;
      return byte;
    }
  }
  return readInt64Slow(bytes, position, end);
}

/** uint32; of a longer varint the low 32 bits count. */
export function readUint32(bytes: Uint8Array, position: number, end: number): number {
  readLong(bytes, position, end);
  return low >>> 0;
}

/** int32 or an enum, whose values may be unknown ones; of a longer varint the low 32 bits count. */
export function readInt32(bytes: Uint8Array, position: number, end: number): number {
  if (position < end) {
    const byte = bytes[position]!;
    if (byte < 0x80) {
      cursor = position + 1;
      return byte;
    }
  }
  readLong(bytes, position, end);
  return low | 0;
}

export function readBool(bytes: Uint8Array, position: number, end: number): boolean {
  if (position < end) {
    const byte = bytes[position]!;
    if (byte < 0x80) {
      cursor = position + 1;
      return byte !== 0;
    }
  }
  readLong(bytes, position, end);
  return (low | high) !== 0;
}

/** An unsigned identifier (uint64). */
export function readBigUint64(bytes: Uint8Array, position: number, end: number): bigint {
  readLong(bytes, position, end);
  if ((low | high) === 0) return 0n;
  WORDS[LOW] = low;
  WORDS[HIGH] = high;
  return BIG_UINT64[0]!;
}

/** A signed identifier (int64). */
export function readBigInt64(bytes: Uint8Array, position: number, end: number): bigint {
  readLong(bytes, position, end);
  if ((low | high) === 0) return 0n;
  WORDS[LOW] = low;
  WORDS[HIGH] = high;
  return BIG_INT64[0]!;
}

/** The length before a sub-message or packed field: returns where its body ends; {@link cursor} is where it begins. */
export function readLimit(bytes: Uint8Array, position: number, end: number): number {
  const length = readUint64(bytes, position, end);
  if (length > end - cursor) throw malformed('truncated', 'length beyond the end', position);
  return cursor + length;
}

/** A byte string: a view of the input, not a copy. */
export function readBytes(bytes: Uint8Array, position: number, end: number): Uint8Array {
  const limit = readLimit(bytes, position, end);
  const start = cursor;
  cursor = limit;
  return start === limit ? EMPTY_BYTES : bytes.subarray(start, limit);
}

/** A proto3 string: anything but UTF-8 is malformed. */
export function readString(bytes: Uint8Array, position: number, end: number): string {
  const limit = readLimit(bytes, position, end);
  const start = cursor;
  cursor = limit;
  if (isAscii(bytes, start, limit)) return latin1FromBytes(bytes, start, limit);
  try {
    return strictDecoder.decode(bytes.subarray(start, limit));
  } catch {
    throw malformed('utf8', 'string is not UTF-8', start);
  }
}

/** A proto2 string, which nobody validates: invalid sequences become U+FFFD. */
export function readStringLossy(bytes: Uint8Array, position: number, end: number): string {
  const limit = readLimit(bytes, position, end);
  const start = cursor;
  cursor = limit;
  if (isAscii(bytes, start, limit)) return latin1FromBytes(bytes, start, limit);
  return lossyDecoder.decode(bytes.subarray(start, limit));
}

/** A tag of two bytes or more (or a needlessly long one). */
export function readTag(bytes: Uint8Array, position: number, end: number): number {
  readLong(bytes, position, end);
  if (high !== 0) throw malformed('field-number', 'field number out of range', position);
  return low >>> 0;
}

/**
 * Adds the field whose tag begins at `position` to `unknown`, which is made on first use; {@link cursor} is behind it.
 * Also where a tag that no field has ends up: it throws.
 */
export function keepUnknown(
  unknown: UnknownFields | null,
  bytes: Uint8Array,
  position: number,
  end: number,
): UnknownFields {
  const tag = readTag(bytes, position, end);
  skipField(tag, bytes, cursor, end, 0);
  const fields = unknown ?? new UnknownFields();
  fields.append(bytes, position, cursor);
  return fields;
}

/** Throws when `depth` sub-messages are one too many. */
export function checkDepth(depth: number, position: number): void {
  if (depth > MAX_MESSAGE_DEPTH) throw malformed('depth', 'nested too deeply', position);
}

function skipField(tag: number, bytes: Uint8Array, position: number, end: number, depth: number): void {
  const fieldNumber = tag >>> 3;
  if (fieldNumber === 0) throw malformed('field-number', 'field number 0', position);
  switch (tag & 7) {
    case WIRE_VARINT:
      readLong(bytes, position, end);
      return;
    case WIRE_FIXED64:
      skipFixed(position, end, 8);
      return;
    case WIRE_DELIMITED:
      cursor = readLimit(bytes, position, end);
      return;
    case WIRE_START_GROUP:
      skipGroup(fieldNumber, bytes, position, end, depth);
      return;
    case WIRE_END_GROUP:
      throw malformed('group', 'end of a group that was not begun', position);
    case WIRE_FIXED32:
      skipFixed(position, end, 4);
      return;
    default:
      throw malformed('wire-type', `wire type ${tag & 7}`, position);
  }
}

function skipFixed(position: number, end: number, sizeBytes: number): void {
  if (end - position < sizeBytes) throw malformed('truncated', 'input ends inside a field', position);
  cursor = position + sizeBytes;
}

function skipGroup(
  fieldNumber: number,
  bytes: Uint8Array,
  position: number,
  end: number,
  depth: number,
): void {
  checkDepth(depth + 1, position);
  for (;;) {
    const tag = readTag(bytes, position, end);
    if ((tag & 7) === WIRE_END_GROUP && tag >>> 3 === fieldNumber) return;
    skipField(tag, bytes, cursor, end, depth + 1);
    position = cursor;
  }
}

function readUint64Slow(bytes: Uint8Array, position: number, end: number): number {
  readLong(bytes, position, end);
  return high === 0 ? low >>> 0 : (high >>> 0) * TWO_32 + (low >>> 0);
}

function readInt64Slow(bytes: Uint8Array, position: number, end: number): number {
  readLong(bytes, position, end);
  return high === 0 ? low >>> 0 : (high | 0) * TWO_32 + (low >>> 0);
}

/** Reads a varint of any length into {@link low} and {@link high}. */
function readLong(bytes: Uint8Array, position: number, end: number): void {
  let value = 0;
  high = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    if (position >= end) throw malformed('truncated', 'input ends inside a varint', position);
    const byte = bytes[position++]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      low = value;
      cursor = position;
      return;
    }
  }
  readHighBits(value, bytes, position, end);
}

/** The rest of a varint whose first four bytes gave `value`, its low 28 bits. */
function readHighBits(value: number, bytes: Uint8Array, position: number, end: number): void {
  for (let i = 4; i < 10; i++) {
    if (position >= end) throw malformed('truncated', 'input ends inside a varint', position);
    const byte = bytes[position++]!;
    const bits = byte & 0x7f;
    // The fifth byte straddles the two words; the tenth holds but one bit.
    if (i === 4) {
      value |= bits << 28;
      high = bits >>> 4;
    } else {
      high |= bits << (i * 7 - 32);
    }
    if (byte < 0x80) {
      if (i === 9 && byte > 1) break;
      low = value;
      cursor = position;
      return;
    }
  }
  throw malformed('varint', 'varint of more than 64 bits', position);
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! >= 0x80) return false;
  return true;
}

// The name exists in every JavaScript runtime but not in the ECMAScript library's types.
declare const TextDecoder: new (
  label: string,
  options: { ignoreBOM: boolean; fatal: boolean },
) => { decode(bytes: Uint8Array): string };

const strictDecoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const lossyDecoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: false });
