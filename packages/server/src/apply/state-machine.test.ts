import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AlarmAction,
  AlarmRequest,
  AlarmType,
  AuthUserAddRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  PutRequest,
} from '@etcd/api/etcdserverpb';
import { ClusterVersionSetRequest } from '@etcd/api/membershippb';
import { Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { InvariantError } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import { Backend } from '@etcd/storage/backend';
import { backendPath, membershipReader, snapDirectory } from '@etcd/storage/data';
import { parseVersion, readMembership } from '@etcd/storage/membership';
import { META, putLease, readConsistentIndex, readStorageVersion } from '@etcd/storage/schema';
import { parseFeatureGates } from '../config/feature-gates.ts';
import type { Reader } from '../request/index.ts';
import { Machine } from './testing/machine.ts';

const OLD = Buffer.from('old');
const put = (key: string): PutRequest => new PutRequest({ key: Buffer.from(key), value: Buffer.from('v') });

/** One that has come to index 20 while others stood still. */
function leader(): Machine {
  const machine = Machine.loaded();
  for (const key of ['new', 'newer', 'newest', 'old']) machine.apply('put', put(key));
  machine.apply('leaseGrant', new LeaseGrantRequest({ id: 7n, ttl: 60 }));
  machine.apply('authUserAdd', new AuthUserAddRequest({ name: 'alice', hashedPassword: 'aGFzaA==' }));
  const raised = { action: AlarmAction.ACTIVATE, memberId: 1n, alarm: AlarmType.NOSPACE };
  machine.apply('alarm', new AlarmRequest(raised));
  while (machine.machine.appliedIndex < 20)
    machine.apply('deleteRange', new DeleteRangeRequest({ key: OLD }));
  return machine;
}

/** Has ended after it has applied puts of these keys. */
function written(...keys: string[]): Machine {
  const machine = Machine.loaded();
  for (const key of keys) machine.apply('put', put(key));
  machine.close();
  return machine;
}

/** Goes on with the snapshot. */
function replace(machine: Machine, snapshot: Snapshot): void {
  let isDone = false;
  machine.machine.replaceThen(snapshot, () => {
    isDone = true;
  });
  machine.clock.advanceUntil(() => isDone, 10_000);
}

function readerOf(told: string[], name: string): Reader {
  return {
    onReadable: () => told.push(name),
    onUnreadable: (error) => told.push(`${name}: ${error.message}`),
  };
}

test('nothing is applied or watched before the store is loaded', () => {
  const { machine } = new Machine();
  assert.throws(() => machine.apply([]), InvariantError);
  assert.throws(() => machine.watches, InvariantError);
  assert.deepEqual([machine.appliedIndex, machine.appliedTerm], [0, 0]);
});

test('a store that is loaded after the stop tells nobody', () => {
  const { disk } = written('a', 'b', 'c', 'd');
  const machine = new Machine({}, disk);
  machine.machine.restoreThen(() => assert.fail('it was stopped'));
  machine.machine.stop();
  machine.clock.advance(10_000);
  assert.throws(() => machine.machine.apply([]), InvariantError);
});

test('what was applied is there at the next start, with how far it goes', () => {
  const { disk } = written('k', 'k2');
  const after = Machine.loaded({}, disk);
  assert.deepEqual([after.count('k'), after.count('k2')], [1, 1]);
  assert.deepEqual(readConsistentIndex(after.machine.backend), { index: 2, term: 3 });
});

/** Makes the file one of etcd 3.4, which does not say of which term the entry is that was applied last. */
function forgetTerm({ disk, clock }: Machine, path: string): void {
  const backend = new Backend({ disk, clock, path, onFatal: (error) => assert.fail(error) });
  clock.advance(10);
  backend.delete(META, Buffer.from('term'));
  backend.close();
}

test('a database that does not say its term has that of the log, or of the snapshot that it came with', () => {
  const former = written('k', 'k2');
  forgetTerm(former, backendPath(former.config));
  const restarted = Machine.loaded({}, former.disk);
  assert.deepEqual(readConsistentIndex(restarted.machine.backend), { index: 2, term: 0 });
  for (const key of ['k', 'k2']) restarted.apply('put', put(key));
  restarted.machine.writePosition();
  assert.deepEqual(readConsistentIndex(restarted.machine.backend), { index: 2, term: 3 });
  const behind = Machine.loaded();
  const snapshot = behind.receive(leader(), 20);
  forgetTerm(behind, `${snapDirectory(behind.config)}/0000000000000014.snap.db`);
  replace(behind, snapshot);
  behind.machine.writePosition();
  assert.deepEqual(readConsistentIndex(behind.machine.backend), { index: 20, term: 3 });
});

test('the position can be written though no entry has changed anything', () => {
  const machine = Machine.loaded();
  machine.apply('clusterVersionSet', new ClusterVersionSetRequest({ ver: '3.6.0' }));
  machine.machine.writePosition();
  machine.close();
  assert.equal(readConsistentIndex(Machine.loaded({}, machine.disk).machine.backend)?.index, 1);
});

test('a lease lives at least through an election and a half', () => {
  const machine = Machine.loaded({ electionTimeoutMs: 3000 });
  machine.apply('leaseGrant', new LeaseGrantRequest({ id: 1n, ttl: 1 }));
  machine.apply('leaseGrant', new LeaseGrantRequest({ id: 2n, ttl: 60 }));
  const ttl = (id: bigint): number | undefined => machine.machine.lessor.lookup(id)?.ttl;
  assert.deepEqual([ttl(1n), ttl(2n)], [5, 60]);
});

test('the database of a snapshot takes the place of all that there was', () => {
  const machine = Machine.loaded();
  machine.apply('put', put('old'));
  machine.apply('leaseGrant', new LeaseGrantRequest({ id: 3n, ttl: 60 }));
  const snapshot = machine.receive(leader(), 20);
  let isDone = false;
  machine.machine.replaceThen(snapshot, () => {
    isDone = true;
  });
  assert.equal(machine.metrics.applySnapshotInProgress.value, 1);
  machine.clock.advanceUntil(() => isDone, 10_000);
  const { lessor, auth, alarms, appliedIndex, appliedTerm } = machine.machine;
  assert.deepEqual([machine.count('old'), machine.count('new')], [0, 1]);
  assert.deepEqual([appliedIndex, appliedTerm], [20, 3]);
  assert.deepEqual(lessor.leases(), [7n]);
  assert.deepEqual(auth.userNames(), ['alice']);
  assert.ok(alarms.hasNoSpace);
  assert.equal(machine.metrics.applySnapshotInProgress.value, 0);
  assert.deepEqual(machine.fatal, []);
  machine.apply('put', put('refused for space'));
  assert.equal(machine.count('refused for space'), 0, 'entries are applied by what came with the snapshot');
  machine.close();
  assert.equal(Machine.loaded({}, machine.disk).count('new'), 1, 'the next start finds it');
});

test('readers wait while that goes on and are told in their order, others at once', () => {
  const machine = Machine.loaded();
  const told: string[] = [];
  machine.machine.readLocally(readerOf(told, 'before'));
  machine.machine.replaceThen(machine.receive(leader(), 20), () => told.push('done'));
  machine.machine.readLocally(readerOf(told, 'first'));
  machine.machine.readLocally(readerOf(told, 'second'));
  assert.deepEqual(told, ['before']);
  machine.clock.advanceUntil(() => told.includes('done'), 10_000);
  machine.machine.readLocally(readerOf(told, 'after'));
  assert.deepEqual(told, ['before', 'done', 'first', 'second', 'after']);
});

test('a stop in the middle of that tells nobody any more', () => {
  const machine = Machine.loaded();
  const told: string[] = [];
  machine.machine.replaceThen(machine.receive(leader(), 20), () => told.push('done'));
  machine.machine.readLocally(readerOf(told, 'waiting'));
  machine.machine.stop();
  machine.clock.advance(10_000);
  assert.deepEqual(told, []);
  assert.deepEqual(machine.fatal, []);
});

test('a snapshot whose database is not there, or is none, ends the member', () => {
  const missing = Machine.loaded();
  const snapshot = new Snapshot({ metadata: new SnapshotMetadata({ index: 20, term: 3 }) });
  missing.machine.replaceThen(snapshot, () => assert.fail('there was nothing to go on with'));
  assert.match(missing.fatal[0]!, /snapshot file doesn't exist/);
  const damaged = Machine.loaded();
  const received = damaged.receive(leader(), 20);
  damaged.damageReceived(20);
  damaged.machine.replaceThen(received, () => assert.fail('there was nothing to go on with'));
  damaged.clock.advance(10_000);
  assert.equal(damaged.fatal.length, 1);
});

test('the members are those of the snapshot, which the database is made to agree with', () => {
  const machine = Machine.loaded();
  const snapshot = machine.receive(leader(), 20);
  // The log knows of one more than the database that came with it.
  snapshot.metadata.confState!.voters.push(0x77n);
  replace(machine, snapshot);
  const ids = (): bigint[] => machine.membership.members().map(({ id }) => id);
  assert.ok(ids().includes(0x77n));
  assert.equal(ids().length, 2);
  const stored = readMembership(membershipReader(machine.machine.backend));
  assert.deepEqual(stored.members.map(({ id }) => id).sort(), ids().sort());
});

test('a database that is further than its snapshot says itself who the members are', () => {
  const machine = Machine.loaded();
  const snapshot = machine.receive(leader(), 19);
  snapshot.metadata.confState!.voters.push(0x77n);
  replace(machine, snapshot);
  assert.ok(!machine.membership.members().some(({ id }) => id === 0x77n));
  assert.equal(machine.machine.appliedIndex, 19, 'entries that it has already are passed over as they come');
});

test('only one snapshot at a time takes its place, and only one that is ahead', () => {
  const machine = Machine.loaded();
  const snapshot = machine.receive(leader(), 20);
  machine.machine.replaceThen(snapshot, () => {});
  assert.throws(() => machine.machine.replaceThen(snapshot, () => {}), InvariantError);
  const ahead = Machine.loaded();
  while (ahead.machine.appliedIndex < 20) ahead.apply('put', put('k'));
  assert.throws(() => ahead.machine.replaceThen(ahead.receive(leader(), 20), () => {}), InvariantError);
});

test('the database follows the version of the cluster, both ways, and knows when it is ahead', () => {
  const machine = Machine.loaded();
  const { machine: state } = machine;
  state.followClusterVersion(parseVersion('3.6.0')!);
  assert.equal(readStorageVersion(state.backend), null, 'nor does one in which nothing was applied');
  machine.apply('put', put('k'));
  const version = (): string => {
    const stored = readStorageVersion(state.backend);
    return stored === null ? 'none' : `${stored.major}.${stored.minor}`;
  };
  state.followClusterVersion(parseVersion('3.4.0')!);
  assert.equal(version(), 'none', 'before 3.5 databases do not say for which release they are');
  state.followClusterVersion(parseVersion('3.6.0')!);
  assert.equal(version(), '3.6');
  assert.ok(state.isAheadOf(parseVersion('3.5.0')!));
  assert.ok(!state.isAheadOf(parseVersion('3.6.0')!) && !state.isAheadOf(parseVersion('3.7.0')!));
  state.followClusterVersion(parseVersion('3.7.0')!);
  assert.equal(version(), '3.7');
  state.followClusterVersion(parseVersion('3.5.0')!);
  assert.equal(version(), 'none', 'with 3.5 the field goes');
  assert.ok(!state.isAheadOf(parseVersion('3.4.0')!), 'a database that says nothing is ahead of nobody');
});

test('checkpoints of leases are kept from 3.6 on, and before when that is asked for', () => {
  for (const [version, gate, isKept] of [
    ['3.5.0', false, false],
    ['3.5.0', true, true],
    ['3.6.0', false, true],
  ] as const) {
    const gates = parseFeatureGates(`LeaseCheckpointPersist=${gate}`).gates!;
    const machine = Machine.loaded({ featureGates: gates });
    machine.apply('clusterVersionSet', new ClusterVersionSetRequest({ ver: version }));
    machine.apply('leaseGrant', new LeaseGrantRequest({ id: 1n, ttl: 600 }));
    machine.machine.lessor.checkpoint(1n, 100);
    machine.close();
    const { lessor } = Machine.loaded({}, machine.disk).machine;
    lessor.promote(0);
    const remaining = lessor.lookup(1n)!.remainingMs;
    assert.equal(remaining <= 100_000, isKept, `${version} ${gate}: ${remaining}`);
  }
});

test('what a member leaves behind is looked at where that is asked for, and a fault ends the process', () => {
  const machine = Machine.loaded({ verify: true });
  machine.apply('put', put('k'));
  machine.close();
  // It has no log, which is a fault of this test's member.
  assert.throws(() => machine.machine.verifyLeft(), InvariantError);
  const unasked = Machine.loaded({ verify: false });
  unasked.close();
  unasked.machine.verifyLeft();
});

test('the least time of a lease is one and a half election timeouts, in whole seconds', () => {
  for (const [electionTimeoutMs, expected] of [
    [1000, 2],
    [2000, 3],
    [2001, 4],
    [50_000, 75],
  ] as const) {
    const machine = Machine.loaded({ electionTimeoutMs });
    machine.apply('leaseGrant', new LeaseGrantRequest({ id: 1n, ttl: 1 }));
    assert.equal(machine.machine.lessor.lookup(1n)?.ttl, expected);
  }
});

test('a quota below nothing is none', () => {
  const limits = [-1, 1000].map(
    (quotaBackendBytes) => Machine.loaded({ quotaBackendBytes }).machine.quota.limitBytes,
  );
  assert.deepEqual(limits, [Number.POSITIVE_INFINITY, 1000]);
});

test('a database for another major release is ahead or not by that alone', () => {
  const loaded = Machine.loaded();
  const { machine } = loaded;
  loaded.apply('put', put('k'));
  machine.followClusterVersion(parseVersion('3.7.0')!);
  const ahead = ['2.9.0', '3.6.0', '3.7.0', '3.8.0', '4.0.0'].filter((text) =>
    machine.isAheadOf(parseVersion(text)!),
  );
  assert.deepEqual(ahead, ['2.9.0', '3.6.0']);
});

test('what there is of a snapshot counts once: its term, and the place from which entries are applied', () => {
  const machine = Machine.loaded();
  assert.deepEqual([machine.machine.appliedIndex, machine.machine.appliedTerm], [0, 0]);
  machine.apply('put', put('k'));
  assert.deepEqual([machine.machine.appliedIndex, machine.machine.appliedTerm], [1, 3]);
  replace(machine, machine.receive(leader(), 20));
  assert.deepEqual([machine.machine.appliedIndex, machine.machine.appliedTerm], [20, 3]);
});

test('data that say two things are refused at the start, where that is looked at', () => {
  const refusalOf = (verify: boolean): string | null | undefined => {
    const { disk, clock, config } = written('k');
    const backend = new Backend({ disk, clock, path: backendPath(config), onFatal: assert.fail });
    clock.advance(10);
    putLease(backend, 11n, 60, 61);
    backend.close();
    const { machine, clock: now } = new Machine({ verify }, disk);
    let refusal: string | null | undefined;
    machine.restoreThen((error) => {
      refusal = error?.message ?? null;
    });
    now.advanceUntil(() => refusal !== undefined, 10_000);
    return refusal;
  };
  assert.match(refusalOf(true)!, /lease 11 has more left than it was given$/);
  assert.equal(refusalOf(false), null);
});

test('a database that comes with a snapshot need not have what a member puts into it', () => {
  const machine = Machine.loaded();
  const snapshot = machine.receive(leader(), 20);
  const path = `${snapDirectory(machine.config)}/0000000000000014.snap.db`;
  const database = Database.open({ disk: machine.disk, path });
  const write = database.beginWrite();
  for (const name of ['meta', 'alarm', 'lease', 'auth', 'authUsers', 'authRoles', 'cluster', 'members'])
    if (write.bucket(Buffer.from(name)) !== null) write.deleteBucket(Buffer.from(name));
  write.commit();
  database.close();
  replace(machine, snapshot);
  assert.deepEqual([machine.fatal, machine.count('new')], [[], 1]);
  machine.apply('put', put('k'));
  machine.machine.writePosition();
  assert.deepEqual([machine.count('k'), readConsistentIndex(machine.machine.backend)?.index], [1, 21]);
});
