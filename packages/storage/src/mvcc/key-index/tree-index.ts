/**
 * etcd's treeIndex: from keys to the revisions at which they changed. Values are not here; a revision (main, sub) names
 * one in the backend.
 *
 * Keys are given as `buffer[start, end)`, so that a key inside a message or a page needs no view. A key that is known is
 * named by its ref, which holds until the key is compacted away. Reads at a revision may ask for any revision from the
 * last compaction on.
 *
 * Three structures share one {@link Arena}: records of keys, an ordered tree of them, a hash table of them. All of it lies
 * outside the V8 heap. The bench beside this file says what it costs.
 */
import type { Revision } from '@etcd/api';
import { assert, EMPTY_BYTES } from '@etcd/base';
import type { RevisionList } from '../../backend/revision-list.ts';
import { Arena } from './arena.ts';
import type { Found } from './key-records.ts';
import { KeyRecords } from './key-records.ts';
import { hashKey, hashOfRecord, KeyTable, UNKNOWN } from './key-table.ts';
import { KeyTree, TreeCursor } from './key-tree.ts';

export class TreeIndex {
  readonly #records: KeyRecords;
  readonly #tree: KeyTree;
  readonly #table: KeyTable;
  readonly #arena = new Arena();

  constructor() {
    this.#records = new KeyRecords(this.#arena);
    this.#tree = new KeyTree(this.#records);
    this.#table = new KeyTable(this.#records);
  }

  /** Keys that are known, deleted ones that are not yet compacted included. */
  get keyCount(): number {
    return this.#tree.count;
  }

  /** Keys that exist at the newest revision. */
  get liveCount(): number {
    return this.#tree.liveCount;
  }

  /** Bytes outside the heap, reserved for growth included. */
  get memoryBytes(): number {
    return this.#arena.slabBytes + this.#tree.memoryBytes + this.#table.memoryBytes;
  }

  /** What the last successful {@link getAt} found. */
  get found(): Found {
    return this.#records.found;
  }

  /** The key's ref, or 0 when it is not known. */
  find(buffer: Uint8Array, start: number, end: number): number {
    const ref = this.#table.find(hashKey(buffer, start, end), buffer, start, end);
    return ref === UNKNOWN ? this.#tree.find(buffer, start, end) : ref;
  }

  /** Finds the put of `ref` that is visible at `atRev`: false when the key does not exist then. Fills {@link found}. */
  getAt(ref: number, atRev: number): boolean {
    return this.#records.getAt(ref, atRev);
  }

  /**
   * Whether (main, sub) is what a compaction at `rev` leaves of the key's revisions up to `rev`: the newest of them, and
   * not a tombstone older than `rev`.
   */
  isNewestAt(ref: number, rev: Revision, main: number, sub: number): boolean {
    const records = this.#records;
    if (records.getAt(ref, rev)) return records.found.main === main && records.found.sub === sub;
    return main === rev && records.endsAt(ref, main, sub);
  }

  /** Adds a put to the key `ref`, or to a new key when `ref` is 0; returns its ref. */
  put(ref: number, buffer: Uint8Array, start: number, end: number, main: number, sub: number): number {
    if (ref === 0) return this.#create(buffer, start, end, main, sub, main, 1);
    const wasLive = this.#records.isLive(ref);
    this.#records.put(ref, main, sub);
    if (!wasLive) this.#tree.changeLive(ref, 1, main);
    return ref;
  }

  /** Adds a tombstone to a key that exists. */
  tombstone(ref: number, main: number, sub: number): void {
    this.#records.tombstone(ref, main, sub);
    this.#tree.changeLive(ref, -1, main);
  }

  /**
   * Adds a put that the backend holds, in order of revisions. The first one of a key may be the middle of its
   * generation, so it says when the key was created and which version this is.
   */
  restorePut(
    ref: number,
    buffer: Uint8Array,
    start: number,
    end: number,
    main: number,
    sub: number,
    created: number,
    version: number,
  ): number {
    if (ref !== 0) return this.put(ref, buffer, start, end, main, sub);
    return this.#create(buffer, start, end, main, sub, created, version);
  }

