/**
 * From a data directory to the parts of a member: opens what a former run has left, or founds what is not there yet. Nothing
 * that exists is overwritten; whatever does not fit together is a {@link MemberStartError} that says what and where.
 */
import { decodeMetadata, encodeMetadata, Metadata } from '@etcd/api/etcdserverpb';
import { ConfState, type HardState, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { type Clock, type Disk, DiskError, type Logger, type Random } from '@etcd/base';
import { BoltError } from '@etcd/bbolt';
import { MemoryStorage, RawNode } from '@etcd/raft';
import { Backend } from '@etcd/storage/backend';
import {
  type BootstrapPeer,
  bootstrapPeers,
  formatClusterVersion,
  formatId,
  isServerTooOld,
  Membership,
  MembershipError,
  type MembershipState,
  newCluster,
  parseVersion,
  readMembership,
} from '@etcd/storage/membership';
import {
  ConsistentIndex,
  createMemberBuckets,
  createMetaBucket,
  SchemaError,
  validateSchema,
} from '@etcd/storage/schema';
import { Snapshotter } from '@etcd/storage/snap';
import {
  createWal,
  EntryList,
  openWal,
  type Repair,
  repairWal,
  validSnapshots,
  type Wal,
  WalError,
  type WalOptions,
  walExists,
} from '@etcd/storage/wal';
import { membershipReader } from '../apply/membership-writer.ts';
import {
  backendPath,
  bootstrapProblem,
  type Config,
  ETCD_VERSION,
  electionTicks,
  parseInitialCluster,
  type ResolveHost,
  snapDirectory,
  urlTexts,
  walDirectory,
} from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { MemberStartError } from './member-start-error.ts';

export interface BootstrapOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: MetricHandles;
  /** For comparing URLs that name a host with those that name an address. */
  readonly resolveHost: ResolveHost;
  readonly onBackendFatal: (error: BoltError) => void;
}

export interface MemberParts {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly backend: Backend;
  readonly consistentIndex: ConsistentIndex;
  readonly membership: Membership;
  readonly snapshotter: Snapshotter;
  readonly wal: Wal;
  readonly raftStorage: MemoryStorage;
  readonly node: RawNode;
  /** Where the log that raft has begins: everything before is in the backend. */
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly confState: ConfState;
}

/** etcd's own limits on what leaves in one message and how much may be under way. */
const MAX_SIZE_PER_MESSAGE_BYTES = 1024 * 1024;
const MAX_INFLIGHT_MESSAGES = 512;
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
  disk.makeDirectory(snapDirectory(config), DIRECTORY_MODE);
  const snapshotter = new Snapshotter({
    disk,
    clock,
    directory: snapDirectory(config),
    logger: logger.child({ caller: 'storage/snap' }),
    onSync: (durationMs) => metrics.snapFsyncDurationSeconds.observe(durationMs / 1000),
    onDbSync: (durationMs) => metrics.snapDbFsyncDurationSeconds.observe(durationMs / 1000),
  });
  snapshotter.removeLeftovers();
  const hasLog = walExists(disk, walDirectory(config));
  const founding = hasLog ? null : await prepareFounding(options);
  const hadBackend = disk.stat(backendPath(config)) !== null;
  const backend = openBackend(options);
  try {
    const consistentIndex = new ConsistentIndex(backend);
    if (hadBackend) describeBackend(backend, consistentIndex, logger);
    const log =
      founding === null
        ? openLog(options, backend, consistentIndex, hadBackend)
        : foundLog(options, founding, hadBackend);
    if (founding === null && isUnborn(log)) await refound(options, log);
    // Nothing is written to the database before everything has been found to fit together.
    createMetaBucket(backend);
    createMemberBuckets(backend);
    return { backend, consistentIndex, snapshotter, ...log };
  } catch (error) {
    backend.close();
    throw error;
  }
}

function openBackend({ config, disk, clock, logger, onBackendFatal }: BootstrapOptions): Backend {
  const backend = new Backend({
    disk,
    clock,
    path: backendPath(config),
    logger: logger.child({ caller: 'storage/backend' }),
    batchIntervalMs: config.backendBatchIntervalMs,
    batchLimit: config.backendBatchLimit,
    noSync: config.unsafeNoFsync,
    onFatal: onBackendFatal,
  });
  try {
    validateSchema(backend);
    return backend;
  } catch (error) {
    backend.close();
    throw error;
  }
}

function describeBackend(backend: Backend, consistentIndex: ConsistentIndex, logger: Logger): void {
  logger.info('restore consistentIndex', { index: consistentIndex.index });
  logger.info('recovered v3 backend', {
    'backend-size-bytes': backend.sizeBytes,
    'backend-size-in-use-bytes': backend.sizeInUseBytes,
  });
}

// --- a new cluster

type LogParts = Omit<MemberParts, 'backend' | 'consistentIndex' | 'snapshotter'>;

