/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as Go's `hash/crc32` computes it: the checksum of WAL
 * records, `.snap` files and key-value hashes. Sixteen bytes a step through sixteen tables ("slicing by 16"), read as
 * four words; the tables lie in one array so that a step touches one object.
 */

const POLYNOMIAL = 0x82f63b78;
const TABLES = buildTables();

/** From this length on, reading words through a DataView is worth looking up the view. */
const WORDS_FROM_BYTES = 64;

// The view of the buffer seen last: callers come with the same one again and again, and making a view costs more than
// the CRC of a hundred bytes.
let viewedBuffer: ArrayBufferLike = new ArrayBuffer(0);
let view: DataView = new DataView(viewedBuffer);

/** Continues the CRC `crc` (0 to begin) over `bytes[start, end)`. */
export function crc32cUpdate(crc: number, bytes: Uint8Array, start: number, end: number): number {
  const tables = TABLES;
  let state = ~crc;
  let i = start;
  if (end - start >= WORDS_FROM_BYTES) {
    const buffer = bytes.buffer;
    if (buffer !== viewedBuffer) viewBuffer(buffer);
    const words = view;
    const shift = bytes.byteOffset;
    let at = start + shift;
    for (const wholeEnd = end + shift - 15; at < wholeEnd; at += 16) {
      state ^= words.getInt32(at, true);
      const b = words.getInt32(at + 4, true);
      const c = words.getInt32(at + 8, true);
      const d = words.getInt32(at + 12, true);
      state =
        tables[0xf00 | (state & 0xff)]! ^
        tables[0xe00 | ((state >>> 8) & 0xff)]! ^
        tables[0xd00 | ((state >>> 16) & 0xff)]! ^
        tables[0xc00 | (state >>> 24)]! ^
        tables[0xb00 | (b & 0xff)]! ^
        tables[0xa00 | ((b >>> 8) & 0xff)]! ^
        tables[0x900 | ((b >>> 16) & 0xff)]! ^
        tables[0x800 | (b >>> 24)]! ^
        tables[0x700 | (c & 0xff)]! ^
        tables[0x600 | ((c >>> 8) & 0xff)]! ^
        tables[0x500 | ((c >>> 16) & 0xff)]! ^
        tables[0x400 | (c >>> 24)]! ^
        tables[0x300 | (d & 0xff)]! ^
        tables[0x200 | ((d >>> 8) & 0xff)]! ^
        tables[0x100 | ((d >>> 16) & 0xff)]! ^
        tables[d >>> 24]!;
    }
    i = at - shift;
  }
  for (const wholeEnd = end - 7; i < wholeEnd; i += 8) {
    state ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    state =
      tables[0x700 | (state & 0xff)]! ^
      tables[0x600 | ((state >>> 8) & 0xff)]! ^
      tables[0x500 | ((state >>> 16) & 0xff)]! ^
      tables[0x400 | (state >>> 24)]! ^
      tables[0x300 | bytes[i + 4]!]! ^
      tables[0x200 | bytes[i + 5]!]! ^
      tables[0x100 | bytes[i + 6]!]! ^
      tables[bytes[i + 7]!]!;
  }
  for (; i < end; i++) state = tables[(state ^ bytes[i]!) & 0xff]! ^ (state >>> 8);
  return ~state >>> 0;
}

/** The CRC of all of `bytes`. */
export function crc32c(bytes: Uint8Array): number {
  return crc32cUpdate(0, bytes, 0, bytes.length);
}

function viewBuffer(buffer: ArrayBufferLike): void {
  viewedBuffer = buffer;
  view = new DataView(buffer);
}

/** Table t, entry b (at t * 256 + b): the effect of byte b on the CRC when t more bytes follow it in the step. */
function buildTables(): Int32Array {
  const tables = new Int32Array(16 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let state = byte;
    for (let bit = 0; bit < 8; bit++) state = state & 1 ? (state >>> 1) ^ POLYNOMIAL : state >>> 1;
    tables[byte] = state;
  }
  for (let t = 1; t < 16; t++) {
    for (let byte = 0; byte < 256; byte++) {
      const previous = tables[(t - 1) * 256 + byte]!;
      tables[t * 256 + byte] = tables[previous & 0xff]! ^ (previous >>> 8);
    }
  }
  return tables;
}
