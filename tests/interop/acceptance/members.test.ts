/** A cluster looked at and changed with the command lines of Kubernetes' page on operating etcd: a failed member replaced, five members made of three. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Running } from '../../support/run.ts';
import { FOUNDERS, foundingFlags, memberLine } from './founders.ts';
import { needsTestNetwork, TestNetwork } from './test-network.ts';

describe('a cluster of three', needsTestNetwork(), () => {
  let network: TestNetwork;
  const servers = new Map<string, Running>();
  const three = FOUNDERS.slice(0, 3);
  let ids: Map<string, string>;

  before(async () => {
    network = await TestNetwork.make();
    await Promise.all(
      three.map(async (member) => {
        servers.set(member.name, await network.serve(memberLine(member, foundingFlags(member, three))));
      }),
    );
  });
  after(() => network.close());

  async function list(): Promise<string> {
    return await network.ok('etcdctl --endpoints=http://10.0.0.2,http://10.0.0.3 member list');
  }

  test('its members are listed, by endpoints without a port', async () => {
    const rows = (await list()).trim().split('\n');
    assert.deepEqual(rows.map((row) => row.split(', ').slice(1, 5).join(' ')).sort(), [
      'started member1 http://10.0.0.1:2380 http://10.0.0.1:2379',
      'started member2 http://10.0.0.2:2380 http://10.0.0.2:2379',
      'started member3 http://10.0.0.3:2380 http://10.0.0.3:2379',
    ]);
    ids = new Map(rows.map((row) => [row.split(', ')[2] ?? '', row.split(', ')[0] ?? '']));
    const order = [...ids.values()].map((id) => BigInt(`0x${id}`));
    assert.deepEqual(
      order.toSorted((a, b) => (a < b ? -1 : 1)),
      order,
    );
  });

  test('a member that has failed is replaced by another', async () => {
    await network.ok('etcdctl --endpoints=http://10.0.0.2 put kept "what was there"');
    servers.get('member1')?.kill('SIGKILL');
    await servers.get('member1')?.ended;
    const env = { ETCDCTL_ENDPOINTS: 'http://10.0.0.2,http://10.0.0.3' };
    const removed = await network.ok(`etcdctl member remove ${ids.get('member1')}`, { env });
    assert.match(
      removed,
      new RegExp(`^Member +${ids.get('member1')} removed from cluster [0-9a-f ]{16}\\n$`),
    );
    // Those that stay must have been connected for five seconds.
    const add = 'etcdctl member add member4 --peer-urls=http://10.0.0.4:2380';
    const added = await network.ok(`for i in $(seq 60); do ${add} && break || sleep 1; done`, { env });
    assert.match(added, /^Member [0-9a-f ]{16} added to cluster [0-9a-f ]{16}\n\nETCD_NAME="member4"\n/);
    assert.match(added, /^ETCD_INITIAL_CLUSTER=".*member4=http:\/\/10\.0\.0\.4:2380.*"$/m);
    assert.match(added, /^ETCD_INITIAL_CLUSTER_STATE="existing"$/m);
    const second = await network.run('etcdctl member add member5 --peer-urls=http://10.0.0.5:2380', { env });
    assert.equal(second.code, 1);
    assert.match(
      second.stderr,
      /re-configuration failed due to not enough started members|unhealthy cluster/,
    );
    const exports = `export ETCD_NAME="member4"
export ETCD_INITIAL_CLUSTER="member2=http://10.0.0.2:2380,member3=http://10.0.0.3:2380,member4=http://10.0.0.4:2380"
export ETCD_INITIAL_CLUSTER_STATE=existing
`;
    const flags = memberLine(FOUNDERS[3] ?? assert.fail(), '').replace('--name member4 ', '');
    const own = '--initial-advertise-peer-urls http://10.0.0.4:2380 --initial-cluster-token etcd-cluster-1';
    const both = await network.run(`${exports}etcd --name member4`);
    assert.equal(both.code, 1);
    assert.match(both.stderr, /shadowed by corresponding command-line flag/);
    servers.set('member4', await network.serve(`${exports}exec ${flags} ${own}`));
    const health = await network.ok('etcdctl --endpoints=http://10.0.0.4 endpoint health --cluster');
    assert.equal(health.match(/is healthy/g)?.length, 3);
    assert.equal(
      await network.ok('etcdctl --endpoints=http://10.0.0.4 get kept --print-value-only'),
      'what was there\n',
    );
    const old = await network.run(memberLine(FOUNDERS[0] ?? assert.fail(), ''), { timeoutMs: 60_000 });
    assert.equal(old.code, 0, old.stderr);
    assert.match(old.stderr, /permanently removed/);
  });

  test('it grows to five, one member at a time', async () => {
    const env = { ETCDCTL_ENDPOINTS: 'http://10.0.0.2,http://10.0.0.3,http://10.0.0.4' };
    for (const member of [FOUNDERS[4], { name: 'member6', host: '10.0.0.6' }]) {
      assert.ok(member !== undefined);
      const add = `etcdctl member add ${member.name} --peer-urls=http://${member.host}:2380`;
      // Members must have been connected for five seconds.
      const told = await network.ok(`for i in $(seq 60); do ${add} && break || sleep 1; done`, { env });
      const cluster = /ETCD_INITIAL_CLUSTER="(.*)"/.exec(told)?.[1];
      const flags = `--initial-advertise-peer-urls http://${member.host}:2380 --initial-cluster ${cluster} --initial-cluster-state existing`;
      servers.set(member.name, await network.serve(memberLine(member, flags)));
    }
    const health = await network.ok('etcdctl endpoint health --cluster', { env });
    assert.equal(health.match(/is healthy/g)?.length, 5);
  });

  test('help is there', async () => {
    const help = await network.ok('ETCDCTL_API=3 etcdctl -h');
    for (const name of ['snapshot', 'member', 'endpoint']) assert.match(help, new RegExp(`^ +${name} `, 'm'));
  });
});
