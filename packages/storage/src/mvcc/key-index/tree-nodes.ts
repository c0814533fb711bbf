/**
 * The nodes of {@link KeyTree}: fixed runs of 32-bit words in slabs. A leaf holds refs of key records, an inner node holds
 * children and, between them, separators (bare keys of their own, as short as they can be).
 *
 * A comparison seldom touches a key: each node remembers how many bytes all its keys share, and of each key the four
 * bytes behind them ("digest"). A search compares the shared bytes once, then searches digests; only equal digests
 * lead to the keys themselves.
 *
 *   leaf    count | shared | next | prev | .... | refs[64] | digests[64]
 *   inner   count | shared | .......... | .... | separators[64] | digests[64] | children[64]
 *   child   node | live | liveRev
 *
 * Of each child an inner node knows how many of its keys are live (exist at the newest revision) and a revision since
 * which none of them has begun or ceased to exist. They lie beside the child's number, where a descent touches them.
 *
 * A node is named by its number in the pool of its kind and its level: 0 for leaves, the height above them for inner
 * nodes. Nothing here knows the tree as a whole.
 */
import type { Revision } from '@etcd/api';
import { assert } from '@etcd/base';
import type { KeyRecords } from './key-records.ts';

export const CAPACITY = 64;
/** Merged nodes must leave room to grow. */
const MERGED_MAX = 48;
/** Splitting a full node for a key behind its last one leaves it this full: keys that arrive in order pack well. */
const APPEND_SPLIT = 56;

const COUNT = 0;
const SHARED = 1;
const NEXT = 2;
const PREV = 3;
const REFS = 8;
const DIGESTS = REFS + CAPACITY;
const LEAF_WORDS = DIGESTS + CAPACITY;
const CHILDREN = DIGESTS + CAPACITY;
/** Words of a child. The revision is a double, so inner nodes are an even number of words. */
const NODE = 0;
const LIVE = 1;
const LIVE_REV = 2;
const CHILD_WORDS = 4;
const INNER_WORDS = CHILDREN + CAPACITY * CHILD_WORDS;

const LEAVES_PER_SLAB_BITS = 10;
const INNERS_PER_SLAB_BITS = 6;

/** Fixed-size nodes in slabs; id 0 means none. */
class NodePool {
  readonly slabs: Int32Array[] = [];
  /** The same memory as doubles, for revisions. */
  readonly f64: Float64Array[] = [];
  readonly bits: number;
  readonly mask: number;
  readonly words: number;
  #next = 1;
  #free = 0;

  constructor(words: number, bits: number) {
    this.words = words;
    this.bits = bits;
    this.mask = (1 << bits) - 1;
  }

  get memoryBytes(): number {
    return this.slabs.length * ((this.words * 4) << this.bits);
  }

  allocate(): number {
    if (this.#free !== 0) {
      const node = this.#free;
      const base = (node & this.mask) * this.words;
      const words = this.slabs[node >>> this.bits]!;
      this.#free = words[base]!;
      words.fill(0, base, base + REFS);
      return node;
    }
    const node = this.#next++;
    if (node >>> this.bits >= this.slabs.length) {
      const slab = new ArrayBuffer((this.words * 4) << this.bits);
      this.slabs.push(new Int32Array(slab));
      this.f64.push(new Float64Array(slab));
    }
    return node;
  }

  free(node: number): void {
    this.slabs[node >>> this.bits]![(node & this.mask) * this.words] = this.#free;
    this.#free = node;
  }
}

export class TreeNodes {
  readonly #records: KeyRecords;
  readonly #leaves = new NodePool(LEAF_WORDS, LEAVES_PER_SLAB_BITS);
  readonly #inners = new NodePool(INNER_WORDS, INNERS_PER_SLAB_BITS);

  constructor(records: KeyRecords) {
    this.#records = records;
  }

  get memoryBytes(): number {
    return this.#leaves.memoryBytes + this.#inners.memoryBytes;
  }

  /** An empty leaf outside any tree. */
  newLeaf(): number {
    return this.#leaves.allocate();
  }

