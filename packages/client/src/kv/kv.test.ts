import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prefixEnd } from '@etcd/api';
import {
  type PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  ResponseOp,
  SortOrder,
  SortTarget,
  type TxnRequest,
  TxnResponse,
} from '@etcd/api/etcdserverpb';
import { KeyValue } from '@etcd/api/mvccpb';
import { KvService } from '@etcd/api/services';
import { latin1FromBytes, utf8ToBytes } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { keyRange } from '../keys.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { compare } from './compare.ts';
import { op, rangeRequest } from './operations.ts';

const { put, range, txn } = KvService.methods;
const text = (bytes: Uint8Array): string => latin1FromBytes(bytes);

test('the end of a prefix is the first key behind it, or none', () => {
  const end = (...bytes: number[]): number[] => [...prefixEnd(new Uint8Array(bytes))];
  assert.deepEqual(end(97, 98), [97, 99]);
  assert.deepEqual(end(97, 255), [98]);
  assert.deepEqual(end(255, 255), [0]);
  assert.deepEqual(end(), [0]);
});

test('the bytes that a caller gives stay as they are, in a Buffer too', () => {
  const prefix = Buffer.from('pre');
  assert.equal(text(keyRange(prefix, { prefix: true }).rangeEnd), 'prf');
  assert.equal(prefix.toString(), 'pre');
});

test('ranges: a key, a prefix, everything, from a key on, up to a key', () => {
  const read = (key: string, options = {}): string[] => {
    const { key: first, rangeEnd } = keyRange(key, options);
    return [text(first), text(rangeEnd)];
  };
  assert.deepEqual(read('a'), ['a', '']);
  assert.deepEqual(read('a', { prefix: true }), ['a', 'b']);
  assert.deepEqual(read('', { prefix: true }), ['\0', '\0']);
  assert.deepEqual(read('a', { fromKey: true }), ['a', '\0']);
  assert.deepEqual(read('', { fromKey: true }), ['\0', '\0']);
  assert.deepEqual(read('a', { rangeEnd: 'c' }), ['a', 'c']);
});

test('a sort that costs the server nothing is not asked for', () => {
  const sort = (options: object): number[] => {
    const { sortOrder, sortTarget } = rangeRequest('a', options);
    return [sortOrder, sortTarget];
  };
  assert.deepEqual(sort({}), [SortOrder.NONE, SortTarget.KEY]);
  assert.deepEqual(sort({ order: 'ascend' }), [SortOrder.NONE, SortTarget.KEY]);
  assert.deepEqual(sort({ order: 'descend' }), [SortOrder.DESCEND, SortTarget.KEY]);
  assert.deepEqual(sort({ sortBy: 'mod' }), [SortOrder.ASCEND, SortTarget.MOD]);
  assert.deepEqual(sort({ sortBy: 'create', order: 'descend' }), [SortOrder.DESCEND, SortTarget.CREATE]);
});

test('a namespace puts its prefix before every key of a request and takes it from every answer', async () => {
  const cluster = new FakeCluster(new SimClock());
  const ranges: string[] = [];
  const puts: PutRequest[] = [];
  const txns: TxnRequest[] = [];
  const pair = (key: string): KeyValue => new KeyValue({ key: utf8ToBytes(key) });
  cluster.first.unary(range, ({ key, rangeEnd }) => {
    ranges.push(`${text(key)} ${text(rangeEnd)}`);
    return new RangeResponse({ kvs: [pair('ns/inner/x')] });
  });
  cluster.first.unary(put, (request) => {
    puts.push(request);
    return new PutResponse({ prevKv: pair('ns/inner/y') });
  });
  cluster.first.unary(txn, (request) => {
    txns.push(request);
    const responseRange = new RangeResponse({ kvs: [pair('ns/inner/z')] });
    const nested = new TxnResponse({ responses: [new ResponseOp({ responseRange })] });
    return new TxnResponse({ responses: [new ResponseOp({ responseTxn: nested })] });
  });
  const client = cluster.client();
  const { kv } = client.namespace('ns/').namespace('inner/');

  const { kvs } = await cluster.until(kv.get('x'));
  assert.equal(text(kvs[0]?.key ?? new Uint8Array(0)), 'x');
  await cluster.until(kv.get('', { prefix: true }));
  await cluster.until(kv.get('k', { fromKey: true }));
  await cluster.until(kv.get('a', { rangeEnd: 'b' }));
  await cluster.until(kv.range(new RangeRequest({ key: new Uint8Array(1), rangeEnd: new Uint8Array(1) })));
  assert.deepEqual(ranges, [
    'ns/inner/x ',
    'ns/inner/ ns/inner0',
    'ns/inner/k ns/inner0',
    'ns/inner/a ns/inner/b',
    'ns/inner/ ns/inner0',
  ]);

  const { prevKv } = await cluster.until(kv.put('y', 'v'));
  assert.equal(text(puts[0]?.key ?? new Uint8Array(0)), 'ns/inner/y');
  assert.equal(text(prevKv?.key ?? new Uint8Array(0)), 'y');

  const inner = kv.txn().when(compare.exists('i')).do(op.put('j', ''));
  const { responses } = await cluster.until(
    kv
      .txn()
      .when(compare.value('c', '=', '1', { prefix: true }))
      .do(op.txn(inner.build()), op.get('g'))
      .otherwise(op.delete('d', { prefix: true }))
      .commit(),
  );
  const [sent] = txns;
  assert.ok(sent !== undefined);
  const [condition] = sent.compare;
  assert.equal(
    `${text(condition?.key ?? new Uint8Array(0))} ${text(condition?.rangeEnd ?? new Uint8Array(0))}`,
    'ns/inner/c ns/inner/d',
  );
  const [nested, get] = sent.success;
  assert.equal(text(nested?.requestTxn?.compare[0]?.key ?? new Uint8Array(0)), 'ns/inner/i');
  assert.equal(text(nested?.requestTxn?.success[0]?.requestPut?.key ?? new Uint8Array(0)), 'ns/inner/j');
  assert.equal(text(get?.requestRange?.key ?? new Uint8Array(0)), 'ns/inner/g');
  assert.equal(text(sent.failure[0]?.requestDeleteRange?.key ?? new Uint8Array(0)), 'ns/inner/d');
  const found = responses[0]?.responseTxn?.responses[0]?.responseRange?.kvs[0];
  assert.equal(text(found?.key ?? new Uint8Array(0)), 'z');
  client.close();
});
