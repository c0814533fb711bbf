/** A leader to whom connections are refused although it lives: others lead before it knows. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import {
  decodeLeaseKeepAliveResponse,
  encodeLeaseGrantRequest,
  encodeLeaseKeepAliveRequest,
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcChannel } from '@etcd/transport';
import type { Machine } from './machine.ts';
import { type Plant, RARE_PLANTS } from './plant.ts';
import { QuietCluster } from './quiet-cluster.ts';

const LEASE = 7n;
/** The shortest that there is with an election timeout of a second. */
const TTL_MS = 2000;
const RENEW_EVERY_MS = 100;

/** Asks `machine` again and again to renew the lease; when the last confirmed renewal had been asked for is in `renewedMs`. */
function renewAt(cluster: QuietCluster, machine: Machine): { renewedMs: number } {
  const { clock } = cluster.world;
  const state = { renewedMs: 0 };
  const channel = new GrpcChannel(machine.run!.connect()!, { clock, authority: machine.name });
  const asked: number[] = [];
  const call = channel.call('/etcdserverpb.Lease/LeaseKeepAlive', {
    onMessage: (_call, bytes, start, end) => {
      const askedMs = asked.shift()!;
      if (decodeLeaseKeepAliveResponse(bytes.subarray(start, end)).ttl > 0) state.renewedMs = askedMs;
    },
    onEnd: () => {},
  });
  const renew = (): void => {
    asked.push(clock.now());
    call.write(encodeLeaseKeepAliveRequest(new LeaseKeepAliveRequest({ id: LEASE })));
    clock.setTimer(RENEW_EVERY_MS, renew);
  };
  renew();
  return state;
}

/** By how many milliseconds a lease outlives what was confirmed of it by a leader that was deposed without knowing. */
async function outlived(plant?: Plant): Promise<number> {
  const cluster = await QuietCluster.start(plant === undefined ? { size: 3 } : { size: 3, plant });
  const { world, leader } = cluster;
  const grant = encodeLeaseGrantRequest(new LeaseGrantRequest({ id: LEASE, ttl: TTL_MS / 1000 }));
  await cluster.call(leader, '/etcdserverpb.Lease/LeaseGrant', grant);
  const renewals = renewAt(cluster, leader);
  await world.run(1500);
  assert.ok(renewals.renewedMs > 0);
  world.fabric.refuse(leader.name, leader.peerUrls);
  for (const { name } of cluster.followers) {
    world.fabric.cut(leader.name, name);
    world.fabric.cut(name, leader.name);
  }
  await cluster.until('another leads', 900, () =>
    cluster.machines.some((m) => m !== leader && m.server?.isLeader === true),
  );
  await cluster.until('the lease ends', 20_000, () => !world.model.leases.has(LEASE));
  return world.clock.now() - renewals.renewedMs - TTL_MS;
}

test('a lease lives as long as its last confirmed renewal says, whoever confirmed it', async () => {
  assert.ok((await outlived()) >= 0);
});

test('a leader that confirms renewals without asking the others is found', async () => {
  assert.ok((await outlived(RARE_PLANTS.renewsWithoutAsking)) < 0);
});
