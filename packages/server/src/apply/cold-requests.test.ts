/** What requests off the hot path are counted as, whether they come to something or not, and what refuses them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import {
  AlarmAction,
  AlarmRequest,
  AlarmType,
  AuthStatusRequest,
  AuthUserAddRequest,
  CompactionRequest,
  DowngradeVersionTestRequest,
  encodeInternalRaftRequest,
  InternalAuthenticateRequest,
  InternalRaftRequest,
  LeaseCheckpoint,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
  PutRequest,
  RangeRequest,
  RequestHeader,
} from '@etcd/api/etcdserverpb';
import {
  Attributes,
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
} from '@etcd/api/membershippb';
import { membershipReader } from '@etcd/storage/data';
import { readMembership } from '@etcd/storage/membership';
import { KINDS, type Kind, type RequestOf } from '../request/index.ts';
import { LEASE_COST_BYTES } from './quota.ts';
import { SingleLog } from './testing/single-log.ts';

const { ErrCorrupt, ErrNoSpace } = INTERNAL_ERRORS.errors;
const key = Buffer.from('k');

/** How often an operation was counted, as done and as refused. */
function counted(log: SingleLog, operation: string): [done: number, refused: number] {
  const of = (success: boolean): number =>
    log.metrics.applyDurationSeconds
      .labels('v3', operation, String(success))
      .counts.reduce((sum, count) => sum + count, 0);
  return [of(true), of(false)];
}

function alarm(action: number, kind: number): AlarmRequest {
  return new AlarmRequest({ action, memberId: 1n, alarm: kind });
}

type Requests = readonly { readonly [K in Kind]: readonly [K, RequestOf<K>] }[Kind][];

