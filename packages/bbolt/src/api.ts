/**
 * The shapes that a consumer of this package works with; `index.ts` tells the story around them.
 *
 * Bytes. Every `Uint8Array` handed out by a read transaction, and {@link Cursor.bytes}, lies in a page buffer that is never
 * written to again: it stays as it is for as long as it is held, past the end of the transaction too. Holding it keeps its whole
 * slab (64 KiB for pages of 4 KiB) alive, so what is kept for long is copied. What a write transaction hands out stays as it is
 * until that is committed or rolled back. Nobody writes into either. Bytes passed in are copied before the call returns.
 */
import type { Clock, Disk, Logger } from '@etcd/base';
import type { BoltError } from './bolt-error.ts';

export interface DatabaseOptions {
  readonly disk: Disk;
  readonly path: string;
  /** Open an existing file for reading, beside other readers; no lock on it excludes them. */
  readonly readOnly?: boolean | undefined;
  /** Permission bits of a created file; 0o600 unless told. */
  readonly mode?: number | undefined;
  /** Page size of a created file, a power of two from 1024; 4096 unless told. An existing file says its own. */
  readonly pageSizeBytes?: number | undefined;
  /**
   * What commits leave in the file: a list of the free pages, as bbolt does by default, or the mark that there is none, so
   * that opening rebuilds it from the reachable pages, as etcd has it. Either kind of file opens under either setting.
   */
  readonly freelist?: 'stored' | 'rebuilt' | undefined;
  /** Bound of the page cache; 128 MiB unless told. Pages of a running commit come on top. */
  readonly cacheBytes?: number | undefined;
  /** Skips every sync: a crash of the machine may then leave anything. For etcd's `--unsafe-no-fsync`. */
  readonly noSync?: boolean | undefined;
  /** With it, `commitThen` and `loadFreelistThen` work in slices between turns, and commits are timed. */
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
}

/** A key with its value, as ranges of {@link Element.bytes}. */
export interface Element {
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  /** Of a nested bucket the value is its header, and its page where it is inline. */
  readonly valueStart: number;
  readonly valueEnd: number;
  /** Whether the element is a nested bucket. */
  readonly isBucket: boolean;
}

/**
 * A position among the keys of one bucket, in byte order. A fresh cursor stands nowhere. Moves return whether it
 * stands on an element afterwards; when they return false it stands nowhere again, until `first`, `last` or `seek`.
 *
 * The fields describe the element as ranges of {@link bytes}, without making a view: the form for hot loops. They mean
 * nothing while the cursor stands nowhere. In a write transaction a cursor outlives changes of its bucket: the next
 * move starts from the key it stood on.
 */
export interface Cursor extends Element {
  first(): boolean;
  last(): boolean;
  next(): boolean;
  previous(): boolean;
  /** To the first key that is not less than `key`. */
  seek(key: Uint8Array): boolean;
  /** To `key` itself; false when absent. */
  seekExact(key: Uint8Array): boolean;
  /** A view of the key. */
  key(): Uint8Array;
  /** A view of the value. */
  value(): Uint8Array;
}

export interface Bucket {
  /** The value of `key`; null when absent or a nested bucket. */
  get(key: Uint8Array): Uint8Array | null;
  cursor(): Cursor;
  /** The nested bucket of that name; null when absent or a value. */
  bucket(name: Uint8Array): Bucket | null;
  /** The bucket's own counter. */
  sequence(): bigint;
}

export interface WritableBucket extends Bucket {
  /**
   * How full pages are left when they split, 0.1 to 1; 0.5 in each new transaction. At 0.75 and more the right edge is
   * filled page by page as keys arrive in order.
   */
  fillPercent: number;
  bucket(name: Uint8Array): WritableBucket | null;
  /** Sets the value of `key` (1 to 32768 bytes). Throws `incompatible-value` where the key names a bucket. */
  put(key: Uint8Array, value: Uint8Array): void;
  /**
   * {@link put} without a copy: `memory` holds `key` at `start`, and behind it a value of so many bytes. It must stay as it is until
   * the commit is told, or the transaction is rolled back.
   */
  putLent(key: Uint8Array, memory: Uint8Array, start: number, valueBytes: number): void;
  /** Removes `key`; false when absent. Throws `incompatible-value` where the key names a bucket. */
  delete(key: Uint8Array): boolean;
  createBucket(name: Uint8Array): WritableBucket;
  createBucketIfNotExists(name: Uint8Array): WritableBucket;
  /** Removes the bucket with all that is in it. Throws `bucket-not-found`. */
  deleteBucket(name: Uint8Array): void;
  setSequence(value: bigint): void;
  nextSequence(): bigint;
}

