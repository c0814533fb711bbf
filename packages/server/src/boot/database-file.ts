/**
 * The database's file before it is opened for writing: what it says of itself, whether the log that is beside it can go on with it,
 * and whether a new log may begin with it. Nothing here changes it.
 */
import type { LogIndex } from '@etcd/api';
import type { Disk, Logger } from '@etcd/base';
import { BoltError, Database } from '@etcd/bbolt';
import { KEY_BUCKET, transactionReader } from '@etcd/storage/backend';
import { backendPath, membershipReader, takeReceivedDatabase, walDirectory } from '@etcd/storage/data';
import { parseInitialCluster, readMembership } from '@etcd/storage/membership';
import { readConsistentIndex } from '@etcd/storage/schema';
import type { Snapshotter } from '@etcd/storage/snap';
import { type Config, MemberStartError } from '../config/index.ts';

/** What a database says of itself. */
export interface DatabaseFacts {
  /** The last entry that it has applied; 0 if it was never told. */
  readonly consistentIndex: number;
  /** There is more in it than an empty one has: keys, members or a position. */
  readonly isUsed: boolean;
}

export interface DatabaseFileOptions {
  readonly config: Config;
  readonly disk: Disk;
  readonly logger: Logger;
}

const RESTORE_ADVICE =
  'nothing was changed: put the file back, or remove this member from its cluster and add it again without data';

/** null if there is none: no file, or an empty one. Throws `BoltError` for anything that is no whole database. */
function inspectDatabase({ config, disk, logger }: DatabaseFileOptions): DatabaseFacts | null {
  const path = backendPath(config);
  const stat = disk.stat(path);
  if (stat === null || stat.sizeBytes === 0) return null;
  const database = Database.open({ disk, path, readOnly: true, logger });
  try {
    const transaction = database.beginRead();
    try {
      const reader = transactionReader(transaction);
      const { index: consistentIndex } = readConsistentIndex(reader);
      const hasKeys = transaction.bucket(KEY_BUCKET.nameBytes)?.cursor().first() ?? false;
      const hasMembers = readMembership(membershipReader(reader)).members.length > 0;
      return { consistentIndex, isUsed: consistentIndex > 0 || hasKeys || hasMembers };
    } finally {
      transaction.close();
    }
  } finally {
    database.close();
  }
}

/**
 * Makes sure that the database reaches to where the log begins, at `snapshotIndex`: what is before that is nowhere else. A crash may have
 * come between the log's record of a snapshot from the leader and the taking over of its database, which is done then. Throws
 * {@link MemberStartError} or `BoltError` if there is no way to go on, with everything as it was.
 */
export function matchDatabase(
  options: DatabaseFileOptions,
  snapshotter: Snapshotter,
  snapshotIndex: LogIndex,
): void {
  const isReceived = snapshotIndex > 0 && snapshotter.hasDb(snapshotIndex);
  const facts = isReceived ? inspectReplaceable(options) : inspectDatabase(options);
  if ((facts?.consistentIndex ?? 0) >= snapshotIndex) return;
  if (isReceived) {
    options.logger.info('taking over the database of a received snapshot', {
      'snapshot-index': snapshotIndex,
    });
    return takeReceivedDatabase(options.config, options.disk, snapshotter, snapshotIndex);
  }
  throw new MemberStartError(
    `failed to find database snapshot file (snap: snapshot file doesn't exist): ` +
      `${describeMismatch(options, facts, snapshotIndex)}; ${RESTORE_ADVICE}`,
  );
}

/** One that is to be replaced may be in any state, unless somebody else has it. */
function inspectReplaceable(options: DatabaseFileOptions): DatabaseFacts | null {
  try {
    return inspectDatabase(options);
  } catch (error) {
    if (error instanceof BoltError && error.code !== 'locked') return null;
    throw error;
  }
}

function describeMismatch(
  { config, disk }: DatabaseFileOptions,
  facts: DatabaseFacts | null,
  snapshotIndex: LogIndex,
): string {
  const path = backendPath(config);
  if (facts !== null) {
    return `database file (${path} index ${facts.consistentIndex}) does not match with snapshot (index ${snapshotIndex})`;
  }
  const what = disk.stat(path) === null ? 'missing' : 'empty';
  return `database file (${path}) of the backend is ${what}, but the log begins behind snapshot ${snapshotIndex}`;
}

/**
 * Whether the log that is about to be founded begins with a database that is there already: its keys become part of the new cluster. That
 * is possible for a cluster of one alone. Nobody could say that other founders have the same keys; and whoever joins a
 * cluster gets its keys from there. Throws {@link MemberStartError} then.
 */
export function adoptsDatabase(options: DatabaseFileOptions): boolean {
  const { config } = options;
  if (!(inspectDatabase(options)?.isUsed ?? false)) return false;
  const found = `found a database (${backendPath(config)}) without a log (${walDirectory(config)})`;
  if (config.initialClusterState !== 'new') {
    throw new MemberStartError(
      `${found}: a member that joins a cluster gets the keys from there; put the log back, or move the database away`,
    );
  }
  const { cluster } = parseInitialCluster(config.initialCluster);
  if (cluster === undefined || cluster.size <= 1) return true;
  throw new MemberStartError(
    `${found}: its keys can become part of a new cluster of this member alone; put the log back, leave the others out of ` +
      '--initial-cluster and add them afterwards, or restore all members from one copy: etcdutl snapshot restore --skip-hash-check',
  );
}

/** Snapshots that belonged to the log that is gone: the new one begins anew, and must never meet them. */
export function forgetOldSnapshots({ logger }: DatabaseFileOptions, snapshotter: Snapshotter): void {
  const count = snapshotter.removeAll();
  if (count > 0) logger.info('removed the snapshot files of a log that is gone', { count });
}
