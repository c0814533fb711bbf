/** The judges themselves: a right answer passes, and each way of being wrong is seen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Compare,
  CompareResult,
  CompareTarget,
  CompareTargetUnion,
  DeleteRangeResponse,
  encodeInternalRaftRequest,
  InternalRaftRequest,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  ResponseHeader,
  TxnRequest,
  TxnResponse,
} from '@etcd/api/etcdserverpb';
import { KeyValue } from '@etcd/api/mvccpb';
import { Entry } from '@etcd/api/raftpb';
import { AnswerChecks } from './checks.ts';
import { Model } from './model.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const header = (revision: number): ResponseHeader => new ResponseHeader({ revision });
const pair = (key: string, value: string, mod: number, create: number, version: number): KeyValue =>
  new KeyValue({
    key: bytesOf(key),
    value: bytesOf(value),
    modRevision: mod,
    createRevision: create,
    version,
  });

/** a=1 at revision 2, b=2 at 3, a=3 at 4. */
function world(): { model: Model; checks: AnswerChecks; repeated: string[] } {
  const repeated: string[] = [];
  const model = new Model({
    onRepeatedValue: (value) => repeated.push(value),
    onValue: () => {},
    onLeaseGranted: () => {},
    onLeaseRevoked: () => {},
  });
  for (const [key, value] of [
    ['a', '1'],
    ['b', '2'],
    ['a', '3'],
  ] as const) {
    put(model, key, value);
  }
  return { model, checks: new AnswerChecks(model), repeated };
}

function put(model: Model, key: string, value: string): void {
  const request = new PutRequest({ key: bytesOf(key), value: bytesOf(value) });
  model.apply(new Entry({ data: encodeInternalRaftRequest(new InternalRaftRequest({ put: request })) }));
}

test('a put must be in the log at its revision, behind all that had been told', () => {
  const { checks } = world();
  const answer = new PutResponse({ header: header(4) });
  assert.equal(checks.put('3', 'a', answer, { seenRevision: 3 }), null);
  assert.match(checks.put('3', 'a', answer, { seenRevision: 4 })!, /5 was due/);
  assert.match(checks.put('lost', 'a', answer, { seenRevision: 3 })!, /the log says null/);
  const previous = new PutResponse({ header: header(4), prevKv: pair('a', '1', 2, 2, 1) });
  assert.equal(checks.put('3', 'a', previous, { seenRevision: 3 }), null);
  const wrong = new PutResponse({ header: header(4), prevKv: pair('a', '2', 2, 2, 1) });
  assert.match(checks.put('3', 'a', wrong, { seenRevision: 3 })!, /a at 3 is 2/);
});

test('a range must be what the log says, and a linearizable one must be fresh', () => {
  const { checks } = world();
  const all = { key: bytesOf('a'), rangeEnd: bytesOf('z') };
  const at3 = new RangeResponse({
    header: header(3),
    kvs: [pair('a', '1', 2, 2, 1), pair('b', '2', 3, 3, 1)],
    count: 2,
  });
  const bounds = { seenRevision: 4 };
  assert.equal(checks.range(new RangeRequest({ ...all, serializable: true }), at3, bounds), null);
  assert.match(checks.range(new RangeRequest(all), at3, bounds)!, /as of revision 3, but 4 was due/);
  const tooFew = new RangeResponse({ header: header(4), kvs: [pair('b', '2', 3, 3, 1)], count: 1 });
  assert.match(checks.range(new RangeRequest(all), tooFew, bounds)!, /counted 1/);
  const old = new RangeResponse({ header: header(4), kvs: [...at3.kvs], count: 2 });
  assert.match(checks.range(new RangeRequest(all), old, bounds)!, /a at 4 is 1 of 2/);
  const future = new RangeResponse({ header: header(9) });
  assert.match(checks.range(new RangeRequest(all), future, bounds)!, /has come to 4/);
});

test('a delete that found nothing, and a transaction, are judged by what was there', () => {
  const { checks } = world();
  const nothing = new DeleteRangeResponse({ header: header(4), deleted: 0 });
  assert.equal(checks.deleteRange('x', '', nothing, { seenRevision: 4 }, false), null);
  assert.match(checks.deleteRange('a', '', nothing, { seenRevision: 4 }, false)!, /1 were there/);
  const isAtTwo = new Compare({
    key: bytesOf('a'),
    result: CompareResult.EQUAL,
    target: CompareTarget.MOD,
    targetUnion: CompareTargetUnion.modRevision,
    modRevision: 2,
  });
  const request = new TxnRequest({ compare: [isAtTwo] });
  const succeeded = new TxnResponse({ header: header(4), succeeded: true });
  assert.equal(checks.txn(request, '3', succeeded, { seenRevision: 3 }), null);
  const failed = new TxnResponse({ header: header(3), succeeded: false });
  assert.match(checks.txn(request, '9', failed, { seenRevision: 3 })!, /failed at 3 though/);
});

test('a request that is applied twice is seen', () => {
  const { model, repeated } = world();
  put(model, 'a', '2');
  assert.deepEqual(repeated, ['2']);
});
