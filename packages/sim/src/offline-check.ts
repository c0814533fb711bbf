/**
 * What is on a disk, looked at without a member: the structure of the database, and that it has the pairs that the committed log had made by
 * the entry that it was written at. Whether the log can be read, and fits to it, a start says.
 */
import { DecodeError } from '@etcd/api';
import { decodeKeyValue } from '@etcd/api/mvccpb';
import { BoltError, Database, type ReadTransaction } from '@etcd/bbolt';
import type { Config } from '@etcd/server';
import { KEY_BUCKET, transactionReader } from '@etcd/storage/backend';
import { backendPath, pageProblem } from '@etcd/storage/data';
import { readConsistentIndex } from '@etcd/storage/schema';
import type { SimDisk } from '@etcd/testing';
import { isSamePair } from './checks.ts';
import type { KeyVersion } from './model.ts';
import { textOf } from './trace.ts';
import type { World } from './world.ts';

/** A revision of something deleted ends with a letter. */
const TOMBSTONE_BYTES = 18;

interface LeftDisk {
  readonly world: World;
  readonly config: Config;
  readonly disk: SimDisk;
}

/** What is wrong; null: nothing. Nothing is written to the disk. */
export function offlineProblem({ world, config, disk }: LeftDisk): string | null {
  const path = backendPath(config);
  if (disk.stat(path) === null) return null;
  try {
    const database = Database.open({ disk, path, readOnly: true });
    try {
      const read = database.beginRead();
      try {
        return pageProblem(database, read) ?? contentProblem(world, read);
      } finally {
        read.close();
      }
    } finally {
      database.close();
    }
  } catch (error) {
    // A page may be sound, and hold what is no pair.
    if (error instanceof BoltError || error instanceof DecodeError) return error.message;
    throw error;
  }
}

/** Whether the pairs are those that the log says, at the entry that the database says that it was written at. */
function contentProblem(world: World, read: ReadTransaction): string | null {
  const reader = transactionReader(read);
  const { index } = readConsistentIndex(reader);
  const revision = world.revisionAt(index);
  if (revision === null) return null;
  const newest = new Map<string, Uint8Array | null>();
  reader.forEach(KEY_BUCKET, (revisionKey, value) => {
    // What a restore bumps the revision with.
    if (value.length === 0) return;
    const key = textOf(decodeKeyValue(value).key);
    newest.set(key, revisionKey.length === TOMBSTONE_BYTES ? null : value.slice());
  });
  const found = [...newest].flatMap(([, value]) => (value === null ? [] : [decodeKeyValue(value)]));
  found.sort((a, b) => (textOf(a.key) < textOf(b.key) ? -1 : 1));
  const expected = world.model.range('\0', '\0', revision);
  const at = `entry ${index}, revision ${revision}`;
  const wrong = expected.findIndex((version, i) => found[i] === undefined || !isSamePair(found[i], version));
  if (wrong >= 0) return `at ${at} the database does not have ${describe(expected[wrong]!)}`;
  return found.length === expected.length
    ? null
    : `at ${at} the database has ${found.length} pairs, the log ${expected.length}`;
}

function describe({ key, value, mod }: KeyVersion): string {
  return `${key}=${value?.slice(0, 40)}@${mod}`;
}
