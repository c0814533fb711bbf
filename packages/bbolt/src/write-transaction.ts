/** The transaction that changes the database: its buckets, and the way to a commit. */
import { assert } from '@etcd/base';
import type { WriteTransaction } from './api.ts';
import type { BoltError } from './bolt-error.ts';
import type { State } from './commit.ts';
import { Tree } from './tree.ts';
import { WriteBucket, type WriteContext } from './write-bucket.ts';

/** What the database does for its write transaction. */
export interface WriteOwner {
  commit(transaction: TreeTransaction): void;
  commitThen(transaction: TreeTransaction, done: (error: BoltError | null) => void): void;
  rollback(transaction: TreeTransaction): void;
}

export class TreeTransaction implements WriteTransaction {
  readonly txid: number;
  readonly root: WriteBucket;
  /** The state that it builds on. */
  readonly base: State;
  readonly context: WriteContext;
  readonly #owner: WriteOwner;
  #trimsTail = false;

  constructor(owner: WriteOwner, base: State, context: WriteContext) {
    this.#owner = owner;
    this.base = base;
    this.context = context;
    this.txid = context.writer.changes.txid;
    const tree = new Tree(context.workspace, base.meta.rootPgid, null, 0);
    this.root = new WriteBucket(context, tree, base.meta.rootSequence);
  }

  get trimsTail(): boolean {
    return this.#trimsTail;
  }

  bucket(name: Uint8Array): WriteBucket | null {
    return this.root.bucket(name);
  }

  createBucket(name: Uint8Array): WriteBucket {
    return this.root.createBucket(name);
  }

  createBucketIfNotExists(name: Uint8Array): WriteBucket {
    return this.root.createBucketIfNotExists(name);
  }

  deleteBucket(name: Uint8Array): void {
    this.root.deleteBucket(name);
  }

  truncateTail(): void {
    this.#assertOpen();
    this.#trimsTail = true;
  }

  commit(): void {
    this.#assertWhole();
    this.context.open = false;
    this.#owner.commit(this);
  }

  commitThen(done: (error: BoltError | null) => void): void {
    this.#assertWhole();
    this.context.open = false;
    this.#owner.commitThen(this, done);
  }

  rollback(): void {
    if (!this.context.open) return;
    this.context.open = false;
    this.#owner.rollback(this);
  }

  #assertWhole(): void {
    this.#assertOpen();
    assert(!this.context.isBroken, 'transaction: a change failed, it can only be rolled back');
  }

  #assertOpen(): void {
    assert(this.context.open, 'transaction: it is over');
  }
}
