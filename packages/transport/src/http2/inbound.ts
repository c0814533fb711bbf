/**
 * Interprets the frames that a connection receives (RFC 9113, sections 5 and 6), and keeps the receiving half
 * of flow control. Every `#on…` method handles one frame type and returns false when reading must stop.
 */
import { latin1FromBytes } from '@etcd/base';
import type { HeaderField } from '../hpack/header-field.ts';
import { FieldKind } from '../hpack/header-field.ts';
import { HpackDecoder } from '../hpack/hpack-decoder.ts';
import type { Http2Connection } from './connection.ts';
import type { FrameSink } from './frame-reader.ts';
import { FrameReader } from './frame-reader.ts';
import { writePing, writeSettingsAck, writeWindowUpdate } from './frame-writer.ts';
import { Head, NO_LENGTH } from './head.ts';
import { HeaderAssembly } from './header-assembly.ts';
import {
  CLIENT_PREFACE,
  ErrorCode,
  Flag,
  FrameType,
  PING_BYTES,
  readUint31,
  readUint32,
  SETTING_BYTES,
} from './protocol.ts';
import { PeerSettings } from './settings.ts';
import type { Http2Stream } from './stream.ts';

const PREFACE = Buffer.from(CLIENT_PREFACE, 'latin1');
const PRIORITY_BYTES = 5;
const WORD_BYTES = 4;

/** Streams that a change of the initial window may touch for the price of one more control frame. */
const STREAMS_PER_CONTROL_FRAME = 64;
/** Likewise for the entries of a SETTINGS frame. */
const SETTINGS_PER_CONTROL_FRAME = 32;

export class Inbound implements FrameSink {
  /** The highest stream that the peer has opened. */
  lastPeerStreamId = 0;
  /** Whether the peer's first SETTINGS have come. */
  hasSettings = false;

  readonly #connection: Http2Connection;
  readonly #reader: FrameReader;
  readonly #decoder: HpackDecoder<Head>;
  readonly #headers = new HeaderAssembly();
  readonly #settings = new PeerSettings();
  /** Bytes of the client's preface seen. */
  #prefaceSeen = 0;

  #windowBytes: number;
  /** Received, and not yet granted again. */
  #returnableBytes = 0;
  /** The stream of the DATA frame that comes in pieces; null when they are to be ignored. */
  #dataStream: Http2Stream | null = null;
  #dataFlags = 0;

