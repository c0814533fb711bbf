/** Members that found a cluster together without a list of them. */
import assert from 'node:assert/strict';
import { type Kind, programOf, QUICK_ELECTION } from '../../support/cluster.ts';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { type EtcdOptions, EtcdServer } from '../../support/etcd-server.ts';
import { freePort } from '../../support/temporary.ts';

export type Founder = EtcdOptions & {
  readonly kind: Kind;
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
};

/** One of each kind, with ports that are known before anything is started. */
export async function planFounders(kinds: readonly Kind[]): Promise<Founder[]> {
  const founders: Founder[] = [];
  for (const [i, kind] of kinds.entries()) {
    const [clientPort, peerPort] = [await freePort(), await freePort()];
    founders.push({ kind, name: `m${i + 1}`, clientPort, peerPort });
  }
  return founders;
}

export function launchFounder(founder: Founder, options: EtcdOptions): Promise<EtcdServer> {
  const flags = [...QUICK_ELECTION, ...(options.flags ?? [])];
  return EtcdServer.launch({
    ...founder,
    program: programOf(founder.kind),
    initialCluster: null,
    ...options,
    flags,
  });
}

/** Starts all of them, and waits until they serve as one cluster, of which each knows all by name. */
export async function foundTogether(
  founders: readonly Founder[],
  optionsOf: (founder: Founder) => EtcdOptions,
  run: (servers: readonly EtcdServer[]) => Promise<void> = async () => {},
): Promise<void> {
  const servers: EtcdServer[] = [];
  for (const founder of founders) servers.push(await launchFounder(founder, optionsOf(founder)));
  try {
    await Promise.all(servers.map((server) => server.ready()));
    await assertOneCluster(servers, founders);
    await run(servers);
  } finally {
    await Promise.all(servers.map((server) => server.kill()));
  }
}

async function assertOneCluster(servers: readonly EtcdServer[], founders: readonly Founder[]): Promise<void> {
  const ids = new Set<bigint>();
  for (const [i, { address }] of servers.entries()) {
    const rpc = new EtcdRpc(address);
    try {
      await rpc.call('KV.Put', { key: `from-${i}`, value: 'x' });
      const { header, members } = await rpc.call('Cluster.MemberList', { linearizable: true });
      ids.add(header.cluster_id);
      assert.deepEqual(members.map(({ name }) => name).sort(), founders.map(({ name }) => name).sort());
    } finally {
      rpc.close();
    }
  }
  assert.equal(ids.size, 1);
}
