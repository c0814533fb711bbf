/**
 * A server of Kubernetes' API that keeps whatever objects it is given: collections by path, resource versions, watches, patches,
 * preconditions, finalizers, owners and evictions. It knows no schemas.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeObject {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    generation?: number;
    creationTimestamp?: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    finalizers?: string[];
    ownerReferences?: { uid: string; controller?: boolean }[];
  };
  spec?: FakeSpec;
  status?: FakeStatus;
  data?: Readonly<Record<string, string>>;
  [field: string]: unknown;
}

/** What tests read of specs, of whatever kind. */
export interface FakeSpec {
  nodeName?: string;
  replicas?: number;
  template?: { readonly metadata?: Partial<FakeObject['metadata']>; readonly spec: FakeSpec };
  volumeClaimTemplates?: readonly FakeObject[];
  containers?: readonly unknown[];
  initContainers?: readonly unknown[];
  volumes?: readonly unknown[];
  [field: string]: unknown;
}

/** What tests read of statuses, of whatever kind. */
export interface FakeStatus {
  phase?: string;
  observedGeneration?: number;
  readyReplicas?: number;
  memberCount?: number;
  isVerified?: boolean;
  revision?: number;
  conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  [field: string]: unknown;
}

interface Watching {
  readonly collection: string;
  readonly namespace: string | null;
  readonly selector: string | null;
  readonly response: ServerResponse;
}

interface Target {
  /** `/api/v1/pods`: the namespace is taken out of the path. */
  readonly collection: string;
  readonly namespace: string | null;
  readonly name: string | null;
  readonly subresource: string | null;
}

class Refusal extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

const KINDS: Readonly<Record<string, readonly { readonly name: string; readonly kind: string }[]>> = {
  '/api/v1': [
    { name: 'services', kind: 'Service' },
    { name: 'configmaps', kind: 'ConfigMap' },
  ],
  '/apis/policy/v1': [{ name: 'poddisruptionbudgets', kind: 'PodDisruptionBudget' }],
};

export class FakeApiServer {
  /** By collection and `namespace/name`. */
  readonly #objects = new Map<string, Map<string, FakeObject>>();
  readonly #watching = new Set<Watching>();
  readonly #server: Server;
  #version = 1;
  /** Calls so far, by method and collection. */
  readonly calls: string[] = [];
  /** Answers a call in the server's place; null: the server does. */
  interfere: ((method: string, path: string) => number | null) | null = null;
  /** Whether a pod may be evicted now. */
  mayEvict: (pod: FakeObject) => boolean = () => true;

  constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => answerError(response, error));
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const { response } of this.#watching) response.end();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  list(collection: string): FakeObject[] {
    return [...(this.#objects.get(collection)?.values() ?? [])];
  }

  get(collection: string, namespace: string, name: string): FakeObject | undefined {
    return this.#objects.get(collection)?.get(`${namespace}/${name}`);
  }

  create(collection: string, namespace: string, object: FakeObject): FakeObject {
    const objects = this.#objects.get(collection) ?? new Map<string, FakeObject>();
    this.#objects.set(collection, objects);
    const key = `${namespace}/${object.metadata.name}`;
    if (objects.has(key)) throw new Refusal(409, 'AlreadyExists', `${collection} "${key}" already exists`);
    const created = structuredClone(object);
    Object.assign(created.metadata, {
      namespace,
      uid: randomUUID(),
      generation: 1,
      creationTimestamp: new Date().toISOString(),
    });
    return this.#store(collection, key, created, 'ADDED');
  }

  /** Changes an object as its owner would. */
  change(collection: string, namespace: string, name: string, change: (object: FakeObject) => void): void {
    const object = this.get(collection, namespace, name);
    if (object === undefined) throw new Refusal(404, 'NotFound', `${collection} "${name}" not found`);
    const next = structuredClone(object);
    change(next);
    this.#update(collection, object, next);
  }

  delete(collection: string, namespace: string, name: string): void {
    const object = this.get(collection, namespace, name);
    if (object === undefined) return;
    const next = structuredClone(object);
    next.metadata.deletionTimestamp ??= new Date().toISOString();
    this.#update(collection, object, next);
  }

  #update(collection: string, before: FakeObject, next: FakeObject): FakeObject {
    const key = `${before.metadata.namespace}/${before.metadata.name}`;
    if (JSON.stringify(before.spec) !== JSON.stringify(next.spec)) {
      next.metadata.generation = (before.metadata.generation ?? 0) + 1;
    }
    const isGone =
      next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0;
    if (!isGone) return this.#store(collection, key, next, 'MODIFIED');
    this.#objects.get(collection)?.delete(key);
    this.#tell(collection, next, 'DELETED');
    this.#collect(next.metadata.uid ?? '');
    return next;
  }

  /** Takes away what belonged to an object that has gone. */
  #collect(uid: string): void {
    for (const [collection, objects] of this.#objects) {
      for (const { metadata } of [...objects.values()]) {
        if (metadata.ownerReferences?.some((owner) => owner.uid === uid))
          this.delete(collection, metadata.namespace!, metadata.name);
      }
    }
  }

  #store(collection: string, key: string, object: FakeObject, event: string): FakeObject {
    object.metadata.resourceVersion = String(++this.#version);
    this.#objects.get(collection)!.set(key, object);
    this.#tell(collection, object, event);
    return object;
  }

  #tell(collection: string, object: FakeObject, type: string): void {
    object.metadata.resourceVersion = String(type === 'DELETED' ? ++this.#version : this.#version);
    for (const watching of this.#watching) {
      if (watching.collection !== collection || !matches(object, watching.namespace, watching.selector))
        continue;
      watching.response.write(`${JSON.stringify({ type, object })}\n`);
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://x');
    const method = request.method ?? 'GET';
    const kinds = KINDS[url.pathname];
    if (kinds !== undefined && method === 'GET') {
      const resources = kinds.map((kind) => ({ ...kind, namespaced: true, verbs: ['get', 'patch'] }));
      return answer(response, 200, { kind: 'APIResourceList', groupVersion: url.pathname, resources });
    }
    const target = targetOf(url.pathname);
    const code = this.interfere?.(method, url.pathname) ?? null;
    if (code !== null) throw new Refusal(code, 'Interfered', 'the test says no');
    this.calls.push(`${method} ${target.collection}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const body: unknown = text === '' ? null : JSON.parse(text);
    if (method === 'GET' && url.searchParams.get('watch') === 'true')
      return this.#watch(target, url, response);
    answer(response, method === 'POST' ? 201 : 200, this.#do(method, target, url, body, request));
  }

  #watch({ collection, namespace }: Target, url: URL, response: ServerResponse): void {
    const watching = { collection, namespace, selector: url.searchParams.get('labelSelector'), response };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    // What came after the list that the watch goes on from.
    const since = Number(url.searchParams.get('resourceVersion') ?? 0);
    for (const object of this.list(collection)) {
      if (Number(object.metadata.resourceVersion) <= since || !matches(object, namespace, watching.selector))
        continue;
      response.write(`${JSON.stringify({ type: 'MODIFIED', object })}\n`);
    }
    this.#watching.add(watching);
    response.on('close', () => this.#watching.delete(watching));
  }

  #do(method: string, target: Target, url: URL, body: unknown, request: IncomingMessage): object {
    const { collection, namespace, name, subresource } = target;
    if (name === null) {
      if (method === 'POST') return this.create(collection, namespace ?? '', body as FakeObject);
      const selector = url.searchParams.get('labelSelector');
      const items = this.list(collection).filter((object) => matches(object, namespace, selector));
      return { kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: String(this.#version) }, items };
    }
    const isApply = request.headers['content-type']?.startsWith('application/apply-patch') === true;
    const object = this.get(collection, namespace ?? '', name);
    if (object === undefined) {
      if (method === 'PATCH' && isApply) return this.create(collection, namespace ?? '', body as FakeObject);
      throw new Refusal(404, 'NotFound', `${collection} "${name}" not found`);
    }
    if (subresource === 'eviction') return this.#evict(collection, object, body as Eviction);
    switch (method) {
      case 'GET':
        return object;
      case 'PUT':
        requireVersion(object, body as FakeObject);
        return this.#update(collection, object, {
          ...structuredClone(object),
          ...(body as FakeObject),
          metadata: kept(object, body as FakeObject),
        });
      case 'PATCH':
        return this.#update(
          collection,
          object,
          isApply ? merged(object, body) : patched(object, body as readonly Operation[]),
        );
      case 'DELETE':
        requireUid(object, (body as DeleteOptions | null)?.preconditions?.uid);
        this.delete(collection, namespace ?? '', name);
        return { kind: 'Status', status: 'Success' };
      default:
        throw new Refusal(405, 'MethodNotAllowed', method);
    }
  }

  #evict(collection: string, pod: FakeObject, { deleteOptions }: Eviction): object {
    requireUid(pod, deleteOptions?.preconditions?.uid);
    if (!this.mayEvict(pod)) {
      throw new Refusal(
        429,
        'TooManyRequests',
        "Cannot evict pod as it would violate the pod's disruption budget.",
      );
    }
    this.delete(collection, pod.metadata.namespace!, pod.metadata.name);
    return { kind: 'Status', status: 'Success' };
  }
}

interface DeleteOptions {
  readonly preconditions?: { readonly uid?: string };
}

interface Eviction {
  readonly deleteOptions?: DeleteOptions;
}

interface Operation {
  readonly op: 'test' | 'add' | 'replace';
  readonly path: string;
  readonly value: unknown;
}

function targetOf(path: string): Target {
  const match =
    /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
      path,
    );
  if (match === null) throw new Refusal(404, 'NotFound', path);
  const [, group, namespace, plural, name, subresource] = match;
  return {
    collection: `${group}/${plural}`,
    namespace: namespace ?? null,
    name: name ?? null,
    subresource: subresource ?? null,
  };
}

/** Of label selectors, `key` and `key=value`. */
function matches({ metadata }: FakeObject, namespace: string | null, selector: string | null): boolean {
  if (namespace !== null && metadata.namespace !== namespace) return false;
  if (selector === null || selector === '') return true;
  const [key = '', value] = selector.split('=');
  const label = metadata.labels?.[key];
  return value === undefined ? label !== undefined : label === value;
}

function requireVersion({ metadata }: FakeObject, next: FakeObject): void {
  const wanted = next.metadata.resourceVersion;
  if (wanted !== undefined && wanted !== metadata.resourceVersion)
    throw new Refusal(409, 'Conflict', 'the object has been modified');
}

function requireUid({ metadata }: FakeObject, uid: string | undefined): void {
  if (uid !== undefined && uid !== metadata.uid)
    throw new Refusal(409, 'Conflict', `the UID in the precondition (${uid}) does not match`);
}

/** What the server itself says of an object is not written over. */
function kept(before: FakeObject, next: FakeObject): FakeObject['metadata'] {
  const { uid, creationTimestamp, generation, namespace } = before.metadata;
  return { ...next.metadata, uid, creationTimestamp, generation, namespace } as FakeObject['metadata'];
}

function merged(before: FakeObject, body: unknown): FakeObject {
  const merge = (into: unknown, from: unknown): unknown => {
    if (typeof from !== 'object' || from === null || Array.isArray(from)) return from;
    const result: Record<string, unknown> = { ...(typeof into === 'object' && into !== null ? into : {}) };
    for (const [key, value] of Object.entries(from)) result[key] = merge(result[key], value);
    return result;
  };
  return merge(structuredClone(before), body) as FakeObject;
}

function patched(before: FakeObject, operations: readonly Operation[]): FakeObject {
  const next = structuredClone(before);
  for (const { op, path, value } of operations) {
    const keys = path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop()!;
    let at: Record<string, unknown> = next;
    for (const key of keys) at = (at[key] ??= {}) as Record<string, unknown>;
    if (op === 'test' && at[last] !== value)
      throw new Refusal(409, 'Conflict', `${path} is ${String(at[last])}, not ${String(value)}`);
    if (op !== 'test') at[last] = value;
  }
  return next;
}

function answer(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function answerError(response: ServerResponse, error: unknown): void {
  const { code, reason, message } =
    error instanceof Refusal ? error : { code: 500, reason: 'InternalError', message: String(error) };
  if (response.headersSent) return void response.destroy();
  answer(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, message, code });
}
