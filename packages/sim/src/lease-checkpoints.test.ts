/** What a lease has left survives its leader: found missing where checkpoints are lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeLeaseGrantRequest,
  encodeMoveLeaderRequest,
  LeaseGrantRequest,
  MoveLeaderRequest,
} from '@etcd/api/etcdserverpb';
import { type Plant, RARE_PLANTS } from './plant.ts';
import { QuietCluster } from './quiet-cluster.ts';

const LEASE = 77n;
const TTL = 900;
/** A little more than leases are recorded after. */
const WAIT_MS = 310_000;
const FLAGS = [
  '--feature-gates=LeaseCheckpoint=true,LeaseCheckpointPersist=true',
  '--heartbeat-interval=1000',
  '--election-timeout=10000',
];

/** In milliseconds, when the leadership has moved to another member after a while. */
async function leftAfterMove(plant: Plant | undefined): Promise<number> {
  const cluster = await QuietCluster.start({ size: 3, plant, flags: FLAGS });
  const former = cluster.leader;
  const grant = encodeLeaseGrantRequest(new LeaseGrantRequest({ id: LEASE, ttl: TTL }));
  await cluster.call(former, '/etcdserverpb.Lease/LeaseGrant', grant);
  await cluster.world.run(WAIT_MS);
  const targetId = cluster.followers[0]!.server!.memberId;
  const move = encodeMoveLeaderRequest(new MoveLeaderRequest({ targetId }));
  await cluster.call(former, '/etcdserverpb.Maintenance/MoveLeader', move);
  const isMoved = (): boolean => cluster.leader !== undefined && cluster.leader !== former;
  await cluster.until('another leads', 30_000, isMoved);
  const { lessor } = cluster.leader.server!;
  await cluster.until('it decides about leases', 30_000, () => lessor.isPrimary);
  assert.equal(cluster.world.violation, null);
  return lessor.lookup(LEASE)!.remainingMs;
}

test('a successor goes on with what a lease had left, unless what was recorded is lost', async () => {
  const limitMs = (TTL * 1000 * 3) / 4;
  const leftMs = await leftAfterMove(undefined);
  assert.ok(leftMs < limitMs, `${leftMs} ms are left`);
  const plantedMs = await leftAfterMove(RARE_PLANTS.losesCheckpoints);
  assert.ok(plantedMs > limitMs, `only ${plantedMs} ms are left`);
});
