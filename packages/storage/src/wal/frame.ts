/**
 * How a record lies in a segment:
 *
 *     8 bytes   length word, little endian: low 56 bits the record's size; top byte 0, or 0x80 | padding
 *     n bytes   walpb.Record: 08 type, 10 crc, and 1a length data unless data is absent
 *     p bytes   zeros up to a multiple of 8
 *
 * A length word never crosses a sector, so it is either there or not; a zero one ends the segment's data.
 */

export const RECORD_METADATA = 1;
export const RECORD_ENTRY = 2;
export const RECORD_STATE = 3;
export const RECORD_CRC = 4;
export const RECORD_SNAPSHOT = 5;

export const FRAME_BYTES = 8;
/** The smallest unit that a disk writes whole. */
export const SECTOR_BYTES = 512;
/** Segments are this long unless the last batch reached beyond it. */
export const SEGMENT_BYTES = 64_000_000;

const TAG_TYPE = 0x08;
const TAG_CRC = 0x10;
const TAG_DATA = 0x1a;
const TWO_32 = 0x1_0000_0000;

/** What {@link parseLengthWord} says of a word that no writer writes. */
export const BAD_LENGTH = -1;

/** How many zeros follow a record of `sizeBytes`. */
export function paddingOf(sizeBytes: number): number {
  return -sizeBytes & 7;
}

/** The record size in the length word at `position`: 0 at the end of the data, {@link BAD_LENGTH} if it can't be one. */
export function parseLengthWord(view: DataView, position: number): number {
  const high = view.getUint32(position + 4, true);
  const size = view.getUint32(position, true) + (high & 0xff_ffff) * TWO_32;
  const padding = paddingOf(size);
  const top = padding === 0 ? 0 : 0x80 | padding;
  return high >>> 24 === top ? size : BAD_LENGTH;
}

/**
 * A record's fields, as {@link parseRecord} finds them. One object is reused for all records: data is
 * `bytes[dataStart, dataEnd)` of what was parsed.
 */
export class RecordFields {
  type = 0;
  crc = 0;
  dataStart = 0;
  dataEnd = 0;
}

/**
 * Takes the record `bytes[start, end)` apart; false if that is no record. Every etcd writes the fields in this
 * order and each of them once, so anything else is damage.
 */
export function parseRecord(bytes: Uint8Array, start: number, end: number, into: RecordFields): boolean {
  // Types are below 128: one byte.
  if (end - start < 4 || bytes[start] !== TAG_TYPE || bytes[start + 1]! >= 0x80) return false;
  into.type = bytes[start + 1]!;
  if (bytes[start + 2] !== TAG_CRC) return false;
  let position = start + 3;
  const crc = readVarint(bytes, position, end);
  if (crc < 0) return false;
  into.crc = crc;
  position = varintEnd;
  into.dataStart = position;
  into.dataEnd = position;
  if (position === end) return true;
  if (bytes[position] !== TAG_DATA) return false;
  const length = readVarint(bytes, position + 1, end);
  if (length < 0 || varintEnd + length !== end) return false;
  into.dataStart = varintEnd;
  into.dataEnd = end;
  return true;
}

let varintEnd = 0;

/** A varint of at most 32 bits, or -1; {@link varintEnd} is behind it. */
function readVarint(bytes: Uint8Array, position: number, end: number): number {
  let value = 0;
  let factor = 1;
  for (let i = 0; i < 5 && position < end; i++) {
    const byte = bytes[position++]!;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) {
      varintEnd = position;
      return value < TWO_32 ? value : -1;
    }
    factor *= 128;
  }
  return -1;
}

/** Whether `bytes[start, end)` is zeros only. */
export function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}
