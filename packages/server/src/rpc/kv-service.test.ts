import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import {
  CompactionRequest,
  Compare,
  CompareTarget,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { KvService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { OPEN_ACCESS } from '../apply/access.ts';
import { FakeMember } from './testing/served-member.ts';

const { compact, deleteRange, put, range, rangeStream, txn } = KvService.methods;
const key = Buffer.from('key');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

function withKeys(count: number, value = 'value'): FakeMember {
  const member = new FakeMember();
  for (let i = 0; i < count; i++) {
    member.log.replay('put', new PutRequest({ key: keyOf(i), value: Buffer.from(value) }));
  }
  return member;
}

function keyOf(i: number): Uint8Array {
  return Buffer.from(`key${String(i).padStart(5, '0')}`);
}

const ALL = { key, rangeEnd: Buffer.from('kez') };

test('what was put is read, with who answers, at which revision, in which term', () => {
  const member = new FakeMember();
  const answered = member.ask(put, new PutRequest({ key, value: Buffer.from('one') }));
  assert.equal(answered.header!.revision, 2);
  assert.equal(answered.prevKv, null);
  const again = member.ask(put, new PutRequest({ key, value: Buffer.from('two'), prevKv: true }));
  assert.equal(text(again.prevKv!.value), 'one');
  const { header, kvs, count, more } = member.ask(range, new RangeRequest({ key }));
  assert.deepEqual([header!.clusterId, header!.memberId], [member.clusterId, member.memberId]);
  assert.deepEqual([header!.revision, header!.raftTerm], [3, member.term]);
  assert.deepEqual([count, more], [1, false]);
  const [kv] = kvs;
  assert.deepEqual(
    [text(kv!.key), text(kv!.value), kv!.createRevision, kv!.modRevision, kv!.version],
    ['key', 'two', 2, 3, 2],
  );
});

test('a range that fills many blocks comes back whole, in order and sorted', () => {
  const member = withKeys(3000, 'x'.repeat(100));
  const whole = member.ask(range, new RangeRequest(ALL));
  assert.equal(whole.kvs.length, 3000);
  assert.deepEqual(
    whole.kvs.map(({ key: found }) => text(found)).sort(),
    whole.kvs.map((kv) => text(kv.key)),
  );
  const descending = member.ask(
    range,
    new RangeRequest({ ...ALL, sortOrder: 2, sortTarget: 0, limit: 1200 }),
  );
  assert.equal(text(descending.kvs[0]!.key), text(keyOf(2999)));
  assert.deepEqual([descending.kvs.length, descending.count, descending.more], [1200, 3000, true]);
  const counted = member.ask(range, new RangeRequest({ ...ALL, countOnly: true }));
  assert.deepEqual([counted.count, counted.kvs.length], [3000, 0]);
});

test('a streamed range has the same pairs, in parts', () => {
  const member = withKeys(3000, 'x'.repeat(1000));
  const stream = member.open(rangeStream);
  stream.send(new RangeRequest(ALL));
  stream.halfClose();
  assert.equal(stream.end?.code, GrpcCode.OK);
  assert.ok(stream.responses.length > 1, 'more than one part');
  const keys = stream.responses.flatMap((part) => part.rangeResponse!.kvs.map((kv) => text(kv.key)));
  assert.equal(keys.length, 3000);
  assert.deepEqual(keys, [...keys].sort());
});

/** Judges ranges like a member whose users change after so many verdicts. */
function changingAfter(member: FakeMember, verdicts: number): void {
  let left = verdicts;
  const { ErrAuthOldRevision } = INTERNAL_ERRORS.auth;
  member.users.set('alice', { name: 'alice', revision: 1 });
  const judge = (): typeof ErrAuthOldRevision | null => (left-- > 0 ? null : ErrAuthOldRevision);
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true, range: judge };
}

test('S01 a streamed range is judged before each part, and ends where its owner may not read any more', () => {
  const member = withKeys(3000, 'x'.repeat(1000));
  const parts = (verdicts: number): [parts: number, end: string | undefined] => {
    changingAfter(member, verdicts);
    const stream = member.open(rangeStream, [['token', 'alice']]);
    stream.send(new RangeRequest(ALL));
    stream.halfClose();
    return [stream.responses.length, stream.end?.message];
  };
  const [all, end] = parts(1000);
  assert.ok(all > 3, 'several parts');
  assert.equal(end, '');
  const { message } = RPC_ERRORS.ErrGRPCAuthOldRevision;
  // The first verdict is that before there is anything to be sent.
  assert.deepEqual(parts(0), [0, message]);
  assert.deepEqual(parts(1), [0, message]);
  assert.deepEqual(parts(3), [2, message]);
  assert.deepEqual(parts(all), [all - 1, message], 'the last part is judged, too');
});

test('S01 a large range that takes several turns is judged again before it is answered', () => {
  const member = withKeys(3000, 'x'.repeat(1000));
  const answered = (verdicts: number): string => {
    changingAfter(member, verdicts);
    return member.call(range, new RangeRequest(ALL), [['token', 'alice']])!.message;
  };
  assert.equal(answered(0), RPC_ERRORS.ErrGRPCAuthOldRevision.message);
  assert.equal(answered(1), RPC_ERRORS.ErrGRPCAuthOldRevision.message);
  assert.equal(answered(2), '');
});

test('parts of a streamed range come to about half of what a request may have, and a count is one part', () => {
  const member = withKeys(3000, 'x'.repeat(100));
  const stream = member.open(rangeStream);
  stream.send(new RangeRequest(ALL));
  stream.halfClose();
  member.clock.advance(100);
  const sizes = stream.responses.map(({ rangeResponse }) => rangeResponse!.kvs.length);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    3000,
  );
  assert.equal(sizes[0], 10, 'the first is small, so that it is there soon');
  assert.ok(sizes.length < 12, `${sizes}`);
  const count = member.open(rangeStream);
  count.send(new RangeRequest({ ...ALL, countOnly: true }));
  count.halfClose();
  member.clock.advance(100);
  assert.deepEqual(
    count.responses.map(({ rangeResponse }) => [rangeResponse!.count, rangeResponse!.more]),
    [[3000, false]],
  );
});

