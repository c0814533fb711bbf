/**
 * A plain HTTP request with its body, and its answer, whatever version of HTTP they travel by. There is one answer: what is answered too
 * late, or twice, goes nowhere.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { utf8ToBytes } from '@etcd/base';
import { readTarget, type WholeRequest } from '@etcd/host/net';
import { type ConnectionInfo, type HttpExchange, socketInfo } from '@etcd/transport';

export interface HttpFacts {
  readonly method: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  /** Whether it came over TLS. */
  readonly isSecure: boolean;
  /** Common name of the client's verified certificate; empty without one. */
  readonly commonName: string;
  /** `host:port`, or empty where there is none. */
  readonly remoteAddress: string;
  /** The first value of a header (its name in lower case), or null. */
  header(name: string): string | null;
}

export interface HttpCall extends HttpFacts {
  /** Its body comes in messages and ends with the connection alone: one JSON value is a request. */
  readonly isOfMessages: boolean;
  /** All of its body, where that is there; it is not read then. */
  readonly wholeBody?: Uint8Array;
  /** The same object for each request of a connection that has the same head: what follows from a head can be kept for it. */
  readonly headKey?: object;
  /** Hands over the body piece by piece, then says that there is no more; not called by an answer that needs none. */
  readBody(onPiece: (bytes: Uint8Array) => void, onEnd: () => void): void;
  /** Until {@link resumeBody}: there is nothing to be done with more of it. */
  pauseBody(): void;
  resumeBody(): void;
  /** A whole answer. A text leaves in one piece with its head, which is cheaper than bytes. */
  respond(status: number, headers: AnswerHeaders, body: Uint8Array | string): void;
  /** An answer in pieces: its head, the pieces, its end. */
  start(status: number, headers: AnswerHeaders): void;
  /** False: there is more waiting than the client takes; {@link onWritable} tells when there is room. */
  write(piece: Uint8Array | string): boolean;
  end(): void;
  onWritable(then: () => void): void;
  /** The client is gone before its answer was complete. */
  onCancel(then: () => void): void;
}

export type AnswerHeaders = readonly (readonly [name: string, value: string])[];

const NO_HEADERS: AnswerHeaders = [];

/** What each connection is like: to ask it for its certificate costs as much as a request. */
const infos = new WeakMap<Socket, ConnectionInfo>();

function infoOf(socket: Socket): ConnectionInfo {
  let info = infos.get(socket);
  if (info === undefined) {
    info = socketInfo(socket);
    infos.set(socket, info);
  }
  return info;
}

export function http1Facts(request: IncomingMessage): HttpFacts {
  const { method = 'GET', url: target = '/', headers } = request;
  const { isSecure, commonName, remoteAddress } = infoOf(request.socket);
  return {
    method,
    target,
    isSecure,
    commonName,
    remoteAddress,
    header: (name) => {
      const named = name === 'host' && !target.startsWith('/') ? readTarget(method, target)?.host : null;
      const value = named ?? headers[name];
      return value === undefined ? null : String(value);
    },
  };
}

export function http1Call(request: IncomingMessage, response: ServerResponse): HttpCall {
  return {
    ...http1Facts(request),
    isOfMessages: false,
    pauseBody: () => request.pause(),
    resumeBody: () => request.resume(),
    readBody: (onPiece, onEnd) => {
      request.on('data', onPiece);
      request.on('end', onEnd);
    },
    respond: (status, answerHeaders, body) => {
      if (response.headersSent) return;
      // What nobody has read is read away, so that the connection can be used again.
      request.resume();
      const length = Buffer.byteLength(body);
      response.writeHead(status, [...answerHeaders.flat(), 'content-length', String(length)]);
      // Head and text leave as one string, which is cheaper as Latin-1 where that is the same.
      response.end(body, length === body.length ? 'latin1' : 'utf8');
    },
    start: (status, answerHeaders) => {
      if (response.headersSent) return;
      response.writeHead(status, answerHeaders.flat());
      response.flushHeaders();
    },
    write: (bytes) => !response.writableEnded && response.write(bytes),
    end: () => {
      request.resume();
      response.end();
    },
    onWritable: (then) => response.on('drain', then),
    onCancel: (then) => {
      const gone = (): void => (response.writableFinished ? undefined : then());
      // Whoever was found to be gone before this is asked is not told of again.
      if (response.closed) gone();
      else response.on('close', gone);
    },
  };
}

