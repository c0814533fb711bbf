/**
 * A set of half-open key intervals, kept disjoint and sorted, so that a membership test is a binary search however
 * many intervals a client sent. Keys are Latin-1 strings (one unit per byte).
 */

interface Interval {
  readonly begin: string;
  /** Exclusive. */
  readonly end: string;
}

export class IntervalSet {
  readonly #intervals: Interval[] = [];

  /** Adds `key` alone. */
  addPoint(key: string): void {
    this.addRange(key, `${key}\0`);
  }

  /** Adds [begin, end); nothing where that is empty. */
  addRange(begin: string, end: string): void {
    if (begin >= end) return;
    const intervals = this.#intervals;
    // Everything that touches [begin, end] is melted into one.
    let first = this.#firstBehind(begin);
    if (first > 0 && intervals[first - 1]!.end >= begin) {
      first--;
      begin = intervals[first]!.begin;
    }
    let last = first;
    while (last < intervals.length && intervals[last]!.begin <= end) {
      if (intervals[last]!.end > end) end = intervals[last]!.end;
      last++;
    }
    intervals.splice(first, last - first, { begin, end });
  }

  /** Adds all of `other`. */
  addAll(other: IntervalSet): void {
    for (const interval of other.#intervals) this.addRange(interval.begin, interval.end);
  }

  has(key: string): boolean {
    const index = this.#firstBehind(key) - 1;
    return index >= 0 && key < this.#intervals[index]!.end;
  }

  /** Index of the first interval that begins behind `key`. */
  #firstBehind(key: string): number {
    let low = 0;
    let high = this.#intervals.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#intervals[middle]!.begin <= key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
