/**
 * Files that are whole or not there, whatever ends the process: they are written under another name, synced, and renamed. That other name
 * belongs to whoever made the file, so that two who write at once do not take each other's away.
 */
import { existsSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { BackupError } from './backup-error.ts';

const PRIVATE_MODE = 0o600;
export const PART = '.part';

/**
 * Throws {@link BackupError} when there is such a file, or another process is writing it; what `fill` throws leaves nothing behind.
 *
 * @param fill writes the content, and syncs it.
 */
export async function writeNewFile(path: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const part = path + PART;
  const directory = dirname(path);
  const file = await open(part, 'wx', PRIVATE_MODE).catch((error: NodeJS.ErrnoException) => {
    const problem =
      error.code === 'EEXIST'
        ? `there is a ${basename(part)}: it is being written, or whoever did was killed and it has to be removed`
        : error.message;
    throw new BackupError(`${directory}: ${problem}`);
  });
  try {
    try {
      // Whoever has made the part before has the name by now, or will never have it.
      if (existsSync(path)) throw new BackupError(`${directory}: there is a ${basename(path)} already`);
      await fill(file);
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await sync(directory);
}

/** Names are durable when their directory is. */
async function sync(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
