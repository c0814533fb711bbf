/**
 * Which pages are free, and which will be: bbolt's freelist.
 *
 * A page freed by transaction f can't be reused at once. The commit before f still needs it until f is durable, and so
 * does every reader that is open at a transaction in [a, f), where a is the transaction that wrote the page. Until then it is
 * pending. Pages written before this process opened the file count as written by transaction 0.
 *
 * Allocation takes the lowest run of free pages that is long enough, so that the end of the file empties over time.
 */
import { assert } from '@etcd/base';
import { Bitmap } from './bitmap.ts';
import { PGID_LIMIT } from './format.ts';
import { IntList } from './int-list.ts';
import { ABSENT, PageTable } from './page-table.ts';

/** What one write transaction took and gave back. */
export class PageChanges {
  readonly txid: number;
  /** Pages taken from the freelist, one by one. */
  readonly allocated = new IntList();
  /** Pages that the transaction no longer refers to. */
  readonly freed = new IntList();

  constructor(txid: number) {
    this.txid = txid;
  }
}

/** Pages freed by transactions up to `txid` that one and the same reader still keeps. */
interface PendingBatch {
  readonly txid: number;
  /** The newest reader below `txid`, or -1; as of the last look. */
  blocker: number;
  pages: IntList;
  /** By position in `pages`: the transaction that wrote the page, less the base. */
  writers: IntList;
}

const NO_READER = -1;
/** Runs up to this length have a hint each of where the search for them may begin. */
const HINTED_RUN = 32;

export class Freelist {
  readonly #free = new Bitmap();
  readonly #pending = new Bitmap();
  #batches: PendingBatch[] = [];
  /** The transactions of open readers: how many at each. */
  readonly #readers = new Map<number, number>();
  #openReaders = 0;
  /** Transaction that wrote a page, as far as this process did; relative to the base so that it fits 32 bits. */
  readonly #writers = new PageTable();
  readonly #baseTxid: number;
  /** By run length: no such run begins below. Allocation only shortens runs, so it holds until pages are released. */
  readonly #hints = new Int32Array(HINTED_RUN + 1);

  /** @param baseTxid the transaction that the file was opened at. */
  constructor(baseTxid: number) {
    this.#baseTxid = baseTxid;
  }

  get freeCount(): number {
    return this.#free.count;
  }

  get pendingCount(): number {
    return this.#pending.count;
  }

  get openReaders(): number {
    return this.#openReaders;
  }

  addReader(txid: number): void {
    this.#readers.set(txid, (this.#readers.get(txid) ?? 0) + 1);
    this.#openReaders++;
  }

  removeReader(txid: number): void {
    const count = this.#readers.get(txid);
    assert(count !== undefined, 'freelist: no such reader');
    if (count === 1) this.#readers.delete(txid);
    else this.#readers.set(txid, count - 1);
    this.#openReaders--;
  }

  /** Adds a page found free when the list was loaded; false when it was there already. */
  addFree(pgid: number): boolean {
    return this.#free.add(pgid);
  }

  isFree(pgid: number): boolean {
    return this.#free.has(pgid);
  }

  isPending(pgid: number): boolean {
    return this.#pending.has(pgid);
  }

  /** How many free pages there are below a page. */
  freeBelow(pgid: number): number {
    return this.#free.countBelow(pgid);
  }

  /** Where {@link allocate} would put `pages` pages, or -1. */
  lowestRun(pages: number): number {
    const hint = Math.min(pages, HINTED_RUN);
    const start = this.#free.findRun(this.#hints[hint]!, pages);
    // A run of the hinted length may begin before a longer one, so only an exact length teaches something.
    if (hint === pages) this.#hints[hint] = start === -1 ? PGID_LIMIT : start;
    return start;
  }

  /** Takes the lowest `pages` free pages in a row for the transaction; -1 when there is no such run. */
  allocate(changes: PageChanges, pages: number): number {
    const start = this.lowestRun(pages);
    if (start === -1) return -1;
    for (let pgid = start; pgid < start + pages; pgid++) this.#free.delete(pgid);
    this.noteWritten(changes, start, pages);
    for (let pgid = start; pgid < start + pages; pgid++) changes.allocated.push(pgid);
    return start;
  }

  /** Remembers who writes the pages. Those above the old high-water mark come here without {@link allocate}. */
  noteWritten(changes: PageChanges, pgid: number, pages: number): void {
    for (let i = 0; i < pages; i++) this.#writers.set(pgid + i, changes.txid - this.#baseTxid);
  }

