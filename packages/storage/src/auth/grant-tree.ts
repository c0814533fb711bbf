/**
 * The verdict on ranges that are inverted, as Go members come to it. Such a range holds no key, so nothing depends on the verdict
 * but whether the rest of its transaction is done; but on that all members must agree. Go looks for a grant that holds the
 * first key in a red-black tree of grants, and turns back where a grant lies beyond the range's end: what it finds depends on
 * the tree's shape. So the same tree is built here, of the grants in their order, when such a range is first asked for.
 */
import { compareBytes } from '@etcd/base';

/** `end` null: none. */
export interface GrantedInterval {
  readonly begin: Uint8Array;
  readonly end: Uint8Array | null;
}

type Side = 0 | 1;

class Node {
  readonly interval: GrantedInterval;
  readonly children: [Node | null, Node | null] = [null, null];
  parent: Node | null = null;
  isRed = true;

  constructor(interval: GrantedInterval) {
    this.interval = interval;
  }

  /** Which child of its parent it is. */
  get side(): Side {
    return this.parent?.children[1] === this ? 1 : 0;
  }
}

export class GrantTree {
  #root: Node | null = null;

  constructor(intervals: readonly GrantedInterval[]) {
    for (const interval of intervals) this.#insert(new Node(interval));
  }

  /** Whether Go finds a grant for the range, whose end is not behind `key`. */
  permits(key: Uint8Array, end: Uint8Array): boolean {
    return isFound(this.#root, key, end);
  }

  #insert(node: Node): void {
    let parent: Node | null = null;
    let side: Side = 0;
    for (let at = this.#root; at !== null; at = at.children[side]) {
      parent = at;
      side = compareIntervals(node.interval, at.interval) < 0 ? 0 : 1;
    }
    node.parent = parent;
    if (parent === null) this.#root = node;
    else parent.children[side] = node;
    this.#balance(node);
    this.#root!.isRed = false;
  }

  /** No red node has a red parent afterwards, and all ways down have as many black nodes as before. */
  #balance(inserted: Node): void {
    let node = inserted;
    while (node.parent?.isRed === true) {
      let parent: Node = node.parent;
      // A red node is not the root.
      const grandparent = parent.parent!;
      const { side } = parent;
      const uncle = grandparent.children[opposite(side)];
      if (uncle?.isRed === true) {
        parent.isRed = false;
        uncle.isRed = false;
        grandparent.isRed = true;
        node = grandparent;
        continue;
      }
      if (node.side !== side) {
        this.#rotate(parent, side);
        [node, parent] = [parent, node];
      }
      parent.isRed = false;
      grandparent.isRed = true;
      this.#rotate(grandparent, opposite(side));
    }
  }

  /** Moves `node` down to `side`, and its child from the other side up into its place. */
  #rotate(node: Node, side: Side): void {
    const other = opposite(side);
    const child = node.children[other]!;
    const { parent, side: place } = node;
    node.children[other] = child.children[side];
    if (child.children[side] !== null) child.children[side]!.parent = node;
    child.children[side] = node;
    node.parent = child;
    child.parent = parent;
    if (parent === null) this.#root = child;
    else parent.children[place] = child;
  }
}

function isFound(node: Node | null, key: Uint8Array, end: Uint8Array): boolean {
  if (node === null) return false;
  const { interval, children } = node;
  if (compareBytes(key, interval.begin) < 0) return isFound(children[0], key, end);
  if (interval.end === null || compareBytes(key, interval.end) < 0) return true;
  // The grant lies before the key, and yet not before the range's end: here Go looks no further.
  if (compareBytes(interval.begin, end) >= 0) return false;
  return isFound(children[0], key, end) || isFound(children[1], key, end);
}

function opposite(side: Side): Side {
  return side === 0 ? 1 : 0;
}

function compareIntervals(a: GrantedInterval, b: GrantedInterval): number {
  const order = compareBytes(a.begin, b.begin);
  if (order !== 0) return order;
  if (a.end === null || b.end === null) return Number(a.end === null) - Number(b.end === null);
  return compareBytes(a.end, b.end);
}
