/**
 * The order of a role's permissions. Members of Go append a new one and sort all by their keys alone, with a sort that leaves equal keys in no
 * particular order; yet on that order depends whether the next grant on such a key takes the place of an earlier one or comes to stand beside
 * it, and so what the role grants. Members that disagree about it would disagree about verdicts: so the same sort is done here. It is Go's since
 * 1.19, a quicksort that looks for patterns; up to 12 permissions, and from 50 on, the new one just goes behind those of the same key.
 */
import { compareBytes } from '@etcd/base';

export interface Keyed {
  readonly key: Uint8Array;
}

/** What is not longer is sorted by insertion. */
const MAX_INSERTION = 12;
/** From this length on a single permission out of place is moved to where it belongs. */
const MIN_SHIFTED = 50;
const RANDOM_BITS = 64;

/** Sorted permissions with one more, as a member of Go orders them. */
export function withGrant<T extends Keyed>(sorted: readonly T[], granted: T): T[] {
  const items = [...sorted, granted];
  const count = items.length;
  const isInPlace = count < 2 || compareBytes(items[count - 2]!.key, granted.key) <= 0;
  if (isInPlace) return items;
  const sort = new GoSort(items);
  if (count <= MAX_INSERTION || count >= MIN_SHIFTED) sort.insertion(0, count);
  else sort.quick(0, count, bitLength(count));
  return items;
}

/** In place, by keys; a range is `[from, to)`. */
export class GoSort {
  readonly #items: Keyed[];

  constructor(items: Keyed[]) {
    this.#items = items;
  }

  insertion(from: number, to: number): void {
    for (let next = from + 1; next < to; next++) {
      for (let at = next; at > from && this.#isLess(at, at - 1); at--) this.#swap(at, at - 1);
    }
  }

  /** @param badPivots so many of them may be met before it is sorted in another way. */
  quick(from: number, to: number, badPivots: number): void {
    let wasBalanced = true;
    let wasPartitioned = true;
    while (to - from > MAX_INSERTION) {
      if (badPivots === 0) return this.#heap(from, to);
      if (!wasBalanced) {
        this.#scatter(from, to);
        badPivots--;
      }
      const { pivot, exchanges } = this.#pivotOf(from, to);
      const seemsSorted = exchanges === 0 && wasBalanced && wasPartitioned;
      if (seemsSorted && this.#isSorted(from, to)) return;
      if (from > 0 && !this.#isLess(from - 1, pivot)) {
        from = this.#gatherEqual(from, to, pivot);
        continue;
      }
      const { place, isDone } = this.#partition(from, to, pivot);
      wasPartitioned = isDone;
      const leftLength = place - from;
      const rightLength = to - place;
      wasBalanced = Math.min(leftLength, rightLength) >= Math.floor((to - from) / 8);
      if (leftLength < rightLength) {
        this.quick(from, place, badPivots);
        from = place + 1;
      } else {
        this.quick(place + 1, to, badPivots);
        to = place;
      }
    }
    this.insertion(from, to);
  }

  /** The median of three; how many exchanges it took to find it. */
  #pivotOf(from: number, to: number): { pivot: number; exchanges: number } {
    const step = Math.floor((to - from) / 4);
    let [low, middle, high] = [from + step, from + 2 * step, from + 3 * step];
    let exchanges = 0;
    const order = (a: number, b: number): [number, number] => {
      if (!this.#isLess(b, a)) return [a, b];
      exchanges++;
      return [b, a];
    };
    [low, middle] = order(low, middle);
    [middle, high] = order(middle, high);
    [low, middle] = order(low, middle);
    return { pivot: middle, exchanges };
  }

  #isSorted(from: number, to: number): boolean {
    for (let at = from + 1; at < to; at++) if (this.#isLess(at, at - 1)) return false;
    return true;
  }

  /** What is less than the pivot goes to its left, the rest to its right. */
  #partition(from: number, to: number, pivot: number): { place: number; isDone: boolean } {
    this.#swap(from, pivot);
    let left = from + 1;
    let right = to - 1;
    let isDone = true;
    for (;;) {
      while (left <= right && this.#isLess(left, from)) left++;
      while (left <= right && !this.#isLess(right, from)) right--;
      if (left > right) break;
      isDone = false;
      this.#swap(left++, right--);
    }
    this.#swap(right, from);
    return { place: right, isDone };
  }

  /** What equals the pivot, than which nothing is less, goes to the front. Returns where the rest begins. */
  #gatherEqual(from: number, to: number, pivot: number): number {
    this.#swap(from, pivot);
    let left = from + 1;
    let right = to - 1;
    for (;;) {
      while (left <= right && !this.#isLess(from, left)) left++;
      while (left <= right && this.#isLess(from, right)) right--;
      if (left > right) return left;
      this.#swap(left++, right--);
    }
  }

  /** Moves three items to places that look random and depend on the length alone. */
  #scatter(from: number, to: number): void {
    const length = to - from;
    const mask = BigInt(2 ** bitLength(length) - 1);
    const middle = from + 2 * Math.floor(length / 4);
    let random = BigInt(length);
    for (let at = middle - 1; at <= middle + 1; at++) {
      random ^= BigInt.asUintN(RANDOM_BITS, random << 13n);
      random ^= random >> 7n;
      random ^= BigInt.asUintN(RANDOM_BITS, random << 17n);
      const other = Number(random & mask);
      this.#swap(at, from + (other >= length ? other - length : other));
    }
  }

  #heap(from: number, to: number): void {
    const length = to - from;
    for (let root = Math.floor((length - 1) / 2); root >= 0; root--) this.#sift(from, root, length);
    for (let last = length - 1; last >= 0; last--) {
      this.#swap(from, from + last);
      this.#sift(from, 0, last);
    }
  }

  #sift(from: number, root: number, length: number): void {
    for (let parent = root; ; ) {
      let child = 2 * parent + 1;
      if (child >= length) return;
      if (child + 1 < length && this.#isLess(from + child, from + child + 1)) child++;
      if (!this.#isLess(from + parent, from + child)) return;
      this.#swap(from + parent, from + child);
      parent = child;
    }
  }

  #isLess(a: number, b: number): boolean {
    return compareBytes(this.#items[a]!.key, this.#items[b]!.key) < 0;
  }

  #swap(a: number, b: number): void {
    const items = this.#items;
    [items[a], items[b]] = [items[b]!, items[a]!];
  }
}

function bitLength(value: number): number {
  return 32 - Math.clz32(value);
}
