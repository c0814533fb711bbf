import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, type InternalError } from '@etcd/api';
import {
  AlarmAction,
  AlarmRequest,
  AlarmType,
  CompactionRequest,
  Compare,
  CompareTarget,
  DeleteRangeRequest,
  encodeInternalRaftRequest,
  encodeRequest,
  InternalRaftRequest,
  LeaseCheckpoint,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  RangeRequest,
  Request,
  RequestHeader,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { ClusterVersionSetRequest, DowngradeInfoSetRequest } from '@etcd/api/membershippb';
import { ConfChange, ConfChangeType, Entry } from '@etcd/api/raftpb';
import { InvariantError, type LogFields, SILENT_LOGGER } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import {
  addMemberChange,
  formatClusterVersion,
  newMember,
  promoteMemberChange,
  removeMemberChange,
  updateMemberChange,
} from '@etcd/storage/membership';
import { executeRange } from '@etcd/storage/mvcc';
import { readConsistentIndex } from '@etcd/storage/schema';
import { type Access, OPEN_ACCESS } from './access.ts';
import { SingleLog } from './testing/single-log.ts';

const { ErrCorrupt, ErrNoSpace } = INTERNAL_ERRORS.errors;
const { ErrPermissionDenied } = INTERNAL_ERRORS.auth;
const key = Buffer.from('k');
const value = Buffer.from('v');
const put = new PutRequest({ key, value });

function count(log: SingleLog, prefix = 'k'): number {
  const end = Buffer.from(`${prefix}\xff`, 'latin1');
  return executeRange(log.store, new RangeRequest({ key: Buffer.from(prefix), rangeEnd: end })).count;
}

/** Denies everything, and notes who asked for what. */
function closedAccess(asked: string[]): Access {
  const deny =
    (what: string) =>
    ({ name, revision }: Identity): InternalError => {
      asked.push(`${what} by ${name}@${revision}`);
      return ErrPermissionDenied;
    };
  return {
    isEnabled: true,
    user: deny('user'),
    admin: deny('admin'),
    range: deny('range'),
    put: deny('put'),
    deleteRange: deny('deleteRange'),
    txn: deny('txn'),
    leaseKeys: deny('leaseKeys'),
    hasRole: () => false,
    allLeaseKeys: deny('allLeaseKeys'),
  };
}

test('whoever proposed is told the result, of the kind that was proposed', () => {
  const log = new SingleLog();
  assert.equal(log.propose('put', put)!.result!.revision, 2);
  const success = [new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ key }) })];
  const compare = [new Compare({ key, target: CompareTarget.VERSION, result: 1, version: 0 })];
  const txn = log.propose('txn', new TxnRequest({ compare, success }))!;
  assert.deepEqual([txn.result!.succeeded, txn.result!.revision], [true, 3]);
  assert.equal(log.propose('deleteRange', new DeleteRangeRequest({ key }))!.result!.deleted, 0);
  assert.equal(log.propose('range', new RangeRequest({ key }))!.result!.count, 0);
  assert.deepEqual(log.propose('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 60 }))!.result, {
    id: 5n,
    ttl: 60,
    revision: 3,
  });
  assert.equal(log.pending.count, 0, 'nobody waits any more');
});

test('entries of other members change the same and answer nobody', () => {
  const [mine, theirs] = [new SingleLog(), new SingleLog()];
  const success = [
    new RequestOp({ requestPut: new PutRequest({ key: Buffer.from('k2'), value }) }),
    new RequestOp({ requestRange: new RangeRequest({ key }) }),
  ];
  for (const log of [mine, theirs]) {
    const apply = log === mine ? log.propose.bind(log) : log.replay.bind(log);
    apply('put', put);
    apply('txn', new TxnRequest({ success }));
    apply('leaseGrant', new LeaseGrantRequest({ id: 7n, ttl: 60 }));
    apply('put', new PutRequest({ key, value: Buffer.from('again'), lease: 7n }));
    apply('deleteRange', new DeleteRangeRequest({ key: Buffer.from('k2') }));
  }
  assert.equal(theirs.store.revision, mine.store.revision);
  assert.deepEqual(theirs.lessor.leases(), mine.lessor.leases());
  assert.equal(count(theirs), count(mine));
});

test('a range in the log of another member is read for nobody, and takes no room', () => {
  const log = new SingleLog({ quotaBytes: 1 });
  log.replay('range', new RangeRequest({ key }));
  assert.deepEqual(log.told, []);
  assert.equal(log.propose('range', new RangeRequest({ key }))!.result!.count, 0);
});

