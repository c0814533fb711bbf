import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPC_ERRORS } from '@etcd/api';
import {
  decodeLeaseKeepAliveResponse,
  encodeLeaseKeepAliveRequest,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseRevokeResponse,
} from '@etcd/api/etcdserverpb';
import { LeaseService } from '@etcd/api/services';
import { GrpcCode } from '@etcd/base';
import type { ClientCall, Metadata } from '@etcd/transport';
import { ProxiedCluster } from '../testing/proxied-cluster.ts';

const { leaseKeepAlive, leaseRevoke } = LeaseService.methods;

/** Members that renew what is asked of them, after a moment. */
class Renewing {
  readonly world = new ProxiedCluster({ size: 2 });
  readonly asked: bigint[] = [];
  readonly tokens: (string | null)[] = [];
  ttl = 60;
  refusal: { readonly code: number; readonly message: string } | null = null;

  constructor() {
    const { cluster } = this.world;
    for (const server of cluster.servers) {
      server.unary(leaseRevoke, () => new LeaseRevokeResponse());
      server.bidi(leaseKeepAlive, (call, send) => {
        this.tokens.push(call.metadata('token'));
        return {
          onRequest: ({ id }) => {
            this.asked.push(id);
            if (this.refusal !== null) return call.end(this.refusal.code, this.refusal.message);
            cluster.clock.setTimer(10, () => send(new LeaseKeepAliveResponse({ id, ttl: this.ttl })));
          },
        };
      });
    }
  }
}

class Renewer {
  readonly answers: string[] = [];
  end: { readonly code: number; readonly message: string } | null = null;
  readonly call: ClientCall;

  constructor(world: ProxiedCluster, metadata: Metadata = []) {
    this.call = world.channel().call(
      leaseKeepAlive.path,
      {
        onMessage: (_call, bytes, start, end) => {
          const { id, ttl } = decodeLeaseKeepAliveResponse(bytes, start, end);
          this.answers.push(`${id}:${ttl}`);
        },
        onEnd: (_call, code, message) => (this.end = { code, message }),
      },
      { metadata },
    );
  }

  renew(id: bigint): void {
    this.call.write(encodeLeaseKeepAliveRequest(new LeaseKeepAliveRequest({ id })));
  }
}

test('S20 streams to members are bounded, however many tokens clients come with', async () => {
  const { world } = new Renewing();
  for (let i = 0; i < 1200; i++) {
    const client = new Renewer(world, [['token', `t${i}`]]);
    client.renew(1n);
    if (i % 100 === 0) await world.cluster.run(50);
  }
  await world.cluster.run(100);
  assert.ok(world.keepAlives.streamCount <= 1000, `${world.keepAlives.streamCount} streams`);
  const again = new Renewer(world, [['token', 't0']]);
  again.renew(2n);
  await world.cluster.run(100);
  assert.deepEqual(again.answers, ['2:60']);
});

test('those who renew a lease at the same time share the renewal, on one stream', async () => {
  const { world, asked, tokens } = new Renewing();
  const clients = Array.from({ length: 50 }, () => new Renewer(world));
  for (const client of clients) {
    client.renew(1n);
    client.renew(2n);
  }
  await world.cluster.run(50);
  for (const client of clients) assert.deepEqual(client.answers, ['1:60', '2:60']);
  assert.deepEqual(asked, [1n, 2n]);
  assert.equal(tokens.length, 1);
});

test('an answer is given again while it is fresh, not longer, and not after a revocation', async () => {
  const { world, asked } = new Renewing();
  const { cluster } = world;
  const client = new Renewer(world);
  for (const pauseMs of [100, 100, 700]) {
    client.renew(1n);
    await cluster.run(pauseMs);
  }
  assert.equal(asked.length, 1);
  client.renew(1n);
  await cluster.run(50);
  assert.equal(asked.length, 2);
  await cluster.until(world.client().leases.revoke(1n));
  client.renew(1n);
  await cluster.run(50);
  assert.equal(asked.length, 3);
  assert.equal(client.answers.length, 5);
});

test('a lease that is gone is told so each time', async () => {
  const renewing = new Renewing();
  renewing.ttl = 0;
  const client = new Renewer(renewing.world);
  for (let i = 0; i < 2; i++) {
    client.renew(5n);
    await renewing.world.cluster.run(50);
  }
  assert.deepEqual(client.answers, ['5:0', '5:0']);
  assert.equal(renewing.asked.length, 2);
});

test('S13 callers with different tokens renew for themselves', async () => {
  const { world, tokens, asked } = new Renewing();
  for (const token of ['alice', 'bob']) new Renewer(world, [['token', token]]).renew(1n);
  await world.cluster.run(50);
  assert.deepEqual(tokens.toSorted(), ['alice', 'bob']);
  assert.deepEqual(asked, [1n, 1n]);
});

test('when a member is lost, what it has not answered is asked of another', async () => {
  const { world } = new Renewing();
  const { cluster } = world;
  const client = new Renewer(world);
  client.renew(1n);
  await cluster.run(5);
  for (const server of cluster.servers) server.cut();
  await cluster.run(1_000);
  assert.deepEqual(client.answers, ['1:60']);
  assert.equal(client.end, null);
});

test('a refusal ends the streams of those who asked', async () => {
  const renewing = new Renewing();
  const { code, message } = RPC_ERRORS.ErrGRPCPermissionDenied;
  renewing.refusal = { code, message };
  const client = new Renewer(renewing.world);
  client.renew(1n);
  await renewing.world.cluster.run(50);
  assert.deepEqual(client.end, { code, message });
});

test('a client that has said its last gets its answers, then the end', async () => {
  const { world } = new Renewing();
  const client = new Renewer(world);
  client.renew(1n);
  client.call.halfClose();
  await world.cluster.run(50);
  assert.deepEqual(client.answers, ['1:60']);
  assert.equal(client.end?.code, GrpcCode.OK);
});
