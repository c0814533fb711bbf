/** A range of keys as requests give it, and what it means. */
import { compareBytes, compareRange } from '@etcd/base';
import type { TreeIndex } from './key-index/tree-index.ts';

export interface KeyRange {
  readonly key: Uint8Array;
  /** null: the one key. Empty: all keys from `key` on. Otherwise the first key behind the range. */
  readonly end: Uint8Array | null;
}

const OPEN_END = new Uint8Array(0);

/** What `range_end` of a request means: empty is a single key, one zero byte is everything from the key on. */
export function endOfRange(rangeEnd: Uint8Array): Uint8Array | null {
  if (rangeEnd.length === 0) return null;
  return rangeEnd.length === 1 && rangeEnd[0] === 0 ? OPEN_END : rangeEnd;
}

/** Whether no key can be in [key, end). */
export function isEmptyRange(key: Uint8Array, end: Uint8Array): boolean {
  return end.length > 0 && compareBytes(key, end) >= 0;
}

/** Whether the key at `ref` lies behind a range that ends at `end`. */
export function isBehind(index: TreeIndex, ref: number, end: Uint8Array): boolean {
  if (end.length === 0) return false;
  const start = index.keyStart(ref);
  const order = compareRange(index.keyBuffer(ref), start, start + index.keyLength(ref), end, 0, end.length);
  return order >= 0;
}
