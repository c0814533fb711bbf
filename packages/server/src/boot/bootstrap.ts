/**
 * From a data directory to the parts of a member: opens what a former run has left, or founds what is not there yet. Nothing
 * that exists is overwritten; whatever does not fit together is a {@link MemberStartError} that says what and where.
 */
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import type { Logger } from '@etcd/base';
import type { BoltError } from '@etcd/bbolt';
import type { Backend } from '@etcd/storage/backend';
import {
  backendPath,
  membershipReader,
  membershipWriter,
  snapDirectory,
  walDirectory,
} from '@etcd/storage/data';
import {
  formatId,
  type Member,
  type Membership,
  mendMembers,
  readMembership,
} from '@etcd/storage/membership';
import {
  ConsistentIndex,
  createAuthBuckets,
  createMemberBuckets,
  createMetaBucket,
  forgetPosition,
  trimCluster,
  trimMembers,
} from '@etcd/storage/schema';
import { Snapshotter } from '@etcd/storage/snap';
import { newestSnapshot, walExists } from '@etcd/storage/wal';
import { openMemberBackend } from '../apply/index.ts';
import { MemberStartError } from '../config/index.ts';
import { adoptsDatabase, forgetOldSnapshots, matchDatabase } from './database-file.ts';
import { prepareFounding } from './founding.ts';
import { foundLog, type LogOptions, type LogParts, readOptions } from './log-parts.ts';
import { openLog } from './reopen.ts';
import { startError } from './start-error.ts';

export interface BootstrapOptions extends LogOptions {
  readonly onBackendFatal: (error: BoltError) => void;
}

export interface MemberParts extends LogParts {
  readonly backend: Backend;
  readonly consistentIndex: ConsistentIndex;
  readonly snapshotter: Snapshotter;
}

const DIRECTORY_MODE = 0o700;

export async function bootstrap(options: BootstrapOptions): Promise<MemberParts> {
  try {
    return await openParts(options);
  } catch (error) {
    throw startError(error);
  }
}

async function openParts(given: BootstrapOptions): Promise<MemberParts> {
  const { config, disk, clock, metrics } = given;
  const logger = given.logger.child({ caller: 'server/bootstrap' });
  const options = { ...given, logger };
  makeDirectories(options);
  const snapshotter = new Snapshotter({
    disk,
    clock,
    directory: snapDirectory(config),
    logger: logger.child({ caller: 'storage/snap' }),
    onSync: (durationMs) => metrics.snapFsyncDurationSeconds.observe(durationMs / 1000),
    onSave: (durationMs, encodingMs) => {
      metrics.snapSaveTotalDurationSeconds.observe(durationMs / 1000);
      metrics.snapSaveMarshallingSeconds.observe(encodingMs / 1000);
    },
    onDbSave: (durationMs) => metrics.snapDbSaveTotalDurationSeconds.observe(durationMs / 1000),
    onDbSync: (durationMs) => metrics.snapDbFsyncDurationSeconds.observe(durationMs / 1000),
  });
  snapshotter.removeLeftovers();
  const hasLog = walExists(disk, walDirectory(config));
  const adopts = !hasLog && adoptsDatabase(options);
  const founding = hasLog ? null : await prepareFounding(options, false);
  const record = hasLog ? newestSnapshot(readOptions(options)) : new WalSnapshot();
  if (hasLog) matchDatabase(options, snapshotter, record.index);
  const hadBackend = disk.stat(backendPath(config)) !== null;
  const backend = openMemberBackend(options);
  try {
    if (adopts) await adoptDatabase(options, backend, snapshotter);
    const consistentIndex = new ConsistentIndex(backend);
    if (hadBackend) describeBackend(backend, consistentIndex, logger);
    const log =
      founding === null
        ? openLog(options, record, backend, consistentIndex, snapshotter)
        : foundLog(options, founding);
    const isReborn = founding === null && isUnborn(log);
    if (hasLog && !isReborn) warnOfIdleDiscovery(options);
    const otherMembers = isReborn ? await refound(options, log) : log.otherMembers;
    // Nothing is written to the database before everything has been found to fit together.
    createMetaBucket(backend);
    createMemberBuckets(backend);
    // Real etcd that gets this database as a snapshot can't go on without them.
    createAuthBuckets(backend);
    storeMembership(backend, log.membership, logger);
    if (hadBackend) await defragmentIfWorthwhile(options, backend);
    return { backend, consistentIndex, snapshotter, ...log, otherMembers };
  } catch (error) {
    backend.close();
    throw error;
  }
}

