/** What a snapshot holds: counts, and the hash over all that is in it. */
import { crc32cUpdate, latin1FromBytes } from '@etcd/base';
import type { Cursor, Database, ReadTransaction } from '@etcd/bbolt';
import { isRevision, mainOf, TOMBSTONE_REVISION_BYTES, transactionReader } from '@etcd/storage/backend';
import { KeyValueView } from '@etcd/storage/mvcc';
import { KEY, storageVersionText } from '@etcd/storage/schema';

export interface SnapshotStatus {
  readonly hash: number;
  readonly revision: number;
  /** Keys that are there at the newest revision. */
  readonly totalKeys: number;
  /** Everything in all buckets. */
  readonly totalEntries: number;
  readonly totalSizeBytes: number;
  /** Empty where the file does not say. */
  readonly version: string;
}

/** A part of the work on the way, in bytes. */
const STEP_BYTES = 4 << 20;

/** Yields how many bytes have been read of about {@link SnapshotStatus.totalSizeBytes}. Throws what is wrong with the file. */
export function* readStatus(database: Database): Generator<number, SnapshotStatus, void> {
  const read = database.beginRead();
  try {
    yield* checkStructure(database, read);
    const walk = new StatusWalk();
    const buckets = read.root.cursor();
    for (let on = buckets.first(); on; on = buckets.next()) {
      const name = buckets.key();
      const bucket = read.root.bucket(name);
      if (bucket === null) throw new Error(`nil bucket: ${JSON.stringify(latin1FromBytes(name))}`);
      walk.beginBucket(name);
      const cursor = bucket.cursor();
      for (let found = cursor.first(); found; found = cursor.next()) {
        if (walk.take(cursor)) yield walk.byteCount;
      }
    }
    const version = storageVersionText(transactionReader(read));
    return { ...walk.result(), totalSizeBytes: read.sizeBytes, version };
  } finally {
    read.close();
  }
}

export function* checkStructure(database: Database, read: ReadTransaction): Generator<number, void, void> {
  const messages: string[] = [];
  let pages = 0;
  for (const finding of database.check(read)) {
    if (finding !== null) messages.push(finding.message);
    else if (++pages % 1024 === 0) yield 0;
  }
  if (messages.length === 0) return;
  const head = `snapshot file integrity check failed. ${messages.length} errors found.`;
  throw new Error([head, ...messages].join('\n'));
}

class StatusWalk {
  byteCount = 0;
  #entries = 0;
  #crc = 0;
  #isKeys = false;
  #revision = 0;
  #reported = 0;
  readonly #keys = new Set<string>();
  readonly #view = new KeyValueView();

  beginBucket(name: Uint8Array): void {
    this.#isKeys = latin1FromBytes(name) === KEY.name;
    this.#crc = crc32cUpdate(this.#crc, name, 0, name.length);
  }

  /** Takes in what the cursor stands on; true once in a while, for a pause. */
  take(cursor: Cursor): boolean {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
    this.#entries++;
    this.#crc = crc32cUpdate(this.#crc, bytes, keyStart, keyEnd);
    // Of a nested bucket, which etcd has none of, the name counts alone.
    if (!cursor.isBucket) this.#crc = crc32cUpdate(this.#crc, bytes, valueStart, valueEnd);
    if (this.#isKeys) this.#takeRevision(cursor);
    this.byteCount += valueEnd - keyStart;
    if (this.byteCount - this.#reported < STEP_BYTES) return false;
    this.#reported = this.byteCount;
    return true;
  }

  result(): Pick<SnapshotStatus, 'hash' | 'revision' | 'totalKeys' | 'totalEntries'> {
    return {
      hash: this.#crc,
      revision: this.#revision,
      totalKeys: this.#keys.size,
      totalEntries: this.#entries,
    };
  }

  #takeRevision({ bytes, keyStart, keyEnd, valueStart, valueEnd }: Cursor): void {
    if (!isRevision(bytes, keyStart, keyEnd)) {
      const key = JSON.stringify(latin1FromBytes(bytes.subarray(keyStart, keyEnd)));
      throw new Error(`cannot parse revision key: ${key}: not a revision`);
    }
    this.#revision = mainOf(bytes, keyStart);
    const view = this.#view;
    if (!view.parse(bytes, valueStart, valueEnd)) {
      throw new Error(`cannot unmarshal value of revision ${this.#revision}: not a KeyValue`);
    }
    const key = latin1FromBytes(bytes.subarray(view.keyStart, view.keyEnd));
    if (keyEnd - keyStart === TOMBSTONE_REVISION_BYTES) this.#keys.delete(key);
    else this.#keys.add(key);
  }
}
