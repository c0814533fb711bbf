/**
 * What every stream has: its windows, its queue, and how far each side has come. Requests, calls and the
 * client's calls extend it; the connection drives it through the `on…` methods.
 *
 *   open ──local end──▶ localEnded ──remote end──▶ closed
 *     └────remote end─▶ remoteEnded ──local end──▶ closed         a reset closes from anywhere
 */
import type { HeaderField } from '../hpack/header-field.ts';
import type { Http2Connection } from './connection.ts';
import type { Head } from './head.ts';
import { NO_LENGTH } from './head.ts';
import { ErrorCode } from './protocol.ts';
import type { SendQueue } from './send-queue.ts';

/** Hot: one shape per subclass, every field present from the start. */
export abstract class Http2Stream {
  readonly connection: Http2Connection;
  /** 0 until a client's stream is opened. */
  id: number;

  /** We have sent END_STREAM, or will send nothing more. */
  isLocalEnded = false;
  /** The peer has sent END_STREAM. */
  isRemoteEnded = false;
  /** Both are over, or the stream was reset: nothing about it is heard or said any more. */
  isClosed = false;

  /** Send window, relative to the peer's initial window: may be negative. */
  sendCreditBytes = 0;
  /** Body that waits for window or room; null when there is none. */
  queue: SendQueue | null = null;
  /** In the sender's list of streams that may send. */
  isReady = false;
  /** The end follows when {@link queue} is empty. */
  isEnding = false;

  /** What the peer may still send before we grant more. */
  receiveWindowBytes: number;
  /** What it may send in all when nothing is outstanding. */
  receiveLimitBytes: number;
  /** Used up by us but not yet granted again. */
  consumedBytes = 0;
  receivedBytes = 0;
  /** The window is not granted again for now: the connection holds too much. */
  isWindowWithheld = false;
  /** What `content-length` still promises, or -1. */
  promisedBytes = NO_LENGTH;

  // For the time limits: since when something is awaited (0: nothing is), and how much was queued then.
  awaitedSinceMs = 0;
  receivedAtAwaitBytes = 0;
  stalledSinceMs = 0;
  queuedAtSweepBytes = 0;

  constructor(connection: Http2Connection, id: number) {
    this.connection = connection;
    this.id = id;
    this.receiveWindowBytes = connection.limits.streamWindowBytes;
    this.receiveLimitBytes = connection.limits.streamWindowBytes;
  }

  /** The head of the message, or its trailers. `volatileField` as in the decoder. */
  abstract onHead(head: Head, volatileField: HeaderField | null, endStream: boolean): void;
  /** Body bytes; views of them may be kept. Window is granted again when {@link consumed} is called. */
  abstract onData(bytes: Uint8Array, start: number, end: number): void;
  /** The peer will send no more. */
  abstract onRemoteEnd(): void;
  /** The stream is over, regularly or not: nothing more comes but, if it was reset, {@link onReset}. */
  abstract onClosed(): void;
  /** The stream is gone before its end: reset by either side, or its connection lost. */
  abstract onReset(errorCode: number): void;
  /** The queue has become empty; called only with {@link isEnding}: the end is to be written. */
  abstract onEndDue(): void;
  /** The queue has become empty: there is room again. */
  abstract onRoom(): void;
  /** Whether part of a message is missing whose rest must come in time. */
  abstract isAwaitingBody(): boolean;
  /** That rest did not come in time. */
  abstract onBodyTimeout(): void;

  /**
   * Tells the connection that `byteCount` received bytes take no more memory, so that the peer may send as
   * many.
   */
  consumed(byteCount: number): void {
    this.consumedBytes += byteCount;
    if (this.consumedBytes * 2 >= this.receiveLimitBytes && !this.isRemoteEnded && !this.isClosed) {
      this.connection.grantWindow(this);
    }
  }

  /** Enforces the time limits; called every second or so. */
  sweep(nowMs: number): void {
    const { bodyTimeoutMs, stallTimeoutMs } = this.connection.limits;
    if (!this.isAwaitingBody() || bodyTimeoutMs === 0) {
      this.awaitedSinceMs = 0;
    } else if (this.awaitedSinceMs === 0) {
      this.awaitedSinceMs = nowMs;
      this.receivedAtAwaitBytes = this.receivedBytes;
    } else {
      // A slow sender gets a millisecond more for each byte; one that trickles can't live on that.
      const earnedMs = this.receivedBytes - this.receivedAtAwaitBytes;
      if (nowMs - this.awaitedSinceMs > bodyTimeoutMs + earnedMs) this.onBodyTimeout();
    }

    // What has not left by now refers to nobody's memory from now on: a slow peer must not hold it.
    this.queue?.settle(this.connection.output);
    const queuedBytes = this.queue?.byteCount ?? 0;
    const hasMoved = queuedBytes !== this.queuedAtSweepBytes;
    // With the connection's own window used up it is not this stream that stalls.
    const isBlocked = queuedBytes > 0 && this.connection.sender.windowBytes > 0;
    if (!this.isEnding || !isBlocked || hasMoved || stallTimeoutMs === 0) this.stalledSinceMs = nowMs;
    else if (nowMs - this.stalledSinceMs > stallTimeoutMs)
      this.connection.resetStream(this, ErrorCode.CANCEL);
    this.queuedAtSweepBytes = queuedBytes;
  }
}
