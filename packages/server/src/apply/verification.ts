/**
 * What `ETCD_VERIFY` asks for: a member that has loaded its data, and one that has stopped, looks whether the file, the key index, the
 * leases and the log say the same. Each page and each revision is read, so a database that is too large for that is passed over, with
 * a line in the log.
 */
import { type Disk, InvariantError, type Logger } from '@etcd/base';
import { type Backend, transactionReader } from '@etcd/storage/backend';
import { backendPath, leftDataProblem, pageProblem } from '@etcd/storage/data';
import type { Lessor } from '@etcd/storage/lease';
import { indexProblem, type VerifiedStore } from '@etcd/storage/mvcc';
import type { Config } from '../config/index.ts';

/** Reading that much takes about a second. */
const MAX_VERIFIED_BYTES = 256 * 1024 * 1024;

export interface OpenedData {
  readonly backend: Backend;
  readonly logger: Logger;
  readonly store: VerifiedStore;
  readonly lessor: Lessor;
}

/** What is wrong with data that were just loaded; null if nothing is. */
export function openedProblem({ backend, logger, store, lessor }: OpenedData): string | null {
  const { path, sizeBytes } = backend;
  if (isTooLarge(path, sizeBytes, logger)) return null;
  const read = backend.beginRead();
  try {
    const reader = transactionReader(read);
    const problem =
      pageProblem(backend.database, read) ?? indexProblem(read, store) ?? lessor.differenceFrom(reader);
    if (problem === null) logger.info('verification of persisted state successful', { path });
    return problem === null ? null : `verification of persisted state failed: ${path}: ${problem}`;
  } finally {
    read.close();
  }
}

export interface StoppedData {
  readonly config: Pick<Config, 'dataDir' | 'walDir'>;
  readonly disk: Disk;
  readonly logger: Logger;
  readonly store: VerifiedStore;
  readonly lessor: Lessor;
}

/** Looks at the data that a stopped member leaves behind. Throws {@link InvariantError}: nobody can go on with them. */
export function verifyLeft({ config, disk, logger, store, lessor }: StoppedData): void {
  const path = backendPath(config);
  if (isTooLarge(path, disk.stat(path)?.sizeBytes ?? 0, logger)) return;
  const problem = leftDataProblem({
    disk,
    place: config,
    alsoCheck: (read) => indexProblem(read, store) ?? lessor.differenceFrom(transactionReader(read)),
  });
  if (problem !== null) throw new InvariantError(`verification of persisted state failed: ${problem}`);
  logger.info('verification of persisted state successful', { 'data-dir': config.dataDir });
}

function isTooLarge(path: string, sizeBytes: number, logger: Logger): boolean {
  if (sizeBytes <= MAX_VERIFIED_BYTES) return false;
  logger.info('verification of persisted state skipped: the database is too large for it', {
    path,
    'size-bytes': sizeBytes,
  });
  return true;
}
