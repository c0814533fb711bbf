/**
 * The page cache: which pages are in memory, and where.
 *
 * Pages lie in slabs, 16 to a slab, filled from front to back and not written over while anybody may look at them. So views of
 * pages stay valid after eviction, a cached page costs no object of its own, and memory is given back slab by slab: dropping a
 * slab first copies its hot pages to the slab that is being filled.
 *
 * Most slabs of a member that writes much are never looked at: pages are built, written, and replaced by the next commit. Such a
 * slab is used again once no workspace can have it as a source. One that was {@link PageCache.slabAt | lent} is left to the
 * garbage collector, since nobody says when he is done with a view.
 *
 *     read ───> probation (FIFO, 1/8) ───────────────────hot──> main (FIFO, hot pages go round again)
 *     written ─ pinned until durable ─ settled (FIFO, 1/8) ─hot──^   │
 *                        both └──cold──> ghost                       └──cold──> out
 *
 * That is S3-FIFO: a page seen once in passing, as by a scan or a snapshot, leaves by probation and can't push out the hot set
 * in main; a page that comes back soon after (the ghost remembers ids) goes straight to main. What was only written has its
 * bound even while the cache is not full: whoever writes and never reads needs no cache, and should not pay for one.
 */
import { assert, RingBuffer } from '@etcd/base';
import type { CacheStatistics } from './api.ts';
import { pageOverflow } from './format.ts';
import { PageBuffer } from './page-buffer.ts';
import { ABSENT, PageTable } from './page-table.ts';

/** A place in the cache: slab index times this, plus the slot of its first page. */
const SLOTS_PER_SLAB = 256;
const SLOT_BITS = 8;
const SLOT_MASK = SLOTS_PER_SLAB - 1;

const PAGES_PER_SLAB = 16;
/** Slabs of big pages hold fewer. */
const MAX_SLAB_BYTES = 1 << 20;
const MIN_SLABS = 8;

/** Share of the capacity that is on probation when the cache is full. */
const PROBATION_SHARE = 1 / 8;
/** Share of the capacity that pages may have which were written, and are durable, but not read often enough yet. */
const SETTLED_SHARE = 1 / 8;
/** Uses are counted up to this. */
const MAX_USES = 3;
/** Uses that take a page from probation to main: what loaded it is the first. */
const USES_FOR_MAIN = 2;
/** A slab of which this share is hot is kept as it is rather than copied. */
const KEEP_WHOLE_SHARE = 0.75;
/** After so many slabs that yielded too little room, uses count for less and less. */
const PATIENCE_SLABS = 4;

/** The longest run that {@link PageCache.openRun} takes. */
export const MAX_RUN_PAGES = SLOTS_PER_SLAB;

/** Slabs that wait to be used again: 8 MiB, most of the pages of a commit of a very busy member. */
const MAX_SPARE_SLABS = 128;

const UNREGISTERED = -1;

/** Which slab a page goes to. */
const PROBATION = 0;
export const MAIN = 1;
export const WRITTEN = 2;
export type Area = typeof PROBATION | typeof MAIN | typeof WRITTEN;

export class Slab extends PageBuffer {
  /** Its number in the cache, -1 while it isn't part of it. */
  index = UNREGISTERED;
  readonly pageCapacity: number;
  /** By slot: the page that begins there, 0 for none. */
  readonly ids: Int32Array;
  readonly uses: Uint8Array;
  /** Slots taken, from the front. Invariant: what lies in them is not written to any more. */
  usedPages = 0;
  /** The last transaction that wrote a page of it. */
  lastTxid = 0;
  /** Whether there may be views of it that nobody keeps account of. */
  isLent = false;

  constructor(pageCapacity: number, pageSizeBytes: number) {
    super(pageCapacity * pageSizeBytes);
    this.pageCapacity = pageCapacity;
    const slots = Math.min(pageCapacity, SLOTS_PER_SLAB);
    this.ids = new Int32Array(slots);
    this.uses = new Uint8Array(slots);
  }

