/**
 * The sending half of flow control. A body goes out at once when window and room allow; otherwise it waits in
 * its stream's queue, and the streams that may send take turns, one frame each.
 */
import { assert, RingBuffer } from '@etcd/base';
import type { Output } from './output.ts';
import {
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  MAX_WINDOW_BYTES,
  readUint24,
  writeFrameHeader,
} from './protocol.ts';
import type { References } from './references.ts';
import { type Segment, SendQueue } from './send-queue.ts';
import type { Http2Stream } from './stream.ts';

const DATA = FrameType.DATA << 8;
/** Where the flags are in a frame header. */
const FLAGS_OFFSET = 4;

/** Pieces from this size on are written from where they are instead of being copied into the output. */
const ADOPT_BYTES = 4096;
/** The largest frames we send, even to a peer that takes larger ones: streams take turns by frames. */
const MAX_SENT_FRAME_BYTES = 64 * 1024;
/** Of frames that are there already, so much is sent in a stream's turn while others wait. */
const TURN_BYTES: number = MAX_SENT_FRAME_BYTES;

export class Sender {
  readonly output: Output;
  /** The connection's send window. */
  windowBytes = DEFAULT_WINDOW_BYTES;
  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE, to which every stream's credit is relative. */
  initialWindowBytes = DEFAULT_WINDOW_BYTES;
  maxFrameBytes = DEFAULT_MAX_FRAME_BYTES;
  /** What the duplex holds; set by the connection after each write. */
  pendingBytes = 0;
  /** Body bytes that wait in streams. */
  queuedBytes = 0;
  /** Whether headers or data were written since the connection last looked. */
  hasSent = false;

  readonly #maxOutputBytes: number;
  readonly #ready = new RingBuffer<Http2Stream>(4);
  /** The stream of the output's open frame, and where that frame ends. */
  #openStream: Http2Stream | null = null;
  #openEnd = 0;

  constructor(output: Output, maxOutputBytes: number) {
    this.output = output;
    this.#maxOutputBytes = maxOutputBytes;
  }

  /** Whether there is room for bodies besides what waits to be written. */
  get hasRoom(): boolean {
    return this.pendingBytes + this.output.byteCount < this.#maxOutputBytes;
  }

  /** Whether {@link pump} could send something if there were room. */
  get hasWork(): boolean {
    return this.#ready.count > 0 && this.windowBytes > 0;
  }

  /** Whether `length` bytes of body can be written into the output right now, in one frame. */
  canSendNow(stream: Http2Stream, length: number): boolean {
    return (
      stream.queue === null &&
      length <= this.windowBytes &&
      length <= stream.sendCreditBytes + this.initialWindowBytes &&
      length <= this.maxFrameBytes &&
      this.hasRoom
    );
  }

  /** Takes `length` bytes from both windows, for a frame that the caller writes. */
  spend(stream: Http2Stream, length: number): void {
    this.windowBytes -= length;
    stream.sendCreditBytes -= length;
    this.hasSent = true;
  }

  /**
   * Room for `length` bytes of body that {@link canSendNow} has allowed, their position in the output. Small
   * messages that follow each other share a frame: the one just written is extended while it is the last
   * thing in the output.
   */
  reserveData(stream: Http2Stream, length: number): number {
    const { output } = this;
    this.spend(stream, length);
    const frameAt = output.openFrameAt;
    if (frameAt >= 0 && stream === this.#openStream && output.position === this.#openEnd) {
      const total = this.#openEnd - frameAt - FRAME_HEADER_BYTES + length;
      if (total <= this.maxFrameBytes && this.#openEnd + length <= output.bytes.length) {
        const at = output.reserve(length);
        writeFrameHeader(output.bytes, frameAt, total, DATA, stream.id);
        this.#openEnd = at + length;
        return at;
      }
    }
    const at = output.reserve(FRAME_HEADER_BYTES + length);
    writeFrameHeader(output.bytes, at, length, DATA, stream.id);
    output.openFrameAt = at;
    this.#openStream = stream;
    this.#openEnd = at + FRAME_HEADER_BYTES + length;
    return at + FRAME_HEADER_BYTES;
  }

  /** Room for `length` bytes at the end of the stream's queue; their position in {@link queueBytes}. */
  reserveQueued(stream: Http2Stream, length: number): number {
    const at = this.#queueOf(stream).reserve(length);
    this.#onQueued(stream, length);
    return at;
  }

