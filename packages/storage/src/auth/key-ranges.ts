/**
 * A set of keys as sorted, disjoint ranges: whether a key or a range lies in it is one binary search, however many ranges
 * went in. Ranges that touch or overlap are melted into one, so a request that spans two grants is covered by them together.
 */
import { assert, compareBytes, compareRange, copyBytes } from '@etcd/base';
import { type GrantedInterval, GrantTree } from './grant-tree.ts';

/** As in requests and grants: no end is the key alone, the end `\0` is no bound. */
export interface GrantedRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

/** Of the end of a melted range: none. */
const UNBOUNDED = null;

export class KeyRanges {
  // Invariant: begins ascend; each end is behind its begin and before the next begin; only the last may be unbounded.
  readonly #begins: Uint8Array[] = [];
  readonly #ends: (Uint8Array | null)[] = [];

  /** What was granted, for {@link GrantTree}; in the order of the roles, and of their permissions. */
  readonly #granted: readonly GrantedInterval[];
  #tree: GrantTree | null = null;

  /** Ranges that are empty or inverted, as old databases may have them, grant nothing. */
  constructor(ranges: readonly GrantedRange[]) {
    this.#granted = ranges.filter(isValidKeyRange).map(({ key, rangeEnd }) => ({
      begin: copyBytes(key),
      end: copyOf(endOf(key, rangeEnd)),
    }));
    const sorted = [...this.#granted].sort((a, b) => compareBytes(a.begin, b.begin));
    for (const { begin, end } of sorted) this.#append(begin, end);
  }

  get size(): number {
    return this.#begins.length;
  }

  /** Whether `buffer[start, end)` is a key of the set. The empty key is in none. */
  hasKey(buffer: Uint8Array, start: number, end: number): boolean {
    return this.#find(buffer, start, end) >= 0;
  }

  /**
   * Whether all keys of a request's range, as it was sent, are in the set. A range that is inverted holds no key; on it the
   * verdict is Go's: see {@link GrantTree}.
   */
  covers(key: Uint8Array, rangeEnd: Uint8Array): boolean {
    const place = this.#find(key, 0, key.length);
    if (place < 0) return false;
    if (rangeEnd.length === 0) return true;
    if (!isOpenEnd(rangeEnd) && compareBytes(key, rangeEnd) >= 0) {
      this.#tree ??= new GrantTree(this.#granted);
      return this.#tree.permits(key, rangeEnd);
    }
    const end = this.#ends[place]!;
    if (end === UNBOUNDED) return true;
    if (isOpenEnd(rangeEnd)) return false;
    return compareBytes(rangeEnd, end) <= 0;
  }

  /** Number of the range that the key lies in, or -1. */
  #find(buffer: Uint8Array, start: number, end: number): number {
    if (start === end) return -1;
    let low = 0;
    let high = this.#begins.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const begin = this.#begins[middle]!;
      if (compareRange(begin, 0, begin.length, buffer, start, end) <= 0) low = middle + 1;
      else high = middle;
    }
    const place = low - 1;
    if (place < 0) return -1;
    const last = this.#ends[place]!;
    if (last === UNBOUNDED || compareRange(buffer, start, end, last, 0, last.length) < 0) return place;
    return -1;
  }

  #append(begin: Uint8Array, end: Uint8Array | null): void {
    const last = this.#begins.length - 1;
    if (last >= 0) {
      const lastEnd = this.#ends[last]!;
      assert(compareBytes(this.#begins[last]!, begin) <= 0, 'auth: ranges are not sorted');
      if (lastEnd === UNBOUNDED) return;
      if (compareBytes(begin, lastEnd) <= 0) {
        if (end === UNBOUNDED || compareBytes(end, lastEnd) > 0) this.#ends[last] = end;
        return;
      }
    }
    this.#begins.push(begin);
    this.#ends.push(end);
  }
}

/** Whether a role can be granted the range: it has a key, and an end behind it or none. */
export function isValidKeyRange({ key, rangeEnd }: GrantedRange): boolean {
  if (key.length === 0) return false;
  return rangeEnd.length === 0 || isOpenEnd(rangeEnd) || compareBytes(key, rangeEnd) < 0;
}

function isOpenEnd(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

function endOf(key: Uint8Array, rangeEnd: Uint8Array): Uint8Array | null {
  if (isOpenEnd(rangeEnd)) return UNBOUNDED;
  if (rangeEnd.length > 0) return rangeEnd;
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function copyOf(end: Uint8Array | null): Uint8Array | null {
  return end === UNBOUNDED ? UNBOUNDED : copyBytes(end);
}
