/**
 * What the index knows of one key, as a block in an {@link Arena}: etcd's keyIndex with its generations. The newest
 * revision lies in the record itself, because nearly every question is about it; older ones hang behind it in chunks
 * of growing size, newest chunk first. A tombstone ends a generation; the first put after it moves what the record
 * says into a generation block, and begins anew.
 *
 *   units before ref:   sub, history | main | created | version
 *   at ref:             length and flags, attachment | key bytes ...
 *
 *   history -> chunk of revisions of this generation -> ... -> generation block (its last revision, created, version)
 *           -> chunks of that generation -> ... -> 0
 *
 * Separators of the tree share the part from ref on ("key blob"), so that one comparison serves both.
 *
 * Invariants: revisions grow from the end of the chain to the record; a generation other than the newest ends in a
 * tombstone; versions within a generation have no gaps.
 */
import type { Revision } from '@etcd/api';
import { assert } from '@etcd/base';
import type { RevisionList } from '../../backend/revision-list.ts';
import type { Arena } from './arena.ts';
import { SLAB_UNIT_BITS, UNIT_MASK } from './arena.ts';

/** Offsets from the ref's unit: in doubles. */
const MAIN = -3;
const CREATED = -2;
const VERSION = -1;
/** Offsets from twice the ref's unit: in 32-bit words. */
const SUB = -8;
const HISTORY = -7;
const LENGTH = 0;
const ATTACHMENT = 1;
const UNITS_BEFORE_REF = 4;
const BYTES_BEFORE_KEY = 8;
const RECORD_BYTES = UNITS_BEFORE_REF * 8 + BYTES_BEFORE_KEY;

const LENGTH_MASK = 0x0fffffff;
const TOMBSTONE_FLAG = 0x10000000;
/** Keys are limited by the request size; this is what the length word can say. */
export const MAX_KEY_BYTES: number = LENGTH_MASK;

/** Words of a history block's header: first and end entry (16 bits each), next block, capacity (0: generation block). */
const BLOCK_SPAN = 0;
const BLOCK_NEXT = 1;
const BLOCK_CAPACITY = 2;
const BLOCK_HEADER_WORDS = 4;
/** A revision: low word of main, high word of main, sub. */
const ENTRY_WORDS = 3;
const FIRST_CHUNK_CAPACITY = 2;
const MAX_CHUNK_CAPACITY = 256;
/** A generation block: header, then main, created, version as doubles, then sub. */
const GENERATION_BYTES = BLOCK_HEADER_WORDS * 4 + 3 * 8 + 8;
const GENERATION_MAIN = 2;
const GENERATION_CREATED = 3;
const GENERATION_VERSION = 4;
const GENERATION_SUB = 10;

const TWO_POW_32 = 0x1_0000_0000;

export class KeyRecords {
  readonly arena: Arena;
  /** What the last successful {@link getAt} found. Doubles, so that no read boxes a number. */
  readonly found: Found = new Found();

  constructor(arena: Arena) {
    this.arena = arena;
  }

  // --- blobs and keys

  /** A bare key, as the tree's separators are. */
  allocateBlob(buffer: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const ref = this.arena.allocate(BYTES_BEFORE_KEY + length);
    this.#writeKey(ref, buffer, start, length);
    return ref;
  }

  freeBlob(ref: number): void {
    this.arena.free(ref, BYTES_BEFORE_KEY + this.keyLength(ref));
  }

