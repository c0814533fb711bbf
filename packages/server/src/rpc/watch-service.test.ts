import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS, RPC_ERRORS } from '@etcd/api';
import {
  CompactionRequest,
  DeleteRangeRequest,
  FilterType,
  PutRequest,
  WatchCancelRequest,
  WatchCreateRequest,
  WatchProgressRequest,
  WatchRequest,
  type WatchResponse,
} from '@etcd/api/etcdserverpb';
import { WatchService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import { OPEN_ACCESS } from '../apply/access.ts';
import { FakeMember, type TestStream } from './testing/served-member.ts';

const { watch } = WatchService.methods;
type Watch = TestStream<WatchRequest, WatchResponse>;
const key = Buffer.from('key');

function create(stream: Watch, request: Partial<WatchCreateRequest>): WatchResponse {
  const before = stream.responses.length;
  stream.send(new WatchRequest({ createRequest: new WatchCreateRequest({ key, ...request }) }));
  return stream.responses[before]!;
}

function put(member: FakeMember, name: string, value = 'v'): void {
  member.log.replay('put', new PutRequest({ key: Buffer.from(name), value: Buffer.from(value) }));
  member.clock.advance(200);
}

/** What a stream has told, a line for each event. */
function eventsOf(stream: Watch): string[] {
  return stream.responses.flatMap(({ watchId, events }) =>
    events.map(({ type, kv, prevKv }) => {
      const before = prevKv === null ? '' : ` was ${prevKv.value}`;
      return `${watchId} ${type === 0 ? 'put' : 'delete'} ${kv!.key}${before}`;
    }),
  );
}

test('a watcher is told of its keys, in their order, from when it was created', () => {
  const member = new FakeMember();
  put(member, 'key');
  const stream = member.open(watch);
  const created = create(stream, { rangeEnd: Buffer.from('kez'), watchId: 7n });
  assert.deepEqual([created.created, created.watchId, created.header!.revision], [true, 7n, 2]);
  put(member, 'key1');
  put(member, 'other');
  put(member, 'key2');
  member.log.replay('deleteRange', new DeleteRangeRequest({ key: Buffer.from('key1') }));
  member.clock.advance(200);
  assert.deepEqual(eventsOf(stream), ['7 put key1', '7 put key2', '7 delete key1']);
});

test('a watcher may begin in the past, as far as it has not been compacted', () => {
  const member = new FakeMember();
  for (const value of ['a', 'b', 'c']) put(member, 'key', value);
  const stream = member.open(watch);
  create(stream, { startRevision: 2, prevKv: true });
  member.clock.advance(500);
  assert.deepEqual(eventsOf(stream), ['0 put key', '0 put key was a', '0 put key was b']);
  member.log.replay('compaction', new CompactionRequest({ revision: 4 }));
  member.clock.advance(1000);
  create(stream, { startRevision: 3 });
  member.clock.advance(1000);
  const last = stream.responses.at(-1)!;
  assert.deepEqual([last.canceled, last.compactRevision], [true, 4]);
});

test('filters leave out what is not wanted', () => {
  const member = new FakeMember();
  const stream = member.open(watch);
  create(stream, { filters: [FilterType.NOPUT] });
  create(stream, { filters: [FilterType.NODELETE] });
  put(member, 'key');
  member.log.replay('deleteRange', new DeleteRangeRequest({ key }));
  member.clock.advance(200);
  assert.deepEqual(eventsOf(stream).sort(), ['0 delete key', '1 put key']);
});

test('every form of a range is understood', () => {
  const member = new FakeMember();
  const stream = member.open(watch);
  create(stream, { key: new Uint8Array(0), rangeEnd: Uint8Array.of(0) });
  create(stream, { key: Buffer.from('m'), rangeEnd: Uint8Array.of(0) });
  create(stream, { key: Buffer.from('a'), rangeEnd: Buffer.from('b') });
  for (const name of ['a', 'aa', 'b', 'm', 'z']) put(member, name);
  const told = (id: number): string[] =>
    eventsOf(stream)
      .filter((line) => line.startsWith(`${id} `))
      .map((line) => line.split(' ')[2]!);
  assert.deepEqual(told(0), ['a', 'aa', 'b', 'm', 'z']);
  assert.deepEqual(told(1), ['m', 'z']);
  assert.deepEqual(told(2), ['a', 'aa']);
});

test('a watcher that is cancelled is told nothing more, the others are', () => {
  const member = new FakeMember();
  const stream = member.open(watch);
  create(stream, {});
  create(stream, {});
  stream.send(new WatchRequest({ cancelRequest: new WatchCancelRequest({ watchId: 0n }) }));
  const cancelled = stream.responses.at(-1)!;
  assert.deepEqual([cancelled.watchId, cancelled.canceled], [0n, true]);
  stream.send(new WatchRequest({ cancelRequest: new WatchCancelRequest({ watchId: 99n }) }));
  assert.equal(stream.responses.at(-1), cancelled, 'one that is not there is not answered');
  put(member, 'key');
  assert.deepEqual(eventsOf(stream), ['1 put key']);
});

test('watchers that can not be are refused, and the stream goes on', () => {
  const member = new FakeMember();
  const stream = member.open(watch);
  create(stream, { watchId: 3n });
  const twice = create(stream, { watchId: 3n });
  assert.deepEqual([twice.watchId, twice.created, twice.canceled], [-1n, true, true]);
  assert.notEqual(twice.cancelReason, '');
  const negative = create(stream, { startRevision: -1 });
  assert.equal(negative.cancelReason, RPC_ERRORS.ErrGRPCCompacted.message);
  put(member, 'key');
  assert.deepEqual(eventsOf(stream), ['3 put key']);
  assert.ok(stream.isOpen);
});

test('progress is told to who asks, and to who wanted it while nothing happened', () => {
  const member = new FakeMember({ config: { watchProgressNotifyIntervalMs: 10_000 } });
  const stream = member.open(watch);
  create(stream, { progressNotify: true });
  create(stream, {});
  const before = stream.responses.length;
  stream.send(new WatchRequest({ progressRequest: new WatchProgressRequest() }));
  member.clock.advance(200);
  const asked = stream.responses.slice(before);
  assert.deepEqual(
    asked.map(({ watchId, events, header }) => [watchId, events.length, header!.revision]),
    [[-1n, 0, 1]],
  );
  put(member, 'key');
  const quiet = stream.responses.length;
  member.clock.advance(12_000);
  assert.equal(stream.responses.length, quiet, 'it was told of an event meanwhile');
  member.clock.advance(12_000);
  assert.deepEqual(
    stream.responses.slice(quiet).map(({ watchId, header }) => [watchId, header!.revision]),
    [[0n, 2]],
  );
});

test('a transaction that is larger than a message comes in fragments, to who takes them', () => {
  const member = new FakeMember({ config: { maxRequestBytes: 1000 } });
  const stream = member.open(watch);
  const rangeEnd = Buffer.from('kez');
  create(stream, { rangeEnd, fragment: true });
  for (let i = 0; i < 20; i++) {
    const name = Buffer.from(`key${i}`);
    member.log.replay('put', new PutRequest({ key: name, value: new Uint8Array(100_000) }));
  }
  member.clock.advance(1000);
  const withEvents = stream.responses.filter(({ events }) => events.length > 0);
  const total = withEvents.reduce((sum, { events }) => sum + events.length, 0);
  assert.equal(total, 20);
});

test('a request of no kind is nothing, and one that is none ends the stream', () => {
  const member = new FakeMember();
  const stream = member.open(watch);
  stream.send(new WatchRequest());
  assert.ok(stream.isOpen);
  stream.sendBytes(Uint8Array.of(0xff, 0xff));
  assert.equal(stream.end?.code, GrpcCode.Internal);
  assert.equal(member.metrics.handles.serverStreamFailuresTotal.labels('receive', 'watch').value, 1);
  assert.equal(member.watches.watcherCount, 0);
});

test('a client that goes leaves no watchers behind', () => {
  const member = new FakeMember();
  const stream = member.open(watch);
  for (let i = 0; i < 5; i++) create(stream, {});
  assert.equal(member.watches.watcherCount, 5);
  stream.cancel();
  member.clock.advance(10);
  assert.deepEqual([member.watches.watcherCount, member.watches.streamCount], [0, 0]);
});

test('streams end when the member stops, or must not tell any more what it has', () => {
  const member = new FakeMember();
  const stream = member.open(watch);
  create(stream, {});
  member.services.stop();
  member.clock.settle();
  assert.equal(stream.end?.message, RPC_ERRORS.ErrGRPCStopped.message);
  const wrong = new FakeMember();
  const fenced = wrong.open(watch);
  wrong.fence();
  assert.equal(fenced.end?.message, RPC_ERRORS.ErrGRPCCorrupt.message);
});

test('S01 each watcher is judged by the range as its client wrote it', () => {
  const member = new FakeMember();
  member.users.set('alice', { name: 'alice', revision: 1 });
  const asked: string[] = [];
  const range = (_identity: unknown, from: Uint8Array, end: Uint8Array) => {
    asked.push(`${Buffer.from(from).toString('hex')}-${Buffer.from(end).toString('hex')}`);
    return from[0] === 0 ? INTERNAL_ERRORS.auth.ErrPermissionDenied : null;
  };
  member.log.rules = { ...OPEN_ACCESS, isEnabled: true, range };
  const stream = member.open(watch, [['token', 'alice']]);
  const refused = create(stream, { key: new Uint8Array(0), rangeEnd: Uint8Array.of(0) });
  assert.deepEqual(
    [refused.canceled, refused.cancelReason],
    [true, 'rpc error: code = PermissionDenied desc = etcdserver: permission denied'],
  );
  assert.equal(create(stream, {}).canceled, false, 'the stream goes on');
  assert.deepEqual(asked, ['00-00', '6b6579-'], 'no key is the first that there can be');
  member.users.clear();
  const { cancelReason } = create(stream, {});
  assert.equal(cancelReason, 'rpc error: code = Unauthenticated desc = etcdserver: invalid auth token');
});
