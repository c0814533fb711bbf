/**
 * One commit on its way to the disk: first the pages are built, in steps; then they are written, synced, and the meta page is
 * written and synced. Both forms of commit share everything but the waiting.
 */
import { assert, type Clock, type DiskError, type DiskFile } from '@etcd/base';
import type { CommitStatistics } from './api.ts';
import type { Freelist } from './freelist.ts';
import { writeFreelist } from './freelist-page.ts';
import type { IntList } from './int-list.ts';
import { encodeMeta, META_BYTES, type Meta, NO_FREELIST } from './meta.ts';
import { PageBuffer } from './page-buffer.ts';
import type { PageWriter } from './page-writer.ts';
import type { Steps } from './steps.ts';
import type { WriteBucket } from './write-bucket.ts';

/**
 * What is written in the background is written one piece after the other, each durable before the next: a sync of the log, which every
 * client waits for, finds no more than one of them before it on the disk. All pages at once, and a sync behind them, let it wait for all.
 */
const MAX_WRITE_BYTES = 512 * 1024;
/** Large commits are written in so many pieces, or in larger ones than these: a disk may be slow to sync, and fast to write. */
const USUAL_WRITES = 16;
const MAX_LARGE_WRITE_BYTES = 4 * 1024 * 1024;
/** Shorter pieces get their sync together, and so do others once so many have had their own: that a commit ends where syncs take long. */
const MIN_SYNCED_BYTES = 64 * 1024;
const MAX_SYNCED_ALONE = USUAL_WRITES;

/** A state of the database: its meta page, and how long its stored freelist is. */
export interface State {
  readonly meta: Meta;
  readonly freelistPages: number;
}

export interface CommitOptions {
  readonly freelist: 'stored' | 'rebuilt';
  readonly noSync: boolean;
  readonly clock: Clock | null;
}

export class Commit {
  readonly #base: State;
  readonly #root: WriteBucket;
  readonly #writer: PageWriter;
  readonly #freelist: Freelist;
  readonly #options: CommitOptions;
  readonly #trimsTail: boolean;
  #state: State | null = null;
  #rebalanceMs = 0;
  #spillMs = 0;
  #writeMs = 0;
  #runs = 0;

  constructor(
    base: State,
    root: WriteBucket,
    writer: PageWriter,
    freelist: Freelist,
    options: CommitOptions,
    trimsTail: boolean,
  ) {
    this.#base = base;
    this.#root = root;
    this.#writer = writer;
    this.#freelist = freelist;
    this.#options = options;
    this.#trimsTail = trimsTail;
  }