test('a streamed range is refused what it can not do', () => {
  const member = withKeys(1);
  const stream = member.open(rangeStream);
  stream.send(new RangeRequest({ ...ALL, sortOrder: 1, sortTarget: 4 }));
  stream.halfClose();
  assert.notEqual(stream.end?.code, GrpcCode.OK);
});

test('reads wait for their turn, unless they take what there is', () => {
  const member = withKeys(1);
  member.readError = INTERNAL_ERRORS.errors.ErrTimeout;
  assert.equal(member.call(range, new RangeRequest({ key }))?.message, RPC_ERRORS.ErrGRPCTimeout.message);
  assert.equal(member.call(range, new RangeRequest({ key, serializable: true }))?.code, GrpcCode.OK);
  const reads = (serializable: boolean): RequestOp[] => [
    new RequestOp({ requestRange: new RangeRequest({ key, serializable }) }),
  ];
  assert.equal(
    member.call(txn, new TxnRequest({ success: reads(false) }))?.message,
    RPC_ERRORS.ErrGRPCTimeout.message,
  );
  assert.equal(
    member.call(txn, new TxnRequest({ success: reads(true), failure: reads(true) }))?.code,
    GrpcCode.OK,
  );
  assert.equal(member.log.appliedIndex, 1, 'no read went through the log');
});

test('reads of the past and of the future are refused', () => {
  const member = withKeys(5);
  const at = (revision: number): string => member.call(range, new RangeRequest({ key, revision }))!.message;
  assert.equal(at(99), RPC_ERRORS.ErrGRPCFutureRev.message);
  member.ask(compact, new CompactionRequest({ revision: 4 }));
  assert.equal(at(2), RPC_ERRORS.ErrGRPCCompacted.message);
  assert.equal(at(5), '');
});

test('a transaction answers for the branch that ran', () => {
  const member = withKeys(1);
  const compare = [
    new Compare({ key: keyOf(0), target: CompareTarget.VERSION, result: 0, version: 1, targetUnion: 4 }),
  ];
  const success = [
    new RequestOp({ requestPut: new PutRequest({ key, value: Buffer.from('new'), prevKv: true }) }),
    new RequestOp({ requestRange: new RangeRequest({ key }) }),
  ];
  const failure = [new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ ...ALL, prevKv: true }) })];
  const first = member.ask(txn, new TxnRequest({ compare, success, failure }));
  assert.equal(first.succeeded, true);
  assert.equal(first.responses.length, 2);
  assert.equal(text(first.responses[1]!.responseRange!.kvs[0]!.value), 'new');
  member.log.replay('put', new PutRequest({ key: keyOf(0) }));
  const second = member.ask(txn, new TxnRequest({ compare, success, failure }));
  assert.equal(second.succeeded, false);
  const deleted = second.responses[0]!.responseDeleteRange!;
  assert.deepEqual([deleted.deleted, deleted.prevKvs.length], [2, 2]);
});

test('a transaction in a transaction is answered in its place', () => {
  const inner = new TxnRequest({ success: [new RequestOp({ requestPut: new PutRequest({ key }) })] });
  const outer = new TxnRequest({ success: [new RequestOp({ requestTxn: inner })] });
  const { responses } = new FakeMember().ask(txn, outer);
  assert.equal(responses[0]!.responseTxn!.succeeded, true);
  assert.equal(responses[0]!.responseTxn!.responses.length, 1);
});

