/**
 * One call on the server: the request's head, its messages, and the answer.
 *
 * A unary handler answers exactly once, at once or later, by one of `respond`, `reserve`, `respondChunks`,
 * `respondBody` and `fail`. A stream handler writes messages and ends with `end`. After that, and after a cancellation or a
 * lost connection, every method is harmless: late answers go nowhere.
 */

import { assert, GRPC_CODE_NAMES, GrpcCode } from '@etcd/base';
import type { HeaderField } from '../hpack/header-field.ts';
import type { Body, BodySink } from '../http2/body.ts';
import type { Http2Connection } from '../http2/connection.ts';
import type { Head } from '../http2/head.ts';
import { copyRange } from '../http2/output.ts';
import {
  ErrorCode,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  writeFrameHeader,
  writeUint32,
} from '../http2/protocol.ts';
import type { Segment } from '../http2/send-queue.ts';
import type { AnswerBlocks } from './answer-blocks.ts';
import type { Deadlines, Expiring } from './deadlines.ts';
import { NO_SLOT } from './deadlines.ts';
import type { CallTrace, GrpcMethod } from './grpc-method.ts';
import { MethodKind } from './grpc-method.ts';
import type { GrpcRoute, Refusal } from './grpc-route.ts';
import { DEADLINE_PASSED, refusalByTimeout } from './grpc-route.ts';
import { GrpcStream, MESSAGE_PREFIX_BYTES } from './grpc-stream.ts';
import type { Metadata } from './metadata.ts';
import { metadataOf, metadataValue, NO_METADATA } from './metadata.ts';
import { MAX_TIMEOUT_MS, parseTimeout, timeoutError } from './timeout.ts';

/** Hears of a call after its handler has returned. One object for all events: no closure per call. */
export interface CallReceiver {
  /** A message of a client stream; views of it may be kept. */
  onMessage?(call: ServerCall, bytes: Uint8Array, start: number, end: number): void;
  /** The client has sent its last message. */
  onHalfClose?(call: ServerCall): void;
  /** There is room again after a write returned false. */
  onWritable?(call: ServerCall): void;
  /**
   * The call is over without an answer of ours: cancelled, its deadline passed, its connection lost; or, from inside a write, because too
   * much waits for the client already.
   */
  onCancel?(call: ServerCall): void;
}

/** What the calls of one connection share. */
export interface CallContext {
  readonly info: ConnectionInfo;
  readonly blocks: AnswerBlocks;
  readonly deadlines: Deadlines;
  readonly maxReceiveMessageBytes: number;
  readonly maxSendMessageBytes: number;
}

/** What is known about the other side of a connection. */
export interface ConnectionInfo {
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** Whether the connection is encrypted. */
  readonly isSecure: boolean;
  /** Common name of the client's verified certificate; the empty string without one. */
  readonly commonName: string;
}

const HEADERS = (FrameType.HEADERS << 8) | Flag.END_HEADERS;
const TRAILERS = HEADERS | Flag.END_STREAM;
const DATA = FrameType.DATA << 8;

/** Where answers to dead calls are written. */
const DEAD_LETTERS = Buffer.allocUnsafeSlow(64 * 1024);

/** Hot: one shape, allocated once per request; not reused, so that a late answer can't meet another call. */
export class ServerCall extends GrpcStream implements Expiring, BodySink {
  readonly route: GrpcRoute;
  readonly head: Head;
  readonly method: GrpcMethod | null;
  /**
   * Set by the handler of a stream before it returns, unless it pauses the call first: what nobody hears is
   * lost.
   */
  receiver: CallReceiver | null = null;
  /** Whatever the handler wants to find again in its receiver. */
  data: unknown = null;
  /** Who follows the call, if anybody does. */
  trace: CallTrace | null = null;
  /** The memory that the last {@link reserve} or {@link reserveMessage} gave room in. */
  output: Uint8Array = DEAD_LETTERS;

