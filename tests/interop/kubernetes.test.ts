/**
 * What a Kubernetes API server asks of its etcd, request by request as seen on the wire, and what it relies on in
 * the answers: optimistic transactions, paginated lists at a pinned revision, watches with previous values and
 * progress, shared leases, the compactor, and error texts that it matches word by word.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EtcdRpc, type RpcStream } from '../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../support/etcd-server.ts';
import type { KeyValue, TxnResponse, WatchEvent, WatchResponse } from '../support/messages.ts';
import { atLeast, SUBJECT } from '../support/programs.ts';
import { sleep } from '../support/run.ts';

const METADATA = { 'client-api-version': '3.6' };
const WATCH_METADATA = { ...METADATA, hasleader: 'true' };
const COMPACTED = { code: 11, details: 'etcdserver: mvcc: required revision has been compacted' };
const FUTURE = { code: 11, details: 'etcdserver: mvcc: required revision is a future revision' };

let server: EtcdServer;
let rpc: EtcdRpc;
before(async () => {
  const interval = atLeast(SUBJECT, 3, 6)
    ? '--watch-progress-notify-interval=1s'
    : '--experimental-watch-progress-notify-interval=1s';
  server = await EtcdServer.start({ flags: [...FAST_ELECTION, interval] });
  rpc = new EtcdRpc(server.address, METADATA);
});
after(async () => {
  rpc.close();
  await server.stop();
});

// --- the shapes

function optimisticPut(key: string, value: string, modRevision: bigint, lease = 0n): Promise<TxnResponse> {
  const create = modRevision === 0n;
  return rpc.call('KV.Txn', {
    compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision: modRevision }],
    success: [{ request_put: { key, value, lease } }],
    // A create that fails needs nothing more; an update wants to see what is there.
    failure: create ? [] : [{ request_range: { key } }],
  });
}

function optimisticDelete(key: string, modRevision: bigint): Promise<TxnResponse> {
  return rpc.call('KV.Txn', {
    compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision: modRevision }],
    success: [{ request_delete_range: { key } }],
    failure: [{ request_range: { key } }],
  });
}

function compactor(version: number): Promise<TxnResponse> {
  const key = 'compact_rev_key';
  return rpc.call('KV.Txn', {
    compare: [{ key, target: 'VERSION', result: 'EQUAL', version }],
    success: [{ request_put: { key, value: '1000' } }],
    failure: [{ request_range: { key } }],
  });
}

function watch(prefix: string, startRevision: bigint, more: object = {}): RpcStream<WatchResponse> {
  const stream = rpc.stream('Watch.Watch', WATCH_METADATA);
  stream.send({
    create_request: {
      key: prefix,
      range_end: `${prefix.slice(0, -1)}0`,
      start_revision: startRevision,
      prev_kv: true,
      ...more,
    },
  });
  return stream;
}

async function currentRevision(): Promise<bigint> {
  return (await rpc.call('KV.Range', { key: '/registry/health', limit: 1 })).header!.revision;
}

/** Takes responses until that many events have come. */
async function takeEvents(stream: RpcStream<WatchResponse>, count: number): Promise<WatchEvent[]> {
  const events: WatchEvent[] = [];
  while (events.length < count) {
    const response = await stream.take();
    assert(!response.canceled, response.cancel_reason);
    // The API server relies on revisions that only grow.
    for (const event of response.events) {
      assert(event.kv.mod_revision >= (events.at(-1)?.kv.mod_revision ?? 0n));
      events.push(event);
    }
  }
  assert.equal(events.length, count);
  return events;
}

// --- transactions

test('create: once; a second create fails and says nothing', async () => {
  const first = await optimisticPut('/registry/pods/a', 'one', 0n);
  assert(first.succeeded);
  assert.equal(first.responses.length, 1);
  const { kvs } = await rpc.call('KV.Range', { key: '/registry/pods/a', limit: 1 });
  assert.equal(kvs[0]!.mod_revision, first.header!.revision);
  assert.equal(kvs[0]!.create_revision, first.header!.revision);
  const second = await optimisticPut('/registry/pods/a', 'two', 0n);
  assert(!second.succeeded);
  assert.deepEqual(second.responses, []);
  assert.equal(second.header!.revision, first.header!.revision, 'nothing has changed');
});

