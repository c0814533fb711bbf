/**
 * Calls of any method on whatever endpoint is there: waits for a connection and a token, tries again where that is safe, keeps
 * to deadline and signal. Everything that the client offers goes through {@link Caller.unary}, {@link Caller.serverStream} and
 * {@link Caller.open}.
 */
import { EtcdError, encode, type Method } from '@etcd/api';
import type { ClientCall, ClientReceiver, GrpcChannel, Metadata } from '@etcd/transport';
import { type CallOptions, type ClientOptions, DEFAULT_TIMEOUT_MS, NO_OPTIONS } from '../options.ts';
import { Balancer } from './balancer.ts';
import { ServerStream } from './server-stream.ts';
import { TokenSource } from './token-source.ts';
import { copyMessage, UnaryCall } from './unary-call.ts';
import { deadlineError, WaitingCall } from './waiting-call.ts';

const TOKEN_KEY = 'token';
const REQUIRE_LEADER: readonly [string, string] = ['hasleader', 'true'];
const API_VERSION: readonly [string, string] = ['client-api-version', '3.7'];

/** A bidirectional call that has been opened. */
export interface OpenCall {
  readonly call: ClientCall;
  /** The token that it was opened with. */
  readonly token: string;
}

export class Caller {
  readonly options: ClientOptions;
  readonly balancer: Balancer;
  readonly tokens: TokenSource;
  readonly #metadata = new Map<string, Metadata>();
  #metadataToken = '';

  constructor(options: ClientOptions) {
    this.options = options;
    this.balancer = new Balancer(options);
    this.tokens = new TokenSource(options.credentials, options.token);
  }

  get now(): number {
    return this.options.clock.now();
  }

  /** When a call with these options is due; infinite where it never is. */
  deadlineOf(options: CallOptions, defaultTimeoutMs = this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS): number {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    return timeoutMs > 0 ? this.now + timeoutMs : Number.POSITIVE_INFINITY;
  }

  unary<Request, Response>(
    method: Method<'unary', Request, Response>,
    request: Request,
    options: CallOptions = NO_OPTIONS,
    defaultTimeoutMs?: number,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const { path, response } = method;
      const bytes = encode(method.request, request);
      const deadlineMs = this.deadlineOf(options, defaultTimeoutMs);
      new UnaryCall(this, path, bytes, response, options, deadlineMs, resolve, reject).start();
    });
  }

  /** Without a deadline unless `options` have one. A slow reader slows the server. */
  serverStream<Request, Response>(
    method: Method<'server-stream', Request, Response>,
    request: Request,
    options: CallOptions = NO_OPTIONS,
  ): ServerStream<Response> {
    const bytes = encode(method.request, request);
    return new ServerStream(this, method.path, bytes, method.response, options, this.deadlineOf(options, 0));
  }

  /** Begins a call of many messages, as soon as there is a connection and a token. */
  async open(path: string, receiver: ClientReceiver, options: CallOptions = NO_OPTIONS): Promise<OpenCall> {
    const deadlineMs = this.deadlineOf(options, 0);
    if (!this.tokens.isReady) await this.refreshToken();
    const channel = await this.channel(deadlineMs, options.signal);
    const metadata = this.metadata(options);
    const leftMs = deadlineMs - this.now;
    const callOptions = leftMs === Number.POSITIVE_INFINITY ? { metadata } : { metadata, timeoutMs: leftMs };
    return { call: channel.call(path, receiver, callOptions), token: this.tokens.token };
  }

  /** A channel, as soon as there is one. */
  channel(deadlineMs: number, signal?: AbortSignal): Promise<GrpcChannel> {
    const channel = this.balancer.pick();
    if (channel !== null) return Promise.resolve(channel);
    return new Promise((resolve, reject) => {
      new WaitingCall(this, deadlineMs, signal, resolve, reject).start();
    });
  }

  /** Gets a token; all who wait for one share the call. */
  refreshToken(): Promise<void> {
    const timeoutMs = this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return this.tokens.refresh(async (path, request) => {
      const deadlineMs = timeoutMs > 0 ? this.now + timeoutMs : Number.POSITIVE_INFINITY;
      const channel = await this.channel(deadlineMs);
      return new Promise((resolve, reject) => {
        const leftMs = deadlineMs - this.now;
        const callOptions = leftMs === Number.POSITIVE_INFINITY ? {} : { timeoutMs: leftMs };
        channel.unary(
          path,
          request,
          (code, message, bytes, start, end) => {
            if (code === 0) resolve(copyMessage(bytes, start, end));
            else reject(EtcdError.fromStatus(code, message));
          },
          callOptions,
        );
      });
    });
  }

  /** Calls with the same options share one array, which lets the channel remember their encoded headers. */
  metadata(options: CallOptions): Metadata {
    const { token } = this.tokens;
    if (token !== this.#metadataToken) {
      this.#metadata.clear();
      this.#metadataToken = token;
    }
    const wantsLeader = options.requireLeader === true;
    const key = wantsLeader ? 'leader' : '';
    let metadata = this.#metadata.get(key);
    if (metadata === undefined) {
      const pairs: (readonly [string, string])[] = [API_VERSION];
      if (wantsLeader) pairs.push(REQUIRE_LEADER);
      if (token !== '') pairs.push([TOKEN_KEY, token]);
      metadata = pairs;
      this.#metadata.set(key, metadata);
    }
    return options.metadata === undefined ? metadata : [...metadata, ...options.metadata];
  }

  /** What a call is told whose deadline has passed. */
  deadlineError(): Error {
    return deadlineError(this.balancer.lastError);
  }

  close(): void {
    this.balancer.close();
  }
}
