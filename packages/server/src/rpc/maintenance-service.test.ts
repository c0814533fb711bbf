import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import {
  AlarmAction,
  AlarmRequest,
  AlarmType,
  DefragmentRequest,
  DowngradeAction,
  DowngradeRequest,
  HashKVRequest,
  HashRequest,
  MoveLeaderRequest,
  PutRequest,
  SnapshotRequest,
  StatusRequest,
} from '@etcd/api/etcdserverpb';
import { HealthCheckRequest, ServingStatus } from '@etcd/api/health';
import { ClusterVersionSetRequest } from '@etcd/api/membershippb';
import { HealthService, MaintenanceService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { OPEN_ACCESS } from '../apply/access.ts';
import { parseFeatureGates } from '../config/feature-gates.ts';
import { ETCD_VERSION } from '../config/index.ts';
import { FakeMember, type ServedMemberOptions } from './testing/served-member.ts';

const { alarm, defragment, downgrade, hash, hashKv, moveLeader, snapshot, status } =
  MaintenanceService.methods;
const { check, watch } = HealthService.methods;

function withKeys(count: number, options: ServedMemberOptions = {}, valueBytes = 1000): FakeMember {
  const member = new FakeMember(options);
  for (let i = 0; i < count; i++) {
    member.log.replay(
      'put',
      new PutRequest({ key: Buffer.from(`key${i}`), value: new Uint8Array(valueBytes) }),
    );
  }
  return member;
}

test('the status says what the member is, and what is wrong', () => {
  const member = withKeys(3);
  const well = member.ask(status, new StatusRequest());
  assert.deepEqual(
    [well.version, well.leader, well.raftIndex, well.raftAppliedIndex, well.raftTerm, well.isLearner],
    [ETCD_VERSION, member.memberId, 3, 3, 2, false],
  );
  assert.deepEqual([well.header!.revision, well.errors], [4, []]);
  assert.ok(well.dbSize > 0 && well.dbSizeInUse <= well.dbSize);
  member.leader = 0n;
  const raised = new AlarmRequest({ action: AlarmAction.ACTIVATE, memberId: 7n, alarm: AlarmType.NOSPACE });
  member.log.replay('alarm', raised);
  const { errors } = member.ask(status, new StatusRequest());
  assert.deepEqual(errors, [INTERNAL_ERRORS.errors.ErrNoLeader.message, 'memberID:7 alarm:NOSPACE']);
});

test('a learner says that it is one', () => {
  const member = new FakeMember();
  member.isLearner = true;
  assert.equal(member.ask(status, new StatusRequest()).isLearner, true);
});

test('alarms are raised, listed and disarmed through the log', () => {
  const member = new FakeMember();
  const ask = (action: number): bigint[] =>
    member
      .ask(alarm, new AlarmRequest({ action, memberId: 7n, alarm: AlarmType.NOSPACE }))
      .alarms.map(({ memberId }) => memberId);
  assert.deepEqual(ask(AlarmAction.GET), []);
  assert.deepEqual(ask(AlarmAction.ACTIVATE), [7n]);
  assert.deepEqual(ask(AlarmAction.GET), [7n]);
  assert.deepEqual(ask(AlarmAction.DEACTIVATE), [7n]);
  assert.equal(member.log.appliedIndex, 4);
});

test('members with the same keys have the same hashes, with others other ones', () => {
  const [a, b, other] = [withKeys(5), withKeys(5), withKeys(6)];
  const kv = (member: FakeMember, revision = 0): number => {
    const answered = member.call(hashKv, new HashKVRequest({ revision }));
    member.clock.advance(100);
    assert.ok(answered?.response);
    return answered.response.hash;
  };
  assert.equal(kv(a), kv(b));
  assert.notEqual(kv(a), kv(other));
  assert.equal(kv(other, 6), kv(a), 'as of the revision before');
  const future = a.call(hashKv, new HashKVRequest({ revision: 99 }));
  assert.equal(future?.message, RPC_ERRORS.ErrGRPCFutureRev.message);
  const whole = (member: FakeMember): number => member.ask(hash, new HashRequest()).hash;
  assert.equal(whole(a), whole(b));
  assert.notEqual(whole(a), whole(other));
});

test('a copy of the database comes in pieces, with its hash at the end', () => {
  const member = withKeys(200);
  const stream = member.open(snapshot);
  stream.send(new SnapshotRequest());
  stream.halfClose();
  member.clock.advanceUntil(() => !stream.isOpen, 10_000);
  assert.equal(stream.end?.code, GrpcCode.OK);
  const blobs = stream.responses.map(({ blob }) => blob);
  const digest = blobs.pop()!;
  const database = Buffer.concat(blobs);
  assert.equal(database.length % 512, 0);
  assert.deepEqual(Buffer.from(digest), createHash('sha256').update(database).digest());
  let remaining = database.length;
  for (const response of stream.responses.slice(0, -1)) {
    remaining -= response.blob.length;
    assert.equal(response.remainingBytes, remaining);
  }
  assert.equal(remaining, 0);
});

test('a client that goes in the middle of a copy leaves nothing open', () => {
  const member = withKeys(40, {}, 500_000);
  member.clock.advance(1000);
  const readers = (): number => member.backend.database.statistics().openReaders;
  const before = readers();
  const stream = member.open(snapshot);
  stream.stopReading();
  stream.send(new SnapshotRequest());
  stream.halfClose();
  assert.ok(stream.isOpen);
  assert.ok(readers() > before, 'the copy waits for its reader');
  stream.cancel();
  member.clock.advance(1000);
  assert.equal(readers(), before);
});

/** Alice is an administrator for as many verdicts. */
function administersFor(member: FakeMember, verdicts: number): void {
  let left = verdicts;
  const { ErrPermissionDenied } = INTERNAL_ERRORS.auth;
  member.users.set('alice', { name: 'alice', revision: 1 });
  const admin = (): typeof ErrPermissionDenied | null => (left-- > 0 ? null : ErrPermissionDenied);
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true, admin };
}

