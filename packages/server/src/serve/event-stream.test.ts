import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import { CompactionRequest } from '@etcd/api/etcdserverpb';
import { JsonError } from '@etcd/api/json';
import { watchRequestOf } from './event-stream.ts';
import { type FakeCall, Fixture } from './testing/gateway-fixture.ts';

const EVENTS = { accept: 'text/html, text/event-stream;q=0.9' };
const K = 'aw==';

function open(fixture: Fixture, query: string, headers: Readonly<Record<string, string>> = {}): FakeCall {
  const call = fixture.open('/v3/watch', {
    method: 'GET',
    target: `/v3/watch?${query}`,
    headers: { ...EVENTS, ...headers },
  });
  fixture.member.clock.advance(500);
  return call;
}

function put(fixture: Fixture, value: string): void {
  fixture.put(value);
  fixture.member.clock.advance(500);
}

/** Name and id of each event that the client has got. */
function told({ body }: FakeCall): string[] {
  const fields = (block: string, name: string): string =>
    new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '-';
  return body
    .split('\n\n')
    .filter((block) => block !== '' && block !== ':')
    .map((block) => `${fields(block, 'event')} ${fields(block, 'id')}`);
}

test('a watch is a stream of events, each with the revision that it is complete up to', () => {
  const fixture = new Fixture();
  put(fixture, 'a');
  const call = open(fixture, `key=${K}`);
  assert.deepEqual([call.status, call.answerHeaders['content-type']], [200, 'text/event-stream']);
  put(fixture, 'b');
  put(fixture, 'c');
  assert.deepEqual(told(call), ['created 2', 'watch 3', 'watch 4']);
  const data = JSON.parse(/^data: (.*)$/m.exec(call.body.split('\n\n')[1]!)![1]!);
  assert.equal(data.events[0].kv.value, 'Yg==');
});

test('a client that comes back goes on behind the last event that it has', () => {
  const fixture = new Fixture();
  for (const value of ['a', 'b', 'c']) put(fixture, value);
  assert.deepEqual(told(open(fixture, `key=${K}`, { 'last-event-id': '2' })), ['created 2', 'watch 4']);
  assert.deepEqual(told(open(fixture, `key=${K}&start_revision=2`)), ['created 1', 'watch 4']);
  const both = open(fixture, `key=${K}&start_revision=2`, { 'last-event-id': '4' });
  assert.deepEqual(told(both), ['created 4']);
  const strange = open(fixture, `key=${K}`, { 'last-event-id': 'x' });
  assert.deepEqual(told(strange), ['created 4']);
});

test('parameters are the fields of the request, and what is none is refused', () => {
  const { createRequest } = watchRequestOf(
    'key=a%2Bb+&rangeEnd=AA&prev_kv=true&filters=NOPUT&filters=NODELETE',
    null,
  );
  assert.deepEqual(
    [Buffer.from(createRequest!.key).toString('base64'), createRequest!.prevKv, createRequest!.filters],
    ['a+b+', true, [0, 1]],
  );
  for (const wrong of ['prefix=true', 'prev_kv=yes', 'filters=NONE', 'key=*', 'start_revision=x']) {
    assert.throws(() => watchRequestOf(wrong, null), JsonError, wrong);
  }
  const refused = open(new Fixture(), 'prefix=true');
  assert.deepEqual([refused.status, JSON.parse(refused.body).message], [400, 'unknown parameter "prefix"']);
});

test('only who accepts events gets them', () => {
  const call = new Fixture().open('/v3/watch', { method: 'GET', target: '/v3/watch' });
  assert.equal(call.status, 501);
});

test('a watch that can not go on ends with an event that says so', () => {
  const fixture = new Fixture();
  for (const value of ['a', 'b', 'c']) put(fixture, value);
  fixture.member.log.replay('compaction', new CompactionRequest({ revision: 4 }));
  fixture.member.clock.advance(1000);
  const compacted = open(fixture, `key=${K}&start_revision=2`);
  assert.deepEqual(told(compacted), ['created 1', 'canceled -']);
  assert.ok(compacted.isEnded);
  assert.equal(fixture.member.watches.watcherCount, 0);
  const stopped = open(fixture, `key=${K}`);
  fixture.member.services.stop();
  fixture.member.clock.settle();
  assert.deepEqual(told(stopped), ['created 4', 'error -']);
  assert.ok(stopped.body.includes(RPC_ERRORS.ErrGRPCStopped.message));
  fixture.member.isFenced = true;
  const refused = open(fixture, `key=${K}`);
  assert.equal(JSON.parse(refused.body).message, RPC_ERRORS.ErrGRPCCorrupt.message);
});

test('a quiet stream shows that it lives, and a client that has gone is forgotten', () => {
  const fixture = new Fixture();
  const call = open(fixture, `key=${K}`);
  fixture.member.clock.advance(40_000);
  assert.equal(call.body.split('\n:\n').length - 1, 2);
  call.isReading = false;
  put(fixture, 'a');
  const { length } = call.body;
  fixture.member.clock.advance(100_000);
  assert.equal(call.body.length, length, 'S20 nothing is piled up for who does not read');
  call.leave();
  fixture.member.clock.advance(100_000);
  assert.equal(call.body.length, length);
  assert.equal(fixture.member.watches.watcherCount, 0);
});
