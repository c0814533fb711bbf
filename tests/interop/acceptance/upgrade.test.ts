/** An upgrade, one member after the other. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { needs, PEERS_DIR } from '../../support/programs.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { FOUNDERS, foundingFlags, memberLine } from './founders.ts';
import { needsTestNetwork, stop, TestNetwork } from './test-network.ts';

describe('an upgrade', needsTestNetwork(), () => {
  let network: TestNetwork;
  before(async () => {
    network = await TestNetwork.make();
  });
  after(() => network.close());

  test(
    'an upgrade from etcd 3.6, one member after the other, with a snapshot first',
    needs('etcd 3.6'),
    async () => {
      const cwd = temporaryDirectory();
      const three = FOUNDERS.slice(0, 3);
      const lines = three.map((member) => memberLine(member, foundingFlags(member, three)));
      const old = await Promise.all(
        lines.map((line) => network.serve(line, { cwd, path: `${PEERS_DIR}/3.6` })),
      );
      const env = { ETCDCTL_ENDPOINTS: three.map(({ host }) => `http://${host}:2379`).join() };
      await network.ok('etcdctl put k before', { env });
      await network.ok('etcdctl --endpoints=http://10.0.0.1:2379 snapshot save backup.db', { cwd });
      for (const [i, line] of lines.entries()) {
        const server = old[i];
        assert.ok(server !== undefined);
        await stop(server);
        await network.serve(line, { cwd });
        const health = await network.ok(
          'for i in $(seq 60); do etcdctl endpoint health && break || sleep 1; done',
          { env },
        );
        assert.ok((health.match(/is healthy/g)?.length ?? 0) >= 3, health);
        await network.ok(`etcdctl put upgraded ${i}`, { env });
      }
      assert.equal(await network.ok('etcdctl get k', { env }), 'k\nbefore\n');
      const status = await network.ok('etcdctl endpoint status', { env });
      const versions = status
        .trim()
        .split('\n')
        .map((row) => row.split(', ')[2]);
      assert.deepEqual(versions, ['3.7.3', '3.7.3', '3.7.3']);
      assert.equal(
        new Set(
          (await network.ok('etcdctl endpoint hashkv', { env }))
            .trim()
            .split('\n')
            .map((row) => row.split(', ')[1]),
        ).size,
        1,
      );
    },
  );
});