  /** Makes it as new. */
  reset(): void {
    this.index = UNREGISTERED;
    this.ids.fill(0);
    this.uses.fill(0);
    this.usedPages = 0;
    this.lastTxid = 0;
    this.poison();
  }
}

export class PageCache {
  readonly #pageSizeBytes: number;
  readonly #capacityBytes: number;
  readonly #slabPages: number;
  readonly #table = new PageTable();
  readonly #slabs: Slab[] = [];
  readonly #freeIndexes: number[] = [];
  /** The slab that is being filled, by area. */
  readonly #open: (Slab | null)[] = [null, null, null];
  readonly #probation = new RingBuffer<Slab>();
  readonly #main = new RingBuffer<Slab>();
  /** Full slabs of pages that are not durable yet, in the order of their last transaction. */
  readonly #pinned = new RingBuffer<Slab>();
  /** Those of them that are durable by now. */
  readonly #settled = new RingBuffer<Slab>();
  /** Slabs given up that nobody but a workspace can know; those that no workspace knows either. */
  readonly #retired: Slab[] = [];
  readonly #spare: Slab[] = [];
  readonly #ghost: Int32Array;
  #heldBytes = 0;
  #settledBytes = 0;
  #probationBytes = 0;
  #hits = 0;
  #misses = 0;
  #evictedPages = 0;

