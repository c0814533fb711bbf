/**
 * Members that can't reach each other, while clients reach all of them: a side without a majority promises nothing, and leaves
 * the other one in peace; when the network is whole again, so is the cluster. Proxies on loopback cut and hold back; where
 * network namespaces are to be had, packets are really lost.
 *
 *   ETCD_TEST_CUTS=n     how often the network of the random test is cut, by default 8
 */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { type Cluster, type ClusterMember, type Kind, withCluster } from '../../support/cluster.ts';
import { Namespaces, needsNamespaces } from '../../support/namespaces.ts';
import { PeerProxies } from '../../support/peer-proxies.ts';
import { needs } from '../../support/programs.ts';
import { eventually, Running, sleep } from '../../support/run.ts';
import { ClusterWorkload } from './workload.ts';

const THREE: readonly Kind[] = ['ours', 'ours', 'ours'];
const FIVE: readonly Kind[] = ['ours', 'ours', 'ours', 'ours', 'ours'];
const DEFAULT_CUTS = 8;
const ELECTION_MS = 500;
/** So many election timeouts, in which a member without sense would have campaigned again and again. */
const LONG_MS = 6 * ELECTION_MS;
const BUSY_MS = 10_000;
/** On a machine without a free CPU, an election may happen; a storm is something else. */
const MAX_LEADER_CHANGES_BUSY = 2;

/** A network that can be cut, of either kind. */
interface Cuttable {
  isolate(position: number): void;
  heal(): void;
}

async function withProxies(
  kinds: readonly Kind[],
  body: (cluster: Cluster, proxies: PeerProxies) => Promise<void>,
) {
  const proxies = new PeerProxies();
  try {
    await withCluster(kinds, { place: proxies.place }, async (cluster) => {
      await proxies.learn(cluster);
      await cluster.leader();
      await body(cluster, proxies);
    });
  } finally {
    proxies.close();
  }
}

function positionsBut(cluster: Cluster, position: number): number[] {
  return [...cluster.members.keys()].filter((other) => other !== position);
}

/** A leader that is cut off steps down and promises nothing, the others go on, and all agree afterwards. */
async function isolateLeader(cluster: Cluster, network: Cuttable): Promise<void> {
  const workload = new ClusterWorkload(() => cluster.addresses, { writers: 4, readers: 3 });
  await workload.start();
  try {
    const old = await cluster.leader();
    const others = cluster.members.filter((member) => member !== old);
    const { raftTerm: oldTerm } = await old.status();
    await old.rpc.call('KV.Put', { key: 'before', value: 'v' });
    network.isolate(cluster.members.indexOf(old));
    const leader = await cluster.leader(() => others);
    await leader.rpc.call('KV.Put', { key: 'before', value: 'changed' });
    await assertPromisesNothing(old, oldTerm);
    await workload.progress();
    network.heal();
    await cluster.leader();
    await workload.progress();
    const { kvs } = await old.rpc.call('KV.Range', { key: 'before' });
    assert.equal(kvs[0]!.value.toString(), 'changed');
    await workload.finish();
    await cluster.assertSameContents();
  } finally {
    await workload.stop();
  }
}

async function assertPromisesNothing(old: ClusterMember, oldTerm: bigint): Promise<void> {
  await eventually(
    'the old leader knows that it does not lead',
    async () => (await old.status()).leader === 0n,
  );
  assert.equal((await old.status()).raftTerm, oldTerm, 'alone, it does not count up terms');
  const [put, read, lease] = await Promise.all([
    old.rpc.outcome('KV.Put', { key: 'alone', value: 'v' }, 2000),
    old.rpc.outcome('KV.Range', { key: 'before' }, 2000),
    old.rpc.outcome('Lease.LeaseGrant', { TTL: 100 }, 2000),
  ]);
  assert.deepEqual([put.ok, read.ok, lease.ok], [false, false, false]);
  // What it has is still to be had by whoever asks for no more.
  const { kvs } = await old.rpc.call('KV.Range', { key: 'before', serializable: true });
  assert.equal(kvs[0]!.value.toString(), 'v');
}

