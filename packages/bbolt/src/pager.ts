/**
 * Pages by their id: from the cache, or read from the file and verified. What comes from here is safe to use by the
 * fields of `page.ts`.
 */
import { DiskError, type DiskFile } from '@etcd/base';
import type { Bitmap } from './bitmap.ts';
import { BoltError } from './bolt-error.ts';
import { LEAF_PAGE, pageFlags, pageOverflow, readUint64 } from './format.ts';
import { leafHasBuckets, pageFault } from './page.ts';
import type { PageBuffer } from './page-buffer.ts';
import { PageCache, type Slab } from './page-cache.ts';

/** Loading a page is its first use. */
const LOADED_ONCE = 1;

export class Pager {
  readonly file: DiskFile;
  readonly pageSizeBytes: number;
  readonly cache: PageCache;
  /** Ids of pages are below it: the highest mark of all states that can be seen. */
  highWaterPgid = 0;
  /**
   * Collects leaf pages without overflow and nested buckets as they are loaded, when somebody wants to know: a later walk over
   * all pages need not read them again.
   */
  plainLeaves: Bitmap | null = null;

  constructor(file: DiskFile, pageSizeBytes: number, cacheBytes: number) {
    this.file = file;
    this.pageSizeBytes = pageSizeBytes;
    this.cache = new PageCache(pageSizeBytes, cacheBytes);
  }

  /** The place in the cache of a branch or leaf page. Throws `corrupt`. */
  page(pgid: number): number {
    const place = this.cache.find(pgid);
    return place >= 0 ? place : this.#load(pgid);
  }

  /**
   * Reads `count` pages from `firstPgid` on at once, all of them children of one branch page that a transaction now open
   * sees, and none in the cache. A page that isn't right is left out: whoever comes to it gets the error.
   */
  loadRun(firstPgid: number, count: number): void {
    const size = this.pageSizeBytes;
    const slab = this.cache.openRun(count);
    const readBytes = this.#read(slab, 0, count * size, firstPgid);
    for (let slot = 0; (slot + 1) * size <= readBytes; slot++) {
      const pgid = firstPgid + slot;
      if (pageOverflow(slab.view, slot * size) > 0) continue;
      if (this.#faultOf(slab, slot * size, pgid, 1) === null) slab.ids[slot] = pgid;
    }
    this.cache.publishRun(slab);
  }

  /** The error that says what is wrong with a page. */
  corrupt(pgid: number, message: string): BoltError {
    const offset = pgid * this.pageSizeBytes;
    return new BoltError('corrupt', `${this.file.path}: page ${pgid} (offset ${offset}): ${message}`, {
      path: this.file.path,
      pgid,
      offset,
    });
  }

  #load(pgid: number): number {
    const area = this.cache.areaFor(pgid);
    let slab = this.cache.openSlab(area, 1);
    const overflow = this.#readPage(slab, pgid, 1);
    const pages = 1 + overflow;
    if (overflow > 0) {
      if (pgid + overflow >= this.highWaterPgid) {
        throw this.corrupt(pgid, `${overflow} overflow pages reach beyond page ${this.highWaterPgid}`);
      }
      slab = this.cache.openSlab(area, pages);
      this.#readPage(slab, pgid, pages);
    }
    const fault = this.#faultOf(slab, slab.usedPages * this.pageSizeBytes, pgid, pages);
    if (fault !== null) throw this.corrupt(pgid, fault);
    return this.cache.publish(slab, area, pgid, pages, LOADED_ONCE);
  }

  /** Reads a page to the slab's next free slot; returns its overflow. */
  #readPage(slab: Slab, pgid: number, pages: number): number {
    const base = slab.usedPages * this.pageSizeBytes;
    const length = pages * this.pageSizeBytes;
    if (this.#read(slab, base, length, pgid) < length)
      throw this.corrupt(pgid, 'the file ends before or in it');
    return pageOverflow(slab.view, base);
  }

  #faultOf(buffer: PageBuffer, base: number, pgid: number, pages: number): string | null {
    const id = readUint64(buffer.view, base);
    if (id !== pgid) return `calls itself page ${id}`;
    const fault = pageFault(buffer, base, pages * this.pageSizeBytes, this.highWaterPgid);
    if (fault !== null) return fault;
    if (this.plainLeaves !== null && pages === 1 && pageFlags(buffer.view, base) === LEAF_PAGE) {
      if (!leafHasBuckets(buffer.view, base)) this.plainLeaves.add(pgid);
    }
    return null;
  }

  #read(buffer: PageBuffer, base: number, length: number, pgid: number): number {
    try {
      return this.file.read(buffer.bytes, base, length, pgid * this.pageSizeBytes);
    } catch (error) {
      throw ioError(error, this.file.path);
    }
  }
}

/** A disk's error as one of this package; anything else as it is. */
export function ioError(error: unknown, path: string): unknown {
  if (!(error instanceof DiskError)) return error;
  return new BoltError('io', `${path}: ${error.message}`, { path, cause: error });
}
