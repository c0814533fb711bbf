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

test('keys are shown up to 256 bytes, and up to eight operations of a branch', () => {
  const shown = (length: number): string =>
    requestText(new PutRequest({ key: new Uint8Array(length).fill(0x61) }))!;
  assert.equal(shown(256), `put:<key:"${'a'.repeat(256)}" value_size:0 >`);
  assert.equal(shown(257), `put:<key:"${'a'.repeat(256)}…" value_size:0 >`);
  const del = new RequestOp({ requestDeleteRange: new DeleteRangeRequest({ key: bytes('a') }) });
  const ops = (count: number): string => new Array<string>(count).fill('delete_range:<key:"a" >').join(' ');
  const branch = (count: number): string =>
    requestText(new TxnRequest({ success: new Array<RequestOp>(count).fill(del) }))!;
  assert.equal(branch(8), `txn:<compare:0 success:<${ops(8)}> failure:<> >`);
  assert.equal(branch(9), `txn:<compare:0 success:<${ops(8)} and 1 more> failure:<> >`);
});

test('what was not asked for is not shown, and of what is nested its size', () => {
  const text = (request: object): string => requestText(request)!;
  assert.equal(text(new PutRequest({ key: bytes('k') })), 'put:<key:"k" value_size:0 >');
  assert.equal(text(new PutRequest({ key: bytes('k'), lease: 1n })), 'put:<key:"k" value_size:0 lease:1 >');
  assert.equal(text(new RangeRequest({ key: bytes('k') })), 'range:<key:"k" >');
  assert.equal(
    text(new RangeRequest({ key: bytes('k'), limit: 1, revision: 1 })),
    'range:<key:"k" limit:1 revision:1 >',
  );
  const nested = new RequestOp({ requestTxn: new TxnRequest({ success: [new RequestOp()] }) });
  const range = new RequestOp({ requestRange: new RangeRequest({ key: bytes('k') }) });
  const txn = new TxnRequest({ success: [nested, new RequestOp()], failure: [range] });
  assert.equal(text(txn), 'txn:<compare:0 success:<txn:<success:1> nothing> failure:<range:<key:"k" >> >');
});
