/** Backups in a directory. A file is complete or not there, and its metadata come last. */
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackupError } from './backup-error.ts';
import { type BackupMetadata, inOrder, metadataName, parseMetadata } from './metadata.ts';
import { writeNewFile } from './new-file.ts';

const METADATA = /^(etcd-.*\.db(?:\.gz|\.zst)?(?:\.age)?)\.json$/;

export class DirectoryStore {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Throws {@link BackupError}. */
  prepare(): void {
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new BackupError(`${this.path}: ${(error as Error).message}`);
    }
  }

  /** Of all that are whole, the newest last. Throws {@link BackupError}. */
  list(): BackupMetadata[] {
    return this.#names()
      .map((name) => this.#metadataOf(name))
      .sort(inOrder);
  }

  /** By name; without one, the newest. Throws {@link BackupError}. */
  find(name: string): BackupMetadata {
    if (name !== '') {
      // Of the others none matters: what is wrong with one of them must not keep anybody from this one.
      if (this.#names().includes(name)) return this.#metadataOf(name);
      throw new BackupError(`${this.path}: no backup ${name}`);
    }
    const newest = this.list().at(-1);
    if (newest === undefined) throw new BackupError(`${this.path}: there is no backup`);
    return newest;
  }

  read(name: string): Readable {
    return createReadStream(join(this.path, name), { highWaterMark: 1 << 20 });
  }

  /**
   * Writes a file of parts that come one after the other; nothing stays behind if they do not all come. Throws {@link BackupError} when
   * there is such a file, or another process is writing it.
   */
  async write(name: string, parts: readonly (Readable | NodeJS.ReadWriteStream)[]): Promise<void> {
    await writeNewFile(join(this.path, name), async (file) => {
      await pipeline([...parts, file.createWriteStream({ flush: true })] as never);
    });
  }

  async writeMetadata(metadata: BackupMetadata): Promise<void> {
    await writeNewFile(join(this.path, metadataName(metadata.name)), async (file) => {
      await file.writeFile(`${JSON.stringify(metadata, null, 2)}\n`);
      await file.sync();
    });
  }

  /** The metadata first: what is left when that is all there was time for is no backup. */
  async remove({ name }: BackupMetadata): Promise<void> {
    await rm(join(this.path, metadataName(name)), { force: true });
    await rm(join(this.path, name), { force: true });
  }

  async discard(name: string): Promise<void> {
    await rm(join(this.path, name), { force: true });
  }

  /** Of the files that have metadata. */
  #names(): string[] {
    if (!existsSync(this.path)) throw new BackupError(`${this.path}: no such directory`);
    const names = readdirSync(this.path).map((name) => METADATA.exec(name)?.[1]);
    return names.filter((name) => name !== undefined && existsSync(join(this.path, name))) as string[];
  }

  /** The file's own name counts, not what its metadata say: who copies a backup has two of them. */
  #metadataOf(name: string): BackupMetadata {
    const path = join(this.path, metadataName(name));
    return { ...parseMetadata(readFileSync(path, 'utf8'), path), name };
  }
}
