/**
 * Listens where the configuration says, on TCP and Unix sockets, and hands connections to whom they are for. A listener
 * bounds the connections that it keeps: the limit on descriptors leaves room for files.
 */
import fs from 'node:fs';
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  ServerResponse,
} from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { type Clock, type EtcdUrl, isUnixUrl, type Logger, unixSocketPath } from '@etcd/base';
import { type GrpcServer, sniffProtocol, socketDuplex, socketInfo } from '@etcd/transport';
import { RefusalLog } from '../logging/index.ts';
import { type HandedSocket, systemErrorText } from '../process/index.ts';
import { TlsAcceptor, type TlsAcceptorOptions } from '../tls/index.ts';
import { answerRefusal, answerUnreadable, refusalOf, refusalText } from './http1-rules.ts';
import { ListenError } from './listen-error.ts';
import { PipelinedRequests } from './pipelined-requests.ts';
import { type WholeRequest, WholeRequests } from './whole-requests.ts';

/** Answers requests of HTTP/1. */
export interface HttpRequestHandler {
  onHttp1(request: IncomingMessage, response: ServerResponse): void;
  /** Whether requests for a target are for {@link onWhole} where they come whole; else none are. */
  takesWhole?(target: string): boolean;
  onWhole?(request: WholeRequest): void;
  /** Whether a request for another protocol is for {@link onUpgrade}; if not it is an ordinary one. */
  takesUpgrade?(request: IncomingMessage): boolean;
  onUpgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** What a listener serves. */
export interface ListenerServices {
  /** null: no gRPC here. */
  readonly grpc: GrpcServer | null;
  /** null: no HTTP/1 here. */
  readonly http: HttpRequestHandler | null;
}

export interface ListenerOptions {
  readonly url: EtcdUrl;
  readonly services: ListenerServices;
  readonly clock: Clock;
  readonly logger: Logger;
  /** null: no limit. */
  readonly connectionLimit: number | null;
  /** Whether HTTP/1 requests have to be there, with their bodies, within {@link HTTP_REQUEST_TIMEOUT_MS}; their heads always have to be. */
  readonly limitsRequestTime: boolean;
  /** Within which a head has to be there; usually {@link HTTP_HEADERS_TIMEOUT_MS}. */
  readonly headersTimeoutMs?: number;
  readonly reusePort: boolean;
  /** A socket that listens already, in place of one on {@link url}. */
  readonly handed?: HandedSocket | undefined;
  /** How connections are made secure; null: they are plain. */
  readonly secure: ListenerSecurity | null;
  /** The line about a plain connection that is refused, and who counts it. */
  readonly refusals: Pick<ListenerSecurity, 'rejectedMessage' | 'onRejected'>;
}

/** What of a {@link TlsAcceptor} is up to who listens. */
export type ListenerSecurity = Pick<TlsAcceptorOptions, 'side' | 'hosts' | 'rejectedMessage' | 'onRejected'>;

/** As long as nobody has sent a whole request head: an idle or half-open connection does not stay. */
const HTTP_HEADERS_TIMEOUT_MS = 10_000;
const HTTP_REQUEST_TIMEOUT_MS = 30_000;
/** How often those are looked for that have taken too long. */
const HTTP_CHECK_MS = 2000;
/** Of a request's head; as much as HTTP/2 has for one. */
const MAX_HEADER_BYTES = 64 * 1024;
const EXPECTATION_FAILED = 417;
const BACKLOG = 4096;
/** After so long without a byte a client is probed: one that has vanished would otherwise keep its streams for ever. */
const PROBE_AFTER_MS = 120_000;
const SOCKET_OPTIONS = {
  noDelay: true,
  pauseOnConnect: true,
  keepAlive: true,
  keepAliveInitialDelay: PROBE_AFTER_MS,
} as const;
const MAX_PORT = 65_535;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: net.Server;
  /** Made for the first connection that needs it: a start does without `node:http`, and many members never load it. */
  #http: HttpServer | null = null;
  /** null: `node:http` reads all. */
  readonly #whole: WholeRequests | null;
  readonly #acceptor: TlsAcceptor | null;
  readonly #refusals: RefusalLog;
  readonly #sockets = new Set<net.Socket>();
  /** Connections that came before {@link open}; null from then on. */
  #held: net.Socket[] | null = [];

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { http } = options.services;
    this.#whole = http?.onWhole === undefined ? null : this.#newWholeRequests(http);
    this.#acceptor = this.#newAcceptor();
    this.#refusals = new RefusalLog(options.clock, options.logger);
    this.#server = net.createServer(SOCKET_OPTIONS, (socket) => this.#accept(socket));
    if (options.connectionLimit !== null) this.#server.maxConnections = options.connectionLimit;
  }

  get isSecure(): boolean {
    return this.#acceptor !== null;
  }

  /** Where it listens: the port is known only now when it was given as 0. */
  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') return this.#options.url.host;
    return net.isIPv6(address.address)
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`;
  }

  /** Rejects with {@link ListenError} when the address can't be had. */
  listen(): Promise<void> {
    const { url, reusePort, handed } = this.#options;
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        const place = handed === undefined ? placeOf(url) : `socket ${handed.descriptor} (${handed.name})`;
        const text = `listen ${place}: bind: ${systemErrorText(error)}`;
        reject(new ListenError(text, { cause: error }));
      };
      this.#server.once('error', onError);
      const onListening = (): void => {
        this.#server.off('error', onError);
        this.#server.on('error', (error) =>
          this.#options.logger.error('listener failed', { error: error.message }),
        );
        resolve();
      };
      if (handed !== undefined) {
        this.#listenOn(handed, onListening, onError);
      } else if (isUnixUrl(url)) {
        const path = unixSocketPath(url);
        removeStaleSocket(path);
        this.#server.listen({ path, backlog: BACKLOG }, onListening);
      } else if (Number(url.port) > MAX_PORT) {
        reject(new ListenError(`listen tcp: address ${url.port}: invalid port`));
      } else {
        this.#server.listen(
          { host: url.hostname, port: Number(url.port), backlog: BACKLOG, reusePort },
          onListening,
        );
      }
    });
  }

  /** What is no socket is refused at once, what is no listening one when it is used. */
  #listenOn(
    { descriptor }: HandedSocket,
    onListening: () => void,
    onError: (error: NodeJS.ErrnoException) => void,
  ): void {
    try {
      this.#server.listen({ fd: descriptor }, onListening);
    } catch (error) {
      onError(error as NodeJS.ErrnoException);
    }
  }

  /** Serves: until now connections were accepted but not listened to. */
  open(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const socket of held) if (!socket.destroyed) this.#serve(socket);
  }

  /** Takes no more connections; those that are open stay. */
  stop(): void {
    this.#server.close();
  }

  /** Ends the connections that are still open. */
  close(): void {
    this.#server.close();
    this.#http?.close();
    this.#http?.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    if (this.#held === null) return this.#serve(socket);
    // Somebody has to hear of an error; the 'close' that follows does the rest.
    socket.on('error', () => {});
    this.#held.push(socket);
  }

  #serve(socket: net.Socket): void {
    if (this.#acceptor === null) this.#serveClear(socket);
    else this.#acceptor.accept(socket);
  }

  /** Whoever has agreed on HTTP/2 in the handshake is greeted before it has said anything more. */
  #serveSecure(socket: TLSSocket): void {
    const { grpc } = this.#options.services;
    if (socket.alpnProtocol === 'h2' && grpc !== null) {
      grpc.accept(socketDuplex(socket), socketInfo(socket));
    } else this.#serveClear(socket);
  }

  /** With a socket whose bytes can be read as they are. */
  #serveClear(socket: net.Socket): void {
    const { grpc, http } = this.#options.services;
    sniffProtocol(socket, {
      clock: this.#options.clock,
      onHttp2: () => {
        if (grpc === null) socket.destroy();
        else grpc.accept(socketDuplex(socket), socketInfo(socket));
      },
      onHttp1: () => {
        if (http === null) socket.destroy();
        else if (this.#whole !== null) this.#whole.serve(socket);
        else this.#serveHttp(socket);
      },
      onTls: this.#acceptor === null ? (each) => this.#refuseTls(each) : undefined,
    });
    socket.resume();
  }

  /** Somebody believes that the port is secure. */
  #refuseTls({ remoteAddress, remotePort }: net.Socket): void {
    const { refusals } = this.#options;
    const address = `${remoteAddress ?? ''}:${remotePort ?? ''}`;
    this.#refusals.warn(refusals.rejectedMessage, address, () => ({
      'remote-addr': address,
      error: 'tls: a client began a TLS handshake where plain text is spoken',
    }));
    refusals.onRejected();
  }

  #serveHttp(socket: net.Socket): void {
    this.#http ??= this.#newHttpServer();
    this.#http.emit('connection', socket);
  }

  #newHttpServer(): HttpServer {
    const { services, limitsRequestTime, headersTimeoutMs = HTTP_HEADERS_TIMEOUT_MS } = this.#options;
    const { http } = services;
    const pipelined = new PipelinedRequests();
    const server = createHttpServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      // Whether there is one is our question.
      requireHostHeader: false,
      headersTimeout: headersTimeoutMs,
      requestTimeout: limitsRequestTime ? HTTP_REQUEST_TIMEOUT_MS : 0,
      connectionsCheckingInterval: Math.min(headersTimeoutMs, HTTP_CHECK_MS),
      // Behind a request that is not answered the connection can't change hands.
      shouldUpgradeCallback: (request) =>
        pipelined.isIdle(request.socket) && (http?.takesUpgrade?.(request) ?? false),
    });
    // Those of a request are bounded by their bytes; what is beyond a number would be lost without a word.
    server.maxHeadersCount = 0;
    server.on('clientError', (error, socket) => answerUnreadable(error, socket, pipelined));
    if (http !== null) answerBy(server, http, pipelined);
    // It listens for nobody itself, and would look at no connection's time.
    server.emit('listening');
    return server;
  }

  #newWholeRequests(http: HttpRequestHandler): WholeRequests {
    return new WholeRequests({
      clock: this.#options.clock,
      takes: (target) => http.takesWhole?.(target) ?? false,
      onRequest: (request) => http.onWhole?.(request),
      onOther: (socket) => this.#serveHttp(socket),
    });
  }

  #newAcceptor(): TlsAcceptor | null {
    const { secure, services, clock, logger } = this.#options;
    if (secure === null) return null;
    const protocols = [
      ...(services.grpc === null ? [] : ['h2']),
      ...(services.http === null ? [] : ['http/1.1']),
    ];
    return new TlsAcceptor({
      ...secure,
      clock,
      logger,
      protocols,
      onSecure: (socket) => this.#serveSecure(socket),
    });
  }
}

function answerBy(server: HttpServer, http: HttpRequestHandler, pipelined: PipelinedRequests): void {
  server.on('request', (request, response) => {
    if (admits(request, response, pipelined)) http.onHttp1(request, response);
  });
  server.on('checkContinue', (request, response) => {
    if (!admits(request, response, pipelined)) return;
    if (hasBody(request)) response.writeContinue();
    http.onHttp1(request, response);
  });
  server.on('checkExpectation', (request, response) => {
    if (!admits(request, response, pipelined)) return;
    pipelined.end(request.socket);
    request.resume();
    response.writeHead(EXPECTATION_FAILED, { connection: 'close', 'content-length': 0 }).end();
  });
  // There are no tunnels here: it is answered as any other request for its target is, and nothing follows.
  server.on('connect', (request, socket) => {
    // `node:http` has let go of it, and only whoever listens hears that the client is gone.
    socket.on('error', () => {});
    if (!pipelined.isIdle(socket)) return void socket.destroy();
    if (refuses(request, socket)) return;
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as net.Socket);
    response.on('finish', () => (socket as net.Socket).destroySoon());
    http.onHttp1(request, response);
  });
  server.on('upgrade', (request, socket, head) => {
    if (!refuses(request, socket)) http.onUpgrade?.(request, socket, head);
  });
}

function placeOf(url: EtcdUrl): string {
  return isUnixUrl(url) ? `unix ${unixSocketPath(url)}` : `tcp ${url.host}`;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Whether a request breaks no rule; if it does it gets its answer, in its turn, and the connection ends. */
function admits(request: IncomingMessage, response: ServerResponse, pipelined: PipelinedRequests): boolean {
  if (!pipelined.take(request, response)) return false;
  if (request.httpVersionMajor !== 1) {
    request.socket.destroy();
    return false;
  }
  const refusal = refusalOf(request);
  if (refusal === null) return true;
  pipelined.end(request.socket);
  request.resume();
  answerRefusal(response, refusal);
  return false;
}

/** The same for a request that `node:http` has made no answer for. */
function refuses(request: IncomingMessage, socket: Duplex): boolean {
  if (request.httpVersionMajor !== 1) {
    socket.destroy();
    return true;
  }
  const refusal = refusalOf(request);
  if (refusal === null) return false;
  socket.on('error', () => {});
  socket.end(refusalText(refusal), 'latin1', () => socket.destroy());
  return true;
}

/** A socket file that a process which was killed has left: nobody listens on it. Another file is not ours to remove. */
function removeStaleSocket(path: string): void {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  if (stat?.isSocket() === true) fs.unlinkSync(path);
}