test('a leader that is cut off steps down and promises nothing', () =>
  withProxies(THREE, (cluster, proxies) =>
    isolateLeader(cluster, {
      isolate: (position) => proxies.split([position], positionsBut(cluster, position)),
      heal: () => proxies.heal(),
    }),
  ));

test('a reader at the leader never sees the past, not even in the moment of the cut', () =>
  withProxies(THREE, async (cluster, proxies) => {
    const old = await cluster.leader();
    const position = cluster.members.indexOf(old);
    await old.rpc.call('KV.Put', { key: 'k', value: '0' });
    proxies.split([position], positionsBut(cluster, position));
    const others = cluster.members.filter((member) => member !== old);
    let written = 0;
    let isOver = false;
    const writing = (async () => {
      const leader = await cluster.leader(() => others);
      for (let i = 1; !isOver; i++) {
        await leader.rpc.call('KV.Put', { key: 'k', value: String(i) });
        written = i;
      }
    })();
    const endMs = Date.now() + LONG_MS;
    while (Date.now() < endMs) {
      const floor = written;
      const reads = await Promise.all(
        Array.from({ length: 5 }, () => old.rpc.outcome('KV.Range', { key: 'k' }, 300)),
      );
      for (const read of reads) {
        if (read.ok)
          assert(
            Number(read.value.kvs[0]!.value) >= floor,
            `read ${read.value.kvs[0]!.value} after ${floor}`,
          );
      }
    }
    isOver = true;
    await writing;
    assert(written > 0);
    proxies.heal();
    await cluster.assertSameContents();
  }));

test('a member that hears nothing, or is not heard, disturbs nobody', () =>
  withProxies(THREE, async (cluster, proxies) => {
    const leader = await cluster.leader();
    const before = await leader.status();
    const lead = cluster.members.indexOf(leader);
    const [deaf, other] = positionsBut(cluster, lead) as [number, number];
    const steady = async (what: string): Promise<void> => {
      const endMs = Date.now() + LONG_MS;
      for (let i = 0; Date.now() < endMs; i++) {
        await leader.rpc.call('KV.Put', { key: what, value: String(i) }, 2000);
        const { raftTerm, leader: led } = await leader.status();
        assert.deepEqual([raftTerm, led], [before.raftTerm, before.leader], what);
      }
      proxies.heal();
      await cluster.leader();
      await cluster.assertSameContents();
      assert.equal((await leader.status()).raftTerm, before.raftTerm, `${what}, after its return`);
    };
    // It asks for votes, and does not hear that it gets none.
    proxies.cut(lead, deaf);
    proxies.cut(other, deaf);
    await steady('a deaf member');
    // It misses the leader only, and the other one can tell it that there is one.
    proxies.cut(lead, deaf);
    await steady('a member that the leader does not reach');
    proxies.cut(deaf, lead);
    proxies.cut(deaf, other);
    await steady('a mute member');
  }));

for (const kinds of [FIVE, ['3.5', 'ours', 'ours'] as const]) {
  test(`${kinds.join(' + ')}: a network cut at random`, needs('etcd 3.5'), async (t) => {
    const cuts = Number(process.env['ETCD_TEST_CUTS'] ?? DEFAULT_CUTS);
    const seed = Number(process.env['ETCD_TEST_SEED'] ?? Date.now() % 1_000_000_000);
    t.diagnostic(`ETCD_TEST_SEED=${seed}`);
    const random = new SeededRandom(seed);
    await withProxies(kinds, async (cluster, proxies) => {
      const workload = new ClusterWorkload(() => cluster.addresses);
      await workload.start();
      try {
        for (let i = 0; i < cuts; i++) {
          cutAtRandom(cluster, proxies, random);
          await sleep(ELECTION_MS + random.below(3 * ELECTION_MS));
          workload.check();
          proxies.heal();
          await workload.progress();
        }
        await cluster.leader();
        await workload.finish();
        await cluster.assertSameContents();
        t.diagnostic(workload.describe());
      } finally {
        await workload.stop();
      }
    });
  });
}

