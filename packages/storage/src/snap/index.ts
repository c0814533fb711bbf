/**
 * Snapshot files. A `.snap` file holds raft's snapshot: where in the log it stands, the voters, and as data the membership
 * in the form in which etcd up to 3.5 reads it; the keys are in `db`, which is always ahead of it. A `.snap.db` file is a
 * whole database that a peer has sent.
 *
 * Order of calls when a snapshot is taken: the database commits; {@link Snapshotter.saveSnap}; `Wal.saveSnapshot`;
 * `Wal.releaseTo`; {@link Snapshotter.releaseSnapDbs}. A `.snap` file without a record in the log is never used, so a crash
 * between any two of these is harmless. At start: {@link Snapshotter.removeLeftovers}, then
 * {@link Snapshotter.loadRecorded} with the log's newest snapshot. {@link PurgeLoop} removes what is old.
 *
 * All names appear complete or not at all: files are written under a name that begins with `tmp`, synced, renamed, and
 * the directory synced. A file that can't be read is moved aside as `.broken` and the one before it tried.
 */
export { DbReceiver, type ReceiverDone } from './db-receiver.ts';
export {
  memberPurgeTargets,
  PURGE_INTERVAL_MS,
  PurgeLoop,
  type PurgeOptions,
  type PurgeTarget,
} from './purge.ts';
export { SnapError, type SnapErrorCode } from './snap-error.ts';
export { decodeSnapFile, encodeSnapFile, snapDbName, snapName } from './snap-file.ts';
export { type SnapshotRecord, Snapshotter, type SnapshotterOptions } from './snapshotter.ts';