  keyLength(ref: number): number {
    return this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2 + LENGTH]! & LENGTH_MASK;
  }

  /** The slab that holds the key, together with {@link keyStart}: no view is made. */
  keyBuffer(ref: number): Uint8Array {
    return this.arena.u8[ref >>> SLAB_UNIT_BITS]!;
  }

  keyStart(ref: number): number {
    return (ref & UNIT_MASK) * 8 + BYTES_BEFORE_KEY;
  }

  /** Order of the key `buffer[start, end)` against the key at `ref`, both known to agree on the first `skip` bytes. */
  compareKey(ref: number, buffer: Uint8Array, start: number, end: number, skip: number): number {
    const slab = this.arena.u8[ref >>> SLAB_UNIT_BITS]!;
    const at = (ref & UNIT_MASK) * 8 + BYTES_BEFORE_KEY;
    const length = end - start;
    const otherLength = this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2]! & LENGTH_MASK;
    const shared = length < otherLength ? length : otherLength;
    for (let i = skip; i < shared; i++) {
      const difference = buffer[start + i]! - slab[at + i]!;
      if (difference !== 0) return difference;
    }
    return length - otherLength;
  }

  equalsKey(ref: number, buffer: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    const slabIndex = ref >>> SLAB_UNIT_BITS;
    if ((this.arena.i32[slabIndex]![(ref & UNIT_MASK) * 2]! & LENGTH_MASK) !== length) return false;
    const slab = this.arena.u8[slabIndex]!;
    const at = (ref & UNIT_MASK) * 8 + BYTES_BEFORE_KEY;
    // Keys that share a prefix differ near their end.
    for (let i = length - 1; i >= 0; i--) if (buffer[start + i] !== slab[at + i]) return false;
    return true;
  }

  // --- records

  /** A key whose only revision is a put. */
  create(
    buffer: Uint8Array,
    start: number,
    end: number,
    main: number,
    sub: number,
    created: number,
    version: number,
  ): number {
    const length = end - start;
    assert(length <= MAX_KEY_BYTES, 'key index: key too long');
    const ref = this.arena.allocate(RECORD_BYTES + length) + UNITS_BEFORE_REF;
    this.#writeKey(ref, buffer, start, length);
    const unit = ref & UNIT_MASK;
    const f64 = this.arena.f64[ref >>> SLAB_UNIT_BITS]!;
    const i32 = this.arena.i32[ref >>> SLAB_UNIT_BITS]!;
    f64[unit + MAIN] = main;
    f64[unit + CREATED] = created;
    f64[unit + VERSION] = version;
    i32[unit * 2 + SUB] = sub;
    i32[unit * 2 + HISTORY] = 0;
    return ref;
  }

  /** Frees the record and all its history. */
  destroy(ref: number): void {
    const length = this.keyLength(ref);
    for (let block = this.#history(ref); block !== 0; ) block = this.#freeBlock(block);
    this.arena.free(ref - UNITS_BEFORE_REF, RECORD_BYTES + length);
  }

  /** Whether the newest revision is a put. */
  isLive(ref: number): boolean {
    return (this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2 + LENGTH]! & TOMBSTONE_FLAG) === 0;
  }

  main(ref: number): number {
    return this.arena.f64[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) + MAIN]!;
  }

  sub(ref: number): number {
    return this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2 + SUB]!;
  }

  created(ref: number): number {
    return this.arena.f64[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) + CREATED]!;
  }

  version(ref: number): number {
    return this.arena.f64[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) + VERSION]!;
  }

  /** A word for the user of the index (the lessor's link); 0 in a new record. */
  attachment(ref: number): number {
    return this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2 + ATTACHMENT]!;
  }

  setAttachment(ref: number, value: number): void {
    this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2 + ATTACHMENT] = value;
  }

  /** Adds a put. After a tombstone it begins a generation. */
  put(ref: number, main: number, sub: number): void {
    const unit = ref & UNIT_MASK;
    const f64 = this.arena.f64[ref >>> SLAB_UNIT_BITS]!;
    const i32 = this.arena.i32[ref >>> SLAB_UNIT_BITS]!;
    this.#assertNewer(ref, main, sub);
    if ((i32[unit * 2 + LENGTH]! & TOMBSTONE_FLAG) !== 0) {
      this.#closeGeneration(ref);
      i32[unit * 2 + LENGTH] = i32[unit * 2 + LENGTH]! & ~TOMBSTONE_FLAG;
      f64[unit + CREATED] = main;
      f64[unit + VERSION] = 1;
    } else {
      this.#pushHistory(ref);
      f64[unit + VERSION] = f64[unit + VERSION]! + 1;
    }
    f64[unit + MAIN] = main;
    i32[unit * 2 + SUB] = sub;
  }

  /** Ends the generation of a live key. */
  tombstone(ref: number, main: number, sub: number): void {
    assert(this.isLive(ref), 'key index: tombstone on a deleted key');
    this.#assertNewer(ref, main, sub);
    this.#pushHistory(ref);
    const unit = ref & UNIT_MASK;
    const f64 = this.arena.f64[ref >>> SLAB_UNIT_BITS]!;
    const i32 = this.arena.i32[ref >>> SLAB_UNIT_BITS]!;
    f64[unit + VERSION] = f64[unit + VERSION]! + 1;
    f64[unit + MAIN] = main;
    i32[unit * 2 + SUB] = sub;
    i32[unit * 2 + LENGTH] = i32[unit * 2 + LENGTH]! | TOMBSTONE_FLAG;
  }

  /** Turns the only revision of a fresh record into a tombstone: what restoring finds of a key compacted up to it. */
  markRestoredTombstone(ref: number): void {
    const unit = ref & UNIT_MASK;
    const i32 = this.arena.i32[ref >>> SLAB_UNIT_BITS]!;
    i32[unit * 2 + LENGTH] = i32[unit * 2 + LENGTH]! | TOMBSTONE_FLAG;
  }

  /** Finds the put that is visible at `atRev`; false when the key does not exist then. Fills {@link found}. */
  getAt(ref: number, atRev: number): boolean {
    const unit = ref & UNIT_MASK;
    const f64 = this.arena.f64[ref >>> SLAB_UNIT_BITS]!;
    const i32 = this.arena.i32[ref >>> SLAB_UNIT_BITS]!;
    const main = f64[unit + MAIN]!;
    if (main <= atRev) {
      if ((i32[unit * 2 + LENGTH]! & TOMBSTONE_FLAG) !== 0) return false;
      this.found.set(main, i32[unit * 2 + SUB]!, f64[unit + CREATED]!, f64[unit + VERSION]!);
      return true;
    }
    return this.#getOlder(ref, atRev);
  }

  /** Whether one of the key's generations ends with the tombstone (main, sub). */
  endsAt(ref: number, main: number, sub: number): boolean {
    if (!this.isLive(ref) && this.main(ref) === main && this.sub(ref) === sub) return true;
    for (let block = this.#history(ref); block !== 0; ) {
      const unit = block & UNIT_MASK;
      const i32 = this.arena.i32[block >>> SLAB_UNIT_BITS]!;
      if (i32[unit * 2 + BLOCK_CAPACITY] === 0) {
        const generationMain = this.arena.f64[block >>> SLAB_UNIT_BITS]![unit + GENERATION_MAIN]!;
        if (generationMain === main && i32[unit * 2 + GENERATION_SUB] === sub) return true;
      }
      block = i32[unit * 2 + BLOCK_NEXT]!;
    }
    return false;
  }

  #getOlder(ref: number, atRev: number): boolean {
    let created = this.created(ref);
    let version = this.version(ref);
    for (let block = this.#history(ref); block !== 0; ) {
      const unit = block & UNIT_MASK;
      const i32 = this.arena.i32[block >>> SLAB_UNIT_BITS]!;
      const words = unit * 2;
      if (i32[words + BLOCK_CAPACITY] === 0) {
        const f64 = this.arena.f64[block >>> SLAB_UNIT_BITS]!;
        // Its last revision is a tombstone: at or after it the key does not exist.
        if (f64[unit + GENERATION_MAIN]! <= atRev) return false;
        created = f64[unit + GENERATION_CREATED]!;
        version = f64[unit + GENERATION_VERSION]!;
      } else {
        const span = i32[words + BLOCK_SPAN]!;
        const first = span & 0xffff;
        const end = span >>> 16;
        if (entryMain(i32, words, first) <= atRev) {
          const index = lastAtOrBefore(i32, words, first, end, atRev);
          const sub = i32[words + BLOCK_HEADER_WORDS + index * ENTRY_WORDS + 2]!;
          this.found.set(entryMain(i32, words, index), sub, created, version - (end - index));
          return true;
        }
        version -= end - first;
      }
      block = i32[words + BLOCK_NEXT]!;
    }
    return false;
  }

  /**
   * Forgets what a compaction at `rev` makes unreachable: every revision older than the newest at or before `rev`,
   * and that one too if it is a tombstone older than `rev`. Pushes them to `dropped`, newest first. False when nothing
   * of the key is left, in which case the caller removes the record.
   */
  compact(ref: number, rev: Revision, dropped: RevisionList): boolean {
    const main = this.main(ref);
    const history = this.#history(ref);
    if (main <= rev) {
      this.#dropFrom(history, dropped);
      this.#setHistory(ref, 0);
      if (this.isLive(ref) || main === rev) return true;
      dropped.push(main, this.sub(ref), true);
      return false;
    }
    const link = { owner: ref, isRecord: true };
    for (let block = history; block !== 0; ) {
      const words = (block & UNIT_MASK) * 2;
      const i32 = this.arena.i32[block >>> SLAB_UNIT_BITS]!;
      const next = i32[words + BLOCK_NEXT]!;
      if (i32[words + BLOCK_CAPACITY] === 0) {
        const generationMain =
          this.arena.f64[block >>> SLAB_UNIT_BITS]![(block & UNIT_MASK) + GENERATION_MAIN]!;
        if (generationMain < rev) return this.#cut(link, block, dropped);
        if (generationMain === rev) return this.#cut({ owner: block, isRecord: false }, next, dropped);
      } else {
        const span = i32[words + BLOCK_SPAN]!;
        const first = span & 0xffff;
        if (entryMain(i32, words, first) <= rev) {
          const kept = lastAtOrBefore(i32, words, first, span >>> 16, rev);
          for (let i = kept - 1; i >= first; i--) pushEntry(i32, words, i, dropped);
          i32[words + BLOCK_SPAN] = ((span >>> 16) << 16) | kept;
          return this.#cut({ owner: block, isRecord: false }, next, dropped);
        }
      }
      link.owner = block;
      link.isRecord = false;
      block = next;
    }
    return true;
  }

  /** How many revisions the record holds, tombstones included. */
  revisionCount(ref: number): number {
    let count = 1;
    for (let block = this.#history(ref); block !== 0; ) {
      const words = (block & UNIT_MASK) * 2;
      const i32 = this.arena.i32[block >>> SLAB_UNIT_BITS]!;
      const span = i32[words + BLOCK_SPAN]!;
      count += i32[words + BLOCK_CAPACITY] === 0 ? 1 : (span >>> 16) - (span & 0xffff);
      block = i32[words + BLOCK_NEXT]!;
    }
    return count;
  }

  /** Drops the chain from `block` on and makes `link` its end. */
  #cut(link: { owner: number; isRecord: boolean }, block: number, dropped: RevisionList): true {
    this.#dropFrom(block, dropped);
    if (link.isRecord) this.#setHistory(link.owner, 0);
    else this.arena.i32[link.owner >>> SLAB_UNIT_BITS]![(link.owner & UNIT_MASK) * 2 + BLOCK_NEXT] = 0;
    return true;
  }

  #dropFrom(first: number, dropped: RevisionList): void {
    for (let block = first; block !== 0; ) {
      const unit = block & UNIT_MASK;
      const i32 = this.arena.i32[block >>> SLAB_UNIT_BITS]!;
      if (i32[unit * 2 + BLOCK_CAPACITY] === 0) {
        const f64 = this.arena.f64[block >>> SLAB_UNIT_BITS]!;
        dropped.push(f64[unit + GENERATION_MAIN]!, i32[unit * 2 + GENERATION_SUB]!, true);
      } else {
        const span = i32[unit * 2 + BLOCK_SPAN]!;
        for (let i = (span >>> 16) - 1; i >= (span & 0xffff); i--) pushEntry(i32, unit * 2, i, dropped);
      }
      block = this.#freeBlock(block);
    }
  }

  /** Returns the block behind it. */
  #freeBlock(block: number): number {
    const words = (block & UNIT_MASK) * 2;
    const i32 = this.arena.i32[block >>> SLAB_UNIT_BITS]!;
    const next = i32[words + BLOCK_NEXT]!;
    const capacity = i32[words + BLOCK_CAPACITY]!;
    this.arena.free(block, capacity === 0 ? GENERATION_BYTES : chunkBytes(capacity));
    return next;
  }

  /** Moves the record's newest revision to the chain, making room for a newer one of the same generation. */
  #pushHistory(ref: number): void {
    const unit = ref & UNIT_MASK;
    const main = this.arena.f64[ref >>> SLAB_UNIT_BITS]![unit + MAIN]!;
    const sub = this.arena.i32[ref >>> SLAB_UNIT_BITS]![unit * 2 + SUB]!;
    const head = this.#chunkWithRoom(ref);
    const words = (head & UNIT_MASK) * 2;
    const i32 = this.arena.i32[head >>> SLAB_UNIT_BITS]!;
    const span = i32[words + BLOCK_SPAN]!;
    const at = words + BLOCK_HEADER_WORDS + (span >>> 16) * ENTRY_WORDS;
    i32[at] = main | 0;
    i32[at + 1] = Math.floor(main / TWO_POW_32);
    i32[at + 2] = sub;
    i32[words + BLOCK_SPAN] = span + 0x10000;
  }

  #chunkWithRoom(ref: number): number {
    const head = this.#history(ref);
    let capacity = 0;
    if (head !== 0) {
      const words = (head & UNIT_MASK) * 2;
      const i32 = this.arena.i32[head >>> SLAB_UNIT_BITS]!;
      capacity = i32[words + BLOCK_CAPACITY]!;
      if (i32[words + BLOCK_SPAN]! >>> 16 < capacity) return head;
    }
    const grown = capacity === 0 ? FIRST_CHUNK_CAPACITY : Math.min(capacity * 2, MAX_CHUNK_CAPACITY);
    return this.#linkBlock(ref, grown, chunkBytes(grown));
  }

  /** Moves the closed generation that the record describes into a block of its own. */
  #closeGeneration(ref: number): void {
    const main = this.main(ref);
    const created = this.created(ref);
    const version = this.version(ref);
    const sub = this.sub(ref);
    const block = this.#linkBlock(ref, 0, GENERATION_BYTES);
    const unit = block & UNIT_MASK;
    const f64 = this.arena.f64[block >>> SLAB_UNIT_BITS]!;
    f64[unit + GENERATION_MAIN] = main;
    f64[unit + GENERATION_CREATED] = created;
    f64[unit + GENERATION_VERSION] = version;
    this.arena.i32[block >>> SLAB_UNIT_BITS]![unit * 2 + GENERATION_SUB] = sub;
  }

  #linkBlock(ref: number, capacity: number, bytes: number): number {
    const block = this.arena.allocate(bytes);
    const words = (block & UNIT_MASK) * 2;
    const i32 = this.arena.i32[block >>> SLAB_UNIT_BITS]!;
    i32[words + BLOCK_SPAN] = 0;
    i32[words + BLOCK_NEXT] = this.#history(ref);
    i32[words + BLOCK_CAPACITY] = capacity;
    this.#setHistory(ref, block);
    return block;
  }

  #history(ref: number): number {
    return this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2 + HISTORY]!;
  }

  #setHistory(ref: number, block: number): void {
    this.arena.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2 + HISTORY] = block;
  }

  #writeKey(ref: number, buffer: Uint8Array, start: number, length: number): void {
    const slab = ref >>> SLAB_UNIT_BITS;
    const unit = ref & UNIT_MASK;
    this.arena.i32[slab]![unit * 2 + LENGTH] = length;
    this.arena.i32[slab]![unit * 2 + ATTACHMENT] = 0;
    const u8 = this.arena.u8[slab]!;
    const at = unit * 8 + BYTES_BEFORE_KEY;
    for (let i = 0; i < length; i++) u8[at + i] = buffer[start + i]!;
  }

  #assertNewer(ref: number, main: number, sub: number): void {
    const newest = this.main(ref);
    assert(main > newest || (main === newest && sub > this.sub(ref)), 'key index: revision does not grow');
  }
}