/** Two groups of any size, or single directions. */
function cutAtRandom(cluster: Cluster, proxies: PeerProxies, random: SeededRandom): void {
  const positions = [...cluster.members.keys()];
  if (random.below(3) === 0) {
    for (const from of positions)
      for (const to of positions) if (random.below(3) === 0) proxies.cut(from, to);
    return;
  }
  const isHere = positions.map(() => random.below(2) === 0);
  proxies.split(
    positions.filter((position) => isHere[position]),
    positions.filter((position) => !isHere[position]),
  );
}

test('a slow network costs time, not the leadership', () =>
  withProxies(THREE, async (cluster, proxies) => {
    proxies.delayMs = 60;
    const leader = await cluster.leader();
    const { raftTerm } = await leader.status();
    const startMs = Date.now();
    for (let i = 0; i < 10; i++) {
      for (const { rpc } of cluster.members) await rpc.call('KV.Put', { key: 'slow', value: String(i) });
    }
    // At least there and back for each, or they were acknowledged by nobody else.
    assert(Date.now() - startMs >= 30 * 2 * proxies.delayMs, 'acknowledged before anybody else can have it');
    await sleep(LONG_MS);
    assert.equal((await leader.status()).raftTerm, raftTerm);
    proxies.delayMs = 0;
    await cluster.assertSameContents();
  }));

test('busy CPUs cause no election storm at a heartbeat of 100 ms', (t) =>
  withCluster(
    THREE,
    { flags: () => ['--heartbeat-interval=100', '--election-timeout=1000'] },
    async (cluster) => {
      const { raftTerm } = await (await cluster.leader()).status();
      const workload = new ClusterWorkload(() => cluster.addresses, { writers: 4, readers: 2, pauseMs: 10 });
      await workload.start();
      const hogs = Array.from(
        { length: 2 * availableParallelism() },
        () => new Running('sh', ['-c', 'exec yes >/dev/null']),
      );
      try {
        await sleep(BUSY_MS);
        workload.check();
      } finally {
        for (const hog of hogs) hog.kill();
        await Promise.all(hogs.map(({ ended }) => ended));
      }
      const after = await (await cluster.leader()).status();
      try {
        await workload.finish();
      } finally {
        await workload.stop();
      }
      t.diagnostic(`${after.raftTerm - raftTerm} elections; ${workload.describe()}`);
      assert(after.raftTerm - raftTerm <= MAX_LEADER_CHANGES_BUSY, `${after.raftTerm - raftTerm} elections`);
    },
  ));

async function inNamespaces(
  body: (cluster: Cluster, namespaces: Namespaces) => Promise<void>,
): Promise<void> {
  const namespaces = new Namespaces(THREE.length);
  try {
    await withCluster(THREE, { place: namespaces.place }, (cluster) => body(cluster, namespaces));
  } finally {
    namespaces.remove();
  }
}

test(
  'network namespaces: a leader whose packets are lost steps down and promises nothing',
  needsNamespaces(),
  () => inNamespaces(isolateLeader),
);

test('network namespaces: packets that come late, or not at all', needsNamespaces(true), () =>
  inNamespaces(async (cluster, namespaces) => {
    const { raftTerm } = await (await cluster.leader()).status();
    assert(namespaces.disturb(10, 1));
    const workload = new ClusterWorkload(() => cluster.addresses);
    await workload.start();
    try {
      await sleep(LONG_MS);
      await workload.finish();
    } finally {
      await workload.stop();
    }
    const { raftTerm: after } = await (await cluster.leader()).status();
    assert(after - raftTerm <= 1n, `${after - raftTerm} elections`);
    await cluster.assertSameContents();
  }),
);
