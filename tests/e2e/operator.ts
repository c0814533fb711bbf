/**
 * `npm run operator-e2e`: the operator with the rights that `deploy/` gives it, before Kubernetes' own API server and controllers on an etcd of this
 * checkout; members run in network namespaces. A cluster is made, written to, resized, taken to another release and program, repaired, restored
 * and unmade. Prints what each step took, as lines of a table; ends with 1 where a step does not come about.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import type { EtcdClient } from '@etcd/client';
import { connect } from '@etcd/client/node';
import { createLogger, defaultLogSink } from '@etcd/host/logging';
import { Controller } from '@etcd/operator/controller';
import { KubernetesApi } from '@etcd/operator/kubernetes';
import { parseAllDocuments } from 'yaml';
import { ApiServer, type ManifestObject, needsApiServer } from '../support/kubernetes/api-server.ts';
import type { FakeObject } from '../support/kubernetes/fake-api-server.ts';
import { Kubelet, writeHosts } from '../support/kubernetes/kubelet.ts';
import { MirroredObjects } from '../support/kubernetes/mirrored-objects.ts';
import { Namespaces, needsNamespaces } from '../support/namespaces.ts';
import { peer, ROOT, SUBJECT } from '../support/programs.ts';
import { eventually } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const PLACES = 5;
const NAMESPACE = 'n';
const PATIENCE_MS = 300_000;
const IDLE_MS = 60_000;
const WRITE_PERIOD_MS = 25;
const WRITE_TIMEOUT_MS = 10_000;
const DEPLOY = new URL('../../deploy/operator/', import.meta.url);
const API_VERSION = 'operator.etcd.io/v1alpha1';
const OWN = `/apis/${API_VERSION}`;
const VOLUMES = '/api/v1/persistentvolumeclaims';
const CLUSTERS = `${OWN}/etcdclusters`;
const BACKUPS = `${OWN}/etcdbackups`;
const RESTORES = `${OWN}/etcdrestores`;

const skip = needsApiServer().skip ?? needsNamespaces().skip;
if (skip !== undefined) throw new Error(skip);

/** Writes all the time, and counts what fails and how long writes take. */
class Writer {
  written = 0;
  readonly failures: string[] = [];
  slowestMs = 0;
  readonly #client: EtcdClient;
  readonly #done: Promise<void>;
  #isStopped = false;

  constructor(client: EtcdClient) {
    this.#client = client;
    this.#done = this.#write();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
    this.#client.close();
  }

  get summary(): string {
    const problems = [...new Set(this.failures)].join(', ');
    const failed = this.failures.length === 0 ? 'none failed' : `${this.failures.length} failed: ${problems}`;
    return `${this.written} writes, ${failed}, the slowest took ${(this.slowestMs / 1000).toFixed(1)} s`;
  }

