import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import { requestText } from './request-text.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

test('the log shows what a request is about, and no value', () => {
  const put = new PutRequest({ key: bytes('a"b'), value: bytes('secret'), lease: 7n });
  const range = new RangeRequest({ key: bytes('a'), rangeEnd: bytes('b'), limit: 5, revision: 9 });
  const del = new DeleteRangeRequest({ key: bytes('a') });
  assert.equal(requestText(put), 'put:<key:"a\\"b" value_size:6 lease:7 >');
  assert.equal(requestText(range), 'range:<key:"a" range_end:"b" limit:5 revision:9 >');
  assert.equal(requestText(del), 'delete_range:<key:"a" >');
  assert.equal(requestText(new Compare()), null);
  const txn = new TxnRequest({
    compare: [new Compare()],
    success: [new RequestOp({ requestPut: put }), new RequestOp({ requestDeleteRange: del })],
    failure: Array.from({ length: 10 }, () => new RequestOp({ requestRange: range })),
  });
  const text = requestText(txn)!;
  assert.match(text, /^txn:<compare:1 success:<put:<.*> delete_range:<.*>> failure:<.* and 2 more> >$/);
  assert.doesNotMatch(text, /secret/);
});

test('long keys are cut', () => {
  const text = requestText(new PutRequest({ key: new Uint8Array(100_000).fill(0x61) }))!;
  assert.ok(text.length < 400);
});
