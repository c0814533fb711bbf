/**
 * Ids of requests and leases: 64 bits that no other request of the cluster has while it matters,
 *
 *   | low 16 bits of the member id | 48 bits, counted up from a random start |
 *
 * A member finds its own requests by the lower 48 bits, which are a Number. (etcd begins at the time of the start. But two members may
 * agree in their low 16 bits, and a clock may go back over a restart; so where counting begins is drawn. That makes a repetition
 * unlikely, and nothing more is asked of it: whether a request is this process's own is decided by its bytes, see `waiter.ts`.)
 */
import type { Random } from '@etcd/base';

const SUFFIX_LIMIT = 2 ** 48;
const LOW_LIMIT = 2 ** 32;
const MAX_POSITIVE_INT64 = (1n << 63n) - 1n;

/** Where a process begins to count. */
export function drawRequestIdStart(random: Random): number {
  return random.below(2 ** 16) * LOW_LIMIT + random.uint32();
}

export class RequestIds {
  /** The upper 16 bits. */
  readonly prefix: number;
  #suffix: number;

  /** @param start below 2^48: see {@link drawRequestIdStart}. */
  constructor(memberId: bigint, start: number) {
    this.prefix = Number(memberId & 0xffffn);
    this.#suffix = start;
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

  /** A new lease id: a positive int64, not zero, and none that `isTaken`. */
  nextLeaseId(isTaken: (id: bigint) => boolean): bigint {
    for (;;) {
      const id = this.full(this.next()) & MAX_POSITIVE_INT64;
      if (id !== 0n && !isTaken(id)) return id;
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
