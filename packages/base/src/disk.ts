/**
 * The file system as storage code sees it. Two implementations stand behind it: Node's (`@etcd/base/node`) and the
 * simulated one with lost, torn and reordered writes (`@etcd/testing`), so everything that must survive a crash is
 * tested against every crash.
 *
 * Durability contract, that of POSIX: written bytes and a changed file size are durable after {@link DiskFile.sync}
 * (or the callback of `syncThen`) returns without error; a created, renamed or removed name is durable after
 * {@link Disk.syncDirectory} of its directory. Before that, any subset of the unsynced sectors may survive a crash.
 *
 * Errors are {@link DiskError}. After a failed write or sync the state of the file is unknown and the caller must stop
 * using it: the process ends rather than retry in place.
 */

/** A failed file system operation; `code` is the errno name, as `ENOENT`. */
export class DiskError extends Error {
  override readonly name = 'DiskError';
  readonly code: string;
  readonly path: string;

  constructor(code: string, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

export interface FileStat {
  readonly sizeBytes: number;
  readonly isDirectory: boolean;
  /** Permission bits, as 0o600. */
  readonly mode: number;
  /** Unix milliseconds. */
  readonly modifiedMs: number;
}

export interface OpenOptions {
  readonly access: 'read' | 'readwrite';
  /** Create the file when absent (with {@link mode}). Without it a missing file is `ENOENT`. */
  readonly create?: boolean;
  /** With `create`: an existing file is `EEXIST`. */
  readonly exclusive?: boolean;
  /** Cut an existing file to length 0. */
  readonly truncate?: boolean;
  /** Permission bits of a created file; 0o600 unless told. */
  readonly mode?: number;
}

/**
 * Which system lock excludes other processes. bbolt locks `db` by flock(2), etcd locks WAL segments by open file
 * description locks (fcntl F_OFD_SETLK): both must be those that Go programs take, or they exclude nobody.
 */
export type FileLockKind = 'flock' | 'ofd';

/** Shared locks go together with each other, an exclusive one with none. */
export type FileLockMode = 'exclusive' | 'shared';

export interface DiskFile {
  readonly path: string;
  sizeBytes(): number;

  /** Reads up to `length` bytes at `position` into `target[offset, …)`; returns how many, fewer only at end of file. */
  read(target: Uint8Array, offset: number, length: number, position: number): number;
  /** Writes all of `source[offset, offset + length)` at `position`. */
  write(source: Uint8Array, offset: number, length: number, position: number): void;
  /** Makes written data and the file size durable (fdatasync). */
  sync(): void;
  /** {@link write}, durable on return, with the file's size: other bytes are not. Cheaper than a {@link sync} behind it. */
  writeSynced(source: Uint8Array, offset: number, length: number, position: number): void;

  /** {@link read} without stopping the event loop. `target` belongs to the file until `done` is called. */
  readThen(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
    done: (error: DiskError | null, bytesRead: number) => void,
  ): void;
  /** Writes `chunks` one after the other from `position` on. They must not change until `done` is called. */
  writeThen(chunks: readonly Uint8Array[], position: number, done: (error: DiskError | null) => void): void;
  /** {@link sync} without stopping the event loop; covers every write finished before this call. */
  syncThen(done: (error: DiskError | null) => void): void;
  /** {@link writeThen}, and what it writes is durable when `done` is called: one trip to the thread pool, not two. */
  writeSyncedThen(
    chunks: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void;

  /** Cuts or extends (with zeros) to `sizeBytes`. */
  truncate(sizeBytes: number): void;
  /** Reserves space so that the file is at least `sizeBytes` long, reading as zeros where never written. */
  allocate(sizeBytes: number): void;
  /** Takes a lock (exclusive unless told), released by {@link close}; false when another open file holds one against it. */
  tryLock(kind: FileLockKind, mode?: FileLockMode): boolean;
  close(): void;
}

export interface Disk {
  openFile(path: string, options: OpenOptions): DiskFile;
  /** null when there is nothing of that name. */
  stat(path: string): FileStat | null;
  /** Names of the entries, sorted. */
  readDirectory(path: string): string[];
  /** Creates the directory and its missing parents; existing ones are left as they are. */
  makeDirectory(path: string, mode: number): void;
  /** Replaces an existing file at `to`, atomically. */
  rename(from: string, to: string): void;
  /** Removes one file. `ENOENT` when absent. */
  remove(path: string): void;
  /** Removes a directory with all that is in it; nothing when absent. */
  removeDirectory(path: string): void;
  /** Makes created, renamed and removed names of a directory durable. */
  syncDirectory(path: string): void;
  /** {@link syncDirectory} without stopping the event loop; covers every name changed before this call. */
  syncDirectoryThen(path: string, done: (error: DiskError | null) => void): void;
  /** The whole content. */
  readFile(path: string): Uint8Array;
  changeMode(path: string, mode: number): void;
  /** A join of path parts with this disk's separator. */
  join(...parts: string[]): string;
}
