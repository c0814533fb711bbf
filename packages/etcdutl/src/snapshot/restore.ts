/**
 * Makes the data directory of a founding member from a snapshot: the keys are those of the snapshot, the cluster is a new one. What is
 * written is what etcd's own tool writes, so that any release can start with it; where something fails nothing stays behind.
 */
import { encodeMetadata, Metadata } from '@etcd/api/etcdserverpb';
import {
  ConfChange,
  ConfChangeType,
  ConfState,
  Entry,
  EntryType,
  encodeConfChange,
  HardState,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { SILENT_LOGGER, utf8ToBytes } from '@etcd/base';
import { Database, type WriteTransaction } from '@etcd/bbolt';
import { KEY_BUCKET, mainOf, revisionBytes, transactionWriter } from '@etcd/storage/backend';
import { walDirectory } from '@etcd/storage/data';
import {
  bootstrapPeers,
  encodeV2Store,
  formatId,
  type Membership,
  memberJson,
  NO_DOWNGRADE,
} from '@etcd/storage/membership';
import {
  CLUSTER,
  createMetaBucket,
  MEMBERS,
  trimMembers,
  writeConsistentIndex,
  writeScheduledCompact,
} from '@etcd/storage/schema';
import { Snapshotter } from '@etcd/storage/snap';
import { createWal } from '@etcd/storage/wal';
import type { Tool } from '../tool.ts';
import { copySnapshot, moveSnapshot } from './copy-snapshot.ts';
import { StagedDirectory } from './staged-directory.ts';

export interface RestoreOptions {
  readonly snapshotPath: string;
  readonly dataDir: string;
  /** Empty: below the data directory. */
  readonly walDir: string;
  readonly name: string;
  /** The cluster that the member founds, with itself in it. */
  readonly cluster: Membership;
  readonly skipHashCheck: boolean;
  /** Nobody needs the snapshot file afterwards, and it has been compared with its digest: it is moved where it can be, and not copied. */
  readonly takesFile?: boolean;
  /** How far the revision is to jump; with it goes that everything before is compacted. 0: not at all. */
  readonly bumpRevision: number;
}

/** All founders write the same first entries, as if in this term. */
const TERM = 1;

/** Yields how many bytes of the snapshot have been copied. */
export function* restoreSnapshot(tool: Tool, options: RestoreOptions): Generator<number, void, void> {
  const { disk, logger } = tool;
  const { dataDir, walDir } = options;
  checkTargets(tool, options);
  const facts = {
    path: options.snapshotPath,
    'wal-dir': walDirectory({ dataDir, walDir }),
    'data-dir': dataDir,
    'snap-dir': `${dataDir}/member/snap`,
  };
  logger.info('restoring snapshot', facts);
  const staged = new StagedDirectory(disk, dataDir);
  try {
    const snapDir = `${staged.member}/snap`;
    checkReadable(tool, options.snapshotPath);
    staged.make(snapDir);
    const databasePath = `${snapDir}/db`;
    const isMoved = options.takesFile === true && moveSnapshot(disk, options.snapshotPath, databasePath);
    if (!isMoved) yield* copySnapshot(disk, options.snapshotPath, databasePath, options.skipHashCheck);
    rewriteDatabase(tool, databasePath, options);
    writeLog(tool, staged, snapDir, options);
    staged.finish();
  } finally {
    staged.abandon();
  }
  logger.info('restored snapshot', facts);
}

function checkReadable({ disk }: Tool, path: string): void {
  disk.openFile(path, { access: 'read' }).close();
}

/** Throws what is in the way of a restore there. */
export function checkTargets(
  { disk }: Pick<Tool, 'disk'>,
  { dataDir, walDir }: Pick<RestoreOptions, 'dataDir' | 'walDir'>,
): void {
  if (!isEmptyPlace(disk, dataDir)) {
    throw new Error(`data-dir ${JSON.stringify(dataDir)} not empty or could not be read`);
  }
  if (walDir !== '' && disk.stat(walDir) !== null)
    throw new Error(`wal-dir ${JSON.stringify(walDir)} exists`);
}

function isEmptyPlace(disk: Tool['disk'], path: string): boolean {
  try {
    return disk.stat(path) === null || disk.readDirectory(path).length === 0;
  } catch {
    return false;
  }
}

/** The members, the position in the new log and the jump of the revision, in one transaction. */
function rewriteDatabase(tool: Tool, path: string, options: RestoreOptions): void {
  const { disk, logger } = tool;
  const { cluster, bumpRevision } = options;
  const database = Database.open({ disk, path, freelist: 'rebuilt', logger: SILENT_LOGGER });
  try {
    const write = database.beginWrite();
    try {
      const writer = transactionWriter(write);
      logger.info('Trimming membership information from the backend...');
      trimMembers(writer);
      if (bumpRevision > 0) bump(tool, write, bumpRevision);
      writer.createBucket(CLUSTER);
      for (const member of cluster.members()) {
        writer.put(MEMBERS, utf8ToBytes(formatId(member.id)), utf8ToBytes(memberJson(member)));
        logger.info('added member', {
          'cluster-id': formatId(cluster.clusterId),
          'local-member-id': '0',
          'added-peer-id': formatId(member.id),
          'added-peer-peer-urls': member.peerUrls,
          'added-peer-is-learner': false,
        });
      }
      createMetaBucket(writer);
      writeConsistentIndex(writer, { index: cluster.members().length, term: TERM });
      write.commit();
    } finally {
      write.rollback();
    }
  } finally {
    database.close();
  }
}

/**
 * Who watched the old cluster must not take the new one's revisions for those that he knows: a revision far beyond them is written, with
 * nothing in it, and everything up to it counts as compacted.
 */
function bump({ logger }: Tool, write: WriteTransaction, amount: number): void {
  const keys = write.createBucketIfNotExists(KEY_BUCKET.nameBytes);
  const cursor = keys.cursor();
  const latest = cursor.last() ? mainOf(cursor.bytes, cursor.keyStart) : 0;
  const bumped = latest + amount;
  if (!Number.isSafeInteger(bumped)) throw new Error(`--bump-revision ${amount}: revisions end at 2^53`);
  logger.info('bumping latest revision', {
    'latest-revision': latest,
    'bump-amount': amount,
    'new-latest-revision': bumped,
  });
  keys.put(revisionBytes(bumped), new Uint8Array(0));
  logger.info('marking revision compacted', { revision: bumped });
  writeScheduledCompact(transactionWriter(write), bumped);
}

/** The log of a founder whose first entries are applied, and raft's snapshot behind them. */
function writeLog(tool: Tool, staged: StagedDirectory, snapDir: string, options: RestoreOptions): void {
  const { disk, clock } = tool;
  const { cluster, name, walDir } = options;
  const nodeId = cluster.memberByName(name)?.id ?? 0n;
  const voters = cluster.members().map(({ id }) => id);
  const entries = bootstrapPeers(cluster).map(({ id, context }, i) => {
    const change = new ConfChange({ type: ConfChangeType.ConfChangeAddNode, nodeId: id, context });
    const data = encodeConfChange(change);
    return new Entry({ type: EntryType.EntryConfChange, term: TERM, index: i + 1, data });
  });
  const index = entries.length;
  const directory = walDir === '' ? `${staged.member}/wal` : walDir;
  staged.willMake(`${directory}.tmp`);
  staged.willMake(directory);
  const metadata = encodeMetadata(new Metadata({ nodeId, clusterId: cluster.clusterId }));
  const wal = createWal({ disk, clock, directory }, metadata);
  try {
    wal.save(new HardState({ term: TERM, vote: voters[0] ?? 0n, commit: index }), entries);
    const confState = new ConfState({ voters });
    const snapshot = new Snapshot({
      data: encodeV2Store({
        members: cluster.members(),
        removedIds: [],
        version: null,
        downgrade: NO_DOWNGRADE,
      }),
      metadata: new SnapshotMetadata({ index, term: TERM, confState }),
    });
    new Snapshotter({ disk, clock, directory: snapDir }).saveSnap(snapshot);
    wal.saveSnapshot(new WalSnapshot({ index, term: TERM, confState }));
  } finally {
    wal.close();
  }
}
