/**
 * Finds the free pages of a file that was just opened: from the list stored in it, or, where none is stored, as all pages
 * that can't be reached from the root.
 *
 * Reaching every page takes the branch pages, and of the leaf pages only their header and the flags of their elements. Pages
 * are read in the order of the file, large stretches at once, over and over until no new one turns up: as often as the tree is
 * deep. Leaf pages that the cache has seen since the file was opened are not read again.
 */
import { Bitmap } from './bitmap.ts';
import { bucketValueFault, readBucketValue } from './bucket-value.ts';
import {
  BRANCH_PAGE,
  ELEMENT_BYTES,
  FIRST_DATA_PGID,
  FREELIST_LONG_COUNT,
  FREELIST_PAGE,
  LEAF_PAGE,
  PAGE_HEADER_BYTES,
  pageCount,
  pageFlags,
  pageOverflow,
  readUint64,
} from './format.ts';
import type { Freelist } from './freelist.ts';
import { type Meta, NO_FREELIST } from './meta.ts';
import {
  branchChild,
  leafHasBuckets,
  leafIsBucket,
  leafKeyBytes,
  leafKeyStart,
  leafValueBytes,
} from './page.ts';
import { PageBuffer } from './page-buffer.ts';
import { ioError, type Pager } from './pager.ts';
import { SLICE_COST, type Steps } from './steps.ts';

const READ_BYTES = 1 << 20;
/** Unneeded pages between two needed ones that are read along rather than skipped. */
const READ_ALONG_PAGES = 8;
const IDS_PER_STEP = 10_000;
/** Looking at a branch page, against looking at a leaf page of a long stretch. */
const BRANCH_COST = 4;

/** Fills `freelist`. Throws `corrupt`. */
export function loadFreelist(pager: Pager, meta: Meta, freelist: Freelist): Steps {
  if (meta.freelistPgid !== NO_FREELIST) return readFreelist(pager, meta, freelist);
  return new FreelistScan(pager, meta, freelist).run();
}

/** How many pages the stored freelist takes; 0 when none is stored. */
export function freelistPages(pager: Pager, meta: Meta): number {
  if (meta.freelistPgid === NO_FREELIST) return 0;
  const header = new PageBuffer(PAGE_HEADER_BYTES);
  read(pager, header, 0, PAGE_HEADER_BYTES, meta.freelistPgid);
  const { view } = header;
  const pgid = meta.freelistPgid;
  if (readUint64(view, 0) !== pgid) throw pager.corrupt(pgid, `calls itself page ${readUint64(view, 0)}`);
  if (pageFlags(view, 0) !== FREELIST_PAGE) throw pager.corrupt(pgid, 'is not a freelist page');
  const pages = 1 + pageOverflow(view, 0);
  if (pgid + pages > meta.highWaterPgid)
    throw pager.corrupt(pgid, 'the freelist reaches beyond the last page');
  return pages;
}

function* readFreelist(pager: Pager, meta: Meta, freelist: Freelist): Steps {
  const pgid = meta.freelistPgid;
  const pages = freelistPages(pager, meta);
  const sizeBytes = pages * pager.pageSizeBytes;
  const { view } = read(pager, new PageBuffer(sizeBytes), 0, sizeBytes, pgid);
  let count = pageCount(view, 0);
  let at = PAGE_HEADER_BYTES;
  if (count === FREELIST_LONG_COUNT) {
    count = readUint64(view, at);
    at += 8;
  }
  if (at + count * 8 > sizeBytes) throw pager.corrupt(pgid, `${count} page ids do not fit into the freelist`);
  for (let i = 0; i < count; i++, at += 8) {
    const free = readUint64(view, at);
    if (free < FIRST_DATA_PGID || free >= meta.highWaterPgid) {
      throw pager.corrupt(pgid, `free page ${free} is outside of [2, ${meta.highWaterPgid})`);
    }
    if (!freelist.addFree(free)) throw pager.corrupt(pgid, `page ${free} is free twice`);
    if (i % IDS_PER_STEP === 0) yield SLICE_COST / 4;
  }
}

class FreelistScan {
  readonly #pager: Pager;
  readonly #meta: Meta;
  readonly #freelist: Freelist;
  readonly #reached: Bitmap;
  /** Reached, and still to be looked at. */
  readonly #toRead = new Bitmap();
  readonly #buffer: PageBuffer;
  readonly #bufferPages: number;

  constructor(pager: Pager, meta: Meta, freelist: Freelist) {
    this.#pager = pager;
    this.#meta = meta;
    this.#freelist = freelist;
    this.#reached = new Bitmap(meta.highWaterPgid);
    this.#bufferPages = Math.max(1, READ_BYTES / pager.pageSizeBytes);
    this.#buffer = new PageBuffer(this.#bufferPages * pager.pageSizeBytes);
  }

