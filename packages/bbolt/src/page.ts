/**
 * Work on branch and leaf pages as they lie in a buffer, beginning at `base`: verification before first use, and search.
 * Nothing here makes an object.
 */
import { compareRange } from '@etcd/base';
import {
  BRANCH_PAGE,
  BUCKET_ELEMENT,
  ELEMENT_BYTES,
  FIRST_DATA_PGID,
  LEAF_PAGE,
  MAX_VALUE_BYTES,
  PAGE_HEADER_BYTES,
  pageCount,
  pageFlags,
  readUint64,
} from './format.ts';
import type { PageBuffer } from './page-buffer.ts';

/** Where in an element its `pos` field is; `ksize` follows it. */
const LEAF_POSITION = 4;
const BRANCH_POSITION = 0;

export function leafKeyStart(view: DataView, base: number, index: number): number {
  const at = base + PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
  return at + view.getUint32(at + LEAF_POSITION, true);
}

export function leafKeyBytes(view: DataView, base: number, index: number): number {
  return view.getUint32(base + PAGE_HEADER_BYTES + index * ELEMENT_BYTES + 8, true);
}

export function leafValueBytes(view: DataView, base: number, index: number): number {
  return view.getUint32(base + PAGE_HEADER_BYTES + index * ELEMENT_BYTES + 12, true);
}

export function leafIsBucket(view: DataView, base: number, index: number): boolean {
  return view.getUint32(base + PAGE_HEADER_BYTES + index * ELEMENT_BYTES, true) === BUCKET_ELEMENT;
}

export function branchKeyStart(view: DataView, base: number, index: number): number {
  const at = base + PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
  return at + view.getUint32(at + BRANCH_POSITION, true);
}

export function branchKeyBytes(view: DataView, base: number, index: number): number {
  return view.getUint32(base + PAGE_HEADER_BYTES + index * ELEMENT_BYTES + 4, true);
}

/** The child page of a branch element; below 2^31 on every page that was verified. */
export function branchChild(view: DataView, base: number, index: number): number {
  return view.getUint32(base + PAGE_HEADER_BYTES + index * ELEMENT_BYTES + 8, true);
}

/** Whether any element of the leaf page is a nested bucket. */
export function leafHasBuckets(view: DataView, base: number): boolean {
  const count = pageCount(view, base);
  for (let i = 0; i < count; i++) if (leafIsBucket(view, base, i)) return true;
  return false;
}

/** The index of `key[start, end)` on a leaf page, or of the first greater key, inverted (`~index`). */
export function searchLeaf(
  buffer: PageBuffer,
  base: number,
  count: number,
  key: Uint8Array,
  start: number,
  end: number,
): number {
  return searchPage(buffer, base, LEAF_POSITION, count, key, start, end);
}

/** The index of the child of a branch page under which `key[start, end)` belongs. */
export function searchBranch(
  buffer: PageBuffer,
  base: number,
  count: number,
  key: Uint8Array,
  start: number,
  end: number,
): number {
  return childIndex(searchPage(buffer, base, BRANCH_POSITION, count, key, start, end));
}

/** How the separator of a child of a branch page compares with `key`. */
export function compareSeparator(
  { bytes, view }: PageBuffer,
  base: number,
  index: number,
  key: Uint8Array,
): number {
  const start = branchKeyStart(view, base, index);
  return compareRange(bytes, start, start + branchKeyBytes(view, base, index), key, 0, key.length);
}

/** From the result of a search among separators to the child: the last one whose separator is not above the key. */
export function childIndex(found: number): number {
  if (found >= 0) return found;
  // Below the first separator there is only the first child.
  return found === ~0 ? 0 : ~found - 1;
}

