import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterSpec } from './etcd-cluster.ts';
import { parseRelease, upgradeProblem } from './release.ts';

function problemsOf(spec: unknown): string[] {
  const parsed = parseClusterSpec(spec);
  return parsed.ok ? [] : parsed.problems.map(({ field, problem }) => `${field} ${problem}`);
}

test('a declaration needs a size and a version; the rest has defaults', () => {
  assert.deepEqual(parseClusterSpec({ size: 3, version: 'v3.6.4' }), {
    ok: true,
    spec: {
      size: 3,
      version: 'v3.6.4',
      imageRegistry: 'gcr.io/etcd-development/etcd',
      storage: null,
      tls: null,
      etcdOptions: [],
      podTemplate: {
        labels: {},
        annotations: {},
        affinity: null,
        nodeSelector: {},
        tolerations: [],
        priorityClassName: null,
        resources: null,
      },
      paused: false,
      repair: { replaceSilentAfterSeconds: null, restoreAfterQuorumLossSeconds: null },
      maintenance: { windows: [], defragmentation: null },
      backup: null,
      deletesVolumes: false,
    },
  });
  const storageSpec = { storageClassName: 'fast', volumeSizeRequest: '1Gi' };
  const parsed = parseClusterSpec({ size: 1, version: 'v3.6.4', storageSpec });
  assert(parsed.ok);
  assert.deepEqual(parsed.spec.storage, {
    accessModes: 'ReadWriteOnce',
    storageClassName: 'fast',
    volumeSizeRequest: '1Gi',
    volumeSizeLimit: '1Gi',
  });
});

test('everything that is wrong with a declaration is told at once', () => {
  assert.deepEqual(problemsOf(null), [
    'spec must be an object',
    'spec.size must be an integer from 1 to 7',
    'spec.version must be a text that is not empty',
  ]);
  const wrong = {
    size: 2.5,
    version: 3,
    imageRegistry: '',
    storageSpec: { accessModes: 'Some', volumeSizeRequest: 'much' },
    etcdOptions: [
      '--name=x',
      'heartbeat',
      7,
      '--initial-cluster-state existing',
      '--heartbeat-interval=100',
      '--wal-dir=/var/lib/etcd/wal',
      '--config-file=/c',
    ],
    paused: 'yes',
    repair: { replaceSilentAfterSeconds: 1 },
    volumeReclaimPolicy: 'Keep',
    tls: {
      provider: 'cert-manager',
      providerCfg: { certManagerCfg: { altNames: { ipAddresses: ['here'] }, validityDuration: '1m' } },
    },
    podTemplate: { metadata: { labels: { 'operator.etcd.io/cluster': 'x' } }, spec: { tolerations: 7 } },
  };
  assert.deepEqual(problemsOf(wrong), [
    'spec.size must be an integer from 1 to 7',
    'spec.version must be a text that is not empty',
    'spec.imageRegistry must be a text that is not empty',
    'spec.storageSpec.volumeSizeRequest much is no quantity, as 1Gi is',
    'spec.storageSpec.accessModes must be ReadWriteOnce or ReadWriteMany',
    'spec.storageSpec.volumeSizeLimit much is no quantity, as 1Gi is',
    'spec.tls.providerCfg.certManagerCfg.altNames.ipAddresses here is no address',
    'spec.tls.providerCfg.certManagerCfg.issuerName must be a text that is not empty',
    'spec.tls.providerCfg.certManagerCfg.validityDuration must be from 3600 s to 157680000 s',
    'spec.etcdOptions[0] is set by the operator',
    'spec.etcdOptions[1] must be a flag, as --name=value',
    'spec.etcdOptions[2] must be a flag, as --name=value',
    'spec.etcdOptions[3] is set by the operator',
    'spec.etcdOptions[5] is set by the operator',
    'spec.etcdOptions[6] is set by the operator',
    'spec.podTemplate.metadata operator.etcd.io/cluster is set by the operator',
    'spec.podTemplate.spec.tolerations must be a list',
    'spec.paused must be true or false',
    'spec.repair.replaceSilentAfterSeconds must be an integer from 300 to 604800',
    'spec.volumeReclaimPolicy must be Retain or Delete',
  ]);
});

test('releases go up by one minor release at most, and never back', () => {
  assert.deepEqual(parseRelease('v3.6.0-rc.1'), { major: 3, minor: 6, patch: 0 });
  assert.equal(parseRelease('latest'), null);
  for (const [from, to] of [
    ['v3.5.9', 'v3.5.21'],
    ['v3.5.21', 'v3.5.9'],
    ['3.5.21', 'v3.6.0'],
  ] as const) {
    assert.equal(upgradeProblem(from, to), null);
  }
  assert.match(upgradeProblem('v3.5.9', 'v3.7.0')!, /skips a minor release/);
  assert.match(upgradeProblem('v3.6.0', 'v3.5.9')!, /step back/);
  assert.match(upgradeProblem('v3.6.0', 'v4.0.0')!, /another major release/);
  assert.match(upgradeProblem('v3.6.0', 'latest')!, /latest names no release/);
  assert.match(upgradeProblem('latest', 'v3.6.0')!, /the members run latest/);
});
