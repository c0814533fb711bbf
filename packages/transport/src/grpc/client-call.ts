/**
 * One call on the client. What happens is told to the {@link ClientReceiver}; `onEnd` is its last word and
 * comes exactly once, never from inside a method of the call or of the channel.
 */

import { GrpcCode } from '@etcd/base';
import type { HeaderField } from '../hpack/header-field.ts';
import type { Http2Connection } from '../http2/connection.ts';
import type { Head } from '../http2/head.ts';
import { copyRange } from '../http2/output.ts';
import { ErrorCode, errorCodeName, writeUint32 } from '../http2/protocol.ts';
import { AnswerHead } from './answer-head.ts';
import { Encoding } from './compression.ts';
import type { Expiring } from './deadlines.ts';
import { NO_SLOT } from './deadlines.ts';
import { GrpcStream, MESSAGE_PREFIX_BYTES } from './grpc-stream.ts';
import type { Metadata } from './metadata.ts';
import { metadataOf, metadataValue, NO_METADATA } from './metadata.ts';
import { codeFromReset, quote } from './status.ts';

export interface ClientReceiver {
  /** The server has begun its answer. */
  onHeaders?(call: ClientCall): void;
  /** A message; views of the bytes may be kept. */
  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void;
  /** There is room again after a write returned false. */
  onWritable?(call: ClientCall): void;
  /** The call is over. */
  onEnd(call: ClientCall, code: number, message: string): void;
}

/** What a call needs of its channel. */
export interface ClientContext {
  readonly maxReceiveMessageBytes: number;
  readonly maxSendMessageBytes: number;
  /** Why the connection is gone, once it is. */
  readonly closeReason: string;
  /** Sends the request's headers on a stream that has just been opened. */
  sendRequestHead(call: ClientCall): void;
  /** The call is over: another may take its place. */
  onCallEnded(call: ClientCall): void;
}

/** A long answer is put together in memory of this size, or its own: growing with it means to copy it once more. */
const RESERVED_BYTES = 16 * 1024 * 1024;

/** Hot: one shape. */
export class ClientCall extends GrpcStream implements Expiring {
  readonly path: string;
  readonly requestMetadata: Metadata;
  /** The server has certainly not seen this call: it may be repeated elsewhere whatever it was. */
  isUnprocessed = false;

  deadlineMs: number;
  deadlineSlot = NO_SLOT;
  deadlineNext: Expiring | null = null;
  deadlinePrevious: Expiring | null = null;

  readonly #context: ClientContext;
  readonly #receiver: ClientReceiver;
  #headers: Head | null = null;
  #trailers: Head | null = null;
  #encodingName = '';
  #isEnded = false;
  /** How the call ends if not by the server's status; -1 while that is open. */
  #ownCode = -1;
  #wantsRoom = false;
  /** Messages, with their prefix, that were written before the stream could be opened. */
  #early: Uint8Array[] = [];
  #isEarlyHalfClosed = false;

  constructor(
    connection: Http2Connection,
    context: ClientContext,
    path: string,
    metadata: Metadata,
    deadlineMs: number,
    receiver: ClientReceiver,
  ) {
    super(connection, 0, context.maxReceiveMessageBytes, RESERVED_BYTES);
    this.#context = context;
    this.path = path;
    this.requestMetadata = metadata;
    this.deadlineMs = deadlineMs;
    this.#receiver = receiver;
  }

  get isAlive(): boolean {
    return !this.#isEnded && this.#ownCode < 0;
  }

  /** Metadata of the answer's headers, decoded; empty until they have come. */
  get headers(): Metadata {
    return this.#headers === null ? NO_METADATA : metadataOf(this.#headers);
  }

  /** Metadata of the trailers, decoded; empty until they have come. */
  get trailers(): Metadata {
    return this.#trailers === null ? NO_METADATA : metadataOf(this.#trailers);
  }

