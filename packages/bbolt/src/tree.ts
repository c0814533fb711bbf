/**
 * Changes of one bucket's tree in a write transaction. Pages on the way to a changed key are opened up into nodes; nothing is
 * balanced or split to page size before the commit (`rebalance.ts`, `spill.ts`), only kept from growing without bound.
 *
 * Keys mostly arrive near the one before: the leaf of the last change is remembered with the key above which it no longer
 * counts, so that appending and deleting in order rarely descend.
 */
import { assert, compareRange } from '@etcd/base';
import { BoltError } from './bolt-error.ts';
import { MAX_DEPTH } from './cursor.ts';
import { ELEMENT_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, MIN_KEYS_PER_PAGE } from './format.ts';
import { usesItsPages } from './leaf-fill.ts';
import { childIndex } from './page.ts';
import type { PageBuffer } from './page-buffer.ts';
import { TreeRoot } from './tree-root.ts';
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

/** A node that would have more is split in two; until the commit it may have fewer or more bytes than a page. */
const MAX_NODE_ELEMENTS = 512;
/** From this fill on, a bucket is taken to be appended to. */
const APPEND_FILL_PERCENT = 0.75;

const DEFAULT_FILL_PERCENT = 0.5;
const MIN_FILL_PERCENT = 0.1;
const MAX_FILL_PERCENT = 1;

export class Tree extends TreeRoot {
  declare readonly workspace: Workspace;
  fillPercent = DEFAULT_FILL_PERCENT;
  /** The nodes from the root down to the parent of {@link #leaf}, and which child was taken at each. */
  readonly #path: TreeNode[] = [];
  readonly #pathIndexes: number[] = [];
  #depth = 0;
  /** The leaf of the last change, or null when it must be searched for. */
  #leaf: TreeNode | null = null;
  /** Keys from here on belong to later leaves; null when there are none. */
  #upper: PageBuffer | null = null;
  #upperStart = 0;
  #upperEnd = 0;

  constructor(workspace: Workspace, pgid: number, inline: PageBuffer | null, base: number) {
    super(workspace.pager, workspace, pgid, inline, base);
  }

  /** The share of a page that a new page is filled to. */
  get fillShare(): number {
    return Math.min(MAX_FILL_PERCENT, Math.max(MIN_FILL_PERCENT, this.fillPercent));
  }

  /**
   * Sets the value of a key; copies both.
   * @param isBucket whether the value is a bucket: the key must be absent or name one, and otherwise must not.
   */
  put(key: Uint8Array, value: Uint8Array, isBucket: boolean): void {
    checkSizes(key, value.length, isBucket);
    const { workspace } = this;
    const leaf = this.#leafFor(key);
    const index = this.#searchFromEnd(leaf, key);
    if (index >= 0) this.#requireKind(leaf, index, isBucket);
    const offset = workspace.keep(key, value);
    const tail = isBucket ? ~value.length : value.length;
    this.#set(leaf, index, key, workspace.sourceOf(workspace.reserved), offset, tail);
  }

  /** {@link put} of `key` with a value that lies behind the same key in `memory`, which is not copied; the key is at `start`. */
  putLent(key: Uint8Array, memory: Uint8Array, start: number, valueBytes: number): void {
    checkSizes(key, valueBytes, false);
    assert(
      start >= 0 && start + key.length + valueBytes <= memory.length,
      'tree: a value outside its memory',
    );
    const leaf = this.#leafFor(key);
    const index = this.#searchFromEnd(leaf, key);
    if (index >= 0) this.#requireKind(leaf, index, false);
    this.#set(leaf, index, key, this.workspace.sourceOfLent(memory), start, valueBytes);
  }

  /** Removes a key; false when absent. Throws `incompatible-value` unless it names a bucket exactly when `isBucket`. */
  remove(key: Uint8Array, isBucket: boolean): boolean {
    const { workspace } = this;
    const leaf = this.#leafFor(key);
    const index = workspace.search(leaf, key, 0, key.length);
    if (index < 0) return false;
    this.#requireKind(leaf, index, isBucket);
    leaf.sizeBytes -= workspace.elementSize(leaf, index);
    workspace.removeElements(leaf, index, 1);
    leaf.changed = true;
    leaf.shrunk = true;
    this.version++;
    return true;
  }

