/** What the model makes of transactions within transactions, of alarms, and of what cannot be done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AlarmAction,
  AlarmRequest,
  AlarmType,
  Compare,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeRequest,
  encodeInternalRaftRequest,
  InternalRaftRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { Entry } from '@etcd/api/raftpb';
import { Model, TXN_MARK } from './model.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');

function newModel(): Model {
  const nothing = (): void => {};
  return new Model({
    onRepeatedValue: nothing,
    onValue: nothing,
    onLeaseGranted: nothing,
    onLeaseRevoked: nothing,
  });
}

function apply(model: Model, request: Partial<InternalRaftRequest>): void {
  model.apply(new Entry({ data: encodeInternalRaftRequest(new InternalRaftRequest(request)) }));
}

function put(key: string, value: string): RequestOp {
  return new RequestOp({ requestPut: new PutRequest({ key: bytesOf(key), value: bytesOf(value) }) });
}

function range(key: string, revision = 0, rangeEnd = ''): RequestOp {
  const requestRange = new RangeRequest({ key: bytesOf(key), rangeEnd: bytesOf(rangeEnd), revision });
  return new RequestOp({ requestRange });
}

/** Holds when the key has been changed so many times. */
function versionIs(key: string, version: number): Compare {
  const targetUnion = CompareTargetUnion.version;
  const { EQUAL } = CompareResult;
  return new Compare({
    key: bytesOf(key),
    target: CompareTarget.VERSION,
    result: EQUAL,
    targetUnion,
    version,
  });
}

const MARK = `${TXN_MARK}1`;

test('branches follow from the state before the transaction, reads see what it has written so far', () => {
  const model = newModel();
  apply(model, { put: new PutRequest({ key: bytesOf('a'), value: bytesOf('1') }) });
  const nested = new TxnRequest({
    compare: [versionIs('a', 1)],
    success: [range('a')],
    failure: [put('b', 'never')],
  });
  const success = [
    range('a'),
    put('a', '2'),
    new RequestOp({ requestTxn: nested }),
    range('a', 2),
    new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ key: bytesOf('a') }) }),
    range('a'),
  ];
  apply(model, { txn: new TxnRequest({ compare: [versionIs(MARK, 0)], success }) });
  const applied = model.txn(MARK)!;
  assert.ok(typeof applied.outcome !== 'string');
  assert.equal(applied.revision, 3);
  assert.equal(applied.hasWritten, true);
  const [before, replaced, inner, past, deleted, after] = applied.outcome.ops;
  const values = (pairs: readonly { readonly value: string | null }[]): unknown[] =>
    pairs.map(({ value }) => value);
  assert.deepEqual(values(before!.pairs), ['1']);
  assert.deepEqual(values(replaced!.pairs), ['1']);
  assert.equal(inner!.txn!.succeeded, true);
  assert.deepEqual(values(inner!.txn!.ops[0]!.pairs), ['2']);
  assert.deepEqual(values(past!.pairs), ['1']);
  assert.deepEqual(values(deleted!.pairs), ['2']);
  assert.deepEqual(values(after!.pairs), []);
  assert.equal(model.get('a', 3), null);
});

test('a transaction with anything in it that cannot be done does nothing', () => {
  const model = newModel();
  for (const value of ['1', '2', '3']) {
    apply(model, { put: new PutRequest({ key: bytesOf('a'), value: bytesOf(value) }) });
  }
  apply(model, { compaction: { revision: 3, physical: false, unknown: null } });
  const cases: readonly (readonly [RequestOp, string])[] = [
    [range('a', 2), 'compacted'],
    [range('a', 5), 'future'],
    [new RequestOp({ requestPut: new PutRequest({ key: bytesOf('c'), lease: 5n }) }), 'lease'],
    [new RequestOp({ requestTxn: new TxnRequest({ success: [put('d', 'x'), range('a', 1)] }) }), 'compacted'],
  ];
  for (const [i, [op, reason]] of cases.entries()) {
    const mark = `${TXN_MARK}${i}`;
    apply(model, { txn: new TxnRequest({ compare: [versionIs(mark, 0)], success: [put('b', 'y'), op] }) });
    assert.deepEqual(model.txn(mark), { revision: 4, hasWritten: false, outcome: reason });
  }
  assert.equal(model.revision, 4);
});

test('while there is no space nothing is added, and what is deleted is; a corrupt member stops everything', () => {
  const model = newModel();
  const alarm = (action: number, type: number): void =>
    apply(model, { alarm: new AlarmRequest({ action, memberId: 1n, alarm: type }) });
  const tryPut = (value: string): void =>
    apply(model, { put: new PutRequest({ key: bytesOf('a'), value: bytesOf(value) }) });
  tryPut('1');
  alarm(AlarmAction.ACTIVATE, AlarmType.NOSPACE);
  tryPut('2');
  // What another branch might add counts, too.
  apply(model, { txn: new TxnRequest({ compare: [versionIs(MARK, 0)], failure: [put('a', '3')] }) });
  assert.equal(model.revision, 2);
  assert.equal(model.txn(MARK)?.outcome, 'alarm');
  apply(model, { deleteRange: new DeleteRangeRequest({ key: bytesOf('a') }) });
  assert.equal(model.revision, 3);
  alarm(AlarmAction.DEACTIVATE, AlarmType.NOSPACE);
  tryPut('4');
  assert.equal(model.revision, 4);
  alarm(AlarmAction.ACTIVATE, AlarmType.CORRUPT);
  apply(model, { deleteRange: new DeleteRangeRequest({ key: bytesOf('a') }) });
  assert.equal(model.revision, 4);
});

test('comparisons are of every key of a range; of none, as of one that is not there', () => {
  const model = newModel();
  for (const key of ['a', 'b']) apply(model, { put: new PutRequest({ key: bytesOf(key), lease: 0n }) });
  apply(model, { put: new PutRequest({ key: bytesOf('b') }) });
  const holds = (key: string, rangeEnd: string, version: number, result: number): boolean =>
    model.compares([new Compare({ ...versionIs(key, version), rangeEnd: bytesOf(rangeEnd), result })], 4);
  assert.equal(holds('a', 'c', 0, CompareResult.GREATER), true);
  assert.equal(holds('a', 'c', 1, CompareResult.GREATER), false);
  assert.equal(holds('a', 'c', 3, CompareResult.LESS), true);
  assert.equal(holds('x', 'z', 0, CompareResult.EQUAL), true);
  assert.equal(holds('x', 'z', 0, CompareResult.NOT_EQUAL), false);
  const value = new Compare({
    key: bytesOf('x'),
    target: CompareTarget.VALUE,
    result: CompareResult.NOT_EQUAL,
  });
  assert.equal(model.compares([value], 4), false);
});
