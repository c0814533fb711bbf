/** Pods of the operator are allowed where Kubernetes enforces the profile `restricted` of its pod security standards. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { V1Container, V1Deployment, V1PodSpec } from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';
import { type Owner, workloadOf } from '../cluster/manifests.ts';
import { parseClusterSpec } from '../resources/etcd-cluster.ts';
import { restoreWorker } from './restore-objects.ts';
import { workerPod } from './worker-pods.ts';

const VOLUME_TYPES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

/** What the profile forbids. */
function violationsOf(spec: V1PodSpec): string[] {
  const found: string[] = [];
  for (const host of ['hostNetwork', 'hostPID', 'hostIPC'] as const)
    if (spec[host] === true) found.push(host);
  for (const { name, ...source } of spec.volumes ?? [])
    if (!Object.keys(source).every((type) => VOLUME_TYPES.includes(type))) found.push(`the volume ${name}`);
  const { runAsNonRoot, runAsUser, seccompProfile, sysctls } = spec.securityContext ?? {};
  if (runAsUser === 0) found.push('root');
  if (sysctls !== undefined) found.push('sysctls');
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const own = container.securityContext ?? {};
    const say = (what: string): unknown => found.push(`${container.name}: ${what}`);
    if ((own.runAsNonRoot ?? runAsNonRoot) !== true) say('may be root');
    if (own.runAsUser === 0) say('root');
    const { type } = own.seccompProfile ?? seccompProfile ?? {};
    if (type !== 'RuntimeDefault' && type !== 'Localhost') say('no seccomp profile');
    for (const violation of ownViolationsOf(container)) say(violation);
  }
  return found;
}

function ownViolationsOf({ securityContext = {}, ports = [] }: V1Container): string[] {
  const { allowPrivilegeEscalation, capabilities, privileged, procMount } = securityContext;
  return [
    allowPrivilegeEscalation === false ? '' : 'may escalate privileges',
    capabilities?.drop?.includes('ALL') ? '' : 'keeps capabilities',
    capabilities?.add?.some((added) => added !== 'NET_BIND_SERVICE') ? 'more capabilities' : '',
    privileged ? 'privileged' : '',
    procMount === undefined || procMount === 'Default' ? '' : 'all of /proc',
    ports.some(({ hostPort }) => hostPort) ? 'a port of the host' : '',
  ].filter((each) => each !== '');
}

function ownerOf(fields: object): Owner {
  const parsed = parseClusterSpec({ size: 3, version: 'v3.6.4', ...fields });
  assert(parsed.ok);
  return {
    name: 'c',
    namespace: 'n',
    uid: 'u',
    spec: parsed.spec,
    trustedIds: ['a'],
    gateImage: 'operator:1',
  };
}

const STORAGE = { storageSpec: { volumeSizeRequest: '1Gi' } };

test('pods of members, with their gates, are restricted', () => {
  for (const fields of [{}, STORAGE, { ...STORAGE, tls: {} }]) {
    const { spec } = workloadOf(ownerOf(fields), 3);
    assert.deepEqual(violationsOf(spec!.template.spec!), [], JSON.stringify(fields));
    assert.equal(spec!.template.spec!.initContainers!.length, 1);
  }
});

test('the fields of a pod template that a declaration has can not loosen that', () => {
  const podTemplate = {
    spec: {
      hostNetwork: true,
      securityContext: { runAsUser: 0 },
      containers: [{ name: 'x', securityContext: { privileged: true } }],
      nodeSelector: { a: 'b' },
    },
  };
  const { spec } = workloadOf(ownerOf({ ...STORAGE, podTemplate }), 3);
  assert.deepEqual(violationsOf(spec!.template.spec!), []);
  assert.equal(spec!.template.spec!.containers.length, 1);
});

test('workers, and the operator itself, are restricted', () => {
  const store = { address: '/store', claimName: 'backups', credentialsSecret: null };
  const source = { store, passphraseSecret: 'p', identitySecret: 'i', backupName: null, toTime: null };
  const restore = restoreWorker(
    ownerOf(STORAGE),
    { name: 'r', uid: 'u', source } as unknown as Parameters<typeof restoreWorker>[1],
    1,
    'v',
  );
  assert.deepEqual(violationsOf(restore.spec!), []);
  const backup = workerPod({
    name: 'b-1',
    namespace: 'n',
    owner: { apiVersion: 'v1', kind: 'EtcdBackup', name: 'b', uid: 'u' },
    attempt: 1,
    work: { kind: 'backup' } as Parameters<typeof workerPod>[0]['work'],
    image: 'operator:1',
    store: { ...store, claimName: null, credentialsSecret: 'keys' },
    passphraseSecret: 'p',
    identitySecret: 'i',
    tlsSecret: 'c-operator-tls',
    data: null,
  });
  assert.deepEqual(violationsOf(backup.spec!), []);
  const text = readFileSync(new URL('../../../../deploy/operator/operator.yaml', import.meta.url), 'utf8');
  const deployment = parseAllDocuments(text).find((one) => one.get('kind') === 'Deployment')!;
  assert.deepEqual(violationsOf((deployment.toJS() as V1Deployment).spec!.template.spec!), []);
});

test('what the profile forbids is found', () => {
  const spec: V1PodSpec = {
    hostNetwork: true,
    volumes: [{ name: 'host', hostPath: { path: '/' } }],
    containers: [{ name: 'x', securityContext: { privileged: true } }],
  };
  assert.deepEqual(violationsOf(spec), [
    'hostNetwork',
    'the volume host',
    'x: may be root',
    'x: no seccomp profile',
    'x: may escalate privileges',
    'x: keeps capabilities',
    'x: privileged',
  ]);
});