  constructor(pageSizeBytes: number, capacityBytes: number) {
    this.#pageSizeBytes = pageSizeBytes;
    this.#slabPages = Math.max(1, Math.min(PAGES_PER_SLAB, MAX_SLAB_BYTES / pageSizeBytes));
    this.#capacityBytes = Math.max(capacityBytes, MIN_SLABS * this.#slabPages * pageSizeBytes);
    let ghosts = 1;
    while (ghosts < this.#capacityBytes / pageSizeBytes) ghosts *= 2;
    this.#ghost = new Int32Array(ghosts);
  }

  statistics(): CacheStatistics {
    return {
      hits: this.#hits,
      misses: this.#misses,
      capacityBytes: this.#capacityBytes,
      heldBytes: this.#heldBytes,
      evictedPages: this.#evictedPages,
    };
  }

  /** Where the page is, or -1; counts as a use. */
  find(pgid: number): number {
    const place = this.#table.get(pgid);
    if (place === ABSENT) {
      this.#misses++;
      return ABSENT;
    }
    this.#hits++;
    const uses = this.#slabs[place >>> SLOT_BITS]!.uses;
    const slot = place & SLOT_MASK;
    if (uses[slot]! < MAX_USES) uses[slot]!++;
    return place;
  }

  /** Whether the page is here, without using it. */
  has(pgid: number): boolean {
    return this.#table.get(pgid) !== ABSENT;
  }

  /** The slab, for a caller who may keep views of it for as long as he likes. */
  slabAt(place: number): Slab {
    const slab = this.#slabs[place >>> SLOT_BITS]!;
    slab.isLent = true;
    return slab;
  }

  /** The slab, for a workspace: it keeps no view beyond its own end, which {@link recycle} follows. */
  sourceAt(place: number): Slab {
    return this.#slabs[place >>> SLOT_BITS]!;
  }

  baseAt(place: number): number {
    return (place & SLOT_MASK) * this.#pageSizeBytes;
  }

  /** Where a page that is read now belongs. */
  areaFor(pgid: number): Area {
    return this.#ghost[this.#ghostSlot(pgid)] === pgid ? MAIN : PROBATION;
  }

  /**
   * A slab with room for `pages` pages in a row, at slot `usedPages`. The caller fills them and publishes; when it does
   * neither, nothing has happened.
   */
  openSlab(area: Area, pages: number): Slab {
    const open = this.#open[area]!;
    if (open !== null && open.usedPages + pages <= open.pageCapacity) return open;
    const capacity = Math.max(pages, this.#slabPages);
    this.#makeRoom(capacity * this.#pageSizeBytes);
    // A long page gets a slab of its own, and others go on filling the open one.
    if (capacity > this.#slabPages) return new Slab(capacity, this.#pageSizeBytes);
    // Making room may have opened a slab in main.
    const opened = this.#open[area]!;
    const fits = opened !== null && opened.usedPages + pages <= opened.pageCapacity;
    return fits ? opened : this.#replaceOpen(area, capacity);
  }

  /** Makes the page known that the caller has put at slot `usedPages` of `slab`, which came from {@link openSlab}. */
  publish(slab: Slab, area: Area, pgid: number, pages: number, uses: number): number {
    if (slab.index === UNREGISTERED) this.#register(slab);
    const slot = slab.usedPages;
    assert(slot + pages <= slab.pageCapacity, 'cache: slab overrun');
    slab.usedPages += pages;
    const place = this.#place(slab, slot, pgid, uses);
    if (slab.usedPages === slab.pageCapacity) {
      if (this.#open[area] === slab) this.#open[area] = null;
      this.#enqueue(slab, area);
    }
    return place;
  }

  /** A slab for `pages` pages that are read at once; {@link publishRun} ends it. */
  openRun(pages: number): Slab {
    assert(pages <= MAX_RUN_PAGES, 'cache: run too long');
    this.#makeRoom(pages * this.#pageSizeBytes);
    return new Slab(pages, this.#pageSizeBytes);
  }

  /** Makes the pages known of which `slab.ids` names the slots, and puts the slab on probation. */
  publishRun(slab: Slab): void {
    this.#register(slab);
    slab.usedPages = slab.pageCapacity;
    for (let slot = 0; slot < slab.pageCapacity; slot++) {
      if (slab.ids[slot] !== 0) this.#place(slab, slot, slab.ids[slot]!, 0);
    }
    this.#enqueue(slab, PROBATION);
  }

  /** Forgets a page whose content no longer counts. */
  forget(pgid: number): void {
    this.#table.set(pgid, ABSENT);
  }

  /** Lets go of the written pages up to transaction `txid`: they are on disk. */
  unpin(txid: number): void {
    for (;;) {
      const slab = this.#pinned.peek();
      if (slab === undefined || slab.lastTxid > txid) break;
      this.#pinned.take();
      this.#settled.push(slab);
      this.#settledBytes += slab.bytes.length;
    }
    while (this.#settledBytes > this.#capacityBytes * SETTLED_SHARE)
      this.#evict(this.#takeSettled()!, true, 0);
    this.#makeRoom(0);
  }

  /** No workspace is left: what only such could know may be used again. */
  recycle(): void {
    for (const slab of this.#retired) {
      if (this.#spare.length >= MAX_SPARE_SLABS) break;
      slab.reset();
      this.#spare.push(slab);
    }
    this.#retired.length = 0;
  }

  #takeSettled(): Slab | undefined {
    const slab = this.#settled.take();
    if (slab !== undefined) this.#settledBytes -= slab.bytes.length;
    return slab;
  }

  #takeProbation(): Slab | undefined {
    const slab = this.#probation.take();
    if (slab !== undefined) this.#probationBytes -= slab.bytes.length;
    return slab;
  }

  #place(slab: Slab, slot: number, pgid: number, uses: number): number {
    const place = slab.index * SLOTS_PER_SLAB + slot;
    slab.ids[slot] = pgid;
    slab.uses[slot] = uses;
    this.#table.set(pgid, place);
    return place;
  }

  #enqueue(slab: Slab, area: Area): void {
    if (area === WRITTEN) {
      this.#pinned.push(slab);
    } else if (area === MAIN) {
      this.#main.push(slab);
    } else {
      this.#probation.push(slab);
      this.#probationBytes += slab.bytes.length;
    }
  }

  #register(slab: Slab): void {
    slab.index = this.#freeIndexes.pop() ?? this.#slabs.length;
    this.#slabs[slab.index] = slab;
    this.#heldBytes += slab.bytes.length;
  }

  #makeRoom(bytes: number): void {
    for (let slabs = 0; this.#heldBytes + bytes > this.#capacityBytes; slabs++) {
      const onProbation =
        this.#probationBytes > this.#capacityBytes * PROBATION_SHARE || this.#main.count === 0;
      const slab = onProbation ? (this.#takeProbation() ?? this.#takeSettled()) : this.#main.take();
      // Nothing but open and pinned slabs: a big commit is under way and the bound gives way to it.
      if (slab === undefined) return;
      this.#evict(slab, onProbation, Math.floor(slabs / PATIENCE_SLABS));
    }
  }

  /** Drops the slab's pages that were used too little; the others go on in main. */
  #evict(slab: Slab, onProbation: boolean, impatience: number): void {
    const hotFrom = (onProbation ? USES_FOR_MAIN : 1) + impatience;
    let hotPages = 0;
    for (let slot = 0; slot < slab.ids.length; slot++) {
      const pgid = slab.ids[slot]!;
      if (pgid === 0) continue;
      const current = this.#table.get(pgid) === slab.index * SLOTS_PER_SLAB + slot;
      if (current && slab.uses[slot]! >= hotFrom) {
        hotPages += this.#pagesAt(slab, slot);
        slab.uses[slot] = onProbation ? 0 : slab.uses[slot]! - 1;
        continue;
      }
      slab.ids[slot] = 0;
      if (!current) continue;
      this.#table.set(pgid, ABSENT);
      this.#evictedPages++;
      if (onProbation) this.#ghost[this.#ghostSlot(pgid)] = pgid;
    }
    if (hotPages >= slab.pageCapacity * KEEP_WHOLE_SHARE) this.#main.push(slab);
    else this.#moveHot(slab);
  }

  /** Copies what is left of the slab to the one being filled in main, and gives up the slab. */
  #moveHot(slab: Slab): void {
    const size = this.#pageSizeBytes;
    for (let slot = 0; slot < slab.ids.length; slot++) {
      const pgid = slab.ids[slot]!;
      if (pgid === 0) continue;
      const pages = this.#pagesAt(slab, slot);
      const target = this.#openMain(pages);
      const from = slot * size;
      target.bytes.set(slab.bytes.subarray(from, from + pages * size), target.usedPages * size);
      this.publish(target, MAIN, pgid, pages, slab.uses[slot]!);
    }
    this.#freeIndexes.push(slab.index);
    this.#slabs[slab.index] = GONE;
    this.#heldBytes -= slab.bytes.length;
    if (!slab.isLent && slab.pageCapacity === this.#slabPages) this.#retired.push(slab);
  }

  /** {@link openSlab} for main while room is being made: may exceed the bound until that is done. */
  #openMain(pages: number): Slab {
    const open = this.#open[MAIN]!;
    if (open !== null && open.usedPages + pages <= open.pageCapacity) return open;
    return this.#replaceOpen(MAIN, Math.max(pages, this.#slabPages));
  }

  /** Closes the slab that was being filled and begins a new one. */
  #replaceOpen(area: Area, capacity: number): Slab {
    const open = this.#open[area]!;
    if (open !== null) this.#enqueue(open, area);
    const spare = capacity === this.#slabPages ? this.#spare.pop() : undefined;
    const slab = spare ?? new Slab(capacity, this.#pageSizeBytes);
    this.#register(slab);
    this.#open[area] = slab;
    return slab;
  }

  #pagesAt(slab: Slab, slot: number): number {
    return 1 + pageOverflow(slab.view, slot * this.#pageSizeBytes);
  }

  #ghostSlot(pgid: number): number {
    return (Math.imul(pgid, 0x9e3779b1) >>> 7) & (this.#ghost.length - 1);
  }
}

/** In place of a slab that was given up. */
const GONE = new Slab(1, 16);
