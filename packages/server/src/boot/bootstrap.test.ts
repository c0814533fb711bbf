/** From a data directory to the parts of a member: what is founded, what is gone on with, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Logger, SILENT_LOGGER } from '@etcd/base';
import { backendPath, walDirectory } from '@etcd/storage/data';
import { type Member, membersJson, newMember } from '@etcd/storage/membership';
import type { SimDisk } from '@etcd/testing';
import { MemberStartError } from '../config/index.ts';
import type { PeerRequest, PeerResponse } from '../peer/index.ts';
import { BootWorld, closeParts } from './testing/boot-world.ts';
import { FormerRun } from './testing/former-run.ts';

const THREE = '--initial-cluster=m1=http://localhost:2380,m2=http://m2:2380,m3=http://m3:2380';
const CLUSTER_ID = 0xc1n;

async function refusal(world: BootWorld): Promise<string> {
  try {
    closeParts(await world.boot());
  } catch (error) {
    assert.ok(error instanceof MemberStartError, String(error));
    return error.message;
  }
  return assert.fail('it started');
}

/** Another member of a cluster that exists. */
function peerOf(
  members: readonly Member[],
  clusterVersion = '3.5.0',
  clusterId = CLUSTER_ID,
): (request: PeerRequest) => PeerResponse {
  return ({ path }) => {
    const text =
      path === '/members'
        ? membersJson(members)
        : JSON.stringify({ etcdserver: clusterVersion, etcdcluster: clusterVersion });
    const headers = { 'x-etcd-cluster-id': clusterId.toString(16) };
    return { status: 200, body: Buffer.from(text), headers };
  };
}

const existing = (id: bigint, name: string, url: string): Member => ({
  ...newMember(id, { peerUrls: [url], isLearner: false }, name),
  clientUrls: name === '' ? [] : [`http://${name}:2379`],
});

test('who founds a cluster alone has a log that makes it a member, and everybody who founds it the same', async () => {
  const world = await BootWorld.create();
  const parts = await world.boot();
  assert.equal(parts.snapshotIndex, 0);
  assert.equal(parts.node.committed, 1, 'the change that adds the member itself');
  closeParts(parts);
  const other = await (await BootWorld.create()).boot();
  assert.deepEqual([other.memberId, other.clusterId], [parts.memberId, parts.clusterId]);
  closeParts(other);
  const elsewhere = await (await BootWorld.create(['--initial-cluster-token=other'])).boot();
  assert.notEqual(elsewhere.clusterId, parts.clusterId);
  closeParts(elsewhere);
});

test('founders find the same members, each as itself', async () => {
  const first = await (await BootWorld.create([THREE])).boot();
  const second = await (
    await BootWorld.create(['--name=m2', THREE, '--initial-advertise-peer-urls=http://m2:2380'])
  ).boot();
  assert.equal(first.clusterId, second.clusterId);
  assert.notEqual(first.memberId, second.memberId);
  assert.equal(first.node.committed, 3);
  closeParts(first);
  closeParts(second);
});

test('a run that ended before anything was in its log begins anew, if it is still the same member', async () => {
  const world = await BootWorld.create();
  const parts = await world.boot();
  closeParts(parts);
  const again = await (await BootWorld.create([], world.disk)).boot();
  assert.deepEqual([again.memberId, again.node.committed], [parts.memberId, 1]);
  closeParts(again);
  const stranger = await BootWorld.create(['--initial-cluster-token=other'], world.disk);
  assert.match(await refusal(stranger), /\/data\/member\/wal belongs to member .* which never started$/);
});

test('a member that is not in its own initial cluster, or has another URL there, is refused before it writes anything', async () => {
  for (const [flags, reason] of [
    [
      ['--initial-cluster=m2=http://m2:2380'],
      /couldn't find local name "m1" in the initial cluster configuration/,
    ],
    [['--initial-cluster=m1=http://elsewhere:2380'], /--initial-cluster/],
  ] as const) {
    const world = await BootWorld.create(flags);
    assert.match(await refusal(world), reason);
    assert.equal(world.disk.stat(walDirectory(world.config)), null);
  }
});

test('a member that its cluster knows already, with client URLs, does not found it again', async () => {
  const founder = await (await BootWorld.create([THREE])).boot();
  closeParts(founder);
  const world = await BootWorld.create([THREE]);
  const known = existing(founder.memberId, 'm1', 'http://localhost:2380');
  world.network.answers.set('http://m2:2380', peerOf([known], '3.5.0', founder.clusterId));
  assert.match(await refusal(world), /has already been bootstrapped$/);
  const other = await BootWorld.create([THREE]);
  other.network.answers.set('http://m2:2380', peerOf([known]));
  closeParts(await other.boot());
});

test('who joins gets its id from the cluster, and its log from nobody yet', async () => {
  const join = [
    '--initial-cluster-state=existing',
    '--initial-cluster=m1=http://localhost:2380,m2=http://m2:2380',
  ];
  const world = await BootWorld.create(join);
  world.network.answers.set(
    'http://m2:2380',
    peerOf([existing(7n, '', 'http://localhost:2380'), existing(8n, 'm2', 'http://m2:2380')]),
  );
  const parts = await world.boot();
  assert.deepEqual([parts.memberId, parts.clusterId], [7n, CLUSTER_ID]);
  assert.deepEqual(
    parts.otherMembers.map(({ id }) => id),
    [8n],
  );
  assert.deepEqual([parts.node.committed, parts.membership.members()], [0, []]);
  closeParts(parts);
});

