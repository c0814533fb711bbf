/**
 * The bytes of one state as a file of its own: two meta pages that both name the state, then the file's pages as they are. The
 * pages of the state don't change while its transaction is open; what lies between them belongs to nobody there, and may
 * be anything.
 */
import { assert } from '@etcd/base';
import type { Snapshot } from './api.ts';
import type { BoltError } from './bolt-error.ts';
import { metaPage } from './commit.ts';
import { ioError } from './pager.ts';
import type { StateTransaction } from './read-transaction.ts';

export class StateSnapshot implements Snapshot {
  readonly sizeBytes: number;
  readonly #transaction: StateTransaction;
  readonly #metaPages: Uint8Array;
  #positionBytes = 0;
  #reading = false;

  constructor(transaction: StateTransaction) {
    const { meta } = transaction;
    this.#transaction = transaction;
    this.sizeBytes = transaction.sizeBytes;
    this.#metaPages = new Uint8Array(2 * meta.pageSizeBytes);
    // The slot of a meta page in a copy need not follow the parity of its transaction: the higher one counts.
    this.#metaPages.set(metaPage(meta, 0), 0);
    this.#metaPages.set(metaPage({ ...meta, txid: Math.max(0, meta.txid - 1) }, 1), meta.pageSizeBytes);
  }

  get positionBytes(): number {
    return this.#positionBytes;
  }

  readThen(target: Uint8Array, done: (error: BoltError | null, bytesRead: number) => void): void {
    const { file } = this.#transaction.pager;
    const { wanted, copied } = this.#begin(target);
    if (copied === wanted) return this.#end(target, copied, wanted, done);
    this.#reading = true;
    file.readThen(target, copied, wanted - copied, this.#positionBytes + copied, (error, bytesRead) => {
      this.#reading = false;
      if (error !== null) return done(ioError(error, file.path) as BoltError, 0);
      this.#end(target, copied + bytesRead, wanted, done);
    });
  }

  read(target: Uint8Array): number {
    const { file } = this.#transaction.pager;
    const { wanted, copied } = this.#begin(target);
    let filled = copied;
    try {
      if (copied < wanted) filled += file.read(target, copied, wanted - copied, this.#positionBytes + copied);
    } catch (error) {
      throw ioError(error, file.path);
    }
    this.#end(target, filled, wanted, () => {});
    return wanted;
  }

  /** Puts what comes from the meta pages into `target`. */
  #begin(target: Uint8Array): { wanted: number; copied: number } {
    assert(this.#transaction.isOpen, 'snapshot: its transaction is closed');
    assert(!this.#reading, 'snapshot: a read is under way');
    const wanted = Math.min(target.length, this.sizeBytes - this.#positionBytes);
    const metas = this.#metaPages.subarray(this.#positionBytes, this.#positionBytes + wanted);
    target.set(metas);
    return { wanted, copied: metas.length };
  }

  #end(
    target: Uint8Array,
    filled: number,
    wanted: number,
    done: (error: null, bytesRead: number) => void,
  ): void {
    // The file may have been cut behind the pages that this state uses.
    target.fill(0, filled, wanted);
    this.#positionBytes += wanted;
    done(null, wanted);
  }
}
