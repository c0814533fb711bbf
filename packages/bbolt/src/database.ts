/** An open database file: the way to transactions, and figures about it. */
import { assert, SILENT_LOGGER } from '@etcd/base';
import type {
  CheckVisitor,
  DatabaseOptions,
  DatabaseStatistics,
  ReadTransaction,
  WriteTransaction,
} from './api.ts';
import { Bitmap } from './bitmap.ts';
import { BoltError } from './bolt-error.ts';
import { type CheckSteps, checkState } from './check.ts';
import { Committer } from './committer.ts';
import { Defragmentation } from './defragment.ts';
import { Freelist } from './freelist.ts';
import { NO_FREELIST } from './meta.ts';
import { type OpenedFile, openDatabaseFile } from './open-file.ts';
import { Pager } from './pager.ts';
import { StateTransaction } from './read-transaction.ts';

const DEFAULT_CACHE_BYTES = 128 << 20;

export class Database {
  readonly path: string;
  readonly readOnly: boolean;
  readonly pageSizeBytes: number;
  readonly #pager: Pager;
  readonly #freelist: Freelist;
  readonly #committer: Committer;
  #open = true;

  /** Opens the file, creating it when absent. Throws {@link BoltError}. */
  static open(options: DatabaseOptions): Database {
    return new Database(options, openDatabaseFile(options));
  }

  private constructor(options: DatabaseOptions, opened: OpenedFile) {
    const { file, meta } = opened;
    this.path = options.path;
    this.readOnly = options.readOnly ?? false;
    this.pageSizeBytes = meta.pageSizeBytes;
    this.#pager = new Pager(file, meta.pageSizeBytes, options.cacheBytes ?? DEFAULT_CACHE_BYTES);
    this.#pager.highWaterPgid = meta.highWaterPgid;
    if (!this.readOnly && meta.freelistPgid === NO_FREELIST) this.#pager.plainLeaves = new Bitmap();
    this.#freelist = new Freelist(meta.txid);
    this.#committer = new Committer(
      this.#pager,
      this.#freelist,
      { meta, freelistPages: 0 },
      opened.olderHighWaterPgid,
      {
        freelist: options.freelist ?? 'stored',
        noSync: options.noSync ?? false,
        clock: options.clock ?? null,
      },
      options.logger ?? SILENT_LOGGER,
    );
  }

  /** Whether the pages of a commit are being built in slices: a transaction that begins now finishes that work first. */
  get isBuildingCommit(): boolean {
    return this.#committer.preparing;
  }

  /** The last durable state. Any number may be open. */
  beginRead(): ReadTransaction {
    this.#assertOpen();
    return new StateTransaction(this.#pager, this.#freelist, this.#committer.durable.meta);
  }

  /** One at a time, but it may begin while an earlier one is still being written by `commitThen`. */
  beginWrite(): WriteTransaction {
    this.#assertOpen();
    if (this.readOnly) {
      throw new BoltError('read-only', `${this.path}: opened for reading`, { path: this.path });
    }
    return this.#committer.begin();
  }

  /**
   * Finds out which pages are free, in slices: what the first `beginWrite` does at once otherwise. Leaf pages read since
   * the file was opened are not read again.
   */
  loadFreelistThen(done: (error: BoltError | null) => void): void {
    this.#assertOpen();
    this.#committer.loadFreelistThen(done);
  }

  /** Begins to make the file shorter, within write transactions to come; see {@link Defragmentation.step}. */
  defragment(): Defragmentation {
    this.#assertOpen();
    return new Defragmentation(this.#freelist);
  }

  /**
   * The findings of a structural check, to be drained or taken a few steps at a time. Which pages are free is compared
   * too where the state's freelist is stored, or the transaction is the newest and nothing is being written as the check
   * begins. A visitor is shown all elements on the way, so that who wants both reads the file once.
   */
  check(transaction: ReadTransaction, visitor: CheckVisitor | null = null): CheckSteps {
    this.#assertOpen();
    assert(transaction instanceof StateTransaction, 'database: not a transaction of this package');
    assert(transaction.isOpen, 'transaction: it is closed');
    const committer = this.#committer;
    const isCurrent = committer.freelistLoaded && transaction.txid === committer.durable.meta.txid;
    const isQuiet = !committer.writing && !committer.busy;
    return checkState(transaction, isCurrent && isQuiet ? this.#freelist.unused() : null, visitor);
  }

  statistics(): DatabaseStatistics {
    const committer = this.#committer;
    const freelist = this.#freelist;
    const sizeBytes = committer.durable.meta.highWaterPgid * this.pageSizeBytes;
    return {
      pageSizeBytes: this.pageSizeBytes,
      fileSizeBytes: committer.fileSizeBytes,
      sizeBytes,
      sizeInUseBytes: sizeBytes - (committer.freelistLoaded ? freelist.freeCount * this.pageSizeBytes : 0),
      freePages: freelist.freeCount,
      pendingPages: freelist.pendingCount,
      freelistLoaded: committer.freelistLoaded,
      openReaders: freelist.openReaders,
      commits: committer.commits,
      lastCommit: committer.lastCommit,
      cache: this.#pager.cache.statistics(),
    };
  }

  /** Releases file and lock. No write transaction is open and no commit under way; readers are not used any more. */
  close(): void {
    this.#assertOpen();
    assert(!this.#committer.writing, 'database: closed with a write transaction open');
    assert(!this.#committer.busy, 'database: closed with a commit under way');
    this.#open = false;
    this.#pager.file.close();
  }

  #assertOpen(): void {
    assert(this.#open, 'database: it is closed');
  }
}
