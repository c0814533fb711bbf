/** Reads that are under way while a snapshot from the leader is installed, and while compactions overtake them. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import {
  CompactionRequest,
  decodeRangeResponse,
  decodeRangeStreamResponse,
  encodeCompactionRequest,
  encodePutRequest,
  encodeRangeRequest,
  PutRequest,
  RangeRequest,
  type RangeResponse,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import { GrpcChannel } from '@etcd/transport';
import { bytesOf } from './client.ts';
import type { Machine } from './machine.ts';
import { PLANTS, type Plant } from './plant.ts';
import { QuietCluster } from './quiet-cluster.ts';

const FLAGS = ['--snapshot-count=10', '--snapshot-catchup-entries=1'];
const KEY_COUNT = 40;
/** One key in a turn, and turns that take a while: a read of all keys takes some 200 ms. */
const PACE = {
  slices: { rangeKeys: 1, watchRevisions: 10, hashRevisions: 10, restoreRevisions: 1 },
  turnMs: 5,
};

/** A read of all keys, and what has come of it. */
class Read {
  code = -1;
  message = '';
  keyCount = 0;
  /** As the answer says. */
  count = 0;

  take({ kvs, count }: RangeResponse): void {
    this.keyCount += kvs.length;
    this.count = count;
  }

  get outcome(): unknown {
    return [this.code, this.message, this.keyCount, this.count];
  }
}

const WHOLE = [GrpcCode.OK, '', KEY_COUNT, KEY_COUNT];

async function withKeys(plant?: Plant): Promise<QuietCluster> {
  const cluster = await QuietCluster.start({ size: 3, flags: FLAGS, pace: PACE, plant });
  for (let i = 0; i < KEY_COUNT; i++) await putKey(cluster, cluster.leader, `k${i}`);
  const { machines } = cluster.world;
  await cluster.until('all members have them', 10_000, () =>
    machines.every(({ server }) => server?.store.revision === 1 + KEY_COUNT),
  );
  return cluster;
}

/** No two puts write the same value: the checks see to that. */
async function putKey(cluster: QuietCluster, machine: Machine, key: string): Promise<void> {
  const value = bytesOf(`${key} at ${cluster.world.clock.now()}`);
  const request = encodePutRequest(new PutRequest({ key: bytesOf(key), value }));
  const [code, message] = await cluster.call(machine, '/etcdserverpb.KV/Put', request);
  assert.equal(code, GrpcCode.OK, message);
}

function beginRead(cluster: QuietCluster, machine: Machine, isStream: boolean): Read {
  const { clock } = cluster.world;
  const channel = new GrpcChannel(machine.run!.connect()!, { clock, authority: machine.name });
  const request = encodeRangeRequest(
    new RangeRequest({ key: bytesOf('k'), rangeEnd: bytesOf('l'), serializable: true }),
  );
  const read = new Read();
  const onEnd = (code: number, message: string): void => {
    read.code = code;
    read.message = message;
    channel.close();
  };
  if (!isStream) {
    channel.unary('/etcdserverpb.KV/Range', request, (code, message, bytes, start, end) => {
      if (code === GrpcCode.OK) read.take(decodeRangeResponse(bytes.subarray(start, end)));
      onEnd(code, message);
    });
    return read;
  }
  const call = channel.call('/etcdserverpb.KV/RangeStream', {
    onMessage: (_call, bytes, start, end) =>
      read.take(decodeRangeStreamResponse(bytes.subarray(start, end)).rangeResponse!),
    onEnd: (_call, code, message) => onEnd(code, message),
  });
  call.write(request);
  call.halfClose();
  return read;
}

/** Reads on a member that was absent, again and again, until one was under way when the leader's database replaced its own. */
async function readsDuringInstallation(plant?: Plant): Promise<Read[]> {
  const cluster = await withKeys(plant);
  const absent = cluster.followers[0]!;
  const others = cluster.world.machines.filter((machine) => machine !== absent);
  for (const { name } of others) cluster.world.fabric.cut(name, absent.name);
  // What a member needs is kept for it until it has been away for a while.
  await cluster.world.run(20_000);
  for (let i = 0; i < 60; i++) {
    const leader = others.find(({ server }) => server!.isLeader) ?? others[0]!;
    await putKey(cluster, leader, `later${i}`);
  }
  const { store } = absent.server!;
  let underWay = 0;
  const onReplaced = store.views.onReplaced.bind(store.views);
  store.views.onReplaced = () => {
    underWay = store.views.count;
    onReplaced();
  };
  cluster.world.fabric.heal();
  const reads: Read[] = [];
  // Before the snapshot comes; every one ends a while after it was begun.
  await cluster.until('the snapshot is installed during a read', 60_000, () => {
    if (reads.every(({ code }) => code >= 0)) {
      reads.push(beginRead(cluster, absent, false), beginRead(cluster, absent, true));
    }
    return underWay > 0;
  });
  await cluster.until('all reads end', 60_000, () => reads.every(({ code }) => code >= 0));
  return reads;
}

test('ranges and streams that are under way when a snapshot is installed are read to their end', async () => {
  const reads = await readsDuringInstallation();
  for (const { outcome } of reads) assert.deepEqual(outcome, WHOLE);
});

/** Some read found only a part of the keys, or a member ended over what it did not find. */
async function isFound(run: Promise<readonly Read[]>): Promise<void> {
  const outcomes = await run.then(
    (reads) => reads.map((read) => String(read.outcome)),
    (error: unknown) => [String(error)],
  );
  const isPart = (text: string): boolean => text.startsWith(`${GrpcCode.OK},,`) && text !== String(WHOLE);
  assert.ok(
    outcomes.some((text) => isPart(text) || text.includes('InvariantError')),
    outcomes.join('\n'),
  );
}

test('a planted bug is found: reads go on in the store that the snapshot brings', () =>
  isFound(readsDuringInstallation(PLANTS.goesOnInTheNewStore)));

async function readsDuringCompaction(plant?: Plant): Promise<Read[]> {
  const cluster = await withKeys(plant);
  const { leader } = cluster;
  const reads = [beginRead(cluster, leader, false), beginRead(cluster, leader, true)];
  const { store } = leader.server!;
  await cluster.until('both have begun', 1000, () => store.views.count === 2);
  for (let i = KEY_COUNT - 3; i < KEY_COUNT; i++) await putKey(cluster, leader, `k${i}`);
  assert.equal(store.views.count, 2, 'both are under way');
  const request = new CompactionRequest({ revision: store.revision });
  const [code, message] = await cluster.call(
    leader,
    '/etcdserverpb.KV/Compact',
    encodeCompactionRequest(request),
  );
  assert.equal(code, GrpcCode.OK, message);
  await cluster.until('both reads end', 60_000, () => reads.every((read) => read.code >= 0));
  await cluster.until('the compaction ends', 60_000, () => !store.isCompacting);
  return reads;
}

test('ranges and streams of the newest revision are not overtaken by a compaction', async () => {
  for (const { outcome } of await readsDuringCompaction()) assert.deepEqual(outcome, WHOLE);
});

test('a planted bug is found: compactions remove what is being read', () =>
  isFound(readsDuringCompaction(PLANTS.compactsUnderReaders)));
