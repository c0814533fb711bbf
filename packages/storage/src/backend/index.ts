/**
 * The backend: etcd's bbolt file with a write buffer in front of it. Changes gather in memory and are committed together
 * every 100 ms or 10,000 operations, in the background: while one batch is written and synced the next one gathers, and
 * reads see buffers and file as one. Nothing here waits for the disk but opening a file and reading a page that is not
 * cached.
 *
 * A change is durable after the commit that it is in, not before: what must survive a crash is in the log of raft first,
 * and is applied again from there. For that to be exact (S23), the index of the last applied entry is committed in the
 * transaction of the changes that it stands for. The backend asks for it when it seals a batch, through the pre-commit
 * hook; and it seals only between turns of the event loop or when told, never in the middle of what is being applied.
 * So whoever applies an entry sets the index in the same synchronous stretch as the entry's changes.
 *
 * Revisions, in the `key` bucket, have a way of their own: they only ever come at the end, so they go into a log outside
 * the V8 heap ({@link RevisionLog}), which the commits follow and from which recent ones are read even after their commit.
 * All other buckets are small; their pending changes are kept by key.
 *
 * What takes many turns is of one state: a snapshot, a hash and a walk read in a transaction of their own, whose pages stay until it
 * is closed; a commit takes what was sealed, from the log that it began with. When another file takes this one's place (`retire`), it
 * commits what is pending, and stays open for those transactions and for who `retain`s it; a defragmentation ends, for what it was
 * about is gone.
 *
 * The user's duties: `startRevisions` before the first revision; writes held back while `overloaded`; `closeThen` at the
 * end, with no write after it. After a failed commit (`onFatal`) nothing more is written, and the process ends.
 */
export type {
  BackendOptions,
  BackendReader,
  BackendSnapshot,
  BackendWriter,
  PreCommitHook,
} from './api.ts';
export { Slice } from './api.ts';
export { Backend } from './backend.ts';
export { type Bucket, defineBucket, KEY_BUCKET } from './bucket.ts';
export {
  isRevision,
  mainOf,
  REVISION_BYTES,
  revisionBytes,
  subOf,
  TOMBSTONE_REVISION_BYTES,
  writeRevision,
} from './revision.ts';
export { RevisionList } from './revision-list.ts';
export { RevisionLog } from './revision-log.ts';
export { transactionReader } from './transaction-reader.ts';
export { transactionWriter } from './transaction-writer.ts';
export type { CommitCallback } from './write-batch.ts';
