/**
 * Copies the data directory of a member for a cluster of its own: what etcd's tool did up to 3.5. A member started with
 * `--force-new-cluster` on the copy is alone in it. Entries, the database and raft's snapshot keep their places in the log; who belonged to
 * the old cluster is taken out of all three. Where something fails nothing stays behind.
 */
import { randomBytes } from 'node:crypto';
import { ConfState, type HardState, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { type Disk, SILENT_LOGGER, utf8ToBytes } from '@etcd/base';
import { Database, type ReadTransaction } from '@etcd/bbolt';
import { transactionReader, transactionWriter } from '@etcd/storage/backend';
import { backendPath, memberDirectory, snapDirectory, walDirectory } from '@etcd/storage/data';
import { formatId, type Member, memberJson, newMember, withMembers } from '@etcd/storage/membership';
import {
  createMetaBucket,
  MEMBERS,
  readConsistentIndex,
  trimMembers,
  writeConsistentIndex,
} from '@etcd/storage/schema';
import { Snapshotter } from '@etcd/storage/snap';
import { createWal, EntryList, newestSnapshot, readWal, walExists } from '@etcd/storage/wal';
import { StagedDirectory } from '../snapshot/staged-directory.ts';
import type { Tool } from '../tool.ts';
import { translateEntry } from './translate-entry.ts';

export interface BackupOptions {
  readonly dataDir: string;
  readonly walDir: string;
  readonly backupDir: string;
  readonly backupWalDir: string;
  /** The database of the member, held by this process; null to leave keys and their requests out. */
  readonly database: Database | null;
}

/** Its only member until `--force-new-cluster` puts another in its place: etcd's tool names it so. */
const MEMBER_NAME = 'etcdctl-v2-backup';
const MEMBER_URL = 'http://use-flag--force-new-cluster:2080';
const PRIVATE_MODE = 0o600;
const CHUNK_BYTES = 4 << 20;
/** Entries that are written at once. */
const BATCH_ENTRIES = 1024;

/** Yields how many bytes of the database have been copied. */
export function* writeBackup(tool: Tool, options: BackupOptions): Generator<number, void, void> {
  const { disk } = tool;
  const { dataDir, backupDir } = options;
  checkTarget(disk, options);
  const staged = new StagedDirectory(disk, backupDir);
  try {
    const snapDir = `${staged.member}/snap`;
    staged.make(snapDir);
    const member = newMember(randomId(), { peerUrls: [MEMBER_URL], isLearner: false });
    const copy = { ...options, member: { ...member, name: MEMBER_NAME } };
    const path = `${snapDir}/db`;
    // Without it there is nothing in the database but the member.
    if (options.database !== null)
      yield* copyDatabase(disk, options.database, backendPath({ dataDir }), path);
    const state = writeLog(tool, staged, snapDir, copy);
    rewriteDatabase(disk, path, copy, state);
    disk.removeDirectory(memberDirectory({ dataDir: backupDir }));
    staged.finish();
  } finally {
    staged.abandon();
  }
}

interface Copy extends BackupOptions {
  readonly member: Member;
}

function randomId(): bigint {
  return randomBytes(8).readBigUInt64BE() | 1n;
}

/** A place for the copy may be there, but nothing in it. */
function checkTarget(disk: Disk, { dataDir, walDir, backupDir, backupWalDir }: BackupOptions): void {
  const source = walDirectory({ dataDir, walDir });
  if (!walExists(disk, source)) throw new Error(`open ${source}: no such file or directory`);
  const target = snapDirectory({ dataDir: backupDir });
  const there = disk.stat(target) === null ? [] : disk.readDirectory(target);
  if (there.length > 0) {
    throw new Error(`expected ${JSON.stringify(target)} to be empty, got ${JSON.stringify(there)}`);
  }
  const log = walDirectory({ dataDir: backupDir, walDir: backupWalDir });
  if (walExists(disk, log)) throw new Error(`${log}: file already exists`);
}

/** As it is: whoever has a database open for reading keeps writers away. */
function* copyDatabase(disk: Disk, database: Database, from: string, to: string): Generator<number> {
  const read = database.beginRead();
  const source = disk.openFile(from, { access: 'read' });
  try {
    const target = disk.openFile(to, { access: 'readwrite', create: true, mode: PRIVATE_MODE });
    try {
      yield* copyBytes(read, source, target);
      target.sync();
    } finally {
      target.close();
    }
  } finally {
    source.close();
    read.close();
  }
}

type OpenFile = ReturnType<Disk['openFile']>;

function* copyBytes({ sizeBytes }: ReadTransaction, source: OpenFile, target: OpenFile): Generator<number> {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, sizeBytes));
  for (let at = 0; at < sizeBytes; ) {
    const count = source.read(chunk, 0, Math.min(chunk.length, sizeBytes - at), at);
    if (count === 0) throw new Error('the database is shorter than it says');
    target.write(chunk, 0, count, at);
    at += count;
    yield at;
  }
}

