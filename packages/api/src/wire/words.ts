/**
 * One 64-bit cell seen as two 32-bit words and as a BigInt: the cheapest way between the two, with no arithmetic on
 * BigInts. Whoever writes it reads it before calling anything else.
 */

const CELL = new ArrayBuffer(8);

export const WORDS = new Uint32Array(CELL);
export const BIG_UINT64 = new BigUint64Array(CELL);
export const BIG_INT64 = new BigInt64Array(CELL);

/** Indices in {@link WORDS} of the low and the high word on this machine. */
export const LOW: number = isLittleEndian() ? 0 : 1;
export const HIGH: number = 1 - LOW;

function isLittleEndian(): boolean {
  BIG_UINT64[0] = 1n;
  return WORDS[0] === 1;
}