  /** When the client stops waiting, on the clock of `Clock.now`; Infinity for never. */
  deadlineMs = Number.POSITIVE_INFINITY;
  deadlineSlot = NO_SLOT;
  deadlineNext: Expiring | null = null;
  deadlinePrevious: Expiring | null = null;

  readonly #context: CallContext;
  #hasBegun = false;
  /** The handler of a unary call or server stream has been given its message. */
  #isDispatched = false;
  #hasSentHeaders = false;
  /** The handler has given its answer; the rest is sending. */
  #isAnswered = false;
  #isCancelled = false;
  #isLate = false;
  #wantsRoom = false;
  // The only message of a server stream, until the client has ended its side.
  #request: Uint8Array | null = null;
  #requestStart = 0;
  #requestEnd = 0;
  // How the call ends once its queue is empty.
  #endCode: number = GrpcCode.OK;
  #endMessage = '';
  #endMetadata: Metadata = NO_METADATA;

  constructor(connection: Http2Connection, id: number, head: Head, route: GrpcRoute, context: CallContext) {
    super(connection, id, context.maxReceiveMessageBytes);
    this.head = head;
    this.route = route;
    this.method = route.method;
    this.encoding = route.encoding;
    this.#context = context;
  }

  // The request

  get info(): ConnectionInfo {
    return this.#context.info;
  }

  /** Whether the call is over without an answer of ours. */
  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  /** Whether an answer would still be sent. */
  get isAlive(): boolean {
    return !this.#isAnswered && !this.isClosed;
  }

  /** Whether the answer has been given and waits to be sent: {@link trace} is told when it is, or can't be. */
  get isHeldBack(): boolean {
    return this.#isAnswered && this.queue !== null && !this.isClosed;
  }

  /** The first value of the client's metadata `name` (lower case), or null. */
  metadata(name: string): string | null {
    return metadataValue(this.head, name);
  }

  /** All of the client's metadata. */
  allMetadata(): Metadata {
    return metadataOf(this.head);
  }

  // Answers of unary calls

  /** Answers with a copy of `bytes[start, end)`. */
  respond(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    const at = this.reserve(end - start);
    copyRange(this.output, at, bytes, start, end);
  }

