/**
 * The hash of the key space at a revision, by which members compare themselves (HashKV): CRC-32C over the bucket's name and
 * then each revision and its value, in order. To be equal on members that compacted differently far, it leaves out what
 * a compaction may have removed already; the rules are etcd's, and so are their exceptions.
 */
import type { Revision } from '@etcd/api';
import { crc32cUpdate } from '@etcd/base';
import { KEY_BUCKET, TOMBSTONE_REVISION_BYTES, writeRevision } from '../backend/index.ts';
import type { TreeIndex } from './key-index/tree-index.ts';
import { RevisionWalk } from './revision-walk.ts';
import type { Store } from './store.ts';

export interface KeyValueHash {
  readonly hash: number;
  /** What had been compacted when the hash was taken; -1: nothing. Hashes with different ones are not comparable. */
  readonly compactRevision: Revision;
  readonly revision: Revision;
}

export class KeyHasher {
  readonly #index: TreeIndex;
  readonly #compactRevision: Revision;
  readonly #revision: Revision;
  /** With nothing to be kept, nothing is left out either. */
  readonly #keepsAll: boolean;
  readonly #key = new Uint8Array(TOMBSTONE_REVISION_BYTES);
  #crc: number;

  /** The hash at `revision` after a compaction at `compactRevision`. */
  constructor(index: TreeIndex, compactRevision: Revision, revision: Revision, keepsAll: boolean) {
    this.#index = index;
    this.#compactRevision = compactRevision;
    this.#revision = revision;
    this.#keepsAll = keepsAll;
    this.#crc = crc32cUpdate(0, KEY_BUCKET.nameBytes, 0, KEY_BUCKET.nameBytes.length);
  }

  /** The hash that a member gives when asked. */
  static atRevision(index: TreeIndex, compactRevision: Revision, revision: Revision): KeyHasher {
    return new KeyHasher(index, compactRevision, revision, !index.hasLiveAt(revision));
  }

  /** The hash that a compaction at `revision` leaves behind, the one before it having been at `previous`. */
  static forCompaction(store: Store, previous: number, revision: Revision): KeyHasher {
    // A tombstone at the compacted revision itself is kept, so it counts as something to be kept.
    const keepsAll = !store.index.hasLiveAt(revision) && !hasTombstoneAt(store, revision);
    return new KeyHasher(store.index, previous, revision, keepsAll);
  }

  /**
   * Takes in the revision that the walk stands on.
   * @param isKept whether it is what its key is at the hashed revision; null: look it up if it matters.
   */
  add(walk: RevisionWalk, isKept: boolean | null = null): void {
    const { main, sub, isTombstone } = walk;
    if (main > this.#revision) return;
    if (main <= this.#compactRevision && !this.#keepsAll && !(isKept ?? this.#isKept(walk))) return;
    // Newer etcd keeps such a tombstone and older removes it: neither hashes it.
    if (main === this.#compactRevision && isTombstone) return;
    const length = writeRevision(this.#key, main, sub, isTombstone);
    this.#crc = crc32cUpdate(this.#crc, this.#key, 0, length);
    this.#crc = crc32cUpdate(this.#crc, walk.buffer, walk.start, walk.end);
  }

  result(): KeyValueHash {
    return { hash: this.#crc, compactRevision: this.#compactRevision, revision: this.#revision };
  }

  #isKept({ keyValue, buffer, main, sub }: RevisionWalk): boolean {
    const ref = this.#index.find(buffer, keyValue.keyStart, keyValue.keyEnd);
    if (ref === 0 || !this.#index.getAt(ref, this.#revision)) return false;
    return this.#index.found.main === main && this.#index.found.sub === sub;
  }
}

function hasTombstoneAt(store: Store, revision: Revision): boolean {
  const walk = new RevisionWalk(store.backend, null, revision, revision);
  walk.resume();
  while (walk.next()) if (walk.isTombstone) return true;
  return false;
}
