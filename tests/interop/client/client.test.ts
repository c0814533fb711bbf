/** The client library against servers: ours, and real etcd, which says what is right. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import { ClientError, CompactedError, compare, type EtcdClient, isError, Lock, op } from '@etcd/client';
import { type ConnectOptions, connect } from '@etcd/client/node';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, REFERENCE, SUBJECT } from '../../support/programs.ts';
import { eventually, sleep } from '../../support/run.ts';

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

for (const [name, program] of [
  ['this etcd', SUBJECT],
  ['etcd 3.5', REFERENCE],
] as const) {
  describe(`the client and ${name}`, needs('etcd 3.5'), () => {
    let server: EtcdServer;
    let client: EtcdClient;
    const open = (options: ConnectOptions = {}): EtcdClient =>
      connect({ endpoints: [server.address], timeoutMs: 10_000, ...options });

    before(async () => {
      server = await EtcdServer.start({ program, flags: FAST_ELECTION });
      client = open();
    });
    after(async () => {
      client.close();
      await server.stop();
    });

    test('writes, reads, transactions', () => keys(client));
    test('pages and streams are of one revision', () => pages(client));
    test('what is compacted says so', () => compaction(client));
    test('a watch goes on where it was when the server comes back', async () => {
      server = await watchOverRestart(client, server);
    });
    test('leases are held, looked at, and take their keys with them', () => leases(client));
    test('a lock has one holder at a time, and tokens that grow', () => locks(open));
    test('an election has one leader, who can be watched', () => elections(client));
    test('a namespace sees its own keys only', () => namespaces(client));
    test('members and maintenance', () => maintenance(client));
  });
}

async function keys({ kv }: EtcdClient): Promise<void> {
  await kv.put('k/1', 'one');
  const { prevKv } = await kv.put('k/1', 'uno', { prevKv: true });
  assert.equal(text(prevKv?.value), 'one');
  await kv.put('k/2', new Uint8Array([0, 255, 10]));
  assert.deepEqual([...((await kv.getOne('k/2'))?.value ?? [])], [0, 255, 10]);
  assert.equal(await kv.getOne('nothing'), null);
  const { kvs, count } = await kv.get('k/', { prefix: true, sortBy: 'mod', order: 'descend', limit: 1 });
  assert.deepEqual([text(kvs[0]?.key), kvs.length, count], ['k/2', 1, 2]);
  const { succeeded, responses } = await kv
    .txn()
    .when(compare.value('k/1', '=', 'uno'), compare.version('k/1', '>', 1), compare.notExists('nothing'))
    .do(op.get('k/1'), op.delete('k/', { prefix: true, prevKv: true }))
    .otherwise(op.put('k/3', 'no'))
    .commit();
  assert.equal(succeeded, true);
  assert.equal(text(responses[0]?.responseRange?.kvs[0]?.value), 'uno');
  assert.equal(responses[1]?.responseDeleteRange?.deleted, 2);
  await assert.rejects(kv.put('', 'v'), (error) => isError(error, RPC_ERRORS.ErrGRPCEmptyKey));
}

async function pages({ kv }: EtcdClient): Promise<void> {
  const puts = [];
  for (let i = 0; i < 250; i++) puts.push(kv.put(`p/${String(i).padStart(3, '0')}`, `${i}`));
  await Promise.all(puts);
  const seen: string[] = [];
  for await (const page of kv.pages('p/', { prefix: true, pageSize: 100 })) {
    assert.ok(page.length <= 100);
    for (const { key } of page) seen.push(text(key));
    // Not of the first page's revision, so it must not show.
    await kv.put('p/100x', '');
  }
  assert.equal(seen.length, 250);
  assert.deepEqual(seen, [...seen].sort());
  let streamed = 0;
  for await (const { kvs } of kv.stream('p/', { prefix: true })) streamed += kvs.length;
  assert.equal(streamed, 251);
}

async function compaction(client: EtcdClient): Promise<void> {
  const { kv } = client;
  await kv.put('c', '1');
  const { header } = await kv.put('c', '2');
  const revision = header?.revision ?? 0;
  await kv.put('c', '3');
  await kv.compact(revision, { physical: true });
  await assert.rejects(kv.get('c', { revision: revision - 1 }), (error) => {
    return isError(error, RPC_ERRORS.ErrGRPCCompacted);
  });
  await assert.rejects(client.watch('c', { startRevision: 1 }).next(), (error) => {
    return error instanceof CompactedError && error.compactRevision === revision;
  });
}

async function watchOverRestart(client: EtcdClient, server: EtcdServer): Promise<EtcdServer> {
  const watch = client.watch('w/', { prefix: true, prevKv: true });
  await watch.ready();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { kv } of watch.events()) {
      seen.push(text(kv?.key));
      if (seen.length === 60) return;
    }
  })();
  for (let i = 0; i < 30; i++) await client.kv.put(`w/${i}`, '');
  await server.kill();
  const restarted = await server.restart();
  const other = connect({ endpoints: [restarted.address] });
  for (let i = 30; i < 60; i++) await other.kv.put(`w/${i}`, '');
  await reading;
  other.close();
  assert.deepEqual(
    seen,
    Array.from({ length: 60 }, (_, i) => `w/${i}`),
  );
  return restarted;
}

async function leases(client: EtcdClient): Promise<void> {
  {
    await using lease = await client.leases.hold(2);
    await client.kv.put('l/1', '', { lease: lease.id });
    await sleep(2500);
    assert.equal(lease.isHeld, true);
    const { grantedTtl, ttl, keys: attached } = await client.leases.timeToLive(lease.id, { keys: true });
    assert.equal(grantedTtl, 2);
    assert.ok(ttl >= 0);
    assert.deepEqual(attached.map(text), ['l/1']);
    assert.ok((await client.leases.list()).leases.some(({ id }) => id === lease.id));
  }
  assert.equal(await client.kv.getOne('l/1'), null);
  const { id } = await client.leases.grant(5, { id: 123n });
  assert.equal(id, 123n);
  assert.equal((await client.leases.keepAliveOnce(123n)).ttl, 5);
  const kept = client.leases.keep(123n);
  await client.leases.revoke(123n);
  await assert.rejects(client.leases.keepAliveOnce(123n), /lease not found/);
  await eventually('the kept lease is lost', () => !kept.isHeld);
}

async function locks(open: () => EtcdClient): Promise<void> {
  const contenders = 8;
  let holders = 0;
  let token = 0;
  await Promise.all(
    Array.from({ length: contenders }, async (_, i) => {
      await using client = open();
      await using lock = await client.lock('lock', { ttlSeconds: 5 });
      assert.equal(++holders, 1);
      assert.ok(lock.revision > token);
      token = lock.revision;
      const write = client.kv
        .txn()
        .when(lock.isOwner())
        .do(op.put('guarded', String(i)));
      assert.equal((await write.commit()).succeeded, true);
      await sleep(5);
      holders--;
    }),
  );
  await using client = open();
  await using lock = await client.lock('lock', { ttlSeconds: 3 });
  assert.equal(await Lock.tryAcquire(client, 'lock'), null);
  const giveUp = AbortSignal.timeout(100);
  await assert.rejects(client.lock('lock', { signal: giveUp }), (reason) => reason === giveUp.reason);
  const { count } = await client.kv.get('lock/', { prefix: true });
  assert.equal(count, 1, 'whoever gave up has left the queue');
  // A holder whose lease is gone is told, and is refused by what it protects.
  await client.leases.revoke(lock.leaseId);
  await eventually('the holder is told', () => lock.signal?.aborted);
  const late = client.kv.txn().when(lock.isOwner()).do(op.put('guarded', 'late'));
  assert.equal((await late.commit()).succeeded, false);
}

async function elections(client: EtcdClient): Promise<void> {
  const election = client.election('e', { ttlSeconds: 5 });
  const controller = new AbortController();
  const heard: string[] = [];
  const observing = (async () => {
    for await (const { pair } of election.observe({ signal: controller.signal }))
      heard.push(text(pair.value));
  })();
  assert.equal(await election.leader(), null);
  const first = await election.campaign('first');
  await eventually('the first is heard', () => heard.includes('first'));
  const second = election.campaign('second');
  await first.proclaim('first again');
  await eventually('what it says is heard', () => heard.includes('first again'));
  assert.equal(text((await election.leader())?.value), 'first again');
  await first.resign();
  await assert.rejects(first.proclaim('too late'), (error) => {
    return error instanceof ClientError && error.code === 'not-owner';
  });
  const next = await second;
  assert.ok(next.revision > first.revision);
  await eventually('the second is heard', () => heard.includes('second'));
  controller.abort('done');
  await assert.rejects(observing, (reason) => reason === 'done');
  assert.deepEqual(heard, ['first', 'first again', 'second']);
  await next.resign();
}

async function namespaces(client: EtcdClient): Promise<void> {
  const app = client.namespace('app/');
  const watch = app.watch('', { prefix: true });
  await watch.ready();
  await client.kv.put('apq', 'outside');
  await client.kv.put('app', 'outside');
  await app.kv.put('a', 'inside');
  assert.equal(text((await client.kv.getOne('app/a'))?.value), 'inside');
  const { kvs } = await app.kv.get('', { prefix: true });
  assert.deepEqual(
    kvs.map(({ key }) => text(key)),
    ['a'],
  );
  const { value } = await watch.next();
  assert.deepEqual(
    value?.events.map(({ kv }) => text(kv?.key)),
    ['a'],
  );
  await watch.return();
}

async function maintenance(client: EtcdClient): Promise<void> {
  const { members } = await client.cluster.memberList();
  assert.equal(members.length, 1);
  const status = await client.maintenance.status();
  assert.equal(status.leader, members[0]?.id);
  const { hash } = await client.maintenance.hashKv(0);
  assert.ok(hash > 0);
  await client.maintenance.defragment();
  assert.equal((await client.maintenance.alarmList()).alarms.length, 0);
  const pieces: Uint8Array[] = [];
  for await (const { blob } of client.maintenance.snapshot()) pieces.push(blob);
  const whole = Buffer.concat(pieces);
  const digest = whole.subarray(whole.length - 32);
  assert.deepEqual(createHash('sha256').update(whole.subarray(0, -32)).digest(), digest);
  await client.syncEndpoints();
  assert.equal(client.endpoints.length, 1);
  await client.kv.put('after', 'sync');
}

test('users, roles and a token that runs out, with etcd 3.5', needs('etcd 3.5'), async () => {
  const flags = [...FAST_ELECTION, '--auth-token-ttl=1'];
  const server = await EtcdServer.start({ program: REFERENCE, flags });
  const endpoints = [server.address];
  {
    await using admin = connect({ endpoints });
    await admin.auth.userAdd('root', 'secret');
    await admin.auth.userGrantRole('root', 'root').catch(async () => {
      await admin.auth.roleAdd('root');
      await admin.auth.userGrantRole('root', 'root');
    });
    await admin.auth.roleAdd('reader');
    await admin.auth.roleGrantPermission('reader', 'read', 'pub/', { prefix: true });
    await admin.auth.userAdd('joe', 'pw');
    await admin.auth.userGrantRole('joe', 'reader');
    await admin.auth.enable();
    await assert.rejects(admin.kv.get('k'), /user name is empty/);
  }
  await usersAtWork(endpoints);
  await server.stop();
});

async function usersAtWork(endpoints: readonly string[]): Promise<void> {
  await using root = connect({ endpoints, credentials: { username: 'root', password: 'secret' } });
  await using joe = connect({ endpoints, credentials: { username: 'joe', password: 'pw' } });
  await root.kv.put('pub/1', 'x');
  const watch = joe.watch('pub/', { prefix: true });
  await watch.ready();
  // The tokens run out: calls get new ones without anybody noticing.
  await sleep(2500);
  assert.equal(text((await joe.kv.getOne('pub/1'))?.value), 'x');
  await root.kv.put('pub/2', 'y');
  assert.equal(text((await watch.next()).value?.events[0]?.kv?.key), 'pub/2');
  await assert.rejects(joe.kv.put('pub/1', ''), (error) =>
    isError(error, RPC_ERRORS.ErrGRPCPermissionDenied),
  );
  await assert.rejects(joe.watch('other').next(), (error) => error instanceof EtcdError);
  await using wrong = connect({ endpoints, credentials: { username: 'joe', password: 'no' } });
  await assert.rejects(wrong.kv.get('pub/1'), (error) => isError(error, RPC_ERRORS.ErrGRPCAuthFailed));
}

test('addresses at which nobody listens are passed over', needs('etcd 3.5'), async () => {
  const first = await EtcdServer.start({ program: REFERENCE, flags: FAST_ELECTION });
  await using client = connect({ endpoints: [first.address, '127.0.0.1:1', '[::1]:1'], timeoutMs: 5000 });
  for (let i = 0; i < 10; i++) await client.kv.put('k', String(i));
  assert.equal(text((await client.kv.getOne('k'))?.value), '9');
  await first.stop();
  await assert.rejects(client.kv.put('k', '', { timeoutMs: 300 }), (error) => {
    return (
      isError(error, RPC_ERRORS.ContextDeadlineExceeded) &&
      error instanceof Error &&
      error.cause instanceof Error
    );
  });
});
