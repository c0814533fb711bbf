/**
 * Members that are told something about their cluster that is not so. Each is refused in the words of real etcd, which is
 * asked the same with a cluster of its own; where etcd starts all the same, as with a wrong token, the others are not harmed.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Cluster,
  initialClusterOf,
  type Kind,
  programOf,
  QUICK_ELECTION,
  withCluster,
} from '../../support/cluster.ts';
import { type EtcdOptions, EtcdServer } from '../../support/etcd-server.ts';
import { isGo, needs } from '../../support/programs.ts';
import type { Ended } from '../../support/run.ts';
import { eventually } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

interface Refusal {
  readonly name: string;
  readonly expected: RegExp;
  /** What the newcomer is started with, given a cluster of which the last member is stopped. */
  readonly options: (
    cluster: Cluster,
    newcomer: EtcdOptions & { clientPort: number; peerPort: number },
  ) => EtcdOptions;
}

const EXISTING = '--initial-cluster-state=existing';
const THREE = 3;

const REFUSALS: readonly Refusal[] = [
  {
    name: 'a new member whose cluster has it already',
    expected: /^member <id> has already been bootstrapped$/,
    options: (cluster) => ({ ...cluster.at(2).options, dataDir: join(temporaryDirectory(), 'new') }),
  },
  {
    name: 'joining with a wrong count of members',
    expected: /^error validating peerURLs .*: member count is unequal$/,
    options: (cluster, newcomer) => ({
      ...newcomer,
      initialCluster: initialClusterOf([...cluster.members.map(({ options }) => options), newcomer]),
      flags: [EXISTING],
    }),
  },
  {
    name: 'joining with peer URLs that no member has',
    expected:
      /^error validating peerURLs .*: PeerURLs: no match found for existing member \(<id>, \[<url>\]\)/,
    options: (cluster, newcomer) => ({
      ...newcomer,
      initialCluster: initialClusterOf([cluster.at(0).options, cluster.at(1).options, newcomer]),
      flags: [EXISTING],
    }),
  },
  {
    name: 'joining a cluster that is not there',
    expected:
      /^cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs$/,
    options: (cluster, newcomer) => ({
      ...newcomer,
      initialCluster: initialClusterOf([cluster.at(2).options, newcomer]),
      flags: [EXISTING],
    }),
  },
  {
    name: 'joining alone',
    expected:
      /^cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs$/,
    options: (_, newcomer) => ({ ...newcomer, flags: [EXISTING] }),
  },
  {
    name: 'two members with one peer URL',
    expected: /^initial cluster .* has duplicate url$/,
    options: (_, newcomer) => ({
      ...newcomer,
      initialCluster: initialClusterOf([newcomer, { ...newcomer, name: 'other' }]),
    }),
  },
  {
    name: 'a name that the initial cluster does not have',
    expected: /^couldn't find local name "newcomer" in the initial cluster configuration$/,
    options: (cluster, newcomer) => ({
      ...newcomer,
      initialCluster: initialClusterOf([cluster.at(0).options]),
    }),
  },
  {
    name: 'advertising another URL than the initial cluster has',
    expected: /^--initial-cluster has newcomer=<url> but missing from --initial-advertise-peer-urls=<url>/,
    options: (_, newcomer) => ({
      ...newcomer,
      advertisedPeerUrl: 'http://127.0.0.1:1',
      initialCluster: `newcomer=http://127.0.0.1:${newcomer.peerPort}`,
    }),
  },
];

/** The same refusals from a cluster of one kind, each as its message. Nothing is left of the refused. */
async function refusalsOf(kind: Kind): Promise<string[]> {
  const messages: string[] = [];
  await withCluster([kind, kind, kind], {}, async (cluster) => {
    await cluster.leader();
    await cluster.at(0).rpc.call('KV.Put', { key: 'a', value: 'b' });
    await cluster.at(2).stop();
    for (const { options, name } of REFUSALS) {
      const newcomer = {
        name: 'newcomer',
        clientPort: await freePort(),
        peerPort: await freePort(),
        dataDir: join(temporaryDirectory(), 'newcomer'),
      };
      const refused = await EtcdServer.launch({ ...options(cluster, newcomer), program: programOf(kind) });
      const ended = await refused.ended;
      assert.equal(ended.code, 1, `${name}: ${refused.lastLines()}`);
      messages.push(messageOf(ended));
      if (!isGo(refused.program))
        assert(!existsSync(join(refused.dataDir, 'member', 'wal')), `${name}: left a log`);
    }
    await cluster.at(2).start();
    await cluster.assertSameContents();
    assert.equal((await cluster.memberList()).length, THREE);
  });
  return messages;
}

