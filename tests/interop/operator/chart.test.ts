/** What Helm has made of the chart says the same as the manifests. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import {
  digestLine,
  RELEASE_NAMESPACE,
  RENDERINGS,
  renderedObjects,
  renderedText,
  WATCHED_NAMESPACE,
} from '../../support/kubernetes/chart.ts';

interface Binding {
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly { readonly name: string; readonly namespace: string }[];
}

interface Rights {
  readonly namespace: string | null;
  readonly rules: unknown;
}

interface Deployed {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly template: { readonly spec: PodSpec } };
  readonly rules?: unknown;
}

interface PodSpec {
  readonly serviceAccountName: string;
  readonly securityContext: unknown;
  readonly containers: readonly Container[];
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly command: readonly string[];
}

const asDeployed = (objects: readonly object[]): Deployed[] => objects as Deployed[];

function manifests(): Deployed[] {
  const text = readFileSync(new URL('../../../deploy/operator/operator.yaml', import.meta.url), 'utf8');
  return asDeployed(parseAllDocuments(text).map((document) => document.toJS() as object));
}

/** What the account of the operator may do where: by way of bindings, whatever they are called. */
function rightsOf(objects: readonly Deployed[]): Rights[] {
  return objects
    .filter(({ kind }) => kind.endsWith('RoleBinding'))
    .map((object) => {
      const { roleRef, subjects } = object as unknown as Binding;
      assert.deepEqual(subjects, [
        { kind: 'ServiceAccount', name: 'etcd-operator', namespace: RELEASE_NAMESPACE },
      ]);
      const namespace = object.metadata.namespace ?? null;
      const role = objects.find(
        ({ kind, metadata }) =>
          kind === roleRef.kind &&
          metadata.name === roleRef.name &&
          (metadata.namespace ?? null) === namespace,
      );
      return { namespace, rules: role?.rules };
    });
}

const podOf = (objects: readonly Deployed[]): PodSpec =>
  objects.find(({ kind }) => kind === 'Deployment')!.spec!.template.spec;

test('what is kept of the chart is of the chart as it stands', () => {
  for (const name of Object.keys(RENDERINGS))
    assert.ok(renderedText(name).startsWith(digestLine()), `${name}: npm run operator-chart -- --write`);
});

test('the chart with its own values deploys what the manifests deploy', () => {
  const chart = asDeployed(renderedObjects('default'));
  assert.deepEqual(rightsOf(chart), rightsOf(manifests()));
  const { containers: ours, ...pod } = podOf(chart);
  const { containers: theirs, ...wanted } = podOf(manifests());
  assert.deepEqual(pod, wanted);
  const told = (containers: readonly Container[]): object[] =>
    containers.map(({ command, imagePullPolicy: _, ...container }) => ({
      ...container,
      command: command.filter((word) => word !== '--log-level=info'),
    }));
  assert.deepEqual(told(ours), told(theirs));
});

test('with one namespace to look after, the chart gives no rights in others', () => {
  const chart = asDeployed(renderedObjects('one-namespace'));
  const [all, lease] = rightsOf(manifests());
  assert.deepEqual(rightsOf(chart), [{ ...all!, namespace: WATCHED_NAMESPACE }, lease]);
  assert.ok(!chart.some(({ kind }) => kind.startsWith('Cluster')));
  assert.ok(podOf(chart).containers[0]!.command.includes(`--namespace=${WATCHED_NAMESPACE}`));
});

test('values of the chart are in what it deploys', () => {
  const chart = renderedObjects('all-options');
  const { spec } = chart.find(({ kind }) => kind === 'Deployment') as unknown as {
    readonly spec: { readonly replicas: number; readonly template: { readonly spec: PodSpec & object } };
  };
  assert.equal(spec.replicas, 3);
  const pod = JSON.stringify(spec.template.spec);
  for (const value of [
    '"name":"pull"',
    '"memory":"256Mi"',
    '"key":"infra"',
    'podAntiAffinity',
    '"kubernetes.io/os"',
  ])
    assert.ok(pod.includes(value), value);
  const { image, imagePullPolicy, command } = spec.template.spec.containers[0]!;
  assert.deepEqual([image, imagePullPolicy], ['registry.example/etcd:v3.7.3', 'Always']);
  assert.deepEqual(command, [
    'etcd-operator',
    '--gate-image=registry.example/etcd:v3.7.3',
    `--lease-namespace=${RELEASE_NAMESPACE}`,
    '--metrics-address=:9090',
    '--log-level=debug',
  ]);
  assert.ok(chart.some(({ kind }) => kind === 'PodMonitor'));
});
