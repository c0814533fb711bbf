/**
 * A file system in memory that keeps, beside what running code sees, what would be left after a power failure.
 *
 * Model. A file is a set of 4 KiB pages; every page has a volatile version (seen by reads) and a durable one. `sync`
 * makes the volatile versions durable. Names likewise: created, renamed and removed names become durable when their
 * directory is synced. {@link SimDisk.afterCrash} draws from a seed one of the states that a crash may leave: each
 * unsynced 512-byte sector is either the old or the new one, the file size is the old or the new one, and of the
 * unsynced name changes a prefix survives (file systems journal names in order); or of each directory a prefix of its
 * own ({@link SimDiskOptions.losesNamesApart}), which is all that POSIX promises.
 *
 * Every operation first goes through {@link SimDiskOptions.onOperation}, which may throw a {@link DiskError} (an I/O
 * error, a full disk) or a {@link SimulatedCrash} (power is cut before the operation). After a crash every later
 * operation throws too: the code under test is dead, whatever it still tries to do.
 */
import type {
  Disk,
  DiskFile,
  FileLockKind,
  FileLockMode,
  FileStat,
  OpenOptions,
  SeededRandom,
} from '@etcd/base';
import { assert, DiskError } from '@etcd/base';
import { freshPage, PAGE_BYTES } from './fresh-page.ts';
import { type NameChange as Change, dropOrphans, missing, moved, normal, parentOf } from './sim-names.ts';

const SECTOR_BYTES = 512;

/** Power was cut: thrown out of the operation at which it happened, and out of all later ones. */
export class SimulatedCrash extends Error {
  override readonly name = 'SimulatedCrash';
}

export interface DiskOperation {
  readonly kind:
    | 'open'
    | 'read'
    | 'write'
    | 'sync'
    | 'truncate'
    | 'allocate'
    | 'rename'
    | 'remove'
    | 'makeDirectory'
    | 'syncDirectory';
  readonly path: string;
  /** Bytes read or written; 0 where that means nothing. */
  readonly bytes: number;
  /** How many operations went before on this disk. */
  readonly sequence: number;
}

export interface SimDiskOptions {
  /** Sees every operation before it takes effect; throws to make it fail. */
  readonly onOperation?: ((operation: DiskOperation) => void) | undefined;
  /**
   * When {@link DiskFile.writeThen} takes the bytes: as it is called (unless told), or only as it completes, as a kernel that is
   * busy may. Whoever changes a buffer before `done` writes something else then, and a kill in between leaves nothing.
   */
  readonly takesBytesLate?: ((operation: DiskOperation) => boolean) | undefined;
  /** Sees every reading of a directory, which is no operation; throws to make it fail. */
  readonly onListing?: ((path: string) => void) | undefined;
  /** A sync of a directory makes its own names durable and no others; what a crash leaves of the rest is drawn for each directory. */
  readonly losesNamesApart?: boolean | undefined;
  /** Runs the completion of an asynchronous operation later; `setImmediate` unless told. */
  readonly schedule?: ((operation: DiskOperation, complete: () => void) => void) | undefined;
}

/** A page that no file may change: shared between the volatile and the durable version. */
type Page = Uint8Array;

class Inode {
  readonly volatilePages = new Map<number, Page>();
  readonly durablePages = new Map<number, Page>();
  /** Invariant: every page whose versions differ is in here. */
  readonly dirtyPages = new Set<number>();
  /** Versions that a running sync will make durable: a write meanwhile goes to a copy. */
  readonly frozenPages = new Set<Page>();
  volatileSize = 0;
  durableSize = 0;
  mode: number;
  modifiedMs = 0;
  /** Open files that hold the lock: one exclusively, or any number together. */
  readonly lockHolders = new Set<SimFile>();
  lockMode: FileLockMode = 'exclusive';

  constructor(mode: number) {
    this.mode = mode;
  }
}

/** A directory is a name without an inode. */
type Entry = Inode | 'directory';

type NameChange = Change<Entry>;

