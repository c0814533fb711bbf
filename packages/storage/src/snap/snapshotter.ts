/**
 * The files of a member's `snap` directory, except `db` itself.
 */
import type { LogIndex, Term } from '@etcd/api';
import type { Snapshot } from '@etcd/api/raftpb';
import { type Clock, type Disk, DiskError, type DiskFile, type Logger, SILENT_LOGGER } from '@etcd/base';
import { DbReceiver } from './db-receiver.ts';
import { SnapError } from './snap-error.ts';
import {
  decodeSnapFile,
  encodeSnapFile,
  isSnapName,
  parseSnapDbName,
  snapDbName,
  snapName,
} from './snap-file.ts';
import { tryDisk } from './try-disk.ts';

export interface SnapshotterOptions {
  readonly disk: Disk;
  /** Must exist. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** Told how long each sync of a `.snap` file took, for the metrics. */
  readonly onSync?: ((durationMs: number) => void) | undefined;
  /** Told how long it took to make a `.snap` file, and how much of it was encoding. */
  readonly onSave?: ((durationMs: number, encodingMs: number) => void) | undefined;
  /** Told how long each sync of a received database took, and how long all of it, from its first byte on. */
  readonly onDbSync?: ((durationMs: number) => void) | undefined;
  readonly onDbSave?: ((durationMs: number) => void) | undefined;
}

/** Identifies a snapshot in the log. */
export interface SnapshotRecord {
  readonly index: LogIndex;
  readonly term: Term;
}

const FILE_MODE = 0o600;
/** Names of unfinished files begin so: etcd, too, removes them when it starts. */
const TEMPORARY_PREFIX = 'tmp';
/** What an interrupted defragmentation leaves. */
const DEFRAG_PREFIX = 'db.tmp';
const DB_NAME = 'db';

export class Snapshotter {
  readonly #options: SnapshotterOptions;
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #logger: Logger;
  #receivedCount = 0;

  constructor(options: SnapshotterOptions) {
    this.#options = options;
    this.#disk = options.disk;
    this.#directory = options.directory;
    this.#logger = options.logger ?? SILENT_LOGGER;
  }

  /** Removes what interrupted work has left. Once, at start. */
  removeLeftovers(): void {
    for (const name of this.#disk.readDirectory(this.#directory)) {
      if (!name.startsWith(TEMPORARY_PREFIX) && !name.startsWith(DEFRAG_PREFIX)) continue;
      this.#logger.info('found orphaned file; deleting', { path: this.#path(name) });
      this.#disk.remove(this.#path(name));
    }
  }

  /** Writes the `.snap` file; on return it is durable, and may be recorded in the log. An empty snapshot is ignored. */
  saveSnap(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    if (index === 0) return;
    const { clock } = this.#options;
    const beginMs = clock.now();
    const content = encodeSnapFile(snapshot);
    const encodingMs = clock.now() - beginMs;
    const name = snapName(term, index);
    const temporary = this.#path(`${TEMPORARY_PREFIX}-${name}`);
    const file = this.#create(temporary);
    try {
      file.write(content, 0, content.length, 0);
      const startMs = this.#options.clock.now();
      file.sync();
      this.#options.onSync?.(this.#options.clock.now() - startMs);
    } finally {
      file.close();
    }
    this.#disk.rename(temporary, this.#path(name));
    this.#disk.syncDirectory(this.#directory);
    this.#options.onSave?.(clock.now() - beginMs, encodingMs);
  }