  /** Where the bytes just reserved lie. */
  queueBytes(stream: Http2Stream): Uint8Array {
    return stream.queue!.tailBytes;
  }

  /** Queues a copy of `source[start, end)`. */
  queueCopy(stream: Http2Stream, source: Uint8Array, start: number, end: number): void {
    this.#queueOf(stream).append(source, start, end);
    this.#onQueued(stream, end - start);
  }

  /** Queues `source[start, end)` itself. */
  queueOwned(stream: Http2Stream, source: Uint8Array, start: number, end: number): void {
    this.#queueOf(stream).adopt(source, start, end);
    this.#onQueued(stream, end - start);
  }

  /** Queues a block of frames of this stream. */
  queueFrames(stream: Http2Stream, segment: Segment): void {
    const { payloadBytes } = segment;
    this.#queueOf(stream).adoptFrames(segment);
    this.#onQueued(stream, payloadBytes);
  }

  /** Drops what a stream that is no more had queued. */
  forget(stream: Http2Stream): void {
    if (stream.queue === null) return;
    this.queuedBytes -= stream.queue.byteCount;
    stream.queue = null;
  }

  /** Adds to the connection's window; false on overflow. */
  onConnectionWindow(increment: number): boolean {
    this.windowBytes += increment;
    return this.windowBytes <= MAX_WINDOW_BYTES;
  }

  /** Adds to a stream's window; false on overflow. */
  onStreamWindow(stream: Http2Stream, increment: number): boolean {
    stream.sendCreditBytes += increment;
    if (stream.queue !== null) this.#enlist(stream);
    return stream.sendCreditBytes + this.initialWindowBytes <= MAX_WINDOW_BYTES;
  }

  /** The peer has changed its initial window: streams with a queue may be able to send. False on overflow. */
  onInitialWindow(bytes: number, streams: readonly Http2Stream[]): boolean {
    this.initialWindowBytes = bytes;
    let fits = true;
    for (const stream of streams) {
      if (stream.sendCreditBytes + bytes > MAX_WINDOW_BYTES) fits = false;
      if (stream.queue !== null) this.#enlist(stream);
    }
    return fits;
  }

  onMaxFrame(bytes: number): void {
    this.maxFrameBytes = Math.min(bytes, MAX_SENT_FRAME_BYTES);
  }

  /** Writes queued bodies into the output as far as windows and room allow. */
  pump(): void {
    while (this.windowBytes > 0 && this.hasRoom) {
      const stream = this.#ready.take();
      if (stream === undefined) return;
      stream.isReady = false;
      if (stream.queue !== null) this.#sendFrame(stream, stream.queue);
    }
  }

