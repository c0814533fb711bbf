/** The leases by id, as rows of columns. */
import type { LeaseId } from '@etcd/api';
import { assert } from '@etcd/base';
import { BigInt64Column, Float64Column, Int32Column, Rows } from './columns.ts';

/** Maps are split, so that no single one has to grow by much at a time. */
const SHARD_COUNT = 1024;

const CELL = new ArrayBuffer(8);
const ID = new BigInt64Array(CELL);
const WORDS = new Int32Array(CELL);

export class LeaseTable {
  /** Seconds. */
  readonly ttl: Float64Column = new Float64Column();
  /** Seconds left at the last checkpoint; 0: none since the last renewal. */
  readonly remainingTtl: Float64Column = new Float64Column();
  /** When it expires, by the clock, in milliseconds; counts only if {@link epoch} is the lessor's. */
  readonly expiryMs: Float64Column = new Float64Column();
  readonly epoch: Int32Column = new Int32Column();
  /** Its first key; see {@link LeaseItems}. */
  readonly firstItem: Int32Column = new Int32Column();
  readonly itemCount: Int32Column = new Int32Column();
  readonly #rows = new Rows();
  readonly #ids = new BigInt64Column();
  /** From one word of the id to the first row with that word, in the shard that both words name. */
  readonly #shards: Map<number, number>[] = Array.from({ length: SHARD_COUNT }, () => new Map());
  /** The next row with the same word in the same shard. */
  readonly #nextSame = new Int32Column();

  get count(): number {
    return this.#rows.count;
  }

  /** Rows are below this. */
  get endRow(): number {
    return this.#rows.end;
  }

  /** The lease's row, or 0. */
  find(id: LeaseId): number {
    ID[0] = id;
    let row = this.#shards[shardOf()]!.get(WORDS[0]!) ?? 0;
    while (row !== 0 && this.#ids.get(row) !== id) row = this.#nextSame.get(row);
    return row;
  }

  id(row: number): LeaseId {
    return this.#ids.get(row);
  }

  /** Whether the row holds a lease. */
  isUsed(row: number): boolean {
    return this.ttl.get(row) > 0;
  }

  /** Adds a lease that is not here. Its other columns are 0. */
  add(id: LeaseId, ttl: number): number {
    assert(ttl > 0, 'lease table: a lease without a TTL');
    const row = this.#rows.allocate();
    ID[0] = id;
    const shard = this.#shards[shardOf()]!;
    const word = WORDS[0]!;
    this.#nextSame.set(row, shard.get(word) ?? 0);
    shard.set(word, row);
    this.#ids.set(row, id);
    this.ttl.set(row, ttl);
    this.remainingTtl.set(row, 0);
    this.expiryMs.set(row, 0);
    this.epoch.set(row, 0);
    this.firstItem.set(row, 0);
    this.itemCount.set(row, 0);
    return row;
  }

  remove(row: number): void {
    assert(this.isUsed(row), 'lease table: removed what is not there');
    assert(this.itemCount.get(row) === 0, 'lease table: removed a lease that has keys');
    ID[0] = this.#ids.get(row);
    const shard = this.#shards[shardOf()]!;
    const word = WORDS[0]!;
    const next = this.#nextSame.get(row);
    let before = shard.get(word)!;
    if (before === row) {
      if (next === 0) shard.delete(word);
      else shard.set(word, next);
    } else {
      while (this.#nextSame.get(before) !== row) before = this.#nextSame.get(before);
      this.#nextSame.set(before, next);
    }
    this.ttl.set(row, 0);
    this.#rows.free(row);
  }
}

function shardOf(): number {
  const mixed = Math.imul(WORDS[0]! ^ WORDS[1]!, 0x9e3779b1);
  return (mixed >>> 16) & (SHARD_COUNT - 1);
}
