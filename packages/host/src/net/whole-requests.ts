/**
 * Requests of HTTP/1.1 that come whole: head and body in one chunk, nothing behind them, and nothing in the head but what is asked
 * ({@link parseWholeHead}). Programs that ask again and again send such ones, and to read them here takes a fraction of what `node:http` needs. With the first request
 * that is anything else, the connection goes to `node:http` for good, that request's bytes included: nothing is read by both.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { assert, type Clock } from '@etcd/base';
import { type ConnectionInfo, socketInfo } from '@etcd/transport';
import { parseWholeHead, type WholeHead } from './whole-head.ts';

export type WholeHeaders = readonly (readonly [name: string, value: string])[];

export interface WholeRequestsOptions {
  readonly clock: Clock;
  /** Whether requests for a target come to {@link onRequest}. */
  readonly takes: (target: string) => boolean;
  /** Answers, at once or later. */
  readonly onRequest: (request: WholeRequest) => void;
  /** How long a connection may be without a request. */
  readonly idleMs?: number;
  /** Takes a connection over whose next bytes are put back. */
  readonly onOther: (socket: Socket) => void;
}

/** What clients are told of how long a connection waits for its next request, as `node:http` does. */
const IDLE_SECONDS = 5;
/** A request may be on its way when a client takes its word. */
const IDLE_MS = 6000;
const MAX_HEAD_BYTES = 4096;
const HEAD_END = Buffer.from('\r\n\r\n', 'latin1');
/** No request begins with less. */
const METHOD = Buffer.from('POST ', 'latin1');
const CONNECTION_HEADERS = `Connection: keep-alive\r\nKeep-Alive: timeout=${IDLE_SECONDS}\r\n`;
const SECOND_MS = 1000;

/** What the connections of a listener share. */
export class WholeRequests {
  readonly options: WholeRequestsOptions;
  #dateSecond = -1;
  #date = '';
  /** The text of headers that answers have in common. */
  readonly #texts = new WeakMap<WholeHeaders, string>();

  constructor(options: WholeRequestsOptions) {
    this.options = options;
  }

  serve(socket: Socket): void {
    new WholeConnection(this, socket).start();
  }

  /** The head of an answer, with the empty line. */
  answerHead(status: number, headers: WholeHeaders, more: WholeHeaders, length: number): string {
    return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n${this.#text(headers)}${this.#text(more)}content-length: ${length}\r\n${this.#dateLine()}${CONNECTION_HEADERS}\r\n`;
  }

  #text(headers: WholeHeaders): string {
    let text = this.#texts.get(headers);
    if (text === undefined) {
      text = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      assert(!/[\r\n]/.test(headers.flat().join('')), 'http: a header of an answer has a line end');
      this.#texts.set(headers, text);
    }
    return text;
  }

  #dateLine(): string {
    const wallMs = this.options.clock.wallNow();
    const second = Math.floor(wallMs / SECOND_MS);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#date = `Date: ${new Date(wallMs).toUTCString()}\r\n`;
    }
    return this.#date;
  }
}

/** A request, and its one answer: what comes too late, or twice, goes nowhere. */
export class WholeRequest {
  readonly head: WholeHead;
  /** A view of what the connection has delivered. */
  readonly body: Uint8Array;
  readonly info: ConnectionInfo;
  /** Called when the client is gone before it is answered. */
  onCancel: (() => void) | null = null;
  /** It was gone, perhaps before anybody asked to be told. */
  isCancelled = false;
  readonly #connection: WholeConnection;

  constructor(connection: WholeConnection, head: WholeHead, body: Uint8Array) {
    this.#connection = connection;
    this.head = head;
    this.body = body;
    this.info = connection.info;
  }

  /** Headers that are the same object from one answer to the next cost nothing. */
  respond(status: number, headers: WholeHeaders, more: WholeHeaders, body: Uint8Array | string): void {
    this.#connection.respond(this, status, headers, more, body);
  }
}

