/** Big-endian 64-bit integers, as the file has them in keys and single values. */

const TWO_POW_32 = 0x1_0000_0000;

/** A counter, 0 <= value < 2^53. */
export function uint64Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / TWO_POW_32));
  view.setUint32(4, value >>> 0);
  return bytes;
}

/** The counter in eight bytes; null when it is not eight bytes, or not below 2^53. */
export function uint64FromBytes(bytes: Uint8Array): number | null {
  if (bytes.length !== 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const value = view.getUint32(0) * TWO_POW_32 + view.getUint32(4);
  return Number.isSafeInteger(value) ? value : null;
}

/** An id; of a signed one the same 64 bits. */
export function idBytes(id: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, id);
  return bytes;
}
