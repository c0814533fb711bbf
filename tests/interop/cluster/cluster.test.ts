/** Clusters of the program under test alone, as etcdctl and clients see them: every service through every member. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Cluster, type ClusterMember, QUICK_ELECTION, withCluster } from '../../support/cluster.ts';
import { EtcdServer } from '../../support/etcd-server.ts';
import { isGo, needs, peer, SUBJECT } from '../../support/programs.ts';
import { type Ended, eventually, Running, run, sleep } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const THREE = ['ours', 'ours', 'ours'] as const;
const FIVE = ['ours', 'ours', 'ours', 'ours', 'ours'] as const;
/** gRPC codes. */
const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;
const FAILED_PRECONDITION = 9;
const UNAVAILABLE = 14;
const UNKNOWN = 2;
/** A member counts as connected after so long, and only then does etcd allow a change that relies on it. */
const CONNECTED_MS = 5500;
const MIN_CONNECTED_MS = 5000;

async function printed(ending: Promise<Ended>): Promise<string> {
  const ended = await ending;
  assert.equal(ended.code, 0, `${ended.stdout}${ended.stderr}`);
  return ended.stdout;
}

test('every member serves keys, transactions, watches, leases and compaction', needs('etcd 3.5'), () =>
  withCluster(THREE, {}, async (cluster) => {
    await cluster.leader();
    await keysThroughEveryMember(cluster);
    await transactionsThroughEveryMember(cluster);
    await watchesThroughEveryMember(cluster);
    await leasesThroughEveryMember(cluster);
    await compactionReachesEveryMember(cluster);
    await cluster.assertSameContents();
  }),
);

async function keysThroughEveryMember(cluster: Cluster): Promise<void> {
  for (const writer of cluster.members) {
    assert.equal(await printed(cluster.ctl(['put', `by/${writer.name}`, 'v'], [writer])), 'OK\n');
    // Linearizable: through any other member at once.
    for (const reader of cluster.members)
      assert.equal(
        await printed(cluster.ctl(['get', `by/${writer.name}`], [reader])),
        `by/${writer.name}\nv\n`,
      );
  }
  const [first, second] = cluster.members;
  assert.equal(await printed(cluster.ctl(['del', '--prefix', 'by/'], [second!])), '3\n');
  assert.equal(await printed(cluster.ctl(['get', '--prefix', 'by/'], [first!])), '');
}

async function transactionsThroughEveryMember(cluster: Cluster): Promise<void> {
  const [first, second, third] = cluster.members;
  await first!.rpc.call('KV.Put', { key: 'txn', value: '0' });
  const swap = (member: ClusterMember, from: string, to: string): Promise<boolean> => {
    const compare = [{ key: 'txn', target: 'VALUE', result: 'EQUAL', value: from }];
    const success = [{ request_put: { key: 'txn', value: to } }];
    return member.rpc.call('KV.Txn', { compare, success }).then(({ succeeded }) => succeeded);
  };
  assert.equal(await swap(second!, '0', '1'), true);
  assert.equal(await swap(third!, '0', '2'), false);
  // Of many that compare the same value at once, on all members, one wins.
  const results = await Promise.all(
    Array.from({ length: 30 }, (_, i) => swap(cluster.members[i % 3]!, '1', `won by ${i}`)),
  );
  assert.equal(results.filter(Boolean).length, 1);
}

async function watchesThroughEveryMember(cluster: Cluster): Promise<void> {
  const watches = cluster.members.map(({ rpc }) => rpc.stream('Watch.Watch'));
  for (const watch of watches) {
    watch.send({ create_request: { key: 'watched/', range_end: 'watched0', prev_kv: true } });
    assert.equal((await watch.take()).created, true);
  }
  const written = [];
  for (let i = 0; i < 30; i++) {
    const { header } = await cluster
      .at(i % 3)
      .rpc.call('KV.Put', { key: `watched/${i % 4}`, value: String(i) });
    written.push(`${header!.revision} ${i}`);
  }
  for (const watch of watches) {
    const seen: string[] = [];
    while (seen.length < written.length) {
      for (const { kv } of (await watch.take()).events) seen.push(`${kv.mod_revision} ${kv.value}`);
    }
    assert.deepEqual(seen, written);
    watch.cancel();
  }
}

