/**
 * The Huffman code of HPACK (RFC 7541, appendix B). The code is canonical: code words of one length are
 * consecutive numbers in the order of their symbols, so the lengths alone define it. Decoding walks a table
 * of four bits a step:
 *
 *   STEPS[state * 16 + nibble] = next state | symbol << 16 | EMITS if a symbol ended in this nibble | DEAD if none can
 *
 * A string may end only in a state that is reached by fewer than eight 1 bits from the start of a code word
 * (padding with the beginning of the end-of-string symbol); those states are marked in ACCEPTS.
 */

import { assert } from '@etcd/base';

/** Code length in bits of each byte, and of the end-of-string symbol (256). */
// biome-ignore format: a table, 16 symbols a line
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
   6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
   5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
  13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
   7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
  15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
   6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const END_OF_STRING = 256;
const MAX_CODE_BITS = 30;
const MAX_PADDING_BITS = 7;

const EMITS = 1 << 24;
const DEAD = 1 << 25;

const CODE_WORDS = assignCodeWords();
const { steps: STEPS, accepts: ACCEPTS } = buildSteps();

/** Most bytes that `length` encoded bytes can stand for: no code word is shorter than five bits. */
export function maxHuffmanDecodedLength(length: number): number {
  return Math.ceil((length * 8) / 5);
}

/**
 * Decodes `source[start, end)` into `target` from `at` on; the caller has provided {@link
 * maxHuffmanDecodedLength} bytes of room. Returns the position after the last byte, or -1 when the source is
 * not a Huffman string (a code word of its end is missing, wrong padding, or the end-of-string symbol
 * inside).
 */
export function huffmanDecode(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  const steps = STEPS;
  let state = 0;
  for (let i = start; i < end; i++) {
    const byte = source[i]!;
    let step = steps[(state << 4) | (byte >> 4)]!;
    if ((step & EMITS) !== 0) target[at++] = (step >> 16) & 0xff;
    // A dead state has only dead steps, so one look per byte is enough.
    step = steps[((step & 0xffff) << 4) | (byte & 15)]!;
    if ((step & (EMITS | DEAD)) !== 0) {
      if ((step & DEAD) !== 0) return -1;
      target[at++] = (step >> 16) & 0xff;
    }
    state = step & 0xffff;
  }
  return ACCEPTS[state] === 1 ? at : -1;
}

/** Length in bytes of the latin1 `text` once encoded. */
export function huffmanEncodedLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += CODE_BITS[text.charCodeAt(i) & 0xff]!;
  return (bits + 7) >> 3;
}

/** Encodes the latin1 `text` into `target` from `at` on; returns the position after the last byte. */
export function huffmanEncode(text: string, target: Uint8Array, at: number): number {
  let pending = 0;
  let pendingBits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    const word = CODE_WORDS[symbol]!;
    let bits = CODE_BITS[symbol]!;
    // At most 7 bits are pending, so a piece of at most 24 bits keeps the accumulator within 31.
    while (bits > 0) {
      const take = bits > 24 ? bits - 24 : bits;
      pending = (pending << take) | ((word >>> (bits - take)) & ((1 << take) - 1));
      pendingBits += take;
      bits -= take;
      while (pendingBits >= 8) {
        pendingBits -= 8;
        target[at++] = pending >>> pendingBits;
        pending &= (1 << pendingBits) - 1;
      }
    }
  }
  if (pendingBits > 0) target[at++] = (pending << (8 - pendingBits)) | (0xff >> pendingBits);
  return at;
}

function assignCodeWords(): readonly number[] {
  const counts: number[] = new Array(MAX_CODE_BITS + 1).fill(0);
  for (const bits of CODE_BITS) counts[bits]!++;
  // The first word of a length comes behind the last one of the length before. Shifts of 30-bit words stay within 32 bits.
  const next = [0];
  for (let bits = 1; bits <= MAX_CODE_BITS; bits++) next[bits] = (next[bits - 1]! + counts[bits - 1]!) << 1;
  return CODE_BITS.map((bits) => next[bits]!++);
}

/**
 * The tables, without an object for each node: every start of a program makes them. A state is an inner node of the code's tree, in the order in
 * which the symbols lead there; the last one is never left, and the end-of-string symbol leads to it.
 */
function buildSteps(): { steps: Int32Array; accepts: Uint8Array } {
  const { bitSteps, accepts } = buildBitSteps();
  // No code word is shorter than five bits, so there is at most one symbol in four.
  return { steps: squared(squared(bitSteps, 2), 4), accepts };
}

/** Steps of a single bit, in a table like STEPS. The code is complete, so both lead on from everywhere. */
function buildBitSteps(): { bitSteps: Int32Array; accepts: Uint8Array } {
  const deadState = END_OF_STRING;
  const bitSteps = new Int32Array((deadState + 1) * 2);
  const accepts = new Uint8Array(deadState + 1);
  let stateCount = 1;
  for (let symbol = 0; symbol <= END_OF_STRING; symbol++) {
    const word = CODE_WORDS[symbol]!;
    let state = 0;
    let ones = 0;
    for (let bit = CODE_BITS[symbol]! - 1; bit > 0; bit--) {
      if (ones >= 0 && ones <= MAX_PADDING_BITS) accepts[state] = 1;
      const side = (word >>> bit) & 1;
      const at = state * 2 + side;
      // Nothing leads back to the root but a symbol.
      if (bitSteps[at] === 0) bitSteps[at] = stateCount++;
      state = bitSteps[at]!;
      ones = side === 1 && ones >= 0 ? ones + 1 : -1;
    }
    if (ones >= 0 && ones <= MAX_PADDING_BITS) accepts[state] = 1;
    bitSteps[state * 2 + (word & 1)] = symbol === END_OF_STRING ? DEAD | deadState : EMITS | (symbol << 16);
  }
  assert(stateCount === deadState, 'huffman: a complete code has one inner node less than it has symbols');
  bitSteps.fill(DEAD | deadState, deadState * 2);
  return { bitSteps, accepts };
}

/** Steps of twice as many bits, from those of `width` values each. */
function squared(steps: Int32Array, width: number): Int32Array {
  const twice = new Int32Array(steps.length * width);
  let at = 0;
  for (const first of steps) {
    const from = (first & 0xffff) * width;
    for (let second = 0; second < width; second++) {
      const then = steps[from + second]!;
      twice[at++] = (then & DEAD) === 0 ? (first & ~0xffff) | then : then;
    }
  }
  return twice;
}