test('an entry that the backend has is not applied again, and none is left out', () => {
  const log = new SingleLog();
  log.propose('put', put);
  const { appliedIndex } = log;
  log.applyEntries([new Entry({ term: 2, index: appliedIndex, data: Buffer.from('whatever') })]);
  assert.equal(log.appliedIndex, appliedIndex);
  assert.throws(
    () => log.applyEntries([new Entry({ term: 2, index: appliedIndex + 2 })]),
    InvariantError,
    'a gap',
  );
});

test('S23 what an entry changes and how far has been applied are committed together', () => {
  const log = new SingleLog();
  for (let i = 0; i < 5; i++) log.propose('put', put);
  let isCommitted = false;
  log.backend.commitNowThen(() => {
    isCommitted = true;
  });
  log.clock.advanceUntil(() => isCommitted, 1000);
  assert.deepEqual(readConsistentIndex(log.backend), { index: 5, term: 2 });
});

test('the empty entry of a new leader tells that it leads', () => {
  const log = new SingleLog();
  log.append(new Uint8Array(0));
  assert.deepEqual(log.told, ['first commit in term']);
});

test('without room nothing that grows the database is applied, and the rest is', () => {
  const log = new SingleLog({ quotaBytes: 1 });
  const refused = log.propose('put', put);
  assert.equal(refused!.error, ErrNoSpace, 'told once the alarm was to be raised');
  assert.deepEqual(log.told, ['no space']);
  assert.equal(count(log), 1, 'what is in the log is applied all the same');
  const activate = new AlarmRequest({ action: AlarmAction.ACTIVATE, memberId: 1n, alarm: AlarmType.NOSPACE });
  log.propose('alarm', activate);
  assert.equal(log.propose('put', new PutRequest({ key: Buffer.from('k2') }))!.error, ErrNoSpace);
  assert.equal(log.propose('leaseGrant', new LeaseGrantRequest({ id: 9n, ttl: 9 }))!.error, ErrNoSpace);
  assert.equal(count(log), 1, 'from now on nothing more');
  const grows = [new RequestOp({ requestPut: put })];
  assert.equal(log.propose('txn', new TxnRequest({ success: grows }))!.error, ErrNoSpace);
  const shrinks = [new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ key }) })];
  assert.ok(log.propose('txn', new TxnRequest({ success: shrinks }))!.result);
  assert.equal(count(log), 0);
});

test('data that are wrong on some member are changed no more, on any', () => {
  const log = new SingleLog();
  log.propose('put', put);
  const corrupt = { memberId: 1n, alarm: AlarmType.CORRUPT };
  log.propose('alarm', new AlarmRequest({ action: AlarmAction.ACTIVATE, ...corrupt }));
  assert.equal(log.propose('put', put)!.error, ErrCorrupt);
  assert.equal(log.propose('txn', new TxnRequest())!.error, ErrCorrupt);
  assert.equal(log.propose('deleteRange', new DeleteRangeRequest({ key }))!.error, ErrCorrupt);
  assert.equal(log.propose('range', new RangeRequest({ key }))!.error, ErrCorrupt);
  assert.equal(log.propose('compaction', new CompactionRequest({ revision: 1 }))!.error, ErrCorrupt);
  assert.equal(log.propose('leaseGrant', new LeaseGrantRequest({ id: 1n, ttl: 5 }))!.error, ErrCorrupt);
  log.propose('alarm', new AlarmRequest({ action: AlarmAction.DEACTIVATE, ...corrupt }));
  assert.ok(log.propose('put', put)!.result);
});

test('alarms are raised once, listed by kind, and disarmed once', () => {
  const log = new SingleLog();
  const ask = (action: number, alarm: number): readonly number[] =>
    log
      .propose('alarm', new AlarmRequest({ action, memberId: 3n, alarm }))!
      .result!.alarms.map((raised) => raised.alarm);
  const { ACTIVATE, DEACTIVATE, GET } = AlarmAction;
  assert.deepEqual(ask(ACTIVATE, AlarmType.NOSPACE), [AlarmType.NOSPACE]);
  assert.deepEqual(ask(ACTIVATE, AlarmType.NOSPACE), [AlarmType.NOSPACE], 'it is up already');
  assert.deepEqual(ask(ACTIVATE, AlarmType.NONE), []);
  assert.deepEqual(ask(GET, AlarmType.NONE), [AlarmType.NOSPACE]);
  assert.deepEqual(ask(GET, AlarmType.CORRUPT), []);
  assert.equal(log.metrics.alarms.labels('3', 'NOSPACE').value, 1);
  assert.deepEqual(ask(DEACTIVATE, AlarmType.NOSPACE), [AlarmType.NOSPACE]);
  assert.deepEqual(ask(DEACTIVATE, AlarmType.NOSPACE), []);
  assert.equal(log.metrics.alarms.labels('3', 'NOSPACE').value, 0);
});

