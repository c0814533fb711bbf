/** What other members may not bring into the log: each of these would end whoever applies it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeInternalRaftRequest,
  encodeRequest,
  InternalRaftRequest,
  LeaseGrantRequest,
  PutRequest,
  RangeRequest,
  Request,
  RequestHeader,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { ClusterVersionSetRequest, DowngradeInfoSetRequest } from '@etcd/api/membershippb';
import {
  ConfChange,
  ConfChangeType,
  Entry,
  EntryType,
  encodeConfChange,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { addMemberChange, EMPTY_MEMBERSHIP, encodeV2Store, newMember } from '@etcd/storage/membership';
import { MessageCheck } from './message-check.ts';

const HEADER = new RequestHeader({ id: 7n });
const NEWCOMER = newMember(5n, { peerUrls: ['http://m5:1'], isLearner: false });

const check = new MessageCheck();

function entriesProblem(...data: (Uint8Array | Entry)[]): string | null {
  const entries = data.map((item) => (item instanceof Entry ? item : new Entry({ data: item })));
  return check.problemOf(new Message({ type: MessageType.MsgApp, entries }));
}

const request = (fields: ConstructorParameters<typeof InternalRaftRequest>[0]): Uint8Array =>
  encodeInternalRaftRequest(new InternalRaftRequest({ header: HEADER, ...fields }));

const confChange = (fields: ConstructorParameters<typeof ConfChange>[0]): Entry =>
  new Entry({ type: EntryType.EntryConfChange, data: encodeConfChange(new ConfChange(fields)) });

const put = new PutRequest({ key: Buffer.from('k'), value: Buffer.from('v') });

test('what members of any release propose is taken', () => {
  for (const data of [
    new Uint8Array(0),
    request({ put }),
    request({ txn: new TxnRequest({ success: [new RequestOp({ requestPut: put })] }) }),
    request({ leaseGrant: new LeaseGrantRequest({ id: 1n, ttl: 5 }) }),
    request({ clusterVersionSet: new ClusterVersionSetRequest({ ver: '3.6.0' }) }),
    request({ downgradeInfoSet: new DowngradeInfoSetRequest({ enabled: true, ver: '3.6.0' }) }),
    request({ downgradeInfoSet: new DowngradeInfoSetRequest({ enabled: false }) }),
    encodeRequest(new Request({ id: 9n, method: 'PUT', path: '/0/version', val: '3.5.0' })),
    request({ put, v2: null, header: new RequestHeader({ id: 7n, username: 'root', authRevision: 3 }) }),
  ]) {
    assert.equal(entriesProblem(data), null, Buffer.from(data).toString('hex'));
  }
  const { type, nodeId, context } = addMemberChange(NEWCOMER);
  assert.equal(entriesProblem(confChange({ type, nodeId, context })), null);
});

test('bytes that are no request, cut anywhere, are refused', () => {
  const data = request({ put });
  // Its header comes last: what is before that is a request of its own.
  const headless = encodeInternalRaftRequest(new InternalRaftRequest({ put })).length;
  for (let end = 1; end < data.length; end++) {
    assert.equal(entriesProblem(data.subarray(0, end)) === null, end === headless, `cut at ${end}`);
  }
});

test('a request that is no request inside an envelope that is whole is refused, of the kinds that are parsed fast as well', () => {
  const header = encodeInternalRaftRequest(new InternalRaftRequest({ header: HEADER }));
  // Fields 3 to 6 of the envelope: range, put, delete range, txn. Their content: a field whose length is beyond the end.
  for (const field of [3, 4, 5, 6]) {
    const data = Buffer.concat([Buffer.from([(field << 3) | 2, 2, 0x0a, 9]), header]);
    assert.notEqual(entriesProblem(data), null, `field ${field}`);
  }
});

test('a request of the v2 API that names a member, or a version, has to say what it is, bare or in an envelope', () => {
  for (const [path, val] of [
    ['/0/members/5/attributes', '{'],
    ['/0/members/5/attributes', '[]'],
    ['/0/version', 'three'],
  ] as const) {
    const v2 = new Request({ id: 9n, method: 'PUT', path, val });
    assert.notEqual(entriesProblem(encodeRequest(v2)), null, val);
    assert.notEqual(entriesProblem(request({ v2 })), null, val);
  }
  const elsewhere = new Request({ id: 9n, method: 'PUT', path: '/1/x', val: '{' });
  assert.equal(entriesProblem(encodeRequest(elsewhere)), null, 'keys of the v2 API are of no concern');
});

test('an entry without a request, or of a kind that is not known, is refused', () => {
  assert.equal(entriesProblem(request({})), 'an entry without a request');
  // Field 999, length-delimited, empty.
  const unknown = Buffer.concat([request({}), Buffer.from([0xba, 0x3e, 0])]);
  assert.equal(entriesProblem(unknown), 'an entry without a request');
  assert.match(entriesProblem(new Entry({ type: EntryType.EntryConfChangeV2 }))!, /^an entry of type 2$/);
});

test('a transaction with an operation that asks for nothing is refused, however deep', () => {
  const problem = 'an operation without a request';
  const nothing = new RequestOp();
  const range = new RequestOp({ requestRange: new RangeRequest({ key: Buffer.from('k') }) });
  const inside = (op: RequestOp): RequestOp =>
    new RequestOp({ requestTxn: new TxnRequest({ failure: [range, op] }) });
  const txn = (op: RequestOp): string | null =>
    entriesProblem(request({ txn: new TxnRequest({ success: [op] }) }));
  assert.equal(txn(range), null);
  assert.equal(txn(inside(range)), null);
  assert.equal(txn(nothing), problem);
  assert.equal(txn(inside(nothing)), problem);
  assert.equal(txn(inside(inside(nothing))), problem);
});

test('a version that is none is refused', () => {
  for (const ver of ['', '3', 'three', '3.x.0']) {
    const expected = `not a version: ${JSON.stringify(ver)}`;
    assert.equal(
      entriesProblem(request({ clusterVersionSet: new ClusterVersionSetRequest({ ver }) })),
      expected,
    );
    const downgrade = new DowngradeInfoSetRequest({ enabled: true, ver });
    assert.equal(entriesProblem(request({ downgradeInfoSet: downgrade })), expected);
  }
});

test('a change of the configuration that says nobody, or not whom, is refused', () => {
  const { ConfChangeAddNode } = ConfChangeType;
  for (const context of ['', '{', '7', '{"id":5,"peerURLs":"http://m5:1"}']) {
    const change = confChange({ type: ConfChangeAddNode, nodeId: 5n, context: Buffer.from(context) });
    assert.notEqual(entriesProblem(change), null, context);
  }
  assert.notEqual(
    entriesProblem(new Entry({ type: EntryType.EntryConfChange, data: Buffer.from([0xff]) })),
    null,
  );
});

test('one bad entry among good ones is enough, in proposals that are passed on as well', () => {
  const bad = new Entry({ data: Buffer.from([0xff]) });
  const good = new Entry({ data: request({ put }) });
  assert.notEqual(entriesProblem(good, good, bad), null);
  const passedOn = new Message({ type: MessageType.MsgProp, entries: [good, bad] });
  assert.notEqual(check.problemOf(passedOn), null);
  const without = new Message({ type: MessageType.MsgHeartbeat, entries: [bad] });
  assert.equal(check.problemOf(without), null, 'nobody takes entries from such a message');
});

test('a snapshot whose members can not be read is refused; one may leave them out', () => {
  const metadata = new SnapshotMetadata({ index: 5, term: 1 });
  const problem = (data: Uint8Array): string | null =>
    check.problemOf(new Message({ type: MessageType.MsgSnap, snapshot: new Snapshot({ metadata, data }) }));
  assert.equal(problem(new Uint8Array(0)), null);
  assert.equal(problem(encodeV2Store({ ...EMPTY_MEMBERSHIP, members: [NEWCOMER] })), null);
  for (const text of ['{', '7', '{"Root":null}', '{"Root":{"Children":{"0":{"Children":7}}}}']) {
    assert.notEqual(problem(Buffer.from(text)), null, text);
  }
  assert.equal(check.problemOf(new Message({ type: MessageType.MsgSnap })), null, 'raft ignores it');
});
