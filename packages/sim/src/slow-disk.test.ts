/** A disk that is slow, or does not answer at all, under the member that leads. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import {
  decodeRangeResponse,
  encodePutRequest,
  encodeRangeRequest,
  PutRequest,
  RangeRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import { GrpcChannel } from '@etcd/transport';
import { FAST_DISK, type Machine } from './machine.ts';
import { type Plant, RARE_PLANTS } from './plant.ts';
import { QuietCluster } from './quiet-cluster.ts';

/** A few saves, each of which takes more than half of the election timeout of a second. */
const SLOW = { syncMs: 700, spreadMs: 100 };
/** Nothing is ever written as far as this test goes. */
const STALLED = { syncMs: 3_600_000, spreadMs: 0 };

/** Several election timeouts. */
const STALL_MS = 6000;

/** Longer than a new leader keeps the leadership whatever its disk does. */
const REST_MS = 11_000;

const HANDED_OVER = 'slow disk: handing the leadership over';

/** Puts through `machine`, one after the other, as long as `goesOn`. */
function keepPutting(cluster: QuietCluster, machine: Machine, goesOn: () => boolean): void {
  let count = 0;
  const next = (): void => {
    if (!goesOn() || !machine.isServing) return;
    const value = Buffer.from(`${machine.name} at ${cluster.world.clock.now()}: ${count++}`);
    const request = encodePutRequest(new PutRequest({ key: Buffer.from('key'), value }));
    cluster.begin(machine, '/etcdserverpb.KV/Put', request, () => cluster.world.clock.setTimer(20, next));
  };
  next();
}

test('S24 a leader whose disk stays slow hands the leadership over to one with a faster disk, and does not take it back', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  await cluster.world.run(REST_MS);
  const slow = cluster.leader;
  slow.diskSpeed = SLOW;
  keepPutting(cluster, slow, () => cluster.leader === slow);
  await cluster.until('another leads', 10_000, () => ![undefined, slow].includes(cluster.leader));
  assert.equal(cluster.lines(HANDED_OVER).length, 1);
  const next = cluster.leader;
  await cluster.put(next, 'two');
  const { term } = next.server!;
  for (let i = 0; i < 20; i++) await cluster.put(next, `value ${i}`);
  assert.equal(cluster.leader, next);
  assert.equal(next.server!.term, term, 'nobody had to be elected again');
});

for (const [why, disturb] of [
  [
    'two saves in a row are slow',
    (cluster) => {
      const { clock } = cluster.world;
      const { leader } = cluster;
      const stumble = (): void => {
        leader.diskSpeed = SLOW;
        clock.setTimer(1000, () => {
          leader.diskSpeed = FAST_DISK;
          clock.setTimer(1000, stumble);
        });
      };
      stumble();
    },
  ],
  [
    'it is a processor that the leader waits for',
    ({ leader }) => {
      // A sync that is not fast, so that the log is written on the thread pool.
      leader.diskSpeed = { syncMs: 30, spreadMs: 10 };
      leader.load = { rate: 0.3, maxMs: 200 };
    },
  ],
  [
    'all disks are equally slow',
    (cluster) => {
      for (const machine of cluster.world.machines) machine.diskSpeed = { syncMs: 600, spreadMs: 0 };
    },
  ],
] as const satisfies readonly (readonly [string, (cluster: QuietCluster) => void])[]) {
  test(`the leadership is not handed over when ${why}`, async () => {
    const cluster = await QuietCluster.start({ size: 3 });
    await cluster.world.run(REST_MS);
    disturb(cluster);
    for (const machine of cluster.world.machines) keepPutting(cluster, machine, () => true);
    await cluster.world.run(75_000);
    assert.equal(cluster.world.violation, null);
    assert.equal(cluster.lines(HANDED_OVER).length, 0);
  });
}

test('disks that become slow one after the other make the leadership wander no faster than the cluster rests', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  const { world } = cluster;
  const follow = (): void => {
    // Whoever leads has the slow disk.
    for (const machine of world.machines) machine.diskSpeed = machine === cluster.leader ? SLOW : FAST_DISK;
    world.clock.setTimer(50, follow);
  };
  follow();
  for (const machine of world.machines) keepPutting(cluster, machine, () => true);
  await world.run(75_000);
  const count = cluster.lines(HANDED_OVER).length;
  assert.ok(count >= 3 && count <= 7, `${count} times in 75 s`);
});

/** How puts end that are made while the leadership is handed over, through every member. */
async function endsOfPuts(plant?: Plant): Promise<ReadonlySet<string>> {
  const cluster = await QuietCluster.start(plant === undefined ? { size: 3 } : { size: 3, plant });
  const { world, leader } = cluster;
  const [successor] = cluster.followers;
  let asked = 0;
  const ended: string[] = [];
  const put = (machine: Machine): void => {
    const value = Buffer.from(`value ${asked++}`);
    const request = encodePutRequest(new PutRequest({ key: Buffer.from('key'), value }));
    cluster.begin(machine, '/etcdserverpb.KV/Put', request, (code, message) =>
      ended.push(`${code} ${message}`),
    );
  };
  // The successor is about to be asked to campaign, and hears it late.
  world.fabric.quality = { ...world.fabric.quality, latencyMs: 200 };
  leader.run!.process.run(() => leader.server!.leadership.moveTo(successor!.server!.memberId, () => {}));
  for (let i = 0; i < 40; i++) {
    for (const machine of world.machines) put(machine);
    await world.run(20);
  }
  await cluster.until('all have ended', 10_000, () => ended.length === asked);
  assert.equal(cluster.leader, successor);
  return new Set(ended);
}