async function leasesThroughEveryMember(cluster: Cluster): Promise<void> {
  for (const granter of cluster.members) {
    const { ID } = await granter.rpc.call('Lease.LeaseGrant', { TTL: 100 });
    await granter.rpc.call('KV.Put', { key: `leased/${granter.name}`, value: 'v', lease: ID });
    for (const asked of cluster.members) {
      const keepAlive = asked.rpc.stream('Lease.LeaseKeepAlive');
      keepAlive.send({ ID });
      assert.equal((await keepAlive.take()).TTL, 100n, `kept alive through ${asked.name}`);
      keepAlive.cancel();
      const lease = await asked.rpc.call('Lease.LeaseTimeToLive', { ID, keys: true });
      assert(lease.TTL >= 98n && lease.TTL <= 100n, `${lease.TTL} s left, says ${asked.name}`);
      assert.deepEqual(lease.keys.map(String), [`leased/${granter.name}`]);
    }
    const revoker = cluster.members.find((member) => member !== granter)!;
    await revoker.rpc.call('Lease.LeaseRevoke', { ID });
    assert.equal((await granter.rpc.call('Lease.LeaseTimeToLive', { ID })).TTL, -1n);
    const keepAlive = granter.rpc.stream('Lease.LeaseKeepAlive');
    keepAlive.send({ ID });
    assert.equal((await keepAlive.take()).TTL, 0n, 'a revoked lease is kept alive');
    keepAlive.cancel();
  }
  assert.equal(
    (await cluster.at(0).rpc.call('KV.Range', { key: 'leased/', range_end: 'leased0' })).count,
    0n,
  );
  // One that nobody keeps alive ends on all members.
  const { ID } = await cluster.at(1).rpc.call('Lease.LeaseGrant', { TTL: 1 });
  await cluster.at(2).rpc.call('KV.Put', { key: 'short', value: 'v', lease: ID });
  const isGone = async (): Promise<boolean> =>
    (await cluster.at(0).rpc.call('KV.Range', { key: 'short' })).count === 0n;
  await eventually('a lease expires', isGone);
}

async function compactionReachesEveryMember(cluster: Cluster): Promise<void> {
  const { header } = await cluster.at(0).rpc.call('KV.Range', { key: 'txn' });
  const revision = header!.revision;
  await cluster.at(1).rpc.call('KV.Compact', { revision, physical: true });
  for (const { rpc } of cluster.members) {
    const outcome = await rpc.outcome('KV.Range', { key: 'txn', revision: revision - 1n });
    assert.deepEqual(outcome, {
      ok: false,
      code: 11,
      details: 'etcdserver: mvcc: required revision has been compacted',
    });
  }
}

test('etcdctl: status, health, hash, alarms, member list', needs('etcd 3.5'), () =>
  withCluster(THREE, {}, async (cluster) => {
    const leader = await cluster.leader();
    await cluster.at(0).rpc.call('KV.Put', { key: 'a', value: 'b' });
    await cluster.converge();
    const statuses = JSON.parse(await printed(cluster.ctl(['endpoint', 'status', '-w', 'json']))) as {
      Status: {
        header: { member_id: number };
        leader: number;
        raftTerm: number;
        raftIndex: number;
        dbSize: number;
      };
    }[];
    assert.equal(statuses.length, 3);
    assert.equal(new Set(statuses.map(({ Status }) => Status.leader)).size, 1);
    assert.equal(new Set(statuses.map(({ Status }) => Status.header.member_id)).size, 3);
    for (const { Status } of statuses)
      assert(Status.raftTerm >= 2 && Status.raftIndex > 3 && Status.dbSize > 0);

    const health = JSON.parse(await printed(cluster.ctl(['endpoint', 'health', '-w', 'json']))) as {
      health: boolean;
    }[];
    assert.deepEqual(
      health.map((each) => each.health),
      [true, true, true],
    );
    // Found through one member.
    const all = await printed(cluster.ctl(['endpoint', 'health', '--cluster'], [leader]));
    assert.equal(all.match(/is healthy/g)?.length, 3);
    const hashes = JSON.parse(await printed(cluster.ctl(['endpoint', 'hashkv', '-w', 'json']))) as {
      HashKV: { hash: number };
    }[];
    assert.equal(new Set(hashes.map(({ HashKV }) => HashKV.hash)).size, 1);

    const list = await printed(cluster.ctl(['member', 'list']));
    const expected = (
      await Promise.all(
        cluster.members.map(
          async (member) =>
            `${(await member.id()).toString(16)}, started, ${member.name}, ${member.peerUrl}, ${member.server.clientUrl}, false`,
        ),
      )
    ).sort();
    assert.deepEqual(list.trimEnd().split('\n').sort(), expected);
    await alarmsReachEveryMember(cluster);
  }),
);

