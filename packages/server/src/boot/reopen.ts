/**
 * The log of a member that has run before: read again, repaired at its end where a write was cut off, and compared with what the database
 * has applied; or gone on with alone, with `--force-new-cluster`. What does not fit together is refused before anything is written.
 */
import type { ClusterId, LogIndex, MemberId } from '@etcd/api';
import { decodeMetadata } from '@etcd/api/etcdserverpb';
import { type ConfState, type Entry, HardState, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import type { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { urlTexts } from '@etcd/base';
import { MemoryStorage } from '@etcd/raft';
import type { Backend } from '@etcd/storage/backend';
import { backendPath, confStateOf, membershipReader, walDirectory } from '@etcd/storage/data';
import {
  EMPTY_MEMBERSHIP,
  formatClusterVersion,
  formatId,
  isServerTooOld,
  Membership,
  type MembershipState,
  membershipOfSnapshot,
  parseVersion,
  readMembership,
  recoverMembership,
} from '@etcd/storage/membership';
import type { ConsistentIndex } from '@etcd/storage/schema';
import type { Snapshotter } from '@etcd/storage/snap';
import { EntryList, openWal, type Repair, repairWal, WalError } from '@etcd/storage/wal';
import { type Config, ETCD_VERSION, MemberStartError } from '../config/index.ts';
import { type LogOfLostCluster, logOfNewCluster } from './force-new-cluster.ts';
import { type LogOptions, type LogParts, newNode, readOptions, walOptions } from './log-parts.ts';

const NO_DATA = new Uint8Array(0);

/** Throws {@link MemberStartError}, `WalError` or `MembershipError`. */
export function openLog(
  options: LogOptions,
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
  const known = knownCommit(opened, entries.entries, consistentIndex);
  if (known !== opened.hardState) opened.wal.save(known, []);
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
          hardState: known,
          entries: entries.entries,
          snapshotIndex: record.index,
          consistentIndex: consistentIndex.index,
          members: state.members,
          memberId,
          peerUrls: urlTexts(config.initialAdvertisePeerUrls),
        },
        raftStorage,
      )
    : known;
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
  { logger }: LogOptions,
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

/**
 * The hard state, with what the database tells of it. A commit index alone is written with the next entries, or at an orderly end, so a kill
 * may leave a database that has applied more than its log calls committed. What was applied was committed: to forget that would have
 * the member answer from before it, until a leader says so again.
 */
function knownCommit(
  { hardState }: ReturnType<typeof openWal>,
  entries: readonly Entry[],
  { index, term }: ConsistentIndex,
): HardState {
  if (index <= hardState.commit || term > hardState.term) return hardState;
  // A database of etcd 3.4 does not tell the term; of another term, the log's entry is not the one that was applied.
  const isApplied = entries.some((entry) => entry.index === index && entry.term === term);
  return isApplied ? new HardState({ term: hardState.term, vote: hardState.vote, commit: index }) : hardState;
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
function recoveredMembership({ config, logger }: LogOptions, logged: LoggedState): MembershipState {
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
function checkApplied({ config, logger }: LogOptions, facts: AppliedFacts): void {
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
  options: LogOptions,
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

function checkCommit({ config }: LogOptions, hardState: HardState, storage: MemoryStorage): void {
  const last = storage.lastIndex();
  if (hardState.commit <= last) return;
  const found = `the log in ${walDirectory(config)} ends at entry ${last}, but entries up to ${hardState.commit} were committed`;
  throw new MemberStartError(
    `${found}: it is incomplete; if others of its cluster are well, remove this member and add it again without data; else ` +
      adviceForLostEnd(config),
  );
}

function snapshotAt(index: number, term: number, confState: ConfState): Snapshot {
  return new Snapshot({ metadata: new SnapshotMetadata({ index, term, confState }) });
}
