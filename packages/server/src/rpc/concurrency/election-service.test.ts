import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import { CompactionRequest, LeaseGrantRequest, PutRequest } from '@etcd/api/etcdserverpb';
import { ElectionService } from '@etcd/api/services';
import {
  CampaignRequest,
  type CampaignResponse,
  LeaderKey,
  LeaderRequest,
  type LeaderResponse,
  ProclaimRequest,
  ResignRequest,
} from '@etcd/api/v3electionpb';
import { GrpcCode } from '@etcd/base';
import { OPEN_ACCESS } from '../../apply/access.ts';
import { FakeMember, type TestStream } from '../testing/served-member.ts';

const { campaign, proclaim, leader, observe, resign } = ElectionService.methods;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const NAME = bytes('e');

function newMember(): FakeMember {
  const member = new FakeMember();
  for (let id = 1n; id < 10n; id++) {
    member.log.replay('leaseGrant', new LeaseGrantRequest({ id, ttl: 1000 }));
  }
  return member;
}

function campaigning(
  member: FakeMember,
  lease: bigint,
  value = `v${lease}`,
): TestStream<CampaignRequest, CampaignResponse> {
  const stream = member.open(campaign);
  stream.send(new CampaignRequest({ name: NAME, lease, value: bytes(value) }));
  return stream;
}

function observing(member: FakeMember, token?: string): TestStream<LeaderRequest, LeaderResponse> {
  const stream = member.open(observe, token === undefined ? [] : [['token', token]]);
  stream.send(new LeaderRequest({ name: NAME }));
  stream.halfClose();
  member.clock.advance(200);
  return stream;
}

function say(member: FakeMember, key: LeaderKey, value: string): string {
  const answered = member.call(proclaim, new ProclaimRequest({ leader: key, value: bytes(value) }));
  member.clock.advance(200);
  return answered!.message;
}

function stepDown(member: FakeMember, key: LeaderKey): void {
  member.ask(resign, new ResignRequest({ leader: key }));
  member.clock.advance(200);
}

const toldTo = ({ responses }: TestStream<LeaderRequest, LeaderResponse>): string[] =>
  responses.map(
    ({ kv, header }) => `${Buffer.from(kv!.key)}=${Buffer.from(kv!.value)} at ${header!.revision}`,
  );

test('the first to campaign leads, the others wait until he resigns', () => {
  const member = newMember();
  const first = campaigning(member, 1n).responses[0]!;
  const second = campaigning(member, 2n);
  const { name, key, rev, lease } = first.leader!;
  assert.deepEqual([String(name), String(key), rev, lease], ['e', 'e/1', 2, 1n]);
  assert.equal(second.responses.length, 0);
  const asked = member.ask(leader, new LeaderRequest({ name: NAME }));
  assert.deepEqual([String(asked.kv!.value), asked.header!.revision], ['v1', 3]);
  stepDown(member, first.leader!);
  assert.equal(String(second.responses[0]!.leader!.key), 'e/2');
  assert.equal(second.responses[0]!.header!.revision, 3, 'as of when it entered');
});

test('who campaigns again with the same lease takes up his place, and says what is new', () => {
  const member = newMember();
  const first = campaigning(member, 1n, 'old').responses[0]!.leader!;
  const same = campaigning(member, 1n, 'old').responses[0]!;
  assert.deepEqual([same.leader!.rev, member.store.revision], [first.rev, 2]);
  const other = campaigning(member, 1n, 'new').responses[0]!;
  assert.deepEqual([other.leader!.rev, other.header!.revision, member.store.revision], [first.rev, 2, 3]);
  const { kv } = member.ask(leader, new LeaderRequest({ name: NAME }));
  assert.equal(String(kv!.value), 'new');
});

test('a contender that goes leaves the queue', () => {
  const member = newMember();
  const first = campaigning(member, 1n).responses[0]!.leader!;
  const second = campaigning(member, 2n);
  const third = campaigning(member, 3n);
  second.cancel();
  stepDown(member, first);
  assert.equal(String(third.responses[0]!.leader!.key), 'e/3');
});

test('only the leader says something, and whoever does not lead has nothing to resign', () => {
  const member = newMember();
  const first = campaigning(member, 1n).responses[0]!.leader!;
  assert.equal(say(member, first, 'new'), '');
  const wrong = new LeaderKey({ ...first, rev: first.rev + 1 });
  assert.equal(say(member, wrong, 'no'), 'election: not leader');
  const { revision } = member.store;
  stepDown(member, wrong);
  assert.equal(member.store.revision, revision, 'nothing has changed');
  stepDown(member, first);
  assert.equal(say(member, first, 'no'), 'election: not leader');
  const nobody = member.call(leader, new LeaderRequest({ name: NAME }));
  assert.deepEqual([nobody?.code, nobody?.message], [GrpcCode.Unknown, 'election: no leader']);
});

test('a leader has to be named', () => {
  const member = newMember();
  const message = '"leader" field must be provided';
  assert.equal(member.call(proclaim, new ProclaimRequest())?.message, message);
  assert.equal(member.call(resign, new ResignRequest())?.message, message);
  const noKey = member.call(resign, new ResignRequest({ leader: new LeaderKey({ lease: 1n }) }));
  assert.equal(noKey?.message, RPC_ERRORS.ErrGRPCEmptyKey.message);
});

