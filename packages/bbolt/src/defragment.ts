/**
 * Defragmentation while the database serves: within ordinary write transactions, a little in each, pages from the end of the
 * file are written anew to free places further down, and neighbouring leaf pages that are only partly filled are put together.
 * Then the end of the file is free, and is cut off.
 *
 * Every step is part of a commit like any other, so a crash loses nothing, and readers keep the pages they see. Buckets are gone
 * through one after the other in the order of their keys, over and over until there is nothing to gain; where a step stopped
 * is remembered as a key, which stays meaningful whatever is written in between.
 */
import { assert, copyBytes } from '@etcd/base';
import type { WriteTransaction } from './api.ts';
import type { Freelist } from './freelist.ts';
import { TreeMigration } from './migrate.ts';
import type { Tree } from './tree.ts';
import type { WriteBucket } from './write-bucket.ts';
import { TreeTransaction } from './write-transaction.ts';

/** After so many times through the file it is as small as it gets while others write to it. */
const MAX_PASSES = 6;
/** From this pass on every page moves down where it can, not only those at the end. */
const SLIDING_PASS = 3;
/** The file may stay longer by this share than its pages in use, which spares moving them all for the last ones. */
const SLACK_SHARE = 0.02;
const SLACK_PAGES = 8;
/** Commits after the last page was moved, until the file can be cut: one that lowers the mark, one for the other meta page. */
const FINISHING_STEPS = 3;
/** Pages are looked at more freely than they are rewritten. */
const LOOKS_PER_REWRITE = 8;

/**
 * Every bucket gone through has a page of its own, so that there can't be more of them than pages; unless others make new ones
 * all the time. So many more in one pass are taken for a damaged file.
 */
const MAX_BUCKETS = 1_000_000;

/** The names from the root down to a bucket. */
type BucketPath = readonly Uint8Array[];

export interface DefragmentationProgress {
  /** Whether there is nothing more to do once this transaction is committed. */
  readonly done: boolean;
  /** Pages that this step caused to be written, about. */
  readonly rewrittenPages: number;
}

export class Defragmentation {
  readonly #freelist: Freelist;
  /** Buckets to go through in this pass; the last one is next. */
  #buckets: BucketPath[] = [[]];
  /** Where to go on in the next bucket; null: at its beginning. */
  #position: Uint8Array | null = null;
  #bucketsInPass = 0;
  #pass = 1;
  #rewrittenInPass = 0;
  /** Pages from here on are to go; 0 before the first step. */
  #target = 0;
  #finishing = 0;

  constructor(freelist: Freelist) {
    this.#freelist = freelist;
  }

  /**
   * Does a part of the work in a write transaction, which then commits it, with whatever else it holds. Rewrites about
   * `budgetBytes` of pages.
   */
  step(transaction: WriteTransaction, budgetBytes: number): DefragmentationProgress {
    assert(transaction instanceof TreeTransaction, 'defragmentation: not a transaction of this package');
    const { workspace, writer } = transaction.context;
    const { pageSizeBytes } = workspace.pager;
    transaction.truncateTail();
    if (this.#target === 0) this.#target = this.#targetOf(writer.highWaterPgid);
    if (this.#finishing > 0) return { done: --this.#finishing === 0, rewrittenPages: 0 };
    const migration = new TreeMigration(writer, this.#freelist, pageSizeBytes, {
      // Large pages may find no stretch that is long enough until everything else has moved together.
      fromPgid: this.#pass < SLIDING_PASS ? this.#target : 0,
      roomBelowPgid: this.#target,
      maxRewrites: Math.max(1, Math.ceil(budgetBytes / pageSizeBytes)),
      maxLooks: LOOKS_PER_REWRITE * Math.max(1, Math.ceil(budgetBytes / pageSizeBytes)),
    });
    let path = this.#buckets.at(-1);
    while (path !== undefined && !migration.isSpent) {
      this.#goOn(path, transaction.root, migration);
      path = this.#buckets.at(-1);
    }
    this.#rewrittenInPass += migration.rewrites;
    if (path === undefined) this.#endPass(writer.highWaterPgid);
    return { done: false, rewrittenPages: migration.rewrites };
  }

  /** Goes on in one bucket as far as the migration may. */
  #goOn(path: BucketPath, root: WriteBucket, migration: TreeMigration): void {
    const tree = treeAt(path, root);
    if (tree === null) {
      this.#buckets.pop();
      this.#position = null;
      return;
    }
    const nested: BucketPath[] = [];
    const next = migration.run(tree, this.#position, (name) => nested.push([...path, copyBytes(name)]));
    this.#position = next;
    if (next === null) this.#buckets.pop();
    this.#bucketsInPass += nested.length;
    if (this.#bucketsInPass > MAX_BUCKETS + tree.pager.highWaterPgid) {
      throw tree.pager.corrupt(tree.pgid, 'buckets contain each other');
    }
    // Those found wait below the bucket that they were found in, which is gone on with first.
    this.#buckets.splice(next === null ? this.#buckets.length : this.#buckets.length - 1, 0, ...nested);
  }

  #endPass(highWaterPgid: number): void {
    const gained = this.#rewrittenInPass > 0 && highWaterPgid > this.#targetOf(highWaterPgid);
    if (!gained || this.#pass === MAX_PASSES) {
      this.#finishing = FINISHING_STEPS;
      return;
    }
    this.#pass++;
    this.#rewrittenInPass = 0;
    this.#bucketsInPass = 0;
    this.#buckets = [[]];
    this.#target = this.#targetOf(highWaterPgid);
  }

  /** Where the file would end with hardly a free page in it. */
  #targetOf(highWaterPgid: number): number {
    const used = highWaterPgid - this.#freelist.freeCount - this.#freelist.pendingCount;
    return used + Math.ceil(used * SLACK_SHARE) + SLACK_PAGES;
  }
}

function treeAt(path: BucketPath, root: WriteBucket): Tree | null {
  let bucket: WriteBucket | null = root;
  for (const name of path) {
    bucket = bucket.bucket(name);
    if (bucket === null) return null;
  }
  return bucket.tree;
}