test('large answers come whole: deleted pairs, and what a transaction read', () => {
  const member = withKeys(300, 'x'.repeat(1000));
  const read = new TxnRequest({ success: [new RequestOp({ requestRange: new RangeRequest(ALL) })] });
  const found = member.ask(txn, read).responses[0]!.responseRange!;
  assert.equal(found.kvs.length, 300);
  const { deleted, prevKvs } = member.ask(deleteRange, new DeleteRangeRequest({ ...ALL, prevKv: true }));
  assert.deepEqual([deleted, prevKvs.length], [300, 300]);
});

test('malformed requests are refused before they get into the log', () => {
  const member = new FakeMember();
  const message = (code: { readonly message: string } | null): string => code?.message ?? '';
  assert.equal(message(member.call(range, new RangeRequest())), RPC_ERRORS.ErrGRPCEmptyKey.message);
  assert.equal(message(member.call(put, new PutRequest())), RPC_ERRORS.ErrGRPCEmptyKey.message);
  assert.equal(
    message(member.call(deleteRange, new DeleteRangeRequest())),
    RPC_ERRORS.ErrGRPCEmptyKey.message,
  );
  const empty = new TxnRequest({ success: [new RequestOp({ requestPut: new PutRequest() })] });
  assert.equal(message(member.call(txn, empty)), RPC_ERRORS.ErrGRPCEmptyKey.message);
  const ops = Array.from(
    { length: 129 },
    (_, i) => new RequestOp({ requestPut: new PutRequest({ key: keyOf(i) }) }),
  );
  assert.equal(
    message(member.call(txn, new TxnRequest({ success: ops }))),
    RPC_ERRORS.ErrGRPCTooManyOps.message,
  );
  assert.equal(member.log.appliedIndex, 0);
});

test('what can not be applied is told in the words of the protocol', () => {
  const member = new FakeMember();
  const lease = member.call(put, new PutRequest({ key, lease: 404n }));
  assert.equal(lease?.message, RPC_ERRORS.ErrGRPCLeaseNotFound.message);
  const ignores = member.call(put, new PutRequest({ key, ignoreValue: true }));
  assert.equal(ignores?.message, RPC_ERRORS.ErrGRPCKeyNotFound.message);
});

test('a request that is too large is refused, whole', () => {
  const member = new FakeMember({ config: { maxRequestBytes: 1000 } });
  const large = new PutRequest({ key, value: new Uint8Array(1001) });
  assert.equal(member.call(put, large)?.message, RPC_ERRORS.ErrGRPCRequestTooLarge.message);
  assert.equal(member.store.revision, 1);
});

test('without room a put is refused at the door, and the alarm is raised', () => {
  const member = new FakeMember({ quotaBytes: 1 });
  assert.equal(member.call(put, new PutRequest({ key }))?.message, RPC_ERRORS.ErrGRPCNoSpace.message);
  const grows = new TxnRequest({ success: [new RequestOp({ requestPut: new PutRequest({ key }) })] });
  assert.equal(member.call(txn, grows)?.message, RPC_ERRORS.ErrGRPCNoSpace.message);
  assert.deepEqual(member.log.told, ['no space', 'no space']);
  assert.equal(member.log.appliedIndex, 0, 'it did not get into the log');
  assert.equal(member.call(deleteRange, new DeleteRangeRequest({ key }))?.code, GrpcCode.OK);
});

test('a compaction is refused twice, and a physical one is answered when the keys are gone', () => {
  const member = withKeys(20);
  for (let i = 0; i < 20; i++) member.log.replay('put', new PutRequest({ key: keyOf(i) }));
  member.ask(compact, new CompactionRequest({ revision: 30, physical: true }));
  assert.equal(member.store.isCompacting, false, 'the keys are gone');
  assert.equal(member.store.compactRevision, 30);
  const again = member.call(compact, new CompactionRequest({ revision: 30 }));
  assert.equal(again?.message, RPC_ERRORS.ErrGRPCCompacted.message);
});

test('a client that has gone is not read for', () => {
  const member = withKeys(1);
  const stream = member.open(rangeStream);
  stream.send(new RangeRequest(ALL));
  stream.cancel();
  member.clock.advance(10);
  assert.ok(member.metrics.handles.rangeTotal.value <= 1);
});

test('requests are timed by what they were and whether they succeeded', () => {
  const member = withKeys(1);
  member.ask(put, new PutRequest({ key }));
  member.call(put, new PutRequest({ key, lease: 404n }));
  member.call(range, new RangeRequest({ key, revision: 404 }));
  member.ask(range, new RangeRequest({ key }));
  const { requestDurationSeconds } = member.metrics.handles;
  const counted = (type: string, success: string): number => {
    let sum = 0;
    for (const bucket of requestDurationSeconds.labels(type, success).counts) sum += bucket;
    return sum;
  };
  assert.deepEqual(
    [counted('Put', 'true'), counted('Put', 'false'), counted('Range', 'true'), counted('Range', 'false')],
    // What the cluster has decided against is no failure of its.
    [2, 0, 1, 1],
  );
});
