/**
 * `node tests/e2e/operator-memory.ts`: what the operator takes with a hundred clusters that are left alone, and how often it calls the API server
 * then. Their objects are there, as many as real ones have; members are not, so that no connections to them are counted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { FakeApiServer } from '../support/kubernetes/fake-api-server.ts';
import { ROOT } from '../support/programs.ts';
import { adopt } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const CLUSTERS = 100;
const SETTLING_MS = 40_000;
const WATCHED_MS = 30_000;
const LABEL = 'operator.etcd.io/cluster';
/** A certificate with its key and authorities is about as long. */
const SECRET_TEXT = Buffer.alloc(3000, 'x').toString('base64');

function fill(server: FakeApiServer): void {
  for (let i = 0; i < CLUSTERS; i++) {
    const name = `cluster-${i}`;
    const spec = { size: 3, version: 'v3.6.4', paused: true, storageSpec: { volumeSizeRequest: '8Gi' } };
    server.create('/apis/operator.etcd.io/v1alpha1/etcdclusters', 'n', { metadata: { name }, spec });
    const labelled = (own: string): { name: string; labels: Record<string, string> } => ({
      name: own,
      labels: { [LABEL]: name },
    });
    const container = {
      name: 'etcd',
      image: 'etcd:1',
      command: Array.from({ length: 20 }, (_, n) => `--flag-${n}=value`),
    };
    for (const service of [name, `${name}-client`])
      server.create('/api/v1/services', 'n', { metadata: labelled(service), spec: { ports: [] } });
    server.create('/apis/policy/v1/poddisruptionbudgets', 'n', { metadata: labelled(name), spec: {} });
    const template = { spec: { containers: [container] } };
    server.create('/apis/apps/v1/statefulsets', 'n', {
      metadata: labelled(name),
      spec: { replicas: 0, template },
    });
    for (const role of ['ca', 'server', 'peer', 'client', 'operator'])
      server.create('/api/v1/secrets', 'n', {
        metadata: labelled(`${name}-${role}-tls`),
        data: { a: SECRET_TEXT },
      });
    for (let ordinal = 0; ordinal < 3; ordinal++) {
      server.create('/api/v1/pods', 'n', { metadata: labelled(`${name}-${ordinal}`), spec: template.spec });
      server.create('/api/v1/persistentvolumeclaims', 'n', {
        metadata: labelled(`data-${name}-${ordinal}`),
        spec: {},
      });
    }
  }
}

function residentMegabytes({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

const server = new FakeApiServer();
const url = await server.start();
fill(server);
const config = new KubeConfig();
config.loadFromClusterAndUser({ name: 'fake', server: url, skipTLSVerify: true }, { name: 'operator' });
const kubeconfig = join(temporaryDirectory(), 'kubeconfig');
writeFileSync(kubeconfig, config.exportConfig());
const flags = [`--kubeconfig=${kubeconfig}`, '--gate-image=operator:1'];
const operator = spawn(`${ROOT}bin/etcd-operator`, flags, { stdio: 'ignore' });
adopt(operator);
await sleep(SETTLING_MS);
const before = server.calls.length;
await sleep(WATCHED_MS);
const calls = server.calls.slice(before);

console.log(
  `${CLUSTERS} clusters: ${residentMegabytes(operator).toFixed(0)} MB resident; ${calls.length} calls in ${WATCHED_MS / 1000} s, watches that begin anew among them`,
);
operator.kill('SIGTERM');
await server.stop();
process.exit(0);