test('update: with the revision known; else the object as it is', async () => {
  const created = await optimisticPut('/registry/pods/update', 'one', 0n);
  const updated = await optimisticPut('/registry/pods/update', 'two', created.header!.revision);
  assert(updated.succeeded);
  assert.equal(updated.header!.revision, created.header!.revision + 1n);
  const stale = await optimisticPut('/registry/pods/update', 'three', created.header!.revision);
  assert(!stale.succeeded);
  const range = stale.responses[0]!.response_range!;
  assert.equal(range.kvs[0]!.value.toString(), 'two');
  assert.equal(range.kvs[0]!.mod_revision, updated.header!.revision);
  assert.equal(range.count, 1n);
  const missing = await optimisticPut('/registry/pods/missing', 'x', 5n);
  assert(!missing.succeeded);
  assert.deepEqual(missing.responses[0]!.response_range!.kvs, []);
});

test('delete: with the revision known; else the object as it is', async () => {
  const created = await optimisticPut('/registry/pods/delete', 'one', 0n);
  const wrong = await optimisticDelete('/registry/pods/delete', 1n);
  assert(!wrong.succeeded);
  assert.equal(wrong.responses[0]!.response_range!.kvs[0]!.value.toString(), 'one');
  const right = await optimisticDelete('/registry/pods/delete', created.header!.revision);
  assert(right.succeeded);
  assert.equal(right.responses[0]!.response_delete_range!.deleted, 1n);
  assert.deepEqual(right.responses[0]!.response_delete_range!.prev_kvs, []);
  assert.equal(right.header!.revision, created.header!.revision + 1n);
  const again = await optimisticDelete('/registry/pods/delete', created.header!.revision);
  assert(!again.succeeded);
});

test('of many updates from the same revision exactly one succeeds', async () => {
  let { revision } = (await optimisticPut('/registry/leases/holder', '-', 0n)).header!;
  for (let round = 0; round < 10; round++) {
    const attempts = Array.from({ length: 20 }, (_, i) =>
      optimisticPut('/registry/leases/holder', `${round}/${i}`, revision),
    );
    const results = await Promise.all(attempts);
    const winners = results.filter((result) => result.succeeded);
    assert.equal(winners.length, 1);
    revision = winners[0]!.header!.revision;
    for (const loser of results.filter((result) => !result.succeeded)) {
      assert.equal(loser.responses[0]!.response_range!.kvs[0]!.mod_revision, revision);
    }
  }
});

// --- lists

const LISTED = 1234;
const PAGE = 500;

test('list: pages of 500 at a pinned revision, while others write', async () => {
  const prefix = '/registry/listed/';
  const end = '/registry/listed0';
  const name = (i: number): string => `${prefix}${String(i).padStart(6, '0')}`;
  for (let i = 0; i < LISTED; i += 100) {
    const puts = Array.from({ length: Math.min(100, LISTED - i) }, (_, j) =>
      optimisticPut(name(i + j), `${i + j}`, 0n),
    );
    await Promise.all(puts);
  }
  const seen: KeyValue[] = [];
  let key = prefix;
  let pinned = 0n;
  for (;;) {
    const page = await rpc.call('KV.Range', { key, range_end: end, limit: PAGE, revision: pinned });
    if (pinned === 0n) pinned = page.header!.revision;
    assert(page.header!.revision >= pinned);
    seen.push(...page.kvs);
    const remaining = LISTED - seen.length + page.kvs.length;
    assert.equal(page.count, BigInt(remaining), 'count is all that remains, whatever the limit');
    assert.equal(page.more, seen.length < LISTED);
    if (!page.more) break;
    key = `${page.kvs.at(-1)!.key.toString()}\0`;
    // What happens meanwhile must not show.
    await rpc.call('KV.Put', { key: name(3), value: 'changed' });
    await rpc.call('KV.DeleteRange', { key: name(LISTED - 1) });
    await rpc.call('KV.Put', { key: `${prefix}zzz`, value: 'new' });
  }
  assert.equal(seen.length, LISTED);
  for (const [i, kv] of seen.entries()) {
    assert.equal(kv.key.toString(), name(i));
    assert.equal(kv.value.toString(), `${i}`);
    assert(kv.mod_revision <= pinned);
  }
});

