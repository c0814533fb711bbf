/** Corners of the services that neither etcdctl nor random operations reach. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EtcdRpc } from '../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../support/etcd-server.ts';
import type { KeyValue, RangeResponse, WatchResponse } from '../support/messages.ts';
import { atLeast, isGo, SUBJECT } from '../support/programs.ts';
import { sleep } from '../support/run.ts';

let server: EtcdServer;
let rpc: EtcdRpc;
before(async () => {
  server = await EtcdServer.start({ flags: FAST_ELECTION });
  rpc = new EtcdRpc(server.address);
});
after(async () => {
  rpc.close();
  await server.stop();
});

const SINCE_3_6 = atLeast(SUBJECT, 3, 6) ? {} : { skip: 'not in this release' };
const SINCE_3_7 = atLeast(SUBJECT, 3, 7) ? {} : { skip: 'not in this release' };

async function fill(prefix: string, count: number, valueBytes: number): Promise<void> {
  for (let i = 0; i < count; i += 50) {
    const puts = Array.from({ length: Math.min(50, count - i) }, (_, j) =>
      rpc.call('KV.Put', {
        key: `${prefix}${String(i + j).padStart(6, '0')}`,
        value: 'x'.repeat(valueBytes),
      }),
    );
    await Promise.all(puts);
  }
}

// --- RangeStream

async function rangeStream(request: object): Promise<RangeResponse[]> {
  const chunks = await rpc.collect('KV.RangeStream', request);
  return chunks.map((chunk) => chunk.range_response!);
}

test(
  'RangeStream: the chunks together are the range; header, more and count come last',
  SINCE_3_7,
  async () => {
    await fill('stream/', 1000, 3000);
    for (const limit of [0, 5, 777]) {
      const request = { key: 'stream/', range_end: 'stream0', limit };
      const whole = await rpc.call('KV.Range', request);
      const chunks = await rangeStream(request);
      const kvs: KeyValue[] = [];
      for (const [i, chunk] of chunks.entries()) {
        kvs.push(...chunk.kvs);
        const isLast = i === chunks.length - 1;
        assert.equal(chunk.header !== null, isLast);
        if (!isLast) assert.deepEqual([chunk.more, chunk.count], [false, 0n]);
      }
      assert.deepEqual(kvs, whole.kvs);
      const last = chunks.at(-1)!;
      assert.equal(last.header!.revision, whole.header!.revision);
      assert.deepEqual([last.more, last.count], [whole.more, whole.count]);
      if (limit === 0) assert(chunks.length > 3, 'three megabytes are not one chunk');
    }
  },
);

test('RangeStream: one revision, though others write meanwhile', SINCE_3_7, async () => {
  const stream = rpc.serverStream('KV.RangeStream', { key: 'stream/', range_end: 'stream0' });
  let last: RangeResponse | null = null;
  let count = 0;
  for (;;) {
    const chunk = await stream.next();
    if (chunk === null) break;
    last = chunk.range_response!;
    count += last.kvs.length;
    for (const kv of last.kvs) assert.equal(kv.version, 1n);
    await rpc.call('KV.Put', { key: 'stream/000999', value: 'changed' });
  }
  assert.equal(count, 1000);
  assert.equal(last!.count, 1000n);
});

test('RangeStream: counting, nothing, and what it does not do', SINCE_3_7, async () => {
  const all = { key: 'stream/', range_end: 'stream0' };
  const counted = await rangeStream({ ...all, count_only: true });
  assert.deepEqual([counted.length, counted[0]!.count, counted[0]!.kvs], [1, 1000n, []]);
  const nothing = await rangeStream({ key: 'nothing' });
  assert.deepEqual([nothing.length, nothing[0]!.count], [1, 0n]);
  assert(nothing[0]!.header !== null);
  const failing = async (request: object, code: number): Promise<void> => {
    await assert.rejects(rangeStream(request), (error: { code: number }) => error.code === code);
  };
  await failing({ key: '' }, 3);
  await failing({ ...all, revision: 1_000_000n }, 11);
  await failing({ ...all, sort_order: 'DESCEND' }, 12);
  await failing({ ...all, sort_target: 'MOD', sort_order: 'ASCEND' }, 12);
  await failing({ ...all, min_mod_revision: 1 }, 12);
});

// --- Range

test('unknown sort orders and targets are refused', SINCE_3_6, async () => {
  for (const sort of [{ sort_order: 3 }, { sort_order: -1 }, { sort_target: 5 }, { sort_target: -1 }]) {
    const outcome = await rpc.outcome('KV.Range', { key: 'a', ...sort });
    assert.deepEqual(outcome, { ok: false, code: 3, details: 'etcdserver: invalid sort option' });
  }
});

test('a message beyond the receive limit is refused by the transport', async () => {
  const outcome = await rpc.outcome('KV.Put', { key: 'k', value: 'x'.repeat(2_200_000) });
  assert(!outcome.ok);
  assert.equal(outcome.code, 8);
  assert.match(outcome.details, /^grpc: received message larger than max \(\d+ vs\. 2097152\)$/);
});

test('a transaction that would kill etcd gets an error', async () => {
  // The open-ended delete is not seen to overlap the put, which keeps the lease of a key that is gone by then.
  if (isGo(SUBJECT)) return;
  await rpc.call('KV.Put', { key: 'doomed', value: '1' });
  const outcome = await rpc.outcome('KV.Txn', {
    success: [
      { request_delete_range: { key: 'dooe', range_end: '\0' } },
      { request_txn: { success: [{ request_put: { key: 'doomed', value: 'x', ignore_lease: true } }] } },
    ],
  });
  assert(!outcome.ok);
  const { count } = await rpc.call('KV.Range', { key: 'doomed' });
  assert.equal(count, 1n, 'nothing of it happened');
});

// --- Watch

test('watch: a revision too large for a message comes in fragments if asked for', async () => {
  const { header } = await rpc.call('KV.Range', { key: 'a' });
  const values = Array.from({ length: 6 }, (_, i) => ({
    request_put: { key: `fragment/${i}`, value: 'x'.repeat(200_000) },
  }));
  // Three transactions of more than a megabyte each: with the previous pairs, two of them are too large for one message.
  for (let i = 0; i < 3; i++) await rpc.call('KV.Txn', { success: values });
  const collect = async (fragment: boolean): Promise<WatchResponse[]> => {
    const stream = rpc.stream('Watch.Watch');
    stream.send({
      create_request: {
        key: 'fragment/',
        range_end: 'fragment0',
        start_revision: header!.revision + 1n,
        prev_kv: true,
        fragment,
      },
    });
    assert((await stream.take()).created);
    const responses: WatchResponse[] = [];
    for (let events = 0; events < 18; ) {
      const response = await stream.take();
      events += response.events.length;
      responses.push(response);
    }
    stream.cancel();
    return responses;
  };
  const whole = await collect(false);
  assert(whole.every((response) => !response.fragment));
  const pieces = await collect(true);
  assert(pieces.length > 1);
  // All but the last piece of a response say that more follows.
  assert.equal(pieces.at(-1)!.fragment, false);
  assert(pieces.some((piece) => piece.fragment));
  const keys = (responses: WatchResponse[]): string[] =>
    responses.flatMap((response) =>
      response.events.map((event) => `${event.kv.key}@${event.kv.mod_revision}`),
    );
  assert.deepEqual(keys(pieces), keys(whole));
});

test('watch: many on one stream, each gets its own', async () => {
  const stream = rpc.stream('Watch.Watch');
  for (let i = 0; i < 500; i++) stream.send({ create_request: { key: `own/${i}` } });
  for (let i = 0; i < 500; i++) {
    const created = await stream.take();
    assert(created.created);
    assert.equal(created.watch_id, BigInt(i));
  }
  for (let i = 0; i < 500; i++) await rpc.call('KV.Put', { key: `own/${i}`, value: `${i}` });
  for (let i = 0; i < 500; i++) {
    const { watch_id, events } = await stream.take();
    assert.equal(events.length, 1);
    assert.equal(events[0]!.kv.key.toString(), `own/${watch_id}`);
  }
  stream.cancel();
});

test('watch: ids that clients choose are kept to the last bit', async () => {
  const stream = rpc.stream('Watch.Watch');
  const ids = [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
  for (const watch_id of ids) {
    stream.send({ create_request: { key: 'wide', watch_id } });
    const created = await stream.take();
    assert.deepEqual([created.watch_id, created.created, created.canceled], [watch_id, true, false]);
  }
  stream.send({ create_request: { key: 'wide', watch_id: ids[1] } });
  assert.equal((await stream.take()).canceled, true);
  await rpc.call('KV.Put', { key: 'wide', value: '1' });
  const told = new Set<bigint>();
  while (told.size < ids.length) told.add((await stream.take()).watch_id);
  assert.deepEqual([...told].sort(), [...ids].sort());
  stream.send({ cancel_request: { watch_id: ids[1] } });
  const canceled = await stream.take();
  assert.deepEqual([canceled.watch_id, canceled.canceled], [ids[1], true]);
  stream.cancel();
});

test('watch: an empty range is cancelled at once, with the reason', async () => {
  const stream = rpc.stream('Watch.Watch');
  stream.send({ create_request: { key: 'b', range_end: 'a' } });
  const answer = await stream.take();
  assert.deepEqual([answer.created, answer.canceled, answer.watch_id], [true, true, -1n]);
  assert.equal(answer.cancel_reason, 'mvcc: watcher range is empty');
  stream.send({ create_request: { key: 'a', watch_id: 7 } });
  assert.equal((await stream.take()).watch_id, 7n);
  stream.send({ create_request: { key: 'a', watch_id: 7 } });
  const duplicate = await stream.take();
  assert.deepEqual([duplicate.created, duplicate.canceled, duplicate.watch_id], [true, true, -1n]);
  stream.cancel();
});

// --- Maintenance, Cluster, health

test('MoveLeader: nobody to move it to', async () => {
  const { members } = await rpc.call('Cluster.MemberList', { linearizable: true });
  const outcome = await rpc.outcome('Maintenance.MoveLeader', { targetID: 12345 });
  assert.deepEqual(outcome, { ok: false, code: 9, details: 'etcdserver: bad leader transferee' });
  assert(
    (await rpc.outcome('Maintenance.MoveLeader', { targetID: members[0]!.ID })).ok,
    'to itself is nothing to do',
  );
  const answer = await rpc.call('Maintenance.MoveLeader', { targetID: members[0]!.ID });
  assert.equal(answer.header, null, 'an empty message');
});

test('Hash changes with the data, HashKV only with the keys', async () => {
  const first = await rpc.call('Maintenance.Hash', {});
  const kv = await rpc.call('Maintenance.HashKV', {});
  await rpc.call('Lease.LeaseGrant', { TTL: 1000 });
  assert.equal((await rpc.call('Maintenance.HashKV', {})).hash, kv.hash);
  await rpc.call('KV.Put', { key: 'hash', value: 'x' });
  assert.notEqual((await rpc.call('Maintenance.Hash', {})).hash, first.hash);
  assert.notEqual((await rpc.call('Maintenance.HashKV', {})).hash, kv.hash);
});

test('Defragment keeps everything, and serves while and after', async () => {
  await fill('defrag/', 300, 2000);
  await rpc.call('KV.DeleteRange', { key: 'defrag/', range_end: 'defrag0' });
  const { header } = await rpc.call('KV.Put', { key: 'defrag/kept', value: 'x' });
  await rpc.call('KV.Compact', { revision: header!.revision, physical: true });
  const before = await rpc.call('Maintenance.HashKV', {});
  const defragment = rpc.call('Maintenance.Defragment', {});
  const reads = Array.from({ length: 50 }, () => rpc.call('KV.Range', { key: 'defrag/kept' }));
  for (const read of await Promise.all(reads)) assert.equal(read.count, 1n);
  assert.equal((await defragment).header, null);
  const after = await rpc.call('Maintenance.HashKV', {});
  assert.equal(after.hash, before.hash);
  const status = await rpc.call('Maintenance.Status', {});
  assert(status.dbSize < status.dbSizeInUse * 2n + 200_000n, `${status.dbSize} for ${status.dbSizeInUse}`);
});

test('alarms can be raised and lifted by hand', async () => {
  const { header } = await rpc.call('Maintenance.Status', {});
  const alarm = { memberID: header.member_id, alarm: 'NOSPACE' };
  const raised = await rpc.call('Maintenance.Alarm', { action: 'ACTIVATE', ...alarm });
  assert.deepEqual(raised.alarms, [alarm]);
  const outcome = await rpc.outcome('KV.Put', { key: 'a', value: 'x' });
  assert.deepEqual(outcome, { ok: false, code: 8, details: 'etcdserver: mvcc: database space exceeded' });
  assert((await rpc.outcome('KV.DeleteRange', { key: 'a' })).ok);
  const status = await rpc.call('Maintenance.Status', {});
  assert.equal(status.errors.length, 1);
  const lifted = await rpc.call('Maintenance.Alarm', { action: 'DEACTIVATE', ...alarm });
  assert.deepEqual(lifted.alarms, [alarm]);
  assert((await rpc.outcome('KV.Put', { key: 'a', value: 'x' })).ok);
  const again = await rpc.call('Maintenance.Alarm', { action: 'DEACTIVATE', ...alarm });
  assert.deepEqual(again.alarms, []);
});

test('at the quota writes are refused, until there is room and the alarm is lifted', async () => {
  const full = await EtcdServer.start({ flags: [...FAST_ELECTION, '--quota-backend-bytes=1000000'] });
  const client = new EtcdRpc(full.address);
  try {
    const refused = { ok: false, code: 8, details: 'etcdserver: mvcc: database space exceeded' };
    const value = 'x'.repeat(200_000);
    let outcome = await client.outcome('KV.Put', { key: 'big', value });
    // The size of the file counts, which grows with the commits.
    for (let i = 0; i < 20 && outcome.ok; i++) {
      await sleep(110);
      outcome = await client.outcome('KV.Put', { key: 'big', value });
    }
    assert.deepEqual(outcome, refused);
    const { alarms } = await client.call('Maintenance.Alarm', { action: 'GET', alarm: 'NONE' });
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['NOSPACE'],
    );
    // What is small is refused, too; what takes nothing or gives back is not.
    assert.deepEqual(await client.outcome('KV.Put', { key: 'small', value: '1' }), refused);
    assert.deepEqual(await client.outcome('Lease.LeaseGrant', { ID: 1n, TTL: 100n }), refused);
    const { count, header } = await client.call('KV.Range', { key: 'big' });
    assert.equal(count, 1n);
    assert.equal((await client.call('KV.DeleteRange', { key: 'big' })).deleted, 1n);
    await client.call('KV.Compact', { revision: header!.revision + 1n, physical: true });
    await client.call('Maintenance.Defragment', {});
    assert.deepEqual(await client.outcome('KV.Put', { key: 'small', value: '1' }), refused);
    await client.call('Maintenance.Alarm', { action: 'DEACTIVATE', ...alarms[0]! });
    assert((await client.outcome('KV.Put', { key: 'small', value: '1' })).ok);
  } finally {
    client.close();
    await full.stop();
  }
});

test('a corruption alarm stops writes, not reads', async () => {
  const { header } = await rpc.call('Maintenance.Status', {});
  const alarm = { memberID: header.member_id, alarm: 'CORRUPT' };
  await rpc.call('Maintenance.Alarm', { action: 'ACTIVATE', ...alarm });
  const outcome = await rpc.outcome('KV.Put', { key: 'a', value: 'x' });
  assert.deepEqual(outcome, { ok: false, code: 15, details: 'etcdserver: corrupt cluster' });
  assert((await rpc.outcome('KV.Range', { key: 'a' })).ok);
  await rpc.call('Maintenance.Alarm', { action: 'DEACTIVATE', ...alarm });
  assert((await rpc.outcome('KV.Put', { key: 'a', value: 'x' })).ok);
});

test('the health service', async () => {
  const check = await rpc.call('grpc.health.v1.Health.Check', { service: '' });
  assert.equal(check.status, 'SERVING');
  const unknown = await rpc.outcome('grpc.health.v1.Health.Check', { service: 'nothing' });
  assert(!unknown.ok);
  assert.equal(unknown.code, 5);
});

test('the health service lists what it knows', SINCE_3_6, async () => {
  const list = await rpc.call('grpc.health.v1.Health.List', {});
  assert.deepEqual(list, { statuses: { '': { status: 'SERVING' } } });
});

test('MemberList: this member, with its addresses', async () => {
  const { members, header } = await rpc.call('Cluster.MemberList', { linearizable: true });
  assert.equal(members.length, 1);
  const [member] = members;
  assert.equal(member!.ID, header.member_id);
  assert.deepEqual(member!.peerURLs, [server.peerUrl]);
  assert.deepEqual(member!.clientURLs, [server.clientUrl]);
  assert.equal(member!.name, 'default');
  assert.equal(header.revision, 0n);
});
