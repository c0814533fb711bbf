/** The objects of a namespace of a real API server, read again all the time, and a node that its pods run on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesApi } from '@etcd/operator/kubernetes';
import type { ApiServer } from './api-server.ts';
import type { FakeObject } from './fake-api-server.ts';
import type { NodeDuties, ObjectSource } from './kubelet.ts';

const PERIOD_MS = 250;
const HEALTH_PORT = 2381;
const PROBE_TIMEOUT_MS = 2_000;
/** Health is asked for so often. */
const PROBE_PERIOD_MS = 1_000;
const PODS = '/api/v1/pods';
const MIRRORED = [
  PODS,
  '/api/v1/persistentvolumeclaims',
  '/api/v1/configmaps',
  '/api/v1/secrets',
  '/apis/operator.etcd.io/v1alpha1/etcdclusters',
  '/apis/operator.etcd.io/v1alpha1/etcdbackups',
  '/apis/operator.etcd.io/v1alpha1/etcdrestores',
];

export class MirroredObjects implements ObjectSource, NodeDuties {
  readonly #server: ApiServer;
  readonly #api: KubernetesApi;
  readonly #namespace: string;
  readonly #objects = new Map<string, FakeObject[]>();
  /** By pod: what was said of it last, and when it was asked. */
  readonly #reported = new Map<string, string>();
  readonly #probedMs = new Map<string, number>();
  readonly #asked = new Set<string>();
  #isStopped = false;
  #loop: Promise<void> = Promise.resolve();
  mayEvict = (): boolean => true;

  constructor(server: ApiServer, namespace: string) {
    this.#server = server;
    this.#api = server.api;
    this.#namespace = namespace;
  }

  start(): void {
    this.#loop = this.#keep();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loop;
  }

  list(collection: string): FakeObject[] {
    return this.#objects.get(collection) ?? [];
  }

  get(collection: string, _namespace: string, name: string): FakeObject | undefined {
    return this.list(collection).find(({ metadata }) => metadata.name === name);
  }

  /** What is changed is the status of a pod, and the spec of anything else. */
  change(collection: string, _namespace: string, name: string, change: (object: FakeObject) => void): void {
    const next = structuredClone(this.get(collection, this.#namespace, name)!);
    change(next);
    const part = collection === PODS ? 'status' : 'spec';
    const operations = [{ op: 'add', path: `/${part}`, value: next[part] }] as const;
    const subresource = part === 'status' ? 'status' : '';
    this.#do(this.#api.patch(collectionOf(collection), this.#namespace, name, operations, subresource));
  }

  create(collection: string, _namespace: string, object: FakeObject): FakeObject {
    this.#do(this.#api.create(collectionOf(collection), this.#namespace, object));
    return object;
  }

  delete(collection: string, _namespace: string, name: string): void {
    this.#do(this.#api.delete(collectionOf(collection), this.#namespace, name));
  }

  bind({ metadata: { name, uid = '' } }: FakeObject): void {
    if (this.#asked.has(uid)) return;
    this.#asked.add(uid);
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name },
      target: { apiVersion: 'v1', kind: 'Node', name: 'node' },
    };
    this.#do(this.#send('POST', `${this.#pods}/${name}/binding`, body));
  }

  remove({ metadata: { name, uid = '' } }: FakeObject): void {
    if (this.#asked.has(`-${uid}`)) return;
    this.#asked.add(`-${uid}`);
    this.#do(
      this.#send('DELETE', `${this.#pods}/${name}`, { gracePeriodSeconds: 0, preconditions: { uid } }),
    );
  }

  report(pod: FakeObject, host: string, isRunning: boolean): void {
    const { uid = '' } = pod.metadata;
    const nowMs = Date.now();
    if (nowMs - (this.#probedMs.get(uid) ?? 0) < PROBE_PERIOD_MS) return;
    this.#probedMs.set(uid, nowMs);
    this.#do(this.#report(pod, host, isRunning));
  }

  async #report(
    { metadata: { name, uid = '' } }: FakeObject,
    host: string,
    isRunning: boolean,
  ): Promise<void> {
    const isReady = isRunning && (await isHealthy(host));
    const said = `${isRunning} ${isReady}`;
    if (this.#reported.get(uid) === said) return;
    const time = new Date().toISOString();
    const status = {
      phase: isRunning ? 'Running' : 'Pending',
      conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime: time }],
      containerStatuses: [
        {
          name: 'etcd',
          image: 'etcd',
          imageID: 'etcd',
          ready: isReady,
          restartCount: 0,
          state: isRunning ? { running: { startedAt: time } } : { waiting: { reason: 'Ended' } },
        },
      ],
    };
    const pods = collectionOf(PODS);
    await this.#api.patch(
      pods,
      this.#namespace,
      name,
      [{ op: 'add', path: '/status', value: status }],
      'status',
    );
    this.#reported.set(uid, said);
  }

  get #pods(): string {
    return `/api/v1/namespaces/${this.#namespace}/pods`;
  }

  async #send(method: string, path: string, body: object): Promise<void> {
    const { code, body: answer } = await this.#server.send(
      method,
      path,
      'application/json',
      JSON.stringify(body),
    );
    if (code >= 300) throw new Error(answer);
  }

  async #keep(): Promise<void> {
    while (!this.#isStopped) {
      for (const path of MIRRORED) {
        try {
          const { items } = await this.#api.list(collectionOf(path), this.#namespace);
          this.#objects.set(path, items as unknown as FakeObject[]);
        } catch {
          // Seen again soon.
        }
      }
      await sleep(PERIOD_MS);
    }
  }

  /** What is refused is asked for again when it is still wanted. */
  #do(call: Promise<void>): void {
    call.catch((error: unknown) => {
      if (process.env['LOG'] !== undefined) console.error(error);
    });
  }
}

function collectionOf(path: string): { readonly group: string; readonly plural: string } {
  const at = path.lastIndexOf('/');
  return { group: path.slice(0, at), plural: path.slice(at + 1) };
}

async function isHealthy(host: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    return (await fetch(`http://${host}:${HEALTH_PORT}/health`, { signal })).ok;
  } catch {
    return false;
  }
}