test('S01 a copy of the database is judged before each piece, and ends where its owner is no administrator any more', () => {
  const member = withKeys(200);
  const readers = (): number => member.backend.database.statistics().openReaders;
  const before = readers();
  const pieces = (verdicts: number): [pieces: number, end: string | undefined] => {
    administersFor(member, verdicts);
    const stream = member.open(snapshot, [['token', 'alice']]);
    stream.send(new SnapshotRequest());
    stream.halfClose();
    member.clock.advanceUntil(() => !stream.isOpen, 10_000);
    return [stream.responses.length, stream.end?.message];
  };
  const [all, end] = pieces(1000);
  assert.ok(all > 3, 'several pieces');
  assert.equal(end, '');
  const { message } = RPC_ERRORS.ErrGRPCPermissionDenied;
  // The first verdict is that before there is anything to be sent.
  assert.deepEqual(pieces(0), [0, message]);
  assert.deepEqual(pieces(1), [0, message]);
  assert.deepEqual(pieces(3), [2, message]);
  assert.deepEqual(pieces(all), [all - 1, message], 'the digest is judged, too');
  assert.equal(readers(), before, 'nothing is left open');
});

test('S01 a hash that takes several turns is judged again before it is told', () => {
  const member = withKeys(3);
  const token: [string, string][] = [['token', 'alice']];
  const told = (verdicts: number): (string | undefined)[] => {
    administersFor(member, verdicts);
    const whole = member.call(hash, new HashRequest(), token);
    administersFor(member, verdicts);
    return [whole?.message, member.call(hashKv, new HashKVRequest(), token)?.message];
  };
  const { message } = RPC_ERRORS.ErrGRPCPermissionDenied;
  assert.deepEqual(told(1), [message, message]);
  assert.deepEqual(told(2), ['', '']);
});