test('what is proposed while the leadership is handed over is carried out, whichever member was asked', async () => {
  assert.deepEqual(await endsOfPuts(), new Set(['0 ']));
});

test('a leader that proposes while it hands over is found', async () => {
  assert.notDeepEqual(await endsOfPuts(RARE_PLANTS.proposesMeanwhile), new Set(['0 ']));
});

test('S24 while the disk of the leader stalls, another member leads; when it answers again, nothing was lost', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  const stalled = cluster.leader;
  const [follower] = cluster.followers;
  stalled.diskSpeed = STALLED;
  const underWay = new PutRequest({ key: Buffer.from('key'), value: Buffer.from('under way') });
  cluster.begin(stalled, '/etcdserverpb.KV/Put', encodePutRequest(underWay));
  await cluster.until('another leads', 10_000, () => cluster.followers.length < 2);
  const before = follower!.server!.store.revision;
  await cluster.put(follower!, 'acknowledged');
  assert.ok(follower!.server!.store.revision > before);
  stalled.kill('its disk never answered');
  stalled.diskSpeed = FAST_DISK;
  stalled.start();
  const { revision } = follower!.server!.store;
  const isBack = (): boolean => stalled.isServing && stalled.server!.store.revision === revision;
  await cluster.until('caught up', 30_000, isBack);
  assert.deepEqual((await cluster.tryRange(stalled))[0], GrpcCode.OK);
});

test('S24 S28 a leader whose disk stalled while others wrote tells nobody what was before', async () => {
  const cluster = await QuietCluster.start({ size: 3 });
  const stalled = cluster.leader;
  const [follower] = cluster.followers;
  await cluster.put(stalled, 'before');
  stalled.diskSpeed = { syncMs: STALL_MS, spreadMs: 0 };
  const underWay = new PutRequest({ key: Buffer.from('key'), value: Buffer.from('before, too') });
  cluster.begin(stalled, '/etcdserverpb.KV/Put', encodePutRequest(underWay));
  await cluster.until(
    'another leads',
    10_000,
    () => cluster.followers.length < 2 || cluster.leader !== stalled,
  );
  await cluster.put(follower!, 'acknowledged');
  const wanted = follower!.server!.store.revision;
  // It is asked all the time: while it waits for its disk, and as it comes back.
  const told: number[] = [];
  const endMs = cluster.world.clock.now() + 2 * STALL_MS;
  const ask = (): void => {
    if (cluster.world.clock.now() >= endMs) return;
    askRevision(cluster, stalled, (revision) => told.push(revision));
    cluster.world.clock.setTimer(50, ask);
  };
  ask();
  stalled.diskSpeed = FAST_DISK;
  await cluster.world.run(2 * STALL_MS);
  await cluster.until('it answers again', 30_000, () => told.length > 0);
  assert.ok(
    told.every((revision) => revision >= wanted),
    `${told} before ${wanted}`,
  );
});

/** The revision at which a linearizable read is answered; nobody is told when it fails. */
function askRevision(cluster: QuietCluster, machine: Machine, done: (revision: number) => void): void {
  const { clock } = cluster.world;
  const channel = new GrpcChannel(machine.run!.connect()!, { clock, authority: machine.name });
  const request = encodeRangeRequest(new RangeRequest({ key: Buffer.from('key') }));
  channel.unary('/etcdserverpb.KV/Range', request, (code, _message, bytes, start, end) => {
    if (code === GrpcCode.OK) done(decodeRangeResponse(bytes, start, end).header!.revision);
    channel.close();
  });
}

test('a follower whose own snapshot waits for a slow database and is overtaken by one of the leader starts again', async () => {
  const flags = ['--snapshot-count=20', '--snapshot-catchup-entries=5'];
  const cluster = await QuietCluster.start({ size: 3, flags });
  const { leader } = cluster;
  const [slow] = cluster.followers;
  // The log is as fast as ever.
  slow!.diskSpeed = { syncMs: 40_000, spreadMs: 0, suffix: '/db' };
  const triggered = (): number => cluster.lines(`${slow!.name} info: triggering snapshot`).length;
  const before = triggered();
  for (let i = 0; triggered() === before; i++) await cluster.put(leader, `until a snapshot is due ${i}`);
  for (const other of cluster.world.machines) {
    cluster.world.fabric.cut(slow!.name, other.name);
    cluster.world.fabric.cut(other.name, slow!.name);
  }
  // What a member needs is kept for it until it has been away for a while.
  await cluster.world.run(20_000);
  for (let i = 0; i < 100; i++) await cluster.put(leader, `missed ${i}`);
  cluster.world.fabric.heal();
  await cluster.until(
    'the snapshot is overtaken',
    120_000,
    () => cluster.lines(`${slow!.name} info: snapshot overtaken by one of the leader`).length > 0,
  );
  slow!.kill('to see whether it starts again');
  slow!.diskSpeed = FAST_DISK;
  slow!.start();
  const { revision } = leader.server!.store;
  await cluster.until(
    'it serves',
    30_000,
    () => slow!.isServing && slow!.server!.store.revision === revision,
  );
});
