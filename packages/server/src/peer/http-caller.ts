/** Requests to other members with an answer that ends: everything but the streams. Bounded in time and size. */
import {
  Agent,
  type AgentOptions,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { domainToASCII } from 'node:url';
import type { Clock } from '@etcd/base';
import { type EtcdUrl, isUnixUrl, unixSocketPath } from '@etcd/base';
import { connectionErrorText, type Dialer } from '@etcd/host/net';
import type { PeerResponse } from './peer-network.ts';

export interface HttpCall {
  readonly url: EtcdUrl;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** null: none, or written by whoever made the call, with {@link OpenCall.request}. */
  readonly body: Uint8Array | null;
  /** Until the whole answer is there; null: {@link OpenCall.cancel} is the limit. */
  readonly timeoutMs: number | null;
  readonly maxAnswerBytes: number;
  /** Whether a connection from an earlier call may be used: it may turn out to be closed. */
  readonly reuse: boolean;
}

/** `response` is null where there is none, and `reason` says why. */
export type HttpCallDone = (response: PeerResponse | null, reason: string) => void;

export interface OpenCall {
  readonly request: ClientRequest;
  /** Ends it; `done` is called with `reason` unless it has been. */
  cancel(reason: string): void;
}

const MAX_CONNECTIONS_PER_MEMBER = 32;
const MAX_IDLE_CONNECTIONS_PER_MEMBER = 4;

export class HttpCaller {
  readonly #clock: Clock;
  readonly #dialer: Dialer;
  /** Made for the first calls: a member that is alone makes none, and never loads `node:http` for them. */
  #reusing: Agent | null = null;
  #single: Agent | null = null;

  constructor(clock: Clock, dialer: Dialer) {
    this.#clock = clock;
    this.#dialer = dialer;
  }

  /** Begins a call; one with a body of its own is sent. `done` is called once, in a later turn. */
  call(call: HttpCall, done: HttpCallDone): OpenCall {
    const { url, body } = call;
    const request = httpRequest(this.#requestOptions(call));
    let isOver = false;
    const finish = (response: PeerResponse | null, reason: string): void => {
      if (isOver) return;
      isOver = true;
      timer?.cancel();
      if (response === null) request.destroy();
      done(response, reason);
    };
    const timer =
      call.timeoutMs === null
        ? null
        : this.#clock.setTimer(call.timeoutMs, () => finish(null, 'context deadline exceeded'));
    request.on('error', (error) => finish(null, connectionErrorText(url, error)));
    request.on('response', (response) => readAnswer(response, call.maxAnswerBytes, finish));
    if (body !== null || call.method === 'GET') request.end(body ?? undefined);
    return { request, cancel: (reason) => finish(null, reason) };
  }

  /** Closes the connections that are kept; calls under way fail. */
  close(): void {
    this.#reusing?.destroy();
    this.#single?.destroy();
  }

  #reusingAgent(): Agent {
    this.#reusing ??= newAgent(this.#dialer, {
      keepAlive: true,
      maxSockets: MAX_CONNECTIONS_PER_MEMBER,
      maxFreeSockets: MAX_IDLE_CONNECTIONS_PER_MEMBER,
    });
    return this.#reusing;
  }

  #singleAgent(): Agent {
    this.#single ??= newAgent(this.#dialer, { keepAlive: false, maxSockets: MAX_CONNECTIONS_PER_MEMBER });
    return this.#single;
  }

  #requestOptions({ url, method, path, headers, body, reuse }: HttpCall): PeerRequestOptions {
    const length = body === null ? {} : { 'Content-Length': String(body.length) };
    return {
      etcdUrl: url,
      agent: reuse ? this.#reusingAgent() : this.#singleAgent(),
      ...(isUnixUrl(url)
        ? { socketPath: unixSocketPath(url) }
        : { host: url.hostname, port: Number(url.port) }),
      method,
      path,
      headers: { Host: hostHeader(url), ...headers, ...length },
    };
  }
}

/** Names in other scripts are written as DNS has them: Node refuses to send a header with anything else. */
function hostHeader({ hostname, host }: EtcdUrl): string {
  if (/^[\x20-\x7e]+$/.test(host)) return host;
  return domainToASCII(hostname) || 'localhost';
}

/** What Node's client hands on to an agent's `createConnection`, the URL included. */
type PeerRequestOptions = RequestOptions & { readonly etcdUrl: EtcdUrl };

/** Connects as the dialer says. */
function newAgent(dialer: Dialer, options: AgentOptions): Agent {
  const agent = new Agent(options);
  agent.createConnection = (given) => dialer.connect((given as unknown as PeerRequestOptions).etcdUrl);
  return agent;
}

function readAnswer(response: IncomingMessage, maxBytes: number, finish: HttpCallDone): void {
  const parts: Buffer[] = [];
  let length = 0;
  response.on('data', (part: Buffer) => {
    length += part.length;
    parts.push(part);
    if (length > maxBytes) finish(null, `answer of more than ${maxBytes} bytes`);
  });
  response.on('error', (error) => finish(null, error.message));
  response.on('aborted', () => finish(null, 'unexpected EOF'));
  response.on('end', () => {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(response.headers)) {
      if (typeof value === 'string') headers[name] = value;
    }
    const contentType = headers['content-type'];
    finish(
      {
        status: response.statusCode ?? 0,
        ...(contentType === undefined ? {} : { contentType }),
        body: Buffer.concat(parts, length),
        headers,
      },
      '',
    );
  });
}