test('a cluster that nobody can be reached of, has other members, or is of a later release, is not joined', async () => {
  const join = [
    '--initial-cluster-state=existing',
    '--initial-cluster=m1=http://localhost:2380,m2=http://m2:2380',
  ];
  const [self, other] = [existing(7n, '', 'http://localhost:2380'), existing(8n, 'm2', 'http://m2:2380')];
  for (const [answer, reason] of [
    [null, /^cannot fetch cluster info from peer urls/],
    [peerOf([other]), /^error validating peerURLs .*: member count is unequal$/],
    [peerOf([self, existing(9n, 'm3', 'http://m3:2380')]), /^error validating peerURLs .*no match found/],
    [peerOf([self, other], '3.99.0'), /^incompatible with current running cluster$/],
  ] as const) {
    const world = await BootWorld.create(join);
    if (answer !== null) world.network.answers.set('http://m2:2380', answer);
    assert.match(await refusal(world), reason);
    assert.equal(world.disk.stat(walDirectory(world.config)), null, 'nothing is founded');
  }
});

test('a log whose database is not there, or is none, is not gone on with', async () => {
  const world = await BootWorld.create();
  closeParts(await world.boot());
  const path = backendPath(world.config);
  const file = world.disk.openFile(path, { access: 'readwrite' });
  file.write(new Uint8Array(8192).fill(0x5a), 0, 8192, 0);
  file.close();
  const reason = await refusal(await BootWorld.create([], world.disk));
  assert.match(reason, /\/data\/member\/snap\/db/);
  assert.match(reason, /nothing was changed/);
});

test('a cluster that nobody lists is founded as if it were listed, with the ids of the token', async () => {
  const flags = ['--discovery-token=t', '--discovery-endpoints=d:1'];
  const found = 'm2=http://m2:2380,m1=http://localhost:2380';
  const world = await BootWorld.create(flags);
  const asked: unknown[] = [];
  world.discover = (memberId, ownText, mayBeRegistered) => {
    asked.push([memberId, ownText, mayBeRegistered]);
    return Promise.resolve(found);
  };
  const parts = await world.boot();
  assert.deepEqual(asked, [[parts.memberId, 'm1=http://localhost:2380', false]]);
  closeParts(parts);
  const listed = await BootWorld.create([`--initial-cluster=${found}`, '--initial-cluster-token=t']);
  const same = await listed.boot();
  assert.deepEqual([same.memberId, same.clusterId], [parts.memberId, parts.clusterId]);
  closeParts(same);
  // A run that came no further than to a log is known where it has registered.
  const again = await BootWorld.create(flags, world.disk);
  again.discover = world.discover;
  closeParts(await again.boot());
  assert.deepEqual(asked[1], [parts.memberId, 'm1=http://localhost:2380', true]);
});

test('that nobody is asked for a cluster is told where a log is gone on with, and not where it is founded after all', async () => {
  const flags = ['--discovery-token=t', '--discovery-endpoints=d:1'];
  const found = 'm1=http://localhost:2380';
  const told: string[] = [];
  const logger: Logger = { ...SILENT_LOGGER, warn: (message) => told.push(message), child: () => logger };
  let isAsked = false;
  const start = async (disk: SimDisk | null): Promise<BootWorld> => {
    const world = await BootWorld.create(flags, disk);
    world.logger = logger;
    world.discover = () => {
      isAsked = true;
      return Promise.resolve(found);
    };
    return world;
  };
  const unborn = await start(null);
  closeParts(await unborn.boot());
  const reborn = await start(unborn.disk);
  isAsked = false;
  new FormerRun(await reborn.boot()).log(1).apply().end();
  assert.deepEqual([isAsked, told], [true, []]);
  isAsked = false;
  closeParts(await (await start(reborn.disk)).boot());
  assert.equal(isAsked, false);
  assert.match(told.join(), /^discovery token is ignored since cluster already initialized/);
});

test('a member that has lost its directory does not found its cluster again by the same token', async () => {
  const flags = ['--discovery-token=t', '--discovery-endpoints=d:1'];
  const found = 'm2=http://m2:2380,m1=http://localhost:2380';
  const founder = await BootWorld.create(flags);
  founder.discover = () => Promise.resolve(found);
  const parts = await founder.boot();
  closeParts(parts);
  const world = await BootWorld.create(flags);
  world.discover = founder.discover;
  const known = existing(parts.memberId, 'm1', 'http://localhost:2380');
  world.network.answers.set('http://m2:2380', peerOf([known], '3.5.0', parts.clusterId));
  assert.match(await refusal(world), /has already been bootstrapped$/);
});

test('what is found is refused where it is no cluster with this member in it, and before anything is written', async () => {
  const flags = ['--discovery-token=t', '--discovery-endpoints=d:1'];
  for (const [found, reason] of [
    ['m1=http://localhost:2380,m2=http://localhost:2380', /^discovery cluster m1=.* has duplicate url$/],
    ['m1=nowhere', /error setting up initial cluster/],
    ['m2=http://m2:2380', /couldn't find local name/],
  ] as const) {
    const world = await BootWorld.create(flags);
    world.discover = () => Promise.resolve(found);
    assert.match(await refusal(world), reason);
    assert.equal(world.disk.stat(walDirectory(world.config)), null);
  }
  const joining = await BootWorld.create([...flags, '--initial-cluster-state=existing']);
  joining.discover = () => Promise.reject(new Error('nobody is asked'));
  assert.match(
    await refusal(joining),
    /^discovery URL should not be set when joining existing initial cluster$/,
  );
});

test('the members that a domain names take the place of the list', async () => {
  const world = await BootWorld.create(['--discovery-srv=example.test']);
  world.listMembers = () => Promise.resolve('m1=http://localhost:2380,0=http://m2:2380');
  const parts = await world.boot();
  assert.equal(parts.node.committed, 2);
  closeParts(parts);
});
