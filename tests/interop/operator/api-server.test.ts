/** What is deployed, and what users declare, before Kubernetes' own API server: on an etcd of this checkout. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { ApiServer, type ManifestObject, needsApiServer } from '../../support/kubernetes/api-server.ts';
import {
  RELEASE,
  RELEASE_NAMESPACE,
  RENDERINGS,
  renderedObjects,
  WATCHED_NAMESPACE,
} from '../../support/kubernetes/chart.ts';
import { eventually } from '../../support/run.ts';

const DEPLOY = new URL('../../../deploy/operator/', import.meta.url);
const API_VERSION = 'operator.etcd.io/v1alpha1';

function documentsOf(name: string): ManifestObject[] {
  const documents = parseAllDocuments(readFileSync(new URL(name, DEPLOY), 'utf8'));
  return documents.map((document) => document.toJS() as ManifestObject);
}

const STORE = { persistentVolumeClaim: { claimName: 'backups' } };
const CLUSTER = { size: 3, version: 'v3.6.4', storageSpec: { volumeSizeRequest: '1Gi' } };

/** Kind, spec, and what the refusal says. */
const REFUSED: readonly (readonly [string, object, RegExp])[] = [
  ['EtcdCluster', { ...CLUSTER, size: 8 }, /spec.size.*less than or equal to 7/],
  ['EtcdCluster', { ...CLUSTER, sise: 3 }, /field not declared in schema/],
  ['EtcdCluster', { ...CLUSTER, tls: { provider: 'cert-manager' } }, /needs providerCfg.certManagerCfg/],
  ['EtcdCluster', { ...CLUSTER, backup: { store: STORE } }, /spec.backup.encryption: Required/],
  [
    'EtcdBackup',
    { clusterName: 'c', store: {}, encryption: { none: true } },
    /one of persistentVolumeClaim and s3/,
  ],
  [
    'EtcdBackup',
    { clusterName: 'c', store: STORE, encryption: { none: true, passphraseSecret: 'p' } },
    /one of recipients, passphraseSecret and none/,
  ],
  ['EtcdRestore', { clusterName: 'c', source: {} }, /one of backup and store/],
];

test('definitions, manifests and examples are accepted by the API server, and wrong declarations are not', {
  ...needsApiServer(),
}, async (t) => {
  const server = await ApiServer.start(false);
  t.after(() => server.stop());
  for (const definition of documentsOf('definitions.yaml')) await server.apply(definition);
  for (const manifest of documentsOf('operator.yaml')) await server.apply(manifest);
  // The chart's selects its pods by the release, too, and selectors never change.
  const deployments = { group: '/apis/apps/v1', plural: 'deployments' };
  await server.api.delete(deployments, RELEASE_NAMESPACE, RELEASE);
  await server.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: WATCHED_NAMESPACE } });
  for (const name of Object.keys(RENDERINGS)) {
    for (const object of renderedObjects(name)) {
      // Its definition is that of the Prometheus operator.
      if (object.kind !== 'PodMonitor') await server.apply(object);
    }
  }
  const [example] = documentsOf('example.yaml');
  const at = (name: string, kind: string, spec: object): ManifestObject => ({
    apiVersion: API_VERSION,
    kind,
    metadata: { name, namespace: 'default' },
    spec,
  });
  const example2 = { ...example!, metadata: { ...example!.metadata, namespace: 'default' } };
  await eventually('the definitions are in force', async () => {
    try {
      await server.apply(example2);
      return true;
    } catch (error) {
      if (/could not find the requested resource/.test((error as Error).message)) return false;
      throw error;
    }
  });
  for (const [kind, spec, refusal] of REFUSED)
    await assert.rejects(server.apply(at('wrong', kind, spec)), refusal, JSON.stringify(spec));
  const backup = { store: STORE, encryption: { recipients: ['age1x'], identitySecret: 'i' } };
  const all = {
    ...CLUSTER,
    tls: {},
    backup: { ...backup, schedule: '6h' },
    repair: { restoreAfterQuorumLossSeconds: 600 },
  };
  await server.apply(at('all', 'EtcdCluster', all));
  await assert.rejects(
    server.apply(at('all', 'EtcdCluster', { ...all, storageSpec: undefined })),
    /storageSpec can not be added/,
  );
  await server.apply(at('b', 'EtcdBackup', { clusterName: 'all', ...backup }));
  await assert.rejects(
    server.apply(at('b', 'EtcdBackup', { clusterName: 'other', ...backup })),
    /a backup is made once/,
  );
  await server.apply(at('s', 'EtcdBackupSchedule', { clusterName: 'all', schedule: '6h', ...backup }));
  await server.apply(at('r', 'EtcdRestore', { clusterName: 'all', source: { backup: 'b' } }));
});
