/**
 * A position in the tree of one bucket, kept as the way down from the root. In a read transaction the way leads over pages; in
 * a write transaction over nodes where pages are being changed, and over pages elsewhere.
 *
 * Damaged files can't lead it astray: the depth is bounded, and from leaf to leaf keys must rise (or fall), so that a page
 * which is linked twice, even to itself, ends the walk with an error.
 */
import { assert, compareRange, EMPTY_BYTES } from '@etcd/base';
import type { Cursor } from './api.ts';
import {
  BRANCH_PAGE,
  BUCKET_ELEMENT,
  ELEMENT_BYTES,
  PAGE_HEADER_BYTES,
  pageCount,
  pageFlags,
} from './format.ts';
import { branchChild, childIndex, compareSeparator, searchBranch, searchLeaf } from './page.ts';
import { PageBuffer } from './page-buffer.ts';
import { MAX_RUN_PAGES } from './page-cache.ts';
import type { TreeRoot } from './tree-root.ts';
import { KEY_BYTES, OFFSET, SOURCE, STRIDE, TAIL, type TreeNode, valueBytesOf } from './workspace.ts';

/** Levels of a tree. One with two children a page and 2^31 pages has 31. */
export const MAX_DEPTH = 40;

/** A leaf page without elements is nothing that bbolt writes except as a root; more than this in a row is damage. */
const MAX_EMPTY_LEAVES = 10_000;

/** How many pages a cursor that goes on and on reads ahead, when they lie in a row: doubled from the first to the last. */
const FIRST_RUN_PAGES = 4;
const LAST_RUN_PAGES = 64;

const NO_BUFFER = new PageBuffer(0);
const NOWHERE = -1;

export class TreeCursor implements Cursor {
  bytes: Uint8Array = EMPTY_BYTES;
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  isBucket = false;

  readonly #root: TreeRoot;
  #version = 0;
  /** The level of the leaf, or {@link NOWHERE}. The arrays below are by level, from the root on. */
  #leaf = NOWHERE;
  readonly #nodes: (TreeNode | null)[] = [];
  readonly #buffers: PageBuffer[] = [];
  readonly #bases: number[] = [];
  readonly #counts: number[] = [];
  readonly #indexes: number[] = [];
  /** Pages to read at the next miss of a walk forward. */
  #runPages = FIRST_RUN_PAGES;

  constructor(root: TreeRoot) {
    this.#root = root;
  }

  first(): boolean {
    this.#start();
    const level = this.#descend(0, false);
    return this.#counts[level]! > 0 ? this.#standOn(level, 0) : this.#nextLeaf(level);
  }

  last(): boolean {
    this.#start();
    const level = this.#descend(0, true);
    const count = this.#counts[level]!;
    return count > 0 ? this.#standOn(level, count - 1) : this.#previousLeaf(level);
  }

  seek(key: Uint8Array): boolean {
    return this.#seekRange(key, 0, key.length, false);
  }