  #queueOf(stream: Http2Stream): SendQueue {
    stream.queue ??= new SendQueue(this.output.pool);
    return stream.queue;
  }

  #onQueued(stream: Http2Stream, length: number): void {
    this.queuedBytes += length;
    this.#enlist(stream);
  }

  #enlist(stream: Http2Stream): void {
    if (stream.isReady) return;
    stream.isReady = true;
    this.#ready.push(stream);
  }

  #sendFrame(stream: Http2Stream, queue: SendQueue): void {
    const window = Math.min(this.windowBytes, stream.sendCreditBytes + this.initialWindowBytes);
    // Without window the stream is enlisted again by the frame that brings some.
    if (window <= 0 && queue.byteCount > 0) return;
    if (queue.byteCount > 0) {
      const segment = queue.first();
      const { references } = segment;
      if (references !== null) {
        this.queuedBytes -= this.#writeReferences(stream, queue, references, window);
      } else if (segment.isFramed) this.queuedBytes -= this.#writeFrames(stream, queue, segment, window);
      else {
        const length = queue.plainBytes(Math.min(window, this.maxFrameBytes));
        this.#writeData(stream, queue, length);
        this.queuedBytes -= length;
      }
    }
    if (queue.byteCount > 0) {
      this.#enlist(stream);
      return;
    }
    stream.queue = null;
    if (stream.isEnding) stream.onEndDue();
    else stream.onRoom();
  }

  #writeData(stream: Http2Stream, queue: SendQueue, length: number): void {
    const output = this.output;
    this.spend(stream, length);
    const at = output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(output.bytes, at, length, DATA, stream.id);
    output.openFrameAt = at;
    for (let rest = length; rest > 0; ) {
      const segment = queue.first();
      const take = Math.min(rest, segment.end - segment.start);
      assert(take > 0, 'sender: an empty segment in a queue');
      if (take >= ADOPT_BYTES) output.adopt(segment.bytes.subarray(segment.start, segment.start + take));
      else output.append(segment.bytes, segment.start, segment.start + take);
      queue.consume(take, take);
      if (segment.isPooled && segment.start === segment.end) output.releaseWhenSent(segment.bytes);
      rest -= take;
    }
    this.#openStream = stream;
    this.#openEnd = output.position;
  }

  /** Writes frames of `segment`, the first of the queue: as many whole ones as it may, else a part of one. Returns the bytes of body. */
  #writeFrames(stream: Http2Stream, queue: SendQueue, segment: Segment, window: number): number {
    const { output } = this;
    const { bytes, start } = segment;
    const most = this.#ready.count > 0 ? Math.min(window, TURN_BYTES) : window;
    let payload = 0;
    let end = start;
    while (segment.frameRestBytes === 0 && end < segment.end) {
      const length = readUint24(bytes, end);
      if (payload + length > most || length > this.maxFrameBytes) break;
      payload += length;
      end += FRAME_HEADER_BYTES + length;
    }
    if (payload === 0) return this.#writePart(stream, queue, segment, window);
    this.spend(stream, payload);
    output.adopt(bytes.subarray(start, end));
    segment.payloadBytes -= payload;
    queue.consume(end - start, payload);
    if (segment.start === segment.end) output.releaseWhenSent(bytes);
    return payload;
  }

  /** The same where the frames refer to memory elsewhere. */
  #writeReferences(stream: Http2Stream, queue: SendQueue, references: References, window: number): number {
    const { output } = this;
    const segment = queue.first();
    const most = this.#ready.count > 0 ? Math.min(window, TURN_BYTES) : window;
    let payload = segment.frameRestBytes > 0 ? 0 : references.takeFrames(most, this.maxFrameBytes, output);
    if (payload === 0) {
      if (segment.frameRestBytes === 0) segment.frameRestBytes = references.openFrame();
      payload = Math.min(window, segment.frameRestBytes, this.maxFrameBytes);
      const at = output.reserve(FRAME_HEADER_BYTES);
      writeFrameHeader(output.bytes, at, payload, DATA, stream.id);
      references.take(payload, output);
      segment.frameRestBytes -= payload;
    }
    this.spend(stream, payload);
    segment.payloadBytes -= payload;
    const { bytes } = segment;
    const { isDone } = references;
    queue.consume(isDone ? segment.end - segment.start : 0, payload);
    if (isDone) output.releaseWhenSent(bytes);
    return payload;
  }

  /** Writes a part of a frame that the window, or a peer that takes smaller frames than before, has no room for. */
  #writePart(stream: Http2Stream, queue: SendQueue, segment: Segment, window: number): number {
    const { output } = this;
    const { bytes } = segment;
    if (segment.frameRestBytes === 0) {
      segment.frameRestBytes = readUint24(bytes, segment.start);
      queue.consume(FRAME_HEADER_BYTES, 0);
    }
    const length = Math.min(window, segment.frameRestBytes, this.maxFrameBytes);
    assert(length > 0, 'sender: an empty frame in a queue');
    this.spend(stream, length);
    const at = output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(output.bytes, at, length, DATA, stream.id);
    output.adopt(bytes.subarray(segment.start, segment.start + length));
    segment.frameRestBytes -= length;
    segment.payloadBytes -= length;
    queue.consume(length, length);
    if (segment.start === segment.end) output.releaseWhenSent(bytes);
    return length;
  }

  /**
   * Ends the stream with the DATA frame just written if that is the last thing in the output, else with an
   * empty one.
   */
  writeEndOfData(stream: Http2Stream): void {
    const { output } = this;
    if (output.openFrameAt >= 0 && stream === this.#openStream && output.position === this.#openEnd) {
      output.bytes[output.openFrameAt + FLAGS_OFFSET]! |= Flag.END_STREAM;
      output.openFrameAt = -1;
      return;
    }
    const at = output.reserve(FRAME_HEADER_BYTES);
    writeFrameHeader(output.bytes, at, 0, DATA | Flag.END_STREAM, stream.id);
    this.hasSent = true;
  }
}