/** In their order, each does something. */
const REQUESTS: Requests = [
  ['leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 60 })],
  ['leaseCheckpoint', new LeaseCheckpointRequest({ checkpoints: [new LeaseCheckpoint({ id: 5n })] })],
  ['range', new RangeRequest({ key })],
  ['compaction', new CompactionRequest({ revision: 1 })],
  ['alarm', alarm(AlarmAction.GET, AlarmType.NONE)],
  ['clusterVersionSet', new ClusterVersionSetRequest({ ver: '3.6.0' })],
  ['downgradeInfoSet', new DowngradeInfoSetRequest({ enabled: true, ver: '3.5.0' })],
  ['downgradeVersionTest', new DowngradeVersionTestRequest({ ver: '3.5.0' })],
  [
    'clusterMemberAttrSet',
    new ClusterMemberAttrSetRequest({ memberId: 1n, memberAttributes: new Attributes() }),
  ],
  ['authUserAdd', new AuthUserAddRequest({ name: 'u', hashedPassword: 'aGFzaA==' })],
  ['leaseRevoke', new LeaseRevokeRequest({ id: 5n })],
];

function propose<K extends Kind>(
  log: SingleLog,
  kind: K,
  request: RequestOf<K>,
): ReturnType<SingleLog['propose']> {
  return log.propose(kind, request);
}

test('each kind is done for whoever asks, and counted under its own name', () => {
  const log = new SingleLog();
  for (const [kind, request] of REQUESTS) {
    const outcome = propose(log, kind, request);
    assert.equal(outcome?.error, undefined, kind);
    assert.notEqual(outcome?.result, undefined, kind);
    assert.deepEqual(counted(log, KINDS[kind].operation), [1, 0], kind);
  }
});

test('what comes to nothing is counted as refused, under the same name', () => {
  const log = new SingleLog();
  const grant = new LeaseGrantRequest({ id: 5n, ttl: 60 });
  log.propose('leaseGrant', grant);
  for (const [kind, request] of [
    ['leaseGrant', grant],
    ['leaseRevoke', new LeaseRevokeRequest({ id: 6n })],
    ['range', new RangeRequest({ key, revision: 100 })],
    ['authUserAdd', new AuthUserAddRequest({ name: '', hashedPassword: 'aGFzaA==' })],
    ['authenticate', new InternalAuthenticateRequest({ name: 'u', simpleToken: 't' })],
  ] as Requests) {
    const done = kind === 'leaseGrant' ? 1 : 0;
    assert.notEqual(propose(log, kind, request)?.error, undefined, kind);
    assert.deepEqual(counted(log, KINDS[kind].operation), [done, 1], kind);
  }
});

test('where data are wrong nothing is read, compacted, granted or revoked, and members still agree on who they are', () => {
  const log = new SingleLog();
  log.propose('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 60 }));
  log.propose('alarm', alarm(AlarmAction.ACTIVATE, AlarmType.CORRUPT));
  for (const [kind, request] of REQUESTS) {
    const isOfData = ['leaseGrant', 'range', 'compaction', 'leaseRevoke'].includes(kind);
    assert.equal(propose(log, kind, request)?.error, isOfData ? ErrCorrupt : undefined, kind);
  }
  for (const kind of ['leaseGrant', 'range', 'compaction', 'leaseRevoke'] as const)
    assert.equal(counted(log, KINDS[kind].operation)[1], 1, kind);
  assert.ok(log.lessor.has(5n));
});

test('a lease costs room, to the byte; one that is refused costs none', () => {
  const { sizeBytes } = new SingleLog().backend;
  for (const [more, error] of [
    [1, undefined],
    [0, ErrNoSpace],
  ] as const) {
    const log = new SingleLog({ quotaBytes: sizeBytes + LEASE_COST_BYTES + more });
    assert.equal(log.backend.sizeBytes, sizeBytes);
    assert.equal(log.propose('leaseGrant', new LeaseGrantRequest({ id: 1n, ttl: 5 }))!.error, error);
    assert.ok(log.lessor.has(1n), 'what is in the log is applied');
    assert.deepEqual(log.told, error === undefined ? [] : ['no space']);
  }
});

test('what is granted and revoked is counted, with the time that was granted', () => {
  const log = new SingleLog();
  for (const ttl of [60, 600]) log.propose('leaseGrant', new LeaseGrantRequest({ id: BigInt(ttl), ttl }));
  log.propose('leaseGrant', new LeaseGrantRequest({ id: 60n, ttl: 60 }));
  log.propose('leaseRevoke', new LeaseRevokeRequest({ id: 60n }));
  log.propose('leaseRevoke', new LeaseRevokeRequest({ id: 60n }));
  const { leaseGrantedTotal, leaseRevokedTotal } = log.metrics;
  assert.deepEqual([leaseGrantedTotal.value, leaseRevokedTotal.value], [2, 1]);
});

test('what members read in the log is counted by the name that it has there, and takes no room', () => {
  const log = new SingleLog({ quotaBytes: 1 });
  const header = new RequestHeader({ id: 77n });
  const read = new InternalRaftRequest({ header, authStatus: new AuthStatusRequest() });
  log.append(encodeInternalRaftRequest(read));
  assert.deepEqual(counted(log, 'AuthStatus'), [1, 0]);
  log.replay('range', new RangeRequest({ key, revision: 100 }));
  assert.deepEqual(counted(log, 'Range'), [1, 0], 'nobody here has asked');
  assert.deepEqual(log.told, []);
  const nothing = new InternalRaftRequest({ header });
  assert.throws(() => log.append(encodeInternalRaftRequest(nothing)), /not known \(nothing\)/);
});

test('revisions in answers are those before what the members tell each other, and after what leases change', () => {
  const log = new SingleLog();
  log.propose('leaseGrant', new LeaseGrantRequest({ id: 5n, ttl: 60 }));
  log.propose('put', new PutRequest({ key, lease: 5n }));
  const version = log.propose('clusterVersionSet', new ClusterVersionSetRequest({ ver: '3.6.0' }))!;
  assert.deepEqual(version.result, { revision: 2 });
  assert.deepEqual(log.propose('leaseRevoke', new LeaseRevokeRequest({ id: 5n }))!.result, { revision: 3 });
});

test('an alarm of nobody is in nobody’s list, an action that is none does nothing', () => {
  const log = new SingleLog();
  const listed = (action: number): number =>
    log.propose('alarm', alarm(action, AlarmType.CORRUPT))!.result!.alarms.length;
  assert.deepEqual([listed(AlarmAction.GET), listed(9), listed(AlarmAction.DEACTIVATE)], [0, 0, 0]);
  assert.deepEqual([listed(AlarmAction.ACTIVATE), listed(9), listed(AlarmAction.GET)], [1, 0, 1]);
  assert.equal(log.metrics.alarms.labels('1', 'CORRUPT').value, 1);
});

test('what a member says of itself is known from then on, and of a member that is none nothing', () => {
  const log = new SingleLog();
  const set = (memberId: bigint, name: string): void => {
    const memberAttributes = new Attributes({ name, clientUrls: [`http://${name}:2379`] });
    log.replay('clusterMemberAttrSet', new ClusterMemberAttrSetRequest({ memberId, memberAttributes }));
  };
  set(log.memberId, 'new');
  set(log.memberId + 1n, 'nobody');
  assert.deepEqual(
    log.membership.members().map(({ name, clientUrls }) => [name, clientUrls]),
    [['new', ['http://new:2379']]],
  );
  const { members } = readMembership(membershipReader(log.backend));
  assert.deepEqual(
    members.map(({ name }) => name),
    ['new'],
  );
});