  /**
   * Answers with a message of `length` bytes that the caller writes into {@link output} from the returned
   * position on, all of it and before doing anything else.
   */
  reserve(length: number): number {
    if (!this.#mayAnswer(length)) return this.#deadLetter(length);
    this.#isAnswered = true;
    return this.#place(length, true);
  }

  /**
   * Answers with a message of `totalLength` bytes made of `chunks`, which pass into the transport's
   * ownership: they must not change any more. Sent as the client takes it.
   */
  respondChunks(chunks: readonly Uint8Array[], totalLength: number): void {
    if (!this.#mayAnswer(totalLength)) return;
    this.#isAnswered = true;
    if (!this.#placeChunks(chunks, totalLength)) return;
    this.#endWhenSent(GrpcCode.OK, '', NO_METADATA);
  }

  /**
   * A message that is too large for one piece, to be made in memory of the transport and given to {@link respondBody}
   * or {@link writeBody}, or else discarded.
   */
  newBody(): Body {
    return this.connection.newBody(this, MESSAGE_PREFIX_BYTES);
  }

  /** Answers with `body`, which is empty afterwards. Sent as the client takes it. */
  respondBody(body: Body): void {
    if (!this.#mayAnswer(body.length)) return body.discard();
    this.#isAnswered = true;
    if (this.#placeBody(body)) this.#endWhenSent(GrpcCode.OK, '', NO_METADATA);
  }

  /**
   * A message of `length` bytes that leaves while it is made: the caller appends as many to the body, then gives it to {@link
   * closeAnswer} or {@link closeMessage}. Where there is nobody left to answer, the bytes go nowhere, and the rest may be missing.
   */
  openBody(length: number): Body {
    const body = this.newBody();
    if (this.#mayAnswer(length) && this.#beginMessage(length)) writePrefix(body, length);
    body.sendTo(this, length);
    return body;
  }

  /** The answer is complete. */
  closeAnswer(body: Body): void {
    this.closeMessage(body);
    this.end();
  }

  /** The message is complete. Returns whether there is room for more. */
  closeMessage(body: Body): boolean {
    // Where nobody is left to answer, the rest need not be made.
    assert(body.isComplete || !this.isAlive, 'call: a message is not as long as was said');
    body.finish();
    return this.hasRoom;
  }

  /** For the body that {@link openBody} has made. */
  takeBlock(segment: Segment): void {
    if (this.isAlive) this.#sendFrames(segment);
    else this.connection.giveBack(segment);
  }

  /** Answers with an error. */
  fail(code: number, message: string, trailers: Metadata = NO_METADATA): void {
    this.end(code, message, trailers);
  }

  // Answers of streams

  /** Sends the headers now, with metadata, instead of with the first message. */
  sendHeaders(metadata: Metadata = NO_METADATA): void {
    if (this.isAlive) this.#sendHeadersOnce(metadata);
  }

  /**
   * Sends a copy of `bytes[start, end)` as a message. Returns whether there is room for more; see
   * `onWritable`.
   */
  write(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
    const at = this.reserveMessage(end - start);
    copyRange(this.output, at, bytes, start, end);
    return this.hasRoom;
  }

  /**
   * Sends a message that is `first[firstStart, firstEnd)` followed by all of `rest`, which many streams may
   * share.
   */
  writeParts(first: Uint8Array, firstStart: number, firstEnd: number, rest: Uint8Array): boolean {
    const firstLength = firstEnd - firstStart;
    const at = this.reserveMessage(firstLength + rest.length);
    copyRange(this.output, at, first, firstStart, firstEnd);
    copyRange(this.output, at + firstLength, rest, 0, rest.length);
    return this.hasRoom;
  }

  /**
   * Sends a message of `length` bytes that the caller writes into {@link output}, as with {@link reserve}.
   */
  reserveMessage(length: number): number {
    if (!this.#mayAnswer(length)) return this.#deadLetter(length);
    return this.#place(length, false);
  }

  /** Sends `body` as a message; it is empty afterwards. Returns whether there is room for more. */
  writeBody(body: Body): boolean {
    if (this.#mayAnswer(body.length)) this.#placeBody(body);
    else body.discard();
    return this.hasRoom;
  }

  /**
   * Whether the writer may go on. When false, `onWritable` is called once it may, unless the call is over.
   */
  get hasRoom(): boolean {
    if (!this.isAlive) return false;
    if (this.queue === null) return true;
    this.#wantsRoom = this.queue.byteCount >= this.connection.limits.streamHighWaterBytes;
    return !this.#wantsRoom;
  }

  /** Ends the call with a status, once everything written before is sent. */
  end(code: number = GrpcCode.OK, message = '', trailers: Metadata = NO_METADATA): void {
    if (!this.isAlive) return;
    this.#isAnswered = true;
    this.#endWhenSent(code, message, trailers);
  }

  // What the connection calls

  override onHead(_head: Head, timeout: HeaderField | null, _endStream: boolean): void {
    // The client's trailers carry nothing that gRPC has a use for.
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const { refusal } = this.route;
    if (refusal !== null) {
      this.#refuse(refusal);
      return;
    }
    if (timeout !== null && !this.#setDeadline(timeout.value)) return;
    const method = this.method!;
    method.started++;
    if (method.observer !== null) this.trace = method.observer.begin(this);
    if (method.kind >= MethodKind.CLIENT_STREAM) {
      this.#isDispatched = true;
      method.onCall(this);
    }
  }

  override onMessage(bytes: Uint8Array, start: number, end: number): void {
    if (this.#isAnswered) return;
    const method = this.method!;
    method.messagesReceived++;
    method.bytesReceived += end - start;
    if (method.kind >= MethodKind.CLIENT_STREAM) {
      this.receiver?.onMessage?.(this, bytes, start, end);
    } else if (method.kind === MethodKind.SERVER_STREAM) {
      this.#keepRequest(bytes, start, end);
    } else if (!this.#isDispatched) {
      this.#isDispatched = true;
      method.onMessage(this, bytes, start, end);
    }
  }

  override onLastMessage(): void {
    const method = this.method;
    if (this.#isAnswered || method === null) return;
    if (this.isInsideMessage) {
      this.end(method.kind === MethodKind.UNARY ? GrpcCode.Unknown : GrpcCode.Internal, 'unexpected EOF');
    } else if (method.kind >= MethodKind.CLIENT_STREAM) {
      this.receiver?.onHalfClose?.(this);
    } else if (method.kind === MethodKind.UNARY) {
      if (!this.#isDispatched) this.end(GrpcCode.Unknown, 'EOF');
    } else if (this.#request === null) {
      const text = 'cardinality violation: received no request message from non-client-streaming RPC';
      this.end(GrpcCode.Internal, text);
    } else {
      const request = this.#request;
      this.#request = null;
      this.#isDispatched = true;
      method.onMessage(this, request, this.#requestStart, this.#requestEnd);
    }
  }

  override onBadMessage(code: number, text: string): void {
    const wasDispatched = this.#isDispatched;
    if (!this.isAlive) return;
    this.end(code, text);
    if (wasDispatched) this.receiver?.onCancel?.(this);
  }

  override isAwaitingBody(): boolean {
    if (this.#isAnswered || this.isPaused) return false;
    return this.hasPartialMessage || !this.#isDispatched;
  }

  override onBodyTimeout(): void {
    this.onBadMessage(GrpcCode.DeadlineExceeded, 'transport: the request did not arrive in time');
  }

  override onEndDue(): void {
    this.#sendEnd();
  }

  override onRoom(): void {
    if (!this.#wantsRoom) return;
    this.#wantsRoom = false;
    if (this.isAlive) this.receiver?.onWritable?.(this);
  }

  override onClosed(): void {
    this.discard();
    this.#context.deadlines.delete(this);
  }

  override onReset(_errorCode: number): void {
    const wasAnswered = this.#isAnswered;
    this.#isAnswered = true;
    this.#isCancelled = !wasAnswered;
    this.#count(this.#isLate ? GrpcCode.DeadlineExceeded : GrpcCode.Canceled);
    if (!wasAnswered && this.#isDispatched) this.receiver?.onCancel?.(this);
  }

  onDeadline(): void {
    this.#isLate = true;
    this.connection.resetStream(this, ErrorCode.CANCEL);
  }

  #refuse(refusal: Refusal): void {
    this.#isAnswered = true;
    const { httpStatus, code, message, metadata } = refusal;
    const { contentType } = this.route;
    const block = this.#context.blocks.trailersOnly(httpStatus, contentType, code, message, metadata);
    this.connection.sendHeaders(this, block, true);
  }

  #sendHeadersOnce(metadata: Metadata): void {
    if (this.#hasSentHeaders) return;
    this.#hasSentHeaders = true;
    const { contentType } = this.route;
    const { blocks } = this.#context;
    const block =
      metadata.length === 0 ? blocks.headers(contentType) : blocks.headersWith(contentType, metadata);
    this.connection.sendHeaders(this, block, false);
  }

  /** Sets the deadline of `grpc-timeout`. False when the call is refused because of it. */
  #setDeadline(text: string): boolean {
    const timeoutMs = parseTimeout(text);
    if (timeoutMs <= 0) {
      this.#refuse(timeoutMs < 0 ? refusalByTimeout(timeoutError(text)) : DEADLINE_PASSED);
      return false;
    }
    if (timeoutMs <= MAX_TIMEOUT_MS) {
      this.deadlineMs = this.connection.clock.now() + timeoutMs;
      this.#context.deadlines.add(this);
    }
    return true;
  }

  #keepRequest(bytes: Uint8Array, start: number, end: number): void {
    if (this.#request !== null) {
      const text = 'cardinality violation: received multiple request messages for non-client-streaming RPC';
      this.end(GrpcCode.Internal, text);
      return;
    }
    this.#request = bytes;
    this.#requestStart = start;
    this.#requestEnd = end;
  }

  #mayAnswer(length: number): boolean {
    if (!this.isAlive) return false;
    const maxBytes = this.#context.maxSendMessageBytes;
    if (length <= maxBytes) return true;
    const prefix = this.method!.kind === MethodKind.UNARY ? 'grpc: ' : '';
    const text = `${prefix}trying to send message larger than max (${length} vs. ${maxBytes})`;
    this.end(GrpcCode.ResourceExhausted, text);
    return false;
  }

  #deadLetter(length: number): number {
    this.output = length <= DEAD_LETTERS.length ? DEAD_LETTERS : Buffer.allocUnsafeSlow(length);
    return 0;
  }

  /** Room for a message, behind its prefix; with the end of the call behind it when it is the last. */
  #place(length: number, isLast: boolean): number {
    const { connection } = this;
    // Before the room is taken, not after: what may be written at once must not include what is still to be
    // filled in.
    connection.touch();
    this.#countSent(length);
    const canSendNow = connection.sender.canSendNow(this, MESSAGE_PREFIX_BYTES + length);
    if (!canSendNow) return this.#placeQueued(length, isLast);
    if (isLast) return this.#placeLast(length);
    this.#sendHeadersOnce(NO_METADATA);
    return this.#placeData(length);
  }

  /** The usual answer: headers, data and trailers in one go. */
  #placeLast(length: number): number {
    const { connection } = this;
    const { output, sender } = connection;
    const { blocks } = this.#context;
    const size = MESSAGE_PREFIX_BYTES + length;
    const headers = this.#hasSentHeaders ? null : blocks.headers(this.route.contentType);
    const trailers = blocks.okTrailers();
    let total = FRAME_HEADER_BYTES + size + FRAME_HEADER_BYTES + trailers.length;
    if (headers !== null) total += FRAME_HEADER_BYTES + headers.length;
    let at = output.reserve(total);
    const { bytes } = output;
    if (headers !== null) at = putBlock(bytes, at, HEADERS, this.id, headers);
    writeFrameHeader(bytes, at, size, DATA, this.id);
    at += FRAME_HEADER_BYTES;
    bytes[at] = 0;
    writeUint32(bytes, at + 1, length);
    at += MESSAGE_PREFIX_BYTES;
    putBlock(bytes, at + length, TRAILERS, this.id, trailers);
    sender.spend(this, size);
    this.#hasSentHeaders = true;
    this.output = bytes;
    this.#count(GrpcCode.OK);
    connection.endLocal(this);
    return at;
  }

  /**
   * A message of a stream: in the DATA frame just written, if that is one of this stream, else in one of its
   * own.
   */
  #placeData(length: number): number {
    const { output, sender } = this.connection;
    const at = sender.reserveData(this, MESSAGE_PREFIX_BYTES + length);
    output.bytes[at] = 0;
    writeUint32(output.bytes, at + 1, length);
    this.output = output.bytes;
    return at + MESSAGE_PREFIX_BYTES;
  }

  /** The window is used up, or much is waiting already. */
  #placeQueued(length: number, isLast: boolean): number {
    const { connection } = this;
    if (connection.isCongested) {
      this.#overflow();
      return this.#deadLetter(length);
    }
    this.#sendHeadersOnce(NO_METADATA);
    const at = connection.sender.reserveQueued(this, MESSAGE_PREFIX_BYTES + length);
    const bytes = connection.sender.queueBytes(this);
    bytes[at] = 0;
    writeUint32(bytes, at + 1, length);
    this.output = bytes;
    if (isLast) this.#endWhenSent(GrpcCode.OK, '', NO_METADATA);
    return at + MESSAGE_PREFIX_BYTES;
  }

  /** Returns whether the message was taken. */
  #placeChunks(chunks: readonly Uint8Array[], totalLength: number): boolean {
    if (!this.#queuePrefix(totalLength)) return false;
    const { connection } = this;
    for (const chunk of chunks) connection.sender.queueOwned(this, chunk, 0, chunk.length);
    connection.touch();
    return true;
  }

  /** Returns whether the message was taken; if not, its blocks are back in the pool. */
  #placeBody(body: Body): boolean {
    const { length } = body;
    if (!this.#beginMessage(length)) {
      body.discard();
      return false;
    }
    writePrefix(body, length);
    for (const segment of body.take()) this.#sendFrames(segment);
    return true;
  }

  #sendFrames(segment: Segment): void {
    // Writing what is there may be the end of the connection.
    if (this.isClosed) this.connection.giveBack(segment);
    else this.connection.sendFrames(this, segment);
  }

  /** Begins a message in the queue. False when too much is there already, which ends the call. */
  #queuePrefix(length: number): boolean {
    if (!this.#beginMessage(length)) return false;
    const { sender } = this.connection;
    const at = sender.reserveQueued(this, MESSAGE_PREFIX_BYTES);
    const bytes = sender.queueBytes(this);
    bytes[at] = 0;
    writeUint32(bytes, at + 1, length);
    return true;
  }

  /** False when too much is in the queue already, which ends the call. */
  #beginMessage(length: number): boolean {
    if (this.connection.isCongested) {
      this.#overflow();
      return false;
    }
    this.#countSent(length);
    this.#sendHeadersOnce(NO_METADATA);
    return true;
  }

  /** So much waits unread on this connection that an answer can't be kept for it. */
  #overflow(): void {
    this.#isAnswered = true;
    if (this.#hasSentHeaders) {
      this.connection.resetStream(this, ErrorCode.ENHANCE_YOUR_CALM);
    } else {
      const text = `transport: more than ${this.connection.limits.maxQueuedBytes} bytes wait to be read`;
      this.#endWhenSent(GrpcCode.ResourceExhausted, text, NO_METADATA);
    }
    // The handler holds things for the call, and has not ended it.
    this.receiver?.onCancel?.(this);
  }

  #endWhenSent(code: number, message: string, metadata: Metadata): void {
    this.#endCode = code;
    this.#endMessage = message;
    this.#endMetadata = metadata;
    if (this.queue === null) this.#sendEnd();
    else this.isEnding = true;
  }

  #sendEnd(): void {
    const { blocks } = this.#context;
    const code = this.#endCode;
    const message = this.#endMessage;
    const metadata = this.#endMetadata;
    let block: Uint8Array;
    if (!this.#hasSentHeaders)
      block = blocks.trailersOnly(HTTP_OK, this.route.contentType, code, message, metadata);
    else if (code !== GrpcCode.OK || metadata.length > 0) block = blocks.trailers(code, message, metadata);
    else block = blocks.okTrailers();
    this.#count(code);
    this.connection.sendHeaders(this, block, true);
  }

  #countSent(byteCount: number): void {
    const method = this.method!;
    method.messagesSent++;
    method.bytesSent += byteCount;
  }

  #count(code: number): void {
    if (this.method !== null && code < GRPC_CODE_NAMES.length) this.method.handled[code]!++;
    if (this.trace === null) return;
    const { trace } = this;
    this.trace = null;
    trace.onEnd(code, this.#endMessage);
  }
}

const HTTP_OK = 200;

/** Says at the beginning of a body how long it is. */
function writePrefix({ prefixBlock, prefixAt }: Body, length: number): void {
  prefixBlock[prefixAt] = 0;
  writeUint32(prefixBlock, prefixAt + 1, length);
}

/** Writes a frame that is a header block; returns the position behind it. */
function putBlock(
  bytes: Uint8Array,
  at: number,
  typeAndFlags: number,
  streamId: number,
  block: Uint8Array,
): number {
  writeFrameHeader(bytes, at, block.length, typeAndFlags, streamId);
  copyRange(bytes, at + FRAME_HEADER_BYTES, block, 0, block.length);
  return at + FRAME_HEADER_BYTES + block.length;
}
