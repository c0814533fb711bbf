/** What the batches that are not yet in the file say of one bucket: the newest change of a key hides older ones. */
import { compareRange, latin1FromBytes } from '@etcd/base';
import type { Cursor } from '@etcd/bbolt';
import type { Bucket } from './bucket.ts';
import type { BucketChanges, BucketEntry, WriteBatch } from './write-batch.ts';

export function overlay(bucket: Bucket, gathering: WriteBatch, committing: WriteBatch | null): Overlay {
  const newest = gathering.buckets.get(bucket);
  const older = newest?.isDropped ? undefined : committing?.buckets.get(bucket);
  return new Overlay(newest, older);
}

class Overlay {
  readonly #newest: BucketChanges | undefined;
  readonly #older: BucketChanges | undefined;

  constructor(newest: BucketChanges | undefined, older: BucketChanges | undefined) {
    this.#newest = newest;
    this.#older = older;
  }

  /** The bucket was removed: nothing of it that is in the file counts. */
  get hidesFile(): boolean {
    return this.#newest?.isDropped === true || this.#older?.isDropped === true;
  }

  get(key: Uint8Array): BucketEntry | undefined {
    if (this.#newest === undefined && this.#older === undefined) return undefined;
    const name = latin1FromBytes(key);
    return this.#newest?.entries.get(name) ?? this.#older?.entries.get(name);
  }

  /** All changes in order of keys, deletions included. */
  sorted(): BucketEntry[] {
    const merged = new Map(this.#older?.entries ?? []);
    for (const [name, entry] of this.#newest?.entries ?? []) merged.set(name, entry);
    return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  }

  /** Order of the element at the cursor against an entry. */
  compare(cursor: Cursor, entry: BucketEntry): number {
    return compareRange(cursor.bytes, cursor.keyStart, cursor.keyEnd, entry.key, 0, entry.key.length);
  }
}
