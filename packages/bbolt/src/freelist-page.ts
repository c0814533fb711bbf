/**
 * The freelist as it is stored: sorted page ids behind a page header whose count says how many, or is 0xFFFF and the real
 * count comes first.
 */
import { assert } from '@etcd/base';
import {
  FREELIST_LONG_COUNT,
  FREELIST_PAGE,
  PAGE_HEADER_BYTES,
  writePageHeader,
  writeUint64,
} from './format.ts';
import type { Freelist } from './freelist.ts';
import type { PageWriter } from './page-writer.ts';

const ID_BYTES = 8;

/** Writes the list, with the pages that are pending: nobody will need them once the file is opened anew. Returns its page. */
export function writeFreelist(freelist: Freelist, writer: PageWriter, pageSizeBytes: number): number {
  // Taking pages for the list itself only shortens it.
  const ids = freelist.freeCount + freelist.pendingCount + 1;
  const pages = Math.ceil((PAGE_HEADER_BYTES + ids * ID_BYTES) / pageSizeBytes);
  return writer.writePages(pages, ({ view }, base, pgid) => {
    const count = freelist.freeCount + freelist.pendingCount;
    const isLong = count >= FREELIST_LONG_COUNT;
    writePageHeader(view, base, pgid, FREELIST_PAGE, isLong ? FREELIST_LONG_COUNT : count, pages - 1);
    let at = base + PAGE_HEADER_BYTES;
    if (isLong) {
      writeUint64(view, at, count);
      at += ID_BYTES;
    }
    freelist.forEachUnused((unused) => {
      writeUint64(view, at, unused);
      at += ID_BYTES;
    });
    assert(at <= base + pages * pageSizeBytes, 'freelist: more ids than counted');
  });
}
