/**
 * An ordinary HTTP request over HTTP/2 and its answer: health checks, metrics, the JSON gateway. The body is
 * collected, up to a limit, before the server's `onRequest` is called. The answer is either given whole by
 * `respond`, or begun by `start`, written piece by piece, and ended. As with calls, what is answered too late
 * goes nowhere.
 */

import type { ConnectionInfo } from '../grpc/server-call.ts';
import type { HeaderField } from '../hpack/header-field.ts';
import { Indexing } from '../hpack/hpack-encoder.ts';
import type { Http2Connection } from '../http2/connection.ts';
import type { Head } from '../http2/head.ts';
import { copyRange } from '../http2/output.ts';
import { ErrorCode } from '../http2/protocol.ts';
import { Http2Stream } from '../http2/stream.ts';

export type Headers = readonly (readonly [name: string, value: string])[];

const NO_HEADERS: Headers = [];
const NOTHING: Uint8Array = Buffer.allocUnsafeSlow(0);
const FIRST_BODY_BYTES = 1024;

const HTTP_CONTINUE = 100;
const HTTP_NO_CONTENT = 204;
const HTTP_REQUEST_TIMEOUT = 408;
const HTTP_CONTENT_TOO_LARGE = 413;
const HTTP_NOT_MODIFIED = 304;

export interface HttpOptions {
  readonly maxBodyBytes: number;
  readonly onRequest: (exchange: HttpExchange) => void;
}

export class HttpExchange extends Http2Stream {
  readonly head: Head;
  readonly info: ConnectionInfo;
  /**
   * Called whenever everything written so far has been handed on: there is room, if {@link write} said there
   * was none.
   */
  onWritable: (() => void) | null = null;
  /** Called when the client is gone before the answer was complete. */
  onCancel: (() => void) | null = null;

  readonly #options: HttpOptions;
  #body: Uint8Array = NOTHING;
  #bodyBytes = 0;
  #hasBegun = false;
  #isDispatched = false;
  #hasStarted = false;
  #isAnswered = false;

  constructor(
    connection: Http2Connection,
    id: number,
    head: Head,
    info: ConnectionInfo,
    options: HttpOptions,
  ) {
    super(connection, id);
    this.head = head;
    this.info = info;
    this.#options = options;
  }

  // The request

  get method(): string {
    return this.head.method;
  }

  /** Path and query, as the client sent them. */
  get path(): string {
    return this.head.path;
  }

  get authority(): string {
    return this.head.authority || (this.head.value('host') ?? '');
  }

  /** The first value of a header (its name in lower case), or null. */
  header(name: string): string | null {
    return this.head.value(name);
  }

  /** The whole body. */
  get body(): Uint8Array {
    return this.#body.subarray(0, this.#bodyBytes);
  }

  get isAlive(): boolean {
    return !this.#isAnswered && !this.isClosed;
  }

  // The answer

