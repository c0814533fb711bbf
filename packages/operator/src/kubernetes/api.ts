/**
 * Kubernetes' API as the operator uses it: objects are the JSON that the server sends. The official client brings configuration, authentication and
 * watches; its classes for each kind, which would be most of the program, stay out.
 */
import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  RequestContext,
} from '@kubernetes/client-node';
import type { Collection } from './collections.ts';

const FIELD_MANAGER = 'etcd-operator';
/** No call is under way for longer. */
const CALL_TIMEOUT_MS = 15_000;

/** What the API server refuses; the message is its own. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** Of HTTP. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** An operation of RFC 6902. */
export interface JsonPatchOperation {
  readonly op: 'test' | 'add' | 'replace' | 'remove';
  readonly path: string;
  readonly value?: unknown;
}

export interface DeleteOptions {
  readonly preconditions?: { readonly uid: string };
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
}

interface Call {
  readonly method: HttpMethod;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
}

export class KubernetesApi {
  readonly config: KubeConfig;
  /** By method, since the program began. */
  readonly onCall: (method: string) => void;
  readonly #http = new IsomorphicFetchHttpLibrary();

  constructor(config: KubeConfig, onCall: (method: string) => void = () => {}) {
    this.config = config;
    this.onCall = onCall;
  }

  /** @param namespace null: of all. */
  list<T extends KubernetesObject>(
    collection: Collection,
    namespace: string | null,
    labelSelector?: string,
  ): Promise<KubernetesListObject<T>> {
    const path = pathOf(collection, namespace);
    return this.#call({ method: HttpMethod.GET, path, query: { labelSelector } });
  }

  /** null: it is not there. */
  async read<T extends KubernetesObject>(
    collection: Collection,
    namespace: string,
    name: string,
  ): Promise<T | null> {
    return await orNull(this.#call<T>({ method: HttpMethod.GET, path: pathOf(collection, namespace, name) }));
  }

  async create(collection: Collection, namespace: string, body: object): Promise<void> {
    await this.#call({ method: HttpMethod.POST, path: pathOf(collection, namespace), body });
  }

  /** Refused where `metadata.resourceVersion` is there, and is not that of the object any more. */
  async replace(collection: Collection, namespace: string, name: string, body: object): Promise<void> {
    await this.#call({ method: HttpMethod.PUT, path: pathOf(collection, namespace, name), body });
  }

  async patch(
    collection: Collection,
    namespace: string,
    name: string,
    operations: readonly JsonPatchOperation[],
    subresource = '',
  ): Promise<void> {
    const path = pathOf(collection, namespace, name, subresource);
    const contentType = 'application/json-patch+json';
    await this.#call({ method: HttpMethod.PATCH, path, body: operations, contentType });
  }

  /** Server-side: fields that others have set and this object does not name stay theirs. */
  async apply(collection: Collection, namespace: string, body: KubernetesObject): Promise<void> {
    const path = pathOf(collection, namespace, body.metadata?.name ?? '');
    const query = { fieldManager: FIELD_MANAGER, force: 'true' };
    const contentType = 'application/apply-patch+yaml';
    await this.#call({ method: HttpMethod.PATCH, path, query, body, contentType });
  }

  /** Also of what is not there. */
  async delete(
    collection: Collection,
    namespace: string,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const path = pathOf(collection, namespace, name);
    await orNull(this.#call({ method: HttpMethod.DELETE, path, body: options }));
  }

  /** Refused while a budget for disruptions does not allow it. */
  async evict(collection: Collection, namespace: string, name: string, uid: string): Promise<void> {
    const path = pathOf(collection, namespace, name, 'eviction');
    const body = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { namespace, name },
      deleteOptions: { preconditions: { uid } },
    };
    await this.#call({ method: HttpMethod.POST, path, body });
  }

  async #call<T>({ method, path, query = {}, body, contentType = 'application/json' }: Call): Promise<T> {
    this.onCall(method);
    const server = this.config.getCurrentCluster()?.server.replace(/\/$/, '') ?? '';
    const request = new RequestContext(server + path, method);
    for (const [name, value] of Object.entries(query)) if (value) request.setQueryParam(name, value);
    request.setHeaderParam('accept', 'application/json');
    request.setSignal(AbortSignal.timeout(CALL_TIMEOUT_MS));
    if (body !== undefined) {
      request.setHeaderParam('content-type', contentType);
      request.setBody(JSON.stringify(body));
    }
    await this.config.applySecurityAuthentication(request);
    const response = await this.#http.send(request).toPromise();
    const text = await response.body.text();
    if (response.httpStatusCode >= 200 && response.httpStatusCode < 300) return parsed(text) as T;
    throw new ApiError(response.httpStatusCode, refusalOf(text, response.httpStatusCode));
  }
}

function pathOf(
  { group, plural }: Collection,
  namespace: string | null,
  name: string | null = null,
  subresource = '',
): string {
  const within = namespace === null ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const one = name === null ? '' : `/${encodeURIComponent(name)}`;
  return `${group}${within}/${plural}${one}${subresource === '' ? '' : `/${subresource}`}`;
}

/** What was looked for; null: it is not there. Rejects with every other answer. */
async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return null;
    throw error;
  }
}

/** The sentence in an API server's refusal, or what else went wrong. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refusalOf(text: string, code: number): string {
  const message = (parsed(text) as { readonly message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : `the API server answered ${code}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