export class SimDisk implements Disk {
  readonly #names = new Map<string, Entry>([['/', 'directory']]);
  readonly #durableNames = new Map<string, Entry>([['/', 'directory']]);
  #pendingNames: NameChange[] = [];
  #nameCount = 0;
  readonly #options: SimDiskOptions;
  readonly #openFiles = new Set<SimFile>();
  #sequence = 0;
  #crashed = false;
  /** Told of each disk that is made, if anybody wants to know. */
  static onMade: ((disk: SimDisk) => void) | null = null;
  /** Bytes of file data on this disk, as a bound for tests of space use. */
  bytesWritten = 0;
  syncCount = 0;

  constructor(options: SimDiskOptions = {}) {
    this.#options = options;
    SimDisk.onMade?.(this);
  }

  /** Operations so far: a test that cuts at each of them asks this of an uncut run first. */
  get operationCount(): number {
    return this.#sequence;
  }

  /** Where the files were opened that nobody has closed yet. */
  openPaths(): string[] {
    return [...this.#openFiles].map(({ path }) => path).sort();
  }

  /** Cuts the power now. */
  crash(): void {
    this.#crashed = true;
  }

  /**
   * The disk that the next start finds: one of the states that cutting power now may leave, chosen by `random`.
   * This disk is dead afterwards.
   */
  afterCrash(random: SeededRandom, options: SimDiskOptions = this.#options): SimDisk {
    this.#crashed = true;
    return this.crashImage(random, options);
  }

  /** The same without a crash: this disk goes on, and the image is what another machine would find. */
  crashImage(random: SeededRandom, options: SimDiskOptions = {}): SimDisk {
    const after = new SimDisk(options);
    const names = new Map(this.#durableNames);
    for (const change of this.#survivingChanges(random)) change.apply(names);
    if (this.#options.losesNamesApart === true) dropOrphans(names);
    const copies = new Map<Inode, Inode>();
    for (const [path, entry] of names) {
      const copy = entry === 'directory' ? entry : survivingInode(entry, copies, random);
      after.#names.set(path, copy);
      after.#durableNames.set(path, copy);
    }
    return after;
  }

  /**
   * The disk that the next start finds when the process was killed but the power stayed on: everything is as it was seen,
   * what was not synced is still not synced, and nobody holds a lock. This disk is dead afterwards.
   */
  afterKill(options: SimDiskOptions = this.#options): SimDisk {
    this.#crashed = true;
    const after = new SimDisk(options);
    for (const [path, entry] of this.#durableNames) after.#durableNames.set(path, entry);
    for (const [path, entry] of this.#names) {
      after.#names.set(path, entry);
      if (entry === 'directory') continue;
      entry.lockHolders.clear();
      entry.frozenPages.clear();
    }
    after.#pendingNames = this.#pendingNames;
    after.#nameCount = this.#nameCount;
    return after;
  }

  /** What a kill at this moment would leave, with the power on: this disk goes on, and the image is another one. */
  killImage(options: SimDiskOptions = {}): SimDisk {
    const image = new SimDisk(options);
    const copies = new Map<Inode, Inode>();
    for (const [path, entry] of this.#names) {
      const copy = entry === 'directory' ? entry : seenInode(entry, copies);
      image.#names.set(path, copy);
      image.#durableNames.set(path, copy);
    }
    return image;
  }

  openFile(path: string, options: OpenOptions): DiskFile {
    this.begin('open', path, 0);
    let entry = this.#names.get(path);
    if (entry === 'directory') throw new DiskError('EISDIR', path, `EISDIR: open '${path}'`);
    if (entry === undefined) {
      if (!options.create) throw missing('open', path);
      this.#requireParent(path);
      const created = new Inode(options.mode ?? 0o600);
      entry = created;
      this.#changeNames(parentOf(path), (names) => names.set(path, created));
    } else if (options.exclusive) {
      throw new DiskError('EEXIST', path, `EEXIST: open '${path}'`);
    }
    const file = new SimFile(this, path, entry, options.access === 'readwrite', this.#openFiles);
    try {
      if (options.truncate) file.truncate(0);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  stat(path: string): FileStat | null {
    const entry = this.#names.get(normal(path));
    if (entry === undefined) return null;
    if (entry === 'directory') return { sizeBytes: 0, isDirectory: true, mode: 0o700, modifiedMs: 0 };
    return {
      sizeBytes: entry.volatileSize,
      isDirectory: false,
      mode: entry.mode,
      modifiedMs: entry.modifiedMs,
    };
  }

  readDirectory(path: string): string[] {
    const directory = normal(path);
    if (this.#names.get(directory) !== 'directory') throw missing('readdir', path);
    this.#options.onListing?.(directory);
    const prefix = directory === '/' ? '/' : `${directory}/`;
    const found: string[] = [];
    for (const name of this.#names.keys()) {
      if (name.length > prefix.length && name.startsWith(prefix) && !name.includes('/', prefix.length)) {
        found.push(name.slice(prefix.length));
      }
    }
    return found.sort();
  }

  makeDirectory(path: string, _mode: number): void {
    const directory = normal(path);
    const existing = this.#names.get(directory);
    if (existing === 'directory') return;
    if (existing !== undefined) throw new DiskError('EEXIST', path, `EEXIST: mkdir '${path}'`);
    this.begin('makeDirectory', directory, 0);
    const parent = parentOf(directory);
    if (this.#names.get(parent) === undefined) this.makeDirectory(parent, _mode);
    this.#changeNames(parent, (names) => names.set(directory, 'directory'));
  }

  rename(from: string, to: string): void {
    this.begin('rename', from, 0);
    const entry = this.#names.get(from);
    if (entry === undefined) throw missing('rename', from);
    this.#requireParent(to);
    if (entry === 'directory')
      this.#pendingNames = this.#pendingNames.map((change) => moved(change, from, to));
    this.#changeNames(parentOf(to), (names) => {
      for (const [name, child] of [...names]) {
        if (name !== from && !name.startsWith(`${from}/`)) continue;
        names.delete(name);
        names.set(to + name.slice(from.length), child);
      }
    });
  }

  remove(path: string): void {
    this.begin('remove', path, 0);
    const entry = this.#names.get(path);
    if (entry === undefined || entry === 'directory') throw missing('unlink', path);
    this.#changeNames(parentOf(path), (names) => names.delete(path));
  }

  removeDirectory(path: string): void {
    const directory = normal(path);
    if (!this.#names.has(directory)) return;
    this.begin('remove', directory, 0);
    this.#changeNames(parentOf(directory), (names) => {
      for (const [name] of [...names]) {
        if (name === directory || name.startsWith(`${directory}/`)) names.delete(name);
      }
    });
  }

  syncDirectory(path: string): void {
    const directory = normal(path);
    this.begin('syncDirectory', directory, 0);
    this.#makeNamesDurable(this.#lastChangeOf(directory));
  }

  syncDirectoryThen(path: string, done: (error: DiskError | null) => void): void {
    const directory = normal(path);
    let operation: DiskOperation;
    try {
      operation = this.begin('syncDirectory', directory, 0);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      const failed: DiskOperation = { kind: 'syncDirectory', path: directory, bytes: 0, sequence: -1 };
      this.complete(failed, () => done(error));
      return;
    }
    const last = this.#lastChangeOf(directory);
    this.complete(operation, () => {
      this.#makeNamesDurable(last);
      done(null);
    });
  }

  readFile(path: string): Uint8Array {
    const file = this.openFile(path, { access: 'read' });
    const content = new Uint8Array(file.sizeBytes());
    file.read(content, 0, content.length, 0);
    file.close();
    return content;
  }

  changeMode(path: string, mode: number): void {
    const entry = this.#names.get(path);
    if (entry === undefined) throw missing('chmod', path);
    if (entry !== 'directory') entry.mode = mode;
  }

  join(...parts: string[]): string {
    return normal(parts.join('/'));
  }

  /** For {@link SimFile}. */
  begin(kind: DiskOperation['kind'], path: string, bytes: number): DiskOperation {
    if (this.#crashed) throw new SimulatedCrash(`${kind} ${path} after the crash`);
    const operation: DiskOperation = { kind, path, bytes, sequence: this.#sequence++ };
    try {
      this.#options.onOperation?.(operation);
    } catch (error) {
      if (error instanceof SimulatedCrash) this.#crashed = true;
      throw error;
    }
    return operation;
  }

  /** For {@link SimFile}. */
  takesBytesLate(operation: DiskOperation): boolean {
    return this.#options.takesBytesLate?.(operation) ?? false;
  }

  /** Runs the completion of an asynchronous operation later, unless the power is cut first. For {@link SimFile}. */
  complete(operation: DiskOperation, run: () => void): void {
    const guarded = (): void => {
      if (!this.#crashed) run();
    };
    if (this.#options.schedule !== undefined) this.#options.schedule(operation, guarded);
    else setImmediate(guarded);
  }

  #requireParent(path: string): void {
    if (this.#names.get(parentOf(path)) !== 'directory') throw missing('open', path);
  }

  #lastChangeOf(directory: string): number {
    return this.#pendingNames.findLast((change) => change.directory === directory)?.sequence ?? -1;
  }

  /** Where the journal is in order, what went before `last` becomes durable with it; else what went before it in its directory. */
  #makeNamesDurable(last: number): void {
    const isApart = this.#options.losesNamesApart === true;
    const synced = this.#pendingNames.find(({ sequence }) => sequence === last)?.directory;
    const before = this.#pendingNames.filter(({ sequence }) => sequence <= last);
    const durable = new Set(before.filter(({ directory }) => !isApart || directory === synced));
    for (const change of durable) change.apply(this.#durableNames);
    this.#pendingNames = this.#pendingNames.filter((change) => !durable.has(change));
  }

  #survivingChanges(random: SeededRandom): readonly NameChange[] {
    const pending = this.#pendingNames;
    if (this.#options.losesNamesApart !== true) return pending.slice(0, random.below(pending.length + 1));
    const counts = new Map<string, number>();
    for (const { directory } of pending) counts.set(directory, (counts.get(directory) ?? 0) + 1);
    const left = new Map([...counts].map(([directory, count]) => [directory, random.below(count + 1)]));
    return pending.filter(({ directory }) => {
      const survivors = left.get(directory)!;
      left.set(directory, survivors - 1);
      return survivors > 0;
    });
  }

  #changeNames(directory: string, apply: NameChange['apply']): void {
    apply(this.#names);
    this.#pendingNames.push({ sequence: this.#nameCount++, directory, apply });
  }
}

class SimFile implements DiskFile {
  readonly path: string;
  readonly #disk: SimDisk;
  readonly #inode: Inode;
  readonly #writable: boolean;
  readonly #openFiles: Set<SimFile>;
  #open = true;

  /** @param openFiles those of the disk, which this becomes one of until it is closed. */
  constructor(disk: SimDisk, path: string, inode: Inode, writable: boolean, openFiles: Set<SimFile>) {
    this.#disk = disk;
    this.path = path;
    this.#inode = inode;
    this.#writable = writable;
    this.#openFiles = openFiles;
    openFiles.add(this);
  }

  sizeBytes(): number {
    return this.#inode.volatileSize;
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    this.#begin('read', length);
    return this.#copyOut(target, offset, length, position);
  }

  write(source: Uint8Array, offset: number, length: number, position: number): void {
    this.#begin('write', length);
    this.#copyIn(source.subarray(offset, offset + length), position);
  }

  sync(): void {
    this.#sync(0, Number.POSITIVE_INFINITY);
  }

  /** Two operations, so that a crash may come between them, as it may come within the system's one. */
  writeSynced(source: Uint8Array, offset: number, length: number, position: number): void {
    this.write(source, offset, length, position);
    this.#sync(position, position + length);
  }

  #sync(from: number, to: number): void {
    this.#begin('sync', 0);
    this.#disk.syncCount++;
    this.#makeDurable(this.#dirtyVersions(from, to), this.#inode.volatileSize);
  }

  readThen(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
    done: (error: DiskError | null, bytesRead: number) => void,
  ): void {
    this.#later('read', length, (error) => {
      if (error !== null) return done(error, 0);
      done(null, this.#copyOut(target, offset, length, position));
    });
  }

  writeThen(chunks: readonly Uint8Array[], position: number, done: (error: DiskError | null) => void): void {
    let total = 0;
    for (const chunk of chunks) total += chunk.length;
    // Visible from then on, as in the page cache; durable or torn after a crash like any unsynced write.
    const take = (): void => {
      let at = position;
      for (const chunk of chunks) {
        this.#copyIn(chunk, at);
        at += chunk.length;
      }
    };
    let isLate = false;
    this.#later(
      'write',
      total,
      (error) => {
        if (error === null && isLate) take();
        done(error);
      },
      (operation) => {
        isLate = this.#disk.takesBytesLate(operation);
        if (!isLate) take();
      },
    );
  }

  syncThen(done: (error: DiskError | null) => void): void {
    this.#syncThen(0, Number.POSITIVE_INFINITY, done);
  }

  #syncThen(from: number, to: number, done: (error: DiskError | null) => void): void {
    let pages: ReadonlyMap<number, Page | undefined> = new Map();
    let size = 0;
    this.#later(
      'sync',
      0,
      (error) => {
        if (error === null) {
          this.#disk.syncCount++;
          this.#makeDurable(pages, size);
        }
        done(error);
      },
      () => {
        pages = this.#dirtyVersions(from, to);
        for (const page of pages.values()) if (page !== undefined) this.#inode.frozenPages.add(page);
        size = this.#inode.volatileSize;
      },
    );
  }

  writeSyncedThen(
    chunks: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void {
    let to = position;
    for (const chunk of chunks) to += chunk.length;
    this.writeThen(chunks, position, (error) => {
      if (error !== null) return done(error);
      this.#syncThen(position, to, done);
    });
  }

  truncate(sizeBytes: number): void {
    this.#begin('truncate', 0);
    const inode = this.#inode;
    if (sizeBytes < inode.volatileSize) {
      const firstWhole = Math.ceil(sizeBytes / PAGE_BYTES);
      for (const index of [...inode.volatilePages.keys()]) {
        if (index < firstWhole) continue;
        inode.volatilePages.delete(index);
        inode.dirtyPages.add(index);
      }
      const within = sizeBytes % PAGE_BYTES;
      if (within !== 0 && inode.volatilePages.has(firstWhole - 1)) {
        this.#writablePage(firstWhole - 1).fill(0, within);
      }
    }
    inode.volatileSize = sizeBytes;
  }

  allocate(sizeBytes: number): void {
    this.#begin('allocate', 0);
    if (this.#inode.volatileSize < sizeBytes) this.#inode.volatileSize = sizeBytes;
  }

  tryLock(_kind: FileLockKind, mode: FileLockMode = 'exclusive'): boolean {
    const { lockHolders, lockMode } = this.#inode;
    const others = lockHolders.size - (lockHolders.has(this) ? 1 : 0);
    if (others > 0 && (mode === 'exclusive' || lockMode === 'exclusive')) return false;
    lockHolders.add(this);
    this.#inode.lockMode = mode;
    return true;
  }

  close(): void {
    assert(this.#open, 'sim-disk: file closed twice');
    this.#open = false;
    this.#openFiles.delete(this);
    this.#inode.lockHolders.delete(this);
  }

  #begin(kind: DiskOperation['kind'], bytes: number): DiskOperation {
    assert(this.#open, 'sim-disk: file used after close');
    assert(this.#writable || kind === 'read', 'sim-disk: file opened for reading only');
    return this.#disk.begin(kind, this.path, bytes);
  }

  #later(
    kind: DiskOperation['kind'],
    bytes: number,
    done: (error: DiskError | null) => void,
    atOnce?: (operation: DiskOperation) => void,
  ): void {
    let operation: DiskOperation;
    try {
      operation = this.#begin(kind, bytes);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#disk.complete({ kind, path: this.path, bytes, sequence: -1 }, () => done(error));
      return;
    }
    atOnce?.(operation);
    this.#disk.complete(operation, () => done(null));
  }

  #copyOut(target: Uint8Array, offset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.#inode.volatileSize - position));
    for (let done = 0; done < count; ) {
      const at = position + done;
      const within = at % PAGE_BYTES;
      const step = Math.min(PAGE_BYTES - within, count - done);
      const page = this.#inode.volatilePages.get((at - within) / PAGE_BYTES);
      if (page === undefined) target.fill(0, offset + done, offset + done + step);
      else target.set(page.subarray(within, within + step), offset + done);
      done += step;
    }
    return count;
  }

  #copyIn(source: Uint8Array, position: number): void {
    for (let done = 0; done < source.length; ) {
      const at = position + done;
      const within = at % PAGE_BYTES;
      const step = Math.min(PAGE_BYTES - within, source.length - done);
      this.#writablePage((at - within) / PAGE_BYTES, step).set(source.subarray(done, done + step), within);
      done += step;
    }
    const end = position + source.length;
    if (end > this.#inode.volatileSize) this.#inode.volatileSize = end;
    this.#disk.bytesWritten += source.length;
  }

  /** The volatile version of a page, made distinct from the durable one, and not copied if all of it is about to be written. */
  #writablePage(index: number, byteCount = 0): Page {
    const inode = this.#inode;
    const page = inode.volatilePages.get(index);
    const shared =
      page === undefined || page === inode.durablePages.get(index) || inode.frozenPages.has(page);
    if (!shared) return page;
    const fresh = freshPage();
    if (page !== undefined && byteCount < PAGE_BYTES) fresh.set(page);
    inode.volatilePages.set(index, fresh);
    inode.dirtyPages.add(index);
    return fresh;
  }

  /** What a sync of [from, to) begun now makes durable; undefined where a page was cut off, which goes with the size. */
  #dirtyVersions(from: number, to: number): Map<number, Page | undefined> {
    const versions = new Map<number, Page | undefined>();
    for (const index of this.#inode.dirtyPages) {
      const page = this.#inode.volatilePages.get(index);
      const isWithin = index * PAGE_BYTES < to && (index + 1) * PAGE_BYTES > from;
      if (isWithin || page === undefined) versions.set(index, page);
    }
    return versions;
  }

  #makeDurable(versions: ReadonlyMap<number, Page | undefined>, size: number): void {
    const inode = this.#inode;
    for (const [index, page] of versions) {
      if (page === undefined) inode.durablePages.delete(index);
      else {
        inode.durablePages.set(index, page);
        inode.frozenPages.delete(page);
      }
      if (inode.volatilePages.get(index) === page) inode.dirtyPages.delete(index);
    }
    inode.durableSize = size;
  }
}

/** A file as it is seen, all of it durable. */
function seenInode(inode: Inode, copies: Map<Inode, Inode>): Inode {
  const known = copies.get(inode);
  if (known !== undefined) return known;
  const copy = new Inode(inode.mode);
  copies.set(inode, copy);
  for (const [index, page] of inode.volatilePages) {
    const own = inode.dirtyPages.has(index) ? page.slice() : page;
    copy.volatilePages.set(index, own);
    copy.durablePages.set(index, own);
  }
  copy.volatileSize = inode.volatileSize;
  copy.durableSize = inode.volatileSize;
  return copy;
}

function survivingInode(inode: Inode, copies: Map<Inode, Inode>, random: SeededRandom): Inode {
  const known = copies.get(inode);
  if (known !== undefined) return known;
  const copy = new Inode(inode.mode);
  copies.set(inode, copy);
  for (const [index, page] of inode.durablePages) copy.volatilePages.set(index, page);
  for (const index of inode.dirtyPages) {
    const mixed = mixSectors(inode.durablePages.get(index), inode.volatilePages.get(index), random);
    copy.volatilePages.set(index, mixed);
  }
  const grown = inode.volatileSize !== inode.durableSize;
  const size = grown && random.chance(0.5) ? inode.volatileSize : inode.durableSize;
  cutPages(copy.volatilePages, size);
  for (const [index, page] of copy.volatilePages) copy.durablePages.set(index, page);
  copy.volatileSize = size;
  copy.durableSize = size;
  return copy;
}

/** A page of which every sector is that of the old or of the new version. */
function mixSectors(old: Page | undefined, current: Page | undefined, random: SeededRandom): Page {
  const mixed = new Uint8Array(PAGE_BYTES);
  // One draw in three keeps or loses the page whole: real crashes are rarely a fair coin for every sector.
  const bias = random.pick([0, 0.5, 1]);
  for (let at = 0; at < PAGE_BYTES; at += SECTOR_BYTES) {
    const from = random.chance(bias) ? current : old;
    if (from !== undefined) mixed.set(from.subarray(at, at + SECTOR_BYTES), at);
  }
  return mixed;
}

/** Drops what lies behind `size`, so that growing the file again reads zeros there. */
function cutPages(pages: Map<number, Page>, size: number): void {
  for (const [index, page] of [...pages]) {
    const start = index * PAGE_BYTES;
    if (start >= size) pages.delete(index);
    else if (start + PAGE_BYTES > size) {
      const cut = new Uint8Array(PAGE_BYTES);
      cut.set(page.subarray(0, size - start));
      pages.set(index, cut);
    }
  }
}
