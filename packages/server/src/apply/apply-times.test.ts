import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PutRequest } from '@etcd/api/etcdserverpb';
import { type LogFields, type Logger, SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { createHandles } from '../metrics/metric-table.ts';
import { ApplyTimes } from './apply-times.ts';

class Fixture {
  readonly clock = new SimClock();
  readonly metrics = createHandles();
  readonly warnings: (readonly [string, LogFields | undefined])[] = [];
  readonly times: ApplyTimes;

  constructor() {
    const logger: Logger = {
      ...SILENT_LOGGER,
      warn: (message: string, fields?: LogFields) => void this.warnings.push([message, fields]),
    };
    const { clock, metrics } = this;
    this.times = new ApplyTimes({ clock, logger, metrics, warningApplyDurationMs: 100 });
    this.times.begin();
  }
}

const put = new PutRequest({ key: Buffer.from('key'), value: Buffer.from('secret') });

test('only what took longer than the limit is told, with what it was about and without values', () => {
  const { clock, times, warnings, metrics } = new Fixture();
  clock.advance(100);
  times.took('Put', true, put);
  assert.deepEqual(warnings, []);
  clock.advance(101);
  times.took('Put', true, put);
  assert.deepEqual(warnings, [
    [
      'apply request took too long',
      { took: '101ms', 'expected-duration': '100ms', request: 'put:<key:"key" value_size:6 >' },
    ],
  ]);
  assert.equal(metrics.slowApplyTotal.value, 1);
});

test('what can not be told is called by its operation', () => {
  const { clock, times, warnings } = new Fixture();
  for (const request of [null, new Date()]) {
    clock.advance(500);
    times.took('LeaseGrant', false, request);
  }
  assert.deepEqual(
    warnings.map(([, fields]) => fields!['request']),
    ['LeaseGrant', 'LeaseGrant'],
  );
});

test('an entry begins when the one before it ended, and a batch when it is begun', () => {
  const { clock, times, warnings } = new Fixture();
  for (let i = 0; i < 5; i++) {
    clock.advance(60);
    times.took('Put', true, put);
  }
  clock.advance(10_000);
  times.begin();
  clock.advance(60);
  times.took('Put', true, put);
  assert.deepEqual(warnings, [], 'none of them took 100 ms');
});
