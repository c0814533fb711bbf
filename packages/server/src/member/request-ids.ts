/**
 * Ids of requests and leases, as etcd makes them: 64 bits that no other request of the cluster will have,
 *
 *   | low 16 bits of the member id | 40 bits of Unix milliseconds at start | 8 bits |
 *
 * counted up as one 48-bit number. A member finds its own requests by the lower 48 bits, which are a Number.
 */

const SUFFIX_LIMIT = 2 ** 48;
const LOW_LIMIT = 2 ** 32;
const MAX_POSITIVE_INT64 = (1n << 63n) - 1n;

export class RequestIds {
  /** The upper 16 bits. */
  readonly prefix: number;
  #suffix: number;

  constructor(memberId: bigint, wallMs: number) {
    this.prefix = Number(memberId & 0xffffn);
    this.#suffix = (wallMs % 2 ** 40) * 256;
  }

  /** The lower 48 bits of a new id. */
  next(): number {
    this.#suffix = (this.#suffix + 1) % SUFFIX_LIMIT;
    return this.#suffix;
  }

  /** The whole id whose lower bits are `suffix`. */
  full(suffix: number): bigint {
    return (BigInt(this.prefix) << 48n) | BigInt(suffix);
  }

  /** A new lease id: a positive int64 and not zero. */
  nextLeaseId(): bigint {
    for (;;) {
      const id = this.full(this.next()) & MAX_POSITIVE_INT64;
      if (id !== 0n) return id;
    }
  }

  /** Bytes of the whole id as a varint. */
  size(suffix: number): number {
    let high = this.prefix * 0x1_0000 + Math.floor(suffix / LOW_LIMIT);
    if (high === 0) return varint32Size(suffix % LOW_LIMIT);
    // 28 bits in the first four bytes, four more in the fifth together with three of the upper half.
    high = Math.floor(high / 8);
    return high === 0 ? 5 : 5 + varint32Size(high);
  }

  /** Writes the whole id as a varint; returns the position behind. */
  write(suffix: number, target: Uint8Array, position: number): number {
    let high = (this.prefix * 0x1_0000 + Math.floor(suffix / LOW_LIMIT)) >>> 0;
    let low = (suffix % LOW_LIMIT) >>> 0;
    while (high !== 0 || low >= 0x80) {
      target[position++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    target[position++] = low;
    return position;
  }
}

function varint32Size(value: number): number {
  let size = 1;
  for (let rest = value >>> 7; rest !== 0; rest >>>= 7) size++;
  return size;
}
