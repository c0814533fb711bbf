/**
 * From a data directory to the parts of a member: opens what a former run has left, or founds what is not there yet. Nothing
 * that exists is overwritten; whatever does not fit together is a {@link MemberStartError} that says what and where.
 */
import type { ClusterId, LogIndex, MemberId, Term } from '@etcd/api';
import { decodeMetadata, encodeMetadata, Metadata } from '@etcd/api/etcdserverpb';
import { ConfState, type Entry, type HardState, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { type Disk, DiskError, type Logger, type Random, urlTexts } from '@etcd/base';
import { BoltError } from '@etcd/bbolt';
import { type LogPosition, MemoryStorage, RawNode } from '@etcd/raft';
import type { Backend } from '@etcd/storage/backend';
import {
  backendPath,
  confStateOf,
  membershipReader,
  membershipWriter,
  snapDirectory,
  walDirectory,
} from '@etcd/storage/data';
import {
  EMPTY_MEMBERSHIP,
  formatClusterVersion,
  formatId,
  isServerTooOld,
  type Member,
  Membership,
  MembershipError,
  type MembershipState,
  membershipOfSnapshot,
  mendMembers,
  parseVersion,
  readMembership,
  recoverMembership,
} from '@etcd/storage/membership';
import {
  ConsistentIndex,
  createAuthBuckets,
  createMemberBuckets,
  createMetaBucket,
  forgetPosition,
  SchemaError,
  trimCluster,
  trimMembers,
} from '@etcd/storage/schema';
import { Snapshotter } from '@etcd/storage/snap';
import {
  createWal,
  EntryList,
  newestSnapshot,
  openWal,
  type ReadOptions,
  type Repair,
  repairWal,
  type Wal,
  WalError,
  type WalOptions,
  walExists,
} from '@etcd/storage/wal';
import { openMemberBackend } from '../apply/index.ts';
import { type Config, ETCD_VERSION, electionTicks, MemberStartError } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { adoptsDatabase, forgetOldSnapshots, matchDatabase } from './database-file.ts';
import { type LogOfLostCluster, logOfNewCluster } from './force-new-cluster.ts';
import { type Founding, type FoundingOptions, prepareFounding } from './founding.ts';

export interface BootstrapOptions extends FoundingOptions {
  readonly disk: Disk;
  readonly random: Random;
  readonly metrics: MetricHandles;
  readonly onBackendFatal: (error: BoltError) => void;
  /** Size of the log's segments; etcd's unless told. */
  readonly walSegmentBytes?: number | undefined;
}

export interface MemberParts {
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  readonly backend: Backend;
  readonly consistentIndex: ConsistentIndex;
  readonly membership: Membership;
  readonly snapshotter: Snapshotter;
  readonly wal: Wal;
  readonly raftStorage: MemoryStorage;
  readonly node: RawNode;
  /** Where the log that raft has begins: everything before is in the backend. */
  readonly snapshotIndex: LogIndex;
  readonly snapshotTerm: Term;
  readonly confState: ConfState;
  /** The members of the cluster that this one joins, which its own log does not know yet. */
  readonly otherMembers: readonly Member[];
}

/** etcd's own limits on what leaves in one message and how much may be under way. */
const MAX_SIZE_PER_MESSAGE_BYTES = 1024 * 1024;
const MAX_INFLIGHT_MESSAGES = 512;
/** And our own, on the memory that a slow member, or none that answers, can make a leader hold. */
const MAX_INFLIGHT_BYTES = 64 * 1024 * 1024;
const MAX_UNCOMMITTED_BYTES = 256 * 1024 * 1024;
const DIRECTORY_MODE = 0o700;
const NO_DATA = new Uint8Array(0);

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
  if (hasLog) warnOfIdleDiscovery(options);
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
    const otherMembers = founding === null && isUnborn(log) ? await refound(options, log) : log.otherMembers;
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

type LogParts = Omit<MemberParts, 'backend' | 'consistentIndex' | 'snapshotter'>;

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

function foundLog(options: BootstrapOptions, founding: Founding): LogParts {
  const { config, logger } = options;
  const { memberId, clusterId, peers, otherMembers } = founding;
  const wal = createWal(walOptions(options), encodeMetadata(new Metadata({ nodeId: memberId, clusterId })));
  const raftStorage = new MemoryStorage();
  const node = newNode(options, memberId, raftStorage);
  if (peers.length > 0) node.bootstrap(peers);
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
    otherMembers,
  };
}

