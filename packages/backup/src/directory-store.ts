/** Backups in a directory. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BackupError } from './backup-error.ts';
import { abortable, type Content } from './content.ts';
import { fileContent } from './file-content.ts';
import { fillFile } from './fill-file.ts';
import { PART, writeNewFile } from './new-file.ts';
import type { ObjectStore } from './object-store.ts';

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

  async read(name: string): Promise<Content> {
    return fileContent(join(this.address, name));
  }

  async write(name: string, content: Content, signal?: AbortSignal): Promise<void> {
    const path = join(this.address, name);
    await writeNewFile(path, (file) => fillFile(file, path, abortable(content, signal)));
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
