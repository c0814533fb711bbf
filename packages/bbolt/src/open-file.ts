/** From a path to a locked file with a valid meta page: existing, or created empty. */
import type { Disk, DiskFile } from '@etcd/base';
import { DiskError } from '@etcd/base';
import type { DatabaseOptions } from './api.ts';
import { BoltError } from './bolt-error.ts';
import { FREELIST_PAGE, isPageSize, LEAF_PAGE, writePageHeader } from './format.ts';
import { decodeMeta, encodeMeta, isMetaFault, META_BYTES, type Meta, type MetaFault } from './meta.ts';
import { PageBuffer } from './page-buffer.ts';
import { ioError } from './pager.ts';

const DEFAULT_PAGE_BYTES = 4096;
const DEFAULT_MODE = 0o600;
/** Meta pages, freelist, root. */
const NEW_FILE_PAGES = 4;
/** Where a second meta page is looked for when the first can't tell the page size: as many doublings of 1 KiB. */
const PAGE_SIZE_DOUBLINGS = 14;

export interface OpenedFile {
  readonly file: DiskFile;
  readonly meta: Meta;
  /** The high-water mark of the other meta page, 0 where that is invalid. */
  readonly olderHighWaterPgid: number;
}

/** Throws {@link BoltError}; the file is closed then. */
export function openDatabaseFile(options: DatabaseOptions): OpenedFile {
  const { disk, path } = options;
  const readOnly = options.readOnly ?? false;
  try {
    const isNew = !readOnly && disk.stat(path) === null;
    if (isNew) createFile(options);
    const file = disk.openFile(path, { access: readOnly ? 'read' : 'readwrite' });
    try {
      if (!file.tryLock('flock', readOnly ? 'shared' : 'exclusive')) {
        throw new BoltError('locked', `${path}: locked by another process`, { path });
      }
      if (file.sizeBytes() === 0 && !readOnly) writeEmptyDatabase(file, options);
      else if (!isNew && !readOnly && options.noSync !== true) makeDurable(file, options);
      return { file, ...readMetas(file, path) };
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    throw ioError(error, path);
  }
}

/**
 * A process that was killed in a commit, or a copy of the file, leaves pages that are seen but not durable. The next commit may write
 * over what the last durable meta page refers to, so the one that is read now must be durable first; the file's name, too.
 */
function makeDurable(file: DiskFile, { disk, path }: DatabaseOptions): void {
  file.sync();
  disk.syncDirectory(directoryOf(disk, path));
}

/** Throws {@link BoltError} unless the file at `path` begins as a database does, and is as long as it says. */
export function checkDatabaseFile(disk: Disk, path: string): void {
  try {
    const file = disk.openFile(path, { access: 'read' });
    try {
      readMetas(file, path);
    } finally {
      file.close();
    }
  } catch (error) {
    throw ioError(error, path);
  }
}

/** Makes a whole file under another name first: a crash leaves an empty database or none. */
function createFile(options: DatabaseOptions): void {
  const { disk, path } = options;
  // etcd removes what begins like this from its directory.
  const temporary = `${path}.tmp`;
  const file = disk.openFile(temporary, {
    access: 'readwrite',
    create: true,
    mode: options.mode ?? DEFAULT_MODE,
  });
  try {
    // Two processes that create the same database: one of them wins, the other finds the file or the lock.
    if (!file.tryLock('flock'))
      throw new BoltError('locked', `${path}: being created by another process`, { path });
    file.truncate(0);
    writeEmptyDatabase(file, options);
    if (disk.stat(path) !== null)
      throw new DiskError('EEXIST', path, `EEXIST: '${path}' was created meanwhile`);
    disk.rename(temporary, path);
  } catch (error) {
    // Another process that makes the same database has it still.
    if (!(error instanceof BoltError && error.code === 'locked')) removeQuietly(disk, temporary);
    throw error;
  } finally {
    file.close();
  }
  disk.syncDirectory(directoryOf(disk, path));
}

/** Behind another failure, which is what counts. */
function removeQuietly(disk: Disk, path: string): void {
  try {
    disk.remove(path);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
  }
}

function directoryOf(disk: Disk, path: string): string {
  return disk.join(path, '..');
}

function writeEmptyDatabase(file: DiskFile, options: DatabaseOptions): void {
  const pageSizeBytes = options.pageSizeBytes ?? DEFAULT_PAGE_BYTES;
  if (!isPageSize(pageSizeBytes)) {
    throw new BoltError(
      'page-size',
      `page size ${pageSizeBytes} is not a power of two from 1024 to 16777216`,
      {
        path: options.path,
      },
    );
  }
  const buffer = new PageBuffer(NEW_FILE_PAGES * pageSizeBytes);
  const { bytes, view } = buffer;
  bytes.fill(0);
  for (const slot of [0, 1]) {
    const meta: Meta = {
      pageSizeBytes,
      rootPgid: 3,
      rootSequence: 0n,
      freelistPgid: 2,
      highWaterPgid: NEW_FILE_PAGES,
      txid: slot,
    };
    encodeMeta(bytes, view, slot * pageSizeBytes, meta, slot);
  }
  writePageHeader(view, 2 * pageSizeBytes, 2, FREELIST_PAGE, 0, 0);
  writePageHeader(view, 3 * pageSizeBytes, 3, LEAF_PAGE, 0, 0);
  file.write(bytes, 0, bytes.length, 0);
  file.sync();
}

/** The valid meta page with the highest transaction. */
export function readMetas(file: DiskFile, path: string): { meta: Meta; olderHighWaterPgid: number } {
  const first = readMeta(file, 0);
  const second = isMetaFault(first) ? findSecondMeta(file) : readMeta(file, first.pageSizeBytes);
  const valid = [first, second].filter((meta): meta is Meta => !isMetaFault(meta));
  valid.sort((a, b) => b.txid - a.txid);
  const [meta, older] = valid;
  if (meta === undefined) throw metaError(first, second, path);
  if (older !== undefined && older.pageSizeBytes !== meta.pageSizeBytes) {
    throw new BoltError('page-size', `${path}: the meta pages name different page sizes`, { path });
  }
  const neededBytes = meta.highWaterPgid * meta.pageSizeBytes;
  if (file.sizeBytes() < neededBytes) {
    const message = `${path}: truncated: ${file.sizeBytes()} bytes, but the meta page says ${neededBytes}`;
    throw new BoltError('truncated', message, { path, offset: file.sizeBytes() });
  }
  return { meta, olderHighWaterPgid: older?.highWaterPgid ?? 0 };
}

function readMeta(file: DiskFile, position: number): Meta | MetaFault {
  const buffer = new PageBuffer(META_BYTES);
  const got = file.read(buffer.bytes, 0, META_BYTES, position);
  if (got < META_BYTES) return { code: 'not-a-database', message: 'invalid database' };
  return decodeMeta(buffer.bytes, buffer.view, 0);
}

/** Without the first meta page, nothing says where the second one is. */
function findSecondMeta(file: DiskFile): Meta | MetaFault {
  let fault: MetaFault | null = null;
  for (let i = 0; i <= PAGE_SIZE_DOUBLINGS; i++) {
    const position = 1024 << i;
    const meta = readMeta(file, position);
    if (!isMetaFault(meta) && meta.pageSizeBytes === position) return meta;
    if (isMetaFault(meta) && meta.code !== 'not-a-database') fault ??= meta;
  }
  return fault ?? { code: 'not-a-database', message: 'invalid database' };
}

function metaError(first: Meta | MetaFault, second: Meta | MetaFault, path: string): BoltError {
  const faults = [first, second].filter(isMetaFault);
  // The more a page resembles a meta page, the more its fault says.
  const telling = faults.find(({ code }) => code !== 'not-a-database') ?? faults[0]!;
  return new BoltError(telling.code, `${path}: ${telling.message}`, { path, offset: 0 });
}