  /** Adds a tombstone that the backend holds. When it is all that is left of a key, its creation is unknown (0). */
  restoreTombstone(
    ref: number,
    buffer: Uint8Array,
    start: number,
    end: number,
    main: number,
    sub: number,
  ): number {
    if (ref !== 0) {
      // A second tombstone in a row says nothing new; etcd passes over it too.
      if (this.#records.isLive(ref)) this.tombstone(ref, main, sub);
      return ref;
    }
    const created = this.#records.create(buffer, start, end, main, sub, 0, 1);
    this.#records.markRestoredTombstone(created);
    this.#tree.insert(created, main);
    this.#table.insert(hashKey(buffer, start, end), created);
    return created;
  }

  /** How many keys of [`lo`, `hi`) exist at `rev`; a null `hi` means no upper bound. */
  countAt(lo: Uint8Array, hi: Uint8Array | null, rev: Revision): number {
    return this.#tree.countAt(lo, hi, rev);
  }

  /** Whether any key exists at `rev`. */
  hasLiveAt(rev: Revision): boolean {
    const cursor = new TreeCursor();
    this.#tree.seek(cursor, EMPTY_BYTES, 0, 0);
    for (let ref = this.#tree.next(cursor); ref !== 0; ref = this.#tree.next(cursor)) {
      if (this.#records.getAt(ref, rev)) return true;
    }
    return false;
  }

  /** Puts a cursor before the first key that is not less than `buffer[start, end)`. */
  seek(cursor: TreeCursor, buffer: Uint8Array, start: number, end: number): void {
    this.#tree.seek(cursor, buffer, start, end);
  }

  /** The key at the cursor, which moves on; 0 at the end. Keys must not have come or gone since the seek. */
  next(cursor: TreeCursor): number {
    return this.#tree.next(cursor);
  }

  /** Whether keys have come or gone since the cursor's seek, so that it must seek again. */
  isStale(cursor: TreeCursor): boolean {
    return cursor.treeVersion !== this.#tree.version;
  }

  /**
   * Forgets the revisions of one key that a compaction at `rev` makes unreachable, and the key itself when nothing is
   * left of it; pushes them to `dropped`. The ref is void after false.
   */
  compactKey(ref: number, rev: Revision, dropped: RevisionList): boolean {
    if (this.#records.compact(ref, rev, dropped)) return true;
    assert(this.#records.attachment(ref) === 0, 'key index: a key with a lease is compacted away');
    this.#table.remove(hashOfRecord(this.#records, ref), ref);
    this.#tree.remove(ref);
    this.#records.destroy(ref);
    return false;
  }

  // --- what is known of a key

  /** Whether the key exists at the newest revision. */
  isLive(ref: number): boolean {
    return this.#records.isLive(ref);
  }

  /** The newest revision, be it a put or a tombstone. */
  main(ref: number): number {
    return this.#records.main(ref);
  }

  sub(ref: number): number {
    return this.#records.sub(ref);
  }

  /** The revision at which the newest generation began; 0 when it is not known. */
  created(ref: number): number {
    return this.#records.created(ref);
  }

  version(ref: number): number {
    return this.#records.version(ref);
  }

  /** How many revisions are kept, tombstones included. */
  revisionCount(ref: number): number {
    return this.#records.revisionCount(ref);
  }

  keyLength(ref: number): number {
    return this.#records.keyLength(ref);
  }

  /** The array that holds the key at [{@link keyStart}, + {@link keyLength}); never to be written. */
  keyBuffer(ref: number): Uint8Array {
    return this.#records.keyBuffer(ref);
  }

  keyStart(ref: number): number {
    return this.#records.keyStart(ref);
  }

  /** A word of the index's user: see the lessor. 0 until set; must be 0 again before the key is compacted away. */
  attachment(ref: number): number {
    return this.#records.attachment(ref);
  }

  setAttachment(ref: number, value: number): void {
    this.#records.setAttachment(ref, value);
  }

  /** Throws unless every invariant of the structures holds. For tests. */
  verify(): void {
    this.#tree.verify();
    const cursor = new TreeCursor();
    this.seek(cursor, EMPTY_BYTES, 0, 0);
    for (let ref = this.next(cursor); ref !== 0; ref = this.next(cursor)) {
      const start = this.keyStart(ref);
      assert(this.find(this.keyBuffer(ref), start, start + this.keyLength(ref)) === ref, 'key index: table');
    }
  }

  #create(
    buffer: Uint8Array,
    start: number,
    end: number,
    main: number,
    sub: number,
    created: number,
    version: number,
  ): number {
    const ref = this.#records.create(buffer, start, end, main, sub, created, version);
    this.#tree.insert(ref, main);
    this.#table.insert(hashKey(buffer, start, end), ref);
    return ref;
  }
}
