/** Backups in a directory. */
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BackupError } from './backup-error.ts';
import { PART, writeNewFile } from './new-file.ts';
import type { ObjectStore, Part } from './object-store.ts';
import { PIECE_BYTES, QUEUE_BYTES } from './stream-sizes.ts';

export class DirectoryStore implements ObjectStore {
  readonly address: string;

  constructor(path: string) {
    this.address = path;
  }

  async prepare(): Promise<void> {
    try {
      await mkdir(this.address, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new BackupError(`${this.address}: ${(error as Error).message}`);
    }
  }

  async files(): Promise<Map<string, number>> {
    if (!existsSync(this.address)) throw new BackupError(`${this.address}: no such directory`);
    const files = new Map<string, number>();
    for (const name of await readdir(this.address)) {
      if (name.endsWith(PART)) continue;
      // Between the two somebody may have removed it.
      const found = await stat(join(this.address, name)).catch(() => null);
      if (found?.isDirectory() === false) files.set(name, found.size);
    }
    return files;
  }

  async read(name: string): Promise<Readable> {
    const path = join(this.address, name);
    // So that one that is not there is no stream.
    const file = await open(path).catch((error: Error) => {
      throw new BackupError(error.message);
    });
    return createReadStream('', { fd: file, highWaterMark: PIECE_BYTES });
  }

  async write(name: string, parts: readonly Part[], signal?: AbortSignal): Promise<void> {
    await writeNewFile(join(this.address, name), async (file) => {
      const all = [...parts, file.createWriteStream({ flush: true, highWaterMark: QUEUE_BYTES })];
      await pipeline(all as never, { signal } as never);
    });
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.address, name), { force: true });
  }

  async removeUnfinished(beforeMs: number): Promise<number> {
    const parts = (await readdir(this.address)).filter(
      (name) => name.startsWith('etcd-') && name.endsWith(PART),
    );
    let count = 0;
    for (const part of parts) {
      const path = join(this.address, part);
      if ((await stat(path)).mtimeMs >= beforeMs) continue;
      await rm(path, { force: true });
      count++;
    }
    return count;
  }

  below(name: string): DirectoryStore {
    return new DirectoryStore(join(this.address, name));
  }

  close(): void {}
}
