/** The shapes that users of the backend work with; `index.ts` tells the story around them. */
import type { Clock, Disk, Logger } from '@etcd/base';
import type { BoltError, CommitStatistics } from '@etcd/bbolt';
import type { Bucket } from './bucket.ts';

export interface BackendOptions {
  readonly disk: Disk;
  readonly path: string;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** How long a change may wait for its commit: etcd's `--backend-batch-interval`, 100 unless told. */
  readonly batchIntervalMs?: number | undefined;
  /** How many changes make a commit begin at once: etcd's `--backend-batch-limit`, 10,000 unless told. */
  readonly batchLimit?: number | undefined;
  /** Committed revisions are kept in memory up to this bound: 16 MiB unless told. */
  readonly recentBytes?: number | undefined;
  /** Above this much that is not yet durable, the backend calls itself overloaded: 128 MiB unless told. */
  readonly maxPendingBytes?: number | undefined;
  /** Bound of the page cache. */
  readonly cacheBytes?: number | undefined;
  /** See the bbolt package; `rebuilt` unless told, as etcd has it. */
  readonly freelist?: 'stored' | 'rebuilt' | undefined;
  readonly noSync?: boolean | undefined;
  /** Told of each commit, for the metrics: how long it took from the last change to the last sync, and where the time went. */
  readonly onCommit?: ((durationMs: number, statistics: CommitStatistics) => void) | undefined;
  /** A commit has failed. Nothing is committed any more: the process ends. */
  readonly onFatal: (error: BoltError) => void;
}

/** What codecs of buckets read and write through. */
export interface BackendReader {
  get(bucket: Bucket, key: Uint8Array): Uint8Array | null;
  forEach(bucket: Bucket, visit: (key: Uint8Array, value: Uint8Array) => void): void;
}

export interface BackendWriter extends BackendReader {
  createBucket(bucket: Bucket): void;
  deleteBucket(bucket: Bucket): void;
  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void;
  delete(bucket: Bucket, key: Uint8Array): void;
}

/** What a pre-commit hook may do: add to the batch that is being sealed. */
export type PreCommitHook = (batch: Pick<BackendWriter, 'put'>) => void;

/** A consistent copy of the file as a stream. */
export interface BackendSnapshot {
  readonly sizeBytes: number;
  /**
   * Reads the next `target.length` bytes, or what is left; 0 at the end. `target` belongs to the snapshot until `done`; one
   * read at a time, so the reader sets the pace.
   */
  readThen(target: Uint8Array, done: (error: BoltError | null, bytesRead: number) => void): void;
  /** Must be called: until then the pages of this state can't be reused. */
  close(): void;
}

/** A range of an array: an answer register, reused from answer to answer. */
export class Slice {
  buffer: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;

  set(buffer: Uint8Array, start: number, end: number): void {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
  }
}