/** A request that has come whole, which costs least. */
export class WholeCall implements HttpCall {
  readonly method = 'POST';
  readonly isOfMessages = false;
  /** What its answer has besides. */
  carried: AnswerHeaders = NO_HEADERS;
  readonly #request: WholeRequest;
  /** Of an answer in pieces, which leaves when it is whole. */
  #status = 0;
  #headers: AnswerHeaders = NO_HEADERS;
  #pieces: Uint8Array[] = [];

  constructor(request: WholeRequest) {
    this.#request = request;
  }

  get target(): string {
    return this.#request.head.target;
  }

  get isSecure(): boolean {
    return this.#request.info.isSecure;
  }

  get commonName(): string {
    return this.#request.info.commonName;
  }

  get remoteAddress(): string {
    return this.#request.info.remoteAddress;
  }

  get wholeBody(): Uint8Array {
    return this.#request.body;
  }

  get headKey(): object {
    return this.#request.head;
  }

  header(name: string): string | null {
    return this.#request.head.headers.get(name) ?? null;
  }

  readBody(onPiece: (bytes: Uint8Array) => void, onEnd: () => void): void {
    onPiece(this.#request.body);
    onEnd();
  }

  pauseBody(): void {}

  resumeBody(): void {}

  respond(status: number, headers: AnswerHeaders, body: Uint8Array | string): void {
    this.#request.respond(status, headers, this.carried, body);
  }

  start(status: number, headers: AnswerHeaders): void {
    this.#status = status;
    this.#headers = headers;
  }

  write(piece: Uint8Array | string): boolean {
    this.#pieces.push(bytesOf(piece));
    return true;
  }

  end(): void {
    this.respond(this.#status, this.#headers, Buffer.concat(this.#pieces));
  }

  onWritable(): void {}

  onCancel(then: () => void): void {
    // Whoever was found to be gone before this is asked is not told of again.
    if (this.#request.isCancelled) then();
    else this.#request.onCancel = then;
  }
}

export function http2Call(exchange: HttpExchange): HttpCall {
  return {
    method: exchange.method,
    target: exchange.path,
    isSecure: exchange.info.isSecure,
    commonName: exchange.info.commonName,
    remoteAddress: exchange.info.remoteAddress,
    header: (name) => (name === 'host' ? exchange.authority : exchange.header(name)),
    isOfMessages: false,
    // All of it is there.
    pauseBody: () => {},
    resumeBody: () => {},
    readBody: (onPiece, onEnd) => {
      onPiece(exchange.body);
      onEnd();
    },
    respond: (status, headers, body) => exchange.respond(status, headers, bytesOf(body)),
    start: (status, headers) => exchange.start(status, headers),
    write: (piece) => exchange.write(bytesOf(piece)),
    end: () => exchange.end(),
    onWritable: (then) => {
      exchange.onWritable = then;
    },
    onCancel: (then) => {
      exchange.onCancel = then;
    },
  };
}

/** A request for another protocol, as long as it is answered in this one: with an error. */
export function upgradeCall(request: IncomingMessage, socket: Duplex): HttpCall {
  const respond: HttpCall['respond'] = (status, headers, body) => {
    const lines = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      ...headers.map(([name, value]) => `${name}: ${value}`),
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    socket.end(body, () => socket.destroy());
  };
  return {
    ...http1Facts(request),
    isOfMessages: false,
    respond,
    readBody: (_onPiece, onEnd) => onEnd(),
    pauseBody: () => {},
    resumeBody: () => {},
    start: () => {},
    write: () => false,
    end: () => socket.destroy(),
    onWritable: () => {},
    onCancel: (then) => socket.on('close', then),
  };
}

function bytesOf(piece: Uint8Array | string): Uint8Array {
  return typeof piece === 'string' ? utf8ToBytes(piece) : piece;
}
