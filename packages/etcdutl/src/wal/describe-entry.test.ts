import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AuthUserAddRequest,
  Compare,
  encodeInternalRaftRequest,
  encodeRequest,
  InternalAuthenticateRequest,
  InternalRaftRequest,
  PutRequest,
  Request,
  RequestHeader,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { ConfChange, ConfChangeType, Entry, EntryType, encodeConfChange } from '@etcd/api/raftpb';
import { describeEntry } from './describe-entry.ts';

const entryOf = (request: Partial<InternalRaftRequest>): Entry =>
  new Entry({
    type: EntryType.EntryNormal,
    data: encodeInternalRaftRequest(
      new InternalRaftRequest({ header: new RequestHeader({ id: 7n }), ...request }),
    ),
  });

test('requests are told by name, with what is in them', () => {
  const put = new PutRequest({ key: Buffer.from('a "b"'), value: Buffer.from([0xff]), lease: 5n });
  assert.equal(describeEntry(entryOf({ put })), 'put {"key":"a \\"b\\"","value":"\\xff","lease":5}');
  const txn = new TxnRequest({
    compare: [new Compare({ key: Buffer.from('k') })],
    success: [new RequestOp({ requestPut: put })],
  });
  assert.match(describeEntry(entryOf({ txn })), /^txn \{"compare":\[\{"key":"k".*"requestPut":\{"key":"a /);
  assert.equal(describeEntry(new Entry()), 'nothing');
});

test('passwords and tokens are left out', () => {
  const authUserAdd = new AuthUserAddRequest({ name: 'joe', password: 'secret', hashedPassword: 'c2VjcmV0' });
  const authenticate = new InternalAuthenticateRequest({
    name: 'joe',
    password: 'secret',
    simpleToken: 'tok',
  });
  for (const request of [{ authUserAdd }, { authenticate }]) {
    const text = describeEntry(entryOf(request));
    assert.match(text, /"name":"joe"/);
    assert.doesNotMatch(text, /secret|c2VjcmV0|tok"/);
  }
});

test('changes of members, requests of the v2 API and noise are told too', () => {
  const type = ConfChangeType.ConfChangeAddLearnerNode;
  const data = encodeConfChange(new ConfChange({ type, nodeId: 0xabcn }));
  assert.equal(describeEntry(new Entry({ type: EntryType.EntryConfChange, data })), 'add learner member abc');
  const old = encodeRequest(new Request({ id: 9n, method: 'PUT', path: '/1/k', val: 'v' }));
  assert.match(describeEntry(new Entry({ data: old })), /^v2 \{.*"method":"PUT","path":"\/1\/k","val":"v"/);
  assert.equal(describeEntry(new Entry({ data: Buffer.from([0xff, 0xff]) })), '2 bytes that are no request');
});
