import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import { SimClock } from '@etcd/testing';
import type { ServerCall } from '@etcd/transport';
import { LeaderMonitor } from './leader-monitor.ts';

const ELECTION_MS = 1000;

/** A monitor of calls that tell what becomes of them. */
class Fixture {
  readonly clock = new SimClock();
  readonly told: string[] = [];
  hasLeader = true;
  readonly monitor = new LeaderMonitor(this.clock, ELECTION_MS, () => this.hasLeader);

  call(name: string, hasleader: string | null = 'true'): ServerCall {
    const call = {
      metadata: (field: string) => (field === 'hasleader' ? hasleader : null),
      fail: (_code: number, message: string) => this.told.push(`${name}: ${message}`),
      receiver: { onCancel: () => this.told.push(`${name} is over`) },
    } as unknown as ServerCall;
    this.monitor.add(call);
    return call;
  }

  elections(count: number): void {
    this.clock.advance(count * ELECTION_MS);
  }
}

const endOf = (name: string): string[] => [
  `${name}: ${RPC_ERRORS.ErrGRPCNoLeader.message}`,
  `${name} is over`,
];

test('streams that asked for it end after three elections without a leader, the others do not', () => {
  const fixture = new Fixture();
  fixture.call('careful');
  fixture.call('patient', null);
  fixture.call('explicit', 'false');
  fixture.elections(10);
  fixture.hasLeader = false;
  fixture.elections(2);
  assert.deepEqual(fixture.told, []);
  fixture.elections(1);
  assert.deepEqual(fixture.told, endOf('careful'));
  fixture.elections(10);
  assert.equal(fixture.told.length, 2, 'they end once');
});

test('a leader that comes in time begins the count anew', () => {
  const fixture = new Fixture();
  fixture.call('stream');
  for (let i = 0; i < 5; i++) {
    fixture.hasLeader = false;
    fixture.elections(2);
    fixture.hasLeader = true;
    fixture.elections(1);
  }
  assert.deepEqual(fixture.told, []);
});

test('a new stream has all of its time, whatever was counted for one that is gone', () => {
  const fixture = new Fixture();
  const gone = fixture.call('gone');
  fixture.hasLeader = false;
  fixture.elections(2);
  fixture.monitor.remove(gone);
  fixture.elections(1);
  fixture.call('new');
  fixture.elections(2);
  assert.deepEqual(fixture.told, []);
  fixture.elections(1);
  assert.deepEqual(fixture.told, endOf('new'));
});

test('a stream that comes late neither begins the count anew nor makes it faster', () => {
  const fixture = new Fixture();
  fixture.call('early');
  fixture.hasLeader = false;
  fixture.elections(1);
  fixture.call('late');
  fixture.elections(1);
  assert.deepEqual(fixture.told, []);
  fixture.elections(1);
  assert.deepEqual(fixture.told, [...endOf('early'), ...endOf('late')]);
});

test('nobody is looked after who has left, or when all is over', () => {
  const fixture = new Fixture();
  const left = fixture.call('left');
  fixture.call('stopped');
  fixture.monitor.remove(left);
  fixture.monitor.stop();
  fixture.hasLeader = false;
  fixture.elections(10);
  assert.deepEqual(fixture.told, []);
});
