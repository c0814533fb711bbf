/** A bucket as a write transaction sees and changes it. */
import { assert, latin1FromBytes } from '@etcd/base';
import type { Cursor, WritableBucket } from './api.ts';
import { BoltError } from './bolt-error.ts';
import { bucketValueFault, readBucketValue, writeBucketHeader } from './bucket-value.ts';
import { MAX_DEPTH, TreeCursor } from './cursor.ts';
import {
  BUCKET_HEADER_BYTES,
  LEAF_PAGE,
  MAX_KEY_BYTES,
  PAGE_HEADER_BYTES,
  pageCount,
  pageFlags,
  pageOverflow,
  writePageHeader,
} from './format.ts';
import { branchChild, leafIsBucket, leafKeyBytes, leafKeyStart } from './page.ts';
import { encodeElements, type PageWriter } from './page-writer.ts';
import { rebalance } from './rebalance.ts';
import { spill } from './spill.ts';
import type { Steps } from './steps.ts';
import { Tree } from './tree.ts';
import { KEY_BYTES, OFFSET, SOURCE, STRIDE, TAIL, type TreeNode, type Workspace } from './workspace.ts';

/** A bucket is kept inside of its parent's page up to this share of a page. */
const INLINE_SHARE = 1 / 4;
const MAX_SEQUENCE = 2n ** 64n - 1n;

/** What the buckets of one write transaction share. */
export interface WriteContext {
  readonly workspace: Workspace;
  readonly writer: PageWriter;
  /** Whether the transaction still takes changes. */
  open: boolean;
  /** Whether a change failed half-way, so that the transaction can only be rolled back. */
  isBroken: boolean;
}

export class WriteBucket implements WritableBucket {
  readonly tree: Tree;
  readonly #context: WriteContext;
  /** By name, as one character a byte. */
  readonly #children = new Map<string, { readonly name: Uint8Array; readonly bucket: WriteBucket }>();
  /** For single lookups. */
  readonly #cursor: TreeCursor;
  readonly #oldPgid: number;
  #sequence: bigint;
  #sequenceChanged = false;
  #deleted = false;

  constructor(context: WriteContext, tree: Tree, sequence: bigint) {
    this.#context = context;
    this.tree = tree;
    this.#oldPgid = tree.pgid;
    this.#sequence = sequence;
    this.#cursor = new TreeCursor(tree);
  }

  /** The sequence that the commit stores. */
  get newSequence(): bigint {
    return this.#sequence;
  }

  get fillPercent(): number {
    return this.tree.fillPercent;
  }

  set fillPercent(value: number) {
    this.tree.fillPercent = value;
  }

  get(key: Uint8Array): Uint8Array | null {
    this.#assertOpen();
    const cursor = this.#cursor;
    return cursor.seekExact(key) && !cursor.isBucket ? cursor.value() : null;
  }

  cursor(): Cursor {
    this.#assertOpen();
    return new TreeCursor(this.tree);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#assertOpen();
    this.tree.put(key, value, false);
  }

  putLent(key: Uint8Array, memory: Uint8Array, start: number, valueBytes: number): void {
    this.#assertOpen();
    this.tree.putLent(key, memory, start, valueBytes);
  }

  delete(key: Uint8Array): boolean {
    this.#assertOpen();
    return this.tree.remove(key, false);
  }

  bucket(name: Uint8Array): WriteBucket | null {
    this.#assertOpen();
    const id = latin1FromBytes(name);
    const known = this.#children.get(id);
    if (known !== undefined) return known.bucket;
    const cursor = this.#cursor;
    if (!cursor.seekExact(name) || !cursor.isBucket) return null;
    return this.#openChild(id, cursor);
  }

