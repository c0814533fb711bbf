/**
 * Rows by time, the earliest first: a binary heap in flat arrays. A row is in it at most once, and moves when its time
 * is set anew.
 */
import { assert } from '@etcd/base';
import { Int32Column } from './columns.ts';

export class LeaseQueue {
  #rows = new Int32Array(64);
  #times = new Float64Array(64);
  #count = 0;
  /** Index of each row plus one; 0: not in the queue. */
  readonly #places = new Int32Column();

  get count(): number {
    return this.#count;
  }

  /** The earliest row; 0 when the queue is empty. */
  get first(): number {
    return this.#count === 0 ? 0 : this.#rows[0]!;
  }

  /** Its time; Infinity when the queue is empty. */
  get firstTime(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#times[0]!;
  }

  set(row: number, time: number): void {
    assert(row > 0 && time < Number.POSITIVE_INFINITY, 'lease queue: no row, or no time');
    const index = this.#places.get(row) - 1;
    if (index < 0) {
      if (this.#count === this.#rows.length) this.#grow();
      this.#up(this.#count++, row, time);
    } else if (time < this.#times[index]!) this.#up(index, row, time);
    else this.#down(index, row, time);
  }

  /** Harmless when the row is not in the queue. */
  remove(row: number): void {
    const index = this.#places.get(row) - 1;
    if (index < 0) return;
    this.#places.set(row, 0);
    this.#count--;
    if (index === this.#count) return;
    const last = this.#rows[this.#count]!;
    const time = this.#times[this.#count]!;
    const parent = (index - 1) >> 1;
    if (index > 0 && time < this.#times[parent]!) this.#up(index, last, time);
    else this.#down(index, last, time);
  }

  clear(): void {
    for (let i = 0; i < this.#count; i++) this.#places.set(this.#rows[i]!, 0);
    this.#count = 0;
  }

  #place(index: number, row: number, time: number): void {
    this.#rows[index] = row;
    this.#times[index] = time;
    this.#places.set(row, index + 1);
  }

  /** Puts a row at `index`, or above, where the order holds. */
  #up(start: number, row: number, time: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#times[parent]! <= time) break;
      this.#place(index, this.#rows[parent]!, this.#times[parent]!);
      index = parent;
    }
    this.#place(index, row, time);
  }

  #down(start: number, row: number, time: number): void {
    let index = start;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#times[child + 1]! < this.#times[child]!) child++;
      if (this.#times[child]! >= time) break;
      this.#place(index, this.#rows[child]!, this.#times[child]!);
      index = child;
    }
    this.#place(index, row, time);
  }

  #grow(): void {
    const rows = new Int32Array(this.#count * 2);
    const times = new Float64Array(this.#count * 2);
    rows.set(this.#rows);
    times.set(this.#times);
    this.#rows = rows;
    this.#times = times;
  }
}