/** The reason in the last line, without what differs from run to run. */
function messageOf(ended: Ended): string {
  const line = ended.stderr.split('\n').findLast((text) => text.includes('"level":"fatal"'));
  assert(line !== undefined, ended.stderr);
  const { msg, error } = JSON.parse(line) as { msg: string; error?: string };
  return normalize(error ?? msg);
}

function normalize(text: string): string {
  return text.replace(/https?:\/\/[0-9.]+:[0-9]+/g, '<url>').replace(/\b[0-9a-f]{11,16}\b/g, '<id>');
}

test('every mismatch is refused as etcd refuses it', needs('etcd 3.5'), async (t) => {
  const ours = await refusalsOf('ours');
  const theirs = await refusalsOf('3.5');
  for (const [i, { name, expected }] of REFUSALS.entries()) {
    await t.test(name, () => {
      assert.match(theirs[i]!, expected);
      assert.match(ours[i]!, expected);
    });
  }
});

for (const kind of ['ours', '3.5'] as const) {
  test(`another token makes another cluster, which ${kind} keeps away`, needs('etcd 3.5'), () =>
    withCluster(['ours', kind, 'ours'], {}, async (cluster) => {
      await cluster.leader();
      const [first, second, third] = cluster.members;
      await third!.stop();
      const stranger = await EtcdServer.launch({
        ...third!.options,
        program: programOf('ours'),
        dataDir: join(temporaryDirectory(), 'stranger'),
        flags: [...QUICK_ELECTION, '--initial-cluster-token=another'],
      });
      try {
        await stranger.waitForLog('cluster ID mismatch');
        await second!.server.waitForLog('cluster ID mismatch');
        const { raftTerm, leader } = await first!.status();
        for (const { rpc } of [first!, second!]) await rpc.call('KV.Put', { key: 'a', value: 'b' });
        const after = await first!.status();
        assert.deepEqual([after.raftTerm, after.leader], [raftTerm, leader], 'it disturbs the others');
        assert.equal(stranger.isOver, false);
      } finally {
        await stranger.kill();
      }
      await third!.start();
      await cluster.assertSameContents();
    }),
  );
}

test('a data directory is not taken from the member that uses it', () =>
  withCluster(['ours', 'ours', 'ours'], {}, async (cluster) => {
    const [first, second] = cluster.members;
    await second!.stop();
    const thief = await EtcdServer.launch({
      ...second!.options,
      program: programOf('ours'),
      dataDir: first!.options.dataDir,
    });
    const ended = await thief.ended;
    assert.equal(ended.code, 1, thief.lastLines());
    assert.match(ended.stderr, /locked|in use/);
    await second!.start();
    await cluster.assertSameContents();
  }));

test('the data directory of a member of another cluster does not get in', () =>
  withCluster(['ours', 'ours', 'ours'], {}, async (cluster) => {
    await withCluster(
      ['ours', 'ours', 'ours'],
      { flags: () => [...QUICK_ELECTION, '--initial-cluster-token=other'] },
      async (other) => {
        await other.at(2).stop();
        await cluster.at(2).stop();
        const dataDir = join(temporaryDirectory(), 'foreign');
        cpSync(other.at(2).options.dataDir!, dataDir, { recursive: true });
        // It is what its log says, whatever it is told; its cluster does not answer where it is.
        const foreigner = await EtcdServer.launch({
          ...cluster.at(2).options,
          program: programOf('ours'),
          dataDir,
        });
        try {
          await cluster.at(0).rpc.call('KV.Put', { key: 'mine', value: '1' });
          const refused = eventually('a mismatch', () =>
            foreigner.log.some(({ text }) => text.includes('mismatch')),
          );
          await refused;
          assert.equal((await other.at(0).rpc.call('KV.Range', { key: 'mine' })).count, 0n);
        } finally {
          await foreigner.kill();
        }
        await cluster.at(2).start();
        await cluster.assertSameContents();
      },
    );
  }));
