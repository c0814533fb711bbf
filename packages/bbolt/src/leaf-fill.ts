/** What a leaf of several pages may leave unused of them, as a share of what is in it. */
const MAX_UNUSED_SHARE = 1 / 3;

/**
 * Whether a leaf of that size may end there. One that is longer than a page anyway takes more elements as long as its pages are filled
 * badly: two values of 4 kB leave nearly half of three pages unused, three of them less than a quarter of four. Since less than a page
 * is unused, it is never longer than four pages and an element.
 */
export function usesItsPages(sizeBytes: number, pageSizeBytes: number): boolean {
  if (sizeBytes <= pageSizeBytes) return true;
  const unusedBytes = Math.ceil(sizeBytes / pageSizeBytes) * pageSizeBytes - sizeBytes;
  return unusedBytes <= sizeBytes * MAX_UNUSED_SHARE;
}
