/** The hash of the key space of a database that no member has open, as the member would give it. Nothing is written. */
import { INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import { SILENT_LOGGER } from '@etcd/base';
import type { Database } from '@etcd/bbolt';
import { type BackendReader, RevisionLog, transactionReader } from '../backend/index.ts';
import { readFinishedCompact, readScheduledCompact } from '../schema/index.ts';
import { KeyHasher, type KeyValueHash } from './key-hasher.ts';
import { TreeIndex } from './key-index/tree-index.ts';
import { NO_LEASES } from './lease-keeper.ts';
import { Restorer } from './restore.ts';
import { RevisionWalk } from './revision-walk.ts';

const { ErrCompacted, ErrFutureRev } = INTERNAL_ERRORS.mvcc;
const STEP_REVISIONS = 10_000;

export type FileHash =
  | { readonly hash: KeyValueHash; readonly error?: undefined }
  | { readonly hash?: undefined; readonly error: InternalError };

export type HashPosition =
  | { readonly position: Omit<KeyValueHash, 'hash'>; readonly error?: undefined }
  | { readonly position?: undefined; readonly error: InternalError };

/**
 * What the hash at `revision`, 0 for the newest, would be of, without taking it.
 *
 * @param newest of the revisions in the file; 1 where there are none.
 */
export function hashPosition(reader: BackendReader, newest: Revision, revision: Revision): HashPosition {
  const finished = readFinishedCompact(reader) ?? -1;
  const scheduled = readScheduledCompact(reader) ?? 0;
  const compactRevision = scheduled === 0 ? finished : Math.max(scheduled, finished);
  // Compaction may have removed the newest revisions, if they were tombstones.
  const current = Math.max(newest, compactRevision);
  if (revision > 0 && revision < compactRevision) return { error: ErrCompacted };
  if (revision > current) return { error: ErrFutureRev };
  return { position: { revision: revision === 0 ? current : revision, compactRevision } };
}

/**
 * The hash at `revision`, 0 for the newest. A compaction that was scheduled counts as done: it changes what is there, not what is
 * hashed. Throws `RestoreError` where revisions can't be read.
 */
export function hashOfDatabase(database: Database, revision: Revision): FileHash {
  const read = database.beginRead();
  try {
    const index = new TreeIndex();
    const source = { ...transactionReader(read), beginRead: () => database.beginRead() };
    const restorer = new Restorer(source, index, NO_LEASES, SILENT_LOGGER);
    while (restorer.error === null && !restorer.step(STEP_REVISIONS));
    if (restorer.error !== null) throw restorer.error;
    const { position, error } = hashPosition(source, restorer.revision, revision);
    if (error !== undefined) return { error };
    const { revision: hashed, compactRevision } = position;
    const hasher = KeyHasher.atRevision(index, compactRevision, hashed);
    const walk = new RevisionWalk({ revisionLog: new RevisionLog(0), committed: read }, read, 0, hashed);
    walk.resume();
    while (walk.next()) hasher.add(walk);
    return { hash: hasher.result() };
  } finally {
    read.close();
  }
}