test('count, keys only, and the single get', async () => {
  const request = { key: '/registry/listed/', range_end: '/registry/listed0' };
  const count = await rpc.call('KV.Range', { ...request, count_only: true });
  assert.equal(count.kvs.length, 0);
  assert.equal(count.count, BigInt(LISTED), 'one deleted, one new');
  assert(!count.more);
  const keys = await rpc.call('KV.Range', { ...request, keys_only: true });
  assert.equal(keys.kvs.length, LISTED);
  for (const kv of keys.kvs) {
    assert.equal(kv.value.length, 0);
    assert(kv.mod_revision > 0n);
  }
  const health = await rpc.call('KV.Range', { key: '/registry/health', limit: 1 });
  assert.deepEqual([health.kvs.length, health.count, health.more], [0, 0n, false]);
});

test('a list of everything in pages of ten thousand, later pages at the first revision', async () => {
  const first = await rpc.call('KV.Range', { key: '/registry/', range_end: '/registry0', limit: 10_000 });
  assert(!first.more);
  assert.equal(first.count, BigInt(first.kvs.length));
  const pinned = first.header!.revision;
  await rpc.call('KV.Put', { key: '/registry/later', value: 'x' });
  const again = await rpc.call('KV.Range', {
    key: '/registry/',
    range_end: '/registry0',
    limit: 10_000,
    revision: pinned,
  });
  assert.deepEqual(again.kvs, first.kvs);
});

// --- watches

test('watch: create, update, delete, each with what was before', async () => {
  const prefix = '/registry/watched/';
  const start = await currentRevision();
  const stream = watch(prefix, start + 1n);
  const created = await stream.take();
  assert(created.created);
  assert.equal(created.header!.revision, start);
  const create = await optimisticPut(`${prefix}a`, 'one', 0n);
  const update = await optimisticPut(`${prefix}a`, 'two', create.header!.revision);
  const remove = await optimisticDelete(`${prefix}a`, update.header!.revision);
  await optimisticPut(`${prefix}a`, 'three', 0n);
  const [e1, e2, e3, e4] = (await takeEvents(stream, 4)) as [WatchEvent, WatchEvent, WatchEvent, WatchEvent];

  assert.equal(e1.type, 'PUT');
  assert.equal(e1.kv.create_revision, e1.kv.mod_revision, 'this is how a creation is recognised');
  assert.equal(e1.prev_kv, null);

  assert.equal(e2.type, 'PUT');
  assert(e2.kv.create_revision < e2.kv.mod_revision);
  assert.equal(e2.prev_kv!.value.toString(), 'one');
  assert.equal(e2.prev_kv!.mod_revision, create.header!.revision);

  assert.equal(e3.type, 'DELETE');
  assert.equal(e3.kv.mod_revision, remove.header!.revision);
  assert.equal(e3.kv.value.length, 0);
  assert.equal(e3.prev_kv!.value.toString(), 'two');

  assert.equal(e4.kv.version, 1n);
  assert.equal(e4.prev_kv, null);
  stream.cancel();
});

test('watch from the past: nothing is missing and nothing is twice', async () => {
  const prefix = '/registry/history/';
  const start = await currentRevision();
  let revisions: bigint[] = [];
  for (let i = 0; i < 300; i++) {
    revisions.push((await rpc.call('KV.Put', { key: `${prefix}${i % 7}`, value: `${i}` })).header!.revision);
  }
  const stream = watch(prefix, start + 1n);
  assert((await stream.take()).created);
  // More while it catches up.
  const more = Array.from({ length: 300 }, (_, i) =>
    rpc.call('KV.Put', { key: `${prefix}${i % 7}`, value: 'more' }),
  );
  revisions = revisions.concat((await Promise.all(more)).map((put) => put.header!.revision));
  revisions.sort((a, b) => Number(a - b));
  const events = await takeEvents(stream, 600);
  assert.deepEqual(
    events.map((event) => event.kv.mod_revision),
    revisions,
  );
  for (const event of events) {
    const isCreate = event.kv.create_revision === event.kv.mod_revision;
    assert.equal(event.prev_kv === null, isCreate, 'every change carries the value before it');
  }
  stream.cancel();
});

