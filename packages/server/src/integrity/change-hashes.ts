/**
 * What this member has applied, as one hash per revision: of the changed pairs as they go to the backend, in order, and whether
 * each is a tombstone. Kept for the newest revisions only, 4 bytes each, so that any range of them can be compared with another
 * member's, from wherever the two began. Ranges are compared block by block (blocks of revisions that end at the same multiples
 * everywhere), a block that differs revision by revision.
 */
import type { Revision } from '@etcd/api';
import { assert } from '@etcd/base';
import type { RevisionLog } from '@etcd/storage/backend';
import { xxhash32 } from './xxhash32.ts';

/** Revisions that are hashed together in a comparison. */
export const BLOCK_REVISIONS = 1024;
/** Of so many revisions the hashes are known: seconds of the busiest member, hours of others. 2 MiB, touched as it fills. */
export const KEPT_REVISIONS: number = 512 * BLOCK_REVISIONS;

const TOMBSTONE_SEED = 1;
const PAIR_SEED = 2;

export class ChangeHashes {
  readonly #hashes = new Uint32Array(KEPT_REVISIONS);
  readonly #bytes = new Uint8Array(this.#hashes.buffer);
  #first = 1;
  #last = 0;

  /** The oldest revision whose hash is known; one more than {@link last} when none is. */
  get first(): number {
    return this.#first;
  }

  get last(): number {
    return this.#last;
  }

  /** Takes in the changes of `revision`, the newest in `log`. Hot: once per transaction. */
  onChanges(revision: Revision, log: RevisionLog): void {
    let hash = 0;
    const end = log.nextEntry;
    for (let entry = log.firstEntryOf(revision); entry < end; entry++) {
      log.select(entry);
      const seed = log.isTombstone ? TOMBSTONE_SEED : PAIR_SEED;
      hash = xxhash32(log.buffer, log.start, log.end, hash ^ seed);
    }
    this.#push(revision, hash);
  }

  /** Behind a gap, as after a start or a snapshot from the leader, everything begins anew. */
  #push(revision: Revision, hash: number): void {
    if (revision !== this.#last + 1) this.#first = revision;
    this.#last = revision;
    this.#hashes[revision % KEPT_REVISIONS] = hash;
    if (revision - this.#first >= KEPT_REVISIONS) this.#first = revision - KEPT_REVISIONS + 1;
  }

  isKnown(revision: Revision): boolean {
    return revision >= this.#first && revision <= this.#last;
  }

  /** The hash of one revision, which is known. */
  at(revision: Revision): number {
    assert(this.isKnown(revision), 'change hashes: revision is not known');
    return this.#hashes[revision % KEPT_REVISIONS]!;
  }

  /** Hashes of the revisions [first, last], which are known. */
  each(first: number, last: number): number[] {
    return Array.from({ length: last - first + 1 }, (_, i) => this.at(first + i));
  }

  /** One hash for each block that has revisions of [first, last], over those; all of them are known. */
  blocks(first: number, last: number): number[] {
    const hashes: number[] = [];
    for (let from = first; from <= last; ) {
      const to = Math.min(blockEnd(from), last);
      assert(this.isKnown(from) && this.isKnown(to), 'change hashes: block is not known');
      // Blocks divide the ring evenly, so none lies around its end.
      const start = (from % KEPT_REVISIONS) * Uint32Array.BYTES_PER_ELEMENT;
      const length = (to - from + 1) * Uint32Array.BYTES_PER_ELEMENT;
      hashes.push(xxhash32(this.#bytes, start, start + length, 0));
      from = to + 1;
    }
    return hashes;
  }
}

/** The last revision of the block of `revision`. */
export function blockEnd(revision: Revision): number {
  return revision - (revision % BLOCK_REVISIONS) + BLOCK_REVISIONS - 1;
}
