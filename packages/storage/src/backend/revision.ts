/**
 * A revision (main, sub) as a key of the backend's `key` bucket: main and sub as big-endian 64-bit integers with '_' in
 * between, and 't' behind them when the revision is a tombstone. All changes of a transaction share main; sub counts them.
 */
export const REVISION_BYTES = 17;
export const TOMBSTONE_REVISION_BYTES = 18;
const SEPARATOR = 0x5f;
const TOMBSTONE_MARK = 0x74;
const TWO_POW_32 = 0x1_0000_0000;
/** Main stays below 2^53, sub below 2^31. */
const MAX_HIGH_WORD = 0x1f_ffff;
const MAX_SUB = 0x7fff_ffff;

/** Writes 18 bytes from `target[at]` on; the last one counts only for a tombstone. Returns how many do. */
export function writeRevision(
  target: Uint8Array,
  main: number,
  sub: number,
  isTombstone: boolean,
  at = 0,
): number {
  writeUint64(target, at, main);
  target[at + 8] = SEPARATOR;
  writeUint64(target, at + 9, sub);
  target[at + 17] = TOMBSTONE_MARK;
  return isTombstone ? TOMBSTONE_REVISION_BYTES : REVISION_BYTES;
}

/** The smallest key of revision (main, sub): where a scan from it begins. */
export function revisionBytes(main: number, sub = 0): Uint8Array {
  const target = new Uint8Array(TOMBSTONE_REVISION_BYTES);
  return target.subarray(0, writeRevision(target, main, sub, false));
}

/** Whether `buffer[start, end)` is a revision that this program can count with. */
export function isRevision(buffer: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length !== REVISION_BYTES && length !== TOMBSTONE_REVISION_BYTES) return false;
  if (buffer[start + 8] !== SEPARATOR) return false;
  if (length === TOMBSTONE_REVISION_BYTES && buffer[start + 17] !== TOMBSTONE_MARK) return false;
  if (readWord(buffer, start) > MAX_HIGH_WORD) return false;
  return readWord(buffer, start + 9) === 0 && readWord(buffer, start + 13) <= MAX_SUB;
}

export function mainOf(buffer: Uint8Array, start: number): number {
  return readWord(buffer, start) * TWO_POW_32 + readWord(buffer, start + 4);
}

export function subOf(buffer: Uint8Array, start: number): number {
  return readWord(buffer, start + 9) * TWO_POW_32 + readWord(buffer, start + 13);
}

function readWord(buffer: Uint8Array, at: number): number {
  return ((buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!) >>> 0;
}

function writeUint64(target: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_POW_32);
  target[at] = high >>> 24;
  target[at + 1] = high >>> 16;
  target[at + 2] = high >>> 8;
  target[at + 3] = high;
  target[at + 4] = value >>> 24;
  target[at + 5] = value >>> 16;
  target[at + 6] = value >>> 8;
  target[at + 7] = value;
}
