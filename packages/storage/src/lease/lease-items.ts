/**
 * Which key has which lease. An item links one key to one lease: the key's record in the store's index holds the item's
 * number, the lease's items form a ring-less list through `next` and `prev`. Attaching and detaching take constant time,
 * and a key without a lease costs nothing here.
 */
import { assert } from '@etcd/base';
import { Int32Column, Rows } from './columns.ts';
import type { LeaseTable } from './lease-table.ts';

export class LeaseItems {
  readonly #table: LeaseTable;
  readonly #rows = new Rows();
  readonly #key = new Int32Column();
  readonly #lease = new Int32Column();
  readonly #next = new Int32Column();
  readonly #prev = new Int32Column();

  constructor(table: LeaseTable) {
    this.#table = table;
  }

  get count(): number {
    return this.#rows.count;
  }

  /** The row of the item's lease. */
  leaseOf(item: number): number {
    return this.#lease.get(item);
  }

  /** Links a key, by its ref, to a lease, by its row; returns the item. */
  attach(ref: number, lease: number): number {
    assert(ref !== 0 && lease !== 0, 'lease items: no key, or no lease');
    const item = this.#rows.allocate();
    const first = this.#table.firstItem.get(lease);
    this.#key.set(item, ref);
    this.#lease.set(item, lease);
    this.#next.set(item, first);
    this.#prev.set(item, 0);
    if (first !== 0) this.#prev.set(first, item);
    this.#table.firstItem.set(lease, item);
    this.#table.itemCount.set(lease, this.#table.itemCount.get(lease) + 1);
    return item;
  }

  detach(item: number): void {
    const lease = this.#lease.get(item);
    const next = this.#next.get(item);
    const prev = this.#prev.get(item);
    assert(this.#table.itemCount.get(lease) > 0, 'lease items: detached twice');
    assert((prev === 0) === (this.#table.firstItem.get(lease) === item), 'lease items: a list is broken');
    if (next !== 0) this.#prev.set(next, prev);
    if (prev !== 0) this.#next.set(prev, next);
    else this.#table.firstItem.set(lease, next);
    this.#table.itemCount.set(lease, this.#table.itemCount.get(lease) - 1);
    this.#rows.free(item);
  }

  /** The refs of the lease's keys, in no order. */
  keysOf(lease: number): number[] {
    const refs: number[] = [];
    for (let item = this.#table.firstItem.get(lease); item !== 0; item = this.#next.get(item)) {
      refs.push(this.#key.get(item));
    }
    return refs;
  }

  /** Whether the predicate holds for the refs of all keys of the lease. */
  everyKey(lease: number, predicate: (ref: number) => boolean): boolean {
    for (let item = this.#table.firstItem.get(lease); item !== 0; item = this.#next.get(item)) {
      if (!predicate(this.#key.get(item))) return false;
    }
    return true;
  }
}
