/**
 * What a write transaction holds in memory: the pages it changes, opened up into nodes, and the keys and values it was given.
 *
 * A node's elements are records of four integers in one shared pool, so that a transaction that touches ten thousand pages
 * makes no object per element, and moving elements between nodes moves integers only:
 *
 *     source | offset in source | key bytes | tail
 *
 * `source` numbers a page buffer. The value lies behind its key. `tail` is, on a leaf, the length of the value, inverted
 * (`~length`) where the value is a bucket; on a branch, the child's page id, or inverted the number of the child's node.
 */
import { assert, compareRange } from '@etcd/base';
import {
  BRANCH_PAGE,
  ELEMENT_BYTES,
  PAGE_HEADER_BYTES,
  pageCount,
  pageFlags,
  pageOverflow,
} from './format.ts';
import {
  branchChild,
  branchKeyBytes,
  branchKeyStart,
  leafIsBucket,
  leafKeyBytes,
  leafKeyStart,
  leafValueBytes,
} from './page.ts';
import { copyRange, PageBuffer } from './page-buffer.ts';
import type { Pager } from './pager.ts';

/** Integers of an element. */
export const STRIDE = 4;
export const SOURCE = 0;
export const OFFSET = 1;
export const KEY_BYTES = 2;
export const TAIL = 3;

const ARENA_BYTES = 1 << 17;
/** What is longer gets a buffer of its own, so that the rest of the arena is not lost. */
const MAX_ARENA_ITEM_BYTES = ARENA_BYTES / 4;
/** Arenas that one workspace leaves to the next: what a batch of some 100 objects needs. */
const MAX_KEPT_ARENAS = 16;
/** Room for elements that a node gets beyond those of its page. */
const SPARE_ELEMENTS = 4;
const POOL_ELEMENTS = 1024;
/** A pool that a huge transaction made is not kept beyond this for the next one. */
const MAX_KEPT_POOL_INTS = 1 << 20;

/** A page being changed. hot: one shape. */
export class TreeNode {
  /** Its number in the workspace. */
  readonly index: number;
  readonly isLeaf: boolean;
  /** The page it came from, 0 for a new node and for the root of an inline bucket; with its overflow pages. */
  pgid: number;
  pages: number;
  /** Elements are at [start, start + count) times STRIDE of the pool, with room up to `capacity`. */
  start = 0;
  count = 0;
  capacity = 0;
  /** Of the page that the elements would make. */
  sizeBytes = PAGE_HEADER_BYTES;
  /** Whether it differs from its page; a node that doesn't is not written. */
  changed = false;
  /** Whether elements were taken out, so that it may be worth merging. */
  shrunk = false;
  /** Fill its pages to this share instead of the bucket's; 0: as the bucket says. */
  fillPercent = 0;

  constructor(index: number, isLeaf: boolean, pgid: number, pages: number) {
    this.index = index;
    this.isLeaf = isLeaf;
    this.pgid = pgid;
    this.pages = pages;
  }
}

/** The memory that one workspace leaves to the next. */
export class WorkspaceMemory {
  pool: Int32Array = new Int32Array(POOL_ELEMENTS * STRIDE);
  /** Of {@link ARENA_BYTES} each; a workspace takes one after the other. */
  readonly arenas: PageBuffer[] = [new PageBuffer(ARENA_BYTES)];
  /** Tells workspaces apart where buffers remember theirs. */
  stamp = 0;
}

export class Workspace {
  readonly pager: Pager;
  /** Elements of all nodes. Replaced when it grows: read anew after every call that may add elements. */
  pool: Int32Array;
  readonly #memory: WorkspaceMemory;
  readonly #stamp: number;
  readonly #sources: PageBuffer[] = [];
  readonly #nodes: TreeNode[] = [];
  /** Memory of the transaction's owner that elements lie in, the one asked for last apart. */
  readonly #lent = new Map<Uint8Array, PageBuffer>();
  #lastLent: PageBuffer | null = null;
  /** The buffer of the last {@link reserve}. */
  reserved: PageBuffer;
  #poolUsed = 0;
  /** The arena that is being filled, and how far. */
  #arena = 0;
  #arenaUsed = 0;

  constructor(pager: Pager, memory: WorkspaceMemory) {
    this.pager = pager;
    this.#memory = memory;
    this.#stamp = ++memory.stamp;
    this.pool = memory.pool;
    this.reserved = memory.arenas[0]!;
  }

  node(index: number): TreeNode {
    return this.#nodes[index]!;
  }

