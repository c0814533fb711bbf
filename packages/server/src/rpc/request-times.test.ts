import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { PutRequest, RangeRequest } from '@etcd/api/etcdserverpb';
import { type LogFields, type Logger, SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { ServerCall } from '@etcd/transport';
import { createHandles } from '../metrics/metric-table.ts';
import { RequestTimes } from './request-times.ts';

const CALL = { info: { remoteAddress: '10.0.0.1:5' }, head: { path: '/etcdserverpb.KV/X' } } as ServerCall;
const put = new PutRequest({ key: Buffer.from('key'), value: Buffer.from('secret') });
const range = new RangeRequest({ key: Buffer.from('key') });

class Fixture {
  readonly clock = new SimClock();
  readonly metrics = createHandles();
  readonly warnings: (readonly [string, LogFields])[] = [];
  readonly times: RequestTimes;
  isWritten = true;

  constructor() {
    const { clock, metrics } = this;
    const warn = (message: string, fields: LogFields = {}): void =>
      void this.warnings.push([message, fields]);
    const enabled = (): boolean => this.isWritten;
    const logger: Logger = { ...SILENT_LOGGER, enabled, warn };
    this.times = new RequestTimes({
      clock,
      logger,
      metrics,
      warningMs: 300,
      warningApplyMs: 100,
      momentsOfApplying: () => null,
    });
  }

  get messages(): string[] {
    return this.warnings.map(([message]) => message);
  }
}

test('a read is slow by the limit of applying, everything by that of requests, and each is told once', () => {
  const fixture = new Fixture();
  const took = (ms: number, type: 'Range' | 'ReadonlyTxn' | 'Put', request: object): void => {
    const start = fixture.times.begin();
    fixture.clock.advance(ms);
    fixture.times.answered(CALL, type, start, true, request);
    fixture.clock.settle();
  };
  took(100, 'Range', range);
  took(300, 'Put', put);
  assert.deepEqual(fixture.messages, []);
  took(101, 'Range', range);
  took(101, 'ReadonlyTxn', range);
  took(301, 'Put', put);
  assert.deepEqual(fixture.messages, [
    'apply request took too long',
    'apply request took too long',
    'request stats',
  ]);
  assert.equal(fixture.metrics.slowApplyTotal.value, 2);
  took(301, 'Range', range);
  assert.deepEqual(fixture.messages.slice(3), ['apply request took too long', 'request stats']);
});

test('what is told of a slow request is who asked what, and no value', () => {
  const { clock, times, warnings } = new Fixture();
  const start = times.begin();
  clock.advance(1000);
  times.answered(CALL, 'Put', start, false, put);
  assert.deepEqual(warnings[0]![1], {
    'time spent': '1s',
    remote: '10.0.0.1:5',
    'response type': '/etcdserverpb.KV/X',
    'request content': 'put:<key:"key" value_size:6 >',
    success: false,
  });
});

test('the clock is read once in a turn for all that begin in it, and anew in the next', () => {
  const { clock, times } = new Fixture();
  const first = times.begin();
  assert.equal(times.begin(), first);
  clock.advance(7);
  assert.equal(times.begin(), first + 7);
  clock.advance(5);
  times.answered(CALL, 'Put', first, true, put);
  assert.equal(times.begin(), first + 12, 'a request begins when the one before it was answered');
});

test('requests are timed by kind and by whether they were decided, ranges also by how long they were read', () => {
  const { clock, times, metrics } = new Fixture();
  const start = times.begin();
  clock.advance(40);
  const read = times.begin();
  clock.advance(10);
  times.ranged(CALL, start, read, true, range);
  times.ranged(CALL, start, read, false, range);
  const { requestDurationSeconds, rangeDurationSeconds } = metrics;
  const sum = (histogram: { readonly sum: number }): number => Math.round(histogram.sum * 1000);
  assert.deepEqual(
    ['true', 'false'].map((success) => sum(requestDurationSeconds.labels('Range', success))),
    [50, 50],
  );
  assert.deepEqual(
    ['true', 'false'].map((success) => sum(rangeDurationSeconds.labels(success))),
    [10, 10],
  );
  times.answered(CALL, 'Compaction', start, false, null);
  assert.equal(requestDurationSeconds.labels('Compaction', 'false').count(), 0, 'its proposal is measured');
});

test('what the cluster has decided against is a success of the member, a read that fails is none', () => {
  const { times, metrics } = new Fixture();
  const { requestDurationSeconds } = metrics;
  const count = (type: string): number[] =>
    ['true', 'false'].map((success) => requestDurationSeconds.labels(type, success).count());
  times.failed(CALL, 'Put', times.begin(), INTERNAL_ERRORS.lease.ErrLeaseNotFound, put);
  assert.deepEqual(count('Put'), [1, 0]);
  times.failed(CALL, 'Put', times.begin(), INTERNAL_ERRORS.errors.ErrTimeout, put);
  assert.deepEqual(count('Put'), [1, 1]);
  times.failed(CALL, 'ReadonlyTxn', times.begin(), INTERNAL_ERRORS.mvcc.ErrCompacted, range);
  assert.deepEqual(count('ReadonlyTxn'), [0, 1]);
});

test('of requests that are passed over, as those behind the hundredth of a second are, nothing is described', () => {
  const fixture = new Fixture();
  fixture.isWritten = false;
  const start = fixture.times.begin();
  fixture.clock.advance(1000);
  const unreadable = new PutRequest();
  Object.defineProperty(unreadable, 'key', { get: () => assert.fail('described') });
  fixture.times.answered(CALL, 'Put', start, true, unreadable);
  fixture.times.answered(CALL, 'Range', start, true, unreadable);
  fixture.clock.settle();
  assert.deepEqual(fixture.messages, []);
  assert.equal(fixture.metrics.slowApplyTotal.value, 1, 'what was slow counts all the same');
});