  /** {@link saveSnap} without stopping the event loop; `done` is called after this has returned. */
  saveSnapThen(snapshot: Snapshot, done: (error: DiskError | null) => void): void {
    const { index, term } = snapshot.metadata;
    if (index === 0) return this.#options.clock.defer(() => done(null));
    const { clock } = this.#options;
    const beginMs = clock.now();
    const content = encodeSnapFile(snapshot);
    const encodingMs = clock.now() - beginMs;
    const name = snapName(term, index);
    const temporary = this.#path(`${TEMPORARY_PREFIX}-${name}`);
    const file = tryDisk(() => this.#create(temporary));
    if (file instanceof DiskError) return clock.defer(() => done(file));
    const fail = (error: DiskError): void => done(tryDisk(() => file.close()) ?? error);
    file.writeThen([content], 0, (writeError) => {
      if (writeError !== null) return fail(writeError);
      const startMs = clock.now();
      file.syncThen((syncError) => {
        if (syncError !== null) return fail(syncError);
        this.#options.onSync?.(clock.now() - startMs);
        const unnamed = tryDisk(() => {
          file.close();
          this.#disk.rename(temporary, this.#path(name));
        });
        if (unnamed !== undefined) return done(unnamed);
        this.#disk.syncDirectoryThen(this.#directory, (error) => {
          if (error === null) this.#options.onSave?.(clock.now() - beginMs, encodingMs);
          done(error);
        });
      });
    });
  }

  /** The newest snapshot. Files that can't be read are renamed to `.broken`. Throws {@link SnapError} if none is left. */
  load(): Snapshot {
    return this.#loadMatching(() => true);
  }

  /** The newest snapshot that the log knows of: one of `records`, the log's valid snapshots. */
  loadNewestAvailable(records: readonly SnapshotRecord[]): Snapshot {
    return this.#loadMatching(({ metadata: { index, term } }) =>
      records.some((record) => record.index === index && record.term === term),
    );
  }

  /** The snapshot that a record of the log names; null if its file is not there, or can't be read. */
  loadRecorded({ index, term }: SnapshotRecord): Snapshot | null {
    const path = this.#path(snapName(term, index));
    if (this.#disk.stat(path) === null) return null;
    try {
      return decodeSnapFile(this.#disk.readFile(path), path);
    } catch (error) {
      if (!(error instanceof SnapError)) throw error;
      this.#logger.warn('failed to read a snap file', { path, error: error.message });
      return null;
    }
  }

  /** Removes all snapshots, and all received databases: the log that they belong to is gone. Returns how many there were. */
  removeAll(): number {
    const names = this.#disk.readDirectory(this.#directory);
    const own = names.filter((name) => isSnapName(name) || parseSnapDbName(name) !== null);
    for (const name of own) this.#disk.remove(this.#path(name));
    if (own.length > 0) this.#disk.syncDirectory(this.#directory);
    return own.length;
  }

  /** Whether the database of the snapshot at `index` was received, and not taken over yet. */
  hasDb(index: LogIndex): boolean {
    return this.#disk.stat(this.#path(snapDbName(index))) !== null;
  }

  /** Path of the received database of the snapshot at `index`. Throws {@link SnapError} if there is none. */
  dbFilePath(index: LogIndex): string {
    const path = this.#path(snapDbName(index));
    if (this.hasDb(index)) return path;
    throw new SnapError('no-db', path, "snapshot file doesn't exist");
  }

  /**
   * Takes in the database of the snapshot at `index`, which a peer sends. At most `limitBytes` are accepted. The error says why
   * there is no file for it: no space, no descriptors, a file system that can only be read.
   */
  receiveDb(index: LogIndex, limitBytes: number): DbReceiver | DiskError {
    const name = snapDbName(index);
    const temporary = this.#path(`${TEMPORARY_PREFIX}-${this.#receivedCount++}-${name}`);
    const file = tryDisk(() => this.#create(temporary));
    if (file instanceof DiskError) return file;
    return new DbReceiver({
      disk: this.#disk,
      directory: this.#directory,
      clock: this.#options.clock,
      logger: this.#logger,
      temporary,
      path: this.#path(name),
      file,
      limitBytes,
      onSync: this.#options.onDbSync,
      onSave: this.#options.onDbSave,
    });
  }

  /**
   * Removes received databases of snapshots before `index`: they were applied, or overtaken. What can't be removed costs space, and
   * goes with the next start.
   */
  releaseSnapDbs(index: LogIndex): void {
    const names = tryDisk(() => this.#disk.readDirectory(this.#directory));
    if (names instanceof DiskError) return this.#cannotRemove(this.#directory, names);
    for (const name of names) {
      const dbIndex = parseSnapDbName(name);
      if (dbIndex === null || dbIndex >= index) continue;
      const path = this.#path(name);
      this.#logger.info('found orphaned .snap.db file; deleting', { path });
      const problem = tryDisk(() => this.#disk.remove(path));
      if (problem !== undefined) this.#cannotRemove(path, problem);
    }
  }

  #cannotRemove(path: string, { message }: DiskError): void {
    this.#logger.error('failed to remove orphaned .snap.db file', { path, error: message });
  }

  #loadMatching(isWanted: (snapshot: Snapshot) => boolean): Snapshot {
    for (const name of this.#snapNames()) {
      const snapshot = this.#tryLoad(name);
      if (snapshot !== null && isWanted(snapshot)) return snapshot;
    }
    throw new SnapError('no-snapshot', this.#directory, 'no available snapshot');
  }

  /** Newest first. */
  #snapNames(): string[] {
    const names: string[] = [];
    for (const name of this.#disk.readDirectory(this.#directory)) {
      if (isSnapName(name)) names.push(name);
      else if (name !== DB_NAME) {
        this.#logger.warn('found unexpected non-snap file; skipping', { path: this.#path(name) });
      }
    }
    return names.sort().reverse();
  }

  /** null if the content is damaged: then the file is out of the way. */
  #tryLoad(name: string): Snapshot | null {
    const path = this.#path(name);
    try {
      return decodeSnapFile(this.#disk.readFile(path), path);
    } catch (error) {
      if (!(error instanceof SnapError)) throw error;
      const brokenPath = `${path}.broken`;
      this.#logger.warn('failed to read a snap file', { path, error: error.message });
      this.#disk.rename(path, brokenPath);
      this.#logger.warn('renamed to a broken snap file', { path, 'broken-path': brokenPath });
      return null;
    }
  }

  #create(path: string): DiskFile {
    return this.#disk.openFile(path, { access: 'readwrite', create: true, truncate: true, mode: FILE_MODE });
  }

  #path(name: string): string {
    return this.#disk.join(this.#directory, name);
  }
}
