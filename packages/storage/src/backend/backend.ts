/**
 * The store's file behind a write buffer; `index.ts` has the contract.
 *
 * At any time there is one batch that gathers changes and at most one that is being committed:
 *
 *   put, delete ──> gathering ──seal──> committing ──commitThen──> file
 *                      │                    │                        │
 *   get  <─────────────┴────────────────────┴────────────────────────┘     the newest that knows the key wins
 *
 * Revisions go to the log instead of the batch, which only remembers up to which revision it reaches.
 */
import { assert, type Clock, type Logger, SILENT_LOGGER, type Timer } from '@etcd/base';
import {
  type Bucket as BoltBucket,
  BoltError,
  type Cursor,
  Database,
  type Defragmentation,
  type ReadTransaction,
} from '@etcd/bbolt';
import type { BackendOptions, BackendSnapshot, BackendWriter, PreCommitHook } from './api.ts';
import { Slice } from './api.ts';
import { type Bucket, KEY_BUCKET } from './bucket.ts';
import { CommitFeed } from './commit-feed.ts';
import { hashThen } from './hash.ts';
import { overlay } from './overlay.ts';
import { REVISION_BYTES, TOMBSTONE_REVISION_BYTES, writeRevision } from './revision.ts';
import { RevisionLog } from './revision-log.ts';
import { type BucketEntry, type CommitCallback, WriteBatch } from './write-batch.ts';

const DEFAULT_BATCH_INTERVAL_MS = 100;
const DEFAULT_BATCH_LIMIT = 10_000;
const DEFAULT_RECENT_BYTES = 16 * 1024 * 1024;
const DEFAULT_MAX_PENDING_BYTES = 128 * 1024 * 1024;
/** Pages that defragmentation moves in one commit: a few milliseconds. */
const DEFRAGMENT_BYTES_PER_COMMIT = 1024 * 1024;
/** How often a backend that is no longer used looks whether it may let its file go. */
const RETIREMENT_CHECK_MS = 100;

export class Backend implements BackendWriter {
  /** What {@link readRevision} found. */
  readonly value: Slice = new Slice();
  /** How much of what is committed stays in the log: see {@link BackendOptions}. May be changed at any time. */
  recentBytes: number;
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #batchIntervalMs: number;
  readonly #batchLimit: number;
  readonly #maxPendingBytes: number;
  readonly #onFatal: (error: BoltError) => void;
  readonly #onCommit: BackendOptions['onCommit'];
  #onPreCommit: PreCommitHook | null = null;
  #log = new RevisionLog(0);
  /** The newest revision that a sealed batch reaches, and the newest that is durable. */
  #sealedMain = 0;
  #committedMain = 0;
  #gathering = new WriteBatch();
  #committing: WriteBatch | null = null;
  /** Bytes of the log's revisions that no commit has reached; those of the committing batch apart. */
  #gatheringBytes = 0;
  #committingBytes = 0;
  #timer: Timer | null = null;
  /** The interval or the limit has passed while a commit was under way. */
  #isDue = false;
  #isSealDeferred = false;
  #freelistLoaded = false;
  #failed: BoltError | null = null;
  #defragmentation: Defragmentation | null = null;
  #defragmentCallbacks: CommitCallback[] = [];
  #closing: CommitCallback | null = null;
  #isClosed = false;
  /** Readers that go on when another file has taken this one's place. */
  #holderCount = 0;
  #isRetired = false;
  #isReleased = false;
  #read: ReadTransaction;
  #keyCursor: Cursor | null = null;
  readonly #revisionKey = new Uint8Array(TOMBSTONE_REVISION_BYTES);
  readonly #putKey = this.#revisionKey.subarray(0, REVISION_BYTES);
  #sizeBytes = 0;
  #sizeInUseBytes = 0;