  /** The first value of `name` (lower case) in the answer's headers or trailers, or null. */
  answerMetadata(name: string): string | null {
    const fromHeaders = this.#headers === null ? null : metadataValue(this.#headers, name);
    if (fromHeaders !== null || this.#trailers === null) return fromHeaders;
    return metadataValue(this.#trailers, name);
  }

  /**
   * Sends a copy of `bytes[start, end)` as a message. Returns whether there is room for more; see
   * `onWritable`.
   */
  write(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
    const length = end - start;
    if (!this.isAlive || this.isLocalEnded || this.isEnding || this.#isEarlyHalfClosed) return false;
    const { maxSendMessageBytes } = this.#context;
    if (length > maxSendMessageBytes) {
      const text = `trying to send message larger than max (${length} vs. ${maxSendMessageBytes})`;
      this.#abort(GrpcCode.ResourceExhausted, text);
      return false;
    }
    if (this.id === 0) {
      const message = new Uint8Array(MESSAGE_PREFIX_BYTES + length);
      putMessage(message, 0, bytes, start, end);
      this.#early.push(message);
      return true;
    }
    this.#send(bytes, start, end);
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

  /** No more messages will be written. */
  halfClose(): void {
    if (this.#isEnded || this.isLocalEnded || this.isEnding) return;
    if (this.id === 0) {
      this.#isEarlyHalfClosed = true;
      return;
    }
    if (this.isClosed) return;
    this.isEnding = true;
    if (this.queue === null) this.onEndDue();
  }

  /** Ends the call with CANCELLED, unless it has ended already. */
  cancel(): void {
    this.#abort(GrpcCode.Canceled, 'context canceled');
  }

  // What the channel and the connection call

  /** The stream has been opened: sends what was written so far. */
  begin(): void {
    this.#context.sendRequestHead(this);
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.#send(message, MESSAGE_PREFIX_BYTES, message.length);
    if (this.#isEarlyHalfClosed) this.halfClose();
  }

  /** Decides how the call ends once its stream is dropped. */
  abandon(code: number, message: string): void {
    if (!this.isAlive) return;
    this.#ownCode = code;
    this.connection.clock.defer(() => this.finish(code, message));
  }

  /** Ends the call: tells its receiver. */
  finish(code: number, message: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#context.onCallEnded(this);
    this.#receiver.onEnd(this, code, message);
  }

  override onHead(head: Head, _volatileField: HeaderField | null, endStream: boolean): void {
    if (this.#ownCode >= 0) return;
    const answer = AnswerHead.of(head);
    if (this.#headers !== null) {
      if (endStream) this.#trailers = head;
      else this.#reject(GrpcCode.Internal, 'a HEADERS frame cannot appear in the middle of a stream');
      return;
    }
    if (answer.isInterim) {
      if (!endStream) return;
      this.#reject(GrpcCode.Internal, `protocol error: informational header with status code ${head.status}`);
    } else if (answer.problem !== '') {
      this.#reject(answer.problemCode, answer.problem);
    } else if (endStream) {
      this.#trailers = head;
    } else {
      this.#headers = head;
      this.encoding = answer.encoding;
      this.#encodingName = answer.encodingName;
      this.#receiver.onHeaders?.(this);
    }
  }

  override onMessage(bytes: Uint8Array, start: number, end: number): void {
    if (this.isAlive) this.#receiver.onMessage(this, bytes, start, end);
  }

  override onLastMessage(): void {
    if (this.#ownCode >= 0) return;
    if (this.isInsideMessage) this.finish(GrpcCode.Internal, 'unexpected EOF');
    else if (this.#trailers === null) {
      this.finish(GrpcCode.Internal, 'server closed the stream without sending trailers');
    } else {
      const { code, message } = AnswerHead.of(this.#trailers);
      this.finish(code, message);
    }
  }

  override onBadMessage(code: number, text: string): void {
    if (this.encoding !== Encoding.UNSUPPORTED) this.#reject(code, text);
    else {
      const name = quote(this.#encodingName);
      this.#reject(GrpcCode.Internal, `grpc: Decompressor is not installed for grpc-encoding ${name}`);
    }
  }

  override onEndDue(): void {
    this.connection.sender.writeEndOfData(this);
    this.connection.endLocal(this);
    this.connection.touch();
  }

  override onRoom(): void {
    if (!this.#wantsRoom) return;
    this.#wantsRoom = false;
    if (this.isAlive) this.#receiver.onWritable?.(this);
  }

  override onReset(errorCode: number): void {
    this.discard();
    if (this.#ownCode >= 0) return;
    if (this.connection.isClosed) {
      this.finish(GrpcCode.Unavailable, this.#context.closeReason);
      return;
    }
    if (errorCode === ErrorCode.REFUSED_STREAM) this.isUnprocessed = true;
    // The server's clock may have run out a little before ours.
    const isLate = errorCode === ErrorCode.CANCEL && this.connection.clock.now() >= this.deadlineMs;
    const code = isLate ? GrpcCode.DeadlineExceeded : codeFromReset(errorCode);
    this.finish(code, `stream terminated by RST_STREAM with error code: ${errorCodeName(errorCode)}`);
  }

  onDeadline(): void {
    this.#reject(GrpcCode.DeadlineExceeded, 'context deadline exceeded');
  }

  override isAwaitingBody(): boolean {
    return false;
  }

  override onBodyTimeout(): void {}

  #send(bytes: Uint8Array, start: number, end: number): void {
    const { connection } = this;
    const { sender } = connection;
    const size = MESSAGE_PREFIX_BYTES + end - start;
    connection.touch();
    if (sender.canSendNow(this, size)) {
      const at = sender.reserveData(this, size);
      putMessage(connection.output.bytes, at, bytes, start, end);
    } else {
      const at = sender.reserveQueued(this, size);
      putMessage(sender.queueBytes(this), at, bytes, start, end);
    }
  }

  /** Ends the call from inside a method of its user, who hears of it later. */
  #abort(code: number, message: string): void {
    if (!this.isAlive) return;
    this.abandon(code, message);
    this.#leave();
  }

  /** Ends the call because of something that came from outside. */
  #reject(code: number, message: string): void {
    if (!this.isAlive) return;
    this.#ownCode = code;
    this.#leave();
    this.finish(code, message);
  }

  #leave(): void {
    this.discard();
    this.#early = [];
    if (this.id !== 0) this.connection.resetStream(this, ErrorCode.CANCEL);
  }
}

function putMessage(target: Uint8Array, at: number, bytes: Uint8Array, start: number, end: number): void {
  target[at] = 0;
  writeUint32(target, at + 1, end - start);
  copyRange(target, at + MESSAGE_PREFIX_BYTES, bytes, start, end);
}
