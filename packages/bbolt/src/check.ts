/**
 * The structural check, as bbolt's `Tx.Check` does it: that every page below the high-water mark is either reachable, once, or
 * free; that pages are what their place says; that keys rise within pages and stay between the separators above them.
 *
 * Pages are read from the file, past the cache: what is checked is what the next start will find. Memory: two bits a page,
 * one page buffer for each level of the tree, and the stretch of the file that is read ahead.
 */
import { compareRange, EMPTY_BYTES } from '@etcd/base';
import type { CheckVisitor, Element, Finding } from './api.ts';
import { Bitmap } from './bitmap.ts';
import { BoltError } from './bolt-error.ts';
import { bucketValueFault, readBucketValue } from './bucket-value.ts';
import { MAX_DEPTH } from './cursor.ts';
import {
  BRANCH_PAGE,
  BUCKET_HEADER_BYTES,
  FIRST_DATA_PGID,
  LEAF_PAGE,
  pageCount,
  pageFlags,
  pageOverflow,
  readUint64,
} from './format.ts';
import { Freelist } from './freelist.ts';
import { freelistPages, loadFreelist } from './freelist-loader.ts';
import { NO_FREELIST } from './meta.ts';
import {
  branchChild,
  branchKeyBytes,
  branchKeyStart,
  leafIsBucket,
  leafKeyBytes,
  leafKeyStart,
  leafValueBytes,
  pageFault,
} from './page.ts';
import { PageBuffer } from './page-buffer.ts';
import type { Pager } from './pager.ts';
import { ReadAhead } from './read-ahead.ts';
import type { StateTransaction } from './read-transaction.ts';
import { runAll } from './steps.ts';

/** One finding a step, and null now and then without one, so that a caller can stop for a while. */
export type CheckSteps = Generator<Finding | null, void, void>;

/** Keys of a page lie in [low, high) of this; null is open. */
interface Bound {
  readonly buffer: PageBuffer;
  readonly start: number;
  readonly end: number;
}

/** So many pages are looked at in one step. */
const STEP_PAGES = 16;

/** Where a page belongs: to the root, to a bucket of the root, or to one further down. */
const ROOT = 0;
const TOP_BUCKET = 1;
const DEEPER = 2;

/** @param unused the pages that are free at the transaction, where they are known; null leaves that part out. */
export function checkState(
  transaction: StateTransaction,
  unused: Bitmap | null,
  visitor: CheckVisitor | null,
): CheckSteps {
  return new Checker(transaction, unused, visitor).run();
}

/** What the visitor sees; one object for all. */
class VisitedElement implements Element {
  bytes: Uint8Array = EMPTY_BYTES;
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  isBucket = false;
}

class Checker {
  readonly #pager: Pager;
  readonly #transaction: StateTransaction;
  readonly #highWaterPgid: number;
  readonly #visitor: CheckVisitor | null;
  readonly #element = new VisitedElement();
  readonly #readAhead: ReadAhead;
  readonly #reached = new Bitmap();
  #unused: Bitmap | null;
  /** Buckets still to be looked at, by root page: nested ones wait here rather than on the stack. */
  readonly #buckets: number[] = [];
  /** By depth; a bucket of the root comes below the pages that lead to it. */
  readonly #buffers: PageBuffer[] = [];
  #heldBuffers = 0;
  #place = ROOT;
  #pages = 0;

  constructor(transaction: StateTransaction, unused: Bitmap | null, visitor: CheckVisitor | null) {
    this.#transaction = transaction;
    this.#visitor = visitor;
    this.#readAhead = new ReadAhead(transaction.pager.file, transaction.pager.pageSizeBytes);
    this.#pager = transaction.pager;
    this.#highWaterPgid = transaction.meta.highWaterPgid;
    this.#unused = unused;
  }

