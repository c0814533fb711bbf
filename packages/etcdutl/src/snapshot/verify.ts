/**
 * Reads every record of a snapshot as a member would that starts with it: the structure of the file, each revision and
 * its value, and what the other buckets hold. Whatever is found wrong is thrown, as an error that says where.
 */
import type { Database } from '@etcd/bbolt';
import { type BackendReader, transactionReader } from '@etcd/storage/backend';
import { membershipReader } from '@etcd/storage/data';
import { readMembership } from '@etcd/storage/membership';
import { hashOfDatabase, hashPosition } from '@etcd/storage/mvcc';
import {
  forEachLease,
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
import { RevisionCheck } from './revision-check.ts';
import { checkStructure } from './status.ts';

export interface Verified {
  readonly revisions: number;
  readonly tombstones: number;
  readonly leases: number;
  readonly users: number;
  readonly roles: number;
  readonly members: number;
  /** Null: it was left to a member. */
  readonly hash: number | null;
  readonly hashRevision: number;
  /** What was compacted when {@link hash} was taken, which decides what is in it. */
  readonly hashCompactRevision: number;
}

/**
 * `left-to-member`: one that is made of the file is going to be asked for the hash, and reads all revisions for it. Where users came with the
 * file, that member would tell strangers nothing: then it is taken all the same.
 */
export type HashWish = 'taken' | 'left-to-member';

export interface VerifyWishes {
  /** At which the keys are hashed; 0: the newest. Throws where the file can't have a hash at it. */
  readonly hashRevision: number;
  readonly hash: HashWish;
}

/** Yields now and then. Structure and revisions are read in one walk; the hash, where it is taken, needs two more. */
export function* verifyDatabase(database: Database, wishes: VerifyWishes): Generator<void, Verified, void> {
  const read = database.beginRead();
  try {
    const check = new RevisionCheck();
    yield* checkStructure(database, read, check);
    const reader = transactionReader(read);
    validateSchema(reader);
    const { revisions, tombstones, newest } = check.result();
    return {
      revisions,
      tombstones,
      ...verifyOthers(reader),
      ...verifyHash(database, reader, newest, wishes),
    };
  } finally {
    read.close();
  }
}

function verifyHash(
  database: Database,
  reader: BackendReader,
  newest: number,
  { hash: wish, hashRevision }: VerifyWishes,
): Pick<Verified, 'hash' | 'hashRevision' | 'hashCompactRevision'> {
  if (wish === 'left-to-member' && !readAuthEnabled(reader)) {
    const { position, error } = hashPosition(reader, newest, hashRevision);
    if (error !== undefined) throw new Error(error.message);
    return { hash: null, hashRevision: position.revision, hashCompactRevision: position.compactRevision };
  }
  const { hash, error } = hashOfDatabase(database, hashRevision);
  if (error !== undefined) throw new Error(error.message);
  return { hash: hash.hash, hashRevision: hash.revision, hashCompactRevision: hash.compactRevision };
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
