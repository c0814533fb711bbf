/**
 * Directories that a tool makes, all or nothing: what it writes for a member stands under another name until all of it is there, and a
 * failure removes whatever was made, parents included.
 */
import type { Disk } from '@etcd/base';
import { memberDirectory } from '@etcd/storage/data';

const DIRECTORY_MODE = 0o700;

export class StagedDirectory {
  readonly #disk: Disk;
  readonly #dataDir: string;
  /** The uppermost directories that were made, for they hold all others. */
  readonly #made: string[] = [];

  constructor(disk: Disk, dataDir: string) {
    this.#disk = disk;
    this.#dataDir = dataDir;
  }

  /** Where to write what will be `<data-dir>/member`. */
  get member(): string {
    return `${memberDirectory({ dataDir: this.#dataDir })}.unfinished`;
  }

  /** Makes a directory with its parents, to be removed after a failure. */
  make(path: string): void {
    this.willMake(path);
    this.#disk.makeDirectory(path, DIRECTORY_MODE);
  }

  /** Notes what somebody else is about to make. */
  willMake(path: string): void {
    let missing = path;
    if (this.#disk.stat(missing) !== null) return;
    for (;;) {
      const parent = this.#disk.join(missing, '..');
      if (parent === missing || this.#disk.stat(parent) !== null) break;
      missing = parent;
    }
    this.#made.push(missing);
  }

  /** All is written: gives it its name. */
  finish(): void {
    const member = memberDirectory({ dataDir: this.#dataDir });
    this.#disk.rename(this.member, member);
    this.#disk.syncDirectory(this.#dataDir);
    this.#disk.syncDirectory(this.#disk.join(this.#dataDir, '..'));
    this.#made.length = 0;
  }

  /** Removes everything, unless it is finished. */
  abandon(): void {
    for (const path of this.#made.splice(0)) this.#disk.removeDirectory(path);
  }
}
