/** A whole cluster restored from one snapshot, at other addresses. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { needs, PEERS_DIR } from '../../support/programs.ts';
import { FOUNDERS, foundingFlags, memberLine } from './founders.ts';
import { needsTestNetwork, stop, TestNetwork } from './test-network.ts';

describe('a whole cluster', { ...needs('etcd 3.7'), ...needsTestNetwork() }, () => {
  let network: TestNetwork;
  before(async () => {
    network = await TestNetwork.make();
  });
  after(() => network.close());

  test('a whole cluster is restored from one snapshot, and clients find it at other addresses', async () => {
    const three = FOUNDERS.slice(0, 3);
    const founded = await Promise.all(
      three.map((member) => network.serve(memberLine(member, foundingFlags(member, three)))),
    );
    const env = { ETCDCTL_ENDPOINTS: 'http://10.0.0.1:2379' };
    for (let i = 0; i < 10; i++) await network.ok(`etcdctl put /registry/${i} ${i}`, { env });
    await network.ok('etcdctl snapshot save backup.db', { env });
    await network.ok('etcdctl put /registry/late lost', { env });
    await Promise.all(founded.map(stop));
    for (const { name } of three) await network.ok(`mv -T ${name}.etcd ${name}.old`);
    // The same names at other addresses, from the same file: what is to be done on each host is done here.
    const moved = three.map(({ name }, i) => ({ name, host: `10.0.0.${6 + i}` }));
    const urls = moved.map(({ name, host }) => `${name}=http://${host}:2380`).join();
    const plan = await network.ok(`etcdadm restore --cluster --snapshot backup.db --initial-cluster ${urls}`);
    const commands = plan.match(/^ +etcdadm restore .*$/gm) ?? [];
    assert.equal(commands.length, moved.length);
    for (const command of commands) await network.ok(command.trim());
    // Whoever made the directory, any etcd goes on with it.
    const restored = await Promise.all(
      moved.map((member, i) =>
        network.serve(
          memberLine(member, foundingFlags(member, moved)),
          i === 2 ? { path: `${PEERS_DIR}/3.7` } : {},
        ),
      ),
    );
    const at = { ETCDCTL_ENDPOINTS: moved.map(({ host }) => `http://${host}:2379`).join() };
    const keys = await network.ok('etcdctl get /registry --prefix --keys-only', { env: at });
    assert.equal(keys.match(/\/registry\/\d/g)?.length, 10);
    assert.doesNotMatch(keys, /late/);
    // Who has watched the old cluster is told to begin anew.
    const watch = await network.run('etcdctl watch /registry --prefix --rev 5', { env: at });
    assert.match(watch.stderr + watch.stdout, /required revision has been compacted/);
    const health = await network.ok('etcdctl endpoint health --cluster', { env: at });
    assert.equal(health.match(/is healthy/g)?.length, 3);
    const hashes = await network.ok('etcdctl endpoint hashkv --cluster', { env: at });
    assert.equal(
      new Set(
        hashes
          .trim()
          .split('\n')
          .map((row) => row.split(', ')[1]),
      ).size,
      1,
    );
    await Promise.all(restored.map(stop));
  });
});
