/**
 * Reads every record of a snapshot as a member would that starts with it: the digest, the structure of the file, each revision and
 * its value, and what the other buckets hold. Whatever is found wrong is thrown, as an error that says where.
 */
import { BoltError, type Database } from '@etcd/bbolt';
import {
  type BackendReader,
  isRevision,
  mainOf,
  REVISION_BYTES,
  subOf,
  TOMBSTONE_REVISION_BYTES,
  transactionReader,
} from '@etcd/storage/backend';
import { membershipReader } from '@etcd/storage/data';
import { readMembership } from '@etcd/storage/membership';
import { hashOfDatabase, KeyValueView } from '@etcd/storage/mvcc';
import {
  forEachLease,
  KEY,
  readAlarms,
  readAuthEnabled,
  readAuthRevision,
  readConfState,
  readConsistentIndex,
  readFinishedCompact,
  readRoles,
  readScheduledCompact,
  readUsers,
  validateSchema,
} from '@etcd/storage/schema';

export interface Verified {
  readonly revisions: number;
  readonly tombstones: number;
  readonly leases: number;
  readonly users: number;
  readonly roles: number;
  readonly members: number;
  readonly hash: number;
  readonly hashRevision: number;
  /** What was compacted when {@link hash} was taken, which decides what is in it. */
  readonly hashCompactRevision: number;
}

const STEP_REVISIONS = 10_000;

/**
 * Yields the number of revisions read. The structure of the file has been checked before.
 *
 * @param hashRevision of the hash; 0: the newest.
 */
export function* verifyRecords(database: Database, hashRevision = 0): Generator<number, Verified, void> {
  const read = database.beginRead();
  try {
    const reader = transactionReader(read);
    validateSchema(reader);
    const revisions = yield* verifyRevisions(database);
    const others = verifyOthers(reader);
    const { hash, error } = hashOfDatabase(database, hashRevision);
    if (error !== undefined) throw new Error(error.message);
    return {
      ...revisions,
      ...others,
      hash: hash.hash,
      hashRevision: hash.revision,
      hashCompactRevision: hash.compactRevision,
    };
  } finally {
    read.close();
  }
}

function* verifyRevisions(
  database: Database,
): Generator<number, Pick<Verified, 'revisions' | 'tombstones'>, void> {
  const read = database.beginRead();
  try {
    const cursor = read.bucket(KEY.nameBytes)?.cursor();
    if (cursor === undefined)
      throw new BoltError('bucket-not-found', 'there is no bucket key: not a database of etcd');
    const view = new KeyValueView();
    let revisions = 0;
    let tombstones = 0;
    for (let on = cursor.first(); on; on = cursor.next()) {
      const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
      if (!isRevision(bytes, keyStart, keyEnd)) throw new Error('bucket key: a key is not a revision');
      const name = `${mainOf(bytes, keyStart)}.${subOf(bytes, keyStart)}`;
      if (!view.parse(bytes, valueStart, valueEnd)) throw new Error(`revision ${name}: not a KeyValue`);
      const isTombstone = keyEnd - keyStart === TOMBSTONE_REVISION_BYTES;
      // A revision without anything in it is how a restore makes the revision jump.
      const isJump = valueStart === valueEnd && keyEnd - keyStart === REVISION_BYTES;
      if (!isTombstone && !isJump && view.modRevision !== mainOf(bytes, keyStart)) {
        throw new Error(`revision ${name}: its value is of revision ${view.modRevision}`);
      }
      revisions++;
      if (isTombstone) tombstones++;
      if (revisions % STEP_REVISIONS === 0) yield revisions;
    }
    return { revisions, tombstones };
  } finally {
    read.close();
  }
}

/** Each codec throws for a record that it can't read. */
function verifyOthers(reader: BackendReader): Pick<Verified, 'leases' | 'users' | 'roles' | 'members'> {
  let leases = 0;
  forEachLease(reader, () => leases++);
  readAlarms(reader);
  readAuthEnabled(reader);
  readAuthRevision(reader);
  readConsistentIndex(reader);
  readConfState(reader);
  readScheduledCompact(reader);
  readFinishedCompact(reader);
  const { members } = readMembership(membershipReader(reader));
  return {
    leases,
    users: [...readUsers(reader)].length,
    roles: [...readRoles(reader)].length,
    members: members.length,
  };
}