  /** An inner node whose only child is `child`, whose keys last began or ceased to exist at `liveRev`. */
  newRoot(child: number, childLevel: number, liveRev: number): number {
    const root = this.#inners.allocate();
    const words = this.#inners.slabs[root >>> INNERS_PER_SLAB_BITS]!;
    const base = (root & this.#inners.mask) * INNER_WORDS;
    words[base + COUNT] = 1;
    words[base + CHILDREN + NODE] = child;
    words[base + CHILDREN + LIVE] = this.liveOf(child, childLevel);
    this.#inners.f64[root >>> INNERS_PER_SLAB_BITS]![(base + CHILDREN + LIVE_REV) >>> 1] = liveRev;
    return root;
  }

  freeNode(node: number, level: number): void {
    this.#pool(level).free(node);
  }

  /** Keys of a leaf, children of an inner node. */
  count(node: number, level: number): number {
    const pool = this.#pool(level);
    return pool.slabs[node >>> pool.bits]![(node & pool.mask) * pool.words + COUNT]!;
  }

  /** The ref of key `index` of a leaf, or of separator `index` (>= 1) of an inner node. */
  ref(node: number, level: number, index: number): number {
    const pool = this.#pool(level);
    return pool.slabs[node >>> pool.bits]![(node & pool.mask) * pool.words + REFS + index]!;
  }

  next(leaf: number): number {
    return this.#leaves.slabs[leaf >>> LEAVES_PER_SLAB_BITS]![
      (leaf & this.#leaves.mask) * LEAF_WORDS + NEXT
    ]!;
  }

  prev(leaf: number): number {
    return this.#leaves.slabs[leaf >>> LEAVES_PER_SLAB_BITS]![
      (leaf & this.#leaves.mask) * LEAF_WORDS + PREV
    ]!;
  }

  /** How many keys below child `index` exist at the newest revision. */
  live(inner: number, index: number): number {
    const base = (inner & this.#inners.mask) * INNER_WORDS;
    return this.#inners.slabs[inner >>> INNERS_PER_SLAB_BITS]![childAt(base, index) + LIVE]!;
  }

  /** No key below child `index` has begun or ceased to exist after this revision. */
  liveRev(inner: number, index: number): number {
    const base = (inner & this.#inners.mask) * INNER_WORDS;
    return this.#inners.f64[inner >>> INNERS_PER_SLAB_BITS]![(childAt(base, index) + LIVE_REV) >>> 1]!;
  }

  /** The index of the key in a leaf, or the complement of where it belongs. */
  searchLeaf(leaf: number, buffer: Uint8Array, start: number, end: number): number {
    const words = this.#leaves.slabs[leaf >>> LEAVES_PER_SLAB_BITS]!;
    return this.#search(words, (leaf & this.#leaves.mask) * LEAF_WORDS, 0, buffer, start, end);
  }

  insertIntoLeaf(leaf: number, ref: number, buffer: Uint8Array, start: number, end: number): void {
    const found = this.searchLeaf(leaf, buffer, start, end);
    assert(found < 0, 'key tree: key inserted twice');
    const words = this.#leaves.slabs[leaf >>> LEAVES_PER_SLAB_BITS]!;
    this.#insertEntry(words, (leaf & this.#leaves.mask) * LEAF_WORDS, 0, ~found, ref);
  }

  removeFromLeaf(leaf: number, index: number): void {
    const words = this.#leaves.slabs[leaf >>> LEAVES_PER_SLAB_BITS]!;
    const base = (leaf & this.#leaves.mask) * LEAF_WORDS;
    closeGap(words, base + REFS, index, words[base + COUNT]!);
    closeGap(words, base + DIGESTS, index, words[base + COUNT]!);
    words[base + COUNT]!--;
  }

  /** Splits a full child of a node that has room, for a key to be inserted; false when the child is not full. */
  splitChild(
    parent: number,
    index: number,
    childLevel: number,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    const pool = this.#pool(childLevel);
    const left = this.child(parent, index);
    const words = pool.slabs[left >>> pool.bits]!;
    const base = (left & pool.mask) * pool.words;
    if (words[base + COUNT]! < CAPACITY) return false;
    const first = childLevel === 0 ? 0 : 1;
    const isAppend = this.#search(words, base, first, buffer, start, end) === ~CAPACITY;
    const cut = isAppend ? APPEND_SPLIT : CAPACITY / 2;
    const right = pool.allocate();
    const separator =
      childLevel === 0 ? this.#splitLeaf(left, right, cut) : this.#splitInner(left, right, cut);
    this.#insertChild(parent, index + 1, separator, right, childLevel);
    return true;
  }

  /** Removes an empty child. */
  dropChild(parent: number, index: number, childLevel: number): void {
    const child = this.child(parent, index);
    if (childLevel === 0) this.#unlink(child);
    this.#pool(childLevel).free(child);
    this.#removeChildEntry(parent, index);
  }

  /** Moves all of child `index + 1` into child `index`, if both fit well into one node; false otherwise. */
  mergeChildren(parent: number, index: number, childLevel: number): boolean {
    const pool = this.#pool(childLevel);
    const left = this.child(parent, index);
    const right = this.child(parent, index + 1);
    const words = pool.slabs[left >>> pool.bits]!;
    const base = (left & pool.mask) * pool.words;
    const rightWords = pool.slabs[right >>> pool.bits]!;
    const rightBase = (right & pool.mask) * pool.words;
    const count = words[base + COUNT]!;
    const moved = rightWords[rightBase + COUNT]!;
    if (count + moved > MERGED_MAX) return false;
    if (childLevel === 0) {
      for (let i = 0; i < moved; i++) words[base + REFS + count + i] = rightWords[rightBase + REFS + i]!;
      this.#unlink(right);
    } else {
      this.#copyChildren(right, 0, left, count, moved);
      // What parted the two nodes parts the first moved child from the one before it.
      words[base + REFS + count] = this.#takeSeparator(parent, index + 1);
    }
    words[base + COUNT] = count + moved;
    this.#digestAll(words, base, childLevel === 0 ? 0 : 1);
    pool.free(right);
    this.#addCounts(parent, index + 1, index);
    this.#removeChildEntry(parent, index + 1);
    return true;
  }

  // Two pools of one class: every access below stays monomorphic.
  #pool(level: number): NodePool {
    return level === 0 ? this.#leaves : this.#inners;
  }

  /**
   * The index of the entry equal to the key, or the complement of where it belongs. `first` is 0 in a leaf and 1 in an
   * inner node, which has no separator before its first child.
   */
  #search(
    words: Int32Array,
    base: number,
    first: number,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): number {
    const count = words[base + COUNT]!;
    if (count <= first) return ~first;
    const shared = words[base + SHARED]!;
    const order = this.#compareShared(words[base + REFS + first]!, shared, buffer, start, end);
    if (order !== 0) return order < 0 ? ~first : ~count;
    const digest = digestOf(buffer, start + shared, end);
    const digests = base + DIGESTS;
    let lo = first;
    let hi = count;
    while (lo < hi) {
      const middle = (lo + hi) >>> 1;
      if (words[digests + middle]! < digest) lo = middle + 1;
      else hi = middle;
    }
    // Among equal digests only the keys can tell.
    let top = lo;
    while (top < count && words[digests + top] === digest) top++;
    while (lo < top) {
      const middle = (lo + top) >>> 1;
      const compared = this.#records.compareKey(words[base + REFS + middle]!, buffer, start, end, shared + 4);
      if (compared === 0) return middle;
      if (compared > 0) lo = middle + 1;
      else top = middle;
    }
    return ~lo;
  }

  /** Order of the key against the `shared` first bytes of the key at `ref`: 0 when it begins with them. */
  #compareShared(ref: number, shared: number, buffer: Uint8Array, start: number, end: number): number {
    const slab = this.#records.keyBuffer(ref);
    const at = this.#records.keyStart(ref);
    const length = end - start;
    const limit = length < shared ? length : shared;
    for (let i = 0; i < limit; i++) {
      const difference = buffer[start + i]! - slab[at + i]!;
      if (difference !== 0) return difference;
    }
    return length < shared ? -1 : 0;
  }

  /** The index of the child whose range holds the key. */
  childFor(inner: number, buffer: Uint8Array, start: number, end: number): number {
    const words = this.#inners.slabs[inner >>> INNERS_PER_SLAB_BITS]!;
    const base = (inner & this.#inners.mask) * INNER_WORDS;
    const index = this.#search(words, base, 1, buffer, start, end);
    return index >= 0 ? index : ~index - 1;
  }

  child(inner: number, index: number): number {
    const base = (inner & this.#inners.mask) * INNER_WORDS;
    return this.#inners.slabs[inner >>> INNERS_PER_SLAB_BITS]![childAt(base, index) + NODE]!;
  }

  /** Counts a change in the child and returns it. */
  enterChild(inner: number, index: number, delta: number, rev: Revision): number {
    const slab = inner >>> INNERS_PER_SLAB_BITS;
    const words = this.#inners.slabs[slab]!;
    const base = (inner & this.#inners.mask) * INNER_WORDS;
    const at = childAt(base, index);
    words[at + LIVE]! += delta;
    this.#inners.f64[slab]![(at + LIVE_REV) >>> 1] = rev;
    return words[at + NODE]!;
  }

  /** Makes room at `index` for a ref and its digest. */
  #insertEntry(words: Int32Array, base: number, first: number, index: number, ref: number): void {
    const count = words[base + COUNT]!;
    openGap(words, base + REFS, index, count);
    openGap(words, base + DIGESTS, index, count);
    words[base + REFS + index] = ref;
    words[base + COUNT] = count + 1;
    this.#digestNew(words, base, first, index);
  }

  /** Sets the digest of a new entry. At an end of the node the keys may share less than before. */
  #digestNew(words: Int32Array, base: number, first: number, index: number): void {
    const last = words[base + COUNT]! - 1;
    if (index === first || index === last) {
      const shared = this.#sharedBytes(words[base + REFS + first]!, words[base + REFS + last]!);
      if (shared < words[base + SHARED]! || last === first) {
        this.#digestAll(words, base, first);
        return;
      }
    }
    words[base + DIGESTS + index] = this.#digestOfRef(words[base + REFS + index]!, words[base + SHARED]!);
  }

  /** Finds what the node's keys share, and all digests behind it. */
  #digestAll(words: Int32Array, base: number, first: number): void {
    const count = words[base + COUNT]!;
    if (count <= first) {
      words[base + SHARED] = 0;
      return;
    }
    const shared = this.#sharedBytes(words[base + REFS + first]!, words[base + REFS + count - 1]!);
    words[base + SHARED] = shared;
    for (let i = first; i < count; i++) {
      words[base + DIGESTS + i] = this.#digestOfRef(words[base + REFS + i]!, shared);
    }
  }

  #digestOfRef(ref: number, shared: number): number {
    const start = this.#records.keyStart(ref);
    return digestOf(this.#records.keyBuffer(ref), start + shared, start + this.#records.keyLength(ref));
  }

  #sharedBytes(ref: number, other: number): number {
    const a = this.#records.keyBuffer(ref);
    const aStart = this.#records.keyStart(ref);
    const b = this.#records.keyBuffer(other);
    const bStart = this.#records.keyStart(other);
    const limit = Math.min(this.#records.keyLength(ref), this.#records.keyLength(other));
    let i = 0;
    while (i < limit && a[aStart + i] === b[bStart + i]) i++;
    return i;
  }

  #compareRefs(ref: number, other: number): number {
    const start = this.#records.keyStart(ref);
    const end = start + this.#records.keyLength(ref);
    return this.#records.compareKey(other, this.#records.keyBuffer(ref), start, end, 0);
  }