  *run(): CheckSteps {
    const { meta } = this.#transaction;
    if (meta.freelistPgid !== NO_FREELIST) yield* this.#checkFreelist();
    yield* this.#checkPage(meta.rootPgid, [], null, null);
    this.#place = DEEPER;
    for (let root = this.#buckets.pop(); root !== undefined; root = this.#buckets.pop()) {
      yield* this.#checkPage(root, [], null, null);
    }
    if (this.#unused === null) return;
    for (let pgid = FIRST_DATA_PGID; pgid < this.#highWaterPgid; pgid++) {
      if (!this.#reached.has(pgid) && !this.#unused.has(pgid)) {
        yield finding('unreachable-unfreed', pgid, [], 'unreachable unfreed');
      }
    }
  }

  /** The stored list is read as it will be at the next start. */
  *#checkFreelist(): CheckSteps {
    const { meta } = this.#transaction;
    try {
      const stored = new Freelist(meta.txid);
      runAll(loadFreelist(this.#pager, meta, stored));
      this.#unused = stored.unused();
      const pages = freelistPages(this.#pager, meta);
      for (let i = 0; i < pages; i++) {
        const pgid = meta.freelistPgid + i;
        this.#reached.add(pgid);
        if (stored.isFree(pgid)) yield finding('reachable-freed', pgid, [], 'a page of the freelist is free');
      }
    } catch (error) {
      if (!(error instanceof BoltError) || error.code !== 'corrupt') throw error;
      yield finding('freelist', meta.freelistPgid, [], error.message);
    }
  }

  *#checkPage(pgid: number, above: readonly number[], low: Bound | null, high: Bound | null): CheckSteps {
    const path = [...above, pgid];
    if (path.length > MAX_DEPTH) {
      yield finding('invalid-page', pgid, path, 'the tree is too deep');
      return;
    }
    if (pgid < FIRST_DATA_PGID || pgid >= this.#highWaterPgid) {
      yield finding('out-of-bounds', pgid, path, `out of bounds: ${this.#highWaterPgid}`);
      return;
    }
    const before = this.#reached.has(pgid);
    const buffer = this.#readPage(pgid, this.#heldBuffers + above.length);
    const fault = this.#identityFault(buffer, pgid);
    const pages = fault === null ? 1 + pageOverflow(buffer.view, 0) : 1;
    for (let i = 0; i < pages; i++) {
      if (!this.#reached.add(pgid + i))
        yield finding('multiple-references', pgid + i, path, 'multiple references');
      if (this.#unused?.has(pgid + i)) yield finding('reachable-freed', pgid + i, path, 'reachable freed');
    }
    if (fault !== null) yield finding('invalid-page', pgid, path, fault);
    // What it leads to was looked at the first time.
    if (fault !== null || before) return;
    if (++this.#pages % STEP_PAGES === 0) yield null;
    if (pageFlags(buffer.view, 0) === BRANCH_PAGE) yield* this.#checkBranch(buffer, path, low, high);
    else yield* this.#checkLeaf(buffer, 0, path, low, high);
  }

  *#checkBranch(
    buffer: PageBuffer,
    path: readonly number[],
    low: Bound | null,
    high: Bound | null,
  ): CheckSteps {
    const { view } = buffer;
    const count = pageCount(view, 0);
    const bound = (index: number): Bound => {
      const start = branchKeyStart(view, 0, index);
      return { buffer, start, end: start + branchKeyBytes(view, 0, index) };
    };
    let key = bound(0);
    yield* checkBounds(key, 0, path, low, high);
    for (let i = 0; i < count; i++) {
      const next = i + 1 < count ? bound(i + 1) : null;
      // That they rise within a page is part of what makes it one.
      if (next !== null && isOutside(next, null, high)) yield* checkBounds(next, i + 1, path, null, high);
      yield* this.#checkPage(branchChild(view, 0, i), path, key, next ?? high);
      if (next !== null) key = next;
    }
  }

  *#checkLeaf(
    buffer: PageBuffer,
    base: number,
    path: readonly number[],
    low: Bound | null,
    high: Bound | null,
  ): CheckSteps {
    const { view } = buffer;
    const count = pageCount(view, base);
    for (let i = 0; i < count; i++) {
      const start = leafKeyStart(view, base, i);
      const end = start + leafKeyBytes(view, base, i);
      const key: Bound = { buffer, start, end };
      const floor = i === 0 ? low : null;
      if (isOutside(key, floor, high)) yield* checkBounds(key, i, path, floor, high);
      const isBucket = leafIsBucket(view, base, i);
      const valueEnd = end + leafValueBytes(view, base, i);
      if (this.#visitor !== null) this.#visit(key, valueEnd, isBucket);
      if (isBucket) yield* this.#checkBucket(buffer, end, valueEnd, i, path);
    }
  }

  *#checkBucket(
    buffer: PageBuffer,
    start: number,
    end: number,
    index: number,
    path: readonly number[],
  ): CheckSteps {
    const fault = bucketValueFault(buffer, start, end, this.#highWaterPgid);
    if (fault !== null) {
      yield finding('bucket', path.at(-1)!, path, `element ${index}: ${fault}`);
      return;
    }
    const { rootPgid } = readBucketValue(buffer, start);
    const place = this.#place;
    // Buckets of the root come at once, so that a visitor sees them in their order.
    if (rootPgid !== 0 && place !== ROOT) {
      this.#buckets.push(rootPgid);
      return;
    }
    this.#place = place === ROOT ? TOP_BUCKET : DEEPER;
    if (rootPgid === 0) yield* this.#checkLeaf(buffer, start + BUCKET_HEADER_BYTES, path, null, null);
    else {
      this.#heldBuffers = path.length;
      yield* this.#checkPage(rootPgid, [], null, null);
      this.#heldBuffers = 0;
    }
    this.#place = place;
  }

  #visit({ buffer, start, end }: Bound, valueEnd: number, isBucket: boolean): void {
    const element = this.#element;
    element.bytes = buffer.bytes;
    element.keyStart = start;
    element.keyEnd = end;
    element.valueStart = end;
    element.valueEnd = valueEnd;
    element.isBucket = isBucket;
    if (this.#place === ROOT) this.#visitor!.rootElement(element);
    else if (this.#place === TOP_BUCKET) this.#visitor!.element(element);
  }

  /** What keeps the page from being looked into, with its overflow pages. */
  #identityFault(buffer: PageBuffer, pgid: number): string | null {
    const { view } = buffer;
    if (readUint64(view, 0) !== pgid) return `calls itself page ${readUint64(view, 0)}`;
    const flags = pageFlags(view, 0);
    if (flags !== BRANCH_PAGE && flags !== LEAF_PAGE) return `invalid type: flags 0x${flags.toString(16)}`;
    const overflow = pageOverflow(view, 0);
    if (pgid + overflow >= this.#highWaterPgid) return `${overflow} overflow pages are out of bounds`;
    return pageFault(buffer, 0, (1 + overflow) * this.#pager.pageSizeBytes, this.#highWaterPgid);
  }

  /** The page with its overflow, in the buffer of its level. */
  #readPage(pgid: number, depth: number): PageBuffer {
    const size = this.#pager.pageSizeBytes;
    const buffer = this.#bufferFor(depth, size);
    this.#readAhead.read(buffer, size, pgid);
    const overflow = pageOverflow(buffer.view, 0);
    const sane = readUint64(buffer.view, 0) === pgid && pgid + overflow < this.#highWaterPgid;
    if (overflow === 0 || !sane) return buffer;
    const whole = this.#bufferFor(depth, (1 + overflow) * size);
    this.#readAhead.read(whole, (1 + overflow) * size, pgid);
    return whole;
  }

  #bufferFor(depth: number, sizeBytes: number): PageBuffer {
    const known = this.#buffers[depth];
    if (known !== undefined && known.bytes.length >= sizeBytes) return known;
    const buffer = new PageBuffer(sizeBytes);
    this.#buffers[depth] = buffer;
    return buffer;
  }
}

function order(a: Bound, b: Bound): number {
  return compareRange(a.buffer.bytes, a.start, a.end, b.buffer.bytes, b.start, b.end);
}

/** Whether {@link checkBounds} has something to say. */
function isOutside(key: Bound, low: Bound | null, high: Bound | null): boolean {
  return (low !== null && order(low, key) > 0) || (high !== null && order(key, high) >= 0);
}

function* checkBounds(
  key: Bound,
  index: number,
  path: readonly number[],
  low: Bound | null,
  high: Bound | null,
): CheckSteps {
  const pgid = path.at(-1)!;
  if (low !== null && order(low, key) > 0) {
    yield finding('key-order', pgid, path, `key ${index} is below the key in the branch above`);
  }
  if (high !== null && order(key, high) >= 0) {
    yield finding('key-order', pgid, path, `key ${index} is not below the next key in the branch above`);
  }
}

function finding(kind: Finding['kind'], pgid: number, path: readonly number[], message: string): Finding {
  return { kind, pgid, path, message: `page ${pgid}: ${message}` };
}
