/** What a snapshot holds: counts, and the hash over all that is in it. */
import { crc32cUpdate, latin1FromBytes } from '@etcd/base';
import type { CheckVisitor, Database, Element, ReadTransaction } from '@etcd/bbolt';
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

/** Steps of a check between two pauses: some megabytes. */
const STEPS_AT_ONCE = 64;

/** Yields now and then, so that it can be interrupted. Throws what is wrong with the file. */
export function* readStatus(database: Database): Generator<void, SnapshotStatus, void> {
  const read = database.beginRead();
  try {
    const walk = new StatusWalk();
    yield* checkStructure(database, read, walk);
    const version = storageVersionText(transactionReader(read));
    return { ...walk.result(), totalSizeBytes: read.sizeBytes, version };
  } finally {
    read.close();
  }
}

/** Shows a visitor everything on the way. */
export function* checkStructure(
  database: Database,
  read: ReadTransaction,
  visitor: CheckVisitor | null = null,
): Generator<void, void, void> {
  const messages: string[] = [];
  let steps = 0;
  for (const finding of database.check(read, visitor)) {
    if (finding !== null) messages.push(finding.message);
    else if (++steps % STEPS_AT_ONCE === 0) yield;
  }
  if (messages.length === 0) return;
  const head = `snapshot file integrity check failed. ${messages.length} errors found.`;
  throw new Error([head, ...messages].join('\n'));
}

class StatusWalk implements CheckVisitor {
  #entries = 0;
  #crc = 0;
  #isKeys = false;
  #revision = 0;
  /** What is wrong with an element: told where the structure is right. */
  #problem = '';
  readonly #keys = new Set<string>();
  readonly #view = new KeyValueView();

  rootElement({ bytes, keyStart, keyEnd, isBucket }: Element): void {
    const name = latin1FromBytes(bytes.subarray(keyStart, keyEnd));
    if (!isBucket) this.#problem ||= `nil bucket: ${JSON.stringify(name)}`;
    this.#isKeys = name === KEY.name;
    this.#crc = crc32cUpdate(this.#crc, bytes, keyStart, keyEnd);
  }

  element(element: Element): void {
    if (this.#problem !== '') return;
    const { bytes, keyStart, keyEnd, valueStart, valueEnd, isBucket } = element;
    this.#entries++;
    this.#crc = crc32cUpdate(this.#crc, bytes, keyStart, keyEnd);
    // Of a nested bucket, which etcd has none of, the name counts alone.
    if (!isBucket) this.#crc = crc32cUpdate(this.#crc, bytes, valueStart, valueEnd);
    if (this.#isKeys) this.#takeRevision(element);
  }

  result(): Pick<SnapshotStatus, 'hash' | 'revision' | 'totalKeys' | 'totalEntries'> {
    if (this.#problem !== '') throw new Error(this.#problem);
    return {
      hash: this.#crc,
      revision: this.#revision,
      totalKeys: this.#keys.size,
      totalEntries: this.#entries,
    };
  }

  #takeRevision({ bytes, keyStart, keyEnd, valueStart, valueEnd }: Element): void {
    if (!isRevision(bytes, keyStart, keyEnd)) {
      const key = JSON.stringify(latin1FromBytes(bytes.subarray(keyStart, keyEnd)));
      this.#problem = `cannot parse revision key: ${key}: not a revision`;
      return;
    }
    this.#revision = mainOf(bytes, keyStart);
    const view = this.#view;
    if (!view.parse(bytes, valueStart, valueEnd)) {
      this.#problem = `cannot unmarshal value of revision ${this.#revision}: not a KeyValue`;
      return;
    }
    const key = latin1FromBytes(bytes.subarray(view.keyStart, view.keyEnd));
    if (keyEnd - keyStart === TOMBSTONE_REVISION_BYTES) this.#keys.delete(key);
    else this.#keys.add(key);
  }
}
