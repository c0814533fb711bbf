/**
 * A database on its way from a peer: chunks in order, then the end. It gets its name only when all of it is durable.
 */
import { assert, type Clock, type Disk, DiskError, type DiskFile, type Logger } from '@etcd/base';
import { BoltError, checkDatabaseFile } from '@etcd/bbolt';
import { SnapError } from './snap-error.ts';
import { tryDisk } from './try-disk.ts';

export interface DbReceiverOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Open and empty. */
  readonly file: DiskFile;
  readonly temporary: string;
  /** The name in the end. */
  readonly path: string;
  readonly limitBytes: number;
  readonly onSync: ((durationMs: number) => void) | undefined;
  readonly onSave: ((durationMs: number) => void) | undefined;
}

export type ReceiverDone = (error: DiskError | SnapError | null) => void;

/** So much may wait for the disk at a time. */
const SYNC_STEP_BYTES = 4 * 1024 * 1024;
/** The disk is left to others for as long as it took. */
const REST_RATIO = 1;

export class DbReceiver {
  readonly #options: DbReceiverOptions;
  readonly #startMs: number;
  #sizeBytes = 0;
  #unsyncedBytes = 0;
  #isWriting = false;
  #isOver = false;
  /** {@link abort} came during a write. */
  #isAborted = false;

  /** For `Snapshotter.receiveDb`. */
  constructor(options: DbReceiverOptions) {
    this.#options = options;
    this.#startMs = options.clock.now();
  }

  /** Bytes taken in so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Takes the next chunk, which must not change until `done`: only then may the next call come. An error ends it all, and
   * what was there is removed.
   */
  write(chunk: Uint8Array, done: ReceiverDone): void {
    this.#assertReady();
    const { file, path, limitBytes } = this.#options;
    if (this.#sizeBytes + chunk.length > limitBytes) {
      this.#discard();
      const problem = `a database of more than ${limitBytes} bytes`;
      return this.#options.clock.defer(() => done(new SnapError('too-large', path, problem)));
    }
    this.#isWriting = true;
    file.writeThen([chunk], this.#sizeBytes, (error) => {
      this.#isWriting = false;
      if (this.#isAborted) return this.#discard();
      if (error !== null) return this.#fail(error, done);
      this.#sizeBytes += chunk.length;
      this.#unsyncedBytes += chunk.length;
      if (this.#unsyncedBytes < SYNC_STEP_BYTES) return done(null);
      this.#syncSoFar(done);
    });
  }

  /**
   * A gigabyte that is synced at once would keep the disk, and whoever's log is on it, waiting for seconds. In steps, with rests in
   * between, it takes a part of what the disk can do: a fast one is hardly slowed down by that, and a slow one left to others.
   */
  #syncSoFar(done: ReceiverDone): void {
    this.#isWriting = true;
    this.#unsyncedBytes = 0;
    const { file, clock } = this.#options;
    const startMs = clock.now();
    file.syncThen((error) => {
      clock.setTimer(error === null ? REST_RATIO * (clock.now() - startMs) : 0, () => {
        this.#isWriting = false;
        if (this.#isAborted) return this.#discard();
        if (error !== null) return this.#fail(error, done);
        done(null);
      });
    });
  }

  /** All chunks are there: makes the file durable and gives it its name. One that is there already stays. */
  finish(done: ReceiverDone): void {
    this.#assertReady();
    const { file, clock } = this.#options;
    this.#isWriting = true;
    const startMs = clock.now();
    file.syncThen((error) => {
      this.#isWriting = false;
      if (this.#isAborted) return this.#discard();
      if (error !== null) return this.#fail(error, done);
      this.#options.onSync?.(clock.now() - startMs);
      this.#publish(done);
    });
  }

  /** Gives up: the sender is gone. No `done` is called any more. */
  abort(): void {
    if (this.#isOver) return;
    if (this.#isWriting) this.#isAborted = true;
    else this.#discard();
  }

  #publish(done: ReceiverDone): void {
    const { disk, directory, file, temporary, path, logger, clock, onSave } = this.#options;
    const known = tryDisk(() => disk.stat(path));
    if (known instanceof DiskError) return this.#fail(known, done);
    // Once the log names it there is no way back: what can't be opened must not get that far.
    const problem = databaseProblem(disk, temporary, path);
    if (problem !== null) return this.#fail(problem, done);
    if (known !== null) this.#discard();
    else {
      this.#isOver = true;
      const unnamed = tryDisk(() => {
        file.close();
        disk.rename(temporary, path);
      });
      if (unnamed !== undefined) {
        this.#remove();
        return done(unnamed);
      }
    }
    // The name of one that is there already may have been given by a process that was killed before it was durable.
    disk.syncDirectoryThen(directory, (error) => {
      if (error !== null) return done(error);
      onSave?.(clock.now() - this.#startMs);
      logger.info('saved database snapshot to disk', { path, bytes: this.#sizeBytes });
      done(null);
    });
  }

  #fail(error: DiskError | SnapError, done: ReceiverDone): void {
    this.#discard();
    done(error);
  }

  /** Where that fails, too, the next start removes what is left. */
  #discard(): void {
    this.#isOver = true;
    const problem = tryDisk(() => this.#options.file.close());
    if (problem !== undefined) this.#warn(problem);
    this.#remove();
  }

  #remove(): void {
    const { disk, temporary } = this.#options;
    const problem = tryDisk(() => disk.remove(temporary));
    if (problem !== undefined) this.#warn(problem);
  }

  #warn({ message }: DiskError): void {
    const { logger, temporary } = this.#options;
    logger.warn('failed to remove an unfinished database snapshot', { path: temporary, error: message });
  }

  #assertReady(): void {
    assert(!this.#isOver, 'snap: receiver used after its end');
    assert(!this.#isWriting && !this.#isAborted, 'snap: a chunk is being written');
  }
}

/** Why what is in the file `temporary` can't become the database `path`. */
function databaseProblem(disk: Disk, temporary: string, path: string): DiskError | SnapError | null {
  try {
    checkDatabaseFile(disk, temporary);
    return null;
  } catch (error) {
    if (!(error instanceof BoltError)) throw error;
    return error.cause instanceof DiskError ? error.cause : new SnapError('no-database', path, error.message);
  }
}