test('the deletion of an expired object carries its last value', async () => {
  const prefix = '/registry/events/';
  const start = await currentRevision();
  const stream = watch(prefix, start + 1n);
  assert((await stream.take()).created);
  const lease = await rpc.call('Lease.LeaseGrant', { TTL: 1, ID: 0 });
  assert(lease.ID > 0n);
  await optimisticPut(`${prefix}a`, 'short', 0n, lease.ID);
  await optimisticPut(`${prefix}b`, 'lived', 0n, lease.ID);
  const events = await takeEvents(stream, 4);
  const deleted = events.slice(2);
  assert.deepEqual(
    deleted.map((event) => [event.type, event.kv.key.toString(), event.prev_kv!.value.toString()]),
    [
      ['DELETE', `${prefix}a`, 'short'],
      ['DELETE', `${prefix}b`, 'lived'],
    ],
  );
  assert.equal(
    deleted[0]!.kv.mod_revision,
    deleted[1]!.kv.mod_revision,
    'all keys of a lease go in one revision',
  );
  stream.cancel();
});

test('an idle watch that asked for it gets progress: no events, and a revision', async () => {
  const revision = await currentRevision();
  const stream = watch('/registry/idle/', revision + 1n, { progress_notify: true });
  assert((await stream.take()).created);
  const other = await rpc.call('KV.Put', { key: '/registry/elsewhere', value: 'x' });
  const progress = await stream.takeUntil(
    (message) => message.header!.revision >= other.header!.revision,
    10_000,
  );
  assert.deepEqual(progress.events, []);
  assert.equal(progress.watch_id, 0n);
  assert(!progress.created && !progress.canceled);
  stream.cancel();
});

test('progress on request: answered for the whole stream, never ahead of the events', async () => {
  const prefix = '/registry/progress/';
  const start = await currentRevision();
  const stream = watch(prefix, start + 1n);
  assert((await stream.take()).created);
  let writing = true;
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let i = 0; writing; i++) await rpc.call('KV.Put', { key: `${prefix}${writer}`, value: `${i}` });
  });
  for (let i = 0; i < 20; i++) {
    const wanted = await currentRevision();
    // Asked again every 100 ms as long as a consistent read waits.
    let delivered = 0n;
    for (let answered = false; !answered; ) {
      stream.send({ progress_request: {} });
      const deadline = Date.now() + 100;
      while (!answered && (stream.pending > 0 || Date.now() < deadline)) {
        if (stream.pending === 0) {
          await sleep(2);
          continue;
        }
        const message = await stream.take();
        for (const event of message.events) delivered = event.kv.mod_revision;
        if (message.events.length > 0) continue;
        assert.equal(message.watch_id, -1n);
        assert(message.header!.revision >= delivered, 'not behind what was delivered');
        answered = message.header!.revision >= wanted;
      }
    }
  }
  writing = false;
  await Promise.all(writers);
  // What a progress answer promised is true: no event at or below its revision came after it.
  let promised = 0n;
  for (const message of stream.received) {
    for (const event of message.events)
      assert(event.kv.mod_revision > promised, 'an event after its progress');
    if (message.watch_id === -1n) promised = message.header!.revision;
  }
  stream.cancel();
});

test('progress on request is not answered while a watch of the stream waits for the future', async () => {
  const stream = watch('/registry/now/', 0n);
  assert((await stream.take()).created);
  stream.send({ progress_request: {} });
  assert.equal((await stream.take()).watch_id, -1n);
  const future = (await currentRevision()) + 1000n;
  stream.send({ create_request: { key: '/registry/later', start_revision: future } });
  assert((await stream.take()).created);
  stream.send({ progress_request: {} });
  await stream.expectSilence(400);
  stream.cancel();
});

test('sixty connections, each with its watch, all see every change', async () => {
  const prefix = '/registry/many/';
  const start = await currentRevision();
  const clients = Array.from({ length: 60 }, () => new EtcdRpc(server.address, METADATA));
  const streams = clients.map((client) => client.stream('Watch.Watch', WATCH_METADATA));
  for (const stream of streams) {
    stream.send({
      create_request: {
        key: prefix,
        range_end: '/registry/many0',
        start_revision: start + 1n,
        prev_kv: true,
      },
    });
  }
  await Promise.all(
    Array.from({ length: 200 }, (_, i) => rpc.call('KV.Put', { key: `${prefix}${i}`, value: 'x' })),
  );
  for (const stream of streams) {
    assert((await stream.take()).created);
    await takeEvents(stream, 200);
    stream.cancel();
  }
  for (const client of clients) client.close();
});

// --- leases