test('a defragmentation is answered when it is done', () => {
  const member = withKeys(50);
  const answered = member.call(defragment, new DefragmentRequest());
  member.clock.advance(1000);
  assert.ok(answered === null || answered.code === GrpcCode.OK);
  assert.equal(member.call(status, new StatusRequest())?.code, GrpcCode.OK);
});

test('the leadership is given to who is named', () => {
  const member = new FakeMember();
  member.ask(moveLeader, new MoveLeaderRequest({ targetId: 0x77n }));
  assert.deepEqual(member.movedTo, [0x77n]);
});

test('a downgrade is validated, begun, and given up', () => {
  const member = new FakeMember();
  const ask = (action: number, version = ''): string => {
    const answered = member.call(downgrade, new DowngradeRequest({ action, version }));
    return answered!.response?.version ?? answered!.message;
  };
  const { VALIDATE, ENABLE, CANCEL } = DowngradeAction;
  member.log.replay('clusterVersionSet', new ClusterVersionSetRequest({ ver: '3.6.0' }));
  assert.equal(ask(VALIDATE, '3.5.0'), '3.6');
  assert.equal(ask(VALIDATE, 'no version'), RPC_ERRORS.ErrGRPCWrongDowngradeVersionFormat.message);
  assert.equal(ask(VALIDATE, '3.4.0'), RPC_ERRORS.ErrGRPCInvalidDowngradeTargetVersion.message);
  assert.equal(member.membership.downgrade.enabled, false);
  assert.equal(ask(ENABLE, '3.5.0'), '3.5');
  assert.deepEqual(member.membership.downgrade, { enabled: true, targetVersion: '3.5.0' });
  assert.equal(ask(VALIDATE, '3.5.0'), RPC_ERRORS.ErrGRPCDowngradeInProcess.message);
  ask(CANCEL);
  assert.equal(member.membership.downgrade.enabled, false);
  assert.equal(member.call(downgrade, new DowngradeRequest({ action: 9 }))?.response, null);
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  assert.equal(ask(VALIDATE, '3.5.0'), RPC_ERRORS.ErrGRPCTimeout.message);
});

test('health is that of the whole, asked once or watched', () => {
  const member = new FakeMember();
  assert.equal(member.ask(check, new HealthCheckRequest()).status, ServingStatus.SERVING);
  const unknown = member.call(check, new HealthCheckRequest({ service: 'etcdserverpb.KV' }));
  assert.deepEqual([unknown?.code, unknown?.message], [GrpcCode.NotFound, 'unknown service']);
  const watching = member.open(watch);
  watching.send(new HealthCheckRequest());
  watching.halfClose();
  const waiting = member.open(watch);
  waiting.send(new HealthCheckRequest({ service: 'another' }));
  waiting.halfClose();
  const gone = member.open(watch);
  gone.send(new HealthCheckRequest());
  gone.halfClose();
  gone.cancel();
  member.fence();
  assert.deepEqual(
    watching.responses.map((response) => response.status),
    [ServingStatus.SERVING, ServingStatus.NOT_SERVING],
  );
  assert.deepEqual(
    waiting.responses.map((response) => response.status),
    [ServingStatus.SERVICE_UNKNOWN],
  );
  assert.equal(member.ask(check, new HealthCheckRequest()).status, ServingStatus.NOT_SERVING);
  member.services.stop();
  member.clock.settle();
  assert.equal(watching.end?.message, RPC_ERRORS.ErrGRPCStopped.message);
});

test('while it defragments a member serves, unless the gate says that it must not', () => {
  for (const gates of ['', 'StopGRPCServiceOnDefrag=true']) {
    const member = withKeys(50, { config: { featureGates: parseFeatureGates(gates).gates! } });
    const watching = member.open(watch);
    watching.send(new HealthCheckRequest());
    watching.halfClose();
    member.call(defragment, new DefragmentRequest());
    member.clock.advance(5000);
    const told = watching.responses.map((response) => response.status);
    const { SERVING, NOT_SERVING } = ServingStatus;
    assert.deepEqual(told, gates === '' ? [SERVING] : [SERVING, NOT_SERVING, SERVING], gates);
  }
});
