/**
 * The keys in order: a B+tree over {@link TreeNodes}. Because every inner node counts the live keys below each child,
 * and knows since when that count has stood still, counting a range walks two paths only, and counting at an older
 * revision descends only where something has changed since.
 *
 * Invariants: separator i (i >= 1) is greater than every key of child i - 1 and not greater than any of child i; no
 * node but a root leaf is empty; all leaves are at the same depth and linked in order.
 */
import type { Revision } from '@etcd/api';
import { assert } from '@etcd/base';
import type { KeyRecords } from './key-records.ts';
import { CAPACITY, TreeNodes } from './tree-nodes.ts';

/** A node below this tries to merge with a neighbour. */
const MIN_COUNT = 16;
/** 16^8 leaves: more than refs can name. */
const MAX_HEIGHT = 8;

/** A place in the tree's order; see {@link KeyTree.seek}. */
export class TreeCursor {
  leaf = 0;
  index = 0;
  treeVersion = -1;
}

export class KeyTree {
  readonly #records: KeyRecords;
  readonly #nodes: TreeNodes;
  /** Levels of inner nodes above the leaves. */
  #height = 0;
  #root: number;
  #count = 0;
  #liveCount = 0;
  /** When a key last began or ceased to exist. */
  #liveRev = 0;
  #version = 0;
  /** The path of the last removal: inner nodes from the root down, and the child taken in each. */
  readonly #pathNodes = new Int32Array(MAX_HEIGHT);
  readonly #pathChildren = new Int32Array(MAX_HEIGHT);

  constructor(records: KeyRecords) {
    this.#records = records;
    this.#nodes = new TreeNodes(records);
    this.#root = this.#nodes.newLeaf();
  }

  /** Keys in the tree, deleted ones included. */
  get count(): number {
    return this.#count;
  }

  /** Keys that exist at the newest revision. */
  get liveCount(): number {
    return this.#liveCount;
  }

  /** Changes whenever keys are added or removed: a cursor that saw another value seeks again. */
  get version(): number {
    return this.#version;
  }

  get memoryBytes(): number {
    return this.#nodes.memoryBytes;
  }

  /** The record of the key, or 0. */
  find(buffer: Uint8Array, start: number, end: number): number {
    const leaf = this.#leafFor(buffer, start, end);
    const index = this.#nodes.searchLeaf(leaf, buffer, start, end);
    return index >= 0 ? this.#nodes.ref(leaf, 0, index) : 0;
  }

