/**
 * The version of a cluster in which members of several releases and of the program under test live together: new clusters, rolling
 * upgrades, downgrades, and members that join what has an older past. At the end all have the same contents.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Cluster,
  type ClusterMember,
  type Kind,
  QUICK_ELECTION,
  withCluster,
} from '../../support/cluster.ts';
import { needs, type PeerVersion, peer } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';

const options = needs('etcd 3.4', 'etcd 3.5', 'etcd 3.6', 'etcd 3.7');
const flags = (kind: Kind): string[] =>
  kind === 'ours' ? [...QUICK_ELECTION, '--max-cluster-version=keep'] : [...QUICK_ELECTION];
const raising = (kind: Kind): string[] =>
  kind === 'ours' ? [...QUICK_ELECTION, '--max-cluster-version=3.7'] : [...QUICK_ELECTION];

/** Entries between two snapshots on disk, where there are to be some. */
const SNAPSHOT_COUNT = 20;
const short = [...QUICK_ELECTION, `--snapshot-count=${SNAPSHOT_COUNT}`];

interface Versions {
  readonly etcdserver: string;
  readonly etcdcluster: string;
  readonly storage?: string;
}

async function versionsOf({ server }: ClusterMember): Promise<Versions> {
  const response = await fetch(`${server.clientUrl}/version`);
  return (await response.json()) as Versions;
}

/** Waits until every member has the version, and from 3.6 on has it in its database. */
async function atVersion(cluster: Cluster, version: PeerVersion): Promise<void> {
  await eventually(
    `all members are at ${version}`,
    async () => {
      const all = await Promise.all(cluster.running.map((member) => versionsOf(member)));
      return all.every(
        ({ etcdcluster, etcdserver, storage }) =>
          etcdcluster === `${version}.0` &&
          (version === '3.4' || version === '3.5' || /^3\.[45]/.test(etcdserver) || storage === etcdcluster),
      );
    },
    20_000,
  );
}

async function putThroughAll(cluster: Cluster, value: string): Promise<void> {
  for (const { rpc, name } of cluster.running) await rpc.call('KV.Put', { key: `through/${name}`, value });
}

/** Every member knows every other by its name and URLs: all have published themselves. */
async function allArePublished(cluster: Cluster): Promise<void> {
  for (const through of cluster.running) {
    const members = await cluster.memberList(through);
    for (const { name, clientURLs } of members) {
      assert.ok(name !== '' && clientURLs.length > 0, `${name} by ${through.name} (${through.kind})`);
    }
  }
}

async function downgrade(cluster: Cluster, through: ClusterMember, ...args: string[]): Promise<void> {
  const { code, stderr } = await run(peer('3.7', 'etcdctl'), [
    `--endpoints=${through.address}`,
    'downgrade',
    ...args,
  ]);
  assert.equal(code, 0, `${stderr} (${cluster.members.map(({ kind }) => kind).join()})`);
}

async function exchange(member: ClusterMember, kind: Kind, changes: readonly string[]): Promise<void> {
  await member.stop();
  await member.start(kind, { flags: changes });
}

for (const [kinds, version] of [
  [['ours', '3.7', '3.7'], '3.7'],
  [['ours', 'ours', '3.6'], '3.6'],
  [['3.5', '3.6', 'ours'], '3.5'],
  [['3.4', '3.5', 'ours'], '3.4'],
] as const satisfies readonly (readonly [readonly Kind[], PeerVersion])[]) {
  test(
    `${kinds.join(' + ')} found a cluster at ${version}, and a member of ours is added and replaced`,
    options,
    () =>
      withCluster(kinds, { flags }, async (cluster) => {
        await atVersion(cluster, version);
        await putThroughAll(cluster, 'founded');
        const newcomer = await cluster.add('ours');
        await putThroughAll(cluster, 'added');
        await cluster.remove(newcomer);
        await cluster.add('ours');
        await allArePublished(cluster);
        // Whatever is in the log is read again by those who start again.
        for (const member of [...cluster.members]) {
          await member.kill();
          await member.start();
        }
        await putThroughAll(cluster, 'all again');
        await atVersion(cluster, version);
        await cluster.assertSameContents();
      }),
  );
}

