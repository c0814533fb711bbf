/** The content of a file, written while what comes next is made. */
import type { FileHandle } from 'node:fs/promises';
import { BackupError } from './backup-error.ts';
import type { Content } from './content.ts';

/** Of which there are two: one is filled while the other is written. */
const BUFFER_BYTES = 512 * 1024;

/**
 * Writes a new file from its beginning to its end, and syncs it. Nothing is under way any more when it resolves or rejects. What the disk
 * refuses is a {@link BackupError} that names the file.
 */
export async function fillFile(file: FileHandle, path: string, content: Content): Promise<void> {
  const writer = new FileWriter(file, path);
  try {
    for await (const piece of content) {
      for (let at = 0; at < piece.length; ) {
        at += writer.take(piece, at);
        if (writer.isFull) await writer.flush();
      }
    }
    await writer.flush();
    await writer.written();
  } catch (error) {
    // The file is closed next; what fails now is no news.
    await writer.written().catch(() => {});
    throw error;
  }
  await file.sync().catch((error: Error) => refuse(path, error));
}

function refuse(path: string, error: Error): never {
  throw new BackupError(`${path}: ${error.message}`);
}

class FileWriter {
  readonly #file: FileHandle;
  readonly #path: string;
  #filling = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #writing = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #filled = 0;
  #position = 0;
  #write: Promise<void> = Promise.resolve();

  constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.#path = path;
  }

  get isFull(): boolean {
    return this.#filled === BUFFER_BYTES;
  }

  /** Takes what there is room for: so many bytes. */
  take(piece: Uint8Array, from: number): number {
    const part = piece.subarray(from, from + BUFFER_BYTES - this.#filled);
    this.#filling.set(part, this.#filled);
    this.#filled += part.length;
    return part.length;
  }

  /** Begins to write what was taken, when what was begun before is written. */
  async flush(): Promise<void> {
    await this.#write;
    const bytes = this.#filling.subarray(0, this.#filled);
    [this.#filling, this.#writing] = [this.#writing, this.#filling];
    this.#write = this.#writeAll(bytes, this.#position).catch((error: Error) => refuse(this.#path, error));
    this.#position += bytes.length;
    this.#filled = 0;
    // Told to whoever asks next.
    this.#write.catch(() => {});
  }

  /** Throws what a write has failed with. */
  async written(): Promise<void> {
    await this.#write;
  }

  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, position + at);
      at += bytesWritten;
    }
  }
}