function searchPage(
  buffer: PageBuffer,
  base: number,
  position: number,
  count: number,
  key: Uint8Array,
  start: number,
  end: number,
): number {
  const { bytes, view } = buffer;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = base + PAGE_HEADER_BYTES + middle * ELEMENT_BYTES;
    const keyStart = at + view.getUint32(at + position, true);
    const keyEnd = keyStart + view.getUint32(at + position + 4, true);
    const order = compareRange(bytes, keyStart, keyEnd, key, start, end);
    if (order < 0) low = middle + 1;
    else if (order > 0) high = middle;
    else return middle;
  }
  return ~low;
}

/**
 * What is wrong with the branch or leaf page at `base`, `pageBytes` long (overflow included) and so far unverified; null when
 * every access by its fields stays inside of it, and when its keys rise, without which a search would miss keys that
 * are there.
 *
 * @param highWaterPgid child pages are below it.
 */
export function pageFault(
  buffer: PageBuffer,
  base: number,
  pageBytes: number,
  highWaterPgid: number,
): string | null {
  const { view } = buffer;
  const flags = pageFlags(view, base);
  if (flags !== LEAF_PAGE && flags !== BRANCH_PAGE) {
    return `flags 0x${flags.toString(16)} are neither those of a branch nor of a leaf page`;
  }
  const count = pageCount(view, base);
  if (PAGE_HEADER_BYTES + count * ELEMENT_BYTES > pageBytes) return `${count} elements do not fit`;
  if (flags === BRANCH_PAGE) {
    if (count === 0) return 'a branch page without children';
    return (
      branchElementsFault(view, base, count, pageBytes, highWaterPgid) ??
      orderFault(buffer, base, BRANCH_POSITION, count)
    );
  }
  return leafElementsFault(view, base, count, pageBytes) ?? orderFault(buffer, base, LEAF_POSITION, count);
}

function leafElementsFault(view: DataView, base: number, count: number, pageBytes: number): string | null {
  for (let i = 0, element = PAGE_HEADER_BYTES; i < count; i++, element += ELEMENT_BYTES) {
    const at = base + element;
    const keyBytes = view.getUint32(at + 8, true);
    const valueBytes = view.getUint32(at + 12, true);
    const end = element + view.getUint32(at + 4, true) + keyBytes + valueBytes;
    if (end > pageBytes) return `element ${i} reaches beyond the page`;
    if (keyBytes === 0) return `element ${i} has an empty key`;
    if (valueBytes > MAX_VALUE_BYTES) return `element ${i} has an oversized value`;
    const flags = view.getUint32(at, true);
    if (flags > BUCKET_ELEMENT) return `element ${i} has unknown flags 0x${flags.toString(16)}`;
  }
  return null;
}

function branchElementsFault(
  view: DataView,
  base: number,
  count: number,
  pageBytes: number,
  highWaterPgid: number,
): string | null {
  for (let i = 0, element = PAGE_HEADER_BYTES; i < count; i++, element += ELEMENT_BYTES) {
    const at = base + element;
    const keyBytes = view.getUint32(at + 4, true);
    if (element + view.getUint32(at, true) + keyBytes > pageBytes)
      return `element ${i} reaches beyond the page`;
    if (keyBytes === 0) return `element ${i} has an empty key`;
    const child = readUint64(view, at + 8);
    if (child < FIRST_DATA_PGID || child >= highWaterPgid) {
      return `child page ${child} is outside of [2, ${highWaterPgid})`;
    }
  }
  return null;
}

function orderFault(buffer: PageBuffer, base: number, position: number, count: number): string | null {
  const { bytes, view } = buffer;
  let previousStart = 0;
  let previousEnd = 0;
  for (let i = 0, at = base + PAGE_HEADER_BYTES; i < count; i++, at += ELEMENT_BYTES) {
    const start = at + view.getUint32(at + position, true);
    const end = start + view.getUint32(at + position + 4, true);
    const rises = i === 0 || compareRange(bytes, previousStart, previousEnd, bytes, start, end) < 0;
    if (!rises) return `key ${i} is not above the one before it`;
    previousStart = start;
    previousEnd = end;
  }
  return null;
}