/** Answer registers of {@link KeyRecords.getAt}: revision (main, sub), revision of creation, version. */
export class Found {
  readonly #values = new Float64Array(4);

  set(main: number, sub: number, created: number, version: number): void {
    const values = this.#values;
    values[0] = main;
    values[1] = sub;
    values[2] = created;
    values[3] = version;
  }

  get main(): number {
    return this.#values[0]!;
  }

  get sub(): number {
    return this.#values[1]!;
  }

  get created(): number {
    return this.#values[2]!;
  }

  get version(): number {
    return this.#values[3]!;
  }
}

function chunkBytes(capacity: number): number {
  return (BLOCK_HEADER_WORDS + capacity * ENTRY_WORDS) * 4;
}

function entryMain(i32: Int32Array, words: number, index: number): number {
  const at = words + BLOCK_HEADER_WORDS + index * ENTRY_WORDS;
  return i32[at + 1]! * TWO_POW_32 + (i32[at]! >>> 0);
}

function pushEntry(i32: Int32Array, words: number, index: number, dropped: RevisionList): void {
  const sub = i32[words + BLOCK_HEADER_WORDS + index * ENTRY_WORDS + 2]!;
  dropped.push(entryMain(i32, words, index), sub, false);
}

/** The last entry of a chunk with main <= `rev`; the first one is known to be. */
function lastAtOrBefore(i32: Int32Array, words: number, first: number, end: number, rev: Revision): number {
  let lo = first;
  let hi = end;
  while (hi - lo > 1) {
    const middle = (lo + hi) >>> 1;
    if (entryMain(i32, words, middle) <= rev) lo = middle;
    else hi = middle;
  }
  return lo;
}
