/**
 * Node's file system as a {@link Disk}. What Node has no call for — flock, open-file-description locks, fallocate —
 * goes to the C library through koffi.
 */
import fs from 'node:fs';
import path from 'node:path';
import { assert } from '../assert.ts';
import type { Disk, DiskFile, FileLockKind, FileLockMode, FileStat, OpenOptions } from '../disk.ts';
import { DiskError } from '../disk.ts';
import { allocateSpace, lockByFlock, lockByOpenFileDescription } from './libc.ts';

const DEFAULT_FILE_MODE = 0o600;

export class NodeDisk implements Disk {
  openFile(file: string, options: OpenOptions): DiskFile {
    const { constants } = fs;
    let flags = options.access === 'read' ? constants.O_RDONLY : constants.O_RDWR;
    if (options.create) flags |= constants.O_CREAT;
    if (options.exclusive) flags |= constants.O_EXCL;
    if (options.truncate) flags |= constants.O_TRUNC;
    return guarded(
      file,
      () => new NodeFile(file, fs.openSync(file, flags, options.mode ?? DEFAULT_FILE_MODE)),
    );
  }

  stat(file: string): FileStat | null {
    const stat = guarded(file, () => fs.statSync(file, { throwIfNoEntry: false }));
    if (stat === undefined) return null;
    return {
      sizeBytes: stat.size,
      isDirectory: stat.isDirectory(),
      mode: stat.mode & 0o7777,
      modifiedMs: stat.mtimeMs,
    };
  }

  readDirectory(directory: string): string[] {
    return guarded(directory, () => fs.readdirSync(directory).sort());
  }

  makeDirectory(directory: string, mode: number): void {
    guarded(directory, () => makeWithParents(path.resolve(directory), mode));
  }

  rename(from: string, to: string): void {
    guarded(from, () => fs.renameSync(from, to));
  }

  remove(file: string): void {
    guarded(file, () => fs.unlinkSync(file));
  }

  removeDirectory(directory: string): void {
    guarded(directory, () => fs.rmSync(directory, { recursive: true, force: true }));
  }

  syncDirectory(directory: string): void {
    guarded(directory, () => {
      const descriptor = fs.openSync(directory, 'r');
      try {
        fs.fsyncSync(descriptor);
      } finally {
        fs.closeSync(descriptor);
      }
    });
  }

  syncDirectoryThen(directory: string, done: (error: DiskError | null) => void): void {
    fs.open(directory, 'r', (openError, descriptor) => {
      if (openError !== null) return done(diskError(directory, openError));
      fs.fsync(descriptor, (syncError) => {
        fs.close(descriptor, (closeError) => {
          const error = syncError ?? closeError ?? null;
          done(error === null ? null : diskError(directory, error));
        });
      });
    });
  }

  readFile(file: string): Uint8Array {
    return guarded(file, () => fs.readFileSync(file));
  }

  changeMode(file: string, mode: number): void {
    guarded(file, () => fs.chmodSync(file, mode));
  }

