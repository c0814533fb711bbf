import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeleteRangeRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { encodeKeyValue, KeyValue } from '@etcd/api/mvccpb';
import { Database, type WritableBucket } from '@etcd/bbolt';
import { SimClock, SimDisk } from '@etcd/testing';
import { revisionBytes } from '../backend/index.ts';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { KEY } from '../schema/index.ts';
import { SimMember } from './testing/sim-member.ts';
import { deleteRange, put } from './txn.ts';
import { indexProblem } from './verify-index.ts';

checkDatabases();

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

function newMember(): SimMember<SimClock, SimDisk> {
  const clock = new SimClock();
  const member = new SimMember(
    clock,
    new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) }),
  );
  for (const key of ['a', 'b', 'c', 'a']) {
    put(member.store, new PutRequest({ key: bytes(key), value: bytes('x') }));
  }
  deleteRange(member.store, new DeleteRangeRequest({ key: bytes('b') }));
  return member;
}

/** Stops the member, lets `damage` write into the file, and compares. */
function problemOf(
  member: SimMember<SimClock, SimDisk>,
  damage: (keys: WritableBucket) => void = () => {},
): string | null {
  const database = Database.open({ disk: member.stop(), path: '/db' });
  try {
    const write = database.beginWrite();
    damage(write.bucket(KEY.nameBytes)!);
    write.commit();
    const read = database.beginRead();
    const problem = indexProblem(read, member.store);
    read.close();
    return problem;
  } finally {
    database.close();
  }
}

/** A put that the store knows nothing of. */
function strange(key: string, main: number): Uint8Array {
  return encodeKeyValue(new KeyValue({ key: bytes(key), value: bytes('x'), modRevision: main, version: 1 }));
}

test('an index and a database that went through the same agree, compacted or not', () => {
  assert.equal(problemOf(newMember()), null);
  const member = newMember();
  let isCompacted = false;
  member.store.compact(6, () => {
    isCompacted = true;
  });
  member.clock.advanceUntil(() => isCompacted, 10_000);
  assert.equal(problemOf(member), null);
});

test('a key of the database that the index does not know is found', () => {
  const member = newMember();
  const problem = problemOf(member, (keys) => keys.put(revisionBytes(6, 7), strange('stranger', 6)));
  assert.match(problem!, /^the key of revision 6\.7 is not in the index$/);
});

test('a revision of the future is found', () => {
  const member = newMember();
  const problem = problemOf(member, (keys) => keys.put(revisionBytes(9), strange('a', 9)));
  assert.match(problem!, /^revision 9\.0 is newer than the store, which is at 6$/);
});

test('a key that is gone from the database is found by the count of those that live', () => {
  const member = newMember();
  const problem = problemOf(member, (keys) => keys.delete(revisionBytes(4)));
  assert.match(problem!, /^the index has 2 keys, and the database 1 of them$/);
});

test('a value that is none is found', () => {
  const member = newMember();
  const problem = problemOf(member, (keys) => keys.put(revisionBytes(4), bytes('\xff\xff')));
  assert.match(problem!, /^revision 4\.0 is not a KeyValue$/);
});
