/**
 * The newest revisions, in memory: those that no commit has reached yet, which only live here, and behind them as many
 * committed ones as fit a bound, because what was written lately is what is read. Values lie one behind the other in
 * slabs outside the V8 heap. A slab that is let go is written over by later revisions, but for those that somebody keeps views of
 * beyond the turn in which he got them: such a one is {@link RevisionLog.lend | lent}, never changes again and lives on while it is held.
 *
 *   mains      main 71      72    73   …          first entry of each main revision
 *               |            |     |
 *   entries    [71.0 71.1 | 72.0 | 73.0 73.1 73.2 | …      slab, offset, length, flags
 *   slabs      key value key value key value …             the key is the revision, as it is in the file
 *
 * Every main revision from {@link firstMain} to {@link lastMain} is here with all its subs, so finding one is an index
 * computation, and catching up from a recent revision is a walk.
 */
import { assert, poisonReleased } from '@etcd/base';
import { REVISION_BYTES, TOMBSTONE_REVISION_BYTES, writeRevision } from './revision.ts';

const SLAB_BYTES = 1024 * 1024;
/** Slabs that wait to be used again: what a commit of a busy store lets go. */
const MAX_SPARE_SLABS = 8;
const CHUNK_BITS = 12;
const CHUNK_SLOTS = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_SLOTS - 1;

/** Words of an entry. */
const SLAB = 0;
const OFFSET = 1;
const LENGTH = 2;
const ENTRY_WORDS = 3;
const TOMBSTONE_BIT = 0x4000_0000;
const LENGTH_MASK = 0x3fff_ffff;
/** What the length word can say; requests are far smaller. */
export const MAX_VALUE_BYTES: number = LENGTH_MASK;

export class RevisionLog {
  /** The entry that {@link reserve}, {@link find} or {@link select} came to: `buffer[start, end)`. */
  buffer: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  isTombstone = false;

  readonly #mains = new ChunkedNumbers();
  readonly #entries = new ChunkedEntries();
  /** Slab `i` is `#slabs[i - #slabBase]`; with each the last main revision that has a value in it. */
  #slabs: Uint8Array[] = [];
  #slabLastMain: number[] = [];
  #isSlabLent: boolean[] = [];
  readonly #spareSlabs: Uint8Array[] = [];
  #slabBase = 0;
  #slabUsed = SLAB_BYTES;
  #firstMain: number;
  #lastMain: number;
  #bytes = 0;

  /** @param lastMain the newest revision that is not in the log. */
  constructor(lastMain: number) {
    this.#firstMain = lastMain + 1;
    this.#lastMain = lastMain;
    this.#mains.startAt(this.#firstMain);
  }

  /** The oldest main revision that is here, one more than {@link lastMain} when none is. */
  get firstMain(): number {
    return this.#firstMain;
  }

  get lastMain(): number {
    return this.#lastMain;
  }

  /** Entries ever reserved: the number that the next one will have. */
  get nextEntry(): number {
    return this.#entries.end;
  }