async function alarmsReachEveryMember(cluster: Cluster): Promise<void> {
  const [first, second, third] = cluster.members;
  const memberID = await third!.id();
  await first!.rpc.call('Maintenance.Alarm', { action: 'ACTIVATE', memberID, alarm: 'NOSPACE' });
  await cluster.converge();
  const line = `memberID:${memberID} alarm:NOSPACE \n`;
  for (const member of cluster.members) {
    assert.equal(await printed(cluster.ctl(['alarm', 'list'], [member])), line);
    const refused = await eventually(`${member.name} refuses writes`, async () => {
      const outcome = await member.rpc.outcome('KV.Put', { key: 'a', value: 'b' });
      return outcome.ok ? null : outcome;
    });
    assert.equal(refused.details, 'etcdserver: mvcc: database space exceeded');
  }
  assert.equal(await printed(cluster.ctl(['alarm', 'disarm'], [second!])), line);
  for (const { rpc } of cluster.members) await rpc.call('KV.Put', { key: 'a', value: 'b' });
}

test('the leadership moves where it is told to, and nowhere else', needs('etcd 3.5'), () =>
  withCluster(THREE, {}, async (cluster) => {
    const leader = await cluster.leader();
    const [target, other] = (await cluster.followers()) as [ClusterMember, ClusterMember];
    const [leaderId, targetId] = [await leader.id(), await target.id()];
    assert.deepEqual(await other.rpc.outcome('Maintenance.MoveLeader', { targetID: targetId }), {
      ok: false,
      code: FAILED_PRECONDITION,
      details: 'etcdserver: not leader',
    });
    const badTransferee = {
      ok: false,
      code: FAILED_PRECONDITION,
      details: 'etcdserver: bad leader transferee',
    };
    assert.deepEqual(await leader.rpc.outcome('Maintenance.MoveLeader', { targetID: 12345n }), badTransferee);
    const learner = await cluster.add('ours', { isLearner: true, through: other });
    const learnerId = await learner.id();
    assert.deepEqual(
      await leader.rpc.outcome('Maintenance.MoveLeader', { targetID: learnerId }),
      badTransferee,
    );
    const term = (await leader.status()).raftTerm;
    const moved = await printed(cluster.ctl(['move-leader', targetId.toString(16)], [leader, target, other]));
    assert.equal(moved, `Leadership transferred from ${leaderId.toString(16)} to ${targetId.toString(16)}\n`);
    assert.equal(await cluster.leader(), target);
    assert.equal((await target.status()).raftTerm, term + 1n, 'one election');
    await leader.rpc.call('KV.Put', { key: 'after', value: 'v' });
  }),
);

test('a stopped leader hands over first, so that clients hardly wait', () =>
  withCluster(THREE, { flags: () => [] }, async (cluster) => {
    const leader = await cluster.leader();
    const [other] = await cluster.followers();
    await other!.rpc.call('KV.Put', { key: 'a', value: '1' });
    await leader.stop();
    const said = leader.server.log.map(({ text }) => text);
    assert(
      said.some((text) => text.includes('leadership transfer finished')),
      said.slice(-20).join('\n'),
    );
    await eventually('a put', async () => (await other!.rpc.outcome('KV.Put', { key: 'a', value: '2' })).ok);
  }));