  seekExact(key: Uint8Array): boolean {
    const child = this.#nearChild(key);
    if (child === NOWHERE) return this.#seekRange(key, 0, key.length, true);
    const level = this.#leaf;
    this.#leaf = NOWHERE;
    if (child !== this.#indexes[level - 1]) {
      this.#indexes[level - 1] = child;
      this.#push(level);
      // A tree that is damaged may be deeper here.
      if (!this.#isLeaf(level)) return this.#seekRange(key, 0, key.length, true);
    }
    const found = searchLeaf(
      this.#buffers[level]!,
      this.#bases[level]!,
      this.#counts[level]!,
      key,
      0,
      key.length,
    );
    return found >= 0 && this.#standOn(level, found);
  }

  next(): boolean {
    const level = this.#leaf;
    if (level === NOWHERE) return false;
    if (this.#version !== this.#root.version) return this.#resume(true);
    const index = this.#indexes[level]! + 1;
    if (index < this.#counts[level]!) return this.#standOn(level, index);
    const { bytes, keyStart, keyEnd } = this;
    if (!this.#nextLeaf(level)) return false;
    this.#checkOrder(compareRange(this.bytes, this.keyStart, this.keyEnd, bytes, keyStart, keyEnd) > 0);
    return true;
  }

  previous(): boolean {
    const level = this.#leaf;
    if (level === NOWHERE) return false;
    if (this.#version !== this.#root.version) return this.#resume(false);
    const index = this.#indexes[level]! - 1;
    if (index >= 0) return this.#standOn(level, index);
    const { bytes, keyStart, keyEnd } = this;
    if (!this.#previousLeaf(level)) return false;
    this.#checkOrder(compareRange(this.bytes, this.keyStart, this.keyEnd, bytes, keyStart, keyEnd) < 0);
    return true;
  }

  key(): Uint8Array {
    assert(this.#leaf !== NOWHERE, 'cursor: stands nowhere');
    return this.bytes.subarray(this.keyStart, this.keyEnd);
  }

  value(): Uint8Array {
    assert(this.#leaf !== NOWHERE, 'cursor: stands nowhere');
    return this.bytes.subarray(this.valueStart, this.valueEnd);
  }

  /** The page of the leaf that it stands on; 0 where it is new or inline. */
  pgid(): number {
    if (this.#leaf <= 0) return this.#root.pgid;
    return Math.max(0, this.#childAt(this.#leaf - 1, this.#indexes[this.#leaf - 1]!));
  }

  /** The buffer that {@link bytes} is of. */
  buffer(): PageBuffer {
    assert(this.#leaf !== NOWHERE, 'cursor: stands nowhere');
    const node = this.#nodes[this.#leaf];
    if (node === null || node === undefined) return this.#buffers[this.#leaf]!;
    const workspace = this.#root.workspace!;
    return workspace.buffer(workspace.pool[(node.start + this.#indexes[this.#leaf]!) * STRIDE + SOURCE]!);
  }

  /**
   * Where the parent of the leaf that the cursor stands on says that `key` is under that leaf or the next one: which child of it. Keys that
   * were written one after the other are read so, without the way from the root.
   */
  #nearChild(key: Uint8Array): number {
    const level = this.#leaf - 1;
    if (level < 0 || this.#root.workspace !== null) return NOWHERE;
    const buffer = this.#buffers[level]!;
    const base = this.#bases[level]!;
    const count = this.#counts[level]!;
    const index = this.#indexes[level]!;
    if (index + 1 >= count || compareSeparator(buffer, base, index, key) > 0) return NOWHERE;
    if (compareSeparator(buffer, base, index + 1, key) > 0) return index;
    const isNext = index + 2 < count && compareSeparator(buffer, base, index + 2, key) > 0;
    return isNext ? index + 1 : NOWHERE;
  }

  #seekRange(key: Uint8Array, start: number, end: number, exact: boolean): boolean {
    this.#start();
    let level = 0;
    while (!this.#isLeaf(level)) {
      const node = this.#nodes[level]!;
      this.#indexes[level] =
        node === null
          ? searchBranch(this.#buffers[level]!, this.#bases[level]!, this.#counts[level]!, key, start, end)
          : childIndex(this.#root.workspace!.search(node, key, start, end));
      this.#push(++level);
    }
    const node = this.#nodes[level]!;
    const found =
      node === null
        ? searchLeaf(this.#buffers[level]!, this.#bases[level]!, this.#counts[level]!, key, start, end)
        : this.#root.workspace!.search(node, key, start, end);
    if (found >= 0) return this.#standOn(level, found);
    if (exact) return false;
    return ~found < this.#counts[level]! ? this.#standOn(level, ~found) : this.#nextLeaf(level);
  }

  /** A move after the tree has changed: from the key that the cursor stood on, which may be gone. */
  #resume(forward: boolean): boolean {
    const { bytes, keyStart, keyEnd } = this;
    const on = this.#seekRange(bytes, keyStart, keyEnd, false);
    if (!forward) return on ? this.previous() : this.last();
    if (!on) return false;
    const same = compareRange(this.bytes, this.keyStart, this.keyEnd, bytes, keyStart, keyEnd) === 0;
    return same ? this.next() : true;
  }

  /** Puts the root at level 0. */
  #start(): void {
    const root = this.#root;
    this.#leaf = NOWHERE;
    this.#version = root.version;
    this.#runPages = FIRST_RUN_PAGES;
    if (root.node !== null) this.#pushNode(0, root.node);
    else if (root.inlineBuffer !== null) this.#pushPage(0, root.inlineBuffer, root.inlineBase);
    else this.#pushPgid(0, root.pgid);
  }

  /** From the page at `level` down to a leaf, by the first children or by the last; returns the leaf's level. */
  #descend(level: number, byLast: boolean): number {
    while (!this.#isLeaf(level)) {
      this.#indexes[level] = byLast ? this.#counts[level]! - 1 : 0;
      this.#push(++level);
    }
    return level;
  }

  #nextLeaf(leaf: number): boolean {
    for (let level = leaf - 1, empty = 0; level >= 0; ) {
      if (this.#indexes[level]! + 1 >= this.#counts[level]!) {
        level--;
        continue;
      }
      this.#indexes[level]!++;
      this.#readAhead(level);
      this.#push(level + 1);
      level = this.#descend(level + 1, false);
      if (this.#counts[level]! > 0) return this.#standOn(level, 0);
      this.#countEmpty(++empty);
      level--;
    }
    this.#leaf = NOWHERE;
    return false;
  }

  #previousLeaf(leaf: number): boolean {
    for (let level = leaf - 1, empty = 0; level >= 0; ) {
      if (this.#indexes[level] === 0) {
        level--;
        continue;
      }
      this.#indexes[level]!--;
      this.#push(level + 1);
      level = this.#descend(level + 1, true);
      if (this.#counts[level]! > 0) return this.#standOn(level, this.#counts[level]! - 1);
      this.#countEmpty(++empty);
      level--;
    }
    this.#leaf = NOWHERE;
    return false;
  }

  /** Takes the element of the leaf at `level` as the current one. */
  #standOn(level: number, index: number): true {
    this.#leaf = level;
    this.#indexes[level] = index;
    const node = this.#nodes[level]!;
    if (node !== null) {
      this.#standOnNode(node, index);
      return true;
    }
    const buffer = this.#buffers[level]!;
    const { view } = buffer;
    const at = this.#bases[level]! + PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
    const keyStart = at + view.getUint32(at + 4, true);
    const keyEnd = keyStart + view.getUint32(at + 8, true);
    this.bytes = buffer.bytes;
    this.keyStart = keyStart;
    this.keyEnd = keyEnd;
    this.valueStart = keyEnd;
    this.valueEnd = keyEnd + view.getUint32(at + 12, true);
    this.isBucket = view.getUint32(at, true) === BUCKET_ELEMENT;
    return true;
  }

  #standOnNode(node: TreeNode, index: number): void {
    const workspace = this.#root.workspace!;
    const { pool } = workspace;
    const at = (node.start + index) * STRIDE;
    const tail = pool[at + TAIL]!;
    this.bytes = workspace.buffer(pool[at + SOURCE]!).bytes;
    this.keyStart = pool[at + OFFSET]!;
    this.keyEnd = this.keyStart + pool[at + KEY_BYTES]!;
    this.valueStart = this.keyEnd;
    this.valueEnd = this.keyEnd + valueBytesOf(tail);
    this.isBucket = tail < 0;
  }

  #isLeaf(level: number): boolean {
    const node = this.#nodes[level]!;
    if (node !== null) return node.isLeaf;
    return pageFlags(this.#buffers[level]!.view, this.#bases[level]!) !== BRANCH_PAGE;
  }

  /** Puts the current child of the page at `level - 1` at `level`. */
  #push(level: number): void {
    const parent = this.#nodes[level - 1]!;
    const index = this.#indexes[level - 1]!;
    if (level > MAX_DEPTH) throw this.#root.pager.corrupt(this.#root.pgid, 'the tree under it is too deep');
    if (parent === null) {
      this.#pushPgid(level, branchChild(this.#buffers[level - 1]!.view, this.#bases[level - 1]!, index));
      return;
    }
    const workspace = this.#root.workspace!;
    const tail = workspace.pool[(parent.start + index) * STRIDE + TAIL]!;
    if (tail >= 0) this.#pushPgid(level, tail);
    else this.#pushNode(level, workspace.node(~tail));
  }

  #pushPgid(level: number, pgid: number): void {
    const { pager } = this.#root;
    const place = pager.page(pgid);
    this.#pushPage(level, pager.cache.slabAt(place), pager.cache.baseAt(place));
  }

  #pushPage(level: number, buffer: PageBuffer, base: number): void {
    this.#nodes[level] = null;
    this.#buffers[level] = buffer;
    this.#bases[level] = base;
    this.#counts[level] = pageCount(buffer.view, base);
    this.#indexes[level] = 0;
  }

  #pushNode(level: number, node: TreeNode): void {
    this.#nodes[level] = node;
    this.#buffers[level] = NO_BUFFER;
    this.#bases[level] = 0;
    this.#counts[level] = node.count;
    this.#indexes[level] = 0;
  }

  /** The page id of a child, or below 0 where it is a node. */
  #childAt(level: number, index: number): number {
    const node = this.#nodes[level]!;
    if (node === null) return branchChild(this.#buffers[level]!.view, this.#bases[level]!, index);
    return this.#root.workspace!.pool[(node.start + index) * STRIDE + TAIL]!;
  }

  /** Before going to the current child at `level`: reads it with those after it, when they lie in a row on disk. */
  #readAhead(level: number): void {
    const { pager } = this.#root;
    const index = this.#indexes[level]!;
    const first = this.#childAt(level, index);
    if (first < 0 || pager.cache.has(first)) return;
    const most = Math.min(this.#runPages, this.#counts[level]! - index, MAX_RUN_PAGES);
    let pages = 1;
    while (pages < most && this.#childAt(level, index + pages) === first + pages) {
      if (pager.cache.has(first + pages)) break;
      pages++;
    }
    if (pages > 1) pager.loadRun(first, pages);
    this.#runPages = Math.min(this.#runPages * 2, LAST_RUN_PAGES);
  }

  #checkOrder(right: boolean): void {
    if (right) return;
    const pgid = this.pgid();
    this.#leaf = NOWHERE;
    throw this.#root.pager.corrupt(pgid, 'its keys are out of order with the page before or after it');
  }

  #countEmpty(empty: number): void {
    if (empty > MAX_EMPTY_LEAVES) {
      throw this.#root.pager.corrupt(this.#root.pgid, 'too many empty pages under it');
    }
  }
}