test('a lease that ends takes its keys along', () => {
  const log = new SingleLog();
  log.propose('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 60 }));
  log.propose('put', new PutRequest({ key, value, lease: 5n }));
  const missing = log.propose('put', new PutRequest({ key: Buffer.from('k2'), lease: 6n }));
  assert.equal(missing!.error, INTERNAL_ERRORS.lease.ErrLeaseNotFound);
  assert.equal(count(log), 1);
  log.propose('leaseRevoke', new LeaseRevokeRequest({ id: 5n }));
  assert.equal(count(log), 0);
  const { leaseGrantedTotal, leaseRevokedTotal } = log.metrics;
  assert.deepEqual([leaseGrantedTotal.value, leaseRevokedTotal.value], [1, 1]);
  const again = log.propose('leaseRevoke', new LeaseRevokeRequest({ id: 5n }));
  assert.equal(again!.error, INTERNAL_ERRORS.lease.ErrLeaseNotFound);
  const taken = new LeaseGrantRequest({ id: 8n, ttl: 60 });
  log.propose('leaseGrant', taken);
  assert.equal(log.propose('leaseGrant', taken)!.error, INTERNAL_ERRORS.lease.ErrLeaseExists);
});

test('checkpoints of leases are taken over, of those that there are', () => {
  const log = new SingleLog();
  log.propose('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 600 }));
  const checkpoints = [5n, 6n].map((id) => new LeaseCheckpoint({ id, remainingTtl: 100 }));
  assert.ok(log.propose('leaseCheckpoint', new LeaseCheckpointRequest({ checkpoints }))!.result);
});

test('a compaction is answered when it is scheduled, and tells when it is done', () => {
  const log = new SingleLog();
  for (let i = 0; i < 10; i++) log.propose('put', put);
  const { result } = log.propose('compaction', new CompactionRequest({ revision: 9 }))!;
  assert.equal(result!.error, null);
  let isDone = false;
  result!.whenDone(() => {
    isDone = true;
  });
  assert.equal(isDone, false);
  log.clock.advanceUntil(() => isDone, 10_000);
  assert.equal(log.store.compactRevision, 9);
  const compacted = log.propose('compaction', new CompactionRequest({ revision: 9 }))!.result!;
  assert.equal(compacted.error, INTERNAL_ERRORS.mvcc.ErrCompacted);
  const future = log.propose('compaction', new CompactionRequest({ revision: 100 }))!.result!;
  assert.equal(future.error, INTERNAL_ERRORS.mvcc.ErrFutureRev);
  let isFutureDone = false;
  future.whenDone(() => {
    isFutureDone = true;
  });
  assert.ok(isFutureDone, 'nothing was scheduled that could be waited for');
});

test('the version of the cluster, and a downgrade of it, come out of the log', () => {
  const log = new SingleLog();
  log.propose('clusterVersionSet', new ClusterVersionSetRequest({ ver: '3.6.0' }));
  assert.equal(formatClusterVersion(log.membership.version!), '3.6');
  log.propose('downgradeInfoSet', new DowngradeInfoSetRequest({ enabled: true, ver: '3.5.0' }));
  assert.deepEqual(log.membership.downgrade, { enabled: true, targetVersion: '3.5.0' });
  assert.deepEqual(log.told, ['cluster version']);
});

test('changes of the membership go to raft, also those that come to nothing', () => {
  const log = new SingleLog();
  const member = newMember(0x77n, { peerUrls: ['http://new:2380'], isLearner: true });
  log.appendConfChange(addMemberChange(member));
  assert.equal(log.membership.members().length, 2);
  assert.deepEqual(log.told, ['conf change for 77', 'member change']);
  log.told.length = 0;
  log.appendConfChange(addMemberChange(member));
  assert.equal(log.membership.members().length, 2);
  assert.deepEqual(log.told, ['conf change for 0'], 'raft is told that nothing changes');
  log.appendConfChange(new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 0x77n }));
  assert.equal(log.membership.members().length, 1);
});

test('requests in other forms than ours are the same requests', () => {
  const log = new SingleLog();
  log.append(encodeInternalRaftRequest(new InternalRaftRequest({ id: 5n, put })));
  assert.equal(log.store.revision, 2, 'an id outside of the header, as before 3.0');
  const header = new RequestHeader({ id: 6n });
  const del = new InternalRaftRequest({ header, deleteRange: new DeleteRangeRequest({ key }), id: 6n });
  log.append(encodeInternalRaftRequest(del));
  assert.equal(count(log), 0);
  log.append(encodeRequest(new Request({ id: 7n, method: 'PUT', path: '/0/version', val: '3.5.0' })));
  assert.equal(formatClusterVersion(log.membership.version!), '3.5');
  assert.deepEqual(log.told, ['v2 request', 'cluster version']);
});