class WholeConnection {
  readonly info: ConnectionInfo;
  readonly #shared: WholeRequests;
  readonly #socket: Socket;
  /** Of the request before: clients repeat themselves. */
  #headText = '';
  #head: WholeHead | null = null;
  /** The request that waits for its answer. */
  #open: WholeRequest | null = null;
  /** An answer is on its way that the client has not taken. */
  #isDraining = false;
  /** What has come behind a request that is not answered; the socket rests meanwhile. */
  #next: Buffer | null = null;

  readonly #onData = (chunk: Buffer): void => {
    if (this.#open === null && !this.#isDraining) return this.#take(chunk);
    this.#next = this.#next === null ? chunk : Buffer.concat([this.#next, chunk]);
    this.#socket.pause();
  };
  /** The 'close' that follows says all that there is to say. */
  readonly #onError = (): void => {};
  readonly #onClose = (): void => {
    const open = this.#open;
    this.#open = null;
    this.#next = null;
    if (open === null) return;
    open.isCancelled = true;
    open.onCancel?.();
  };
  readonly #onTimeout = (): void => {
    if (this.#open === null && !this.#isDraining) this.#socket.destroy();
  };
  readonly #onDrain = (): void => {
    this.#isDraining = false;
    this.#goOn();
  };

  constructor(shared: WholeRequests, socket: Socket) {
    this.#shared = shared;
    this.#socket = socket;
    this.info = socketInfo(socket);
  }

  start(): void {
    const socket = this.#socket;
    socket.on('data', this.#onData);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    socket.on('drain', this.#onDrain);
    socket.setTimeout(this.#shared.options.idleMs ?? IDLE_MS, this.#onTimeout);
  }

  respond(
    request: WholeRequest,
    status: number,
    headers: WholeHeaders,
    more: WholeHeaders,
    body: Uint8Array | string,
  ): void {
    if (request !== this.#open) return;
    this.#open = null;
    const socket = this.#socket;
    const length = Buffer.byteLength(body);
    const head = this.#shared.answerHead(status, headers, more, length);
    if (typeof body === 'string') {
      // One string leaves in one piece, and is cheaper as Latin-1 where that is the same.
      socket.write(head + body, length === body.length ? 'latin1' : 'utf8');
    } else {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(body);
      socket.uncork();
    }
    this.#isDraining = socket.writableNeedDrain;
    this.#goOn();
  }

  #goOn(): void {
    const next = this.#next;
    if (next === null || this.#open !== null || this.#isDraining) return;
    this.#next = null;
    this.#take(next);
    this.#socket.resume();
  }

  #take(chunk: Buffer): void {
    const headEnd = chunk.indexOf(HEAD_END);
    const head = headEnd < 0 || headEnd > MAX_HEAD_BYTES ? null : this.#headOf(chunk, headEnd);
    const bodyStart = headEnd + HEAD_END.length;
    const isWhole = head !== null && bodyStart + head.contentLength === chunk.length;
    if (!isWhole || !this.#shared.options.takes(head.target)) return this.#handOver(chunk);
    this.#open = new WholeRequest(this, head, chunk.subarray(bodyStart));
    this.#shared.options.onRequest(this.#open);
  }

  #headOf(chunk: Buffer, end: number): WholeHead | null {
    // A head may be shorter than a method: an empty line is one.
    if (end < METHOD.length || METHOD.compare(chunk, 0, METHOD.length) !== 0) return null;
    const text = chunk.toString('latin1', 0, end);
    if (this.#head !== null && text === this.#headText) return this.#head;
    const head = parseWholeHead(text);
    if (head !== null) {
      this.#head = head;
      this.#headText = text;
    }
    return head;
  }

  #handOver(chunk: Buffer): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    socket.off('drain', this.#onDrain);
    socket.setTimeout(0, this.#onTimeout);
    socket.pause();
    socket.unshift(chunk);
    this.#shared.options.onOther(socket);
    socket.resume();
  }
}