  /** Opens the file, creating it when absent. Throws `BoltError`. */
  constructor(options: BackendOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#batchIntervalMs = options.batchIntervalMs ?? DEFAULT_BATCH_INTERVAL_MS;
    this.#batchLimit = options.batchLimit ?? DEFAULT_BATCH_LIMIT;
    this.recentBytes = options.recentBytes ?? DEFAULT_RECENT_BYTES;
    this.#maxPendingBytes = options.maxPendingBytes ?? DEFAULT_MAX_PENDING_BYTES;
    this.#onFatal = options.onFatal;
    this.#onCommit = options.onCommit;
    this.#database = Database.open({
      disk: options.disk,
      path: options.path,
      clock: options.clock,
      logger: this.#logger,
      freelist: options.freelist ?? 'rebuilt',
      cacheBytes: options.cacheBytes,
      noSync: options.noSync,
    });
    this.#read = this.#database.beginRead();
    this.#takeSizes();
    this.#database.loadFreelistThen((error) => this.#onFreelist(error));
  }

  // --- what the file is

  get path(): string {
    return this.#database.path;
  }

  get pageSizeBytes(): number {
    return this.#database.pageSizeBytes;
  }

  /** Allocated size of the last commit: what the quota is compared with. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** {@link sizeBytes} less the free pages. */
  get sizeInUseBytes(): number {
    return this.#sizeInUseBytes;
  }

  /** Whether the file is still held, be it for the last readers of a replaced one. */
  get isOpen(): boolean {
    return !this.#isReleased;
  }

  get database(): Database {
    return this.#database;
  }

  // --- back-pressure

  /** Puts and deletes that no commit has begun with. */
  get pendingOperations(): number {
    return this.#gathering.operationCount;
  }

  /** Memory of what is not yet durable. */
  get pendingBytes(): number {
    return (
      this.#gatheringBytes + this.#gathering.bytes + this.#committingBytes + (this.#committing?.bytes ?? 0)
    );
  }

  /** More is waiting for the disk than should be: whoever proposes writes holds them back until this is false again. */
  get overloaded(): boolean {
    return this.pendingBytes > this.#maxPendingBytes;
  }

  // --- buckets

  createBucket(bucket: Bucket): void {
    this.#beforeWrite();
    this.#gathering.createBucket(bucket);
  }

  /** Removes the bucket with all that is in it; nothing when there is none. */
  deleteBucket(bucket: Bucket): void {
    assert(bucket !== KEY_BUCKET, 'backend: the key bucket stays');
    this.#beforeWrite();
    this.#gathering.deleteBucket(bucket);
  }

  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    assert(bucket !== KEY_BUCKET, 'backend: revisions have a way of their own');
    this.#beforeWrite();
    this.#gathering.put(bucket, key, value);
    this.#afterWrite();
  }

  delete(bucket: Bucket, key: Uint8Array): void {
    assert(bucket !== KEY_BUCKET, 'backend: revisions have a way of their own');
    this.#beforeWrite();
    this.#gathering.delete(bucket, key);
    this.#afterWrite();
  }

  /** The newest value of `key`, not to be changed; null when absent. */
  get(bucket: Bucket, key: Uint8Array): Uint8Array | null {
    const found = overlay(bucket, this.#gathering, this.#committing);
    const entry = found.get(key);
    if (entry !== undefined) return entry.value;
    return found.hidesFile ? null : (this.#bucket(bucket)?.get(key) ?? null);
  }

  /** Calls `visit` with each key and value of the bucket in order of keys. `visit` does not write to the backend. */
  forEach(bucket: Bucket, visit: (key: Uint8Array, value: Uint8Array) => void): void {
    const found = overlay(bucket, this.#gathering, this.#committing);
    const cursor = found.hidesFile ? null : (this.#bucket(bucket)?.cursor() ?? null);
    const entries = found.sorted();
    let next = 0;
    let on = cursor?.first() ?? false;
    while (on || next < entries.length) {
      const entry: BucketEntry | undefined = entries[next];
      const order = !on ? 1 : entry === undefined ? -1 : found.compare(cursor!, entry);
      if (order < 0) visit(cursor!.key(), cursor!.value());
      else {
        next++;
        if (entry!.value !== null) visit(entry!.key, entry!.value);
      }
      if (order <= 0) on = cursor!.next();
    }
  }

  // --- revisions

  /** The newest revisions, for walking them; see {@link RevisionLog}. */
  get revisionLog(): RevisionLog {
    return this.#log;
  }

  /** Begins the log: the next revision that is written will be `lastMain + 1`. Nothing may be pending in it. */
  startRevisions(lastMain: number): void {
    // A commit that is under way has to do with buckets only, and keeps the log that it began with.
    assert(this.#log.lastMain === this.#sealedMain, 'backend: revisions pending');
    this.#log = new RevisionLog(lastMain);
    this.#sealedMain = lastMain;
    this.#committedMain = lastMain;
  }

  /**
   * Makes room for the value of a new revision in the log, whose registers say where; the caller fills it before
   * anything else.
   */
  reserveRevision(main: number, sub: number, isTombstone: boolean, length: number): RevisionLog {
    this.#beforeWrite();
    this.#log.reserve(main, sub, isTombstone, length);
    this.#gatheringBytes += length;
    this.#gathering.operationCount++;
    this.#afterWrite();
    return this.#log;
  }

  /** Removes a revision from the file: for compaction, which nothing reads behind. */
  deleteRevision(main: number, sub: number, isTombstone: boolean): void {
    this.#beforeWrite();
    this.#gathering.deletedRevisions.push(main, sub, isTombstone);
    this.#gathering.operationCount++;
    this.#afterWrite();
  }

  /** Finds the put of revision (main, sub) and leaves it in {@link value}; false when there is none. */
  readRevision(main: number, sub: number): boolean {
    const log = this.#log;
    if (main >= log.firstMain) {
      if (!log.find(main, sub)) return false;
      this.value.set(log.buffer, log.start, log.end);
      return true;
    }
    this.#keyCursor ??= this.#bucket(KEY_BUCKET)?.cursor() ?? null;
    const cursor = this.#keyCursor;
    if (cursor === null) return false;
    writeRevision(this.#revisionKey, main, sub, false);
    if (!cursor.seekExact(this.#putKey)) return false;
    this.value.set(cursor.bytes, cursor.valueStart, cursor.valueEnd);
    return true;
  }

  /** The file's newest commit, for a reader that takes long; whoever begins it closes it. */
  beginRead(): ReadTransaction {
    return this.#database.beginRead();
  }

  /** The newest commit as the backend itself reads it: valid until the next commit, so never across turns. */
  get committed(): ReadTransaction {
    return this.#read;
  }

  // --- commits

  /** Called whenever a batch is sealed, to put into it what must be committed together with it. */
  setPreCommitHook(hook: PreCommitHook | null): void {
    this.#onPreCommit = hook;
  }

  /** Commits everything written so far without waiting for interval or limit; `done` when it is durable. */
  commitNowThen(done: CommitCallback): void {
    if (this.#failed !== null) return this.#clock.defer(() => done(this.#failed));
    assert(!this.#isClosed, 'backend: used after close');
    this.#gathering.callbacks.push(done);
    this.#isDue = true;
    this.#sealSoon();
  }

  /** Commits what is pending, then releases the file. */
  closeThen(done: CommitCallback): void {
    assert(this.#closing === null && !this.#isClosed, 'backend: closed twice');
    this.#closing = done;
    this.commitNowThen((error) => {
      if (this.#failed === null) assert(this.#gathering.isEmpty, 'backend: written to while closing');
      this.#release();
      done(error);
    });
  }

  /** The same on the spot, for tools and tests: no commit is under way. Throws `BoltError`. */
  close(): void {
    assert(this.#committing === null || this.#failed !== null, 'backend: close during a commit');
    if (!this.#gathering.isEmpty && this.#failed === null) {
      const batch = this.#seal();
      const feed = this.#feedOf(batch);
      while (!feed.step());
      feed.transaction.commit();
      for (const callback of batch.callbacks) callback(null);
    }
    this.#release();
  }

  /**
   * Another file has taken this one's place: finishes what is pending, since somebody may wait for it, and lets the file go when
   * the last reader that is still at work is done: who {@link retain}s it, and who has a transaction (a snapshot on its way to a
   * client, say).
   */
  retire(): void {
    assert(this.#closing === null && !this.#isClosed, 'backend: retired after close');
    this.#closing = () => {};
    this.commitNowThen(() => {
      this.#isClosed = true;
      this.#isRetired = true;
      this.#timer?.cancel();
      if (this.#holderCount === 0) this.#letGo();
    });
  }

  /** Revisions can be read until {@link release}, even after {@link retire}. */
  retain(): void {
    assert(!this.#isClosed, 'backend: retained after close');
    this.#holderCount++;
  }

  release(): void {
    assert(this.#holderCount > 0, 'backend: released too often');
    this.#holderCount--;
    if (this.#isRetired && this.#holderCount === 0) this.#letGo();
  }

  /** Commits, then gives a consistent copy of the whole file to read; the caller closes it. */
  snapshotThen(done: (error: BoltError | null, snapshot: BackendSnapshot | null) => void): void {
    this.commitNowThen((error) => {
      if (error !== null) return done(error, null);
      const transaction = this.#database.beginRead();
      const stream = transaction.snapshot();
      done(null, {
        sizeBytes: stream.sizeBytes,
        readThen: (target, then) => stream.readThen(target, then),
        close: () => transaction.close(),
      });
    });
  }

  /**
   * Commits, then takes the CRC-32C of all buckets (name, then each key and value) but for the keys that `isIgnored` names,
   * in slices. Not told: whoever asks when the backend is closed meanwhile, or a page is damaged, which is fatal.
   */
  hashThen(
    isIgnored: (bucketName: string, key: Uint8Array) => boolean,
    done: (error: BoltError | null, hash: number) => void,
  ): void {
    this.commitNowThen((error) => {
      if (error !== null) return done(error, 0);
      hashThen(this, this.#clock, isIgnored, (hash) => done(null, hash));
    });
  }

  /**
   * Does what reads pages in a turn of its own, where nobody waits who could be told: a page that is damaged, or can't be read, is as
   * fatal as a commit that fails.
   */
  inTurn(turn: () => void): void {
    try {
      turn();
    } catch (error) {
      if (!(error instanceof BoltError)) throw error;
      this.#logger.error('failed to read a page', { error: error.message });
      this.#onFatal(error);
    }
  }

  /**
   * Makes the file as short as what is in it allows, while everything else goes on: a part of the work rides on each commit, and
   * commits follow each other until it is done. `done` when the file has been cut.
   */
  defragThen(done: CommitCallback): void {
    if (this.#failed !== null) return this.#clock.defer(() => done(this.#failed));
    assert(!this.#isClosed, 'backend: used after close');
    this.#defragmentCallbacks.push(done);
    if (this.#defragmentation !== null) return;
    this.#defragmentation = this.#database.defragment();
    this.#isDue = true;
    this.#sealSoon();
  }

  /** Whether {@link defragThen} is at work. */
  get isDefragmenting(): boolean {
    return this.#defragmentation !== null;
  }

  // --- inside

  #bucket(bucket: Bucket): BoltBucket | null {
    return this.#read.bucket(bucket.nameBytes);
  }

  #beforeWrite(): void {
    assert(!this.#isClosed, 'backend: used after close');
    if (this.#gathering.isEmpty && this.#timer === null) {
      this.#timer = this.#clock.setTimer(this.#batchIntervalMs, () => {
        this.#timer = null;
        this.#isDue = true;
        this.#sealIfDue();
      });
    }
  }

  #afterWrite(): void {
    if (this.#gathering.operationCount < this.#batchLimit) return;
    this.#isDue = true;
    this.#sealSoon();
  }

  /** Seals after this turn, never in the middle of what is being applied: see S23 in `index.ts`. */
  #sealSoon(): void {
    if (this.#isSealDeferred) return;
    this.#isSealDeferred = true;
    this.#clock.defer(() => {
      this.#isSealDeferred = false;
      this.#sealIfDue();
    });
  }

  #sealIfDue(): void {
    const isIdle = this.#committing === null && this.#freelistLoaded;
    if (!this.#isDue || !isIdle || this.#failed !== null || this.#isClosed) return;
    const batch = this.#seal();
    if (batch.isEmpty && this.#defragmentation === null) return this.#callBack(batch, null);
    this.#committing = batch;
    this.#gather(batch, null);
  }

  #seal(): WriteBatch {
    this.#timer?.cancel();
    this.#timer = null;
    this.#isDue = false;
    const batch = this.#gathering;
    // A commit for nothing but the consistent index is not worth its syncs.
    if (!batch.isEmpty) this.#onPreCommit?.({ put: (bucket, key, value) => batch.put(bucket, key, value) });
    this.#gathering = new WriteBatch();
    this.#committingBytes = this.#gatheringBytes;
    this.#gatheringBytes = 0;
    return batch;
  }

  #feedOf(batch: WriteBatch): CommitFeed {
    const fromMain = this.#sealedMain + 1;
    this.#sealedMain = this.#log.lastMain;
    return new CommitFeed(this.#database.beginWrite(), batch, this.#log, fromMain);
  }

  /** Puts a slice of `batch` into its transaction, which begins with the first; behind the last comes the commit. */
  #gather(batch: WriteBatch, begun: CommitFeed | null): void {
    let feed = begun;
    let defragmented: CommitCallback[];
    try {
      feed ??= this.#feedOf(batch);
      const same = feed;
      if (!feed.step()) return this.#clock.defer(() => this.#gather(batch, same));
      defragmented = this.#defragment(feed);
    } catch (error) {
      if (!(error instanceof BoltError)) throw error;
      // A page that has to be read is damaged, or can't be read.
      feed?.transaction.rollback();
      return this.#fail(batch, error);
    }
    this.#commit(batch, feed, defragmented);
  }

  #commit(batch: WriteBatch, feed: CommitFeed, defragmented: readonly CommitCallback[]): void {
    const startMs = this.#clock.now();
    feed.transaction.commitThen((error) => {
      if (error === null) {
        this.#onCommit?.(this.#clock.now() - startMs, this.#database.statistics().lastCommit);
      }
      // While there is more to move, commits follow each other.
      if (this.#defragmentation !== null) this.#isDue = true;
      this.#onCommitted(batch, feed.toMain, error);
      for (const callback of defragmented) callback(error);
    });
  }

  /** Does a part of a defragmentation; returns whom to tell if it was the last. */
  #defragment(feed: CommitFeed): CommitCallback[] {
    if (this.#defragmentation === null) return [];
    const { done } = this.#defragmentation.step(feed.transaction, DEFRAGMENT_BYTES_PER_COMMIT);
    if (!done && this.#closing === null) return [];
    this.#defragmentation = null;
    return this.#defragmentCallbacks.splice(0);
  }

  #onCommitted(batch: WriteBatch, toMain: number, error: BoltError | null): void {
    if (error !== null) return this.#fail(batch, error);
    this.#committing = null;
    this.#committingBytes = 0;
    // The revisions may have been begun anew meanwhile, with what the file has.
    this.#committedMain = Math.max(this.#committedMain, toMain);
    if (this.#isClosed) return this.#callBack(batch, null);
    this.#read.close();
    this.#read = this.#database.beginRead();
    this.#keyCursor = null;
    this.#log.trim(this.recentBytes, this.#committedMain);
    this.#takeSizes();
    this.#callBack(batch, null);
    this.#sealIfDue();
  }

  #fail(batch: WriteBatch, error: BoltError): void {
    assert(this.#failed === null, 'backend: a commit after one that failed');
    this.#failed = error;
    this.#logger.error('failed to commit tx', { error: error.message });
    const waiting = this.#gathering.callbacks.splice(0);
    this.#callBack(batch, error);
    for (const callback of waiting) callback(error);
    for (const callback of this.#defragmentCallbacks.splice(0)) callback(error);
    this.#onFatal(error);
  }

  #callBack(batch: WriteBatch, error: BoltError | null): void {
    for (const callback of batch.callbacks) callback(error);
  }

  #onFreelist(error: BoltError | null): void {
    if (this.#isClosed) return;
    if (error !== null) return this.#fail(new WriteBatch(), error);
    this.#freelistLoaded = true;
    this.#takeSizes();
    this.#sealIfDue();
  }

  #takeSizes(): void {
    const statistics = this.#database.statistics();
    this.#sizeBytes = statistics.sizeBytes;
    this.#sizeInUseBytes = statistics.sizeInUseBytes;
  }

  #letGo(): void {
    this.#read.close();
    this.#releaseWhenUnread();
  }

  #releaseWhenUnread(): void {
    if (this.#database.statistics().openReaders > 0) {
      this.#clock.setTimer(RETIREMENT_CHECK_MS, () => this.#releaseWhenUnread());
    } else this.#closeFile();
  }

  #closeFile(): void {
    this.#isReleased = true;
    this.#database.close();
  }

  #release(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#read.close();
    this.#closeFile();
  }
}
