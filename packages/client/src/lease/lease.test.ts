import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdError, RPC_ERRORS } from '@etcd/api';
import { LeaseGrantResponse, LeaseKeepAliveResponse, LeaseRevokeResponse } from '@etcd/api/etcdserverpb';
import { LeaseService } from '@etcd/api/services';
import { SimClock } from '@etcd/testing';
import { ClientError } from '../errors.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';

const { leaseGrant, leaseKeepAlive, leaseRevoke } = LeaseService.methods;
const TTL_SECONDS = 9;

interface World {
  readonly cluster: FakeCluster;
  readonly alive: number[];
  readonly revoked: bigint[];
  /** What keep-alives are answered with; null for silence. */
  ttl: number | null;
  answerAfterMs: number;
}

function newWorld(): World {
  const cluster = new FakeCluster(new SimClock());
  const world: World = { cluster, alive: [], revoked: [], ttl: TTL_SECONDS, answerAfterMs: 0 };
  let nextId = 7n;
  cluster.first.unary(
    leaseGrant,
    ({ ttl, id }) => new LeaseGrantResponse({ id: id === 0n ? nextId++ : id, ttl }),
  );
  cluster.first.unary(leaseRevoke, ({ id }) => {
    world.revoked.push(id);
    return new LeaseRevokeResponse();
  });
  cluster.first.bidi(leaseKeepAlive, (_call, send) => ({
    onRequest: ({ id }) => {
      world.alive.push(Math.round(cluster.clock.now()));
      const { ttl, answerAfterMs } = world;
      if (ttl === null) return;
      const answer = (): void => send(new LeaseKeepAliveResponse({ id, ttl }));
      if (answerAfterMs === 0) answer();
      else cluster.clock.setTimer(answerAfterMs, answer);
    },
  }));
  return world;
}

test('a lease is kept alive each third of its life, and revoked at the end', async () => {
  const { cluster, alive, revoked } = newWorld();
  const client = cluster.client();
  const lease = await cluster.until(client.leases.hold(TTL_SECONDS));
  await cluster.run(30_000);
  assert.ok(alive.length >= 10 && alive.length <= 12, String(alive));
  assert.equal(lease.isHeld, true);
  assert.equal(lease.ttlSeconds, TTL_SECONDS);
  await cluster.until(lease[Symbol.asyncDispose]());
  assert.deepEqual(revoked, [lease.id]);
  const count = alive.length;
  await cluster.run(30_000);
  assert.equal(alive.length, count);
  client.close();
});

test('a lease outlives a lost connection, and is lost when it can not be kept alive in its time', async () => {
  const { cluster } = newWorld();
  const client = cluster.client();
  const lease = await cluster.until(client.leases.hold(TTL_SECONDS));
  await cluster.run(10_000);
  cluster.first.stop();
  await cluster.run(3_000);
  cluster.first.start();
  await cluster.run(10_000);
  assert.equal(lease.isHeld, true);

  cluster.first.stop();
  const stoppedMs = cluster.clock.now();
  while (lease.isHeld && cluster.clock.now() < stoppedMs + 60_000) await cluster.run(100);
  const passedMs = cluster.clock.now() - stoppedMs;
  assert.ok(passedMs <= TTL_SECONDS * 1000, `lost after ${passedMs} ms`);
  assert.ok(lease.signal.reason instanceof ClientError);
  assert.equal(lease.signal.reason.code, 'lease-lost');
  client.close();
});

test('a lease whose server falls silent is lost in its time', async () => {
  const world = newWorld();
  const { cluster } = world;
  const client = cluster.client();
  const lease = await cluster.until(client.leases.hold(TTL_SECONDS));
  await cluster.run(5_000);
  world.ttl = null;
  await cluster.run(TTL_SECONDS * 1000);
  assert.equal(lease.isHeld, false);
  client.close();
});

test('a late answer is about the question that it answers, not about one that was sent since', async () => {
  const world = newWorld();
  const { cluster, alive } = world;
  world.answerAfterMs = 4000;
  const client = cluster.client();
  const lease = await cluster.until(client.leases.hold(TTL_SECONDS));
  // The server has heard the first question, answers it late, and hears no more.
  world.ttl = null;
  await cluster.run(8000);
  assert.ok(alive.length > 1);
  assert.equal(lease.isHeld, true);
  await cluster.run(alive[0]! + TTL_SECONDS * 1000 - cluster.clock.now());
  assert.equal(lease.isHeld, false);
  client.close();
});

test('a lease that the server does not know is lost at once', async () => {
  const world = newWorld();
  const { cluster } = world;
  const client = cluster.client();
  world.ttl = 0;
  const lease = client.leases.keep(5n);
  await cluster.run(100);
  assert.equal(lease.isHeld, false);
  assert.equal((lease.signal.reason as EtcdError).entry, RPC_ERRORS.ErrGRPCLeaseNotFound);
  await assert.rejects(cluster.until(client.leases.keepAliveOnce(5n)), (error) => {
    return error instanceof EtcdError && error.entry === RPC_ERRORS.ErrGRPCLeaseNotFound;
  });
  client.close();
});

test('one sign of life is tried again elsewhere, until it has an answer', async () => {
  const world = newWorld();
  const { cluster } = world;
  const client = cluster.client();
  world.ttl = null;
  const once = client.leases.keepAliveOnce(7n);
  await cluster.run(100);
  cluster.first.cut();
  world.ttl = 4;
  assert.equal((await cluster.until(once)).ttl, 4);
  client.close();
});
