/**
 * Directories that `snapshot restore` of a real etcd has made. One that 3.4 has restored still lists the members of the old cluster in its
 * database, and keeps doing so; who its members are is what its log says.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Cluster, type Kind, programOf, QUICK_ELECTION } from '../../support/cluster.ts';
import { EtcdServer } from '../../support/etcd-server.ts';
import { needs, type PeerVersion, peer } from '../../support/programs.ts';
import { peerUrlOf, type RestoredMember, restoreMembers } from '../../support/restored-members.ts';
import { eventually, run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const KEYS = 20;
const FLAGS = [...QUICK_ELECTION, '--snapshot-count=50'];
const options = needs('etcd 3.4', 'etcd 3.5', 'etcd 3.6', 'etcd 3.7');
const API = { env: { ETCDCTL_API: '3' } };

/** A copy of what a cluster of three of that release holds. */
async function savedSnapshot(kind: Kind & PeerVersion): Promise<string> {
  const cluster = await Cluster.start([kind, kind, kind], { flags: () => FLAGS });
  try {
    for (let i = 0; i < KEYS; i++) await cluster.at(0).rpc.call('KV.Put', { key: `key/${i}`, value: `${i}` });
    const path = join(temporaryDirectory(), 'snapshot.db');
    const endpoint = `--endpoints=${cluster.at(0).address}`;
    const saved = await run(peer(kind, 'etcdctl'), [endpoint, 'snapshot', 'save', path], API);
    assert.equal(saved.code, 0, saved.stderr);
    return path;
  } finally {
    await cluster.stop();
  }
}

/** New directories for so many members, made of the copy by that release's tool. */
function restore(version: PeerVersion, snapshot: string, size: number): Promise<RestoredMember[]> {
  return restoreMembers(peer(version, version === '3.4' ? 'etcdctl' : 'etcdutl'), snapshot, size);
}

function launch(kind: Kind, founder: RestoredMember): Promise<EtcdServer> {
  return EtcdServer.launch({ ...founder, program: programOf(kind), flags: FLAGS });
}

async function ctl(servers: readonly EtcdServer[], ...args: string[]): Promise<string> {
  const endpoints = `--endpoints=${servers.map(({ address }) => address).join()}`;
  return await eventually(
    `etcdctl ${args.join(' ')}`,
    async () => {
      const { code, stdout } = await run(peer('3.5', 'etcdctl'), [endpoints, '--dial-timeout=2s', ...args]);
      return code === 0 ? stdout : null;
    },
    30_000,
  );
}

async function assertWhole(servers: readonly EtcdServer[], names: readonly string[]): Promise<void> {
  for (const server of servers) {
    const list = await ctl([server], 'member', 'list');
    assert.deepEqual([...list.matchAll(/, started, (\w+),/g)].map(([, name]) => name).sort(), names);
    await ctl([server], 'put', 'written', server.address);
    assert.equal(
      (await ctl([server], 'get', 'key/', '--prefix', '--keys-only')).match(/key\//g)?.length,
      KEYS,
    );
  }
}

for (const kind of ['3.4', '3.5', '3.6', '3.7'] as const) {
  test(`a cluster restored by ${kind} becomes one of ours, member by member`, options, async () => {
    const founders = await restore(kind, await savedSnapshot(kind), 3);
    const names = founders.map(({ name }) => name);
    const servers = await Promise.all(founders.map((founder) => launch(kind, founder)));
    try {
      await Promise.all(servers.map((server) => server.ready()));
      await assertWhole(servers, names);
      for (const [i, founder] of founders.entries()) {
        await servers[i]!.stop();
        servers[i] = await launch('ours', founder);
        await servers[i]!.ready();
        await assertWhole(servers, names);
      }
      for (const [i, founder] of founders.entries()) {
        await servers[i]!.kill();
        servers[i] = await launch('ours', founder);
      }
      await Promise.all(servers.map((server) => server.ready()));
      await assertWhole(servers, names);
      const hashes = await ctl(servers, 'endpoint', 'hashkv', '--write-out=json');
      assert.equal(
        new Set((JSON.parse(hashes) as { HashKV: { hash: number } }[]).map(({ HashKV }) => HashKV.hash)).size,
        1,
      );
    } finally {
      await Promise.all(servers.map((server) => server.kill()));
    }
  });

  test(`a member that joins a cluster restored by ${kind} learns who its members are`, options, async () => {
    const founders = await restore(kind, await savedSnapshot(kind), 1);
    const server = await launch(kind, founders[0]!);
    const servers = [server];
    try {
      await server.ready();
      const joining = { name: 'r1', clientPort: await freePort(), peerPort: await freePort() };
      const dataDir = join(temporaryDirectory(), joining.name);
      const peerUrl = peerUrlOf({ ...joining, dataDir });
      await ctl([server], 'member', 'add', joining.name, `--peer-urls=${peerUrl}`);
      // The log of a restored directory begins behind its first entries: what comes is the database.
      const initialCluster = `r0=${peerUrlOf(founders[0]!)},r1=${peerUrl}`;
      const flags = [...FLAGS, '--initial-cluster-state=existing'];
      const joined = await EtcdServer.start({ ...joining, dataDir, initialCluster, flags });
      servers.push(joined);
      await joined.waitForLog('applied snapshot');
      await assertWhole(servers, ['r0', 'r1']);
      await joined.stop();
      servers[1] = await joined.restart();
      await assertWhole(servers, ['r0', 'r1']);
    } finally {
      await Promise.all(servers.map((each) => each.kill()));
    }
  });

  test(`a directory restored by ${kind} that no other program has touched is served`, options, async () => {
    const [founder] = await restore(kind, await savedSnapshot(kind), 1);
    for (let run = 0; run < 2; run++) {
      const server = await launch('ours', founder!);
      try {
        await server.ready();
        await assertWhole([server], ['r0']);
      } finally {
        await server.stop();
      }
    }
  });
}
