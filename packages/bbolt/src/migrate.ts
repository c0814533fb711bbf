/**
 * One tree's share of a defragmentation step: goes over its leaf pages in the order of their keys and has those written anew
 * that lie too far back in the file, or that fill fewer pages together with their neighbours.
 */
import { compareBytes, copyBytes } from '@etcd/base';
import { MAX_DEPTH } from './cursor.ts';
import { ELEMENT_BYTES, LEAF_PAGE, pageCount, pageFlags, pageOverflow, readUint64 } from './format.ts';
import type { Freelist } from './freelist.ts';
import { IntList } from './int-list.ts';
import { childIndex, leafIsBucket, leafKeyBytes, leafKeyStart, leafValueBytes } from './page.ts';
import type { PageBuffer } from './page-buffer.ts';
import type { PageWriter } from './page-writer.ts';
import { merge } from './rebalance.ts';
import { leafPagesFor } from './spill.ts';
import type { Tree } from './tree.ts';
import { KEY_BYTES, OFFSET, SOURCE, STRIDE, TAIL, type TreeNode } from './workspace.ts';

/** How full pages are made, as etcd's own defragmentation does it. */
const PACKED_FILL_SHARE = 0.9;
/** Leaves are packed when that saves at least one page in so many. */
const WORTHWHILE_SHARE = 1 / 16;
/** Neighbours that are packed together: many leave less of a rest, few make a short step. */
const GROUP_BYTES = 1 << 19;
const MIN_GROUP_PAGES = 8;
const MAX_GROUP_PAGES = 64;

export interface MigrationLimits {
  /** Pages from here on are moved further down, */
  readonly fromPgid: number;
  /** as far as there are free pages below here. */
  readonly roomBelowPgid: number;
  readonly maxRewrites: number;
  readonly maxLooks: number;
}

export class TreeMigration {
  readonly #writer: PageWriter;
  readonly #freelist: Freelist;
  readonly #limits: MigrationLimits;
  readonly #sizes = new IntList();
  /** Free pages in front that this step has not given away yet. */
  #room: number;
  readonly #groupPages: number;
  #looks = 0;
  rewrites = 0;

  constructor(writer: PageWriter, freelist: Freelist, pageSizeBytes: number, limits: MigrationLimits) {
    this.#groupPages = Math.min(MAX_GROUP_PAGES, Math.max(MIN_GROUP_PAGES, GROUP_BYTES / pageSizeBytes));
    this.#writer = writer;
    this.#freelist = freelist;
    this.#limits = limits;
    this.#room = freelist.freeBelow(limits.roomBelowPgid);
  }

  /** Whether the step has done its share. */
  get isSpent(): boolean {
    return this.rewrites >= this.#limits.maxRewrites || this.#looks >= this.#limits.maxLooks;
  }

  /**
   * Goes over the leaves from the one that holds `position` on (null: from the first) until it is spent.
   * @param nested told the names of nested buckets that have pages of their own.
   * @returns where to go on, or null at the end.
   */
  run(tree: Tree, position: Uint8Array | null, nested: (name: Uint8Array) => void): Uint8Array | null {
    tree.forgetLeaf();
    if (tree.node === null && tree.pgid === 0) return null;
    let next = position;
    do {
      const reached = this.#goOver(tree, next, nested);
      const stands = reached !== null && next !== null && compareBytes(reached, next) <= 0;
      if (stands) throw tree.pager.corrupt(tree.pgid, 'the keys of branch pages under it are out of order');
      next = reached;
    } while (next !== null && !this.isSpent);
    tree.forgetLeaf();
    return next;
  }

