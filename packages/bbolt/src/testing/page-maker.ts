/** Pages laid out by hand, from the description of the format: right ones, and with any field changed. */

export interface HandmadeElement {
  readonly key: string;
  /** Of a leaf. */
  readonly value?: Uint8Array;
  readonly isBucket?: boolean;
  /** Of a branch. */
  readonly child?: number;
}

export const BRANCH = 1;
export const LEAF = 2;

/** A branch or leaf page of `pageBytes`, its keys and values behind its elements in their order. */
export function makePage(
  pageBytes: number,
  pgid: number,
  flags: number,
  elements: readonly HandmadeElement[],
  overflow = 0,
): Buffer {
  const page = Buffer.alloc(pageBytes);
  page.writeBigUInt64LE(BigInt(pgid), 0);
  page.writeUInt16LE(flags, 8);
  page.writeUInt16LE(elements.length, 10);
  page.writeUInt32LE(overflow, 12);
  let data = 16 + 16 * elements.length;
  for (const [i, { key, value = new Uint8Array(0), isBucket = false, child = 0 }] of elements.entries()) {
    const at = 16 + 16 * i;
    if (flags === LEAF) {
      page.writeUInt32LE(isBucket ? 1 : 0, at);
      page.writeUInt32LE(data - at, at + 4);
      page.writeUInt32LE(key.length, at + 8);
      page.writeUInt32LE(value.length, at + 12);
    } else {
      page.writeUInt32LE(data - at, at);
      page.writeUInt32LE(key.length, at + 4);
      page.writeBigUInt64LE(BigInt(child), at + 8);
    }
    data += page.write(key, data, 'latin1');
    page.set(value, data);
    data += flags === LEAF ? value.length : 0;
  }
  return page;
}

/** The value of a bucket that has pages of its own. */
export function bucketValue(rootPgid: number, sequence = 0n): Buffer {
  const value = Buffer.alloc(16);
  value.writeBigUInt64LE(BigInt(rootPgid), 0);
  value.writeBigUInt64LE(sequence, 8);
  return value;
}

/** The value of a bucket whose page lies within it. */
export function inlineBucket(elements: readonly HandmadeElement[], flags = LEAF): Buffer {
  const bytes = elements.reduce((sum, { key, value }) => sum + 16 + key.length + (value?.length ?? 0), 16);
  return Buffer.concat([bucketValue(0), makePage(bytes, 0, flags, elements)]);
}

/** A meta page over any figures, under a right checksum. */
export function makeMeta(
  pageBytes: number,
  slot: number,
  fields: {
    readonly magic?: number;
    readonly version?: number;
    readonly pageSizeBytes?: number;
    readonly rootPgid: number;
    readonly freelistPgid: bigint;
    readonly highWaterPgid: number;
    readonly txid: bigint;
  },
): Buffer {
  const page = Buffer.alloc(pageBytes);
  page.writeBigUInt64LE(BigInt(slot), 0);
  page.writeUInt16LE(4, 8);
  page.writeUInt32LE(fields.magic ?? 0xed0cdaed, 16);
  page.writeUInt32LE(fields.version ?? 2, 20);
  page.writeUInt32LE(fields.pageSizeBytes ?? pageBytes, 24);
  page.writeBigUInt64LE(BigInt(fields.rootPgid), 32);
  page.writeBigUInt64LE(fields.freelistPgid, 48);
  page.writeBigUInt64LE(BigInt(fields.highWaterPgid), 56);
  page.writeBigUInt64LE(fields.txid, 64);
  let sum = 0xcbf29ce484222325n;
  for (const byte of page.subarray(16, 72)) sum = ((sum ^ BigInt(byte)) * 0x100000001b3n) & (2n ** 64n - 1n);
  page.writeBigUInt64LE(sum, 72);
  return page;
}

/** What a meta page has where no freelist is stored. */
export const NO_LIST = 2n ** 64n - 1n;
