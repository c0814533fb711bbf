/** The hash of everything in a backend file, taken in slices. */
import { type Clock, crc32cUpdate, latin1FromBytes } from '@etcd/base';
import type { Cursor, ReadTransaction } from '@etcd/bbolt';

/** Bytes hashed in one slice: a few milliseconds. */
const SLICE_BYTES = 1024 * 1024;
const SLICE_KEYS = 10_000;

/** What is hashed: a backend. */
interface HashedFile {
  readonly isOpen: boolean;
  beginRead(): ReadTransaction;
  inTurn(turn: () => void): void;
}

/** Walks the buckets of the newest commit, and calls `done` with their CRC-32C; not if the backend is closed before. */
export function hashThen(
  file: HashedFile,
  clock: Clock,
  isIgnored: (bucketName: string, key: Uint8Array) => boolean,
  done: (hash: number) => void,
): void {
  const transaction = file.beginRead();
  const walk = new HashWalk(transaction, isIgnored);
  const slice = (): void => {
    if (!file.isOpen) return;
    if (!walk.step()) return clock.defer(next);
    transaction.close();
    done(walk.hash);
  };
  const next = (): void => file.inTurn(slice);
  next();
}

class HashWalk {
  hash = 0;
  readonly #transaction: ReadTransaction;
  readonly #isIgnored: (bucketName: string, key: Uint8Array) => boolean;
  readonly #buckets: Cursor;
  #bucketName = '';
  #keys: Cursor | null = null;

  constructor(transaction: ReadTransaction, isIgnored: (bucketName: string, key: Uint8Array) => boolean) {
    this.#transaction = transaction;
    this.#isIgnored = isIgnored;
    this.#buckets = transaction.root.cursor();
  }

  /** Hashes a slice; true at the end. */
  step(): boolean {
    let bytes = 0;
    for (let keys = 0; keys < SLICE_KEYS && bytes < SLICE_BYTES; keys++) {
      while (this.#keys === null) if (!this.#nextBucket()) return true;
      const cursor: Cursor = this.#keys;
      // The ignore list is about few, small keys; views are made for its bucket like for any other.
      if (!this.#isIgnored(this.#bucketName, cursor.key())) {
        this.hash = crc32cUpdate(this.hash, cursor.bytes, cursor.keyStart, cursor.keyEnd);
        this.hash = crc32cUpdate(this.hash, cursor.bytes, cursor.valueStart, cursor.valueEnd);
        bytes += cursor.valueEnd - cursor.valueStart;
      }
      if (!cursor.next()) this.#keys = null;
    }
    return false;
  }

  /** Enters the next bucket, if it has keys; false when there is none. */
  #nextBucket(): boolean {
    const isFirst = this.#bucketName === '';
    if (isFirst ? !this.#buckets.first() : !this.#buckets.next()) return false;
    const name = this.#buckets.key();
    this.#bucketName = latin1FromBytes(name);
    this.hash = crc32cUpdate(this.hash, name, 0, name.length);
    const cursor = this.#transaction.bucket(name)?.cursor() ?? null;
    this.#keys = cursor?.first() ? cursor : null;
    return true;
  }
}
