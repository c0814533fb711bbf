/** The content of a database, as a member finds it at a start or gets it from another: records of all buckets, of anybody's making. */
import { Permission, PermissionType, Role, User } from '@etcd/api/authpb';
import { AlarmType, DeleteRangeRequest, PutRequest, RangeRequest } from '@etcd/api/etcdserverpb';
import { SILENT_LOGGER } from '@etcd/base';
import { BoltError, Database } from '@etcd/bbolt';
import { type FuzzTarget, InputReader, SimClock, SimDisk } from '@etcd/testing';
import { AuthStore } from '../../auth/index.ts';
import { Backend, type BackendWriter, type Bucket } from '../../backend/index.ts';
import { Lessor } from '../../lease/index.ts';
import { MembershipError, readMembership } from '../../membership/index.ts';
import { deleteRange, executeRange, hashOfDatabase, put, RestoreError, Store } from '../../mvcc/index.ts';
import {
  ALARM,
  AUTH,
  AUTH_ROLES,
  AUTH_USERS,
  CLUSTER,
  createAlarmBucket,
  createAuthBuckets,
  createMemberBuckets,
  createMetaBucket,
  detectSchemaVersion,
  KEY,
  LEASE,
  MEMBERS,
  MEMBERS_REMOVED,
  META,
  putAlarm,
  putLease,
  readAlarms,
  readConfState,
  readConsistentIndex,
  SchemaError,
  validateSchema,
  writeAuthRevision,
  writeConsistentIndex,
  writeFinishedCompact,
  writeRole,
  writeUser,
} from '../../schema/index.ts';
import { confStateOf } from '../conf-state.ts';
import { membershipReader } from '../membership-buckets.ts';

const PATH = '/data/db';
const BUCKETS = [KEY, META, LEASE, ALARM, CLUSTER, MEMBERS, MEMBERS_REMOVED, AUTH, AUTH_USERS, AUTH_ROLES];
const NAMES = BUCKETS.map(({ name }) => name);
const MAX_RECORDS = 40;
const LONG_MS = 60_000;

function open(disk: SimDisk, clock: SimClock): Backend {
  const onFatal = (error: Error): never => {
    throw error;
  };
  return new Backend({ disk, clock, path: PATH, onFatal });
}

/** A database with something in each bucket, as records: bucket, key, value. */
function wholeRecords(): Buffer {
  const clock = new SimClock();
  const disk = diskOf(clock);
  const backend = open(disk, clock);
  createMetaBucket(backend);
  createMemberBuckets(backend);
  createAuthBuckets(backend);
  createAlarmBucket(backend);
  const lessor = new Lessor({ backend, clock, minTtl: 1 });
  const store = new Store({ backend, clock, leases: lessor });
  store.restoreThen(() => {});
  clock.advanceUntil(() => store.isReady, LONG_MS);
  for (let i = 0; i < 4; i++)
    put(store, new PutRequest({ key: Buffer.from(`k${i % 3}`), value: Buffer.from('v') }));
  deleteRange(store, new DeleteRangeRequest({ key: Buffer.from('k1') }));
  fill(backend);
  store.close();
  backend.closeThen(() => {});
  clock.settle();
  return recordsOf(disk);
}

function fill(backend: BackendWriter): void {
  putLease(backend, 7n, 60, 30);
  putAlarm(backend, 5n, AlarmType.NOSPACE);
  writeConsistentIndex(backend, { index: 9, term: 2 });
  writeFinishedCompact(backend, 2);
  writeAuthRevision(backend, 3);
  writeUser(backend, new User({ name: Buffer.from('u'), password: Buffer.from('x'), roles: ['r'] }));
  const [key, rangeEnd] = [Buffer.from('a'), Buffer.from('b')];
  const keyPermission = [new Permission({ permType: PermissionType.READ, key, rangeEnd })];
  writeRole(backend, new Role({ name: Buffer.from('r'), keyPermission }));
  const texts: readonly (readonly [Bucket, string, string])[] = [
    [MEMBERS, '8e9e05c52164694d', '{"id":1,"peerURLs":["http://a:1"],"name":"m"}'],
    [MEMBERS_REMOVED, '1', 'removed'],
    [CLUSTER, 'clusterVersion', '3.6.0'],
    [CLUSTER, 'downgrade', '{"target-version":"","enabled":false}'],
  ];
  for (const [bucket, name, text] of texts) backend.put(bucket, Buffer.from(name), Buffer.from(text));
}

function diskOf(clock: SimClock): SimDisk {
  const disk = new SimDisk({ schedule: (_operation, complete) => clock.defer(complete) });
  disk.makeDirectory('/data', 0o700);
  return disk;
}

