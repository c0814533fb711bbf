/**
 * The changes that one commit will make: what has been put and deleted in each bucket, the newest change of a key only.
 * Revisions are not in here but in the log; a batch knows up to which one it reaches, and which old ones it deletes.
 */
import { copyBytes, latin1FromBytes } from '@etcd/base';
import type { BoltError } from '@etcd/bbolt';
import type { Bucket } from './bucket.ts';
import { RevisionList } from './revision-list.ts';

/** Called when the batch is durable, or will never be. */
export type CommitCallback = (error: BoltError | null) => void;

/** What is kept of an entry beside its bytes, for the count of pending bytes. */
const ENTRY_OVERHEAD_BYTES = 64;

/** Changes of one bucket. */
export class BucketChanges {
  readonly bucket: Bucket;
  /** By key, a latin1 string so that it has a Map's equality; null where it is deleted. */
  readonly entries = new Map<string, BucketEntry>();
  /** The bucket is removed before the entries apply. */
  isDropped = false;
  /** The bucket exists afterwards. */
  isCreated = false;

  constructor(bucket: Bucket) {
    this.bucket = bucket;
  }
}

export interface BucketEntry {
  readonly key: Uint8Array;
  /** null: deleted. */
  readonly value: Uint8Array | null;
}

export class WriteBatch {
  readonly buckets = new Map<Bucket, BucketChanges>();
  readonly deletedRevisions = new RevisionList();
  readonly callbacks: CommitCallback[] = [];
  /** Puts and deletes, what etcd calls pending. */
  operationCount = 0;
  /** Memory of the bucket changes, roughly. */
  bytes = 0;

  get isEmpty(): boolean {
    return this.operationCount === 0;
  }

  changesOf(bucket: Bucket): BucketChanges {
    let changes = this.buckets.get(bucket);
    if (changes === undefined) {
      changes = new BucketChanges(bucket);
      this.buckets.set(bucket, changes);
    }
    return changes;
  }

  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    this.#set(bucket, { key: copyBytes(key), value: copyBytes(value) });
    this.bytes += key.length + value.length + ENTRY_OVERHEAD_BYTES;
  }

  delete(bucket: Bucket, key: Uint8Array): void {
    this.#set(bucket, { key: copyBytes(key), value: null });
    this.bytes += key.length + ENTRY_OVERHEAD_BYTES;
  }

  createBucket(bucket: Bucket): void {
    this.operationCount++;
    this.changesOf(bucket).isCreated = true;
  }

  deleteBucket(bucket: Bucket): void {
    this.operationCount++;
    const changes = this.changesOf(bucket);
    changes.entries.clear();
    changes.isDropped = true;
    changes.isCreated = false;
  }

  #set(bucket: Bucket, entry: BucketEntry): void {
    this.operationCount++;
    const changes = this.changesOf(bucket);
    if (entry.value !== null) changes.isCreated = true;
    changes.entries.set(latin1FromBytes(entry.key), entry);
  }
}
