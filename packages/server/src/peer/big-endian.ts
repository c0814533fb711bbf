/** The 8-byte big-endian integers between members. Values beyond 2^53 become the nearest double. */

export const U64_BYTES = 8;

export function readU64(bytes: Uint8Array, at: number): number {
  const high = bytes[at]! * 0x100_0000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
  const low = bytes[at + 4]! * 0x100_0000 + ((bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!);
  return high * 0x1_0000_0000 + low;
}

/** Returns the position behind. */
export function writeU64(target: Uint8Array, at: number, value: number): number {
  const high = Math.floor(value / 0x1_0000_0000);
  const low = value >>> 0;
  target[at] = high >>> 24;
  target[at + 1] = high >>> 16;
  target[at + 2] = high >>> 8;
  target[at + 3] = high;
  target[at + 4] = low >>> 24;
  target[at + 5] = low >>> 16;
  target[at + 6] = low >>> 8;
  target[at + 7] = low;
  return at + U64_BYTES;
}