  /** What this commit makes of the database; once {@link prepare} is done. */
  get state(): State {
    assert(this.#state !== null, 'commit: not prepared');
    return this.#state;
  }

  get statistics(): CommitStatistics {
    return {
      rebalanceMs: this.#rebalanceMs,
      spillMs: this.#spillMs,
      writeMs: this.#writeMs,
      pagesWritten: this.#writer.pageCount,
      runsWritten: this.#runs,
    };
  }

  /** Builds the pages. Throws `corrupt` and `io` where it must read and can't; then it is to be rolled back. */
  *prepare(): Steps {
    const base = this.#base.meta;
    yield* this.#timed(this.#root.rebalance(), (ms) => {
      this.#rebalanceMs += ms;
    });
    yield* this.#timed(this.#root.spill(), (ms) => {
      this.#spillMs += ms;
    });
    const writer = this.#writer;
    if (base.freelistPgid !== NO_FREELIST) writer.free(base.freelistPgid, this.#base.freelistPages);
    if (this.#trimsTail) writer.highWaterPgid = this.#freelist.trimTail(writer.changes, writer.highWaterPgid);
    let freelistPgid = NO_FREELIST;
    let freelistPages = 0;
    if (this.#options.freelist === 'stored') {
      const before = writer.pageCount;
      freelistPgid = writeFreelist(this.#freelist, writer, base.pageSizeBytes);
      freelistPages = writer.pageCount - before;
    }
    this.#freelist.commit(writer.changes);
    const meta = {
      pageSizeBytes: base.pageSizeBytes,
      rootPgid: this.#root.tree.pgid,
      rootSequence: this.#root.newSequence,
      freelistPgid,
      highWaterPgid: writer.highWaterPgid,
      txid: writer.changes.txid,
    };
    this.#state = { meta, freelistPages };
  }

  /** Undoes what {@link prepare} has done so far. */
  rollback(): void {
    this.#writer.rollback();
  }

  /** Writes and syncs; throws `DiskError`. The file is long enough already. */
  write(file: DiskFile): void {
    const began = this.#now();
    const runs = new Runs(this.#writer, this.state.meta.pageSizeBytes, MAX_LARGE_WRITE_BYTES);
    while (runs.next()) {
      let position = runs.position;
      for (const chunk of runs.chunks) {
        file.write(chunk, 0, chunk.length, position);
        position += chunk.length;
      }
      this.#runs++;
    }
    if (this.#runs > 0 && !this.#options.noSync) file.sync();
    const page = this.#metaPage();
    if (this.#options.noSync) file.write(page, 0, page.length, this.#metaPosition());
    else file.writeSynced(page, 0, page.length, this.#metaPosition());
    this.#writeMs = this.#now() - began;
  }

  /** {@link write} in the background. */
  writeThen(file: DiskFile, done: (error: DiskError | null) => void): void {
    const began = this.#now();
    this.#writeRunsThen(file, (writeError) => {
      if (writeError !== null) return done(writeError);
      const finish = (error: DiskError | null): void => {
        if (error === null) this.#writeMs = this.#now() - began;
        done(error);
      };
      const page = [this.#metaPage()];
      if (this.#options.noSync) file.writeThen(page, this.#metaPosition(), finish);
      else file.writeSyncedThen(page, this.#metaPosition(), finish);
    });
  }

  /** All pages; they are durable when `done` is called, unless nothing is to be. */
  #writeRunsThen(file: DiskFile, done: (error: DiskError | null) => void): void {
    const { noSync } = this.#options;
    const maxBytes = this.#pieceBytes;
    const runs = new Runs(this.#writer, this.state.meta.pageSizeBytes, maxBytes);
    let unsyncedBytes = 0;
    let syncedAlone = 0;
    const sync = (then: (error: DiskError | null) => void): void => {
      unsyncedBytes = 0;
      file.syncThen(then);
    };
    const next = (error: DiskError | null): void => {
      if (error !== null) return done(error);
      if (unsyncedBytes >= maxBytes) return sync(next);
      if (!runs.next()) return unsyncedBytes > 0 ? sync(done) : done(null);
      this.#runs++;
      if (!noSync && runs.sizeBytes >= MIN_SYNCED_BYTES && syncedAlone < MAX_SYNCED_ALONE) {
        syncedAlone++;
        return file.writeSyncedThen(runs.chunks, runs.position, next);
      }
      if (!noSync) unsyncedBytes += runs.sizeBytes;
      file.writeThen(runs.chunks, runs.position, next);
    };
    next(null);
  }

  get #pieceBytes(): number {
    const { pageSizeBytes } = this.state.meta;
    const share = Math.ceil(this.#writer.pageCount / USUAL_WRITES) * pageSizeBytes;
    return Math.max(MAX_WRITE_BYTES, Math.min(MAX_LARGE_WRITE_BYTES, share));
  }

  #metaPosition(): number {
    const { meta } = this.state;
    return (meta.txid % 2) * meta.pageSizeBytes;
  }

  #metaPage(): Uint8Array {
    const { meta } = this.state;
    return metaPage(meta, meta.txid % 2);
  }

  *#timed(steps: Steps, add: (ms: number) => void): Steps {
    for (;;) {
      const began = this.#now();
      const { done, value } = steps.next();
      add(this.#now() - began);
      if (done) return;
      yield value;
    }
  }

  #now(): number {
    return this.#options.clock === null ? 0 : this.#options.clock.now();
  }
}

/** The bytes of a whole meta page. */
export function metaPage(meta: Meta, slot: number): Uint8Array {
  assert(meta.pageSizeBytes >= META_BYTES, 'meta: page too small');
  const buffer = new PageBuffer(meta.pageSizeBytes);
  buffer.bytes.fill(0);
  encodeMeta(buffer.bytes, buffer.view, 0, meta, slot);
  return buffer.bytes;
}

/** The built pages in the order of the file, as few writes as they allow. */
class Runs {
  position = 0;
  sizeBytes = 0;
  chunks: Uint8Array[] = [];
  readonly #writer: PageWriter;
  readonly #pageSizeBytes: number;
  /** A run ends with the page that makes it so long. */
  readonly #maxBytes: number;
  /** By page id: the page's number in the writer's lists. */
  readonly #order: Float64Array;
  #next = 0;

  constructor(writer: PageWriter, pageSizeBytes: number, maxBytes: number) {
    this.#writer = writer;
    this.#pageSizeBytes = pageSizeBytes;
    this.#maxBytes = maxBytes;
    this.#order = orderOf(writer.pgids);
  }

  /** Moves to the next run; false at the end. */
  next(): boolean {
    const { pgids, lengths, slabs, bases } = this.#writer;
    const order = this.#order;
    if (this.#next === order.length) return false;
    const size = this.#pageSizeBytes;
    const firstPgid = pgids.at(order[this.#next]!);
    let expected = firstPgid;
    const isFull = (): boolean => (expected - firstPgid) * size >= this.#maxBytes;
    this.chunks = [];
    this.position = firstPgid * size;
    while (this.#next < order.length && pgids.at(order[this.#next]!) === expected && !isFull()) {
      const slab = slabs[order[this.#next]!]!;
      const start = bases.at(order[this.#next]!);
      let end = start;
      // Pages that follow each other in memory as in the file make one chunk.
      for (; this.#next < order.length && !isFull(); this.#next++) {
        const page = order[this.#next]!;
        if (pgids.at(page) !== expected || slabs[page] !== slab || bases.at(page) !== end) break;
        expected += lengths.at(page);
        end += lengths.at(page) * size;
      }
      this.chunks.push(slab.bytes.subarray(start, end));
    }
    this.sizeBytes = (expected - firstPgid) * size;
    return true;
  }
}

/** So many pages can be told apart beside a page id in the 53 bits of a number. */
const ORDER_LIMIT = 2 ** 22;

/** The positions in a list of page ids, by page id. */
function orderOf(pgids: IntList): Float64Array {
  assert(pgids.count < ORDER_LIMIT, 'commit: too many pages in one transaction');
  const order = new Float64Array(pgids.count);
  let sorted = true;
  for (let i = 0; i < pgids.count; i++) {
    order[i] = i;
    if (i > 0 && pgids.at(i) < pgids.at(i - 1)) sorted = false;
  }
  // Places are taken from the front of the file on, so mostly there is nothing to do.
  if (sorted) return order;
  for (let i = 0; i < pgids.count; i++) order[i] = pgids.at(i) * ORDER_LIMIT + i;
  // Without a comparison function, the engine sorts numbers by itself.
  order.sort();
  for (let i = 0; i < order.length; i++) order[i] = order[i]! % ORDER_LIMIT;
  return order;
}
