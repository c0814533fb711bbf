/**
 * Puts a sealed batch into a write transaction of the file, a slice at a time, so that a large batch does not stop the
 * event loop: first the changes of buckets, then new revisions in their order, then deleted ones.
 */
import type { WritableBucket, WriteTransaction } from '@etcd/bbolt';
import { KEY_BUCKET } from './bucket.ts';
import { REVISION_BYTES, TOMBSTONE_REVISION_BYTES, writeRevision } from './revision.ts';
import type { RevisionLog } from './revision-log.ts';
import type { BucketChanges, WriteBatch } from './write-batch.ts';

/** Changes put in one slice: a millisecond or two. */
const SLICE_OPERATIONS = 1000;
/** Bytes of values put in one slice. */
const SLICE_BYTES = 1024 * 1024;
/** Revisions only ever come at the end, so pages need no room for keys in between: etcd's choice. */
const KEY_FILL_PERCENT = 0.9;

export class CommitFeed {
  readonly transaction: WriteTransaction;
  /** The newest revision of the batch. */
  readonly toMain: number;
  readonly #batch: WriteBatch;
  readonly #log: RevisionLog;
  readonly #changes: readonly BucketChanges[];
  readonly #keyBytes = new Uint8Array(TOMBSTONE_REVISION_BYTES);
  readonly #putKey = this.#keyBytes.subarray(0, REVISION_BYTES);
  #nextChange = 0;
  /** Invariant: the next entry belongs to this main revision or begins the one behind it. */
  #main: number;
  #nextEntry: number;
  readonly #endEntry: number;
  #nextDeleted = 0;

  /** @param fromMain the oldest revision of the batch; the newest is the log's newest now. */
  constructor(transaction: WriteTransaction, batch: WriteBatch, log: RevisionLog, fromMain: number) {
    this.transaction = transaction;
    this.#batch = batch;
    this.#log = log;
    this.#changes = [...batch.buckets.values()];
    this.#main = fromMain;
    this.toMain = log.lastMain;
    this.#nextEntry = fromMain > this.toMain ? log.nextEntry : log.firstEntryOf(fromMain);
    this.#endEntry = log.nextEntry;
  }

  /** Works off a slice; true when nothing is left. */
  step(): boolean {
    let left = SLICE_OPERATIONS;
    while (this.#nextChange < this.#changes.length) {
      if (left <= 0) return false;
      left -= this.#applyChanges(this.#changes[this.#nextChange++]!);
    }
    if (this.#isDone()) return true;
    const bucket = this.transaction.createBucketIfNotExists(KEY_BUCKET.nameBytes);
    left = this.#putRevisions(bucket, left);
    this.#deleteRevisions(bucket, left);
    return this.#isDone();
  }

  #isDone(): boolean {
    return this.#nextEntry === this.#endEntry && this.#nextDeleted === this.#batch.deletedRevisions.count;
  }

  /** All changes of one bucket; etcd's other buckets are small. Returns how many. */
  #applyChanges(changes: BucketChanges): number {
    const { bucket, entries } = changes;
    const exists = this.transaction.bucket(bucket.nameBytes) !== null;
    if (changes.isDropped && exists) this.transaction.deleteBucket(bucket.nameBytes);
    const stays = changes.isCreated || (exists && !changes.isDropped);
    if (!stays) return 1;
    const target = this.transaction.createBucketIfNotExists(bucket.nameBytes);
    for (const { key, value } of entries.values()) {
      if (value === null) target.delete(key);
      else target.put(key, value);
    }
    return 1 + entries.size;
  }

  /** Returns how much of `limit` is left. */
  #putRevisions(bucket: WritableBucket, limit: number): number {
    const log = this.#log;
    let left = limit;
    let bytes = 0;
    for (; this.#nextEntry < this.#endEntry && left > 0 && bytes < SLICE_BYTES; this.#nextEntry++, left--) {
      if (this.#nextEntry === log.firstEntryAfter(this.#main)) this.#main++;
      log.select(this.#nextEntry);
      const sub = this.#nextEntry - log.firstEntryOf(this.#main);
      const length = writeRevision(this.#keyBytes, this.#main, sub, log.isTombstone);
      const key = length === REVISION_BYTES ? this.#putKey : this.#keyBytes;
      // The log has the key before the value, and keeps both until they are committed.
      bucket.putLent(key, log.buffer, log.start - length, log.end - log.start);
      // Not before the first put: splitting the last page off a bucket that is still inline, and unchanged, loses what is in
      // it. See the test of a long value behind short ones.
      bucket.fillPercent = KEY_FILL_PERCENT;
      bytes += log.end - log.start;
    }
    return this.#nextEntry === this.#endEntry ? left : 0;
  }

  #deleteRevisions(bucket: WritableBucket, limit: number): void {
    const deleted = this.#batch.deletedRevisions;
    for (let left = limit; this.#nextDeleted < deleted.count && left > 0; this.#nextDeleted++, left--) {
      const at = this.#nextDeleted;
      const length = writeRevision(
        this.#keyBytes,
        deleted.main(at),
        deleted.sub(at),
        deleted.isTombstone(at),
      );
      bucket.delete(length === REVISION_BYTES ? this.#putKey : this.#keyBytes);
    }
  }
}
