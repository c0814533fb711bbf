/**
 * Backups: a snapshot on its way from a member to a store and back, compressed and sealed, and which backups stay. {@link openStore} opens a
 * store by its address, {@link takeBackup} fills it, {@link readBackup} reads from it. Where a snapshot comes from is for the caller to say
 * ({@link SnapshotSource}), and what is done with one that was read.
 */
export { makeHeader, type Sealing, type Secrets } from './age-header.ts';
export { BackupError } from './backup-error.ts';
export { BackupStore, type StoredBackup } from './backup-store.ts';
export { type ChangeRecord, ChangesWriter, eventsOf, parseChanges, revisionOf } from './changes-format.ts';
export {
  ChangesSink,
  changesReachTo,
  pruneChanges,
  type ReadChangesOptions,
  readChanges,
  type Until,
} from './changes-store.ts';
export { isOneWay, keyLines, readPassphrase, readSealing, type SealingWishes } from './key-files.ts';
export { type BackupMetadata, COMPRESSIONS, type Compression } from './metadata.ts';
export type { OnPassed } from './meter.ts';
export type { ObjectStore } from './object-store.ts';
export { openStore } from './open-store.ts';
export { readBackup } from './read-backup.ts';
export { isNothing, prune, type Retention } from './retention.ts';
export { Schedule } from './schedule.ts';
export { parseStoreAddress } from './store-address.ts';
export {
  type SnapshotSource,
  type SourceFacts,
  type SourceHash,
  type TakeOptions,
  takeBackup,
} from './take-backup.ts';
