/** What holds only where all clocks go equally fast is found where they do not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeRangeResponse,
  encodeMoveLeaderRequest,
  encodeRangeRequest,
  MoveLeaderRequest,
  RangeRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import { GrpcChannel } from '@etcd/transport';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';
import { RARE_PLANTS } from './plant.ts';
import { QuietCluster } from './quiet-cluster.ts';

const ROUNDS = 40;
const LIMIT_MS = 30_000;
/** The first is slow, the others are fast: what the worlds that drift have at most. */
const DRIFTING = [0.85, 1.15, 1.15];

async function lead(cluster: QuietCluster, machine: Machine): Promise<void> {
  while (machine.server?.isLeader !== true) {
    await cluster.until('somebody leads', LIMIT_MS, () => cluster.leader !== undefined);
    const targetId = machine.server!.memberId;
    const request = encodeMoveLeaderRequest(new MoveLeaderRequest({ targetId }));
    await cluster.call(cluster.leader, '/etcdserverpb.Maintenance/MoveLeader', request);
    await cluster.world.run(500);
  }
}

/** What a read of the newest says; null if it is not answered in time. */
async function read(cluster: QuietCluster, machine: Machine): Promise<string | null> {
  let value: string | null = null;
  const { clock } = cluster.world;
  const channel = new GrpcChannel(machine.run!.connect()!, { clock, authority: machine.name });
  const request = encodeRangeRequest(new RangeRequest({ key: Buffer.from('key') }));
  channel.unary('/etcdserverpb.KV/Range', request, (code, _message, bytes, start, end) => {
    if (code !== GrpcCode.OK) return;
    value = Buffer.from(decodeRangeResponse(bytes.subarray(start, end)).kvs[0]!.value).toString();
  });
  await cluster.world.run(20, () => value !== null);
  channel.close();
  return value;
}

/** How many reads were stale, of a leader that was cut off when another had been elected. */
async function staleReads(plant: Plant | undefined, clockRates: readonly number[]): Promise<number> {
  const cluster = await QuietCluster.start({ size: 3, plant, clockRates });
  const { fabric } = cluster.world;
  const [first, ...others] = cluster.machines as [Machine, ...Machine[]];
  let count = 0;
  for (let round = 0; round < ROUNDS && count === 0; round++) {
    await lead(cluster, first);
    await cluster.put(first, `before ${round}`);
    for (const { name } of others) {
      fabric.cut(first.name, name);
      fabric.cut(name, first.name);
    }
    const isElected = (): boolean => others.some(({ server }) => server?.isLeader === true);
    await cluster.until('another is elected', LIMIT_MS, isElected);
    await cluster.put(others.find(({ server }) => server?.isLeader === true)!, `after ${round}`);
    if ((await read(cluster, first)) === `before ${round}`) count++;
    fabric.heal();
    await cluster.until(
      'it follows',
      LIMIT_MS,
      () => first.server?.isLeader === false && first.server.leader !== 0n,
    );
    await cluster.world.run(1000);
  }
  assert.equal(cluster.world.violation, null);
  return count;
}

test('a leader that answers by itself as long as its clock allows is stale where clocks drift, and only there', async () => {
  assert.ok((await staleReads(RARE_PLANTS.readsByLease, DRIFTING)) > 0, 'it is not seen');
  assert.equal(await staleReads(RARE_PLANTS.readsByLease, [1, 1, 1]), 0, 'it is wrong without drift, too');
  assert.equal(await staleReads(undefined, DRIFTING), 0);
});