test('S17 an entry that is no request ends the process: other members have applied something', () => {
  const log = new SingleLog();
  assert.throws(() => log.append(Uint8Array.of(0xff, 0xff, 0xff)), InvariantError);
  const nothing = encodeInternalRaftRequest(
    new InternalRaftRequest({ header: new RequestHeader({ id: 1n }) }),
  );
  assert.throws(() => new SingleLog().append(nothing), InvariantError);
});

test('S08 a request is judged by the identity that its entry carries, on every member alike', () => {
  const alice = { name: 'alice', revision: 3 };
  for (const isOwn of [true, false]) {
    const asked: string[] = [];
    const log = new SingleLog();
    log.propose('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 60 }));
    log.rules = closedAccess(asked);
    const apply = isOwn ? log.propose.bind(log) : log.replay.bind(log);
    apply('put', put, alice);
    apply('deleteRange', new DeleteRangeRequest({ key }), alice);
    apply('txn', new TxnRequest(), alice);
    apply('leaseRevoke', new LeaseRevokeRequest({ id: 5n }), alice);
    assert.deepEqual(asked, [
      'put by alice@3',
      'deleteRange by alice@3',
      'txn by alice@3',
      'leaseKeys by alice@3',
    ]);
    assert.equal(log.store.revision, 1);
    assert.deepEqual(log.lessor.leases(), [5n]);
  }
});

test('whoever is denied is told so, and nothing has changed', () => {
  const log = new SingleLog();
  log.rules = closedAccess([]);
  assert.equal(log.propose('put', put)!.error, ErrPermissionDenied);
  assert.equal(log.propose('range', new RangeRequest({ key }))!.error, ErrPermissionDenied);
  assert.equal(log.store.revision, 1);
  log.rules = OPEN_ACCESS;
  assert.ok(log.propose('put', put)!.result);
});

test('an identity in an unusual envelope counts like one in ours', () => {
  const asked: string[] = [];
  const log = new SingleLog();
  log.rules = closedAccess(asked);
  const header = new RequestHeader({ id: 6n, username: 'bob', authRevision: 9 });
  log.append(encodeInternalRaftRequest(new InternalRaftRequest({ id: 6n, header, put })));
  assert.deepEqual(asked, ['put by bob@9']);
});

test('raft and the membership are compared at each change of a place, and a difference is told', () => {
  const lines: unknown[] = [];
  const error = (line: string, fields?: LogFields): void =>
    void lines.push([line, fields?.['isVoter'], fields?.['isLearner']]);
  const log = new SingleLog({ logger: { ...SILENT_LOGGER, error } });
  const learner = newMember(0x77n, { peerUrls: ['http://new:2380'], isLearner: true });
  log.appendConfChange(addMemberChange(learner));
  log.appendConfChange(updateMemberChange(0x77n, ['http://newer:2380']));
  log.appendConfChange(promoteMemberChange(0x77n));
  log.appendConfChange(removeMemberChange(0x77n));
  assert.deepEqual(lines, []);
  // Raft is told of a voter, the membership of a learner.
  const { context } = addMemberChange({ ...learner, id: 0x78n, peerUrls: ['http://other:2380'] });
  log.appendConfChange(new ConfChange({ type: ConfChangeType.ConfChangeAddNode, nodeId: 0x78n, context }));
  assert.deepEqual(lines, [['raft and the membership disagree on a member', false, true]]);
});

test('who waits is known by the whole id: of this process, and of this request', () => {
  const log = new SingleLog();
  const answers: unknown[] = [];
  const waiter = {
    kind: 'put' as const,
    request: null,
    onApplied: () => answers.push('done'),
    onFailed: assert.fail,
  };
  const encode = (id: bigint): Uint8Array =>
    encodeInternalRaftRequest(new InternalRaftRequest({ id, header: new RequestHeader({ id }), put }));
  const suffix = log.ids.next();
  const id = (BigInt(log.ids.prefix) << 48n) | BigInt(suffix);
  const data = encode(id);
  log.pending.add(suffix, waiter, data, 0);
  log.append(encode(id ^ (1n << 48n)));
  log.append(encode(id + 1n));
  assert.deepEqual([answers, log.pending.count], [[], 1]);
  log.append(data);
  assert.deepEqual([answers, log.pending.count], [['done'], 0]);
});