export interface ReadTransaction {
  /** Which commit it sees. */
  readonly txid: number;
  /** The logical size at that commit: high-water mark times page size; what etcd calls the database size. */
  readonly sizeBytes: number;
  /** The bucket of top-level buckets; its own keys are their names. */
  readonly root: Bucket;
  bucket(name: Uint8Array): Bucket | null;
  /** The bytes of this state as a standalone file; the transaction stays open as long as they are read. */
  snapshot(): Snapshot;
  /** Lets the pages be reused. Harmless when repeated; nothing else may be called afterwards. */
  close(): void;
}

export interface WriteTransaction {
  readonly txid: number;
  readonly root: WritableBucket;
  bucket(name: Uint8Array): WritableBucket | null;
  createBucket(name: Uint8Array): WritableBucket;
  createBucketIfNotExists(name: Uint8Array): WritableBucket;
  deleteBucket(name: Uint8Array): void;
  /**
   * When this commits, lowers the high-water mark over the free pages at the end. The file is cut after the commit after it,
   * when the other meta page no longer counts them either.
   */
  truncateTail(): void;
  /**
   * Makes the changes durable before it returns. No other commit may be under way. Throws {@link BoltError}, after which
   * nothing more is committed.
   */
  commit(): void;
  /**
   * The same without stopping the event loop: pages are built in slices, written and synced in the background. The
   * transaction is over for its owner at once; the next may begin at once too and builds on this one. `beginRead`
   * shows the new state from just before `done` on. After an error nothing more is committed.
   */
  commitThen(done: (error: BoltError | null) => void): void;
  /** Forgets the changes. Harmless after the end of the transaction. The only way on after a call threw `corrupt` or `io`. */
  rollback(): void;
}

/** A consistent copy of a database as a stream of chunks. */
export interface Snapshot {
  readonly sizeBytes: number;
  /** What has been read. */
  readonly positionBytes: number;
  /**
   * Reads the next `target.length` bytes, or what is left; 0 at the end. `target` belongs to the snapshot until `done`;
   * one read at a time.
   */
  readThen(target: Uint8Array, done: (error: BoltError | null, bytesRead: number) => void): void;
  /** {@link readThen} on the spot, for tools. */
  read(target: Uint8Array): number;
}

export interface CommitStatistics {
  /** Milliseconds by the injected clock; 0 without one. */
  readonly rebalanceMs: number;
  readonly spillMs: number;
  readonly writeMs: number;
  readonly pagesWritten: number;
  /** Separate contiguous stretches of the file. */
  readonly runsWritten: number;
}

export interface CacheStatistics {
  readonly hits: number;
  readonly misses: number;
  readonly capacityBytes: number;
  /** Held now, pages of a running commit included. */
  readonly heldBytes: number;
  readonly evictedPages: number;
}

export interface DatabaseStatistics {
  readonly pageSizeBytes: number;
  readonly fileSizeBytes: number;
  /** Logical size of the last durable commit. */
  readonly sizeBytes: number;
  /** Logical size less the free pages: what etcd calls size in use. Equals `sizeBytes` while the freelist isn't loaded. */
  readonly sizeInUseBytes: number;
  readonly freePages: number;
  /** Freed, but still needed by a reader or by the commit before. */
  readonly pendingPages: number;
  readonly freelistLoaded: boolean;
  readonly openReaders: number;
  readonly commits: number;
  readonly lastCommit: CommitStatistics;
  readonly cache: CacheStatistics;
}

/**
 * Is shown what a check passes by, in the order of the keys. That counts for something where nothing has been found. The element
 * and its bytes are used again when a call has returned. What is in buckets of buckets is not shown.
 */
export interface CheckVisitor {
  /** An element of the root: a bucket, as a rule, of which the elements come next. */
  rootElement(element: Element): void;
  element(element: Element): void;
}

/** What `Database.check` can find. `pgid` is the page at fault, `path` the page ids from the bucket's root down to it. */
export interface Finding {
  readonly kind:
    | 'unreachable-unfreed'
    | 'multiple-references'
    | 'reachable-freed'
    | 'out-of-bounds'
    | 'invalid-page'
    | 'key-order'
    | 'bucket'
    | 'freelist';
  readonly pgid: number;
  readonly path: readonly number[];
  readonly message: string;
}