  /** The root as a node. */
  openRoot(): TreeNode {
    this.node ??=
      this.inlineBuffer === null
        ? this.workspace.openPage(this.pgid)
        : this.workspace.openInline(this.inlineBuffer, this.inlineBase);
    return this.node;
  }

  /** A child as a node. */
  openChild(parent: TreeNode, index: number): TreeNode {
    const { workspace } = this;
    const at = (parent.start + index) * STRIDE + TAIL;
    const tail = workspace.pool[at]!;
    if (tail < 0) return workspace.node(~tail);
    const child = workspace.openPage(tail);
    workspace.pool[(parent.start + index) * STRIDE + TAIL] = ~child.index;
    return child;
  }

  /** The child where it is a node already. */
  openedChild(parent: TreeNode, index: number): TreeNode | null {
    const tail = this.workspace.pool[(parent.start + index) * STRIDE + TAIL]!;
    return tail < 0 ? this.workspace.node(~tail) : null;
  }

  /** After changes that did not come through this class. */
  forgetLeaf(): void {
    this.#leaf = null;
    this.version++;
  }

  #leafFor(key: Uint8Array): TreeNode {
    const leaf = this.#leaf;
    if (leaf === null || leaf.count === 0) return this.#descend(key);
    const upper = this.#upper;
    if (upper !== null) {
      const order = compareRange(upper.bytes, this.#upperStart, this.#upperEnd, key, 0, key.length);
      if (order <= 0) return this.#descend(key);
    }
    return this.workspace.compareKey(leaf, 0, key, 0, key.length) <= 0 ? leaf : this.#descend(key);
  }