// --- a member that has run before

function openLog(
  options: BootstrapOptions,
  record: WalSnapshot,
  backend: Backend,
  consistentIndex: ConsistentIndex,
  snapshotter: Snapshotter,
): LogParts {
  const { config, logger } = options;
  const entries = new EntryList();
  const opened = openRepaired(options, record, entries);
  const { nodeId: memberId, clusterId } = decodeMetadata(opened.metadata);
  const database = readMembership(membershipReader(backend));
  checkClusterVersion(database, backendPath(config));
  const state = recoveredMembership(options, {
    record,
    snapshot: snapshotter.loadRecorded(record),
    entries: entries.entries,
    consistentIndex: consistentIndex.index,
    database,
    clusterId,
  });
  const { lastIndex } = opened;
  checkApplied(options, { lastIndex, consistentIndex: consistentIndex.index, state, memberId });
  const membership = new Membership({ clusterId, state, maxLearners: config.maxLearners });
  const confState = confStateOf(state);
  const raftStorage = new MemoryStorage();
  // At index 0 too: then it only tells who votes, which may have come into the database from entries that are still there.
  raftStorage.applySnapshot(snapshotAt(record.index, record.term, confState));
  const hardState = config.forceNewCluster
    ? forceNewCluster(
        options,
        opened,
        {
          hardState: opened.hardState,
          entries: entries.entries,
          snapshotIndex: record.index,
          consistentIndex: consistentIndex.index,
          members: state.members,
          memberId,
          peerUrls: urlTexts(config.initialAdvertisePeerUrls),
        },
        raftStorage,
      )
    : opened.hardState;
  if (!config.forceNewCluster) raftStorage.append(entries.entries);
  raftStorage.setHardState(hardState);
  checkCommit(options, hardState, raftStorage);
  const node = newNode(options, memberId, raftStorage, consistentIndex);
  logger.info('restarting local member', {
    'cluster-id': formatId(clusterId),
    'local-member-id': formatId(memberId),
    'commit-index': hardState.commit,
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
    otherMembers: [],
  };
}

/** Makes the log that of a cluster of its own, durably. Gives the hard state that goes with it. */
function forceNewCluster(
  { logger }: BootstrapOptions,
  { wal }: ReturnType<typeof openWal>,
  lost: LogOfLostCluster,
  raftStorage: MemoryStorage,
): HardState {
  const { hardState, kept, added } = logOfNewCluster(lost);
  const dropped = lost.entries.length - kept.length;
  if (dropped > 0) logger.info('discarding uncommitted WAL entries', { 'discarded-entry-count': dropped });
  logger.warn('forcing a new cluster: all other members are removed', { 'commit-index': hardState.commit });
  wal.save(hardState, added);
  raftStorage.append(kept);
  raftStorage.append(added);
  return hardState;
}

interface LoggedState {
  readonly record: WalSnapshot;
  /** That of the record, if its file is there. */
  readonly snapshot: Snapshot | null;
  readonly entries: readonly Entry[];
  readonly consistentIndex: number;
  readonly database: MembershipState;
  readonly clusterId: ClusterId;
}

/** The members after the last entry that the database has applied, as the log knows them; the database's where it does not. */
function recoveredMembership({ config, logger }: BootstrapOptions, logged: LoggedState): MembershipState {
  const { record, snapshot, entries, consistentIndex, database, clusterId } = logged;
  const lastIndex = entries.at(-1)?.index ?? record.index;
  if (consistentIndex > lastIndex) return database;
  const confState = snapshot?.metadata.confState ?? record.confState;
  const data = snapshot?.data ?? NO_DATA;
  const base = record.index === 0 ? EMPTY_MEMBERSHIP : membershipOfSnapshot(data, confState, database);
  if (base === null) {
    logger.warn('the log does not tell who its members are; taking them from the database', {
      'snapshot-index': record.index,
    });
    return database;
  }
  const applied = entries.filter((entry) => entry.index <= consistentIndex);
  const { maxLearners } = config;
  return recoverMembership({ clusterId, maxLearners, base, entries: applied, database });
}

/** Makes the database agree with what the log says. */
function storeMembership(backend: Backend, membership: Membership, logger: Logger): void {
  const database = readMembership(membershipReader(backend));
  const findings = mendMembers(database, membership.state(), membershipWriter(backend));
  for (const finding of findings) logger.warn('mended the members in the database', { finding });
}

interface AppliedFacts {
  readonly lastIndex: LogIndex;
  readonly consistentIndex: number;
  readonly state: MembershipState;
  readonly memberId: MemberId;
}

/**
 * A database may be ahead of the log of a member of Go's, which applies what others have made durable: the leader sends it again, and
 * until then raft must not let anybody lead who lacks it. Where no other could lead, nobody sends it: what is written from then on would be
 * taken for applied, and be lost.
 */
function checkApplied({ config, logger }: BootstrapOptions, facts: AppliedFacts): void {
  const { lastIndex, consistentIndex, state, memberId } = facts;
  if (consistentIndex <= lastIndex) return;
  const found = `the log in ${walDirectory(config)} ends at entry ${lastIndex}, but the database has applied ${consistentIndex}`;
  const canOthersLead = state.members.some(({ id, isLearner }) => id !== memberId && !isLearner);
  if (canOthersLead && !config.forceNewCluster)
    return logger.warn(`${found}: the leader has to send the rest`);
  throw new MemberStartError(`${found}: its end is missing; ${adviceForLostEnd(config)}`);
}

function adviceForLostEnd(config: Config): string {
  return (
    'nothing was changed: put the missing files back, or move the log away and start with --initial-cluster-state=new ' +
    `and this member alone in --initial-cluster: the keys in ${backendPath(config)} become those of a new cluster`
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
  try {
    return openWal(walOptions(options), position, entries);
  } catch (error) {
    if (!(error instanceof WalError) || error.code !== 'torn') throw error;
    const repair: Repair | null = repairWal(readOptions(options));
    options.logger.info('repaired WAL', { error: error.message, repair });
    entries.reset();
    return openWal(walOptions(options), position, entries);
  }
}

function checkCommit({ config }: BootstrapOptions, hardState: HardState, storage: MemoryStorage): void {
  const last = storage.lastIndex();
  if (hardState.commit <= last) return;
  const found = `the log in ${walDirectory(config)} ends at entry ${last}, but entries up to ${hardState.commit} were committed`;
  throw new MemberStartError(
    `${found}: it is incomplete; if others of its cluster are well, remove this member and add it again without data; else ` +
      adviceForLostEnd(config),
  );
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

// --- both

function snapshotAt(index: number, term: number, confState: ConfState): Snapshot {
  return new Snapshot({ metadata: new SnapshotMetadata({ index, term, confState }) });
}

function newNode(
  { config, random, logger }: BootstrapOptions,
  id: MemberId,
  storage: MemoryStorage,
  mustHave: LogPosition = { index: 0, term: 0 },
): RawNode {
  return new RawNode({
    id,
    storage,
    mustHave,
    random,
    logger: logger.child({ caller: 'raft', logger: 'raft' }),
    electionTicks: electionTicks(config),
    heartbeatTicks: 1,
    maxSizePerMsgBytes: MAX_SIZE_PER_MESSAGE_BYTES,
    maxInflightMsgs: MAX_INFLIGHT_MESSAGES,
    maxInflightBytes: MAX_INFLIGHT_BYTES,
    maxUncommittedEntriesSizeBytes: MAX_UNCOMMITTED_BYTES,
    checkQuorum: true,
    preVote: config.preVote,
    yieldsPreVote: true,
  });
}

function readOptions({ config, disk, logger }: BootstrapOptions): ReadOptions {
  return { disk, directory: walDirectory(config), logger };
}

function walOptions(options: BootstrapOptions): WalOptions {
  const { config, disk, clock, logger, metrics, walSegmentBytes } = options;
  return {
    segmentSizeBytes: walSegmentBytes,
    disk,
    clock,
    directory: walDirectory(config),
    logger: logger.child({ caller: 'storage/wal' }),
    unsafeNoFsync: config.unsafeNoFsync,
    onSync: (durationMs) => metrics.walFsyncDurationSeconds.observe(durationMs / 1000),
    onWrite: (sizeBytes, durationMs) => {
      metrics.walWriteBytesTotal.add(sizeBytes);
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