function warnOfIdleDiscovery({ config, discover, logger }: BootstrapOptions): void {
  if (discover === null) return;
  logger.warn('discovery token is ignored since cluster already initialized; valid logs are found', {
    'wal-dir': walDirectory(config),
  });
}

/** What is in them is made durable where it is made; their own names are, here. */
function makeDirectories({ config, disk }: BootstrapOptions): void {
  const { dataDir } = config;
  const isNew = disk.stat(dataDir) === null;
  disk.makeDirectory(snapDirectory(config), DIRECTORY_MODE);
  if (config.unsafeNoFsync) return;
  if (isNew) disk.syncDirectory(disk.join(dataDir, '..'));
  disk.syncDirectory(dataDir);
}

function describeBackend(backend: Backend, consistentIndex: ConsistentIndex, logger: Logger): void {
  logger.info('restore consistentIndex', { index: consistentIndex.index });
  logger.info('recovered v3 backend', {
    'backend-size-bytes': backend.sizeBytes,
    'backend-size-in-use-bytes': backend.sizeInUseBytes,
  });
}

/** `--bootstrap-defrag-threshold-megabytes`. */
async function defragmentIfWorthwhile({ config, logger }: BootstrapOptions, backend: Backend): Promise<void> {
  const { bootstrapDefragThresholdBytes: thresholdBytes } = config;
  if (thresholdBytes === 0) return;
  // How much is free is known when the free pages are: a commit waits for them.
  fail(await new Promise<BoltError | null>((resolve) => backend.commitNowThen(resolve)));
  const { sizeBytes, sizeInUseBytes } = backend;
  if (sizeBytes - sizeInUseBytes < thresholdBytes) {
    logger.info('Skipping defragmentation', {
      'current-db-size-bytes': sizeBytes,
      'current-db-size-in-use-bytes': sizeInUseBytes,
      'bootstrap-defrag-threshold-bytes': thresholdBytes,
    });
    return;
  }
  logger.info('defragmenting', { path: backend.path, 'current-db-size-bytes': sizeBytes });
  fail(await new Promise<BoltError | null>((resolve) => backend.defragThen(resolve)));
  logger.info('finished defragmenting', { path: backend.path, 'current-db-size-bytes': backend.sizeBytes });
}

function fail(error: BoltError | null): void {
  if (error !== null) throw error;
}

// --- a new cluster

/**
 * Makes the keys that are there the beginning of a new cluster, durably, before there is a log: who the members were and how far their
 * log had been applied is forgotten, or the first entries of the new one would be taken for known.
 */
async function adoptDatabase(
  options: BootstrapOptions,
  backend: Backend,
  snapshotter: Snapshotter,
): Promise<void> {
  options.logger.warn('found a database without a log; its keys become part of the new cluster', {
    path: backend.path,
  });
  createMetaBucket(backend);
  forgetPosition(backend);
  trimMembers(backend);
  trimCluster(backend);
  const error = await new Promise<BoltError | null>((resolve) => backend.commitNowThen(resolve));
  if (error !== null) throw error;
  forgetOldSnapshots(options, snapshotter);
}

/** Makes the database agree with what the log says. */
function storeMembership(backend: Backend, membership: Membership, logger: Logger): void {
  const database = readMembership(membershipReader(backend));
  const findings = mendMembers(database, membership.state(), membershipWriter(backend));
  for (const finding of findings) logger.warn('mended the members in the database', { finding });
}

/** The log was created, but the run that did it ended before the first entries were in it. */
function isUnborn({ node, membership, raftStorage }: LogParts): boolean {
  return raftStorage.lastIndex() === 0 && node.term === 0 && membership.members().length === 0;
}

/** Begins anew with the log that is there, if it was made for the same cluster. */
async function refound(options: BootstrapOptions, log: LogParts): Promise<readonly Member[]> {
  const { memberId, clusterId, peers, otherMembers } = await prepareFounding(options, true);
  if (memberId !== log.memberId || clusterId !== log.clusterId) {
    const ids = `member ${formatId(log.memberId)} of cluster ${formatId(log.clusterId)}`;
    throw new MemberStartError(
      `the log in ${walDirectory(options.config)} belongs to ${ids}, which never started`,
    );
  }
  if (peers.length > 0) log.node.bootstrap(peers);
  return otherMembers;
}