  join(...parts: string[]): string {
    return path.join(...parts);
  }
}

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;
  /** The same file, every write to which is durable (O_DSYNC); opened when it is needed, 0 where there is no way to. */
  #syncedDescriptor: number | null = null;
  #open = true;

  constructor(file: string, descriptor: number) {
    this.path = file;
    this.#descriptor = descriptor;
  }

  sizeBytes(): number {
    return guarded(this.path, () => fs.fstatSync(this.#descriptor).size);
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0;
    try {
      while (done < length) {
        const count = fs.readSync(this.#descriptor, target, offset + done, length - done, position + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw diskError(this.path, error);
    }
    return done;
  }

  write(source: Uint8Array, offset: number, length: number, position: number): void {
    this.#write(this.#descriptor, source, offset, length, position);
  }

  writeSynced(source: Uint8Array, offset: number, length: number, position: number): void {
    const descriptor = this.#durably();
    this.#write(descriptor || this.#descriptor, source, offset, length, position);
    if (descriptor === 0) this.sync();
  }

  #write(descriptor: number, source: Uint8Array, offset: number, length: number, position: number): void {
    let done = 0;
    try {
      while (done < length) {
        done += fs.writeSync(descriptor, source, offset + done, length - done, position + done);
      }
    } catch (error) {
      throw diskError(this.path, error);
    }
  }

  /**
   * The descriptor for {@link writeSynced}. It comes by way of this one's, not of the name, which may be another file's by now; locks
   * are the first one's, and stay when this one is closed.
   */
  #durably(): number {
    this.#syncedDescriptor ??= openDurably(this.#descriptor);
    return this.#syncedDescriptor;
  }

  sync(): void {
    try {
      fs.fdatasyncSync(this.#descriptor);
    } catch (error) {
      throw diskError(this.path, error);
    }
  }

  readThen(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
    done: (error: DiskError | null, bytesRead: number) => void,
  ): void {
    let total = 0;
    const step = (): void => {
      fs.read(this.#descriptor, target, offset + total, length - total, position + total, (error, count) => {
        if (error !== null) return done(diskError(this.path, error), total);
        total += count;
        if (count === 0 || total === length) return done(null, total);
        step();
      });
    };
    step();
  }

  writeThen(chunks: readonly Uint8Array[], position: number, done: (error: DiskError | null) => void): void {
    this.#writeThen(this.#descriptor, chunks, position, done);
  }

  writeSyncedThen(
    chunks: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void {
    const descriptor = this.#durably();
    if (descriptor !== 0) return this.#writeThen(descriptor, chunks, position, done);
    this.#writeThen(this.#descriptor, chunks, position, (error) => {
      if (error !== null) return done(error);
      this.syncThen(done);
    });
  }

  #writeThen(
    descriptor: number,
    chunks: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void {
    const finish = (error: NodeJS.ErrnoException | null, written: number, total: number): void => {
      if (error !== null) return done(diskError(this.path, error));
      if (written < total) {
        // A short write is legal, if rare: go on with what is left as one buffer.
        const rest = Buffer.concat(chunks as Uint8Array[]).subarray(written);
        return this.#writeThen(descriptor, [rest], position + written, done);
      }
      done(null);
    };
    if (chunks.length === 1) {
      const only = chunks[0]!;
      fs.write(descriptor, only, 0, only.length, position, (error, n) => finish(error, n, only.length));
      return;
    }
    let total = 0;
    for (const chunk of chunks) total += chunk.length;
    if (chunks.length <= MAX_VECTOR) {
      fs.writev(descriptor, chunks as Uint8Array[], position, (error, n) => finish(error, n, total));
      return;
    }
    const first = chunks.slice(0, MAX_VECTOR);
    let firstBytes = 0;
    for (const chunk of first) firstBytes += chunk.length;
    this.#writeThen(descriptor, first, position, (error) => {
      if (error !== null) return done(error);
      this.#writeThen(descriptor, chunks.slice(MAX_VECTOR), position + firstBytes, done);
    });
  }

  syncThen(done: (error: DiskError | null) => void): void {
    fs.fdatasync(this.#descriptor, (error) => done(error === null ? null : diskError(this.path, error)));
  }

  truncate(sizeBytes: number): void {
    guarded(this.path, () => fs.ftruncateSync(this.#descriptor, sizeBytes));
  }

  allocate(sizeBytes: number): void {
    if (this.sizeBytes() >= sizeBytes) return;
    // File systems without fallocate (tmpfs of old kernels, some network ones) get a sparse file instead.
    if (!allocateSpace(this.#descriptor, sizeBytes, this.path)) this.truncate(sizeBytes);
  }

  tryLock(kind: FileLockKind, mode: FileLockMode = 'exclusive'): boolean {
    return kind === 'flock'
      ? lockByFlock(this.#descriptor, this.path, mode)
      : lockByOpenFileDescription(this.#descriptor, this.path, mode);
  }

  close(): void {
    assert(this.#open, 'disk: file closed twice');
    this.#open = false;
    guarded(this.path, () => {
      if (this.#syncedDescriptor) fs.closeSync(this.#syncedDescriptor);
      fs.closeSync(this.#descriptor);
    });
  }
}

/** 0 where a descriptor has no name in the file system: without `/proc`, or on another system than Linux. */
function openDurably(descriptor: number): number {
  try {
    return fs.openSync(`/proc/self/fd/${descriptor}`, fs.constants.O_WRONLY | fs.constants.O_DSYNC);
  } catch {
    return 0;
  }
}

/** Linux accepts 1024 buffers in one vectored write. */
const MAX_VECTOR = 1024;

/**
 * Each level is made by itself: Node's own recursive call never returns where a file system refuses a name with ENOENT
 * although the parent is there, as `/proc` does.
 */
function makeWithParents(directory: string, mode: number): void {
  try {
    fs.mkdirSync(directory, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && fs.statSync(directory).isDirectory()) return;
    const parent = path.dirname(directory);
    if (code !== 'ENOENT' || fs.existsSync(parent)) throw error;
    makeWithParents(parent, mode);
    makeWithParents(directory, mode);
  }
}

function guarded<T>(file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw diskError(file, error);
  }
}

function diskError(file: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const cause = error as NodeJS.ErrnoException;
  return new DiskError(cause.code ?? 'EIO', file, cause.message, { cause });
}
