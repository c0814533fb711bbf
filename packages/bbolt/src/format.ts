/**
 * The numbers of the file format, as in bbolt's internal/common, and access to the fields of a page.
 *
 *     page     u64 id | u16 flags | u16 count | u32 overflow | count elements | their keys and values
 *     branch   u32 pos | u32 ksize | u64 child id
 *     leaf     u32 flags | u32 pos | u32 ksize | u32 vsize
 *
 * All little-endian. `pos` counts from the element itself to its key; the value of a leaf element follows its key. A page
 * with `overflow` n is followed by n more pages that belong to it. The value of a bucket element is `u64 root | u64 sequence`,
 * and when root is 0 the image of the bucket's only page: an inline bucket.
 *
 * Pages of this implementation have ids below 2^31, so that an id fits an array of Int32 and a small integer of V8: 8 TiB at
 * 4 KiB a page.
 */

export const PAGE_HEADER_BYTES = 16;
export const ELEMENT_BYTES = 16;
export const BUCKET_HEADER_BYTES = 16;

export const BRANCH_PAGE = 0x01;
export const LEAF_PAGE = 0x02;
export const META_PAGE = 0x04;
export const FREELIST_PAGE = 0x10;

/** A branch page has this many children, as bbolt insists, and a page so many elements before its fill counts. */
export const MIN_KEYS_PER_PAGE = 2;

/** Flag of a leaf element whose value is a bucket. */
export const BUCKET_ELEMENT = 0x01;

export const MAX_KEY_BYTES = 32_768;
export const MAX_VALUE_BYTES = 2 ** 31 - 2;

/** The first page that is not a meta page. */
export const FIRST_DATA_PGID = 2;
/** Page ids are below this. */
export const PGID_LIMIT = 2 ** 31 - 1;

const MIN_PAGE_BYTES = 1024;
const MAX_PAGE_BYTES = 1 << 24;

/** A list of free pages whose count does not fit 16 bits says so by this count, and has the real one in front. */
export const FREELIST_LONG_COUNT = 0xffff;

const TWO_TO_32 = 2 ** 32;

/** A u64; exact below 2^53, and not less than 2^53 otherwise. */
export function readUint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_TO_32;
}

/** Writes a u64 below 2^53. */
export function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / TWO_TO_32), true);
}

export function pageFlags(view: DataView, base: number): number {
  return view.getUint16(base + 8, true);
}

export function pageCount(view: DataView, base: number): number {
  return view.getUint16(base + 10, true);
}

export function pageOverflow(view: DataView, base: number): number {
  return view.getUint32(base + 12, true);
}

export function writePageHeader(
  view: DataView,
  base: number,
  pgid: number,
  flags: number,
  count: number,
  overflow: number,
): void {
  writeUint64(view, base, pgid);
  view.setUint16(base + 8, flags, true);
  view.setUint16(base + 10, count, true);
  view.setUint32(base + 12, overflow, true);
}

/** A power of two that a page may be long. */
export function isPageSize(bytes: number): boolean {
  return bytes >= MIN_PAGE_BYTES && bytes <= MAX_PAGE_BYTES && (bytes & (bytes - 1)) === 0;
}