  /** Gives up a page and its overflow pages; false, and nothing done, when one of them is free already. */
  free(changes: PageChanges, pgid: number, pages: number): boolean {
    for (let i = 0; i < pages; i++) if (this.#free.has(pgid + i) || this.#pending.has(pgid + i)) return false;
    for (let i = 0; i < pages; i++) {
      this.#pending.add(pgid + i);
      changes.freed.push(pgid + i);
    }
    return true;
  }

  /** The transaction is on its way to the disk: what it freed waits for its readers. */
  commit(changes: PageChanges): void {
    const { freed } = changes;
    if (freed.count === 0) return;
    const writers = new IntList(freed.count);
    for (let i = 0; i < freed.count; i++) writers.push(Math.max(0, this.#writers.get(freed.at(i))));
    // A blocker that no reader can be: the first release looks at the batch in any case.
    this.#batches.push({ txid: changes.txid, blocker: Number.POSITIVE_INFINITY, pages: freed, writers });
  }

  /** Undoes all that the transaction did. */
  rollback(changes: PageChanges): void {
    for (let i = 0; i < changes.freed.count; i++) this.#pending.delete(changes.freed.at(i));
    for (let i = 0; i < changes.allocated.count; i++) this.#free.add(changes.allocated.at(i));
    if (changes.allocated.count > 0) this.#hints.fill(0);
  }

  /** Makes the pages free that nobody needs any more, now that `durableTxid` and all before it are on disk. */
  release(durableTxid: number): void {
    const readers = [...this.#readers.keys()].sort((a, b) => a - b);
    const kept: PendingBatch[] = [];
    let released = false;
    let reader = 0;
    for (const batch of this.#batches) {
      if (batch.txid > durableTxid) {
        kept.push(batch);
        continue;
      }
      while (reader < readers.length && readers[reader]! < batch.txid) reader++;
      const blocker = reader === 0 ? NO_READER : readers[reader - 1]!;
      if (blocker !== batch.blocker) {
        batch.blocker = blocker;
        released = true;
        this.#releaseFrom(batch);
      }
      if (batch.pages.count === 0) continue;
      const last = kept.at(-1);
      // No reader can begin between two transactions of the past, so what one reader blocks now it blocks for good.
      if (last !== undefined && last.blocker === blocker) appendBatch(last, batch);
      else kept.push(batch);
    }
    this.#batches = kept;
    if (released) this.#hints.fill(0);
  }

  /**
   * Takes the free pages at the end out of the list; returns the new high-water mark.
   * @param highWaterPgid the mark until now.
   */
  trimTail(changes: PageChanges, highWaterPgid: number): number {
    const pages = this.#free.runBefore(highWaterPgid);
    for (let pgid = highWaterPgid - pages; pgid < highWaterPgid; pgid++) {
      this.#free.delete(pgid);
      changes.allocated.push(pgid);
    }
    return highWaterPgid - pages;
  }

  /** Visits every free and pending page in order: what a stored freelist holds. */
  forEachUnused(visit: (pgid: number) => void): void {
    let free = this.#free.nextSet(0);
    let pending = this.#pending.nextSet(0);
    while (free !== -1 || pending !== -1) {
      if (pending === -1 || (free !== -1 && free < pending)) {
        visit(free);
        free = this.#free.nextSet(free + 1);
      } else {
        visit(pending);
        pending = this.#pending.nextSet(pending + 1);
      }
    }
  }

  /** Every free and pending page: what no state that begins now can reach. */
  unused(): Bitmap {
    const unused = new Bitmap();
    this.forEachUnused((pgid) => unused.add(pgid));
    return unused;
  }

  /** Frees the pages of the batch that were written after its blocker began, and keeps the others. */
  #releaseFrom(batch: PendingBatch): void {
    const { pages, writers } = batch;
    const blocker = batch.blocker === NO_READER ? NO_READER : batch.blocker - this.#baseTxid;
    let kept = 0;
    for (let i = 0; i < pages.count; i++) {
      if (batch.blocker !== NO_READER && writers.at(i) <= blocker) {
        pages.set(kept, pages.at(i));
        writers.set(kept, writers.at(i));
        kept++;
        continue;
      }
      this.#pending.delete(pages.at(i));
      this.#free.add(pages.at(i));
      this.#writers.set(pages.at(i), ABSENT);
    }
    pages.truncate(kept);
    writers.truncate(kept);
  }
}

function appendBatch(to: PendingBatch, from: PendingBatch): void {
  for (let i = 0; i < from.pages.count; i++) {
    to.pages.push(from.pages.at(i));
    to.writers.push(from.writers.at(i));
  }
}
