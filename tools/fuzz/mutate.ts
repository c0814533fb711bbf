/** Makes an input out of others: a few small changes, a piece of another one, a word that means something. */
import type { SeededRandom } from '@etcd/base';

const INTERESTING = [
  0, 1, 2, 7, 8, 9, 16, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x7fff, 0x8000, 0xffff, 0x1_0000,
  0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];
const MAX_CHANGES = 6;
const MAX_PIECE_BYTES = 64;

export interface MutationSource {
  readonly random: SeededRandom;
  readonly corpus: readonly Uint8Array[];
  readonly tokens: readonly Uint8Array[];
  readonly maxBytes: number;
}

export function mutate(source: MutationSource): Uint8Array {
  const { random, corpus, maxBytes } = source;
  let bytes: Uint8Array = Uint8Array.from(random.pick(corpus));
  for (let left = 1 + random.below(MAX_CHANGES); left > 0; left--) bytes = changeOnce(bytes, source);
  return bytes.subarray(0, maxBytes);
}

function changeOnce(bytes: Uint8Array, { random, corpus, tokens }: MutationSource): Uint8Array {
  const at = random.below(bytes.length + 1);
  const piece = 1 + random.below(Math.min(MAX_PIECE_BYTES, bytes.length + 1));
  switch (random.below(11)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.below(256);
      return bytes;
    case 2:
      return setNumber(bytes, at, random.pick(INTERESTING), random.pick([1, 2, 4, 8]), random.chance(0.5));
    case 3:
      if (at < bytes.length) bytes[at] = bytes[at]! + random.below(17) - 8;
      return bytes;
    case 4:
      return joined(bytes.subarray(0, at), bytes.subarray(at + piece));
    case 5:
      return joined(bytes.subarray(0, at), noise(random, piece), bytes.subarray(at));
    case 6:
      return joined(bytes.subarray(0, at), bytes.subarray(at, at + piece), bytes.subarray(at));
    case 7: {
      const other = random.pick(corpus);
      const from = random.below(other.length + 1);
      return joined(bytes.subarray(0, at), other.subarray(from, from + piece), bytes.subarray(at));
    }
    case 8: {
      const other = random.pick(corpus);
      return joined(bytes.subarray(0, at), other.subarray(random.below(other.length + 1)));
    }
    case 9: {
      const token = tokens.length === 0 ? noise(random, 2) : random.pick(tokens);
      const behind = random.chance(0.5) ? at : at + token.length;
      return joined(bytes.subarray(0, at), token, bytes.subarray(behind));
    }
    default:
      return bytes.slice(0, random.chance(0.2) ? at : bytes.length);
  }
}

function setNumber(bytes: Uint8Array, at: number, value: number, width: number, isBig: boolean): Uint8Array {
  for (let i = 0; i < width && at + i < bytes.length; i++) {
    const shift = isBig ? width - 1 - i : i;
    bytes[at + i] = Math.floor(value / 256 ** shift) & 0xff;
  }
  return bytes;
}

function noise(random: SeededRandom, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(pieces));
}