  createBucket(name: Uint8Array): WriteBucket {
    this.#assertOpen();
    if (name.length === 0) throw new BoltError('key-required', 'bucket name required');
    if (name.length > MAX_KEY_BYTES) throw new BoltError('key-too-large', 'key too large');
    if (this.#cursor.seekExact(name)) {
      if (this.#cursor.isBucket) throw new BoltError('bucket-exists', 'bucket already exists');
      throw new BoltError('incompatible-value', 'incompatible value');
    }
    this.tree.put(name, EMPTY_BUCKET, true);
    const bucket = this.bucket(name);
    assert(bucket !== null, 'bucket: created one is not there');
    return bucket;
  }

  createBucketIfNotExists(name: Uint8Array): WriteBucket {
    return this.bucket(name) ?? this.createBucket(name);
  }

  deleteBucket(name: Uint8Array): void {
    const child = this.bucket(name);
    if (child === null) {
      const code = this.#cursor.seekExact(name) ? 'incompatible-value' : 'bucket-not-found';
      throw new BoltError(code, code === 'bucket-not-found' ? 'bucket not found' : 'incompatible value');
    }
    // Nested buckets wait in a list: a damaged file could nest them deeper than the stack.
    const doomed = [child];
    try {
      for (let i = 0; i < doomed.length; i++) doomed[i]!.#free(doomed);
    } catch (error) {
      // Some of its pages are given up and some are not.
      this.#context.isBroken = true;
      throw error;
    }
    for (const bucket of doomed) bucket.#deleted = true;
    this.#children.delete(latin1FromBytes(name));
    this.tree.remove(name, true);
  }

  sequence(): bigint {
    this.#assertOpen();
    return this.#sequence;
  }

  setSequence(value: bigint): void {
    this.#assertOpen();
    assert(value >= 0n && value <= MAX_SEQUENCE, 'bucket: sequence out of range');
    this.#sequence = value;
    this.#sequenceChanged = true;
  }

  nextSequence(): bigint {
    this.setSequence((this.sequence() + 1n) & MAX_SEQUENCE);
    return this.#sequence;
  }

  /** First part of a commit: merges small nodes, of nested buckets too. */
  *rebalance(): Steps {
    for (const child of this.#children.values()) yield* child.bucket.rebalance();
    yield* rebalance(this.tree, this.#context.writer);
  }

  /** Second part of a commit: writes nested buckets, then this one. `tree.pgid` is its root page afterwards. */
  *spill(): Steps {
    // In order, so that equal transactions make equal files.
    for (const id of [...this.#children.keys()].sort()) {
      const { name, bucket } = this.#children.get(id)!;
      const value = yield* bucket.#spillToValue();
      if (value !== null) this.tree.put(name, value, true);
    }
    yield* spill(this.tree, this.#context.writer);
  }

  /** Writes the bucket; returns its new value for the parent's page, or null when that stays as it is. */
  *#spillToValue(): Generator<number, Uint8Array | null, void> {
    const { tree } = this;
    if (tree.inlineBuffer !== null && this.#sequenceChanged) tree.openRoot().changed = true;
    if (tree.node?.changed && this.#fitsInline(tree.node)) return this.#inlineValue(tree.node);
    yield* this.spill();
    if (tree.pgid === this.#oldPgid && !this.#sequenceChanged) return null;
    const value = new Uint8Array(BUCKET_HEADER_BYTES);
    writeBucketHeader(new DataView(value.buffer), 0, tree.pgid, this.#sequence);
    return value;
  }

  #fitsInline(root: TreeNode): boolean {
    if (!root.isLeaf || root.sizeBytes > this.tree.pager.pageSizeBytes * INLINE_SHARE) return false;
    const { pool } = this.tree.workspace;
    for (let i = 0; i < root.count; i++) if (pool[(root.start + i) * STRIDE + TAIL]! < 0) return false;
    return true;
  }

  #inlineValue(root: TreeNode): Uint8Array {
    const { workspace, writer } = this.#context;
    writer.freeNode(root);
    const offset = workspace.reserve(BUCKET_HEADER_BYTES + root.sizeBytes);
    const { reserved } = workspace;
    writeBucketHeader(reserved.view, offset, 0, this.#sequence);
    const end = encodeElements(workspace, root, 0, root.count, reserved, offset + BUCKET_HEADER_BYTES, 0, 0);
    return reserved.bytes.subarray(offset, end);
  }

  #openChild(id: string, cursor: TreeCursor): WriteBucket {
    const { workspace } = this.#context;
    const { pager } = workspace;
    const buffer = cursor.buffer();
    const { valueStart } = cursor;
    const fault = bucketValueFault(buffer, valueStart, cursor.valueEnd, pager.highWaterPgid);
    if (fault !== null) throw pager.corrupt(cursor.pgid(), fault);
    const { rootPgid, sequence } = readBucketValue(buffer, valueStart);
    const inline = rootPgid === 0 ? buffer : null;
    const tree = new Tree(workspace, rootPgid, inline, valueStart + BUCKET_HEADER_BYTES);
    const bucket = new WriteBucket(this.#context, tree, sequence);
    this.#children.set(id, { name: cursor.key(), bucket });
    return bucket;
  }

  /** Gives up all pages of the bucket, and adds the buckets nested in it to `doomed`. */
  #free(doomed: WriteBucket[]): void {
    const { tree } = this;
    if (tree.node !== null) this.#freeNode(tree.node, doomed);
    else if (tree.pgid !== 0) this.#freePage(tree.pgid, 0, doomed);
  }

  #freeNode(node: TreeNode, doomed: WriteBucket[]): void {
    const { workspace, writer } = this.#context;
    writer.freeNode(node);
    for (let i = 0; i < node.count; i++) {
      const at = (node.start + i) * STRIDE;
      const { pool } = workspace;
      const tail = pool[at + TAIL]!;
      if (!node.isLeaf) {
        if (tail < 0) this.#freeNode(workspace.node(~tail), doomed);
        else this.#freePage(tail, 0, doomed);
      } else if (tail < 0) {
        const start = pool[at + OFFSET]!;
        doomed.push(
          this.#doomedChild(
            workspace.buffer(pool[at + SOURCE]!).bytes.subarray(start, start + pool[at + KEY_BYTES]!),
          ),
        );
      }
    }
  }

  /** A page that is met again, as in a damaged file whose pages go round in a circle, can't be given up a second time. */
  #freePage(pgid: number, depth: number, doomed: WriteBucket[]): void {
    const { workspace, writer } = this.#context;
    const { pager } = workspace;
    if (depth > MAX_DEPTH) throw pager.corrupt(pgid, 'the tree is too deep');
    const place = pager.page(pgid);
    const buffer = pager.cache.slabAt(place);
    const base = pager.cache.baseAt(place);
    const { view } = buffer;
    writer.free(pgid, 1 + pageOverflow(view, base));
    const isLeaf = pageFlags(view, base) === LEAF_PAGE;
    for (let i = 0; i < pageCount(view, base); i++) {
      if (!isLeaf) {
        this.#freePage(branchChild(view, base, i), depth + 1, doomed);
      } else if (leafIsBucket(view, base, i)) {
        const start = leafKeyStart(view, base, i);
        doomed.push(this.#doomedChild(buffer.bytes.subarray(start, start + leafKeyBytes(view, base, i))));
      }
    }
  }

  #doomedChild(name: Uint8Array): WriteBucket {
    const child = this.bucket(name);
    if (child !== null) return child;
    throw this.tree.pager.corrupt(this.tree.pgid, 'a nested bucket is not where its key belongs');
  }

  #assertOpen(): void {
    assert(this.#context.open, 'bucket: the transaction is over');
    assert(!this.#deleted, 'bucket: it was deleted');
  }
}

/** The value of a bucket without elements: an inline page. */
const EMPTY_BUCKET = new Uint8Array(BUCKET_HEADER_BYTES + PAGE_HEADER_BYTES);
writePageHeader(new DataView(EMPTY_BUCKET.buffer), BUCKET_HEADER_BYTES, 0, LEAF_PAGE, 0, 0);