test(
  'defragmentation of one member while the others serve; a snapshot of a follower',
  needs('etcd 3.5'),
  () =>
    withCluster(THREE, {}, async (cluster) => {
      const value = 'x'.repeat(20_000);
      for (let i = 0; i < 20; i++) {
        await Promise.all(
          Array.from({ length: 20 }, (_, j) =>
            cluster.at(j % 3).rpc.call('KV.Put', { key: `k${i % 4}/${j}`, value }),
          ),
        );
      }
      const { header } = await cluster.at(0).rpc.call('KV.Put', { key: 'last', value: 'v' });
      await cluster.at(0).rpc.call('KV.Compact', { revision: header!.revision, physical: true });
      const [follower] = await cluster.followers();
      const others = cluster.members.filter((member) => member !== follower);
      const before = (await follower!.status()).dbSize;
      let isOver = false;
      let served = 0;
      const serving = (async (): Promise<void> => {
        for (let i = 0; !isOver; i++) {
          await others[i % 2]!.rpc.call('KV.Put', { key: 'meanwhile', value: String(i) }, 1000);
          served++;
        }
      })();
      assert.match(
        await printed(cluster.ctl(['defrag'], [follower!])),
        /^Finished defragmenting etcd member/,
      );
      isOver = true;
      await serving;
      assert(served > 0);
      await cluster.assertSameContents();
      const after = (await follower!.status()).dbSize;
      assert(after < before / 2n, `${before} bytes, afterwards ${after}`);
      await snapshotIsWhole(cluster, follower!);
    }),
);

async function snapshotIsWhole(cluster: Cluster, member: ClusterMember): Promise<void> {
  const file = join(temporaryDirectory(), 'snapshot.db');
  await printed(cluster.ctl(['snapshot', 'save', file], [member]));
  const dataDir = join(temporaryDirectory(), 'restored');
  const restored = await run(peer('3.5', 'etcdutl'), ['snapshot', 'restore', file, `--data-dir=${dataDir}`]);
  assert.equal(restored.code, 0, restored.stderr);
  const server = await EtcdServer.start({ dataDir });
  try {
    assert.equal(
      await printed(run(peer('3.5', 'etcdctl'), [`--endpoints=${server.address}`, 'get', 'last'])),
      'last\nv\n',
    );
  } finally {
    await server.stop();
  }
}

test('a cluster grows and shrinks while it serves', needs('etcd 3.5'), () => {
  const beganMs = performance.now();
  return withCluster(THREE, {}, async (cluster) => {
    for (let i = 0; i < 50; i++) await cluster.at(i % 3).rpc.call('KV.Put', { key: `k${i}`, value: 'v' });
    await refusedWhenNewlyStarted(cluster, beganMs);
    await learnerIsPromoted(cluster);
    const voter = await cluster.add('ours');
    await cluster.assertSameContents();
    assert.equal((await cluster.memberList(voter)).length, 5);
    await refusals(cluster);
    await updated(cluster);
    await removedMemberEnds(cluster, await cluster.leader());
    await removedMemberEnds(cluster, (await cluster.followers())[0]!);
    assert.equal((await cluster.memberList()).length, 3);
    await cluster.assertSameContents();
  });
});

/** The first seconds of a cluster, in which no member has been connected for long enough; on a slow machine they may be over. */
async function refusedWhenNewlyStarted(cluster: Cluster, beganMs: number): Promise<void> {
  const { peerPort } = await cluster.plan('ours');
  const { rpc } = cluster.at(0);
  const outcome = await rpc.outcome('Cluster.MemberAdd', { peerURLs: [`http://127.0.0.1:${peerPort}`] });
  if (outcome.ok) {
    assert(
      performance.now() - beganMs > MIN_CONNECTED_MS,
      'members can not have been connected for long enough',
    );
    const { member } = outcome.value as { readonly member: { readonly ID: bigint } };
    await rpc.call('Cluster.MemberRemove', { ID: member.ID });
    return;
  }
  const expected = { ok: false, code: UNAVAILABLE, details: 'etcdserver: unhealthy cluster' };
  assert.deepEqual(outcome, expected);
}

async function learnerIsPromoted(cluster: Cluster): Promise<void> {
  await sleep(CONNECTED_MS);
  const options = await cluster.plan('ours');
  const peerUrl = `http://127.0.0.1:${options.peerPort}`;
  const added = await printed(
    cluster.ctl(['member', 'add', options.name!, '--learner', `--peer-urls=${peerUrl}`]),
  );
  const id = /^Member +([0-9a-f]+) added to cluster/.exec(added)?.[1];
  assert(id !== undefined, added);
  const ID = BigInt(`0x${id}`);
  const follower = (await cluster.followers())[0]!;
  const leader = await cluster.leader();
  const early = {
    ok: false,
    code: FAILED_PRECONDITION,
    details: 'etcdserver: can only promote a learner member which is in sync with leader',
  };
  // Whoever is asked, the leader decides.
  for (const { rpc } of [leader, follower])
    assert.deepEqual(await rpc.outcome('Cluster.MemberPromote', { ID }), early);
  assert.deepEqual(await leader.rpc.outcome('Cluster.MemberPromote', { ID: await follower.id() }), {
    ok: false,
    code: FAILED_PRECONDITION,
    details: 'etcdserver: can only promote a learner member',
  });
  const learner = await cluster.join('ours', options);
  await learner.server.ready();
  assert.equal((await learner.status()).isLearner, true);
  assert.match(
    ((await learner.rpc.outcome('KV.Put', { key: 'a', value: 'b' })) as { details: string }).details,
    /learner/,
  );
  await eventually('the learner is promoted', async () => {
    const ended = await cluster.ctl(['member', 'promote', id], [follower]);
    if (ended.code === 0) return true;
    assert.match(ended.stderr, /in sync with leader/);
    return false;
  });
  await eventually('it votes', async () => !(await learner.status()).isLearner);
  await learner.rpc.call('KV.Put', { key: 'through the new member', value: 'v' });
}

