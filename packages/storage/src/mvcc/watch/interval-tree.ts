/**
 * Ranges of strings, and which of them contain a given one: a treap ordered by where ranges begin, in which every node knows how
 * far the ranges below it reach. Finding the m ranges that contain a point among n takes O(log n + m) steps, and adding or
 * removing one O(log n). Priorities come from a fixed sequence, so the tree's shape depends on its history alone.
 */

/** A node is its range's handle; `T` is what hangs on it. */
class IntervalNode<T> {
  readonly begin: string;
  /** Empty: no end. */
  readonly end: string;
  readonly item: T;
  readonly priority: number;
  /** How far this range and those below reach; empty: without end. */
  reach: string;
  left: IntervalNode<T> | null = null;
  right: IntervalNode<T> | null = null;

  constructor(begin: string, end: string, item: T, priority: number) {
    this.begin = begin;
    this.end = end;
    this.item = item;
    this.priority = priority;
    this.reach = end;
  }
}

export class IntervalTree<T> {
  #root: IntervalNode<T> | null = null;
  #count = 0;
  #seed = 0x9e3779b9;

  get count(): number {
    return this.#count;
  }

  /** What hangs on exactly this range; null if the range is not in the tree. */
  find(begin: string, end: string): T | null {
    let node = this.#root;
    while (node !== null) {
      const order = compareRanges(begin, end, node);
      if (order === 0) return node.item;
      node = order < 0 ? node.left : node.right;
    }
    return null;
  }

  /** Adds a range that is not in the tree. An empty `end` is no end. */
  insert(begin: string, end: string, item: T): void {
    this.#root = insertNode(this.#root, new IntervalNode(begin, end, item, this.#nextPriority()));
    this.#count++;
  }

  /** Removes a range that is in the tree. */
  remove(begin: string, end: string): void {
    this.#root = removeNode(this.#root, begin, end);
    this.#count--;
  }

  /** Pushes what hangs on each range that contains `point`. */
  stab(point: string, found: T[]): void {
    stabNode(this.#root, point, found);
  }

  /** Calls `visit` with what hangs on each range, in order. */
  forEach(visit: (item: T) => void): void {
    visitAll(this.#root, visit);
  }

  /** xorshift32: any well-mixed sequence will do. */
  #nextPriority(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x;
    return x;
  }
}

function stabNode<T>(start: IntervalNode<T> | null, point: string, found: T[]): void {
  let node = start;
  while (node !== null) {
    if (node.reach !== '' && node.reach <= point) return;
    if (node.left !== null) stabNode(node.left, point, found);
    if (node.begin > point) return;
    if (node.end === '' || point < node.end) found.push(node.item);
    node = node.right;
  }
}

function visitAll<T>(node: IntervalNode<T> | null, visit: (item: T) => void): void {
  if (node === null) return;
  visitAll(node.left, visit);
  visit(node.item);
  visitAll(node.right, visit);
}

function compareRanges<T>(begin: string, end: string, node: IntervalNode<T>): number {
  if (begin !== node.begin) return begin < node.begin ? -1 : 1;
  if (end === node.end) return 0;
  return end < node.end ? -1 : 1;
}

function insertNode<T>(node: IntervalNode<T> | null, added: IntervalNode<T>): IntervalNode<T> {
  if (node === null) return added;
  if (added.priority > node.priority) {
    const [left, right] = split(node, added);
    added.left = left;
    added.right = right;
    return updated(added);
  }
  if (compareRanges(added.begin, added.end, node) < 0) node.left = insertNode(node.left, added);
  else node.right = insertNode(node.right, added);
  return updated(node);
}

/** Parts a tree into what comes before `at` and what comes after. */
function split<T>(
  node: IntervalNode<T> | null,
  at: IntervalNode<T>,
): [IntervalNode<T> | null, IntervalNode<T> | null] {
  if (node === null) return [null, null];
  if (compareRanges(at.begin, at.end, node) < 0) {
    const [before, after] = split(node.left, at);
    node.left = after;
    return [before, updated(node)];
  }
  const [before, after] = split(node.right, at);
  node.right = before;
  return [updated(node), after];
}

function removeNode<T>(node: IntervalNode<T> | null, begin: string, end: string): IntervalNode<T> | null {
  if (node === null) return null;
  const order = compareRanges(begin, end, node);
  if (order === 0) return join(node.left, node.right);
  if (order < 0) node.left = removeNode(node.left, begin, end);
  else node.right = removeNode(node.right, begin, end);
  return updated(node);
}

/** One tree of two, everything in `left` coming before everything in `right`. */
function join<T>(left: IntervalNode<T> | null, right: IntervalNode<T> | null): IntervalNode<T> | null {
  if (left === null) return right;
  if (right === null) return left;
  if (left.priority > right.priority) {
    left.right = join(left.right, right);
    return updated(left);
  }
  right.left = join(left, right.left);
  return updated(right);
}

function updated<T>(node: IntervalNode<T>): IntervalNode<T> {
  let reach = node.end;
  if (node.left !== null) reach = farther(reach, node.left.reach);
  if (node.right !== null) reach = farther(reach, node.right.reach);
  node.reach = reach;
  return node;
}

function farther(a: string, b: string): string {
  if (a === '' || b === '') return '';
  return a < b ? b : a;
}
