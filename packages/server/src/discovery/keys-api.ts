/** A client of etcd's v2 API, as far as discovery needs it: what is below one directory of it. Bounded in time and size. */
import { Agent, request as plainRequest } from 'node:http';
import { type AgentOptions, Agent as SecureAgent, request as secureRequest } from 'node:https';
import { getCACertificates } from 'node:tls';
import { DiscoveryError } from './discovery-error.ts';

export interface KeysNode {
  readonly key: string;
  readonly value: string;
  readonly createdIndex: number;
  readonly nodes: readonly KeysNode[];
}

export interface KeysAnswer {
  readonly node: KeysNode;
  /** The store's index when it answered. */
  readonly index: number;
}

/** The store's refusal. */
export class KeysError extends Error {
  override readonly name = 'KeysError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** An answer that is none of the store's. */
export class HttpStatusError extends Error {
  override readonly name = 'HttpStatusError';
  readonly status: number;

  constructor(status: number) {
    super(`the discovery service answers with status ${status}`);
    this.status = status;
  }
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly index: number;
}

const KEY_NOT_FOUND = 100;
const NODE_EXISTS = 105;
const EVENT_INDEX_CLEARED = 401;

const REQUEST_TIMEOUT_MS = 5_000;
/** A change is waited for so long, and then again: whoever answers nothing may have vanished. */
const WAIT_TIMEOUT_MS = 60_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_REDIRECTS = 10;

export class KeysApi {
  readonly #base: string;
  readonly #agent: Agent;

  /**
   * @param url the directory's
   * @param proxy an HTTP proxy; empty: none
   */
  constructor(url: string, proxy: string) {
    this.#base = url.replace(/\/+$/, '');
    const proxyUrl = proxy === '' || /^https?:/.test(proxy) ? proxy : `http://${proxy}`;
    const options: AgentOptions =
      proxyUrl === '' ? {} : { proxyEnv: { HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl } };
    this.#agent = url.startsWith('https:')
      ? new SecureAgent({ ...options, ca: getCACertificates('system') })
      : new Agent(options);
  }

  /** null: there is no such key. */
  async get(name: string): Promise<KeysAnswer | null> {
    try {
      return await this.#ask('GET', name === '' ? '' : `/${name}`, '', REQUEST_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof KeysError && error.code === KEY_NOT_FOUND) return null;
      throw error;
    }
  }

  /** Makes a key that is not there; the refusal where it is. */
  async create(name: string, value: string): Promise<KeysError | null> {
    try {
      const body = new URLSearchParams({ value }).toString();
      await this.#ask('PUT', `/${name}?prevExist=false`, body, REQUEST_TIMEOUT_MS);
      return null;
    } catch (error) {
      if (error instanceof KeysError && error.code === NODE_EXISTS) return error;
      throw error;
    }
  }

  /** Resolves when something has changed from `index` on, or may have. */
  async change(index: number): Promise<void> {
    try {
      await this.#ask('GET', `?wait=true&recursive=true&waitIndex=${index}`, '', WAIT_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof TimeoutError) return;
      if (!(error instanceof KeysError && error.code === EVENT_INDEX_CLEARED)) throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #ask(method: string, suffix: string, body: string, timeoutMs: number): Promise<KeysAnswer> {
    const answer = await this.#follow(method, this.#base + suffix, body, timeoutMs);
    const { status, index } = answer;
    if (status >= 500) throw new HttpStatusError(status);
    const document = parseObject(answer.body);
    if (status === 200 || status === 201) return { node: nodeOf(document['node']), index };
    const code = document['errorCode'];
    if (typeof code !== 'number') throw new DiscoveryError('discovery: bad discovery endpoint');
    throw new KeysError(code, `${code}: ${String(document['message'])} (${String(document['cause'])})`);
  }

  async #follow(method: string, url: string, body: string, timeoutMs: number): Promise<Answer> {
    let at = url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const answer = await this.#send(method, at, body, timeoutMs);
      if (!('location' in answer)) return answer;
      at = new URL(answer.location, at).toString();
      // What was asked for over TLS does not go on without.
      if (url.startsWith('https:') && !at.startsWith('https:')) break;
    }
    throw new DiscoveryError('discovery: bad discovery endpoint');
  }

  #send(
    method: string,
    url: string,
    body: string,
    timeoutMs: number,
  ): Promise<Answer | { location: string }> {
    return new Promise((resolve, reject) => {
      const isSecure = url.startsWith('https:');
      const headers = body === '' ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
      const agent = isSecure === this.#agent instanceof SecureAgent ? this.#agent : undefined;
      const request = (isSecure ? secureRequest : plainRequest)(url, { method, headers, agent });
      const timer = setTimeout(() => request.destroy(new TimeoutError(timeoutMs)), timeoutMs);
      request.on('error', reject);
      request.once('close', () => clearTimeout(timer));
      request.once('response', (response) => {
        const { statusCode: status = 0, headers: answered } = response;
        const chunks: Buffer[] = [];
        let byteCount = 0;
        response.on('data', (chunk: Buffer) => {
          byteCount += chunk.length;
          if (byteCount <= MAX_ANSWER_BYTES) chunks.push(chunk);
          else request.destroy(new Error('the answer is too long'));
        });
        response.on('error', reject);
        response.once('end', () => {
          const { location } = answered;
          const isRedirect = status >= 300 && status < 400 && location !== undefined;
          const index = Number(answered['x-etcd-index'] ?? 0);
          resolve(
            isRedirect ? { location } : { status, body: Buffer.concat(chunks).toString('utf8'), index },
          );
        });
      });
      request.end(body);
    });
  }
}

class TimeoutError extends Error {
  override readonly name = 'TimeoutError';

  constructor(timeoutMs: number) {
    super(`no answer in ${timeoutMs} ms`);
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (!isObject(value)) throw new DiscoveryError('discovery: bad discovery endpoint');
  return value;
}

function nodeOf(value: unknown): KeysNode {
  if (!isObject(value)) throw new DiscoveryError('discovery: bad discovery endpoint');
  const { key, value: text, createdIndex, nodes } = value;
  return {
    key: typeof key === 'string' ? key : '',
    value: typeof text === 'string' ? text : '',
    createdIndex: typeof createdIndex === 'number' ? createdIndex : 0,
    nodes: Array.isArray(nodes) ? nodes.map(nodeOf) : [],
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