function rewriteDatabase(disk: Disk, path: string, { member, database }: Copy, state: HardState): void {
  const target = Database.open({ disk, path, freelist: 'rebuilt', logger: SILENT_LOGGER });
  try {
    const write = target.beginWrite();
    try {
      const writer = transactionWriter(write);
      trimMembers(writer);
      writer.put(MEMBERS, utf8ToBytes(formatId(member.id)), utf8ToBytes(memberJson(member)));
      if (database === null) {
        createMetaBucket(writer);
        writeConsistentIndex(writer, { index: state.commit, term: state.term });
      }
      write.commit();
    } finally {
      write.rollback();
    }
  } finally {
    target.close();
  }
}

/** The log, with raft's snapshot at which it begins if there is one. Returns where it ends. */
function writeLog(tool: Tool, staged: StagedDirectory, snapDir: string, copy: Copy): HardState {
  const { disk, clock } = tool;
  const { dataDir, walDir, backupWalDir, database } = copy;
  const source = walDirectory({ dataDir, walDir });
  const position = newestSnapshot({ disk, directory: source });
  const log = new EntryList();
  checkReach(database, position.index);
  const { metadata, hardState } = readWal({ disk, directory: source }, position, log);
  const directory = backupWalDir === '' ? `${staged.member}/wal` : backupWalDir;
  staged.willMake(`${directory}.tmp`);
  staged.willMake(directory);
  const wal = createWal({ disk, clock, directory }, metadata);
  try {
    // Before the entries: they are those behind it.
    const record = writeSnapshot(tool, snapDir, copy, position);
    if (record !== null) wal.saveSnapshot(record);
    const entries = log.entries.map((entry) => translateEntry(entry, database !== null));
    for (let at = 0; at < entries.length; at += BATCH_ENTRIES) {
      wal.save(hardState, entries.slice(at, at + BATCH_ENTRIES));
    }
    if (entries.length === 0) wal.save(hardState, []);
  } finally {
    wal.close();
  }
  return hardState;
}

/** A database that another member has sent may still wait beside the old one. */
function checkReach(database: Database | null, logStart: number): void {
  const read = database?.beginRead();
  if (read === undefined) return;
  try {
    const { index } = readConsistentIndex(transactionReader(read));
    if (index >= logStart) return;
    throw new Error(
      `the database ends at index ${index}, and the log begins at ${logStart}: the member must be started once`,
    );
  } finally {
    read.close();
  }
}

/** Returns what the log says of it; null if there is none. */
function writeSnapshot(
  { disk, clock }: Tool,
  snapDir: string,
  { dataDir, member }: Copy,
  position: { readonly index: number; readonly term: number },
): WalSnapshot | null {
  const { index, term } = position;
  if (index === 0) return null;
  const source = new Snapshotter({ disk, clock, directory: snapDirectory({ dataDir }) });
  const snapshot = source.loadRecorded(position);
  if (snapshot === null) throw new Error(`there is no snapshot of index ${index}, at which the log begins`);
  const confState = new ConfState({ voters: [member.id] });
  const data = snapshot.data.length === 0 ? snapshot.data : withMembers(snapshot.data, [member]);
  const metadata = new SnapshotMetadata({ index, term, confState });
  new Snapshotter({ disk, clock, directory: snapDir }).saveSnap(new Snapshot({ data, metadata }));
  return new WalSnapshot({ index, term, confState });
}