function recordsOf(disk: SimDisk): Buffer {
  const database = Database.open({ disk, path: PATH, readOnly: true });
  const read = database.beginRead();
  const records: Uint8Array[] = [];
  for (const [i, { nameBytes }] of BUCKETS.entries()) {
    const cursor = read.bucket(nameBytes)?.cursor() ?? null;
    for (let on = cursor?.first() ?? false; on && cursor !== null; on = cursor.next()) {
      const [key, value] = [cursor.key(), cursor.value()!];
      records.push(
        Uint8Array.of(i, key.length, value.length & 0xff, value.length >> 8),
        key.slice(),
        value.slice(),
      );
    }
  }
  read.close();
  database.close();
  return Buffer.concat(records);
}

function written(reader: InputReader, disk: SimDisk): void {
  const database = Database.open({ disk, path: PATH });
  const write = database.beginWrite();
  try {
    const missing = reader.number(2);
    const named = BUCKETS.filter((_, i) => (missing >> i) % 2 === 0);
    for (const { nameBytes } of named) write.createBucketIfNotExists(nameBytes);
    for (let count = 0; !reader.isAtEnd && count < MAX_RECORDS; count++) {
      const { nameBytes } = BUCKETS[reader.byte() % BUCKETS.length]!;
      const [keyBytes, valueBytes] = [reader.byte(), reader.number(2)];
      write.bucket(nameBytes)?.put(reader.bytes(keyBytes), reader.bytes(valueBytes));
    }
    write.commit();
  } catch (error) {
    // A key that is none.
    if (!(error instanceof BoltError)) throw error;
    write.rollback();
  } finally {
    database.close();
  }
}

/** Whatever is read of content like this may be refused, in words. */
function attempt(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    const isTold =
      error instanceof SchemaError || error instanceof RestoreError || error instanceof MembershipError;
    if (isTold || error instanceof BoltError) return false;
    throw error;
  }
}

function readAll(backend: Backend): boolean {
  return attempt(() => {
    validateSchema(backend);
    detectSchemaVersion(backend);
    readConsistentIndex(backend);
    readConfState(backend);
    readAlarms(backend);
    confStateOf(readMembership(membershipReader(backend)));
    new AuthStore({ backend });
  });
}

/** What a member does first with its keys. */
function serve(backend: Backend, clock: SimClock): void {
  let lessor: Lessor | null = null;
  let store: Store | null = null;
  let isWhole = false;
  const isMade = attempt(() => {
    lessor = new Lessor({ backend, clock, minTtl: 1 });
    store = new Store({ backend, clock, leases: lessor, logger: SILENT_LOGGER });
    lessor.setStore(store);
    store.restoreThen((error) => {
      isWhole = error === null;
    });
  });
  if (!isMade) return;
  clock.advance(LONG_MS);
  if (isWhole) attempt(() => useStore(store!, clock));
  lessor!.stop();
  store!.close();
}

function useStore(store: Store, clock: SimClock): void {
  executeRange(store, new RangeRequest({ key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) }));
  const before = store.revision;
  if (before >= Number.MAX_SAFE_INTEGER - 1) return;
  put(store, new PutRequest({ key: Buffer.from('k0'), value: Buffer.from('new') }));
  if (store.revision !== before + 1) throw new Error(`revision ${store.revision} behind ${before}`);
  clock.advance(LONG_MS);
}

/** Two bytes say which buckets are missing; then records of bucket, key and value. */
const content: FuzzTarget = {
  name: 'database-content',
  what: 'records of all buckets in a database that is whole; a member’s start with it, and the hash of its keys',
  maxBytes: 1500,
  isSlow: true,
  heldBytes: 32 * 1024 * 1024,
  tokens: [
    ...NAMES,
    'consistent_index',
    'confState',
    'storageVersion',
    'clusterVersion',
    'authEnabled',
    '3.6.0',
    '{"id":',
  ],
  seeds: () => {
    const whole = wholeRecords();
    return [
      Buffer.concat([Uint8Array.of(0, 0), whole]),
      Buffer.concat([Uint8Array.of(0, 2), whole.subarray(0, 200)]),
    ];
  },
  run: (input) => {
    const clock = new SimClock();
    const disk = diskOf(clock);
    written(new InputReader(input), disk);
    const backend = open(disk, clock);
    if (readAll(backend)) serve(backend, clock);
    backend.closeThen(() => {});
    clock.advance(LONG_MS);
    const database = Database.open({ disk, path: PATH, readOnly: true });
    attempt(() => void hashOfDatabase(database, 0));
    database.close();
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [content];
