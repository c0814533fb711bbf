/**
 * Prepares the next segment while the current one fills: `0.tmp` or `1.tmp`, locked, its space reserved, and filled with
 * zeros in the background where batches are small. A block that was only reserved costs its first durable write a change of the
 * file's block map as well, which is 12 KiB of the file system's journal and a flush; one that holds zeros does not
 * (docs/formats/wal.md has the measurement). Zeros come at the pace of the log, a little faster. Large batches get none: the zeros
 * would be more than the journal.
 */
import { assert, type Disk, DiskError, type DiskFile, type Logger } from '@etcd/base';

export interface PreparedSegment {
  readonly file: DiskFile;
  readonly path: string;
}

export interface PipelineOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly logger: Logger;
  readonly segmentSizeBytes: number;
  /** False where blocks are never overwritten in place (btrfs, ZFS), so that zeros gain nothing. */
  readonly zeroFill: boolean;
}

/** One write of zeros: small, so that a log write that meets it on the disk is held up little. */
const CHUNK_BYTES = 256 * 1024;
const ZEROS = new Uint8Array(CHUNK_BYTES);
/** Bytes of zeros per byte of log: so much more than one that a segment is ready in time where some of the batches are large. */
const PACE = 1.25;
/** A batch that is larger writes more zeros than it spares the file system's journal. */
const SMALL_BATCH_BYTES = 16 * 1024;

export class SegmentPipeline {
  readonly #options: PipelineOptions;
  #next: PreparedSegment | null = null;
  /** How much of {@link #next} holds zeros. */
  #zeroedBytes = 0;
  /** A write or sync of zeros is under way: the file must not be used, nor closed. */
  #isBusy = false;
  /** The file of that write, if it is no longer wanted. */
  #abandoned: PreparedSegment | null = null;
  /** Zeros that may be written now. */
  #creditBytes = 0;
  readonly #chunkBytes: number;
  #isClosed = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#chunkBytes = Math.min(CHUNK_BYTES, options.segmentSizeBytes / 4);
  }

  /** A batch of that size was written. Hot: almost always no more than this. */
  advance(batchBytes: number): void {
    if (batchBytes <= SMALL_BATCH_BYTES) {
      this.#creditBytes += PACE * batchBytes;
      if (this.#creditBytes >= this.#chunkBytes) this.#work();
    } else if (this.#next === null && this.#creditBytes >= 0) this.#reserve();
  }

  /** The next segment, ready to be written and renamed: the caller's from now on. Made on the spot if need be. */
  take(): PreparedSegment {
    assert(!this.#isClosed, 'wal: pipeline used after close');
    const prepared = this.#next;
    this.#next = null;
    this.#creditBytes = 0;
    this.#zeroedBytes = 0;
    if (prepared !== null && !this.#isBusy) return prepared;
    // Zeros on their way could land on top of records: that file is given up, and there are two names to choose from.
    this.#abandoned = prepared ?? this.#abandoned;
    return this.#create();
  }

  /** Removes what was prepared. */
  close(): void {
    this.#isClosed = true;
    if (this.#isBusy) this.#abandoned = this.#next ?? this.#abandoned;
    else if (this.#next !== null) this.#discard(this.#next);
    this.#next = null;
  }

  /** Makes the file, so that a cut need not; whether it gets zeros as well is seen later. */
  #reserve(): void {
    if (this.#isClosed || this.#isBusy) return;
    this.#next = this.#tryCreate();
    if (this.#next === null) this.#rest();
  }

  #work(): void {
    if (this.#isClosed || this.#isBusy) return;
    this.#next ??= this.#tryCreate();
    const { segmentSizeBytes, zeroFill } = this.#options;
    if (this.#next === null || !zeroFill || this.#zeroedBytes >= segmentSizeBytes) return this.#rest();
    this.#creditBytes -= this.#chunkBytes;
    this.#zeroChunk(this.#next);
  }

  /** There is nothing to do until the next segment is taken. */
  #rest(): void {
    this.#creditBytes = Number.NEGATIVE_INFINITY;
  }

  #zeroChunk(segment: PreparedSegment): void {
    const length = Math.min(this.#chunkBytes, this.#options.segmentSizeBytes - this.#zeroedBytes);
    this.#isBusy = true;
    segment.file.writeSyncedThen([ZEROS.subarray(0, length)], this.#zeroedBytes, (error) => {
      this.#zeroed(error, error === null ? length : 0);
    });
  }

  #zeroed(error: DiskError | null, lengthBytes: number): void {
    this.#isBusy = false;
    if (this.#abandoned !== null) {
      const abandoned = this.#abandoned;
      this.#abandoned = null;
      return this.#discard(abandoned);
    }
    this.#zeroedBytes += lengthBytes;
    if (error === null) return;
    // Nothing is lost: the file is dropped, and a fresh one made when it is needed; if that fails, it fails there.
    this.#warn(error);
    if (this.#next !== null) this.#discard(this.#next);
    this.#next = null;
    this.#rest();
  }

  /** null when it can't be made now: {@link take} will try again, and say why. */
  #tryCreate(): PreparedSegment | null {
    try {
      return this.#create();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#warn(error);
      return null;
    }
  }

  #create(): PreparedSegment {
    const { disk, directory, segmentSizeBytes } = this.#options;
    // At most one file is given up at a time: one of two names is always free.
    const [first, second] = [disk.join(directory, '0.tmp'), disk.join(directory, '1.tmp')];
    const path = this.#abandoned?.path === first ? second : first;
    const file = disk.openFile(path, { access: 'readwrite', create: true, mode: 0o600 });
    try {
      if (!file.tryLock('ofd')) throw new DiskError('EBUSY', path, `${path} is locked by another process`);
      // Left from a crash, it may hold the beginning of a segment.
      file.truncate(0);
      file.allocate(segmentSizeBytes);
    } catch (error) {
      file.close();
      throw error;
    }
    return { file, path };
  }

  #discard(segment: PreparedSegment): void {
    segment.file.close();
    try {
      this.#options.disk.remove(segment.path);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }

  #warn(error: DiskError): void {
    this.#options.logger.warn('failed to preallocate space when creating a new WAL', {
      error: error.message,
    });
  }
}
