/**
 * From a key to its record in about one cache miss: an extendible hash table beside the ordered tree. The directory
 * maps the top bits of a key's hash to a segment of 4096 slots; a full segment splits in two, so the table grows by a
 * third of a millisecond at a time and never as a whole.
 *
 * A slot is a ref and, in a parallel array, one byte of the hash: most probes that meet another key are settled
 * without touching its record.
 *
 * The table is an accelerator, not the authority. Keys chosen to collide fill a segment that no split can relieve;
 * what finds no room is left out and the segment marked, and a miss in a marked segment means "ask the tree". So the
 * worst that chosen keys can do is cost a tree search.
 */
import { assert } from '@etcd/base';
import type { KeyRecords } from './key-records.ts';

const SEGMENT_BITS = 12;
const SEGMENT_SLOTS = 1 << SEGMENT_BITS;
const SLOT_MASK = SEGMENT_SLOTS - 1;
/** Used and deleted slots together, at which a segment splits or is cleaned. */
const MAX_FILLED = Math.floor(SEGMENT_SLOTS * 0.85);
/** Chance makes few runs this long; what would lie farther from its slot is left out. */
const MAX_PROBES = 128;
/** Segments that share two arrays. */
const GROUP_BITS = 6;
const GROUP_MASK = (1 << GROUP_BITS) - 1;
/** The bits of a hash that name the slot and the tag are not used for the directory. */
const MAX_DEPTH = 14;

const EMPTY = 0;
const DELETED = 1;

/** What {@link KeyTable.find} answers when only the tree can tell. */
export const UNKNOWN = -1;

export class KeyTable {
  readonly #records: KeyRecords;
  /** Index: the top `depth` bits of the hash; value: a segment. Its size doubles as segments split. */
  #directory = new Int32Array(1);
  #depth = 0;
  readonly #refs: Int32Array[] = [];
  readonly #tags: Uint8Array[] = [];
  /** By segment. */
  #localDepth = new Uint8Array(64);
  #filled = new Int32Array(64);
  #live = new Int32Array(64);
  #overflowed = new Uint8Array(64);
  #segmentCount = 0;
  readonly #scratchRefs = new Int32Array(SEGMENT_SLOTS);
  readonly #scratchTags = new Uint8Array(SEGMENT_SLOTS);

  constructor(records: KeyRecords) {
    this.#records = records;
    this.#addSegment(0);
  }

  /** Bytes of the slots and the directory. */
  get memoryBytes(): number {
    return this.#refs.length * ((SEGMENT_SLOTS * 5) << GROUP_BITS) + this.#directory.byteLength;
  }

  /** The record of the key, 0 when there is none, {@link UNKNOWN} when the tree must be asked. */
  find(hash: number, buffer: Uint8Array, start: number, end: number): number {
    const segment = this.#directory[this.#directoryIndex(hash)]!;
    const refs = this.#refs[segment >>> GROUP_BITS]!;
    const tags = this.#tags[segment >>> GROUP_BITS]!;
    const base = (segment & GROUP_MASK) << SEGMENT_BITS;
    const tag = tagOf(hash);
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const slot = (hash + probe) & SLOT_MASK;
      const found = tags[base + slot]!;
      if (found === tag) {
        const ref = refs[base + slot]!;
        if (this.#records.equalsKey(ref, buffer, start, end)) return ref;
      } else if (found === EMPTY) {
        break;
      }
    }
    return this.#overflowed[segment] === 0 ? 0 : UNKNOWN;
  }

  /** Adds a record whose key is not in the table. */
  insert(hash: number, ref: number): void {
    for (;;) {
      const segment = this.#directory[this.#directoryIndex(hash)]!;
      if (this.#filled[segment]! < MAX_FILLED) return this.#place(segment, hash, ref);
      if (!this.#makeRoom(segment)) {
        this.#overflowed[segment] = 1;
        return;
      }
    }
  }

  /** Removes a record, if it is in the table at all. */
  remove(hash: number, ref: number): void {
    const segment = this.#directory[this.#directoryIndex(hash)]!;
    const refs = this.#refs[segment >>> GROUP_BITS]!;
    const tags = this.#tags[segment >>> GROUP_BITS]!;
    const base = (segment & GROUP_MASK) << SEGMENT_BITS;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const slot = (hash + probe) & SLOT_MASK;
      const tag = tags[base + slot]!;
      if (tag === EMPTY) break;
      if (tag !== DELETED && refs[base + slot] === ref) {
        // A slot before a gap can become a gap itself: no probe has to pass it.
        const isLast = tags[base + ((slot + 1) & SLOT_MASK)] === EMPTY;
        tags[base + slot] = isLast ? EMPTY : DELETED;
        if (isLast) this.#filled[segment]!--;
        this.#live[segment]!--;
        return;
      }
    }
    assert(this.#overflowed[segment] !== 0, 'key table: record to remove is missing');
  }

  // A shift by 32 would be a shift by 0, so depth 0 is taken apart.
  #directoryIndex(hash: number): number {
    return this.#depth === 0 ? 0 : hash >>> (32 - this.#depth);
  }

