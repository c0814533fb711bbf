/**
 * A gRPC server over any duplex streams: a table of methods, and the connections that it has accepted.
 * Requests that are not gRPC go to `onRequest`, when there is one.
 */
import type { Clock } from '@etcd/base';
import { assert } from '@etcd/base';
import type { Duplex } from '../duplex/duplex.ts';
import { HttpExchange, type HttpOptions } from '../http/http-exchange.ts';
import { BufferTotal } from '../http2/buffer-account.ts';
import type { ConnectionHandler, Http2Environment } from '../http2/connection.ts';
import { Http2Connection, Http2Counters } from '../http2/connection.ts';
import { Flusher } from '../http2/flusher.ts';
import type { Head } from '../http2/head.ts';
import { type Http2Limits, limitsError, SERVER_LIMITS } from '../http2/limits.ts';
import { OutputPool } from '../http2/output.ts';
import { MAX_WINDOW_BYTES } from '../http2/protocol.ts';
import type { Http2Stream } from '../http2/stream.ts';
import { Sweeper } from '../http2/sweeper.ts';
import { AnswerBlocks } from './answer-blocks.ts';
import { Deadlines } from './deadlines.ts';
import type { MessageHandler, StreamHandler } from './grpc-method.ts';
import { GrpcMethod, MethodKind } from './grpc-method.ts';
import { GrpcRoute, isGrpcContentType } from './grpc-route.ts';
import type { CallContext, ConnectionInfo } from './server-call.ts';
import { ServerCall } from './server-call.ts';

export interface GrpcServerOptions {
  readonly clock: Clock;
  /** What differs from {@link SERVER_LIMITS}. */
  readonly limits?: Partial<Http2Limits>;
  /** Largest message that is accepted, decompressed. */
  readonly maxReceiveMessageBytes?: number;
  /** Largest message that is sent. */
  readonly maxSendMessageBytes?: number;
  /** Unfinished messages and bodies, and what waits for paused streams, of all connections. */
  readonly maxTotalBufferedBytes?: number;
  /** Largest body of an ordinary request. */
  readonly maxHttpBodyBytes?: number;
  /**
   * Gets every request that is neither gRPC nor for the path of a method. Without it they are refused as
   * grpc-go does.
   */
  readonly onRequest?: (exchange: HttpExchange) => void;
  /** A connection is over; `reason` is a sentence for the log. */
  readonly onConnectionClosed?: (info: ConnectionInfo, reason: string) => void;
}

/** As grpc-go. */
export const DEFAULT_MAX_RECEIVE_MESSAGE_BYTES = 4 * 1024 * 1024;
export const DEFAULT_MAX_SEND_MESSAGE_BYTES = MAX_WINDOW_BYTES;
export const DEFAULT_MAX_HTTP_BODY_BYTES = 4 * 1024 * 1024;
const DEFAULT_MAX_TOTAL_BUFFERED_BYTES = 512 * 1024 * 1024;

/** For connections of which nothing is known. */
export const UNKNOWN_CONNECTION: ConnectionInfo = {
  remoteAddress: '',
  localAddress: '',
  isSecure: false,
  commonName: '',
};

const NOT_A_STREAM: StreamHandler = () => assert(false, 'grpc: a unary method was called as a stream');
const NOT_UNARY: MessageHandler = () => assert(false, 'grpc: a stream method was called as unary');

export class GrpcServer {
  readonly counters = new Http2Counters();

  readonly #options: GrpcServerOptions;
  readonly #limits: Http2Limits;
  readonly #environment: Http2Environment;
  readonly #methods = new Map<string, GrpcMethod>();
  readonly #services = new Set<string>();
  readonly #connections = new Set<ServerConnection>();
  readonly #shared: SharedByConnections;
  readonly #buffered: BufferTotal;
  #isAccepting = true;
  #onDrained: (() => void) | null = null;

