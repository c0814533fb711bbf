/**
 * Records as columns of numbers, in chunks outside the V8 heap: a million leases are a few hundred objects to the garbage
 * collector. Rows are named by numbers from 1 on; 0 is none. Growth adds a chunk; removed rows are used again.
 */
import { assert } from '@etcd/base';

const CHUNK_BITS = 12;
const CHUNK_ROWS = 1 << CHUNK_BITS;
const ROW_MASK = CHUNK_ROWS - 1;

/** Hands out row numbers. */
export class Rows {
  readonly #free: Int32Column = new Int32Column();
  #firstFree = 0;
  #end = 1;
  #count = 0;

  /** Rows in use. */
  get count(): number {
    return this.#count;
  }

  /** Greater than every row ever handed out. */
  get end(): number {
    return this.#end;
  }

  allocate(): number {
    this.#count++;
    if (this.#firstFree === 0) return this.#end++;
    const row = this.#firstFree;
    this.#firstFree = this.#free.get(row);
    return row;
  }

  free(row: number): void {
    assert(row > 0 && row < this.#end, 'rows: freed what was never handed out');
    assert(this.#count > 0, 'rows: freed more than were handed out');
    this.#count--;
    this.#free.set(row, this.#firstFree);
    this.#firstFree = row;
  }
}

export class Int32Column {
  readonly #chunks: Int32Array[] = [];

  /** 0 where nothing was set. */
  get(row: number): number {
    const chunk = this.#chunks[row >>> CHUNK_BITS];
    return chunk === undefined ? 0 : chunk[row & ROW_MASK]!;
  }

  set(row: number, value: number): void {
    while (this.#chunks.length <= row >>> CHUNK_BITS) this.#chunks.push(new Int32Array(CHUNK_ROWS));
    this.#chunks[row >>> CHUNK_BITS]![row & ROW_MASK] = value;
  }
}

export class Float64Column {
  readonly #chunks: Float64Array[] = [];

  /** 0 where nothing was set. */
  get(row: number): number {
    const chunk = this.#chunks[row >>> CHUNK_BITS];
    return chunk === undefined ? 0 : chunk[row & ROW_MASK]!;
  }

  set(row: number, value: number): void {
    while (this.#chunks.length <= row >>> CHUNK_BITS) this.#chunks.push(new Float64Array(CHUNK_ROWS));
    this.#chunks[row >>> CHUNK_BITS]![row & ROW_MASK] = value;
  }
}

export class BigInt64Column {
  readonly #chunks: BigInt64Array[] = [];

  get(row: number): bigint {
    return this.#chunks[row >>> CHUNK_BITS]![row & ROW_MASK]!;
  }

  set(row: number, value: bigint): void {
    while (this.#chunks.length <= row >>> CHUNK_BITS) this.#chunks.push(new BigInt64Array(CHUNK_ROWS));
    this.#chunks[row >>> CHUNK_BITS]![row & ROW_MASK] = value;
  }
}