  /** Adds a record whose key is not in the tree; `rev` is its first revision. */
  insert(ref: number, rev: Revision): void {
    const buffer = this.#records.keyBuffer(ref);
    const start = this.#records.keyStart(ref);
    const end = start + this.#records.keyLength(ref);
    const live = this.#records.isLive(ref) ? 1 : 0;
    this.#version++;
    this.#count++;
    this.#liveCount += live;
    if (this.#nodes.count(this.#root, this.#height) === CAPACITY) this.#raiseRoot();
    this.#liveRev = rev;
    let node = this.#root;
    // Full nodes are split on the way down, so a split never has to climb.
    for (let level = this.#height; level > 0; level--) {
      let child = this.#nodes.childFor(node, buffer, start, end);
      if (this.#nodes.splitChild(node, child, level - 1, buffer, start, end)) {
        child = this.#nodes.childFor(node, buffer, start, end);
      }
      node = this.#nodes.enterChild(node, child, live, rev);
    }
    this.#nodes.insertIntoLeaf(node, ref, buffer, start, end);
  }

  /** Tells that the key of `ref` began (+1) or ceased (-1) to exist at `rev`. */
  changeLive(ref: number, delta: 1 | -1, rev: Revision): void {
    const buffer = this.#records.keyBuffer(ref);
    const start = this.#records.keyStart(ref);
    const end = start + this.#records.keyLength(ref);
    this.#liveCount += delta;
    this.#liveRev = rev;
    let node = this.#root;
    for (let level = this.#height; level > 0; level--) {
      node = this.#nodes.enterChild(node, this.#nodes.childFor(node, buffer, start, end), delta, rev);
    }
  }

  /** Removes a record whose key does not exist any more. */
  remove(ref: number): void {
    const buffer = this.#records.keyBuffer(ref);
    const start = this.#records.keyStart(ref);
    const end = start + this.#records.keyLength(ref);
    assert(!this.#records.isLive(ref), 'key tree: only a deleted key is removed');
    this.#version++;
    this.#count--;
    let node = this.#root;
    for (let depth = 0; depth < this.#height; depth++) {
      const child = this.#nodes.childFor(node, buffer, start, end);
      this.#pathNodes[depth] = node;
      this.#pathChildren[depth] = child;
      node = this.#nodes.child(node, child);
    }
    const index = this.#nodes.searchLeaf(node, buffer, start, end);
    assert(index >= 0 && this.#nodes.ref(node, 0, index) === ref, 'key tree: record to remove is missing');
    this.#nodes.removeFromLeaf(node, index);
    this.#shrink(node);
  }

  /**
   * How many keys of [`lo`, `hi`) exist at `rev`, which is not older than any compaction. A null `hi` means no upper
   * bound.
   */
  countAt(lo: Uint8Array, hi: Uint8Array | null, rev: Revision): number {
    return this.#countRange(this.#root, this.#height, lo, hi, rev);
  }

  /** Puts `cursor` before the first key that is not less than `buffer[start, end)`. */
  seek(cursor: TreeCursor, buffer: Uint8Array, start: number, end: number): void {
    cursor.leaf = this.#leafFor(buffer, start, end);
    cursor.index = position(this.#nodes.searchLeaf(cursor.leaf, buffer, start, end));
    cursor.treeVersion = this.#version;
  }

  /** The record at the cursor, which moves behind it; 0 at the end. No key came or went since the seek. */
  next(cursor: TreeCursor): number {
    assert(cursor.treeVersion === this.#version, 'key tree: cursor is stale');
    while (cursor.leaf !== 0) {
      if (cursor.index < this.#nodes.count(cursor.leaf, 0)) {
        return this.#nodes.ref(cursor.leaf, 0, cursor.index++);
      }
      cursor.leaf = this.#nodes.next(cursor.leaf);
      cursor.index = 0;
    }
    return 0;
  }

  /** Walks the whole tree and throws unless every invariant holds. For tests. */
  verify(): void {
    assert(
      this.#verifyNode(this.#root, this.#height, null, null) === this.#liveCount,
      'key tree: live count',
    );
    let leaf = this.#root;
    for (let level = this.#height; level > 0; level--) leaf = this.#nodes.child(leaf, 0);
    let keys = 0;
    for (let prev = 0; leaf !== 0; leaf = this.#nodes.next(leaf)) {
      assert(this.#nodes.prev(leaf) === prev, 'key tree: leaf chain');
      keys += this.#nodes.count(leaf, 0);
      prev = leaf;
    }
    assert(keys === this.#count, 'key tree: count');
  }

  #verifyNode(node: number, level: number, lo: number | null, hi: number | null): number {
    const nodes = this.#nodes;
    const count = nodes.count(node, level);
    assert(count > 0 || this.#height === 0, 'key tree: empty node');
    nodes.verifyNode(node, level, lo, hi);
    for (let i = 0; i < count && level > 0; i++) {
      const from = i === 0 ? lo : nodes.ref(node, level, i);
      const to = i === count - 1 ? hi : nodes.ref(node, level, i + 1);
      const live = this.#verifyNode(nodes.child(node, i), level - 1, from, to);
      assert(live === nodes.live(node, i), 'key tree: live count of a child');
    }
    return nodes.liveOf(node, level);
  }

  #leafFor(buffer: Uint8Array, start: number, end: number): number {
    let node = this.#root;
    for (let level = this.#height; level > 0; level--) {
      node = this.#nodes.child(node, this.#nodes.childFor(node, buffer, start, end));
    }
    return node;
  }

  #raiseRoot(): void {
    assert(this.#height < MAX_HEIGHT - 1, 'key tree: too high');
    this.#root = this.#nodes.newRoot(this.#root, this.#height, this.#liveRev);
    this.#height++;
  }

  /** After a removal from `leaf`: merges what has become small, and drops what has become empty, up the path. */
  #shrink(leaf: number): void {
    let node = leaf;
    for (let depth = this.#height - 1; depth >= 0; depth--) {
      const level = this.#height - 1 - depth;
      const count = this.#nodes.count(node, level);
      if (count >= MIN_COUNT) return;
      const parent = this.#pathNodes[depth]!;
      const index = this.#pathChildren[depth]!;
      if (count === 0) this.#nodes.dropChild(parent, index, level);
      else if (!this.#mergeWithNeighbour(parent, index, level)) return;
      node = parent;
    }
    this.#lowerRoot();
  }

  #mergeWithNeighbour(parent: number, index: number, level: number): boolean {
    const hasRight = index + 1 < this.#nodes.count(parent, level + 1);
    if (hasRight && this.#nodes.mergeChildren(parent, index, level)) return true;
    return index > 0 && this.#nodes.mergeChildren(parent, index - 1, level);
  }

  #lowerRoot(): void {
    while (this.#height > 0) {
      const count = this.#nodes.count(this.#root, this.#height);
      if (count > 1) return;
      const old = this.#root;
      const oldHeight = this.#height;
      this.#root = count === 1 ? this.#nodes.child(old, 0) : this.#nodes.newLeaf();
      this.#height = count === 1 ? oldHeight - 1 : 0;
      this.#nodes.freeNode(old, oldHeight);
    }
  }

  /** A null bound lies outside the node. */
  #countRange(
    node: number,
    level: number,
    lo: Uint8Array | null,
    hi: Uint8Array | null,
    rev: Revision,
  ): number {
    const nodes = this.#nodes;
    if (level === 0) return this.#countLeaf(node, lo, hi, rev);
    const first = lo === null ? 0 : nodes.childFor(node, lo, 0, lo.length);
    const last = hi === null ? nodes.count(node, level) - 1 : nodes.childFor(node, hi, 0, hi.length);
    let total = 0;
    for (let i = first; i <= last; i++) {
      const loInside = i === first ? lo : null;
      const hiInside = i === last ? hi : null;
      const isWhole = loInside === null && hiInside === null;
      total +=
        isWhole && nodes.liveRev(node, i) <= rev
          ? nodes.live(node, i)
          : this.#countRange(nodes.child(node, i), level - 1, loInside, hiInside, rev);
    }
    return total;
  }

  #countLeaf(leaf: number, lo: Uint8Array | null, hi: Uint8Array | null, rev: Revision): number {
    const nodes = this.#nodes;
    const first = lo === null ? 0 : position(nodes.searchLeaf(leaf, lo, 0, lo.length));
    const end = hi === null ? nodes.count(leaf, 0) : position(nodes.searchLeaf(leaf, hi, 0, hi.length));
    let total = 0;
    for (let i = first; i < end; i++) if (this.#records.getAt(nodes.ref(leaf, 0, i), rev)) total++;
    return total;
  }
}

function position(found: number): number {
  return found >= 0 ? found : ~found;
}