test('one lease for a thousand objects; another lease takes an object away from it', async () => {
  const lease = await rpc.call('Lease.LeaseGrant', { TTL: 3600 });
  const other = await rpc.call('Lease.LeaseGrant', { TTL: 3600 });
  const names = Array.from({ length: 1000 }, (_, i) => `/registry/leased/${i}`);
  await Promise.all(names.map((name) => optimisticPut(name, 'x', 0n, lease.ID)));
  const { keys } = await rpc.call('Lease.LeaseTimeToLive', { ID: lease.ID, keys: true });
  assert.equal(keys.length, 1000);
  const { kvs } = await rpc.call('KV.Range', { key: names[0]! });
  await optimisticPut(names[0]!, 'y', kvs[0]!.mod_revision, other.ID);
  const before = await rpc.call('Lease.LeaseTimeToLive', { ID: lease.ID, keys: true });
  assert.equal(before.keys.length, 999);
  await rpc.call('Lease.LeaseRevoke', { ID: lease.ID });
  const left = await rpc.call('KV.Range', { key: '/registry/leased/', range_end: '/registry/leased0' });
  assert.deepEqual(
    left.kvs.map((kv) => kv.key.toString()),
    [names[0]],
  );
});

test('an object under a lease that is gone is not written', async () => {
  const outcome = await rpc.outcome('KV.Txn', {
    compare: [{ key: '/registry/x', target: 'MOD', result: 'EQUAL', mod_revision: 0 }],
    success: [{ request_put: { key: '/registry/x', value: 'x', lease: 123456n } }],
  });
  assert.deepEqual(outcome, { ok: false, code: 5, details: 'etcdserver: requested lease not found' });
});

// --- compaction and its errors

test('the compactor: one of several wins, and its key can be watched', async () => {
  const stream = rpc.stream('Watch.Watch', WATCH_METADATA);
  stream.send({ create_request: { key: 'compact_rev_key' } });
  assert((await stream.take()).created);
  const [a, b] = await Promise.all([compactor(0), compactor(0)]);
  assert.notEqual(a.succeeded, b.succeeded);
  const loser = a.succeeded ? b : a;
  assert.equal(loser.responses[0]!.response_range!.kvs[0]!.version, 1n);
  assert((await compactor(1)).succeeded);
  const events = await takeEvents(stream, 2);
  assert.equal(events[1]!.kv.version, 2n);
  stream.cancel();
});

test('after a compaction: lists, continued lists and watches below it fail with the words that are matched', async () => {
  const revision = await currentRevision();
  await rpc.call('KV.Put', { key: '/registry/pods/a', value: 'newer' });
  await rpc.call('KV.Compact', { revision });
  const list = { key: '/registry/', range_end: '/registry0', limit: 500 };
  assert.deepEqual(await rpc.outcome('KV.Range', { ...list, revision: revision - 1n }), {
    ok: false,
    ...COMPACTED,
  });
  assert(
    (await rpc.outcome('KV.Range', { ...list, revision })).ok,
    'the compacted revision itself is still there',
  );
  assert.deepEqual(await rpc.outcome('KV.Range', { ...list, revision: revision + 1000n }), {
    ok: false,
    ...FUTURE,
  });
  assert.deepEqual(await rpc.outcome('KV.Compact', { revision }), { ok: false, ...COMPACTED });
  assert.deepEqual(await rpc.outcome('KV.Compact', { revision: revision + 1000n }), { ok: false, ...FUTURE });

  const stream = watch('/registry/pods/', revision - 1n);
  assert((await stream.take()).created);
  const canceled = await stream.take();
  assert(canceled.canceled);
  assert.equal(canceled.compact_revision, revision);
  assert.deepEqual(canceled.events, []);
  stream.cancel();

  const good = watch('/registry/pods/', revision + 1n);
  assert((await good.take()).created);
  const [event] = await takeEvents(good, 1);
  assert.equal(event!.kv.value.toString(), 'newer');
  // The value before it is at the compacted revision, which is still readable.
  assert.notEqual(event!.prev_kv, null);
  good.cancel();
});

test('Status has a version that parses, and a size', async () => {
  const status = await rpc.call('Maintenance.Status', {});
  const version = /^(\d+)\.(\d+)\.(\d+)$/.exec(status.version);
  assert(version !== null, status.version);
  // Progress requests are only sent to servers that answer them rightly.
  const [, major, minor, patch] = version.map(Number);
  assert(major === 3 && (minor! > 5 || (minor === 5 && patch! >= 13)), status.version);
  assert(status.dbSize > 0n);
  assert(status.dbSizeInUse > 0n && status.dbSizeInUse <= status.dbSize);
});
