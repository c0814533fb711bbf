/** Damage in a database's file as a bad sector or a stray write leaves it, for tests. */
import type { Disk } from '@etcd/base';

const PAGE_BYTES = 4096;
const LEAF_FLAG = 0x02;
/** Where the flags of a page stand, and its first element: flags, place of the key, length of the key, length of the value. */
const FLAGS_AT = 8;
const ELEMENT_AT = 16;
const FIRST_DATA_PGID = 2;

/**
 * Makes the first value of every leaf page longer than its page, but for pages with buckets. Who looks at a page as a whole
 * finds it damaged; who only looks for free pages does not. Returns how many pages that were.
 *
 * @param isSpared by the first key of a page; none is unless told.
 */
export function damageLeaves(
  disk: Disk,
  path: string,
  isSpared: (firstKey: Uint8Array) => boolean = () => false,
): number {
  const file = disk.openFile(path, { access: 'readwrite' });
  const page = new Uint8Array(PAGE_BYTES);
  const view = new DataView(page.buffer);
  let count = 0;
  for (let pgid = FIRST_DATA_PGID; (pgid + 1) * PAGE_BYTES <= file.sizeBytes(); pgid++) {
    file.read(page, 0, PAGE_BYTES, pgid * PAGE_BYTES);
    const isLeaf = view.getUint32(0, true) === pgid && view.getUint16(FLAGS_AT, true) === LEAF_FLAG;
    if (!isLeaf || view.getUint32(ELEMENT_AT, true) !== 0) continue;
    const keyAt = ELEMENT_AT + view.getUint32(ELEMENT_AT + 4, true);
    if (isSpared(page.slice(keyAt, keyAt + view.getUint32(ELEMENT_AT + 8, true)))) continue;
    view.setUint32(ELEMENT_AT + 12, 0xffff_ffff, true);
    file.write(page, 0, PAGE_BYTES, pgid * PAGE_BYTES);
    count++;
  }
  file.close();
  return count;
}