  /** The search of the workspace, quick where the key comes last. */
  #searchFromEnd(leaf: TreeNode, key: Uint8Array): number {
    const { count } = leaf;
    if (count > 0 && this.workspace.compareKey(leaf, count - 1, key, 0, key.length) < 0) return ~count;
    return this.workspace.search(leaf, key, 0, key.length);
  }

  #descend(key: Uint8Array): TreeNode {
    const { workspace } = this;
    let node = this.openRoot();
    let depth = 0;
    this.#upper = null;
    while (!node.isLeaf) {
      if (depth === MAX_DEPTH) throw this.pager.corrupt(node.pgid, 'the tree is too deep');
      const index = childIndex(workspace.search(node, key, 0, key.length));
      this.#path[depth] = node;
      this.#pathIndexes[depth] = index;
      if (index + 1 < node.count) {
        const at = (node.start + index + 1) * STRIDE;
        this.#upper = workspace.buffer(workspace.pool[at + SOURCE]!);
        this.#upperStart = workspace.pool[at + OFFSET]!;
        this.#upperEnd = this.#upperStart + workspace.pool[at + KEY_BYTES]!;
      }
      node = this.openChild(node, index);
      depth++;
    }
    this.#depth = depth;
    this.#leaf = node;
    return node;
  }

  /** Makes the element what is said, at `index` of the leaf, or where that is inverted before it. */
  #set(leaf: TreeNode, index: number, key: Uint8Array, source: number, offset: number, tail: number): void {
    const { workspace } = this;
    const valueBytes = valueBytesOf(tail);
    if (index >= 0) {
      leaf.sizeBytes += valueBytes - valueBytesOf(workspace.pool[(leaf.start + index) * STRIDE + TAIL]!);
    } else {
      const added = ELEMENT_BYTES + key.length + valueBytes;
      if (this.#makeRoom(leaf, ~index, added, source, offset, key.length)) {
        leaf = this.#descend(key);
        index = workspace.search(leaf, key, 0, key.length);
      }
      index = ~index;
      workspace.insertGap(leaf, index, 1);
      leaf.sizeBytes += added;
    }
    workspace.setElement(leaf, index, source, offset, key.length, tail);
    leaf.changed = true;
    this.version++;
  }

  #requireKind(leaf: TreeNode, index: number, isBucket: boolean): void {
    const tail = this.workspace.pool[(leaf.start + index) * STRIDE + TAIL]!;
    if (tail < 0 !== isBucket) throw new BoltError('incompatible-value', 'incompatible value');
  }

  /**
   * Before an element goes to `index` of the leaf: splits the leaf where it is full. Returns whether the way to the key is
   * another one now. `source`, `offset` and `keyBytes` are where the new key lies.
   */
  #makeRoom(
    leaf: TreeNode,
    index: number,
    addedBytes: number,
    source: number,
    offset: number,
    keyBytes: number,
  ): boolean {
    const { workspace } = this;
    const appends = index === leaf.count && this.#upper === null;
    if (appends && this.#isFilled(leaf, addedBytes)) {
      const right = workspace.newNode(true, leaf.capacity);
      this.#addSibling(this.#depth, right, source, offset, keyBytes);
      return true;
    }
    if (leaf.count < MAX_NODE_ELEMENTS) return false;
    this.#splitInTwo(leaf, this.#depth, leaf.count >>> 1);
    return true;
  }

  /** Whether the node at the right edge makes a full page of a bucket that is appended to. */
  #isFilled(node: TreeNode, addedBytes: number): boolean {
    const { pageSizeBytes } = this.pager;
    return (
      this.fillPercent >= APPEND_FILL_PERCENT &&
      node.count >= MIN_KEYS_PER_PAGE &&
      node.sizeBytes + addedBytes > pageSizeBytes * this.fillShare &&
      (!node.isLeaf || usesItsPages(node.sizeBytes, pageSizeBytes))
    );
  }

  #splitInTwo(node: TreeNode, depth: number, from: number): void {
    const { workspace } = this;
    const right = workspace.newNode(node.isLeaf, Math.max(node.count - from, node.capacity >>> 1));
    workspace.moveElements(node, from, node.count, right);
    const at = right.start * STRIDE;
    const { pool } = workspace;
    this.#addSibling(depth, right, pool[at + SOURCE]!, pool[at + OFFSET]!, pool[at + KEY_BYTES]!);
  }

  /** Links `right` behind the node at `depth` of the path, under the key given. Forgets the path. */
  #addSibling(depth: number, right: TreeNode, source: number, offset: number, keyBytes: number): void {
    const { workspace } = this;
    this.#leaf = null;
    if (depth === 0) this.#growRoot();
    const parentDepth = Math.max(0, depth - 1);
    const parent = this.#path[parentDepth]!;
    const index = this.#pathIndexes[parentDepth]! + 1;
    workspace.insertGap(parent, index, 1);
    workspace.setElement(parent, index, source, offset, keyBytes, ~right.index);
    parent.sizeBytes += ELEMENT_BYTES + keyBytes;
    parent.changed = true;
    // At the right edge the last separators go to a page of their own as soon as those before them fill one.
    const from = parent.count - MIN_KEYS_PER_PAGE;
    if (index === parent.count - 1 && from >= MIN_KEYS_PER_PAGE && this.#isFilled(parent, 0)) {
      this.#splitInTwo(parent, parentDepth, from);
    } else if (parent.count > MAX_NODE_ELEMENTS) {
      this.#splitInTwo(parent, parentDepth, parent.count >>> 1);
    }
  }

  /** Puts a branch above the root, which becomes its only child. */
  #growRoot(): void {
    const { workspace } = this;
    const old = this.openRoot();
    const root = workspace.newNode(false, MIN_KEYS_PER_PAGE * 2);
    const from = old.start * STRIDE;
    const { pool } = workspace;
    const keyBytes = pool[from + KEY_BYTES]!;
    workspace.insertGap(root, 0, 1);
    workspace.setElement(root, 0, pool[from + SOURCE]!, pool[from + OFFSET]!, keyBytes, ~old.index);
    root.sizeBytes += ELEMENT_BYTES + keyBytes;
    this.node = root;
    this.#path[0] = root;
    this.#pathIndexes[0] = 0;
  }
}

function checkSizes(key: Uint8Array, valueBytes: number, isBucket: boolean): void {
  if (key.length === 0) throw new BoltError('key-required', 'key required');
  if (key.length > MAX_KEY_BYTES && !isBucket) throw new BoltError('key-too-large', 'key too large');
  if (valueBytes > MAX_VALUE_BYTES) throw new BoltError('value-too-large', 'value too large');
}