  constructor(options: GrpcServerOptions) {
    const { clock } = options;
    const limits = { ...SERVER_LIMITS, ...options.limits };
    const error = limitsError(limits);
    assert(error === '', () => `grpc server: ${error}`);
    this.#options = options;
    this.#limits = limits;
    this.#buffered = new BufferTotal(options.maxTotalBufferedBytes ?? DEFAULT_MAX_TOTAL_BUFFERED_BYTES);
    const limitsMs = [
      limits.prefaceTimeoutMs,
      limits.headerTimeoutMs,
      limits.bodyTimeoutMs,
      limits.stallTimeoutMs,
      limits.keepaliveIntervalMs,
      limits.keepaliveTimeoutMs,
    ];
    const sweeper = new Sweeper(clock, limitsMs);
    this.#environment = {
      clock,
      flusher: new Flusher(clock),
      sweeper,
      pool: new OutputPool(sweeper),
      buffered: this.#buffered,
      counters: this.counters,
    };
    this.#shared = {
      table: { methods: this.#methods, services: this.#services },
      deadlines: new Deadlines(clock),
      maxReceiveMessageBytes: options.maxReceiveMessageBytes ?? DEFAULT_MAX_RECEIVE_MESSAGE_BYTES,
      maxSendMessageBytes: options.maxSendMessageBytes ?? DEFAULT_MAX_SEND_MESSAGE_BYTES,
      http: httpOptions(options),
    };
  }

  /** Registers a unary method. All methods are registered before the first connection. */
  unary(path: string, handler: MessageHandler): GrpcMethod {
    return this.#register(new GrpcMethod(path, MethodKind.UNARY, handler, NOT_A_STREAM));
  }

  serverStream(path: string, handler: MessageHandler): GrpcMethod {
    return this.#register(new GrpcMethod(path, MethodKind.SERVER_STREAM, handler, NOT_A_STREAM));
  }

  clientStream(path: string, handler: StreamHandler): GrpcMethod {
    return this.#register(new GrpcMethod(path, MethodKind.CLIENT_STREAM, NOT_UNARY, handler));
  }

  bidi(path: string, handler: StreamHandler): GrpcMethod {
    return this.#register(new GrpcMethod(path, MethodKind.BIDI, NOT_UNARY, handler));
  }

  get methods(): Iterable<GrpcMethod> {
    return this.#methods.values();
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Bytes held for requests that have not come to their ends. */
  get bufferedBytes(): number {
    return this.#buffered.byteCount;
  }

  /** Open streams of all connections. */
  get streamCount(): number {
    let count = 0;
    for (const { connection } of this.#connections) count += connection.streams.count;
    return count;
  }

  /** Serves a connection, whose first bytes are the client's preface. */
  accept(duplex: Duplex, info: ConnectionInfo = UNKNOWN_CONNECTION): void {
    if (!this.#isAccepting) {
      duplex.destroy();
      return;
    }
    const connection = new ServerConnection(
      duplex,
      info,
      this.#limits,
      this.#environment,
      this.#shared,
      (reason) => this.#onClosed(connection, reason),
    );
    this.#connections.add(connection);
    connection.connection.start();
  }

  /** Writes all answers given so far, instead of at the end of the turn. */
  flush(): void {
    this.#environment.flusher.flush();
  }

  /**
   * Stops gracefully: no new connections, no new streams after a moment's notice; calls `done` when all are
   * gone. What is still open can be ended by {@link close}.
   */
  drain(done: () => void): void {
    this.#isAccepting = false;
    this.#onDrained = done;
    for (const { connection } of this.#connections) connection.drain('graceful_stop');
    this.#maybeDrained();
  }

  /** Ends all connections at once. */
  close(): void {
    this.#isAccepting = false;
    for (const { connection } of [...this.#connections]) connection.close('the server is shutting down');
  }

  #register(method: GrpcMethod): GrpcMethod {
    assert(/^\/[^/]+(\/[^/]+)*\/[^/]+$/.test(method.path), () => `grpc: bad method path ${method.path}`);
    assert(!this.#methods.has(method.path), () => `grpc: method ${method.path} registered twice`);
    assert(this.#connections.size === 0, 'grpc: methods are registered before connections are accepted');
    this.#methods.set(method.path, method);
    this.#services.add(method.service);
    return method;
  }

  #onClosed(connection: ServerConnection, reason: string): void {
    this.#connections.delete(connection);
    this.#options.onConnectionClosed?.(connection.info, reason);
    this.#maybeDrained();
  }

  #maybeDrained(): void {
    if (this.#connections.size > 0 || this.#onDrained === null) return;
    const done = this.#onDrained;
    this.#onDrained = null;
    done();
  }
}

function httpOptions(options: GrpcServerOptions): HttpOptions | null {
  const { onRequest, maxHttpBodyBytes } = options;
  if (onRequest === undefined) return null;
  return { onRequest, maxBodyBytes: maxHttpBodyBytes ?? DEFAULT_MAX_HTTP_BODY_BYTES };
}

interface SharedByConnections {
  readonly table: { readonly methods: Map<string, GrpcMethod>; readonly services: Set<string> };
  readonly deadlines: Deadlines;
  readonly maxReceiveMessageBytes: number;
  readonly maxSendMessageBytes: number;
  readonly http: HttpOptions | null;
}

/** One accepted connection: tells calls from ordinary requests. */
class ServerConnection implements ConnectionHandler, CallContext {
  readonly connection: Http2Connection;
  readonly info: ConnectionInfo;
  readonly blocks: AnswerBlocks;
  readonly deadlines: Deadlines;
  readonly maxReceiveMessageBytes: number;
  readonly maxSendMessageBytes: number;
  readonly onClosed: (reason: string) => void;
  readonly #shared: SharedByConnections;

  constructor(
    duplex: Duplex,
    info: ConnectionInfo,
    limits: Http2Limits,
    environment: Http2Environment,
    shared: SharedByConnections,
    onClosed: (reason: string) => void,
  ) {
    this.info = info;
    this.#shared = shared;
    this.onClosed = onClosed;
    this.deadlines = shared.deadlines;
    this.maxReceiveMessageBytes = shared.maxReceiveMessageBytes;
    this.maxSendMessageBytes = shared.maxSendMessageBytes;
    this.connection = new Http2Connection(duplex, true, limits, environment, this);
    this.blocks = new AnswerBlocks(this.connection.encoder);
  }

  newStream(connection: Http2Connection, id: number, head: Head): Http2Stream {
    const { http, table } = this.#shared;
    let route = head.attachment;
    if (route === null) {
      const isGrpc = isGrpcContentType(head.value('content-type') ?? '') || table.methods.has(head.path);
      route = isGrpc || http === null ? new GrpcRoute(head, table) : ORDINARY;
      head.attachment = route;
    }
    if (route instanceof GrpcRoute) return new ServerCall(connection, id, head, route, this);
    return new HttpExchange(connection, id, head, this.info, http!);
  }

  onSettings(): void {}

  onGoaway(): void {}
}

/** The attachment of heads that are no calls. */
const ORDINARY = {};