async function refusals(cluster: Cluster): Promise<void> {
  const { rpc, peerUrl } = cluster.at(0);
  const refused = async (
    method: 'MemberAdd' | 'MemberRemove' | 'MemberUpdate' | 'MemberPromote',
    request: object,
  ) => {
    const outcome = await rpc.outcome(`Cluster.${method}`, request);
    assert(!outcome.ok, `${method} is allowed`);
    return [outcome.code, outcome.details];
  };
  const notFound = [NOT_FOUND, 'etcdserver: member not found'];
  assert.deepEqual(await refused('MemberRemove', { ID: 12345n }), notFound);
  assert.deepEqual(await refused('MemberPromote', { ID: 12345n }), notFound);
  assert.deepEqual(await refused('MemberUpdate', { ID: 12345n, peerURLs: ['http://127.0.0.1:1'] }), notFound);
  const exists = [FAILED_PRECONDITION, 'etcdserver: Peer URLs already exists'];
  await sleep(CONNECTED_MS);
  assert.deepEqual(await refused('MemberAdd', { peerURLs: [peerUrl] }), exists);
  assert.deepEqual(
    await refused('MemberUpdate', { ID: await cluster.at(1).id(), peerURLs: [peerUrl] }),
    exists,
  );
  const badUrls = [INVALID_ARGUMENT, 'etcdserver: given member URLs are invalid'];
  assert.deepEqual(await refused('MemberAdd', { peerURLs: ['nonsense'] }), badUrls);
  assert.deepEqual(await refused('MemberAdd', { peerURLs: [] }), badUrls);
}

async function updated(cluster: Cluster): Promise<void> {
  const [, second, third] = cluster.members;
  const id = await third!.id();
  // A further URL under which it answers as well, and back.
  const peerURLs = [third!.peerUrl, `http://localhost:${third!.server.peerPort}`].sort();
  await printed(cluster.ctl(['member', 'update', id.toString(16), `--peer-urls=${peerURLs.join(',')}`]));
  for (const through of cluster.members) {
    const listed = (await cluster.memberList(through)).find(({ ID }) => ID === id);
    assert.deepEqual(listed?.peerURLs, peerURLs);
  }
  await second!.rpc.call('Cluster.MemberUpdate', { ID: id, peerURLs: [third!.peerUrl] });
  await cluster.converge();
  await third!.rpc.call('KV.Put', { key: 'after an update', value: 'v' });
}