interface Founding {
  readonly cluster: Membership;
  readonly memberId: bigint;
}

/** Who the first members are, if this member may found a cluster as it is configured. */
async function prepareFounding({ config, resolveHost }: BootstrapOptions): Promise<Founding> {
  const { cluster, error } = parseInitialCluster(config.initialCluster);
  if (error !== undefined) throw new MemberStartError(error);
  if (config.initialClusterState !== 'new') {
    throw new MemberStartError('joining an existing cluster is not supported yet');
  }
  const identity = { name: config.name, advertisePeerUrls: config.initialAdvertisePeerUrls };
  const problem = await bootstrapProblem(cluster, identity, resolveHost);
  if (problem !== null) throw new MemberStartError(problem);
  if (cluster.size > 1) throw new MemberStartError('clusters of several members are not supported yet');
  const peerUrls = new Map([...cluster].map(([name, urls]) => [name, urlTexts(urls)]));
  const membership = newCluster(config.initialClusterToken, peerUrls, config.maxLearners);
  const member = membership.memberByName(config.name);
  if (member === null)
    throw new MemberStartError(`couldn't find local name "${config.name}" in the initial cluster`);
  return { cluster: membership, memberId: member.id };
}

function foundLog(options: BootstrapOptions, { cluster, memberId }: Founding, hadBackend: boolean): LogParts {
  const { config, logger } = options;
  const { clusterId } = cluster;
  if (hadBackend) logger.warn('found a database without a log; its keys become part of the new cluster');
  const wal = createWal(walOptions(options), encodeMetadata(new Metadata({ nodeId: memberId, clusterId })));
  const raftStorage = new MemoryStorage();
  const node = newNode(options, memberId, raftStorage);
  const peers: readonly BootstrapPeer[] = bootstrapPeers(cluster);
  node.bootstrap(peers);
  logger.info('starting local member', {
    'local-member-id': formatId(memberId),
    'cluster-id': formatId(clusterId),
  });
  return {
    memberId,
    clusterId,
    wal,
    raftStorage,
    node,
    // The members come in by the first entries of the log, like all that come later.
    membership: new Membership({ clusterId, maxLearners: config.maxLearners }),
    snapshotIndex: 0,
    snapshotTerm: 0,
    confState: new ConfState(),
  };
}

// --- a member that has run before

function openLog(
  options: BootstrapOptions,
  backend: Backend,
  consistentIndex: ConsistentIndex,
  hadBackend: boolean,
): LogParts {
  const { config, logger, disk } = options;
  const records = validSnapshots({ disk, directory: walDirectory(config), logger });
  const record = records.at(-1) ?? { index: 0, term: 0 };
  checkBackend(options, consistentIndex.index, record.index, hadBackend);
  const entries = new EntryList();
  const opened = openRepaired(options, record, entries);
  const { nodeId: memberId, clusterId } = decodeMetadata(opened.metadata);
  const state = readMembership(membershipReader(backend));
  checkClusterVersion(state, backendPath(config));
  const membership = new Membership({ clusterId, state, maxLearners: config.maxLearners });
  const confState = confStateOf(state);
  const raftStorage = new MemoryStorage();
  // At index 0 too: then it only tells who votes, which may have come into the database from entries that are still there.
  raftStorage.applySnapshot(snapshotAt(record.index, record.term, confState));
  raftStorage.setHardState(opened.hardState);
  raftStorage.append(entries.entries);
  checkCommit(opened.hardState, raftStorage);
  const node = newNode(options, memberId, raftStorage);
  logger.info('restarting local member', {
    'cluster-id': formatId(clusterId),
    'local-member-id': formatId(memberId),
    'commit-index': opened.hardState.commit,
    'snapshot-index': record.index,
    'entry-count': entries.entries.length,
  });
  return {
    memberId,
    clusterId,
    wal: opened.wal,
    raftStorage,
    node,
    membership,
    snapshotIndex: record.index,
    snapshotTerm: record.term,
    confState,
  };
}

/** The backend must have come as far as the log says that it has: what is before the snapshot is not in the log any more. */
function checkBackend(
  { config, logger }: BootstrapOptions,
  backendIndex: number,
  snapshotIndex: number,
  hadBackend: boolean,
): void {
  const path = backendPath(config);
  if (!hadBackend && snapshotIndex > 0) {
    throw new MemberStartError(`database file (${path}) of the backend is missing`);
  }
  if (backendIndex >= snapshotIndex) return;
  if (backendIndex === 0) {
    logger.warn('consistent index was never saved', { 'snapshot-index': snapshotIndex });
    return;
  }
  throw new MemberStartError(
    `database file (${path} index ${backendIndex}) does not match with snapshot (index ${snapshotIndex})`,
  );
}