  async #write(): Promise<void> {
    while (!this.#isStopped) {
      const beganMs = performance.now();
      try {
        await this.#client.kv.put('load', String(this.written), { timeoutMs: WRITE_TIMEOUT_MS });
        this.written++;
      } catch (error) {
        this.failures.push((error as Error).message);
      }
      this.slowestMs = Math.max(this.slowestMs, performance.now() - beganMs);
      await sleep(WRITE_PERIOD_MS);
    }
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const server = await ApiServer.start(true);
const namespaces = new Namespaces(PLACES);
const places = Array.from({ length: PLACES }, (_, i) => namespaces.place(i));
const names = places.map(({ host }, i) => `${host} c-${i}.c.${NAMESPACE}.svc`);
const unnamed = places.map(({ launcher }) => writeHosts(launcher![3]!, names));
const objects = new MirroredObjects(server, NAMESPACE);
const calls = { count: 0 };
/** What is stopped in the end, the last first. */
const running: { stop(): Promise<void> }[] = [server, objects];

function documentsOf(name: string): ManifestObject[] {
  const documents = parseAllDocuments(readFileSync(new URL(name, DEPLOY), 'utf8'));
  return documents.map((document) => document.toJS() as ManifestObject);
}

const cluster = (): FakeObject | undefined => objects.get(CLUSTERS, NAMESPACE, 'c');
const clientSecret = (key: string): string =>
  Buffer.from(
    objects.get('/api/v1/secrets', NAMESPACE, 'c-client-tls')!.data?.[key] ?? '',
    'base64',
  ).toString();
const endpoint = (ordinal: number): string => `https://${places[ordinal]!.host}:2379`;
const client = (ordinals: readonly number[]): EtcdClient =>
  connect({
    endpoints: ordinals.map(endpoint),
    tls: { ca: clientSecret('ca.crt'), cert: clientSecret('tls.crt'), key: clientSecret('tls.key') },
  });

async function change(fields: object): Promise<void> {
  const { metadata } = cluster()!;
  const operations = Object.entries(fields).map(([key, value]) => ({
    op: 'add' as const,
    path: `/spec/${key}`,
    value,
  }));
  await server.api.patch(collection('etcdclusters'), NAMESPACE, 'c', operations);
  await eventually('the change', () => cluster()!.metadata.generation! > metadata.generation!);
}

const collection = (plural: string) => ({ group: OWN, plural });

/** Until the status speaks of the declaration as it stands. */
async function available(what: string, members: number): Promise<void> {
  await eventually(
    what,
    () => {
      const found = cluster();
      const status = found?.status;
      return (
        status?.phase === 'Available' &&
        status.observedGeneration === found!.metadata.generation &&
        status.readyReplicas === members
      );
    },
    PATIENCE_MS,
  );
}

async function step(what: string, work: () => Promise<string>): Promise<void> {
  const beganMs = performance.now();
  const callsBefore = calls.count;
  const result = await work();
  const seconds = ((performance.now() - beganMs) / 1000).toFixed(1);
  console.log(`| ${what} | ${seconds} s | ${calls.count - callsBefore} | ${result} |`);
}

/** Resolves to the node that runs the pods. */
async function start(): Promise<Kubelet> {
  for (const definition of documentsOf('definitions.yaml')) await server.apply(definition);
  for (const manifest of documentsOf('operator.yaml')) {
    // The operator runs here, with its account and the rights of that.
    if (manifest.kind !== 'Deployment') await server.apply(manifest);
  }
  await server.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const config = await server.configOf('etcd-operator', 'etcd-operator');
  objects.start();
  const kubelet = new Kubelet({
    server: objects,
    node: objects,
    directory: temporaryDirectory(),
    places,
    operator: `${ROOT}bin/etcd-operator`,
    programOf: (image) => (image.startsWith('ours:') ? SUBJECT : peer('3.6', 'etcd')),
  });
  running.push(kubelet);
  const clock = new NodeClock();
  const log = { level: 'info', sink: defaultLogSink(clock), clock, timezoneOffsetMinutes: () => 0 } as const;
  const controller = new Controller({
    api: new KubernetesApi(config, () => calls.count++),
    namespace: null,
    gateImage: 'operator:1',
    logger: process.env['LOG'] === undefined ? SILENT_LOGGER : createLogger(log),
    endpointOf: (_, ordinal) => endpoint(ordinal),
  });
  running.push(controller);
  await controller.start();
  await server.api.create({ group: '/api/v1', plural: 'persistentvolumeclaims' }, NAMESPACE, {
    metadata: { name: 'backups' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  });
  return kubelet;
}

async function create(): Promise<string> {
  const altNames = { ipAddresses: places.map(({ host }) => host!) };
  await server.apply({
    apiVersion: API_VERSION,
    kind: 'EtcdCluster',
    metadata: { name: 'c', namespace: NAMESPACE },
    spec: {
      size: 3,
      version: 'v3.6.4',
      storageSpec: { volumeSizeRequest: '1Gi' },
      tls: { providerCfg: { autoCfg: { altNames } } },
      volumeReclaimPolicy: 'Delete',
    },
  });
  await available('three members', 3);
  return 'three ready';
}

async function backUp(): Promise<string> {
  const store = { persistentVolumeClaim: { claimName: 'backups' } };
  await change({ backup: { schedule: '6h', store, encryption: { none: true }, final: true } });
  const isVerified = (): boolean => objects.list(BACKUPS).some(({ status }) => status?.isVerified === true);
  await eventually('a backup', isVerified, PATIENCE_MS);
  return 'by its schedule';
}

/** Changes the declaration while somebody writes. */
async function underLoad(fields: object, members: number): Promise<string> {
  const writer = new Writer(client([0, 1, 2]));
  try {
    await change(fields);
    await available(JSON.stringify(fields), members);
  } finally {
    await writer.stop();
  }
  return writer.summary;
}

async function repair(kubelet: Kubelet): Promise<string> {
  const claim = (): FakeObject | undefined => objects.get(VOLUMES, NAMESPACE, 'data-c-1');
  const lost = claim()!.metadata.uid;
  await kubelet.loseMachine(NAMESPACE, 'c-1');
  await eventually(
    'another volume',
    () => claim() !== undefined && claim()!.metadata.uid !== lost,
    PATIENCE_MS,
  );
  await eventually('noticed', () => cluster()?.status?.phase !== 'Available', PATIENCE_MS);
  await available('repaired', 3);
  return 'another member in its place';
}

async function restore(): Promise<string> {
  const first = objects.list(BACKUPS).find(({ metadata }) => !metadata.name.includes('upgrade'))!;
  await server.apply({
    apiVersion: API_VERSION,
    kind: 'EtcdRestore',
    metadata: { name: 'back', namespace: NAMESPACE },
    spec: { clusterName: 'c', source: { backup: first.metadata.name }, replacesData: true },
  });
  const phase = (): unknown => objects.get(RESTORES, NAMESPACE, 'back')?.status?.phase;
  await eventually('restored', () => phase() === 'Succeeded', PATIENCE_MS);
  await available('three members', 3);
  await using restored = client([0, 1, 2]);
  const { kvs } = await restored.kv.get('load');
  if (kvs.length !== 0) throw new Error('what was written after the backup is still there');
  return 'what came after it is gone, three serve';
}

async function destroy(): Promise<string> {
  await server.api.delete(collection('etcdclusters'), NAMESPACE, 'c');
  await eventually('gone', () => cluster() === undefined, PATIENCE_MS);
  const last = objects.list(BACKUPS).find(({ metadata }) => metadata.name.startsWith('c-final'));
  if (last?.status?.isVerified !== true) throw new Error('there is no last backup');
  await eventually('no volumes', () => objects.list(VOLUMES).length === 1, PATIENCE_MS);
  return 'its volumes went, too';
}

async function run(): Promise<void> {
  const kubelet = await start();
  console.log('| step | took | calls to the API server | |\n| --- | --- | --- | --- |');
  await step('create three of Go etcd 3.6, with TLS', create);
  await step('back up, and verify', backUp);
  await step('resize to five', () => underLoad({ size: 5 }, 5));
  await step('resize to three', () => underLoad({ size: 3 }, 3));
  const next = { imageRegistry: 'ours', version: 'v3.7.3' };
  await step('upgrade to this program, 3.7, after a backup', () => underLoad(next, 3));
  await step('lose a pod and its disk', () => repair(kubelet));
  await step('restore the first backup in place', restore);
  await step('wait', async () => {
    await sleep(IDLE_MS);
    return 'there is nothing to do';
  });
  await step('destroy, with a last backup', destroy);
}

try {
  await run();
} catch (error) {
  console.error(JSON.stringify(cluster()?.status, null, 2));
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const each of running.toReversed()) await each.stop();
  for (const remove of unnamed) remove();
  namespaces.remove();
}
