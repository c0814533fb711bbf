/** The operator with real members in network namespaces, before an API server that keeps whatever it is given. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WORKLOADS } from '../../support/kubernetes/kubelet.ts';
import { CLUSTERS, OperatorWorld } from '../../support/kubernetes/operator-world.ts';
import { needsNamespaces } from '../../support/namespaces.ts';
import { needs } from '../../support/programs.ts';
import { eventually } from '../../support/run.ts';

const SECRETS = '/api/v1/secrets';

test('a cluster of Go etcd is made from its declaration, repaired, taken to this program and to another size, and unmade', {
  ...needs('etcd 3.6'),
  ...needsNamespaces(),
}, async () => {
  const world = new OperatorWorld();
  try {
    await world.start();
    const storageSpec = { volumeSizeRequest: '1Gi' };
    const tls = { providerCfg: { autoCfg: { altNames: { ipAddresses: world.addresses } } } };
    world.declare({ size: 3, version: 'v3.6.4', storageSpec, tls, volumeReclaimPolicy: 'Delete' });
    await world.available('three members');
    assert.equal(world.cluster.status?.memberCount, 3);
    await using client = world.client([0, 1, 2]);
    await client.kv.put('a', '1');
    const before = await client.cluster.memberList();

    world.kubelet.kill('c-1');
    await world.kubelet.loseMachine('n', 'c-2');
    await eventually('another member in its place', async () => {
      const { members } = await client.cluster.memberList();
      return !members.some(({ id }) => id === before.members.find(({ name }) => name === 'c-2')!.id);
    });
    await world.available('repaired');
    const repaired = await client.cluster.memberList();
    assert.deepEqual(repaired.members.map(({ name, isLearner }) => `${name} ${isLearner}`).sort(), [
      'c-0 false',
      'c-1 false',
      'c-2 false',
    ]);

    // Another authority: members are restarted to trust it, and then show what it signs.
    const former = world.secret('ca', 'tls.crt');
    world.server.delete(SECRETS, 'n', 'c-ca-tls');
    await eventually('certificates by another authority', () => world.isSignedAnew(former));
    await world.available('with them');

    world.change({ imageRegistry: 'ours', version: 'v3.7.3' });
    await world.available('the next release');
    for (let i = 0; i < 3; i++) {
      await using member = world.client([i]);
      assert.match((await member.maintenance.status()).version, /^3\.7\./);
    }
    world.change({ version: 'v3.9.0' });
    await eventually('refused', () => world.cluster.status?.conditions?.[2]?.reason === 'UpgradeRefused');
    world.change({ version: 'v3.7.3', size: 1 });
    await world.available('one member');
    await using last = world.client([0]);
    assert.equal((await last.cluster.memberList()).members.length, 1);
    assert.equal((await last.kv.get('a')).kvs.length, 1);

    world.server.delete(CLUSTERS, 'n', 'c');
    await eventually('gone', () => world.server.list(CLUSTERS).length === 0);
    assert.equal(world.server.list(WORKLOADS).length, 0);
    assert.equal(world.server.list('/api/v1/persistentvolumeclaims').length, 0);
  } finally {
    await world.stop();
  }
});
