/** The database of a stopped member as a snapshot, and a copied data directory as what a volume's snapshot is. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needsTestNetwork, stop, TestNetwork } from './test-network.ts';

describe('a stopped member', needsTestNetwork(), () => {
  let network: TestNetwork;
  before(async () => {
    network = await TestNetwork.make();
  });
  after(() => network.close());

  test('a copied database, and a copied directory, are as good', async () => {
    const server = await network.serve('etcd');
    for (let i = 0; i < 5; i++) await network.ok(`etcdctl put k${i} v${i}`);
    const running = await network.run('etcdadm restore --snapshot default.etcd --data-dir early');
    assert.match(running.stderr, /process \d+ has it open; a running member is asked for a snapshot/);
    await stop(server);
    cpSync(join(network.home, 'default.etcd/member/snap/db'), join(network.home, 'copied.db'));
    const bare = await network.run('etcdctl snapshot restore copied.db --data-dir copied');
    assert.equal(bare.code, 1);
    assert.match(bare.stderr, /^Error: snapshot missing hash but --skip-hash-check=false$/m);
    await network.ok('etcdctl snapshot restore copied.db --data-dir copied --skip-hash-check');
    // Which sees by itself that there is no digest.
    await network.ok('etcdadm restore --snapshot copied.db --data-dir adopted');
    mkdirSync(join(network.home, 'volume'));
    cpSync(join(network.home, 'default.etcd'), join(network.home, 'volume/default.etcd'), {
      recursive: true,
    });
    for (const dataDir of ['copied', 'adopted', 'volume/default.etcd']) {
      const restored = await network.serve(`etcd --data-dir ${dataDir}`);
      assert.equal(await network.ok('etcdctl get k4'), 'k4\nv4\n', dataDir);
      await stop(restored);
    }
  });
});
