/**
 * Builds the key index from the `key` bucket: every revision in order, each key's current lease, and which compaction was
 * under way. In slices, and without keeping anything but what the index keeps.
 */
import type { Revision } from '@etcd/api';
import { assert, type Logger } from '@etcd/base';
import type { Cursor, ReadTransaction } from '@etcd/bbolt';
import { type BackendReader, isRevision, mainOf, subOf, TOMBSTONE_REVISION_BYTES } from '../backend/index.ts';
import { KEY, readFinishedCompact, readScheduledCompact } from '../schema/index.ts';
import type { TreeIndex } from './key-index/tree-index.ts';
import { KeyValueView } from './key-value.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

/** The file's revisions can't be read. */
export class RestoreError extends Error {
  override readonly name = 'RestoreError';
  readonly code = 'corrupt';
}

/** What revisions are read from. */
export interface RevisionSource extends BackendReader {
  beginRead(): ReadTransaction;
}

export class Restorer {
  error: RestoreError | null = null;
  /** The newest revision, at least that of the last compaction. Known at the end. */
  revision = 1;
  /** What the last finished compaction compacted; -1: there was none. */
  readonly compactRevision: Revision;
  /** What the last compaction that was begun should compact; 0: none. */
  readonly scheduled: number;
  /** A revision that the last compaction should have removed is still there, so that the next one has to look for more. */
  hasGarbage = false;
  /** Revisions read. */
  count = 0;
  readonly #index: TreeIndex;
  readonly #leases: LeaseKeeper;
  readonly #logger: Logger;
  readonly #read: ReadTransaction;
  readonly #cursor: Cursor | null;
  readonly #view = new KeyValueView();
  #isOn: boolean;
  /** Keys whose newest revision so far names a lease that is not there: an older one may, for its lease has ended since. */
  readonly #withoutLease = new Set<number>();

  constructor(backend: RevisionSource, index: TreeIndex, leases: LeaseKeeper, logger: Logger) {
    this.#index = index;
    this.#leases = leases;
    this.#logger = logger;
    this.compactRevision = readFinishedCompact(backend) ?? -1;
    this.scheduled = readScheduledCompact(backend) ?? 0;
    this.#read = backend.beginRead();
    this.#cursor = this.#read.bucket(KEY.nameBytes)?.cursor() ?? null;
    this.#isOn = this.#cursor?.first() ?? false;
  }

  /** Reads so many revisions; true at the end, or after an {@link error}. */
  step(revisions: number): boolean {
    for (let left = revisions; left > 0 && this.#isOn; left--) {
      if (!this.#take(this.#cursor!)) break;
      this.#isOn = this.#cursor!.next();
    }
    if (this.#isOn && this.error === null) return false;
    this.#finish();
    return true;
  }

  /** Gives up in the middle. */
  close(): void {
    this.#read.close();
  }

  #finish(): void {
    this.#read.close();
    // Compaction may have removed the newest revisions, if they were tombstones; they have been used all the same.
    this.revision = Math.max(this.revision, this.compactRevision, this.scheduled);
    const keys = this.#withoutLease.size;
    if (keys > 0) this.#logger.error('failed to attach a lease', { keys, error: 'lease not found' });
  }

  #take(cursor: Cursor): boolean {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
    if (!isRevision(bytes, keyStart, keyEnd)) return this.#fail('a key is not a revision');
    const main = mainOf(bytes, keyStart);
    const sub = subOf(bytes, keyStart);
    const view = this.#view;
    if (!view.parse(bytes, valueStart, valueEnd)) {
      return this.#fail(`the value of revision ${main}.${sub} is not a KeyValue`);
    }
    const isTombstone = keyEnd - keyStart === TOMBSTONE_REVISION_BYTES;
    const known = this.#index.find(bytes, view.keyStart, view.keyEnd);
    if (known !== 0 && main <= this.compactRevision) this.hasGarbage = true;
    if (isTombstone) this.#tombstone(bytes, known, main, sub);
    else this.#put(bytes, known, main, sub);
    this.revision = main;
    this.count++;
    return true;
  }

  #put(bytes: Uint8Array, known: number, main: number, sub: number): void {
    const { keyStart, keyEnd, createRevision, version } = this.#view;
    const index = this.#index;
    const ref = index.restorePut(known, bytes, keyStart, keyEnd, main, sub, createRevision, version);
    const { lease } = this.#view;
    if (lease !== 0n && !this.#leases.has(lease)) this.#withoutLease.add(ref);
    else this.#withoutLease.delete(ref);
    if (lease === 0n && index.attachment(ref) === 0) return;
    this.#leases.setLease(ref, lease);
  }

  #tombstone(bytes: Uint8Array, known: number, main: number, sub: number): void {
    const { keyStart, keyEnd } = this.#view;
    const ref = this.#index.restoreTombstone(known, bytes, keyStart, keyEnd, main, sub);
    this.#withoutLease.delete(ref);
    if (this.#index.attachment(ref) !== 0) this.#leases.setLease(ref, 0n);
  }

  #fail(problem: string): false {
    assert(this.error === null, 'restore: failed twice');
    this.error = new RestoreError(`bucket key: ${problem}`);
    return false;
  }
}
