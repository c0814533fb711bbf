/**
 * The pages of one commit: takes places for them, builds them in memory, and keeps the list of what must be written. The built
 * pages are in the cache at once; only transactions that build on this one can come to them.
 */
import { assert } from '@etcd/base';
import { BoltError } from './bolt-error.ts';
import {
  BRANCH_PAGE,
  ELEMENT_BYTES,
  LEAF_PAGE,
  PAGE_HEADER_BYTES,
  PGID_LIMIT,
  writePageHeader,
  writeUint64,
} from './format.ts';
import type { Freelist, PageChanges } from './freelist.ts';
import { IntList } from './int-list.ts';
import { copyRange, type PageBuffer } from './page-buffer.ts';
import { type Slab, WRITTEN } from './page-cache.ts';
import type { Pager } from './pager.ts';
import {
  KEY_BYTES,
  OFFSET,
  SOURCE,
  STRIDE,
  TAIL,
  type TreeNode,
  valueBytesOf,
  type Workspace,
} from './workspace.ts';

export class PageWriter {
  readonly changes: PageChanges;
  readonly #pager: Pager;
  readonly #freelist: Freelist;
  /** The high-water mark with the pages taken so far. */
  highWaterPgid: number;
  /** By page built: its id, length in pages, buffer and place therein. */
  readonly pgids = new IntList();
  readonly lengths = new IntList();
  readonly slabs: Slab[] = [];
  readonly bases = new IntList();

  constructor(pager: Pager, freelist: Freelist, changes: PageChanges, highWaterPgid: number) {
    this.#pager = pager;
    this.#freelist = freelist;
    this.changes = changes;
    this.highWaterPgid = highWaterPgid;
  }

  /** Pages so far, overflow included. */
  pageCount = 0;

  /** Gives up the page that a node came from. */
  freeNode(node: TreeNode): void {
    if (node.pgid === 0) return;
    this.free(node.pgid, node.pages);
    node.pgid = 0;
  }

  /** Gives up a page with its overflow pages. Throws `corrupt` when that was done before. */
  free(pgid: number, pages: number): void {
    if (this.#freelist.free(this.changes, pgid, pages)) return;
    throw this.#pager.corrupt(pgid, 'it or its overflow is in use twice, or both in use and free');
  }

  /** A page of its own for elements [from, to) of a node, `sizeBytes` long; returns its id. */
  writeElements(workspace: Workspace, node: TreeNode, from: number, to: number, sizeBytes: number): number {
    const { pageSizeBytes } = this.#pager;
    const pages = Math.ceil(sizeBytes / pageSizeBytes);
    const pgid = this.#allocate(pages);
    const slab = this.#pager.cache.openSlab(WRITTEN, pages);
    const base = slab.usedPages * pageSizeBytes;
    const end = encodeElements(workspace, node, from, to, slab, base, pgid, pages - 1);
    assert(end === base + sizeBytes, 'page writer: elements do not make the size they should');
    // The buffer is memory that others used before.
    slab.bytes.fill(0, end, base + pages * pageSizeBytes);
    this.#publish(slab, base, pgid, pages);
    return pgid;
  }

  /** A page, or several in a row, that `fill` writes; it finds them zeroed. */
  writePages(pages: number, fill: (buffer: PageBuffer, base: number, pgid: number) => void): number {
    const { pageSizeBytes } = this.#pager;
    const pgid = this.#allocate(pages);
    const slab = this.#pager.cache.openSlab(WRITTEN, pages);
    const base = slab.usedPages * pageSizeBytes;
    slab.bytes.fill(0, base, base + pages * pageSizeBytes);
    fill(slab, base, pgid);
    this.#publish(slab, base, pgid, pages);
    return pgid;
  }

  /** Undoes everything. */
  rollback(): void {
    for (let i = 0; i < this.pgids.count; i++) this.#pager.cache.forget(this.pgids.at(i));
    this.#freelist.rollback(this.changes);
  }

  #allocate(pages: number): number {
    const pgid = this.#freelist.allocate(this.changes, pages);
    if (pgid !== -1) return pgid;
    const end = this.highWaterPgid;
    if (end + pages >= PGID_LIMIT) throw new BoltError('too-large', `more than ${PGID_LIMIT} pages`);
    this.#freelist.noteWritten(this.changes, end, pages);
    this.highWaterPgid = end + pages;
    this.#pager.highWaterPgid = Math.max(this.#pager.highWaterPgid, this.highWaterPgid);
    return end;
  }

  #publish(slab: Slab, base: number, pgid: number, pages: number): void {
    slab.lastTxid = this.changes.txid;
    this.#pager.cache.publish(slab, WRITTEN, pgid, pages, 0);
    this.pageCount += pages;
    this.pgids.push(pgid);
    this.lengths.push(pages);
    this.slabs.push(slab);
    this.bases.push(base);
  }
}

/** Writes a page of elements [from, to) at `base` of a buffer; returns where it ends. */
export function encodeElements(
  workspace: Workspace,
  node: TreeNode,
  from: number,
  to: number,
  target: PageBuffer,
  base: number,
  pgid: number,
  overflow: number,
): number {
  const { view } = target;
  const { pool } = workspace;
  writePageHeader(view, base, pgid, node.isLeaf ? LEAF_PAGE : BRANCH_PAGE, to - from, overflow);
  let element = base + PAGE_HEADER_BYTES;
  let data = element + (to - from) * ELEMENT_BYTES;
  // Elements that lie one behind the other in their source, as they do on a page or when put in order, are copied at once.
  let runSource = -1;
  let runStart = 0;
  let runEnd = 0;
  let runTarget = data;
  for (let i = from; i < to; i++, element += ELEMENT_BYTES) {
    const at = (node.start + i) * STRIDE;
    const source = pool[at + SOURCE]!;
    const offset = pool[at + OFFSET]!;
    const keyBytes = pool[at + KEY_BYTES]!;
    const tail = pool[at + TAIL]!;
    let length = keyBytes;
    if (node.isLeaf) {
      const valueBytes = valueBytesOf(tail);
      view.setUint32(element, tail < 0 ? 1 : 0, true);
      view.setUint32(element + 4, data - element, true);
      view.setUint32(element + 8, keyBytes, true);
      view.setUint32(element + 12, valueBytes, true);
      length += valueBytes;
    } else {
      assert(tail >= 0, 'page writer: child was not written');
      view.setUint32(element, data - element, true);
      view.setUint32(element + 4, keyBytes, true);
      writeUint64(view, element + 8, tail);
    }
    if (source !== runSource || offset !== runEnd) {
      if (runSource >= 0)
        copyRange(workspace.buffer(runSource).bytes, runStart, runEnd, target.bytes, runTarget);
      runSource = source;
      runStart = offset;
      runTarget = data;
    }
    runEnd = offset + length;
    data += length;
  }
  if (runSource >= 0) copyRange(workspace.buffer(runSource).bytes, runStart, runEnd, target.bytes, runTarget);
  return data;
}
