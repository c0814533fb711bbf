/**
 * Watchers by what they watch: those of one key in a Map, those of a range in an interval tree. Watchers of the same key or
 * range share a node, which gathers the events that they will be sent together.
 */
import { assert } from '@etcd/base';
import { IntervalTree } from './interval-tree.ts';
import type { Watcher } from './watcher.ts';

/** The watchers of one key, or of one range. */
export class WatcherNode {
  readonly group: WatcherGroup;
  readonly key: string;
  readonly end: string | null;
  /** In no order: one that leaves is replaced by the last. */
  readonly watchers: Watcher[] = [];
  /** How many of them want previous pairs. */
  prevKvCount = 0;
  /** Indices of events in the batch at hand, in their order. */
  readonly events: number[] = [];

  constructor(group: WatcherGroup, key: string, end: string | null) {
    this.group = group;
    this.key = key;
    this.end = end;
  }
}

export class WatcherGroup {
  readonly #keys = new Map<string, WatcherNode>();
  readonly #ranges = new IntervalTree<WatcherNode>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Puts a watcher that is in no group into this one. */
  add(watcher: Watcher): void {
    assert(watcher.node === null, 'watcher group: watcher is in a group');
    const node = this.#nodeFor(watcher.key, watcher.end);
    watcher.node = node;
    watcher.nodeIndex = node.watchers.length;
    node.watchers.push(watcher);
    if (watcher.wantsPrevKv) node.prevKvCount++;
    this.#count++;
  }

  /** Takes out a watcher that is in this group. */
  remove(watcher: Watcher): void {
    const { node, nodeIndex } = watcher;
    assert(
      node !== null && node.watchers[nodeIndex] === watcher,
      'watcher group: watcher is not in the group',
    );
    assert(node.group === this, 'watcher group: watcher is in another group');
    const last = node.watchers.pop()!;
    if (last !== watcher) {
      node.watchers[nodeIndex] = last;
      last.nodeIndex = nodeIndex;
    }
    watcher.node = null;
    watcher.nodeIndex = -1;
    if (watcher.wantsPrevKv) node.prevKvCount--;
    this.#count--;
    if (node.watchers.length > 0) return;
    assert(node.prevKvCount === 0, 'watcher group: nobody is left who could want previous pairs');
    if (node.end === null) this.#keys.delete(node.key);
    else this.#ranges.remove(node.key, node.end);
  }

  /** Pushes the nodes whose watchers watch `key`. */
  nodesOf(key: string, found: WatcherNode[]): void {
    const node = this.#keys.size > 0 ? this.#keys.get(key) : undefined;
    if (node !== undefined) found.push(node);
    if (this.#ranges.count > 0) this.#ranges.stab(key, found);
  }

  /** All watchers, as they are now. */
  all(): Watcher[] {
    const watchers: Watcher[] = [];
    const take = (node: WatcherNode): void => {
      for (const watcher of node.watchers) watchers.push(watcher);
    };
    this.#keys.forEach(take);
    this.#ranges.forEach(take);
    return watchers;
  }

  #nodeFor(key: string, end: string | null): WatcherNode {
    const known = end === null ? this.#keys.get(key) : this.#ranges.find(key, end);
    if (known !== undefined && known !== null) return known;
    const node = new WatcherNode(this, key, end);
    if (end === null) this.#keys.set(key, node);
    else this.#ranges.insert(key, end, node);
    return node;
  }
}
