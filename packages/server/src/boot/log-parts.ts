/** The log of a member and the raft node on it: what both take from the configuration, and how a new one begins. */
import type { ClusterId, LogIndex, MemberId, Term } from '@etcd/api';
import { encodeMetadata, Metadata } from '@etcd/api/etcdserverpb';
import { ConfState } from '@etcd/api/raftpb';
import type { Disk, Random } from '@etcd/base';
import { type LogPosition, MemoryStorage, RawNode } from '@etcd/raft';
import { walDirectory } from '@etcd/storage/data';
import { formatId, type Member, Membership } from '@etcd/storage/membership';
import { createWal, type ReadOptions, type Wal, type WalOptions } from '@etcd/storage/wal';
import { electionTicks } from '../config/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import type { Founding, FoundingOptions } from './founding.ts';

/** What opening a log, or founding one, takes. */
export interface LogOptions extends FoundingOptions {
  readonly disk: Disk;
  readonly random: Random;
  readonly metrics: MetricHandles;
  /** Size of the log's segments; etcd's unless told. */
  readonly walSegmentBytes?: number | undefined;
}

export interface LogParts {
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  readonly membership: Membership;
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

/** A log in which nothing is yet. */
export function foundLog(options: LogOptions, founding: Founding): LogParts {
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

export function newNode(
  { config, random, logger }: LogOptions,
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

export function readOptions({ config, disk, logger }: LogOptions): ReadOptions {
  return { disk, directory: walDirectory(config), logger };
}

export function walOptions(options: LogOptions): WalOptions {
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
