/** Backups and restores by the operator, with `etcdadm` as its worker and real members. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLUSTERS, OperatorWorld } from '../../support/kubernetes/operator-world.ts';
import { needsNamespaces } from '../../support/namespaces.ts';
import { eventually } from '../../support/run.ts';

const GROUP = '/apis/operator.etcd.io/v1alpha1';
const BACKUPS = `${GROUP}/etcdbackups`;
const RESTORES = `${GROUP}/etcdrestores`;
const VOLUMES = '/api/v1/persistentvolumeclaims';
const PODS = '/api/v1/pods';
const SECRETS = '/api/v1/secrets';

test('a cluster is backed up on its schedule, goes back to that backup, and leaves a last one when it goes', {
  ...needsNamespaces(),
}, async (t) => {
  const world = new OperatorWorld();
  t.after(() => world.stop());
  await world.start();
  const { server } = world;
  server.create(VOLUMES, 'n', { metadata: { name: 'backups' } });
  const passphrase = Buffer.from('correct horse').toString('base64');
  server.create(SECRETS, 'n', { metadata: { name: 'sealed' }, data: { passphrase } });
  const backup = {
    schedule: '6h',
    store: { persistentVolumeClaim: { claimName: 'backups', path: 'c' } },
    encryption: { passphraseSecret: 'sealed' },
    retention: { last: 2 },
    final: true,
  };
  const tls = { providerCfg: { autoCfg: { altNames: { ipAddresses: world.addresses } } } };
  const storageSpec = { volumeSizeRequest: '1Gi' };
  world.declare({ size: 1, version: 'v3.7.3', imageRegistry: 'ours', storageSpec, tls });
  await world.available('a member');
  await using client = world.client([0]);
  await client.kv.put('a', 'before');
  const put = await client.kv.put('b', 'before');

  world.change({ backup });
  const [made] = await eventually('a verified backup', () => {
    const all = server.list(BACKUPS).filter(({ status }) => status?.phase === 'Succeeded');
    return all.length > 0 && all;
  });
  assert.equal(made!.status?.isVerified, true);
  assert.equal(made!.status?.revision, put.header!.revision);
  await eventually('fresh', () =>
    world.cluster.status?.conditions?.some(
      ({ type, status }: { type: string; status: string }) => type === 'BackupFresh' && status === 'True',
    ),
  );

  await client.kv.put('a', 'after');
  await client.kv.delete('b');
  server.create(RESTORES, 'n', {
    metadata: { name: 'back' },
    spec: { clusterName: 'c', source: { backup: made!.metadata.name }, replacesData: true },
  });
  await eventually('restored', () => server.get(RESTORES, 'n', 'back')!.status?.phase === 'Succeeded');
  await world.available('a member again');
  await using restored = world.client([0]);
  const { kvs } = await restored.kv.get('a');
  assert.equal(Buffer.from(kvs[0]!.value).toString(), 'before');
  assert.equal((await restored.kv.get('b')).kvs.length, 1);
  const { header } = await restored.kv.put('a', 'on it goes');
  assert(header!.revision > 1_000_000_000, 'revisions go on beyond all that anybody has seen');

  server.delete(CLUSTERS, 'n', 'c');
  await eventually('gone', () => server.list(CLUSTERS).length === 0);
  const last = server.list(BACKUPS).filter(({ metadata }) => metadata.name.startsWith('c-final-'));
  assert.deepEqual(
    last.map(({ status }) => [status?.phase, status?.isVerified, status?.revision]),
    [['Succeeded', true, header!.revision]],
  );
  assert.deepEqual(
    server.list(PODS).map(({ metadata }) => metadata.name),
    [],
  );
});
