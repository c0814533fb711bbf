/**
 * The checks on a data directory before anything in it is touched: is it ours, can we write it, can others read it, does
 * another process use it. Nothing is overwritten or removed, and a directory that is not plainly ours is not changed.
 */
import type { Disk, Logger } from '@etcd/base';
import { DiskError } from '@etcd/base';
import { systemErrorText } from './system-error.ts';

/**
 *  - `unusable`: can't be created, listed or written, or is no directory.
 *  - `foreign`: holds something other than a member.
 *  - `open`: everybody on the machine can read it, and we may not change that.
 *  - `in-use`: another process has it.
 */
export type DataDirectoryErrorCode = 'unusable' | 'foreign' | 'open' | 'in-use';

export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
  readonly code: DataDirectoryErrorCode;
  readonly path: string;

  constructor(code: DataDirectoryErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

export interface DataDirectoryOptions {
  readonly disk: Disk;
  readonly dataDir: string;
  /** Paths that belong to this member and may lie inside: the log directory, log files. */
  readonly ownPaths: readonly string[];
  readonly logger: Logger;
  /** Who holds the lock of a file, for the message; null when nobody can tell. */
  findLockHolder(path: string): number | null;
}

/** What is there: a member's data, or nothing yet. */
export type DataDirectoryContent = 'member' | 'empty';

const PRIVATE_MODE = 0o700;
const EVERYBODY_BITS = 0o007;
const GROUP_BITS = 0o070;
const STICKY_BIT = 0o1000;
/** Names listed in a message, at most. */
const MAX_NAMES_SHOWN = 3;

/** Makes the directory ready for a member, or throws {@link DataDirectoryError}. Looks at what is there before it acts. */
export function prepareDataDirectory(options: DataDirectoryOptions): DataDirectoryContent {
  const { disk, dataDir, logger } = options;
  const content = identifyContent(options);
  const fields = { 'data-dir': dataDir, 'dir-type': content };
  if (content === 'member') {
    logger.info('server has already been initialized', fields);
    refuseIfInUse(options);
  } else {
    logger.info('Initialize and start etcd server', fields);
  }
  makeDirectory(disk, dataDir, 'data');
  tightenPermissions(disk, dataDir, logger);
  checkWritable(disk, dataDir, 'data');
  const member = disk.join(dataDir, 'member');
  makeDirectory(disk, member, 'member');
  checkWritable(disk, member, 'member');
  return content;
}

function identifyContent(options: DataDirectoryOptions): DataDirectoryContent {
  const { disk, dataDir, logger } = options;
  const names = listNames(disk, dataDir);
  const isMember = names.includes('member');
  if (names.includes('proxy')) {
    const what = isMember
      ? 'invalid datadir; both member and proxy directories exist'
      : 'v2 http proxy has already been deprecated in 3.6';
    throw new DataDirectoryError('foreign', dataDir, `${what}: ${dataDir}`);
  }
  const strange = names.filter((name) => name !== 'member' && !isHarmless(options, name));
  if (isMember) {
    for (const filename of strange) {
      logger.warn('found invalid file under data directory', { filename, 'data-dir': dataDir });
    }
    return 'member';
  }
  if (strange.length > 0) {
    const shown =
      strange.slice(0, MAX_NAMES_SHOWN).join(', ') + (strange.length > MAX_NAMES_SHOWN ? ', …' : '');
    const advice = 'give the member a directory of its own';
    const message = `data directory ${dataDir} holds no member but other files (${shown}); ${advice}`;
    throw new DataDirectoryError('foreign', dataDir, message);
  }
  return 'empty';
}

function listNames(disk: Disk, dataDir: string): string[] {
  try {
    const stat = disk.stat(dataDir);
    if (stat === null) return [];
    if (!stat.isDirectory) {
      throw new DataDirectoryError('unusable', dataDir, `data directory ${dataDir} is not a directory`);
    }
    return disk.readDirectory(dataDir);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const message = `failed to list data directory: open ${dataDir}: ${systemErrorText(error)}`;
    throw new DataDirectoryError('unusable', dataDir, message, { cause: error });
  }
}

/** What file systems and tools leave behind, and what the configuration itself put here. */
function isHarmless({ disk, dataDir, ownPaths }: DataDirectoryOptions, name: string): boolean {
  if (name === 'lost+found' || name.startsWith('.')) return true;
  const path = disk.join(dataDir, name);
  return ownPaths.some((own) => {
    const normalized = disk.join(own);
    return normalized === path || normalized.startsWith(`${path}/`);
  });
}

/** S14: what a member keeps is nobody's business but its own. */
function tightenPermissions(disk: Disk, dataDir: string, logger: Logger): void {
  const before = disk.stat(dataDir)!.mode;
  if ((before & GROUP_BITS) !== 0) {
    logger.warn('check file permission', {
      'data-dir': dataDir,
      permission: octal(before),
      'recommended-permission': octal(PRIVATE_MODE),
    });
  }
  if ((before & EVERYBODY_BITS) === 0) return;
  const wanted = before & ~EVERYBODY_BITS;
  // A sticky directory is one that people share, like /tmp: closing it would hurt them all.
  if ((before & STICKY_BIT) === 0) {
    try {
      disk.changeMode(dataDir, wanted);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }
  const after = disk.stat(dataDir)!.mode;
  if ((after & EVERYBODY_BITS) !== 0) {
    const advice = `chmod ${octal(wanted)} it as its owner, or choose another --data-dir`;
    const message = `data directory ${dataDir} is open to everybody (${octal(after)}); ${advice}`;
    throw new DataDirectoryError('open', dataDir, message);
  }
  logger.warn('data directory was open to everybody; tightened its permission', {
    'data-dir': dataDir,
    before: octal(before),
    after: octal(after),
  });
}

function makeDirectory(disk: Disk, path: string, what: 'data' | 'member'): void {
  try {
    disk.makeDirectory(path, PRIVATE_MODE);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const message = `cannot access ${what} directory: mkdir ${path}: ${systemErrorText(error)}`;
    throw new DataDirectoryError('unusable', path, message, { cause: error });
  }
}

function checkWritable(disk: Disk, path: string, what: 'data' | 'member'): void {
  const probe = disk.join(path, '.touch');
  try {
    disk.openFile(probe, { access: 'readwrite', create: true, mode: 0o600 }).close();
    disk.remove(probe);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const message = `cannot access ${what} directory: open ${probe}: ${systemErrorText(error)}`;
    throw new DataDirectoryError('unusable', path, message, { cause: error });
  }
}

/**
 * Asks for the lock that every etcd, Go's too, holds on its database, and lets go of it at once: the member takes it for
 * good when it opens the file. This only serves the message; between the two somebody else may come.
 */
function refuseIfInUse({ disk, dataDir, findLockHolder }: DataDirectoryOptions): void {
  const path = disk.join(dataDir, 'member', 'snap', 'db');
  if (disk.stat(path) === null) return;
  let isFree: boolean;
  try {
    const file = disk.openFile(path, { access: 'readwrite' });
    isFree = file.tryLock('flock');
    file.close();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const message = `cannot access data directory: open ${path}: ${systemErrorText(error)}`;
    throw new DataDirectoryError('unusable', path, message, { cause: error });
  }
  if (isFree) return;
  const pid = findLockHolder(path);
  const holder = pid === null ? 'another process' : `process ${pid}`;
  const advice = 'stop that process first, or choose another --data-dir';
  const message = `data directory ${dataDir} is in use: ${holder} has locked ${path}; ${advice}`;
  throw new DataDirectoryError('in-use', dataDir, message);
}

function octal(mode: number): string {
  return `0${(mode & 0o7777).toString(8).padStart(3, '0')}`;
}
