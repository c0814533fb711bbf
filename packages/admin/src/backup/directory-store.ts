/**
 * Backups in a directory. A file is complete or not there: it is written under another name and synced, and its metadata come last.
 */
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackupError } from './backup-error.ts';
import { type BackupMetadata, inOrder, metadataName, parseMetadata } from './metadata.ts';

const PRIVATE_MODE = 0o600;
const PART = '.part';
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
    if (!existsSync(this.path)) throw new BackupError(`${this.path}: no such directory`);
    return readdirSync(this.path)
      .filter((name) => METADATA.test(name) && existsSync(join(this.path, METADATA.exec(name)![1]!)))
      .map((name) => parseMetadata(readFileSync(join(this.path, name), 'utf8'), join(this.path, name)))
      .sort(inOrder);
  }

  /** By name; without one, the newest. Throws {@link BackupError}. */
  find(name: string): BackupMetadata {
    const all = this.list();
    const found = name === '' ? all.at(-1) : all.find((one) => one.name === name);
    if (found !== undefined) return found;
    throw new BackupError(
      name === '' ? `${this.path}: there is no backup` : `${this.path}: no backup ${name}`,
    );
  }

  read(name: string): Readable {
    return createReadStream(join(this.path, name), { highWaterMark: 1 << 20 });
  }

  /** Writes a file of parts that come one after the other; nothing stays behind if they do not all come. */
  async write(name: string, parts: readonly (Readable | NodeJS.ReadWriteStream)[]): Promise<void> {
    const part = join(this.path, name + PART);
    try {
      const target = createWriteStream(part, { mode: PRIVATE_MODE, flags: 'wx', flush: true });
      await pipeline([...parts, target] as never);
      await this.#finish(part, name);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }

  async writeMetadata(metadata: BackupMetadata): Promise<void> {
    const name = metadataName(metadata.name);
    const part = join(this.path, name + PART);
    const file = await open(part, 'wx', PRIVATE_MODE);
    try {
      await file.writeFile(`${JSON.stringify(metadata, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#finish(part, name);
  }

  /** The metadata first: what is left when that is all there was time for is no backup. */
  async remove({ name }: BackupMetadata): Promise<void> {
    await rm(join(this.path, metadataName(name)), { force: true });
    await rm(join(this.path, name), { force: true });
  }

  async discard(name: string): Promise<void> {
    await rm(join(this.path, name), { force: true });
  }

  async #finish(part: string, name: string): Promise<void> {
    await rename(part, join(this.path, name));
    const directory = await open(this.path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
