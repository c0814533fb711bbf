import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role, User } from '@etcd/api/authpb';
import { AlarmType } from '@etcd/api/etcdserverpb';
import { ConfState } from '@etcd/api/raftpb';
import { equalBytes, hexFromBytes, latin1FromBytes } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import { Backend, type BackendWriter, type Bucket } from '../backend/index.ts';
import { checkDatabases } from '../backend/testing/check-databases.ts';
import { CLUSTER, LEASE, MEMBERS, META } from './buckets.ts';
import * as schema from './index.ts';

checkDatabases();

/** Buckets in memory. */
class Memory implements BackendWriter {
  readonly #buckets = new Map<Bucket, [Uint8Array, Uint8Array][]>();

  get(bucket: Bucket, key: Uint8Array): Uint8Array | null {
    return this.#buckets.get(bucket)?.find(([k]) => equalBytes(k, key))?.[1] ?? null;
  }

  forEach(bucket: Bucket, visit: (key: Uint8Array, value: Uint8Array) => void): void {
    const entries = [...(this.#buckets.get(bucket) ?? [])];
    entries.sort(([a], [b]) => (latin1FromBytes(a) < latin1FromBytes(b) ? -1 : 1));
    for (const [key, value] of entries) visit(key, value);
  }

  createBucket(bucket: Bucket): void {
    if (!this.#buckets.has(bucket)) this.#buckets.set(bucket, []);
  }

  deleteBucket(bucket: Bucket): void {
    this.#buckets.delete(bucket);
  }

  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    this.delete(bucket, key);
    this.createBucket(bucket);
    this.#buckets.get(bucket)!.push([key, value]);
  }

  delete(bucket: Bucket, key: Uint8Array): void {
    const entries = this.#buckets.get(bucket) ?? [];
    this.#buckets.set(
      bucket,
      entries.filter(([k]) => !equalBytes(k, key)),
    );
  }

  texts(bucket: Bucket): Record<string, string> {
    const found: Record<string, string> = {};
    this.forEach(bucket, (key, value) => {
      found[latin1FromBytes(key)] = latin1FromBytes(value);
    });
    return found;
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

test('the consistent index and the term are big-endian words, and zeros are never written', () => {
  const memory = new Memory();
  assert.deepEqual(schema.readConsistentIndex(memory), { index: 0, term: 0 });
  schema.writeConsistentIndex(memory, { index: 0, term: 5 });
  assert.deepEqual(memory.texts(META), {});
  schema.writeConsistentIndex(memory, { index: 2 ** 40 + 3, term: 7 });
  assert.deepEqual(memory.texts(META), {
    consistent_index: '\0\0\x01\0\0\0\0\x03',
    term: '\0\0\0\0\0\0\0\x07',
  });
  assert.deepEqual(schema.readConsistentIndex(memory), { index: 2 ** 40 + 3, term: 7 });
});

test('compacted revisions are stored like revisions', () => {
  const memory = new Memory();
  assert.equal(schema.readFinishedCompact(memory), null);
  schema.writeScheduledCompact(memory, 300);
  schema.writeFinishedCompact(memory, 299);
  assert.deepEqual(memory.texts(META), {
    finishedCompactRev: '\0\0\0\0\0\0\x01\x2b_\0\0\0\0\0\0\0\0',
    scheduledCompactRev: '\0\0\0\0\0\0\x01\x2c_\0\0\0\0\0\0\0\0',
  });
  assert.equal(schema.readScheduledCompact(memory), 300);
  assert.equal(schema.readFinishedCompact(memory), 299);
});

test('the raft configuration is JSON whose ids keep all 64 bits', () => {
  const memory = new Memory();
  assert.equal(schema.readConfState(memory), null);
  const state = new ConfState({ voters: [10501334649042878790n, 1n], learners: [2n ** 64n - 1n] });
  schema.writeConfState(memory, state);
  assert.deepEqual(memory.texts(META), {
    confState: '{"voters":[10501334649042878790,1],"learners":[18446744073709551615],"auto_leave":false}',
  });
  assert.deepEqual(schema.readConfState(memory), state);
});

test('the buckets of members and cluster are made, and emptied', () => {
  const memory = new Memory();
  schema.createMemberBuckets(memory);
  memory.put(MEMBERS, bytes('ff'), bytes('{}'));
  memory.put(CLUSTER, bytes('clusterVersion'), bytes('3.5.0'));
  schema.trimMembers(memory);
  assert.deepEqual([memory.texts(MEMBERS), Object.keys(memory.texts(CLUSTER))], [{}, ['clusterVersion']]);
  schema.trimCluster(memory);
  assert.deepEqual(memory.texts(CLUSTER), {});
});

test('leases are keyed by their id, negative ones included', () => {
  const memory = new Memory();
  schema.putLease(memory, 0x1234n, 60, 0);
  schema.putLease(memory, -1n, 10, 7);
  assert.equal(hexFromBytes(memory.get(LEASE, bytes('\0\0\0\0\0\0\x12\x34'))!), '08b424103c');
  const found: unknown[] = [];
  schema.forEachLease(memory, ({ id, ttl, remainingTtl }) => found.push([id, ttl, remainingTtl]));
  assert.deepEqual(found, [
    [0x1234n, 60, 0],
    [-1n, 10, 7],
  ]);
  schema.deleteLease(memory, -1n);
  assert.deepEqual(Object.keys(memory.texts(LEASE)).length, 1);
});

test('alarms are keys without a value', () => {
  const memory = new Memory();
  schema.putAlarm(memory, 7n, AlarmType.NOSPACE);
  schema.putAlarm(memory, 7n, AlarmType.CORRUPT);
  schema.deleteAlarm(memory, 7n, AlarmType.NOSPACE);
  const alarms = schema.readAlarms(memory);
  assert.deepEqual(
    alarms.map(({ memberId, alarm }) => [memberId, alarm]),
    [[7n, AlarmType.CORRUPT]],
  );
});

test('auth state, users and roles round-trip', () => {
  const memory = new Memory();
  schema.createAuthBuckets(memory);
  assert.deepEqual([schema.readAuthEnabled(memory), schema.readAuthRevision(memory)], [false, 0]);
  schema.writeAuthEnabled(memory, true);
  schema.writeAuthRevision(memory, 12);
  assert.deepEqual([schema.readAuthEnabled(memory), schema.readAuthRevision(memory)], [true, 12]);
  schema.writeUser(memory, new User({ name: bytes('root'), password: bytes('$2a$'), roles: ['root'] }));
  schema.writeRole(memory, new Role({ name: bytes('root') }));
  assert.deepEqual(schema.readUser(memory, 'root')?.roles, ['root']);
  assert.equal(schema.readUsers(memory).length, 1);
  assert.equal(schema.readRole(memory, 'other'), null);
  schema.deleteUser(memory, 'root');
  schema.deleteRole(memory, 'root');
  assert.deepEqual([schema.readUsers(memory), schema.readRoles(memory)], [[], []]);
});

test('the schema version is what the file says, 3.5 by its term, unknown before', () => {
  const memory = new Memory();
  assert.equal(schema.detectSchemaVersion(memory), null);
  schema.validateSchema(memory);
  schema.writeConsistentIndex(memory, { index: 1, term: 1 });
  assert.deepEqual(schema.detectSchemaVersion(memory), schema.V3_5);
  schema.validateSchema(memory);
  schema.migrateSchema(memory, schema.V3_7);
  assert.equal(memory.texts(META)['storageVersion'], '3.7.0');
  schema.migrateSchema(memory, schema.V3_6);
  assert.equal(memory.texts(META)['storageVersion'], '3.6.0');
  schema.migrateSchema(memory, schema.V3_5);
  assert.equal(memory.texts(META)['storageVersion'], undefined);
});

test('a file of a newer etcd is refused with a clear error', () => {
  const memory = new Memory();
  const refusal = { name: 'SchemaError', code: 'unsupported-version' };
  schema.writeStorageVersion(memory, { major: 3, minor: 8 });
  assert.throws(() => schema.validateSchema(memory), {
    ...refusal,
    message: 'version "3.8.0" is not supported',
  });
  schema.writeStorageVersion(memory, { major: 4, minor: 0 });
  assert.throws(() => schema.validateSchema(memory), refusal);
  schema.writeStorageVersion(memory, schema.V3_7);
  assert.throws(() => schema.migrateSchema(memory, { major: 3, minor: 4 }), refusal);
});

test('S17 values that are not what they should be are errors that name bucket and key', () => {
  const corrupt = (bucket: Bucket, key: string, value: string, read: (memory: Memory) => unknown): void => {
    const memory = new Memory();
    memory.put(bucket, bytes(key), bytes(value));
    assert.throws(() => read(memory), {
      name: 'SchemaError',
      code: 'corrupt',
      message: new RegExp(`${bucket.name}.*${key}`),
    });
  };
  corrupt(META, 'consistent_index', 'short', schema.readConsistentIndex);
  corrupt(META, 'consistent_index', '\xff\xff\xff\xff\xff\xff\xff\xff', schema.readConsistentIndex);
  corrupt(META, 'scheduledCompactRev', '12345678-12345678', schema.readScheduledCompact);
  for (const json of [
    '',
    '{',
    '[]',
    '7',
    '{"voters":["1"]}',
    '{"voters":[-1]}',
    '{"voters":[1.5]}',
    '{"voters":[18446744073709551616]}',
  ]) {
    corrupt(META, 'confState', json, schema.readConfState);
  }
});

test('S23 the consistent index goes into every batch with the data that it stands for', () => {
  const clock = new SimClock();
  const disk = new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) });
  const open = (): Backend =>
    new Backend({
      disk,
      clock,
      path: '/db',
      onFatal: (error) => {
        throw error;
      },
    });
  const backend = open();
  const index = new schema.ConsistentIndex(backend);
  index.attach(backend);
  backend.put(CLUSTER, bytes('clusterVersion'), bytes('3.7.0'));
  index.set(5, 2);
  index.setConfState(new ConfState({ voters: [1n] }));
  backend.commitNowThen(() => {});
  clock.advance(50);
  assert.deepEqual(schema.readConsistentIndex(backend), { index: 5, term: 2 });
  assert.throws(() => index.set(4, 2), { name: 'InvariantError' });
  index.set(6, 2);
  clock.advance(1000);
  assert.equal(schema.readConsistentIndex(backend).index, 5, 'an index alone is not worth a commit');
  backend.closeThen(() => {});
  clock.advance(50);
  const again = open();
  assert.deepEqual(schema.readConsistentIndex(again), { index: 5, term: 2 });
  assert.deepEqual(schema.readConfState(again)?.voters, [1n]);
  assert.equal(new schema.ConsistentIndex(again).index, 5);
});
