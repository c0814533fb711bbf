/** Pages that lie in a row, read in long stretches: for whoever goes over a whole file. */
import type { DiskFile } from '@etcd/base';
import { copyRange, PageBuffer } from './page-buffer.ts';
import { ioError } from './pager.ts';

/** Read at once where pages follow one another. */
const STRETCH_BYTES = 256 * 1024;

const NOWHERE = -1;

export class ReadAhead {
  readonly #file: DiskFile;
  readonly #pageSizeBytes: number;
  #stretch: PageBuffer | null = null;
  /** The bytes of the file that the stretch holds. */
  #start = 0;
  #end = 0;
  /** Where the last read ended. */
  #next = NOWHERE;

  constructor(file: DiskFile, pageSizeBytes: number) {
    this.#file = file;
    this.#pageSizeBytes = pageSizeBytes;
  }

  /**
   * Reads the beginning of `buffer`, `length` bytes from a page on; what the file does not have is zero. The file's bytes there
   * must not change while this is in use: what is asked for may have been read before.
   */
  read(buffer: PageBuffer, length: number, pgid: number): void {
    const offset = pgid * this.#pageSizeBytes;
    if (offset >= this.#start && offset + length <= this.#end) this.#copy(buffer, length, offset);
    else if (offset === this.#next && length < STRETCH_BYTES) {
      this.#stretch ??= new PageBuffer(STRETCH_BYTES);
      this.#start = offset;
      this.#end = offset + this.#fill(this.#stretch, STRETCH_BYTES, offset);
      this.#copy(buffer, length, offset);
    } else buffer.bytes.fill(0, this.#fill(buffer, length, offset), length);
    this.#next = offset + length;
  }

  #copy(buffer: PageBuffer, length: number, offset: number): void {
    const got = Math.min(length, Math.max(0, this.#end - offset));
    const from = offset - this.#start;
    copyRange(this.#stretch!.bytes, from, from + got, buffer.bytes, 0);
    buffer.bytes.fill(0, got, length);
  }

  /** Returns how much there was. */
  #fill(buffer: PageBuffer, length: number, offset: number): number {
    try {
      return this.#file.read(buffer.bytes, 0, length, offset);
    } catch (error) {
      throw ioError(error, this.#file.path);
    }
  }
}