/** It stops by itself, in order, says why, and says so again when it is started again. */
async function removedMemberEnds(cluster: Cluster, member: ClusterMember): Promise<void> {
  await cluster.remove(member);
  const ended = await member.server.ended;
  assert.equal(ended.code, 0, member.server.lastLines());
  assert.match(ended.stderr, /the member has been permanently removed from the cluster/);
  // Its end came to its end: what it has left has been looked at, which is the last thing that it does.
  if (!isGo(SUBJECT) && process.env['ETCD_VERIFY'] === 'all')
    assert.match(ended.stderr, /verification of persisted state successful","data-dir"/);
  const again = await EtcdServer.launch({ ...member.options, program: member.server.program });
  const endedAgain = await again.ended;
  // Real etcd ends with 1 now and then, when the end comes between its start and its readiness.
  if (!isGo(SUBJECT)) assert.equal(endedAgain.code, 0, again.lastLines());
  assert.match(endedAgain.stderr, /the member has been permanently removed from the cluster/);
  await cluster.leader();
  await cluster.at(0).rpc.call('KV.Put', { key: `without ${member.name}`, value: 'v' });
}

test('strict reconfiguration keeps a cluster able to decide', () =>
  withCluster(THREE, {}, async (cluster) => {
    await sleep(CONNECTED_MS);
    const [follower, other] = (await cluster.followers()) as [ClusterMember, ClusterMember];
    const leader = await cluster.leader();
    const ids = { follower: await follower.id(), other: await other.id(), leader: await leader.id() };
    const linesBefore = leader.server.log.length;
    await follower.kill();
    await eventually('the leader notices', () =>
      leader.server.log.slice(linesBefore).some(({ msg }) => msg.startsWith('peer became inactive')),
    );
    // Two of three are left, and without one of them the other could decide nothing.
    assert.deepEqual(await leader.rpc.outcome('Cluster.MemberRemove', { ID: ids.other }), {
      ok: false,
      code: UNAVAILABLE,
      details: 'etcdserver: unhealthy cluster',
    });
    // The dead one may be removed; what is left is a cluster of two.
    await leader.rpc.call('Cluster.MemberRemove', { ID: ids.follower });
    cluster.forget(follower);
    const { peerPort } = await cluster.plan('ours');
    const add = (isLearner: boolean, port: number) =>
      leader.rpc.outcome('Cluster.MemberAdd', { peerURLs: [`http://127.0.0.1:${port}`], isLearner });
    const added = await add(false, peerPort);
    assert(
      added.ok,
      JSON.stringify(added, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
    );
    // A member that was added and never started counts as missing.
    const second = await add(false, peerPort + 1);
    assert(!second.ok);
    assert.deepEqual(
      [second.code, second.details],
      [UNKNOWN, 'etcdserver: re-configuration failed due to not enough started members'],
    );
    await leader.rpc.call('KV.Put', { key: 'still', value: 'serving' });
  }));

test('five members serve without two, and stop without three', needs('etcd 3.5'), () =>
  withCluster(FIVE, {}, async (cluster) => {
    for (const { rpc } of cluster.members) await rpc.call('KV.Put', { key: 'a', value: 'b' });
    const leader = await cluster.leader();
    const [first, second, third, last] = (await cluster.followers()) as ClusterMember[];
    await Promise.all([leader.kill(), first!.kill()]);
    await cluster.leader();
    for (const { rpc } of cluster.running) await rpc.call('KV.Put', { key: 'without two', value: 'v' });
    await third!.kill();
    // Only two are left: nothing is promised that could be taken back.
    const put = await last!.rpc.outcome('KV.Put', { key: 'without three', value: 'v' }, 2000);
    assert.equal(put.ok, false);
    const read = await last!.rpc.outcome('KV.Range', { key: 'a' }, 2000);
    assert.equal(read.ok, false);
    const local = await last!.rpc.call('KV.Range', { key: 'a', serializable: true });
    assert.equal(local.kvs[0]?.value.toString(), 'b');
    const list = (linearizable: boolean) =>
      last!.rpc.outcome('Cluster.MemberList', { linearizable }, 2000).then((outcome) => outcome.ok);
    assert.deepEqual([await list(false), await list(true)], [true, false]);
    assert.match((await second!.status()).errors.join(), /no leader/);
    await Promise.all([leader, first!, third!].map((member) => member.start()));
    await cluster.leader();
    for (const { rpc } of cluster.members) await rpc.call('KV.Put', { key: 'five again', value: 'v' });
    await cluster.assertSameContents();
  }),
);

test('a watch of etcdctl goes on when its member dies', needs('etcd 3.5'), () =>
  withCluster(THREE, { flags: () => QUICK_ELECTION }, async (cluster) => {
    const [follower, other] = (await cluster.followers()) as [ClusterMember, ClusterMember];
    const watch = new Running(peer('3.5', 'etcdctl'), [
      `--endpoints=${follower.address},${other.address}`,
      'watch',
      'w',
    ]);
    try {
      await sleep(1000);
      await other.rpc.call('KV.Put', { key: 'w', value: 'before' });
      await watch.waitForStdout((text) => text.includes('before'));
      await follower.kill();
      await other.rpc.call('KV.Put', { key: 'w', value: 'after' });
      await watch.waitForStdout((text) => text.includes('after'), 20_000);
    } finally {
      watch.kill();
      await watch.ended;
    }
  }),
);
