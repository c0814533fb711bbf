/** Keys printed, snapshots saved, looked at and restored, with the documents' command lines. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needsTestNetwork, TestNetwork } from './test-network.ts';

describe('keys, snapshots and what is made of them', needsTestNetwork(), () => {
  let network: TestNetwork;
  const value = Buffer.concat([Buffer.from('k8s:enc:aescbc:v1:key1:'), Buffer.from([0, 255, 10, 200, 128])]);

  before(async () => {
    network = await TestNetwork.make();
    await network.serve('etcd');
    await network.ok(
      `printf '${[...value].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}' > value && etcdctl put /registry/secrets/default/kubernetes-the-hard-way < value`.replaceAll(
        '\\x00',
        '\\x01',
      ),
    );
    for (let i = 0; i < 5; i++) await network.ok(`etcdctl put k${i} v${i}`);
  });
  after(() => network.close());

  const snapshotFile = (): string => join(network.home, 'snapshot.db');

  test('a value is printed byte by byte', async () => {
    const dump = await network.ok(
      'etcdctl get /registry/secrets/default/kubernetes-the-hard-way | hexdump -C',
    );
    const bytes = dump
      .split('\n')
      .flatMap((line) => line.slice(8, 58).trim().split(/\s+/))
      .filter((pair) => pair !== '')
      .map((pair) => Number.parseInt(pair, 16));
    const expected = Buffer.from(value).map((byte) => (byte === 0 ? 1 : byte));
    const key = '/registry/secrets/default/kubernetes-the-hard-way\n';
    assert.deepEqual(Buffer.from(bytes), Buffer.concat([Buffer.from(key), expected, Buffer.from('\n')]));
  });

  test('a snapshot is saved from one member, and only from one', async () => {
    const env = { ENDPOINT: 'http://127.0.0.1:2379' };
    const saved = await network.ok('ETCDCTL_API=3 etcdctl --endpoints $ENDPOINT snapshot save snapshot.db', {
      env,
    });
    assert.match(saved, /^Snapshot saved at snapshot\.db\n/);
    assert.equal(statSync(snapshotFile()).size % 512, 32);
    assert.match(await network.ok('etcdctl snapshot save snapshot.db'), /^Snapshot saved at snapshot\.db\n/);
    const several = await network.run(
      'etcdctl --endpoints=127.0.0.1:2379,127.0.0.1:1 snapshot save other.db',
    );
    assert.equal(several.code, 5);
    assert.match(several.stderr, /^Error: snapshot must be requested to one selected node, not multiple \[/m);
    assert.equal((await network.run('etcdctl snapshot save')).code, 128);
    assert.deepEqual(
      readdirSync(network.home).filter((name) => /other|part/.test(name)),
      [],
    );
  });

  test('its status is a table of four columns', async () => {
    for (const line of [
      'ETCDCTL_API=3 etcdctl --write-out=table snapshot status snapshot.db',
      'etcdctl  --write-out=table snapshot status snapshot.db',
    ]) {
      const lines = (await network.ok(line)).split('\n');
      assert.match(lines[1] ?? '', /^│ +HASH +│ +REVISION +│ +TOTAL KEYS +│ +TOTAL SIZE +│$/);
      assert.match(lines[3] ?? '', /^│ +[0-9a-f]{1,8} │ +\d+ │ +\d+ │ +[0-9.]+ [kM]B │$/);
    }
  });

  test('it is restored, with the flag of the leaf command before it', async () => {
    await network.ok('ETCDCTL_API=3 etcdctl --data-dir first snapshot restore snapshot.db');
    await network.ok(`export ETCDCTL_API=3
etcdctl --data-dir second snapshot restore snapshot.db`);
    const { code, stdout, stderr } = await network.run(
      'etcdctl --data-dir /tmp/etcd-acceptance/ snapshot restore snapshot.db; rc=$?; rm -r /tmp/etcd-acceptance; exit $rc',
    );
    assert.deepEqual([code, stdout], [0, '']);
    const [deprecated, blank, ...log] = stderr.trim().split('\n');
    assert.deepEqual([deprecated, blank], ['Deprecated: Use `etcdutl snapshot restore` instead.', '']);
    const messages = log.map((line) => line.split('\t')[2]);
    assert.deepEqual(messages, [
      'restoring snapshot',
      'Trimming membership information from the backend...',
      'added member',
      'restored snapshot',
    ]);
    assert.match(stderr, /"cluster-id": "cdf818194e3a8c32".*"added-peer-id": "8e9e05c52164694d"/);
    assert.match(stderr, /"data-dir": "\/tmp\/etcd-acceptance\/"/);
    const there = await network.run('etcdctl --data-dir first snapshot restore snapshot.db');
    assert.equal(there.code, 1);
    assert.match(there.stderr, /^Error: data-dir "first" not empty or could not be read$/m);
    const env = { ETCDCTL_DATA_DIR: 'elsewhere' };
    await network.ok(
      'etcdctl snapshot restore snapshot.db --name unnamed --initial-cluster unnamed=http://localhost:2380',
      { env },
    );
    assert.deepEqual(
      [existsSync(join(network.home, 'elsewhere')), existsSync(join(network.home, 'unnamed.etcd'))],
      [false, true],
    );
    const other = await network.run('etcdctl snapshot restore snapshot.db --name foo --data-dir third');
    assert.match(other.stderr, /couldn't find local name "foo" in the initial cluster configuration/);
    assert.equal(existsSync(join(network.home, 'third')), false);
  });

  test('a changed byte, and a file that is not a snapshot, are refused and leave nothing', async () => {
    const bytes = readFileSync(snapshotFile());
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    await network.ok(
      `cp snapshot.db flipped.db && printf '\\x${(bytes[5000] ?? 0).toString(16).padStart(2, '0')}' | dd of=flipped.db bs=1 seek=5000 conv=notrunc 2>/dev/null && head -c 5000 /dev/urandom > noise.db`,
    );
    for (const [name, message] of [
      ['flipped', /^Error: expected sha256 \[.*\], got \[.*\]$/m],
      ['noise', /^Error: snapshot missing hash/m],
    ] as const) {
      const { code, stderr } = await network.run(
        `etcdctl snapshot restore ${name}.db --data-dir ${name}.etcd`,
      );
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.equal(existsSync(join(network.home, `${name}.etcd`)), false);
    }
    assert.equal((await network.run('etcdctl snapshot status noise.db')).code, 1);
  });
});
