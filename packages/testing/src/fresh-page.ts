/** Pages of simulated disks: many at a time, since an allocation for each would cost more than what is copied into it. */

export const PAGE_BYTES = 4096;
const SLAB_PAGES = 8;

let slab = new Uint8Array(0);

/** Of zeros. */
export function freshPage(): Uint8Array {
  if (slab.length === 0) slab = new Uint8Array(SLAB_PAGES * PAGE_BYTES);
  const page = slab.subarray(0, PAGE_BYTES);
  slab = slab.subarray(PAGE_BYTES);
  return page;
}