  /** Moves the entries from `cut` on to the new leaf; returns a separator. */
  #splitLeaf(left: number, right: number, cut: number): number {
    const words = this.#leaves.slabs[left >>> LEAVES_PER_SLAB_BITS]!;
    const base = (left & this.#leaves.mask) * LEAF_WORDS;
    const rightWords = this.#leaves.slabs[right >>> LEAVES_PER_SLAB_BITS]!;
    const rightBase = (right & this.#leaves.mask) * LEAF_WORDS;
    const moved = CAPACITY - cut;
    for (let i = 0; i < moved; i++) rightWords[rightBase + REFS + i] = words[base + REFS + cut + i]!;
    rightWords[rightBase + COUNT] = moved;
    words[base + COUNT] = cut;
    this.#linkAfter(left, right);
    this.#digestAll(words, base, 0);
    this.#digestAll(rightWords, rightBase, 0);
    return this.#separatorBetween(words[base + REFS + cut - 1]!, rightWords[rightBase + REFS]!);
  }

  #linkAfter(left: number, right: number): void {
    const words = this.#leaves.slabs[left >>> LEAVES_PER_SLAB_BITS]!;
    const base = (left & this.#leaves.mask) * LEAF_WORDS;
    const rightWords = this.#leaves.slabs[right >>> LEAVES_PER_SLAB_BITS]!;
    const rightBase = (right & this.#leaves.mask) * LEAF_WORDS;
    const next = words[base + NEXT]!;
    rightWords[rightBase + NEXT] = next;
    rightWords[rightBase + PREV] = left;
    words[base + NEXT] = right;
    if (next !== 0) this.#setPrev(next, right);
  }

  #setPrev(leaf: number, prev: number): void {
    const base = (leaf & this.#leaves.mask) * LEAF_WORDS;
    this.#leaves.slabs[leaf >>> LEAVES_PER_SLAB_BITS]![base + PREV] = prev;
  }

  /** The shortest key that is greater than `left` and not greater than `right`. */
  #separatorBetween(left: number, right: number): number {
    const shared = this.#sharedBytes(left, right);
    const start = this.#records.keyStart(right);
    return this.#records.allocateBlob(this.#records.keyBuffer(right), start, start + shared + 1);
  }

  #splitInner(left: number, right: number, cut: number): number {
    const slab = left >>> INNERS_PER_SLAB_BITS;
    const base = (left & this.#inners.mask) * INNER_WORDS;
    const words = this.#inners.slabs[slab]!;
    const rightWords = this.#inners.slabs[right >>> INNERS_PER_SLAB_BITS]!;
    const rightBase = (right & this.#inners.mask) * INNER_WORDS;
    this.#copyChildren(left, cut, right, 0, CAPACITY - cut);
    const separator = words[base + REFS + cut]!;
    rightWords[rightBase + COUNT] = CAPACITY - cut;
    words[base + COUNT] = cut;
    this.#digestAll(words, base, 1);
    this.#digestAll(rightWords, rightBase, 1);
    return separator;
  }

  /** Copies children with their separators and counts; digests are left to the caller. */
  #copyChildren(from: number, fromIndex: number, to: number, toIndex: number, count: number): void {
    const words = this.#inners.slabs[from >>> INNERS_PER_SLAB_BITS]!;
    const base = (from & this.#inners.mask) * INNER_WORDS;
    const target = this.#inners.slabs[to >>> INNERS_PER_SLAB_BITS]!;
    const targetBase = (to & this.#inners.mask) * INNER_WORDS;
    for (let i = 0; i < count; i++) {
      target[targetBase + REFS + toIndex + i] = words[base + REFS + fromIndex + i]!;
    }
    const first = childAt(base, fromIndex);
    const targetFirst = childAt(targetBase, toIndex);
    for (let i = 0; i < count * CHILD_WORDS; i++) target[targetFirst + i] = words[first + i]!;
  }

  /** Adds the right half of a child that has just been split; the counts of both halves are taken anew. */
  #insertChild(parent: number, index: number, separator: number, child: number, childLevel: number): void {
    const slab = parent >>> INNERS_PER_SLAB_BITS;
    const words = this.#inners.slabs[slab]!;
    const base = (parent & this.#inners.mask) * INNER_WORDS;
    const doubles = this.#inners.f64[slab]!;
    const count = words[base + COUNT]!;
    const at = childAt(base, index);
    words.copyWithin(at + CHILD_WORDS, at, childAt(base, count));
    this.#insertEntry(words, base, 1, index, separator);
    const moved = this.liveOf(child, childLevel);
    const left = at - CHILD_WORDS;
    words[at + NODE] = child;
    words[at + LIVE] = moved;
    words[left + LIVE]! -= moved;
    // Both halves inherit the revision of the whole; of inner nodes the exact ones are at hand.
    const isLeaf = childLevel === 0;
    const leftRev = doubles[(left + LIVE_REV) >>> 1]!;
    doubles[(at + LIVE_REV) >>> 1] = isLeaf ? leftRev : this.#liveRevOf(child);
    doubles[(left + LIVE_REV) >>> 1] = isLeaf ? leftRev : this.#liveRevOf(words[left + NODE]!);
  }

  liveOf(node: number, level: number): number {
    let live = 0;
    if (level === 0) {
      const words = this.#leaves.slabs[node >>> LEAVES_PER_SLAB_BITS]!;
      const base = (node & this.#leaves.mask) * LEAF_WORDS;
      const count = words[base + COUNT]!;
      for (let i = 0; i < count; i++) if (this.#records.isLive(words[base + REFS + i]!)) live++;
    } else {
      const words = this.#inners.slabs[node >>> INNERS_PER_SLAB_BITS]!;
      const base = (node & this.#inners.mask) * INNER_WORDS;
      const count = words[base + COUNT]!;
      for (let i = 0; i < count; i++) live += words[childAt(base, i) + LIVE]!;
    }
    return live;
  }

  #liveRevOf(node: number): number {
    const slab = node >>> INNERS_PER_SLAB_BITS;
    const base = (node & this.#inners.mask) * INNER_WORDS;
    const count = this.#inners.slabs[slab]![base + COUNT]!;
    const doubles = this.#inners.f64[slab]!;
    let rev = 0;
    for (let i = 0; i < count; i++) rev = Math.max(rev, doubles[(childAt(base, i) + LIVE_REV) >>> 1]!);
    return rev;
  }

  #unlink(leaf: number): void {
    const words = this.#leaves.slabs[leaf >>> LEAVES_PER_SLAB_BITS]!;
    const base = (leaf & this.#leaves.mask) * LEAF_WORDS;
    const next = words[base + NEXT]!;
    const prev = words[base + PREV]!;
    if (next !== 0) this.#setPrev(next, prev);
    if (prev !== 0) {
      const prevBase = (prev & this.#leaves.mask) * LEAF_WORDS;
      this.#leaves.slabs[prev >>> LEAVES_PER_SLAB_BITS]![prevBase + NEXT] = next;
    }
  }

  /** The separator before child `index`, now the caller's. */
  #takeSeparator(parent: number, index: number): number {
    const words = this.#inners.slabs[parent >>> INNERS_PER_SLAB_BITS]!;
    const at = (parent & this.#inners.mask) * INNER_WORDS + REFS + index;
    const separator = words[at]!;
    words[at] = 0;
    return separator;
  }

  #addCounts(parent: number, from: number, to: number): void {
    const slab = parent >>> INNERS_PER_SLAB_BITS;
    const words = this.#inners.slabs[slab]!;
    const base = (parent & this.#inners.mask) * INNER_WORDS;
    const doubles = this.#inners.f64[slab]!;
    const target = childAt(base, to);
    const source = childAt(base, from);
    words[target + LIVE]! += words[source + LIVE]!;
    const rev = doubles[(source + LIVE_REV) >>> 1]!;
    if (rev > doubles[(target + LIVE_REV) >>> 1]!) doubles[(target + LIVE_REV) >>> 1] = rev;
  }

  #removeChildEntry(parent: number, index: number): void {
    const slab = parent >>> INNERS_PER_SLAB_BITS;
    const words = this.#inners.slabs[slab]!;
    const base = (parent & this.#inners.mask) * INNER_WORDS;
    const count = words[base + COUNT]!;
    // Without its first child, the node needs no separator before the second.
    const doomed = Math.max(index, 1);
    if (doomed < count) {
      const separator = words[base + REFS + doomed]!;
      if (separator !== 0) this.#records.freeBlob(separator);
      closeGap(words, base + REFS, doomed, count);
    }
    words.copyWithin(childAt(base, index), childAt(base, index + 1), childAt(base, count));
    words[base + COUNT] = count - 1;
    this.#digestAll(words, base, 1);
  }

  /** Throws unless the node's own invariants hold, its keys being bounded by those at `lo` and `hi`. For tests. */
  verifyNode(node: number, level: number, lo: number | null, hi: number | null): void {
    const pool = this.#pool(level);
    const words = pool.slabs[node >>> pool.bits]!;
    const base = (node & pool.mask) * pool.words;
    const first = level === 0 ? 0 : 1;
    for (let i = first; i < words[base + COUNT]!; i++) {
      const ref = words[base + REFS + i]!;
      assert(i === first || this.#compareRefs(words[base + REFS + i - 1]!, ref) < 0, 'key tree: order');
      assert(lo === null || this.#compareRefs(lo, ref) <= 0, 'key tree: key below its separator');
      assert(hi === null || this.#compareRefs(ref, hi) < 0, 'key tree: key above its separator');
      const digest = this.#digestOfRef(ref, words[base + SHARED]!);
      assert(words[base + DIGESTS + i] === digest, 'key tree: digest');
      const shared = this.#sharedBytes(words[base + REFS + first]!, ref);
      assert(shared >= words[base + SHARED]!, 'key tree: shared bytes');
    }
  }
}

/** Four bytes from `at` on as a signed integer whose order is theirs; bytes past `end` count as zero. */
function digestOf(buffer: Uint8Array, at: number, end: number): number {
  if (at + 4 <= end) {
    const word = (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!;
    return word ^ 0x80000000;
  }
  let word = 0;
  for (let i = 0; i < 4; i++) word = (word << 8) | (at + i < end ? buffer[at + i]! : 0);
  return word ^ 0x80000000;
}

/** The words of child `index` of the node at `base`. */
function childAt(base: number, index: number): number {
  return base + CHILDREN + index * CHILD_WORDS;
}

function openGap(words: Int32Array, base: number, index: number, count: number): void {
  for (let i = base + count; i > base + index; i--) words[i] = words[i - 1]!;
}

function closeGap(words: Int32Array, base: number, index: number, count: number): void {
  for (let i = base + index; i < base + count - 1; i++) words[i] = words[i + 1]!;
}
