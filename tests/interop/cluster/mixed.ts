/**
 * Real etcd of a release and the program under test in one cluster, in either majority and with either of them leading: every
 * kind of request through every member, members replaced by the other kind, and members that missed so much that they get
 * the leader's database. At the end all have the same contents.
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
import { needs } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';
import { ClusterWorkload } from './workload.ts';

type GoKind = Exclude<Kind, 'ours'>;

const SNAPSHOT_COUNT = 100;
const CATCH_UP_ENTRIES = 100;
/** 3.4 keeps this many entries for those who are behind, whatever it is told. */
const CATCH_UP_ENTRIES_34 = 5000;
const CONCURRENT_PUTS = 100;

function flagsOf(kind: Kind): string[] {
  const flags = [...QUICK_ELECTION, `--snapshot-count=${SNAPSHOT_COUNT}`];
  // Members compare their contents when they start, and leaders from time to time.
  if (kind === '3.6' || kind === '3.7') {
    flags.push('--feature-gates=InitialCorruptCheck=true', '--corrupt-check-time=1s');
    return [...flags, `--snapshot-catchup-entries=${CATCH_UP_ENTRIES}`];
  }
  flags.push('--experimental-initial-corrupt-check=true', '--experimental-corrupt-check-time=1s');
  if (kind !== '3.4') flags.push(`--experimental-snapshot-catchup-entries=${CATCH_UP_ENTRIES}`);
  return flags;
}

function mixes(go: GoKind): Kind[][] {
  return [
    [go, go, 'ours'],
    [go, 'ours', 'ours'],
  ];
}

export function mixedTests(go: GoKind): void {
  for (const kinds of mixes(go)) {
    test(`${kinds.join(' + ')}: each side leads and serves`, needs('etcd 3.5', `etcd ${go}`), (t) =>
      withCluster(kinds, { flags: flagsOf }, async (cluster) => {
        const workload = new ClusterWorkload(() => cluster.addresses, { writers: 4, readers: 2 });
        await workload.start();
        try {
          for (const kind of ['ours', go]) {
            await cluster.moveLeader(cluster.members.find((member) => member.kind === kind)!);
            await trafficThroughEveryMember(cluster);
            await workload.progress();
          }
          await workload.finish();
        } finally {
          await workload.stop();
        }
        await compactThroughEveryMember(cluster);
        await cluster.assertSameContents();
        await noneIsCorrupt(cluster);
        t.diagnostic(workload.describe());
      }),
    );
  }

  for (const leads of ['ours', go] as const) {
    test(
      `${go}: a database from ${leads} to a member that missed too much, and a replaced one`,
      needs('etcd 3.5', `etcd ${go}`),
      () =>
        withCluster([leads, leads, leads === 'ours' ? go : 'ours'], { flags: flagsOf }, async (cluster) => {
          const receiver = cluster.at(2);
          await cluster.moveLeader(cluster.at(0));
          const { ID } = await receiver.rpc.call('Lease.LeaseGrant', { TTL: 600 });
          await receiver.rpc.call('KV.Put', { key: 'leased', value: 'v', lease: ID });
          await receiver.kill();
          await fill(cluster, leads === '3.4' ? CATCH_UP_ENTRIES_34 : CATCH_UP_ENTRIES);
          await receiver.start();
          await receivedDatabase(receiver);
          await cluster.assertSameContents();
          await lookAfterwards(cluster, ID);
          await replace(cluster, receiver, leads);
          await lookAfterwards(cluster, ID);
          await cluster.assertSameContents();
          await noneIsCorrupt(cluster);
        }),
    );
  }

  test(
    `${go}: learners are promoted by a leader of either kind, through a follower of the other`,
    needs('etcd 3.5', `etcd ${go}`),
    () =>
      withCluster([go, 'ours', go], { flags: flagsOf }, async (cluster) => {
        for (const [leads, asked] of [
          [cluster.at(0), cluster.at(1)],
          [cluster.at(1), cluster.at(0)],
        ] as const) {
          await cluster.moveLeader(leads);
          const learner = await cluster.add(asked.kind, { isLearner: true, through: asked });
          const ID = await learner.id();
          await eventually('the learner is promoted', async () => {
            const outcome = await asked.rpc.outcome('Cluster.MemberPromote', { ID });
            if (!outcome.ok) assert.match(outcome.details, /in sync with leader/);
            return outcome.ok;
          });
          for (const member of cluster.members) {
            const isLearner = (await cluster.memberList(member)).map((listed) => listed.isLearner);
            assert(!isLearner.includes(true), `${member.name} (${member.kind}) has a learner`);
          }
          await learner.rpc.call('KV.Put', { key: 'promoted', value: learner.name });
        }
        await cluster.assertSameContents();
      }),
  );
}

async function noneIsCorrupt(cluster: Cluster): Promise<void> {
  for (const { rpc } of cluster.members) {
    const { alarms } = await rpc.call('Maintenance.Alarm', { action: 'GET', alarm: 'NONE' });
    assert.deepEqual(alarms, []);
  }
}

