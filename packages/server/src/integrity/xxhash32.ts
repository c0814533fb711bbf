/**
 * XXH32, a hash for telling bytes apart (not for keeping anyone from making equal ones): four lanes of multiplications, which
 * need no tables and so leave the processor's cache to the store. Several times as fast here as a CRC; `change-hashes.bench.ts`
 * has the figures.
 */

const PRIME_1 = 0x9e3779b1 | 0;
const PRIME_2 = 0x85ebca77 | 0;
const PRIME_3 = 0xc2b2ae3d | 0;
const PRIME_4 = 0x27d4eb2f | 0;
const PRIME_5 = 0x165667b1 | 0;
const STRIPE_BYTES = 16;

// The view of the buffer seen last: what is hashed lies in a slab with thousands of its kind, and a view costs more than a hash.
let viewedBuffer: ArrayBufferLike = new ArrayBuffer(0);
let view: DataView = new DataView(viewedBuffer);

/** The hash of `bytes[start, end)` under `seed`: unsigned, of 32 bits. */
export function xxhash32(bytes: Uint8Array, start: number, end: number, seed: number): number {
  if (bytes.buffer !== viewedBuffer) {
    viewedBuffer = bytes.buffer;
    view = new DataView(viewedBuffer);
  }
  const words = view;
  let at = start + bytes.byteOffset;
  const stop = end + bytes.byteOffset;
  let hash: number;
  if (stop - at >= STRIPE_BYTES) {
    let a = (seed + PRIME_1 + PRIME_2) | 0;
    let b = (seed + PRIME_2) | 0;
    let c = seed | 0;
    let d = (seed - PRIME_1) | 0;
    for (const lastStripe = stop - STRIPE_BYTES; at <= lastStripe; at += STRIPE_BYTES) {
      a = round(a, words.getInt32(at, true));
      b = round(b, words.getInt32(at + 4, true));
      c = round(c, words.getInt32(at + 8, true));
      d = round(d, words.getInt32(at + 12, true));
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
  } else {
    hash = (seed + PRIME_5) | 0;
  }
  hash = (hash + (end - start)) | 0;
  for (; at + 4 <= stop; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(words.getInt32(at, true), PRIME_3)) | 0, 17), PRIME_4);
  }
  for (; at < stop; at++) {
    hash = Math.imul(rotate((hash + Math.imul(words.getUint8(at), PRIME_5)) | 0, 11), PRIME_1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1);
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
