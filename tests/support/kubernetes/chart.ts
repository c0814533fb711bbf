/** What Helm makes of the chart, kept beside the tests: Helm itself is not needed to look at it. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { ManifestObject } from './api-server.ts';

export const CHART = new URL('../../../deploy/operator/chart/', import.meta.url);
export const RENDERED = new URL('chart/', import.meta.url);
export const RELEASE = 'etcd-operator';
export const RELEASE_NAMESPACE = 'etcd-operator';
export const WATCHED_NAMESPACE = 'team';

/** By name of what is kept: values as `--set-json` takes them. */
export const RENDERINGS: Readonly<Record<string, readonly string[]>> = {
  default: [],
  'one-namespace': [`watchNamespace="${WATCHED_NAMESPACE}"`],
  'all-options': [
    'image={"repository":"registry.example/etcd","tag":"v3.7.3","pullPolicy":"Always"}',
    'imagePullSecrets=[{"name":"pull"}]',
    'replicas=3',
    'logLevel="debug"',
    'resources={"requests":{"cpu":"20m","memory":"120Mi"},"limits":{"memory":"256Mi"}}',
    'nodeSelector={"kubernetes.io/os":"linux"}',
    'tolerations=[{"key":"infra","operator":"Exists","effect":"NoSchedule"}]',
    'affinity={"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app.kubernetes.io/name":"etcd-operator"}}}]}}',
    'metrics={"port":9090,"podMonitor":true}',
  ],
};

/** Of the chart's files and of the values: what is kept was made from these. */
function chartDigest(): string {
  const digest = createHash('sha256').update(JSON.stringify(RENDERINGS));
  const names = readdirSync(CHART, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `${parentPath.replace(/\/$/, '')}/${name}`)
    .sort();
  for (const name of names) digest.update(name.slice(CHART.pathname.length)).update(readFileSync(name));
  return digest.digest('hex');
}

/** The first line of what is kept. */
export const digestLine = (): string => `# of the chart ${chartDigest()}\n`;

export function renderedText(name: string): string {
  return readFileSync(new URL(`${name}.yaml`, RENDERED), 'utf8');
}

export function renderedObjects(name: string): ManifestObject[] {
  return parseAllDocuments(renderedText(name)).map((document) => document.toJS() as ManifestObject);
}
