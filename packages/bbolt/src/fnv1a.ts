/**
 * FNV-1a with 64 bits, the checksum of a meta page. The state is two 32-bit halves: the prime is 2^40 + 435, so a product
 * is a shift and two multiplications that stay exact in a double.
 */

const OFFSET_HIGH = 0xcbf29ce4;
const OFFSET_LOW = 0x84222325;
const PRIME_LOW = 435;
const TWO_TO_32 = 2 ** 32;

export interface Hash64 {
  readonly high: number;
  readonly low: number;
}

/** The hash of `bytes[start, end)`. */
export function fnv1a64(bytes: Uint8Array, start: number, end: number): Hash64 {
  let high = OFFSET_HIGH;
  let low = OFFSET_LOW;
  for (let i = start; i < end; i++) {
    low = (low ^ bytes[i]!) >>> 0;
    const product = low * PRIME_LOW;
    const carry = Math.floor(product / TWO_TO_32);
    high = (Math.imul(high, PRIME_LOW) + carry + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return { high, low };
}
