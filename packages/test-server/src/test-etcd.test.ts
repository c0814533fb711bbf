import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { connect } from '@etcd/client/node';
import { startTestEtcd } from './index.ts';

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

test('it serves keys, watches, leases and locks, and keeps what it has over a restart', async () => {
  await using etcd = await startTestEtcd();
  await using client = connect({ endpoints: [etcd.endpoint] });
  const watch = client.watch('k', { startRevision: 1 });
  await client.kv.put('k', 'one');
  await etcd.restart();
  await client.kv.put('k', 'two');
  const seen: string[] = [];
  for await (const { events } of watch) {
    seen.push(...events.map(({ kv }) => text(kv?.value)));
    if (seen.length >= 2) break;
  }
  assert.deepEqual(seen, ['one', 'two']);
  await using lock = await client.lock('mine');
  assert.ok(lock.revision > 0);
  const { members } = await client.cluster.memberList();
  assert.deepEqual(members[0]?.clientUrls, [`http://${etcd.endpoint}`]);
});

test('several go together, each with data of its own', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => startTestEtcd()));
  assert.equal(new Set(servers.map(({ endpoint }) => endpoint)).size, 3);
  for (const [i, { endpoint }] of servers.entries()) {
    await using client = connect({ endpoints: [endpoint] });
    assert.equal((await client.kv.get('k')).count, 0);
    await client.kv.put('k', String(i));
  }
  await Promise.all(servers.map((server) => server.stop()));
});

test('flags of etcd count, and bad ones are refused', async () => {
  await using etcd = await startTestEtcd({ flags: ['--max-txn-ops=1'] });
  await using client = connect({ endpoints: [etcd.endpoint] });
  const { op } = await import('@etcd/client');
  await assert.rejects(
    client.kv.txn().do(op.put('a', '1'), op.put('b', '1')).commit(),
    /too many operations in txn request/,
  );
  await assert.rejects(startTestEtcd({ flags: ['--nonsense'] }), /flag provided but not defined/);
  await assert.rejects(startTestEtcd({ flags: ['--version'] }), /starts no server/);
});

test('after a stop its port is free, and it can not come back', async () => {
  const etcd = await startTestEtcd();
  await etcd.stop();
  await etcd.stop();
  const [host, port] = etcd.endpoint.split(':');
  const isThere = await new Promise((resolve) => {
    const socket = net.connect(Number(port), host);
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  assert.equal(isThere, false);
  await assert.rejects(etcd.restart(), /has been stopped/);
});