async function trafficThroughEveryMember(cluster: Cluster): Promise<void> {
  const { members } = cluster;
  const watches = members.map(({ rpc }) => rpc.stream('Watch.Watch'));
  for (const watch of watches) {
    watch.send({ create_request: { key: 'mixed/', range_end: 'mixed0' } });
    assert.equal((await watch.take()).created, true);
  }
  for (const writer of members) {
    const { ID } = await writer.rpc.call('Lease.LeaseGrant', { TTL: 120 });
    await writer.rpc.call('KV.Put', { key: `mixed/${writer.name}`, value: '1', lease: ID });
    for (const { rpc, name, kind } of members) {
      const keepAlive = rpc.stream('Lease.LeaseKeepAlive');
      keepAlive.send({ ID });
      assert.equal((await keepAlive.take()).TTL, 120n, `kept alive through ${name} (${kind})`);
      keepAlive.cancel();
      const lease = await rpc.call('Lease.LeaseTimeToLive', { ID, keys: true });
      assert(lease.TTL > 115n && lease.TTL <= 120n, `${lease.TTL} s through ${name} (${kind})`);
      assert.deepEqual(lease.keys.map(String), [`mixed/${writer.name}`]);
    }
    const txn = await writer.rpc.call('KV.Txn', {
      compare: [{ key: `mixed/${writer.name}`, target: 'LEASE', result: 'EQUAL', lease: ID }],
      success: [
        { request_put: { key: `mixed/${writer.name}`, value: '2', ignore_lease: true } },
        { request_range: { key: 'mixed/', range_end: 'mixed0' } },
      ],
    });
    assert.equal(txn.succeeded, true);
    await writer.rpc.call('Lease.LeaseRevoke', { ID });
  }
  // A put, the transaction and the revocation's deletion for each.
  const expected = members.flatMap(({ name }) => [`PUT ${name} 1`, `PUT ${name} 2`, `DELETE ${name} `]);
  for (const watch of watches) {
    const seen: string[] = [];
    while (seen.length < expected.length) {
      for (const { type, kv } of (await watch.take()).events)
        seen.push(`${type} ${kv.key.toString().slice('mixed/'.length)} ${kv.value}`);
    }
    assert.deepEqual(seen, expected);
    watch.cancel();
  }
}

async function compactThroughEveryMember(cluster: Cluster): Promise<void> {
  for (const { rpc } of cluster.members) {
    const { header } = await rpc.call('KV.Put', { key: 'compacted', value: 'v' });
    await rpc.call('KV.Compact', { revision: header!.revision, physical: true });
    for (const other of cluster.members) {
      const outcome = await other.rpc.outcome('KV.Range', { key: 'a', revision: header!.revision - 1n });
      assert(!outcome.ok && outcome.details.includes('required revision has been compacted'));
    }
  }
  // The hash is taken above the compacted revision: at it, 3.4 has none.
  await cluster.at(0).rpc.call('KV.Put', { key: 'compacted', value: 'after' });
}

/** Writes more than the leader's log keeps for those who are away. */
async function fill(cluster: Cluster, catchUpEntries: number): Promise<void> {
  const { rpc } = cluster.at(0);
  const count = catchUpEntries + 5 * SNAPSHOT_COUNT;
  for (let i = 0; i < count; i += CONCURRENT_PUTS) {
    const put = (_: unknown, j: number) =>
      rpc.call('KV.Put', { key: `fill/${(i + j) % 700}`, value: `${i + j}` });
    await Promise.all(Array.from({ length: CONCURRENT_PUTS }, put));
  }
}

async function receivedDatabase({ server, name, kind }: ClusterMember): Promise<void> {
  const line = await eventually(`${name} (${kind}) gets a database`, () =>
    server.log.find(({ msg }) =>
      /^applied snapshot|^finished applying incoming snapshot|^received and saved database snapshot/.test(
        msg,
      ),
    ),
  );
  assert(line !== undefined);
}

async function lookAfterwards(cluster: Cluster, ID: bigint): Promise<void> {
  for (const { rpc, name, kind } of cluster.members) {
    const lease = await rpc.call('Lease.LeaseTimeToLive', { ID, keys: true });
    assert(lease.TTL > 500n, `${lease.TTL} s left through ${name} (${kind})`);
    assert.deepEqual(lease.keys.map(String), ['leased']);
    await rpc.call('KV.Put', { key: `after/${name}`, value: 'v' });
  }
}

/** Takes a member out and lets one of another kind in, with nothing on its disk. */
async function replace(cluster: Cluster, member: ClusterMember, kind: Kind): Promise<void> {
  const through = cluster.running.find((other) => other !== member)!;
  await cluster.remove(member, through);
  await cluster.leader();
  const newcomer = await cluster.add(kind, { through });
  await cluster.assertSameContents();
  await newcomer.rpc.call('KV.Put', { key: 'through the newcomer', value: newcomer.name });
}