  /** The buffer that an element's `source` stands for. */
  buffer(source: number): PageBuffer {
    return this.#sources[source]!;
  }

  /** The number of a buffer, given out on first use. */
  sourceOf(buffer: PageBuffer): number {
    if (buffer.sourceStamp !== this.#stamp) {
      buffer.sourceStamp = this.#stamp;
      buffer.sourceIndex = this.#sources.length;
      this.#sources.push(buffer);
    }
    return buffer.sourceIndex;
  }

  /**
   * Ends the workspace: the next one may use its memory. Nodes and elements mean nothing any more, nor do the values that its
   * transaction gave out.
   */
  release(): void {
    if (this.pool === RELEASED) return;
    if (this.pool.length <= MAX_KEPT_POOL_INTS) this.#memory.pool = this.pool;
    this.pool = RELEASED;
    const { arenas } = this.#memory;
    if (arenas.length > MAX_KEPT_ARENAS) arenas.length = MAX_KEPT_ARENAS;
    for (let i = 0; i <= this.#arena && i < arenas.length; i++) arenas[i]!.poison();
    this.pager.cache.recycle();
  }

  /** Room for `bytes` of key and value, in {@link reserved} from the returned offset on. */
  reserve(bytes: number): number {
    if (bytes > MAX_ARENA_ITEM_BYTES) {
      this.reserved = new PageBuffer(bytes);
      return 0;
    }
    const { arenas } = this.#memory;
    if (this.#arenaUsed + bytes > ARENA_BYTES) {
      this.#arena++;
      this.#arenaUsed = 0;
      if (this.#arena === arenas.length) arenas.push(new PageBuffer(ARENA_BYTES));
    }
    this.reserved = arenas[this.#arena]!;
    const offset = this.#arenaUsed;
    this.#arenaUsed += bytes;
    return offset;
  }

  /** The number of `memory`, which stays as it is until the workspace ends. */
  sourceOfLent(memory: Uint8Array): number {
    let buffer = this.#lastLent;
    if (buffer === null || buffer.bytes !== memory) {
      buffer = this.#lent.get(memory) ?? new PageBuffer(memory);
      this.#lent.set(memory, buffer);
      this.#lastLent = buffer;
    }
    return this.sourceOf(buffer);
  }

  /** Copies key and value to where they stay; returns the offset in {@link reserved}. */
  keep(key: Uint8Array, value: Uint8Array): number {
    const offset = this.reserve(key.length + value.length);
    const { bytes } = this.reserved;
    copyRange(key, 0, key.length, bytes, offset);
    copyRange(value, 0, value.length, bytes, offset + key.length);
    return offset;
  }

  newNode(isLeaf: boolean, capacity: number): TreeNode {
    const node = new TreeNode(this.#nodes.length, isLeaf, 0, 0);
    node.changed = true;
    this.#nodes.push(node);
    this.#place(node, capacity);
    return node;
  }

  /** A node with the elements of a page. */
  openPage(pgid: number): TreeNode {
    const place = this.pager.page(pgid);
    const buffer = this.pager.cache.sourceAt(place);
    const base = this.pager.cache.baseAt(place);
    const isLeaf = pageFlags(buffer.view, base) !== BRANCH_PAGE;
    const node = new TreeNode(this.#nodes.length, isLeaf, pgid, 1 + pageOverflow(buffer.view, base));
    this.#nodes.push(node);
    this.#readElements(node, buffer, base);
    return node;
  }

  /** A node with the elements of an inline bucket's page, which begins at `base`. */
  openInline(buffer: PageBuffer, base: number): TreeNode {
    const node = new TreeNode(this.#nodes.length, true, 0, 0);
    this.#nodes.push(node);
    this.#readElements(node, buffer, base);
    return node;
  }

  /** Opens a place of `gap` elements at `index` of the node; their content is up to the caller. */
  insertGap(node: TreeNode, index: number, gap: number): void {
    if (node.count + gap > node.capacity) this.#place(node, (node.count + gap) * 2);
    const from = (node.start + index) * STRIDE;
    if (index < node.count)
      this.pool.copyWithin(from + gap * STRIDE, from, (node.start + node.count) * STRIDE);
    node.count += gap;
  }

  /** Takes `count` elements out, from `index` on; {@link TreeNode.sizeBytes} is up to the caller. */
  removeElements(node: TreeNode, index: number, count: number): void {
    const to = (node.start + index) * STRIDE;
    this.pool.copyWithin(to, to + count * STRIDE, (node.start + node.count) * STRIDE);
    node.count -= count;
  }

  setElement(
    node: TreeNode,
    index: number,
    source: number,
    offset: number,
    keyBytes: number,
    tail: number,
  ): void {
    const at = (node.start + index) * STRIDE;
    const { pool } = this;
    pool[at + SOURCE] = source;
    pool[at + OFFSET] = offset;
    pool[at + KEY_BYTES] = keyBytes;
    pool[at + TAIL] = tail;
  }

  /** What an element adds to the size of its page. */
  elementSize(node: TreeNode, index: number): number {
    const at = (node.start + index) * STRIDE;
    const size = ELEMENT_BYTES + this.pool[at + KEY_BYTES]!;
    return node.isLeaf ? size + valueBytesOf(this.pool[at + TAIL]!) : size;
  }

  /** Moves the elements [from, to) of one node to the end of another of the same kind. */
  moveElements(source: TreeNode, from: number, to: number, target: TreeNode): void {
    let moved = 0;
    for (let i = from; i < to; i++) moved += this.elementSize(source, i);
    const at = target.count;
    this.insertGap(target, at, to - from);
    const start = source.start * STRIDE;
    this.pool.copyWithin((target.start + at) * STRIDE, start + from * STRIDE, start + to * STRIDE);
    target.sizeBytes += moved;
    target.changed = true;
    this.removeElements(source, from, to - from);
    source.sizeBytes -= moved;
    source.changed = true;
  }

  /** Orders an element's key against `key[start, end)`. */
  compareKey(node: TreeNode, index: number, key: Uint8Array, start: number, end: number): number {
    const at = (node.start + index) * STRIDE;
    const { pool } = this;
    const offset = pool[at + OFFSET]!;
    const { bytes } = this.#sources[pool[at + SOURCE]!]!;
    return compareRange(bytes, offset, offset + pool[at + KEY_BYTES]!, key, start, end);
  }

  /** The index of the key in the node, or of the first greater one, inverted. */
  search(node: TreeNode, key: Uint8Array, start: number, end: number): number {
    let low = 0;
    let high = node.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = this.compareKey(node, middle, key, start, end);
      if (order < 0) low = middle + 1;
      else if (order > 0) high = middle;
      else return middle;
    }
    return ~low;
  }

  #readElements(node: TreeNode, buffer: PageBuffer, base: number): void {
    const { view } = buffer;
    const count = pageCount(view, base);
    const source = this.sourceOf(buffer);
    this.#place(node, count + SPARE_ELEMENTS);
    const { pool } = this;
    let at = node.start * STRIDE;
    let size = PAGE_HEADER_BYTES + count * ELEMENT_BYTES;
    for (let i = 0; i < count; i++, at += STRIDE) {
      pool[at + SOURCE] = source;
      if (node.isLeaf) {
        const valueBytes = leafValueBytes(view, base, i);
        const keyBytes = leafKeyBytes(view, base, i);
        pool[at + OFFSET] = leafKeyStart(view, base, i);
        pool[at + KEY_BYTES] = keyBytes;
        pool[at + TAIL] = leafIsBucket(view, base, i) ? ~valueBytes : valueBytes;
        size += keyBytes + valueBytes;
      } else {
        const keyBytes = branchKeyBytes(view, base, i);
        pool[at + OFFSET] = branchKeyStart(view, base, i);
        pool[at + KEY_BYTES] = keyBytes;
        pool[at + TAIL] = branchChild(view, base, i);
        size += keyBytes;
      }
    }
    node.count = count;
    node.sizeBytes = size;
  }

  /** Gives the node a range of its own for `capacity` elements, with those it has. */
  #place(node: TreeNode, capacity: number): void {
    assert(capacity >= node.count, 'workspace: elements lost');
    const start = this.#poolUsed;
    const end = (start + capacity) * STRIDE;
    if (end > this.pool.length) {
      const grown = new Int32Array(Math.max(end, this.pool.length * 2));
      grown.set(this.pool.subarray(0, start * STRIDE));
      this.pool = grown;
    }
    if (node.count > 0) {
      this.pool.copyWithin(start * STRIDE, node.start * STRIDE, (node.start + node.count) * STRIDE);
    }
    node.start = start;
    node.capacity = capacity;
    this.#poolUsed = start + capacity;
  }
}

/** The pool of a workspace that has ended. */
const RELEASED = new Int32Array(0);

/** The length of a leaf element's value from its tail. */
export function valueBytesOf(tail: number): number {
  return tail < 0 ? ~tail : tail;
}
