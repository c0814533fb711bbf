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
import { GrpcCode } from '@etcd/base';
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

test('S24 a lease lives as long as its last confirmed renewal says, whoever confirmed it', async () => {
  assert.ok((await outlived()) >= 0);
});

test('a leader that confirms renewals without asking the others is found', async () => {
  assert.ok((await outlived(RARE_PLANTS.renewsWithoutAsking)) < 0);
});

/** The longest that a cluster of three was without a leader when it was killed, again and again, on a machine with other work. */
async function longestWithoutLeader(kills: number, preVote: boolean): Promise<number> {
  const cluster = await QuietCluster.start({ size: 3, flags: [`--pre-vote=${preVote}`] });
  const { world, machines } = cluster;
  for (const machine of machines) {
    machine.load = { rate: 0.3, maxMs: 120 };
    machine.diskSpeed = { syncMs: 5, spreadMs: 60 };
  }
  let longestMs = 0;
  for (let i = 0; i < kills; i++) {
    const { leader } = cluster;
    const startMs = world.clock.now();
    leader.kill('to see who comes next');
    await cluster.until('another leads', 20_000, () => cluster.leader !== undefined);
    longestMs = Math.max(longestMs, world.clock.now() - startMs);
    leader.start();
    await cluster.until('all serve', 20_000, () => machines.every(({ isServing }) => isServing));
    await world.run(1000);
  }
  return longestMs;
}

test('two survivors that campaign at once on a slow machine do not split the vote for seconds', async (context) => {
  const longestMs = await longestWithoutLeader(60, true);
  context.diagnostic(`longest without a leader: ${Math.round(longestMs)} ms`);
  assert.ok(longestMs < 1400, `${longestMs} ms`);
});

test('a write that timed out for want of a leader is not carried out when there is one again', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  const [alone, ...others] = cluster.followers;
  const dead = cluster.machines.filter((machine) => machine !== alone);
  assert.equal(others.length, 1);
  for (const machine of dead) machine.kill('to leave one alone');
  await cluster.until('there is no leader', 5000, () => alone!.server!.leader === 0n);
  const { revision } = alone!.server!.store;
  const [code] = await cluster.tryPut(alone!, 'in vain');
  assert.notEqual(code, GrpcCode.OK);
  for (const machine of dead) machine.start();
  await cluster.until('all serve', 20_000, () => cluster.machines.every(({ isServing }) => isServing));
  await cluster.put(alone!, 'in time');
  assert.equal(alone!.server!.store.revision, revision + 1);
});
