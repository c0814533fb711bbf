/**
 * Clients that reach a cluster through a plain TCP balancer: streams that are silent for longer than the balancer puts up with live on where
 * the server pings, are made up for where they are cut, and lose nothing when the member behind them goes away.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientEvent, EtcdClient } from '@etcd/client';
import { connect } from '@etcd/client/node';
import { Balancer, type BalancerKind } from '../../support/balancer.ts';
import { type Cluster, type Kind, QUICK_ELECTION, withCluster } from '../../support/cluster.ts';
import { needs, peer } from '../../support/programs.ts';
import { eventually, Running, run, sleep } from '../../support/run.ts';

const KINDS: readonly BalancerKind[] = ['haproxy', 'nginx'];
const MEMBERS: readonly Kind[] = ['ours', 'ours', 'ours'];

/** Far longer than a busy machine is silent by itself. */
const LONG_IDLE_MS = 5_000;
const SHORT_IDLE_MS = 1_000;

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

async function behind(
  kind: BalancerKind,
  options: { readonly idleMs: number; readonly flags: readonly string[] },
  body: (cluster: Cluster, address: string) => Promise<void>,
): Promise<void> {
  const flags = [...QUICK_ELECTION, ...options.flags];
  await withCluster(MEMBERS, { flags: () => flags }, async (cluster) => {
    const balancer = await Balancer.start(kind, { targets: cluster.addresses, idleMs: options.idleMs });
    try {
      await body(cluster, balancer.address);
    } finally {
      await balancer.stop();
    }
  });
}

/** A client that knows the balancer only, and does not ping by itself. */
function open(address: string, events: ClientEvent[]): EtcdClient {
  return connect({
    endpoints: [address],
    keepaliveIntervalMs: 0,
    timeoutMs: 10_000,
    onEvent: (event) => events.push(event),
  });
}

/** The keys that a watch has seen, as it sees them. */
function watchKeys(client: EtcdClient): { readonly seen: string[]; ready(): Promise<unknown>; stop(): void } {
  const watcher = client.watch('k/', { prefix: true });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of watcher.events()) seen.push(text(event.kv?.key));
  })();
  reading.catch(() => {});
  return { seen, ready: () => watcher.ready(), stop: () => void watcher.return() };
}

for (const kind of KINDS) {
  test(`${kind}: silent streams live on, because the server pings`, needs(kind, 'etcd 3.7'), async () => {
    const flags = ['--grpc-keepalive-interval=500ms', '--grpc-keepalive-timeout=10s'];
    await behind(kind, { idleMs: LONG_IDLE_MS, flags }, async (_cluster, address) => {
      const events: ClientEvent[] = [];
      const client = open(address, events);
      const watch = watchKeys(client);
      await watch.ready();
      // Real etcd's client does not ping either unless told.
      const go = new Running(
        peer('3.7', 'etcdctl'),
        [`--endpoints=${address}`, '--keepalive-time=0s', 'watch', 'k/', '--prefix'],
        {
          timeoutMs: 120_000,
        },
      );
      await eventually('the watch of etcdctl has begun', async () => {
        await client.kv.put('k/before', '');
        return go.stdout.includes('k/before');
      });
      // A long-lived lease is renewed every so often: silence in between.
      const lease = await client.leases.hold(60);
      await sleep(2 * LONG_IDLE_MS + 1_000);
      assert.deepEqual(
        events.filter(({ kind: what }) => what === 'disconnected'),
        [],
      );
      await client.kv.put('k/after', '', { lease: lease.id });
      await eventually('the watch has seen it', () => watch.seen.includes('k/after'));
      await go.waitForStdout((stdout) => stdout.includes('k/after'));
      assert.equal(lease.isHeld, true);
      go.kill();
      watch.stop();
      client.close();
    });
  });

  test(`${kind}: a stream that is cut while it is silent is made up for`, needs(kind), async () => {
    await behind(kind, { idleMs: SHORT_IDLE_MS, flags: [] }, async (cluster, address) => {
      const events: ClientEvent[] = [];
      const client = open(address, events);
      const watch = watchKeys(client);
      await watch.ready();
      const lease = await client.leases.hold(30);
      const written: string[] = [];
      for (let i = 0; i < 4; i++) {
        const cuts = (): number => events.filter(({ kind: what }) => what === 'disconnected').length;
        const before = cuts();
        await eventually('the balancer cuts what is silent', () => cuts() > before);
        const key = `k/${i}`;
        // Past the balancer: what happens while the stream is away.
        await cluster.at(i % 3).rpc.call('KV.Put', { key, value: '' });
        written.push(key);
        await eventually('the watch has caught up', () => watch.seen.length === written.length);
      }
      assert.deepEqual(watch.seen, written, 'each once, in order');
      assert.equal(lease.isHeld, true);
      assert.ok((await client.leases.timeToLive(lease.id)).ttl > 0);
      watch.stop();
      client.close();
    });
  });

  test(
    `${kind}: nothing is lost when members go away one after the other`,
    needs(kind, 'etcd 3.5'),
    async () => {
      await behind(kind, { idleMs: 60_000, flags: [] }, async (cluster, address) => {
        const client = open(address, []);
        const watch = watchKeys(client);
        await watch.ready();
        const written: string[] = [];
        const put = async (): Promise<void> => {
          const key = `k/${written.length}`;
          await eventually('a put is acknowledged', () =>
            client.kv.put(key, '', { timeoutMs: 5_000 }).then(
              () => true,
              () => false,
            ),
          );
          written.push(key);
        };
        for (const member of cluster.members) {
          for (let i = 0; i < 5; i++) await put();
          await member.kill();
          for (let i = 0; i < 5; i++) await put();
          await member.start();
        }
        await eventually('the watch has seen all', () => written.every((key) => watch.seen.includes(key)));
        // One of etcd's own tools, which knows the balancer only.
        const { code, stdout } = await run(peer('3.5', 'etcdctl'), [
          `--endpoints=${address}`,
          'get',
          'k/',
          '--prefix',
          '--keys-only',
        ]);
        assert.equal(code, 0);
        assert.deepEqual(stdout.split('\n').filter(Boolean).sort(), written.toSorted());
        watch.stop();
        client.close();
      });
    },
  );
}

test(
  'members reach each other through balancers that cut what is idle',
  needs('haproxy', 'etcd 3.5'),
  async () => {
    const balancers: Balancer[] = [];
    const place = async (_position: number, peerPort: number) => {
      const balancer = await Balancer.start('haproxy', {
        targets: [`127.0.0.1:${peerPort}`],
        idleMs: SHORT_IDLE_MS,
      });
      balancers.push(balancer);
      return { advertisedPeerUrl: `http://${balancer.address}` };
    };
    const flags = [...QUICK_ELECTION, '--initial-election-tick-advance=false'];
    await withCluster(['ours', '3.5', 'ours'], { flags: () => flags, place }, async (cluster) => {
      for (let i = 0; i < 3; i++) {
        await cluster.at(i).rpc.call('KV.Put', { key: `k/${i}`, value: 'x' });
        // Nothing but heartbeats: the other connections between members are silent for longer than is put up with.
        await sleep(2 * SHORT_IDLE_MS);
      }
      for (let i = 0; i < 3; i++) {
        await cluster.moveLeader(cluster.at(i));
        await cluster.at((i + 1) % 3).rpc.call('KV.Put', { key: `l/${i}`, value: 'x' });
      }
      await cluster.assertSameContents();
    });
    for (const balancer of balancers) await balancer.stop();
  },
);