  constructor(connection: Http2Connection) {
    const { limits, isServer } = connection;
    this.#connection = connection;
    this.#reader = new FrameReader(this);
    this.#decoder = new HpackDecoder<Head>({
      interpret: (fields, listSizeBytes) => new Head(fields, listSizeBytes),
      maxListSizeBytes: limits.maxHeaderListBytes,
      volatileKind: isServer ? FieldKind.GRPC_TIMEOUT : undefined,
    });
    this.#windowBytes = limits.connectionWindowBytes;
    if (!isServer) this.#prefaceSeen = PREFACE.length;
  }

  /** Whether the beginning of a frame or header block is held until the rest comes. */
  get isHolding(): boolean {
    return this.#reader.isHolding || this.#headers.streamId !== 0;
  }

  /** Reads a chunk to its end, or until the connection fails. */
  read(chunk: Uint8Array): void {
    let position = 0;
    if (this.#prefaceSeen < PREFACE.length) {
      position = this.#readPreface(chunk);
      if (position < 0) return;
    }
    this.#reader.read(chunk, position);
  }

  #readPreface(chunk: Uint8Array): number {
    const length = Math.min(PREFACE.length - this.#prefaceSeen, chunk.length);
    for (let i = 0; i < length; i++) {
      if (chunk[i] !== PREFACE[this.#prefaceSeen + i]) {
        this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'bad connection preface');
        return -1;
      }
    }
    this.#prefaceSeen += length;
    return length;
  }

  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    if (this.#headers.streamId !== 0 || !this.hasSettings) {
      if (!this.#isExpected(type, flags, streamId)) return false;
    }
    switch (type) {
      case FrameType.DATA:
        return this.#onData(flags, streamId, bytes, start, end);
      case FrameType.HEADERS:
        return this.#onHeaders(flags, streamId, bytes, start, end);
      case FrameType.CONTINUATION:
        return this.#onContinuation(flags, bytes, start, end);
      case FrameType.WINDOW_UPDATE:
        return this.#onWindowUpdate(streamId, bytes, start, end);
      default:
        return this.#onOther(type, flags, streamId, bytes, start, end);
    }
  }

  onOversizedFrame(streamId: number): void {
    this.#connection.fail(ErrorCode.FRAME_SIZE_ERROR, `frame too large on stream ${streamId}`);
  }

  /** Inside a header block only its continuation may come; first of all come SETTINGS. */
  #isExpected(type: number, flags: number, streamId: number): boolean {
    if (this.#headers.streamId !== 0) {
      if (type === FrameType.CONTINUATION && streamId === this.#headers.streamId) return true;
      return this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'header block interrupted');
    }
    if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) return true;
    return this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'first frame is not SETTINGS');
  }

  #onOther(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    const connection = this.#connection;
    if (!connection.guard.spendControlFrames(1)) return this.#tooManyFrames();
    switch (type) {
      case FrameType.PRIORITY:
        return this.#onPriority(streamId, bytes, start, end);
      case FrameType.RST_STREAM:
        return this.#onRstStream(streamId, bytes, start, end);
      case FrameType.SETTINGS:
        return this.#onSettings(flags, streamId, bytes, start, end);
      case FrameType.PING:
        return this.#onPing(flags, streamId, bytes, start, end);
      case FrameType.GOAWAY:
        return this.#onGoaway(streamId, bytes, start, end);
      case FrameType.PUSH_PROMISE:
        return connection.fail(ErrorCode.PROTOCOL_ERROR, 'PUSH_PROMISE is not allowed');
      default:
        // Unknown types are to be ignored.
        return true;
    }
  }

  #tooManyFrames(): false {
    return this.#connection.fail(ErrorCode.ENHANCE_YOUR_CALM, 'too many control frames');
  }

  /** A stream error by the peer: resets the stream, or ends the connection when it has made too many. */
  #streamError(streamId: number, stream: Http2Stream | null, errorCode: number): boolean {
    const connection = this.#connection;
    if (!connection.guard.spendReset()) {
      return connection.fail(ErrorCode.ENHANCE_YOUR_CALM, 'too many streams were reset');
    }
    if (stream !== null) connection.resetStream(stream, errorCode);
    else connection.sendReset(streamId, errorCode);
    return !connection.isClosed;
  }

  /** Whether nobody has opened this stream yet. */
  #isIdle(streamId: number): boolean {
    const isPeers = (streamId & 1) === (this.#connection.isServer ? 1 : 0);
    return streamId > (isPeers ? this.lastPeerStreamId : this.#connection.lastOwnStreamId);
  }

  // HEADERS and CONTINUATION

  #onHeaders(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    const headers = this.#headers;
    if (streamId === 0) return this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'HEADERS on stream 0');
    if (!headers.begin(streamId, flags, bytes, start, end)) {
      return this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'bad padding or priority in HEADERS');
    }
    return headers.streamId !== 0 || this.#onBlock(streamId);
  }

  #onContinuation(flags: number, bytes: Uint8Array, start: number, end: number): boolean {
    const headers = this.#headers;
    const { limits } = this.#connection;
    const streamId = headers.streamId;
    if (streamId === 0) {
      return this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    }
    headers.add(flags, bytes, start, end);
    if (
      headers.byteCount > limits.maxHeaderBlockBytes ||
      headers.continuationCount > limits.maxContinuationFrames
    ) {
      return this.#connection.fail(ErrorCode.ENHANCE_YOUR_CALM, 'header block too large');
    }
    return headers.streamId !== 0 || this.#onBlock(streamId);
  }

  /** A header block is complete. It is decoded whatever becomes of it: the next ones build on it. */
  #onBlock(streamId: number): boolean {
    const connection = this.#connection;
    const headers = this.#headers;
    const decoder = this.#decoder;
    const head = decoder.decode(headers.bytes, headers.start, headers.end);
    headers.release();
    if (head === null && !decoder.isListTooLarge) {
      return connection.fail(ErrorCode.COMPRESSION_ERROR, 'bad header block');
    }
    const stream = connection.streams.get(streamId);
    if (stream !== null) return this.#onLaterHead(stream, head);
    if (this.#isIdle(streamId)) return this.#onNewStream(streamId, head);
    if (connection.wasReset(streamId) || !connection.isServer) return true;
    return connection.fail(ErrorCode.STREAM_CLOSED, `HEADERS on closed stream ${streamId}`);
  }

  #onNewStream(streamId: number, head: Head | null): boolean {
    const connection = this.#connection;
    if (!connection.isServer || (streamId & 1) === 0) {
      return connection.fail(
        ErrorCode.PROTOCOL_ERROR,
        `HEADERS on stream ${streamId}, which can't be opened`,
      );
    }
    this.lastPeerStreamId = streamId;
    const isFull = connection.streams.count >= connection.limits.maxConcurrentStreams;
    if (isFull || connection.isCongested || !connection.isOpen) {
      connection.counters.streamsRefused++;
      return this.#streamError(streamId, null, ErrorCode.REFUSED_STREAM);
    }
    if (head === null) return this.#streamError(streamId, null, ErrorCode.FRAME_SIZE_ERROR);
    const { endStream } = this.#headers;
    const isBroken = !head.isRequest || (endStream && head.contentLength > 0);
    if (isBroken || this.#headers.dependsOnItself) {
      return this.#streamError(streamId, null, ErrorCode.PROTOCOL_ERROR);
    }
    const stream = connection.handler.newStream(connection, streamId, head);
    stream.promisedBytes = head.contentLength;
    connection.counters.streamsOpened++;
    connection.streams.add(stream);
    return this.#deliverHead(stream, head, this.#decoder.volatileField, endStream);
  }

  /** A client's answer or trailers, a server's trailers. */
  #onLaterHead(stream: Http2Stream, head: Head | null): boolean {
    const { endStream } = this.#headers;
    if (stream.isRemoteEnded) return this.#streamError(stream.id, stream, ErrorCode.STREAM_CLOSED);
    if (head === null) return this.#streamError(stream.id, stream, ErrorCode.FRAME_SIZE_ERROR);
    const isAllowed = this.#connection.isServer
      ? head.isTrailers && endStream && stream.promisedBytes <= 0
      : head.isResponse || (head.isTrailers && endStream);
    if (!isAllowed || this.#headers.dependsOnItself) {
      return this.#streamError(stream.id, stream, ErrorCode.PROTOCOL_ERROR);
    }
    return this.#deliverHead(stream, head, null, endStream);
  }

  #deliverHead(stream: Http2Stream, head: Head, field: HeaderField | null, endStream: boolean): boolean {
    if (endStream) stream.isRemoteEnded = true;
    stream.onHead(head, field, endStream);
    if (endStream) this.#endRemote(stream);
    return !this.#connection.isClosed;
  }

  #endRemote(stream: Http2Stream): void {
    if (stream.isClosed) return;
    const connection = this.#connection;
    stream.onRemoteEnd();
    if (stream.isClosed) return;
    // A server that has answered in full wants no more of the request.
    if (!stream.isLocalEnded && !connection.isServer) connection.sendReset(stream.id, ErrorCode.NO_ERROR);
    if (stream.isLocalEnded || !connection.isServer) connection.finishStream(stream);
  }

  // DATA

  #onData(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    const stream = this.#admitData(flags, streamId, end - start);
    if (stream === null) return !this.#connection.isClosed;
    if ((flags & Flag.PADDED) !== 0) {
      const paddedBytes = end - start;
      if (start < end) end -= bytes[start++]!;
      // A frame without room for the padding length, or whose padding is longer than the rest.
      if (start > end || paddedBytes === 0) {
        return this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'bad padding in DATA');
      }
      stream.consumed(paddedBytes - (end - start));
    }
    if (!this.#keepPromise(stream, flags, end - start)) {
      return this.#streamError(streamId, stream, ErrorCode.PROTOCOL_ERROR);
    }
    return this.#deliverData(stream, flags, bytes, start, end);
  }

  onDataBegin(flags: number, streamId: number, length: number): boolean {
    // The frame arrived in pieces, but it counts as one from its first byte on.
    if (this.#headers.streamId !== 0 || !this.hasSettings) {
      if (!this.#isExpected(FrameType.DATA, flags, streamId)) return false;
    }
    const stream = this.#admitData(flags, streamId, length);
    this.#dataStream = stream;
    this.#dataFlags = flags;
    if (stream === null || this.#keepPromise(stream, flags, length)) return !this.#connection.isClosed;
    this.#dataStream = null;
    return this.#streamError(streamId, stream, ErrorCode.PROTOCOL_ERROR);
  }

  onDataPiece(bytes: Uint8Array, start: number, end: number, isLast: boolean): boolean {
    const stream = this.#dataStream;
    if (isLast) this.#dataStream = null;
    if (stream === null || stream.isClosed) return !this.#connection.isClosed;
    const flags = isLast ? this.#dataFlags : this.#dataFlags & ~Flag.END_STREAM;
    return this.#deliverData(stream, flags, bytes, start, end);
  }

  /**
   * Accounts for a DATA frame. The stream that it is for, or null when it is to be ignored or was an error.
   */
  #admitData(flags: number, streamId: number, length: number): Http2Stream | null {
    const connection = this.#connection;
    if (!this.#takeWindow(length)) return null;
    const stream = connection.streams.get(streamId);
    if (stream === null) {
      if (this.#isIdle(streamId))
        connection.fail(ErrorCode.PROTOCOL_ERROR, `DATA on idle stream ${streamId}`);
      else if (!connection.wasReset(streamId)) this.#streamError(streamId, null, ErrorCode.STREAM_CLOSED);
      return null;
    }
    if (stream.isRemoteEnded) {
      this.#streamError(streamId, stream, ErrorCode.STREAM_CLOSED);
      return null;
    }
    if (length === 0 && (flags & Flag.END_STREAM) === 0 && !connection.guard.spendControlFrames(1)) {
      this.#tooManyFrames();
      return null;
    }
    stream.receiveWindowBytes -= length;
    stream.receivedBytes += length;
    if (stream.receiveWindowBytes < 0) {
      this.#streamError(streamId, stream, ErrorCode.FLOW_CONTROL_ERROR);
      return null;
    }
    return stream;
  }

  /**
   * Takes `length` bytes from the connection's window, and grants it back as soon as half is used: what a
   * stream may hold on to is bounded by its own window, and must not stop the others.
   */
  #takeWindow(length: number): boolean {
    const connection = this.#connection;
    this.#windowBytes -= length;
    if (this.#windowBytes < 0) {
      return connection.fail(ErrorCode.FLOW_CONTROL_ERROR, 'connection window exceeded');
    }
    this.#returnableBytes += length;
    if (this.#returnableBytes * 2 >= connection.limits.connectionWindowBytes) {
      writeWindowUpdate(connection.output, 0, this.#returnableBytes);
      this.#windowBytes += this.#returnableBytes;
      this.#returnableBytes = 0;
      connection.touch();
    }
    return true;
  }

  /** Whether the body is still as long as `content-length` says. */
  #keepPromise(stream: Http2Stream, flags: number, length: number): boolean {
    if (stream.promisedBytes === NO_LENGTH) return true;
    stream.promisedBytes -= length;
    if (stream.promisedBytes < 0) {
      stream.promisedBytes = 0;
      return false;
    }
    return stream.promisedBytes === 0 || (flags & Flag.END_STREAM) === 0;
  }

  #deliverData(stream: Http2Stream, flags: number, bytes: Uint8Array, start: number, end: number): boolean {
    const endStream = (flags & Flag.END_STREAM) !== 0;
    // Known before the data is: a request that is complete can be answered on the spot.
    if (endStream) stream.isRemoteEnded = true;
    if (start < end) stream.onData(bytes, start, end);
    if (endStream) this.#endRemote(stream);
    return !this.#connection.isClosed;
  }

  // The others

  #onWindowUpdate(streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    const connection = this.#connection;
    if (end - start !== WORD_BYTES) {
      return connection.fail(ErrorCode.FRAME_SIZE_ERROR, 'WINDOW_UPDATE of a wrong length');
    }
    if (!connection.guard.spendControlFrames(1)) return this.#tooManyFrames();
    const increment = readUint31(bytes, start);
    if (streamId === 0) return this.#onConnectionWindow(increment);
    const stream = connection.streams.get(streamId);
    if (stream === null) {
      if (!this.#isIdle(streamId)) return true;
      return connection.fail(ErrorCode.PROTOCOL_ERROR, `WINDOW_UPDATE on idle stream ${streamId}`);
    }
    if (increment === 0) return this.#streamError(streamId, stream, ErrorCode.PROTOCOL_ERROR);
    if (!connection.sender.onStreamWindow(stream, increment)) {
      return this.#streamError(streamId, stream, ErrorCode.FLOW_CONTROL_ERROR);
    }
    if (stream.queue !== null) connection.touch();
    return true;
  }

  #onConnectionWindow(increment: number): boolean {
    const connection = this.#connection;
    if (increment === 0) return connection.fail(ErrorCode.PROTOCOL_ERROR, 'WINDOW_UPDATE by nothing');
    if (!connection.sender.onConnectionWindow(increment)) {
      return connection.fail(ErrorCode.FLOW_CONTROL_ERROR, 'connection window too large');
    }
    if (connection.sender.hasWork) connection.touch();
    return true;
  }

  #onPriority(streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (streamId === 0) return this.#connection.fail(ErrorCode.PROTOCOL_ERROR, 'PRIORITY on stream 0');
    const stream = this.#connection.streams.get(streamId);
    if (end - start !== PRIORITY_BYTES) {
      return this.#streamError(streamId, stream, ErrorCode.FRAME_SIZE_ERROR);
    }
    if (readUint31(bytes, start) === streamId) {
      return this.#streamError(streamId, stream, ErrorCode.PROTOCOL_ERROR);
    }
    return true;
  }

  #onRstStream(streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    const connection = this.#connection;
    if (end - start !== WORD_BYTES) {
      return connection.fail(ErrorCode.FRAME_SIZE_ERROR, 'RST_STREAM of a wrong length');
    }
    if (this.#isIdle(streamId) || streamId === 0) {
      return connection.fail(ErrorCode.PROTOCOL_ERROR, `RST_STREAM on idle stream ${streamId}`);
    }
    const stream = connection.streams.get(streamId);
    if (stream === null) return true;
    connection.dropStream(stream, readUint32(bytes, start));
    if (connection.isServer && !connection.guard.spendReset()) {
      return connection.fail(ErrorCode.ENHANCE_YOUR_CALM, 'too many streams were reset');
    }
    return !connection.isClosed;
  }

  #onSettings(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    const connection = this.#connection;
    const length = end - start;
    const isAck = (flags & Flag.ACK) !== 0;
    if (streamId !== 0) return connection.fail(ErrorCode.PROTOCOL_ERROR, 'SETTINGS on a stream');
    if (isAck ? length !== 0 : length % SETTING_BYTES !== 0) {
      return connection.fail(ErrorCode.FRAME_SIZE_ERROR, 'SETTINGS of a wrong length');
    }
    if (isAck) return true;
    this.hasSettings = true;
    const entryCount = length / SETTING_BYTES;
    if (!connection.guard.spendControlFrames(Math.floor(entryCount / SETTINGS_PER_CONTROL_FRAME))) {
      return this.#tooManyFrames();
    }
    const errorCode = this.#settings.read(bytes, start, end);
    if (errorCode !== ErrorCode.NO_ERROR) return connection.fail(errorCode, 'bad value in SETTINGS');
    return this.#applySettings();
  }

  #applySettings(): boolean {
    const connection = this.#connection;
    const settings = this.#settings;
    const { sender } = connection;
    if (settings.headerTableBytes >= 0) connection.encoder.setPeerTableSize(settings.headerTableBytes);
    if (settings.maxFrameBytes >= 0) sender.onMaxFrame(settings.maxFrameBytes);
    if (settings.initialWindowBytes >= 0 && settings.initialWindowBytes !== sender.initialWindowBytes) {
      const streams = connection.streams.list();
      if (!connection.guard.spendControlFrames(Math.floor(streams.length / STREAMS_PER_CONTROL_FRAME))) {
        return this.#tooManyFrames();
      }
      if (!sender.onInitialWindow(settings.initialWindowBytes, streams)) {
        return connection.fail(ErrorCode.FLOW_CONTROL_ERROR, 'initial window too large');
      }
    }
    writeSettingsAck(connection.output);
    connection.touch();
    connection.handler.onSettings(settings);
    return !connection.isClosed;
  }

  #onPing(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    const connection = this.#connection;
    if (streamId !== 0) return connection.fail(ErrorCode.PROTOCOL_ERROR, 'PING on a stream');
    if (end - start !== PING_BYTES) {
      return connection.fail(ErrorCode.FRAME_SIZE_ERROR, 'PING of a wrong length');
    }
    if ((flags & Flag.ACK) !== 0) {
      connection.onPingAnswer(bytes, start);
      return !connection.isClosed;
    }
    writePing(connection.output, true, bytes, start);
    connection.touch();
    if (connection.guard.onPing(connection.clock.now(), connection.streams.count > 0)) return true;
    return connection.fail(ErrorCode.ENHANCE_YOUR_CALM, 'too_many_pings');
  }

  #onGoaway(streamId: number, bytes: Uint8Array, start: number, end: number): boolean {
    const connection = this.#connection;
    if (streamId !== 0) return connection.fail(ErrorCode.PROTOCOL_ERROR, 'GOAWAY on a stream');
    if (end - start < 2 * WORD_BYTES) {
      return connection.fail(ErrorCode.FRAME_SIZE_ERROR, 'GOAWAY of a wrong length');
    }
    const debugText = latin1FromBytes(bytes, start + 2 * WORD_BYTES, end);
    connection.handler.onGoaway(readUint31(bytes, start), readUint32(bytes, start + WORD_BYTES), debugText);
    return !connection.isClosed;
  }
}