  #place(segment: number, hash: number, ref: number): void {
    const tags = this.#tags[segment >>> GROUP_BITS]!;
    const base = (segment & GROUP_MASK) << SEGMENT_BITS;
    let slot = hash & SLOT_MASK;
    for (let probe = 1; tags[base + slot]! > DELETED; probe++) {
      if (probe === MAX_PROBES) {
        this.#overflowed[segment] = 1;
        return;
      }
      slot = (hash + probe) & SLOT_MASK;
    }
    if (tags[base + slot] === EMPTY) this.#filled[segment]!++;
    tags[base + slot] = tagOf(hash);
    this.#refs[segment >>> GROUP_BITS]![base + slot] = ref;
    this.#live[segment]!++;
  }

  /** Cleans or splits a full segment; false when neither helps. */
  #makeRoom(segment: number): boolean {
    if (this.#live[segment]! < MAX_FILLED / 2) {
      this.#redistribute(segment, segment);
      return true;
    }
    const depth = this.#localDepth[segment]!;
    if (depth === MAX_DEPTH) {
      const before = this.#filled[segment]!;
      if (this.#live[segment] === before) return false;
      this.#redistribute(segment, segment);
      return true;
    }
    if (depth === this.#depth) this.#doubleDirectory();
    const sibling = this.#addSegment(depth + 1);
    this.#localDepth[segment] = depth + 1;
    this.#overflowed[sibling] = this.#overflowed[segment]!;
    // The entries that share the segment are adjacent; the upper half of them moves to the sibling.
    const share = 1 << (this.#depth - depth);
    const first = this.#directory.indexOf(segment);
    this.#directory.fill(sibling, first + share / 2, first + share);
    this.#redistribute(segment, sibling);
    return true;
  }

  /** Empties `segment` and places its records anew, in it or in `sibling`, as the directory now says. */
  #redistribute(segment: number, sibling: number): void {
    const tags = this.#tags[segment >>> GROUP_BITS]!;
    const base = (segment & GROUP_MASK) << SEGMENT_BITS;
    const refs = this.#scratchRefs;
    const live = this.#scratchTags;
    refs.set(this.#refs[segment >>> GROUP_BITS]!.subarray(base, base + SEGMENT_SLOTS));
    live.set(tags.subarray(base, base + SEGMENT_SLOTS));
    tags.fill(EMPTY, base, base + SEGMENT_SLOTS);
    this.#filled[segment] = 0;
    this.#live[segment] = 0;
    for (let slot = 0; slot < SEGMENT_SLOTS; slot++) {
      if (live[slot]! <= DELETED) continue;
      const hash = hashOfRecord(this.#records, refs[slot]!);
      const target = this.#directory[this.#directoryIndex(hash)]!;
      assert(target === segment || target === sibling, 'key table: record outside its segment');
      this.#place(target, hash, refs[slot]!);
    }
  }

  #doubleDirectory(): void {
    const doubled = new Int32Array(this.#directory.length * 2);
    for (let i = 0; i < doubled.length; i++) doubled[i] = this.#directory[i >>> 1]!;
    this.#directory = doubled;
    this.#depth++;
  }

  #addSegment(localDepth: number): number {
    const segment = this.#segmentCount++;
    if (segment >>> GROUP_BITS === this.#refs.length) {
      this.#refs.push(new Int32Array(SEGMENT_SLOTS << GROUP_BITS));
      this.#tags.push(new Uint8Array(SEGMENT_SLOTS << GROUP_BITS));
    }
    if (segment === this.#localDepth.length) this.#growSegments();
    this.#localDepth[segment] = localDepth;
    return segment;
  }

  #growSegments(): void {
    const size = this.#localDepth.length * 2;
    const localDepth = new Uint8Array(size);
    const filled = new Int32Array(size);
    const live = new Int32Array(size);
    const overflowed = new Uint8Array(size);
    localDepth.set(this.#localDepth);
    filled.set(this.#filled);
    live.set(this.#live);
    overflowed.set(this.#overflowed);
    this.#localDepth = localDepth;
    this.#filled = filled;
    this.#live = live;
    this.#overflowed = overflowed;
  }
}

/** A tag is never {@link EMPTY} or {@link DELETED}. */
function tagOf(hash: number): number {
  const tag = (hash >>> SEGMENT_BITS) & 0xff;
  return tag > DELETED ? tag : tag + 2;
}

export function hashOfRecord(records: KeyRecords, ref: number): number {
  const start = records.keyStart(ref);
  return hashKey(records.keyBuffer(ref), start, start + records.keyLength(ref));
}

/** A 32-bit hash of `buffer[start, end)`, signed as V8 likes it: multiply and rotate, four bytes a step, well mixed at the end. */
export function hashKey(buffer: Uint8Array, start: number, end: number): number {
  let hash = 0x9747b28c ^ (end - start);
  let i = start;
  for (const wholeEnd = end - 3; i < wholeEnd; i += 4) {
    let word = buffer[i]! | (buffer[i + 1]! << 8) | (buffer[i + 2]! << 16) | (buffer[i + 3]! << 24);
    word = Math.imul(word, 0x2c1b3c6d);
    hash ^= (word << 15) | (word >>> 17);
    hash = Math.imul((hash << 13) | (hash >>> 19), 0x297a2d39) + 0x52dce729;
  }
  let tail = 0;
  for (; i < end; i++) tail = (tail << 8) | buffer[i]!;
  hash ^= Math.imul(tail, 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
