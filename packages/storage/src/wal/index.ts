/**
 * etcd's write-ahead log: raft's entries and hard states, made durable before anybody is told of them. The format is
 * etcd's own, byte for byte (docs/formats/wal.md), so that either program goes on where the other stopped.
 *
 * Order of calls. A new member: {@link createWal}. A restart: {@link newestSnapshot}, {@link openWal} from there; if that throws a {@link WalError} with code `torn`, {@link repairWal} and
 * openWal once more; any other code ends the program, and the error's text says what to do. Then, for every Ready,
 * `save` or `saveThen`; before raft's snapshot is used, its files first, then `saveSnapshot`, then `releaseTo`; `close`.
 *
 * One batch at a time: between `saveThen` (or `saveSnapshotThen`) and its `done`, only `releaseTo` and the getters may be
 * called. Whatever a save is given may be changed or reused as soon as it returns. `save` and `saveThen` may be mixed freely from
 * batch to batch; `prefersInline` tells which suits the disk now. After a failed write or sync, thrown or given to
 * `done`, only `close` may be called, and the program ends: what is on the disk is known to the next start alone.
 *
 * What is durable when: entries, and a new term or vote, when the save returns or is done. A commit index that is all
 * that changed is written with the next batch, as in etcd: after a crash it may be older, never newer than the log.
 *
 * Segments are prepared ahead, in the background. A segment that is full is followed by the next within the save that
 * filled it. Segments stay locked until `releaseTo`; unlocked ones are for the purge loop.
 */
export { SEGMENT_BYTES } from './frame.ts';
export {
  createWal,
  newestSnapshot,
  type OpenedWal,
  openWal,
  type ReadOptions,
  readWal,
  validSnapshots,
  verifyWal,
} from './open-wal.ts';
export { EntryList, type EntrySink, type LogContents, type SnapshotPosition } from './read-log.ts';
export { type Repair, repairWal } from './repair-wal.ts';
export { walExists } from './segment-name.ts';
export { type SaveDone, Wal, type WalOptions } from './wal.ts';
export { WalError, type WalErrorCode } from './wal-error.ts';