  /** Answers with `body`; `content-length` is added. */
  respond(status: number, headers: Headers, body: Uint8Array): void {
    if (!this.isAlive || this.#hasStarted) return;
    const isBodiless = this.method === 'HEAD' || status === HTTP_NO_CONTENT || status === HTTP_NOT_MODIFIED;
    const length: Headers =
      status === HTTP_NO_CONTENT ? NO_HEADERS : [['content-length', String(body.length)]];
    const isEmpty = isBodiless || body.length === 0;
    this.#sendHead(status, [...headers, ...length], isEmpty);
    if (isEmpty) return;
    this.connection.sender.queueCopy(this, body, 0, body.length);
    this.end();
  }

  /** Begins an answer whose body follows in pieces. */
  start(status: number, headers: Headers): void {
    if (this.isAlive && !this.#hasStarted) this.#sendHead(status, headers, false);
  }

  /**
   * Sends a copy of `bytes` as part of the body. Returns whether there is room for more; see {@link
   * onWritable}.
   */
  write(bytes: Uint8Array): boolean {
    if (!this.isAlive || !this.#hasStarted || bytes.length === 0) return this.hasRoom;
    if (this.connection.isCongested) {
      this.connection.resetStream(this, ErrorCode.ENHANCE_YOUR_CALM);
      return false;
    }
    this.connection.sender.queueCopy(this, bytes, 0, bytes.length);
    this.connection.touch();
    return this.hasRoom;
  }

  get hasRoom(): boolean {
    return (this.queue?.byteCount ?? 0) < this.connection.limits.streamHighWaterBytes;
  }

  /** Ends the body. */
  end(): void {
    if (!this.isAlive || !this.#hasStarted) return;
    this.#isAnswered = true;
    this.isEnding = true;
    if (this.queue === null) this.onEndDue();
    else this.connection.touch();
  }

  /** Ends the stream without a proper answer: the client learns that it failed. */
  abort(): void {
    this.connection.resetStream(this, ErrorCode.INTERNAL_ERROR);
  }

  // What the connection calls

  override onHead(head: Head, _volatileField: HeaderField | null, endStream: boolean): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const isWaiting = head.value('expect')?.toLowerCase() === '100-continue';
    if (isWaiting && !endStream) this.#sendInterim();
    if (head.contentLength > this.#options.maxBodyBytes) this.#refuse(HTTP_CONTENT_TOO_LARGE);
  }

  override onData(bytes: Uint8Array, start: number, end: number): void {
    if (this.#isAnswered) return;
    const length = end - start;
    const total = this.#bodyBytes + length;
    if (total > this.#options.maxBodyBytes || !this.connection.buffered.claim(length)) {
      this.#refuse(HTTP_CONTENT_TOO_LARGE);
      return;
    }
    this.#bodyBytes = total;
    if (this.#body.length < total) {
      const room = Math.min(this.#options.maxBodyBytes, Math.max(2 * total, FIRST_BODY_BYTES));
      const grown = Buffer.allocUnsafeSlow(room);
      grown.set(this.#body.subarray(0, total - length));
      this.#body = grown;
    }
    copyRange(this.#body, total - length, bytes, start, end);
    this.consumed(length);
  }

  override onRemoteEnd(): void {
    if (this.#isAnswered) return;
    this.#isDispatched = true;
    this.#options.onRequest(this);
  }

  override onClosed(): void {
    const heldBytes = this.#bodyBytes;
    this.#bodyBytes = 0;
    this.#body = NOTHING;
    if (heldBytes > 0) this.connection.buffered.release(this, heldBytes);
  }

  override onReset(_errorCode: number): void {
    const wasAnswered = this.#isAnswered;
    this.#isAnswered = true;
    if (this.#isDispatched && !wasAnswered) this.onCancel?.();
  }

  override onEndDue(): void {
    this.connection.sender.writeEndOfData(this);
    this.connection.endLocal(this);
    this.connection.touch();
  }

  override onRoom(): void {
    if (this.isAlive) this.onWritable?.();
  }

  override isAwaitingBody(): boolean {
    return !this.#isDispatched && !this.#isAnswered;
  }

  override onBodyTimeout(): void {
    this.#refuse(HTTP_REQUEST_TIMEOUT);
  }

  #refuse(status: number): void {
    this.respond(status, NO_HEADERS, NOTHING);
  }

  #sendHead(status: number, headers: Headers, endStream: boolean): void {
    this.#hasStarted = true;
    if (endStream) this.#isAnswered = true;
    const { encoder } = this.connection;
    encoder.begin();
    encoder.add(':status', String(status), Indexing.NONE);
    for (const [name, value] of headers) encoder.add(name.toLowerCase(), value, Indexing.NONE);
    this.connection.sendHeaders(this, encoder.finish(), endStream);
  }

  #sendInterim(): void {
    const { encoder } = this.connection;
    encoder.begin();
    encoder.add(':status', String(HTTP_CONTINUE), Indexing.NONE);
    this.connection.sendHeaders(this, encoder.finish(), false);
  }
}