  /** Goes over the leaves of one branch; returns the first key behind what it did. */
  #goOver(tree: Tree, position: Uint8Array | null, nested: (name: Uint8Array) => void): Uint8Array | null {
    let branch = tree.openRoot();
    let upper: Uint8Array | null = null;
    if (branch.isLeaf) {
      this.#looks++;
      this.#collectNested(tree, branch, nested);
      this.#moveNode(branch);
      return null;
    }
    for (let depth = 0; ; depth++) {
      if (depth === MAX_DEPTH) throw tree.pager.corrupt(branch.pgid, 'the tree is too deep');
      const index =
        position === null ? 0 : childIndex(tree.workspace.search(branch, position, 0, position.length));
      if (index + 1 < branch.count) upper = separator(tree, branch, index + 1);
      // The way down is opened up in any case; it is written only where it changes.
      this.#moveNode(branch);
      if (this.#isLeaf(tree, branch, index)) {
        const end = this.#goOverLeaves(tree, branch, index, nested);
        return end < branch.count ? separator(tree, branch, end) : upper;
      }
      branch = tree.openChild(branch, index);
    }
  }

  /** Handles a group of leaves from `from` on; returns the index behind it. */
  #goOverLeaves(tree: Tree, branch: TreeNode, from: number, nested: (name: Uint8Array) => void): number {
    const to = Math.min(branch.count, from + this.#groupPages);
    this.#sizes.truncate(0);
    let pages = 0;
    for (let i = from; i < to; i++) pages += this.#measure(tree, branch, i, nested);
    this.#looks += to - from;
    const packed = leafPagesFor(this.#sizes.view(), PACKED_FILL_SHARE, tree.pager.pageSizeBytes);
    if (to - from > 1 && pages - packed >= Math.max(1, pages * WORTHWHILE_SHARE)) {
      for (let i = from + 1; i < to; i++) merge(tree, this.#writer, branch, from);
      const leaf = tree.openChild(branch, from);
      leaf.fillPercent = PACKED_FILL_SHARE;
      leaf.shrunk = false;
      this.rewrites += packed;
      this.#room -= packed;
      return from + 1;
    }
    for (let i = from; i < to; i++) this.#moveLeaf(tree, branch, i);
    return to;
  }

  /** Adds the sizes of a leaf's elements to the list; returns how many pages it has. */
  #measure(tree: Tree, branch: TreeNode, index: number, nested: (name: Uint8Array) => void): number {
    const { workspace, pager } = tree;
    const opened = tree.openedChild(branch, index);
    if (opened !== null) {
      if (!opened.isLeaf) throw pager.corrupt(opened.pgid, 'a branch page beside leaf pages');
      for (let i = 0; i < opened.count; i++) this.#sizes.push(workspace.elementSize(opened, i));
      this.#collectNested(tree, opened, nested);
      return Math.max(opened.pages, Math.ceil(opened.sizeBytes / pager.pageSizeBytes));
    }
    const pgid = workspace.pool[(branch.start + index) * STRIDE + TAIL]!;
    const place = pager.page(pgid);
    const buffer = pager.cache.slabAt(place);
    const base = pager.cache.baseAt(place);
    const { view } = buffer;
    if (pageFlags(view, base) !== LEAF_PAGE) throw pager.corrupt(pgid, 'a branch page beside leaf pages');
    for (let i = 0; i < pageCount(view, base); i++) {
      const keyStart = leafKeyStart(view, base, i);
      const keyBytes = leafKeyBytes(view, base, i);
      this.#sizes.push(ELEMENT_BYTES + keyBytes + leafValueBytes(view, base, i));
      if (leafIsBucket(view, base, i)) tellNested(buffer, keyStart, keyStart + keyBytes, nested);
    }
    return 1 + pageOverflow(view, base);
  }

  #collectNested(tree: Tree, leaf: TreeNode, nested: (name: Uint8Array) => void): void {
    const { workspace } = tree;
    for (let i = 0; i < leaf.count; i++) {
      const at = (leaf.start + i) * STRIDE;
      if (workspace.pool[at + TAIL]! >= 0) continue;
      const buffer = workspace.buffer(workspace.pool[at + SOURCE]!);
      const start = workspace.pool[at + OFFSET]!;
      tellNested(buffer, start, start + workspace.pool[at + KEY_BYTES]!, nested);
    }
  }

  #isLeaf(tree: Tree, branch: TreeNode, index: number): boolean {
    const opened = tree.openedChild(branch, index);
    if (opened !== null) return opened.isLeaf;
    const { pager } = tree;
    const place = pager.page(tree.workspace.pool[(branch.start + index) * STRIDE + TAIL]!);
    return pageFlags(pager.cache.slabAt(place).view, pager.cache.baseAt(place)) === LEAF_PAGE;
  }

  #moveLeaf(tree: Tree, branch: TreeNode, index: number): void {
    const opened = tree.openedChild(branch, index);
    if (opened !== null) return this.#moveNode(opened);
    const { pager } = tree;
    const pgid = tree.workspace.pool[(branch.start + index) * STRIDE + TAIL]!;
    if (pgid < this.#limits.fromPgid) return;
    const place = pager.page(pgid);
    const pages = 1 + pageOverflow(pager.cache.slabAt(place).view, pager.cache.baseAt(place));
    if (this.#mayMove(pgid, pages)) this.#moveNode(tree.openChild(branch, index));
  }

  /** Has a node written anew if its page lies too far back and there is room for it in front. */
  #moveNode(node: TreeNode): void {
    if (node.changed || node.pgid === 0 || !this.#mayMove(node.pgid, node.pages)) return;
    node.changed = true;
    this.rewrites += node.pages;
    this.#room -= node.pages;
  }

  #mayMove(pgid: number, pages: number): boolean {
    if (pgid < this.#limits.fromPgid || this.#room < pages) return false;
    const place = this.#freelist.lowestRun(pages);
    return place !== -1 && place < pgid;
  }
}

/** A bucket with pages of its own has a root page; an inline one moves with the page it is in. */
function tellNested(
  buffer: PageBuffer,
  keyStart: number,
  keyEnd: number,
  nested: (name: Uint8Array) => void,
): void {
  if (readUint64(buffer.view, keyEnd) !== 0) nested(buffer.bytes.subarray(keyStart, keyEnd));
}

function separator(tree: Tree, branch: TreeNode, index: number): Uint8Array {
  const { workspace } = tree;
  const at = (branch.start + index) * STRIDE;
  const start = workspace.pool[at + OFFSET]!;
  const { bytes } = workspace.buffer(workspace.pool[at + SOURCE]!);
  return copyBytes(bytes.subarray(start, start + workspace.pool[at + KEY_BYTES]!));
}
