/**
 * Removes the oldest files where there are more than `--max-snapshots` or `--max-wals`. Log segments that a member still
 * needs are locked by it; the lock is what protects them.
 */
import { type Clock, type Disk, DiskError, type Logger, SILENT_LOGGER, type Timer } from '@etcd/base';

export interface PurgeTarget {
  readonly directory: string;
  /** `.wal`, `.snap` or `.snap.db`: names sort from old to new. */
  readonly suffix: string;
  /** How many are kept; 0 keeps all. */
  readonly maxCount: number;
  /** Stop at the first file that is locked. */
  readonly respectLocks: boolean;
}

export interface PurgeOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly targets: readonly PurgeTarget[];
  readonly logger?: Logger | undefined;
  /** A file could not be removed: purging has stopped, and the program should. */
  readonly onError: (error: DiskError) => void;
}

/** What a member purges, with the limits of its configuration. */
export function memberPurgeTargets(
  directories: { readonly snap: string; readonly wal: string },
  limits: { readonly maxSnapshots: number; readonly maxWals: number },
): PurgeTarget[] {
  const { snap, wal } = directories;
  const { maxSnapshots, maxWals } = limits;
  return [
    { directory: snap, suffix: '.snap.db', maxCount: maxSnapshots, respectLocks: false },
    { directory: snap, suffix: '.snap', maxCount: maxSnapshots, respectLocks: false },
    { directory: wal, suffix: '.wal', maxCount: maxWals, respectLocks: true },
  ];
}

export const PURGE_INTERVAL_MS = 30_000;

/** Purges now and every {@link PURGE_INTERVAL_MS} until told to stop. */
export class PurgeLoop {
  readonly #options: PurgeOptions;
  readonly #logger: Logger;
  #timer: Timer | null = null;
  #isStopped = false;

  constructor(options: PurgeOptions) {
    this.#options = options;
    this.#logger = options.logger ?? SILENT_LOGGER;
  }

  start(): void {
    this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #run(): void {
    const { disk, clock, targets, onError } = this.#options;
    try {
      for (const target of targets) purgeFiles(disk, target, this.#logger);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#logger.error('failed to remove file', { path: error.path, error: error.message });
      return onError(error);
    }
    if (!this.#isStopped) this.#timer = clock.setTimer(PURGE_INTERVAL_MS, () => this.#run());
  }
}

/** Removes what is too much, oldest first; returns the names. Throws {@link DiskError}. */
function purgeFiles(disk: Disk, target: PurgeTarget, logger: Logger = SILENT_LOGGER): string[] {
  if (target.maxCount === 0) return [];
  const names = disk.readDirectory(target.directory).filter((name) => name.endsWith(target.suffix));
  const purged: string[] = [];
  for (const name of names.slice(0, Math.max(0, names.length - target.maxCount))) {
    const path = disk.join(target.directory, name);
    if (!removeUnlocked(disk, path, target.respectLocks)) {
      logger.debug('kept a file that is in use', { path });
      break;
    }
    logger.info('purged', { path });
    purged.push(name);
  }
  return purged;
}

/** The lock is held until the file is gone, so that nobody opens it in between. */
function removeUnlocked(disk: Disk, path: string, respectLock: boolean): boolean {
  if (!respectLock) {
    disk.remove(path);
    return true;
  }
  const file = disk.openFile(path, { access: 'readwrite' });
  try {
    if (!file.tryLock('ofd')) return false;
    disk.remove(path);
    return true;
  } finally {
    file.close();
  }
}