test('an observer is told who leads, what he says, and who follows him', () => {
  const member = newMember();
  const early = observing(member);
  const first = campaigning(member, 1n).responses[0]!.leader!;
  member.clock.advance(200);
  const late = observing(member);
  say(member, first, 'more');
  campaigning(member, 2n);
  stepDown(member, first);
  assert.deepEqual(toldTo(early), ['e/1=v1 at 2', 'e/1=more at 3', 'e/2=v2 at 5']);
  assert.deepEqual(toldTo(late), toldTo(early));
  early.cancel();
  late.cancel();
  member.clock.advance(200);
  assert.equal(member.watches.streamCount, 0);
});

test('an observer who waits for a leader is not told of other keys, and of no key twice', () => {
  const member = newMember();
  const stream = observing(member);
  member.log.replay('put', new PutRequest({ key: bytes('f/1') }));
  member.log.replay('put', new PutRequest({ key: bytes('e') }));
  member.clock.advance(200);
  assert.deepEqual(toldTo(stream), []);
  const first = campaigning(member, 1n).responses[0]!.leader!;
  member.clock.advance(200);
  stepDown(member, first);
  member.log.replay('compaction', new CompactionRequest({ revision: member.store.revision }));
  member.clock.advance(1000);
  campaigning(member, 2n);
  member.clock.advance(200);
  assert.deepEqual(toldTo(stream), ['e/1=v1 at 4', 'e/2=v2 at 6']);
});

test('S20 an observer who does not read is told the last word when he does, and piles nothing up', () => {
  const member = newMember();
  const stream = observing(member);
  const first = campaigning(member, 1n).responses[0]!.leader!;
  stream.stopReading();
  const before = stream.responses.length;
  const large = 'x'.repeat(200_000);
  for (let i = 0; i < 40; i++) say(member, first, `${large}${i}`);
  assert.ok(stream.responses.length - before < 10);
  member.log.replay('compaction', new CompactionRequest({ revision: member.store.revision }));
  member.clock.advance(5000);
  stream.readAgain();
  member.clock.advance(5000);
  assert.equal(String(stream.responses.at(-1)!.kv!.value), `${large}39`);
  assert.ok(stream.responses.length < 40, 'what was compacted meanwhile is left out');
});

test('S01 an observer is told nothing that he may not read, nor any more', () => {
  const member = newMember();
  for (const name of ['alice', 'bob']) member.users.set(name, { name, revision: 1 });
  const readers = new Set(['alice']);
  const range = ({ name }: { readonly name: string }) =>
    readers.has(name) ? null : INTERNAL_ERRORS.auth.ErrPermissionDenied;
  const first = campaigning(member, 1n).responses[0]!.leader!;
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true, range };
  const bob = observing(member, 'bob');
  assert.deepEqual([bob.end, toldTo(bob)], [{ code: GrpcCode.OK, message: '' }, []]);
  const alice = observing(member, 'alice');
  assert.deepEqual(toldTo(alice), ['e/1=v1 at 2']);
  readers.clear();
  member.log.replay('put', new PutRequest({ key: first.key, value: bytes('secret') }));
  member.clock.advance(200);
  assert.deepEqual(toldTo(alice), ['e/1=v1 at 2']);
  assert.equal(alice.end?.message, RPC_ERRORS.ErrGRPCPermissionDenied.message);
});

test('S01 who may not read any more when the leader is found is not told who it is', () => {
  const member = newMember();
  campaigning(member, 1n);
  const verdicts = [null, INTERNAL_ERRORS.auth.ErrPermissionDenied];
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true, range: () => verdicts.shift() ?? null };
  const answered = member.call(leader, new LeaderRequest({ name: NAME }));
  assert.deepEqual(
    [answered?.code, answered?.message],
    [GrpcCode.Unknown, RPC_ERRORS.ErrGRPCPermissionDenied.message],
  );
  assert.deepEqual(verdicts, []);
});

test('who waits is told when the member stops, or must not tell any more what it has', () => {
  for (const [end, { code, message }] of [
    [(member: FakeMember) => member.services.stop(), RPC_ERRORS.ErrGRPCStopped],
    [(member: FakeMember) => member.fence(), RPC_ERRORS.ErrGRPCCorrupt],
  ] as const) {
    const member = newMember();
    campaigning(member, 1n);
    const second = campaigning(member, 2n);
    const observer = observing(member);
    end(member);
    member.clock.advance(200);
    assert.deepEqual(
      [second.end, observer.end],
      [
        { code, message },
        { code, message },
      ],
    );
  }
});

test('an observer who asked for it is sent elsewhere when there is no leader of the cluster for long', () => {
  const member = newMember();
  const stream = member.open(observe, [['hasleader', 'true']]);
  stream.send(new LeaderRequest({ name: NAME }));
  stream.halfClose();
  member.leader = 0n;
  member.clock.advance(10_000);
  assert.equal(stream.end?.message, RPC_ERRORS.ErrGRPCNoLeader.message);
  assert.equal(member.watches.streamCount, 0);
});