  *run(): Steps {
    this.#reach(this.#meta.rootPgid, 0);
    while (this.#toRead.count > 0) yield* this.#sweep();
    for (let pgid = this.#reached.nextClear(FIRST_DATA_PGID); pgid < this.#meta.highWaterPgid; ) {
      this.#freelist.addFree(pgid);
      pgid = this.#reached.nextClear(pgid + 1);
    }
  }

  /** Looks at all pages that are to be looked at, from the front of the file to its end. */
  *#sweep(): Steps {
    const pager = this.#pager;
    for (let pgid = this.#toRead.nextSet(0); pgid !== -1; pgid = this.#toRead.nextSet(pgid + 1)) {
      if (pager.cache.has(pgid)) {
        this.#toRead.delete(pgid);
        this.#lookAtCached(pgid);
        yield BRANCH_COST;
        continue;
      }
      // Alone lie branch pages, and leaves of large values, which nobody needs here.
      const pages = this.#stretchFrom(pgid);
      const size = pager.pageSizeBytes;
      read(pager, this.#buffer, 0, pages * size, pgid);
      for (let i = 0; i < pages; i++) {
        if (this.#toRead.delete(pgid + i)) this.#lookAt(pgid + i, this.#buffer, i * size);
      }
      yield Math.max(pages, BRANCH_COST);
    }
  }

  /** How many pages to read at once from `first` on. */
  #stretchFrom(first: number): number {
    let last = first;
    for (;;) {
      const next = this.#toRead.nextSet(last + 1);
      if (next === -1 || next - last > READ_ALONG_PAGES || next - first >= this.#bufferPages)
        return last - first + 1;
      last = next;
    }
  }

  #lookAtCached(pgid: number): void {
    const place = this.#pager.page(pgid);
    this.#lookAtVerified(pgid, this.#pager.cache.slabAt(place), this.#pager.cache.baseAt(place));
  }

  /** A page just read, of which only the first page size is at hand. */
  #lookAt(pgid: number, buffer: PageBuffer, base: number): void {
    const { view } = buffer;
    const id = readUint64(view, base);
    if (id !== pgid) throw this.#pager.corrupt(pgid, `calls itself page ${id}`);
    const isLeaf = pageFlags(view, base) === LEAF_PAGE;
    const tableBytes = PAGE_HEADER_BYTES + pageCount(view, base) * ELEMENT_BYTES;
    // The values of a leaf don't matter, so that one whose elements are all plain need not be read whole.
    if (isLeaf && tableBytes <= this.#pager.pageSizeBytes && !leafHasBuckets(view, base)) {
      this.#reachOverflow(pgid, pageOverflow(view, base));
      return;
    }
    this.#lookAtCached(pgid);
  }

  #lookAtVerified(pgid: number, buffer: PageBuffer, base: number): void {
    const { view } = buffer;
    this.#reachOverflow(pgid, pageOverflow(view, base));
    const count = pageCount(view, base);
    if (pageFlags(view, base) === BRANCH_PAGE) {
      for (let i = 0; i < count; i++) this.#reach(branchChild(view, base, i), pgid);
      return;
    }
    for (let i = 0; i < count; i++) {
      if (!leafIsBucket(view, base, i)) continue;
      const start = leafKeyStart(view, base, i) + leafKeyBytes(view, base, i);
      const end = start + leafValueBytes(view, base, i);
      const fault = bucketValueFault(buffer, start, end, this.#meta.highWaterPgid);
      if (fault !== null) throw this.#pager.corrupt(pgid, fault);
      const { rootPgid } = readBucketValue(buffer, start);
      if (rootPgid !== 0) this.#reach(rootPgid, pgid);
    }
  }

  #reach(pgid: number, from: number): void {
    if (!this.#reached.add(pgid)) throw this.#pager.corrupt(pgid, `is in use twice, once by page ${from}`);
    if (!this.#pager.plainLeaves?.has(pgid)) this.#toRead.add(pgid);
  }

  #reachOverflow(pgid: number, overflow: number): void {
    if (pgid + overflow >= this.#meta.highWaterPgid) {
      throw this.#pager.corrupt(
        pgid,
        `${overflow} overflow pages reach beyond page ${this.#meta.highWaterPgid}`,
      );
    }
    for (let i = 1; i <= overflow; i++) {
      if (!this.#reached.add(pgid + i))
        throw this.#pager.corrupt(pgid + i, `is in use twice, once under page ${pgid}`);
    }
  }
}

/** Fills the buffer from the file. */
function read(pager: Pager, buffer: PageBuffer, base: number, length: number, pgid: number): PageBuffer {
  let got: number;
  try {
    got = pager.file.read(buffer.bytes, base, length, pgid * pager.pageSizeBytes);
  } catch (error) {
    throw ioError(error, pager.file.path);
  }
  if (got < length) throw pager.corrupt(pgid, 'the file ends before or in it');
  return buffer;
}