test('a rolling upgrade from 3.5 over 3.6 to 3.7, with ours among the members', options, () =>
  withCluster(['3.5', 'ours', '3.5'], { flags: () => short }, async (cluster) => {
    await atVersion(cluster, '3.5');
    for (const release of ['3.6', '3.7'] as const) {
      for (const position of [0, 2]) {
        // Etcd 3.7 can't go on with a directory of 3.6 in whose log 3.5 has published itself since the last snapshot.
        for (let i = 0; i < SNAPSHOT_COUNT; i++) await putThroughAll(cluster, `${i}`);
        await exchange(cluster.at(position), release, short);
        await putThroughAll(cluster, release);
      }
      // Ours keeps the version where it is; a member of Go etcd raises it when it leads.
      await cluster.moveLeader(cluster.at(1));
      await eventually('the version is kept, as the leader says', () =>
        cluster.at(1).server.log.some(({ msg }) => msg.startsWith('the cluster keeps its version')),
      );
      await cluster.moveLeader(cluster.at(0));
      await atVersion(cluster, release);
      await putThroughAll(cluster, `all at ${release}`);
    }
    await cluster.add('3.7');
    await cluster.assertSameContents();
  }),
);

test('ours raises the cluster when it is told to, and etcd 3.7 takes over the directories', options, () =>
  withCluster(['3.4', '3.5', '3.5'], { flags }, async (cluster) => {
    await atVersion(cluster, '3.4');
    for (const member of cluster.members) await exchange(member, 'ours', raising('ours'));
    await putThroughAll(cluster, 'ours');
    await atVersion(cluster, '3.7');
    for (const member of cluster.members) {
      await exchange(member, '3.7', QUICK_ELECTION);
      await putThroughAll(cluster, '3.7');
    }
    await allArePublished(cluster);
    await cluster.assertSameContents();
  }),
);

test('a member of etcd 3.7 joins a cluster of ours whose log begins in etcd 3.5', options, () =>
  withCluster(['3.5', '3.5', '3.5'], { flags }, async (cluster) => {
    for (const member of cluster.members) await exchange(member, 'ours', flags('ours'));
    await atVersion(cluster, '3.5');
    const newcomer = await cluster.add('3.7');
    await newcomer.rpc.call('KV.Put', { key: 'through the newcomer', value: 'v' });
    await cluster.assertSameContents();
  }),
);

for (const leads of ['ours', '3.7'] as const) {
  test(`a downgrade from 3.7 to 3.6 with ours among the members, begun while ${leads} leads`, options, () =>
    withCluster(['3.7', '3.7', 'ours'], { flags }, async (cluster) => {
      await atVersion(cluster, '3.7');
      await cluster.moveLeader(cluster.members.find(({ kind }) => kind === leads)!);
      const [first, , ours] = cluster.members;
      await downgrade(cluster, ours!, 'validate', '3.6');
      await downgrade(cluster, leads === 'ours' ? first! : ours!, 'enable', '3.6');
      await atVersion(cluster, '3.6');
      for (const member of cluster.members.slice(0, 2)) {
        await exchange(member, '3.6', QUICK_ELECTION);
        await putThroughAll(cluster, '3.6');
      }
      // Ours is of a later release for ever, so that nobody but the operator can say that it is over.
      await downgrade(cluster, ours!, 'cancel');
      await cluster.add('3.6');
      await putThroughAll(cluster, 'after the downgrade');
      await atVersion(cluster, '3.6');
      await cluster.assertSameContents();
    }),
  );
}

test(
  'a cluster of ours is downgraded to 3.6, and its directories go to etcd 3.6, which ends the downgrade',
  options,
  () =>
    withCluster(['ours', 'ours', 'ours'], { flags }, async (cluster) => {
      await atVersion(cluster, '3.7');
      await putThroughAll(cluster, 'ours');
      await downgrade(cluster, cluster.at(0), 'enable', '3.6');
      await atVersion(cluster, '3.6');
      for (const member of cluster.members) {
        await exchange(member, '3.6', QUICK_ELECTION);
        await putThroughAll(cluster, '3.6');
      }
      await cluster.add('3.6');
      await eventually('the downgrade is over', async () => {
        const response = await fetch(`${cluster.at(0).peerUrl}/downgrade/enabled`);
        return (await response.text()) === 'false';
      });
      await cluster.assertSameContents();
    }),
);

test('a downgrade that members of etcd 3.4 could not read about is not begun', options, () =>
  withCluster(['3.4', 'ours', '3.4'], { flags }, async (cluster) => {
    await atVersion(cluster, '3.4');
    const ours = cluster.at(1);
    const outcome = await ours.rpc.outcome('Maintenance.Downgrade', { action: 'ENABLE', version: '3.3.0' });
    assert.ok(!outcome.ok);
    assert.match(outcome.details, /a member runs 3\.4 and could not read the request/);
    await putThroughAll(cluster, 'everybody lives');
    await cluster.assertSameContents();
  }),
);