  /** Bytes of the slabs. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Room for the value of the next revision, in {@link buffer} from {@link start} on, for the caller to fill at once.
   * `main` is that of the revision before or one more, and `sub` counts up from 0.
   */
  reserve(main: number, sub: number, isTombstone: boolean, length: number): void {
    assert(length <= MAX_VALUE_BYTES, 'revision log: value too long');
    if (main !== this.#lastMain) {
      assert(main === this.#lastMain + 1 && sub === 0, 'revision log: revisions have a gap');
      this.#lastMain = main;
      this.#mains.push(this.#entries.end);
    }
    assert(this.#entries.end - this.#mains.get(main) === sub, 'revision log: subs have a gap');
    const keyBytes = isTombstone ? TOMBSTONE_REVISION_BYTES : REVISION_BYTES;
    if (this.#slabUsed + keyBytes + length > SLAB_BYTES) this.#addSlab(keyBytes + length);
    const slab = this.#slabs.length - 1;
    this.#slabLastMain[slab] = main;
    this.buffer = this.#slabs[slab]!;
    writeRevision(this.buffer, main, sub, isTombstone, this.#slabUsed);
    this.start = this.#slabUsed + keyBytes;
    this.end = this.start + length;
    this.isTombstone = isTombstone;
    this.#slabUsed = this.end;
    this.#entries.push(slab + this.#slabBase, this.start, length | (isTombstone ? TOMBSTONE_BIT : 0));
  }

  /** Comes to the revision; false when it is not here. */
  find(main: number, sub: number): boolean {
    if (main < this.#firstMain || main > this.#lastMain) return false;
    const entry = this.#mains.get(main) + sub;
    if (entry >= this.firstEntryAfter(main)) return false;
    this.select(entry);
    return true;
  }

  /** The first entry of main revision `main`. */
  firstEntryOf(main: number): number {
    assert(main >= this.#firstMain && main <= this.#lastMain, 'revision log: revision is not here');
    return this.#mains.get(main);
  }

  /** The entry behind the last one of main revision `main`. */
  firstEntryAfter(main: number): number {
    return main === this.#lastMain ? this.#entries.end : this.#mains.get(main + 1);
  }

  /** Comes to entry number `entry`. */
  select(entry: number): void {
    const words = this.#entries.chunkOf(entry);
    const at = (entry & CHUNK_MASK) * ENTRY_WORDS;
    const length = words[at + LENGTH]!;
    this.buffer = this.#slabs[words[at + SLAB]! - this.#slabBase]!;
    this.start = words[at + OFFSET]!;
    this.end = this.start + (length & LENGTH_MASK);
    this.isTombstone = (length & TOMBSTONE_BIT) !== 0;
  }

  /** Views of `buffer` are kept beyond this turn: where it is a slab, that is not written over. */
  lend(buffer: Uint8Array): void {
    if (buffer.length < SLAB_BYTES) return;
    const slab = this.#slabs.lastIndexOf(buffer);
    if (slab >= 0) this.#isSlabLent[slab] = true;
  }

  /** Lets go of the oldest slabs while there is more than `limitBytes`, of revisions up to `committedMain` only. */
  trim(limitBytes: number, committedMain: number): void {
    let dropped = 0;
    while (dropped < this.#slabs.length && this.#bytes > limitBytes) {
      if (this.#slabLastMain[dropped]! > committedMain) break;
      this.#bytes -= this.#slabs[dropped]!.length;
      dropped++;
    }
    if (dropped === 0) return;
    // A revision that reaches into the next slab goes too: none is here in part.
    this.#firstMain = this.#slabLastMain[dropped - 1]! + 1;
    if (dropped === this.#slabs.length) this.#slabUsed = SLAB_BYTES;
    for (let slab = 0; slab < dropped; slab++) this.#keepSpare(this.#slabs[slab]!, this.#isSlabLent[slab]!);
    this.#slabs = this.#slabs.slice(dropped);
    this.#slabLastMain = this.#slabLastMain.slice(dropped);
    this.#isSlabLent = this.#isSlabLent.slice(dropped);
    this.#slabBase += dropped;
    const firstEntry =
      this.#firstMain > this.#lastMain ? this.#entries.end : this.#mains.get(this.#firstMain);
    this.#mains.dropBefore(this.#firstMain);
    this.#entries.dropBefore(firstEntry);
  }

  #addSlab(length: number): void {
    const spare = length <= SLAB_BYTES ? this.#spareSlabs.pop() : undefined;
    const slab = spare ?? new Uint8Array(Math.max(SLAB_BYTES, length));
    this.#slabs.push(slab);
    this.#slabLastMain.push(this.#lastMain);
    this.#isSlabLent.push(false);
    this.#bytes += slab.length;
    this.#slabUsed = 0;
  }

  #keepSpare(slab: Uint8Array, isLent: boolean): void {
    if (isLent || slab.length !== SLAB_BYTES || this.#spareSlabs.length >= MAX_SPARE_SLABS) return;
    poisonReleased(slab);
    this.#spareSlabs.push(slab);
  }
}

/** Numbers by position, appended at the end and dropped from the front, in chunks. */
class ChunkedNumbers {
  #chunks: Float64Array[] = [];
  #firstChunk = 0;
  #end = 0;

  startAt(position: number): void {
    this.#firstChunk = Math.floor(position / CHUNK_SLOTS);
    this.#end = position;
  }

  push(value: number): void {
    const chunk = Math.floor(this.#end / CHUNK_SLOTS) - this.#firstChunk;
    if (chunk === this.#chunks.length) this.#chunks.push(new Float64Array(CHUNK_SLOTS));
    this.#chunks[chunk]![this.#end % CHUNK_SLOTS] = value;
    this.#end++;
  }

  get(position: number): number {
    return this.#chunks[Math.floor(position / CHUNK_SLOTS) - this.#firstChunk]![position % CHUNK_SLOTS]!;
  }

  dropBefore(position: number): void {
    const chunk = Math.floor(position / CHUNK_SLOTS);
    this.#chunks = this.#chunks.slice(chunk - this.#firstChunk);
    this.#firstChunk = chunk;
  }
}

/** Entries by number, likewise. */
class ChunkedEntries {
  #chunks: Int32Array[] = [];
  #firstChunk = 0;
  end = 0;

  push(slab: number, offset: number, length: number): void {
    const chunk = Math.floor(this.end / CHUNK_SLOTS) - this.#firstChunk;
    if (chunk === this.#chunks.length) this.#chunks.push(new Int32Array(CHUNK_SLOTS * ENTRY_WORDS));
    const words = this.#chunks[chunk]!;
    const at = (this.end % CHUNK_SLOTS) * ENTRY_WORDS;
    words[at + SLAB] = slab;
    words[at + OFFSET] = offset;
    words[at + LENGTH] = length;
    this.end++;
  }

  chunkOf(entry: number): Int32Array {
    return this.#chunks[Math.floor(entry / CHUNK_SLOTS) - this.#firstChunk]!;
  }

  dropBefore(entry: number): void {
    const chunk = Math.floor(entry / CHUNK_SLOTS);
    this.#chunks = this.#chunks.slice(chunk - this.#firstChunk);
    this.#firstChunk = chunk;
  }
}