function checkClusterVersion({ version }: MembershipState, path: string): void {
  const server = parseVersion(ETCD_VERSION);
  if (server === null || !isServerTooOld(server, version)) return;
  const cluster = version === null ? '' : formatClusterVersion(version);
  throw new MemberStartError(
    `invalid downgrade; server version is lower than determined cluster version ` +
      `(server ${ETCD_VERSION}, cluster ${cluster}; ${path}): use a release of at least ${cluster}`,
  );
}

function openRepaired(
  options: BootstrapOptions,
  position: { readonly index: number; readonly term: number },
  entries: EntryList,
): ReturnType<typeof openWal> {
  const { disk, config, logger } = options;
  try {
    return openWal(walOptions(options), position, entries);
  } catch (error) {
    if (!(error instanceof WalError) || error.code !== 'torn') throw error;
    const repair: Repair | null = repairWal({ disk, directory: walDirectory(config), logger });
    logger.info('repaired WAL', { error: error.message, repair });
    entries.reset();
    return openWal(walOptions(options), position, entries);
  }
}

function checkCommit(hardState: HardState, storage: MemoryStorage): void {
  const last = storage.lastIndex();
  if (hardState.commit <= last) return;
  throw new MemberStartError(
    `the log ends at entry ${last}, but entries up to ${hardState.commit} were committed: it is incomplete`,
  );
}

/** The log was created, but the run that did it ended before the first entries were in it. */
function isUnborn({ node, membership, raftStorage }: LogParts): boolean {
  return raftStorage.lastIndex() === 0 && node.term === 0 && membership.members().length === 0;
}

/** Founds the cluster into the log that is there, if it was made for the same one. */
async function refound(options: BootstrapOptions, log: LogParts): Promise<void> {
  const { cluster, memberId } = await prepareFounding(options);
  if (memberId !== log.memberId || cluster.clusterId !== log.clusterId) {
    const ids = `member ${formatId(log.memberId)} of cluster ${formatId(log.clusterId)}`;
    throw new MemberStartError(
      `the log in ${walDirectory(options.config)} belongs to ${ids}, which never started`,
    );
  }
  log.node.bootstrap(bootstrapPeers(cluster));
}

// --- both

/** Voters and learners as the database has them: that is as far as the configuration has been applied. */
function confStateOf({ members }: MembershipState): ConfState {
  const voters = members.filter((member) => !member.isLearner).map((member) => member.id);
  const learners = members.filter((member) => member.isLearner).map((member) => member.id);
  return new ConfState({ voters, learners });
}

function snapshotAt(index: number, term: number, confState: ConfState): Snapshot {
  return new Snapshot({ metadata: new SnapshotMetadata({ index, term, confState }) });
}

function newNode({ config, random, logger }: BootstrapOptions, id: bigint, storage: MemoryStorage): RawNode {
  return new RawNode({
    id,
    storage,
    random,
    logger: logger.child({ caller: 'raft', logger: 'raft' }),
    electionTicks: electionTicks(config),
    heartbeatTicks: 1,
    maxSizePerMsgBytes: MAX_SIZE_PER_MESSAGE_BYTES,
    maxInflightMsgs: MAX_INFLIGHT_MESSAGES,
    checkQuorum: true,
    preVote: config.preVote,
  });
}

function walOptions({ config, disk, clock, logger, metrics }: BootstrapOptions): WalOptions {
  return {
    disk,
    clock,
    directory: walDirectory(config),
    logger: logger.child({ caller: 'storage/wal' }),
    unsafeNoFsync: config.unsafeNoFsync,
    onSync: (durationMs) => metrics.walFsyncDurationSeconds.observe(durationMs / 1000),
    onWrite: (sizeBytes, durationMs) => {
      metrics.walWriteBytesTotal.set(sizeBytes);
      metrics.walWriteDurationSeconds.observe(durationMs / 1000);
    },
  };
}

function startError(error: unknown): unknown {
  if (error instanceof BoltError) return new MemberStartError(describeBoltError(error), { cause: error });
  const isOperators =
    error instanceof WalError ||
    error instanceof SchemaError ||
    error instanceof MembershipError ||
    error instanceof DiskError;
  return isOperators ? new MemberStartError(error.message, { cause: error }) : error;
}

/** Errors of both meta pages name no page: the file is not readable from its beginning on. */
const META_ERRORS: ReadonlySet<string> = new Set([
  'not-a-database',
  'version-mismatch',
  'checksum',
  'page-size',
]);

function describeBoltError({ code, message, path, pgid, offset }: BoltError): string {
  const file = path === undefined || message.includes(path) ? '' : `${path}: `;
  if (META_ERRORS.has(code))
    return `${file}${message} (both meta pages, from offset 0 on); ${RESTORE_ADVICE}`;
  if (offset === undefined) return `${file}${message}`;
  const place = message.includes(`offset ${offset}`) ? '' : ` (page ${pgid}, offset ${offset})`;
  return `${file}${message}${place}; ${RESTORE_ADVICE}`;
}

const RESTORE_ADVICE =
  'nothing was changed: restore the file from a snapshot, or remove this member and add it again';
