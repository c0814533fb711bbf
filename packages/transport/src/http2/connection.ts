/**
 * One HTTP/2 connection, either side: the life of its streams, its output, and its end. Incoming frames are
 * interpreted by `inbound.ts`, time limits kept by `watchdog.ts`; what requests mean is the business of the
 * {@link ConnectionHandler} and of the streams that it makes.
 *
 * Reading is synchronous: a chunk from the duplex is parsed to its end, and streams hear of it before
 * `onData` returns. Writing is gathered: everything goes into one {@link Output}, which the {@link Flusher}
 * writes at the end of the turn.
 *
 * A broken peer meets one of two answers: a stream error resets its stream, a connection error sends GOAWAY
 * and closes. Either way every stream hears of its end exactly once.
 */
import type { Clock, Timer } from '@etcd/base';
import type { Duplex, DuplexReceiver } from '../duplex/duplex.ts';
import { HpackEncoder } from '../hpack/hpack-encoder.ts';
import { AbuseGuard } from './abuse-guard.ts';
import { Body } from './body.ts';
import { BufferAccount, type BufferTotal } from './buffer-account.ts';
import type { Flusher } from './flusher.ts';
import {
  writeGoaway,
  writeHeaders,
  writePing,
  writeRstStream,
  writeSettings,
  writeWindowUpdate,
} from './frame-writer.ts';
import type { Head } from './head.ts';
import { Inbound } from './inbound.ts';
import type { Http2Limits } from './limits.ts';
import type { OutputPool } from './output.ts';
import { Output } from './output.ts';
import {
  CLIENT_PREFACE,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  MAX_STREAM_ID,
  PING_BYTES,
  Setting,
} from './protocol.ts';
import type { Segment } from './send-queue.ts';
import { Sender } from './sender.ts';
import type { PeerSettings } from './settings.ts';
import type { Http2Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import type { Sweeper } from './sweeper.ts';
import { Watchdog } from './watchdog.ts';

/** What the connections of one server, or one channel, share. */
export interface Http2Environment {
  readonly clock: Clock;
  readonly flusher: Flusher;
  readonly sweeper: Sweeper;
  readonly pool: OutputPool;
  readonly buffered: BufferTotal;
  readonly counters: Http2Counters;
}

/** Plain numbers, for whoever makes metrics of them. */
export class Http2Counters {
  connectionsOpened = 0;
  connectionsClosed = 0;
  /** Connections that we ended because of an error of the peer, floods and time limits included. */
  connectionErrors = 0;
  streamsOpened = 0;
  streamsRefused = 0;
  /** Streams that ended with RST_STREAM, from either side. */
  streamsReset = 0;
  bytesRead = 0;
  bytesWritten = 0;
}

export interface ConnectionHandler {
  /** The peer opens a stream with this request. Its `onHead` is called next. */
  newStream(connection: Http2Connection, id: number, head: Head): Http2Stream;
  /** The peer's settings have come, the first time or again. */
  onSettings(settings: PeerSettings): void;
  /** The peer will take no streams beyond `lastStreamId`. */
  onGoaway(lastStreamId: number, errorCode: number, debugText: string): void;
  /** The connection is over; every stream has heard of it. `reason` is a sentence for the log. */
  onClosed(reason: string): void;
}

const State = {
  OPEN: 0,
  /** The final GOAWAY was sent: what is open goes on, nothing new begins. */
  DRAINING: 1,
  /** Nothing is read any more; what was written is on its way out. */
  CLOSING: 2,
  CLOSED: 3,
} as const;

/** Payloads of our own PINGs: the one behind the first GOAWAY of a drain, and the one of keepalive. */
const DRAIN_PING = Buffer.from('draining', 'latin1');
const KEEPALIVE_PING = Buffer.from('are u ok', 'latin1');

/** Streams that we have reset are remembered for so long: their last frames may be on the way. */
const REMEMBERED_RESETS = 256;
/** At most this much is written for one connection before others get their turn. */
const MAX_FLUSH_BYTES = 4 * 1024 * 1024;
/** A connection that has gathered this much in the middle of a turn writes it at once. */
const EARLY_FLUSH_BYTES = 112 * 1024;
/** The same for memory that is referred to: there is no block that stays in the processor's cache. */
const EARLY_REFERENCES_BYTES = 1024 * 1024;

export class Http2Connection implements DuplexReceiver {
  readonly isServer: boolean;
  readonly limits: Http2Limits;
  readonly streams = new StreamTable<Http2Stream>();
  readonly output: Output;
  readonly sender: Sender;
  readonly encoder = new HpackEncoder();
  readonly counters: Http2Counters;
  readonly guard: AbuseGuard;
  readonly handler: ConnectionHandler;
  readonly clock: Clock;
  /** What the streams hold that they can't pass on yet. */
  readonly buffered: BufferAccount;

  readonly #duplex: Duplex;
  readonly #environment: Http2Environment;
  readonly #inbound: Inbound;
  readonly #watchdog: Watchdog;

  #state: number = State.OPEN;
  #closeReason = '';
  #isDirty = false;
  #isFlushing = false;
  #isPaused = false;
  #hasEnded = false;
  #lastOwnStreamId = -1;
  #isDrainAnnounced = false;
  #timer: Timer | null = null;
  readonly #recentResets: number[] = [];
  #nextRecentReset = 0;
  /** Streams whose answer is complete while the request is not. */
  #lingering: Http2Stream[] = [];

  constructor(
    duplex: Duplex,
    isServer: boolean,
    limits: Http2Limits,
    environment: Http2Environment,
    handler: ConnectionHandler,
  ) {
    this.#duplex = duplex;
    this.isServer = isServer;
    this.limits = limits;
    this.#environment = environment;
    this.handler = handler;
    this.clock = environment.clock;
    this.counters = environment.counters;
    this.output = new Output(environment.pool);
    this.sender = new Sender(this.output, limits.maxOutputBytes);
    this.guard = new AbuseGuard(limits);
    this.buffered = new BufferAccount(limits.maxBufferedBytes, environment.buffered);
    this.#inbound = new Inbound(this);
    this.#watchdog = new Watchdog(environment.clock.now());
  }

  /** Begins: sends our preface and listens for the peer's. */
  start(): void {
    const { limits, output } = this;
    this.counters.connectionsOpened++;
    this.#environment.sweeper.add(this);
    if (!this.isServer) {
      const preface = Buffer.from(CLIENT_PREFACE, 'latin1');
      output.append(preface, 0, preface.length);
    }
    const settings: (readonly [number, number])[] = [
      [Setting.INITIAL_WINDOW_SIZE, limits.streamWindowBytes],
      [Setting.MAX_HEADER_LIST_SIZE, limits.maxHeaderListBytes],
    ];
    if (this.isServer) settings.push([Setting.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams]);
    else settings.push([Setting.ENABLE_PUSH, 0]);
    writeSettings(output, settings);
    const increment = limits.connectionWindowBytes - DEFAULT_WINDOW_BYTES;
    if (increment > 0) writeWindowUpdate(output, 0, increment);
    this.touch();
    this.#duplex.open(this);
  }

  // What streams and handlers use.

  /** Whether new streams can be opened, by us or the peer. */
  get isOpen(): boolean {
    return this.#state === State.OPEN;
  }

  get isClosed(): boolean {
    return this.#state >= State.CLOSING;
  }

  /** Why the connection has ended, as a sentence for the log; empty while it has not. */
  get closeReason(): string {
    return this.#closeReason;
  }

  /** Whether so much waits for the peer that it gets no new answers until it takes some. */
  get isCongested(): boolean {
    return this.sender.queuedBytes >= this.limits.maxQueuedBytes;
  }

  /** A large message of `stream`, to be made in blocks of the pool that the connections share. */
  newBody(stream: Http2Stream, prefixBytes: number): Body {
    const { pool } = this.#environment;
    return new Body(pool, stream.id, this.sender.maxFrameBytes, prefixBytes, this.#duplex.writesParts);
  }

  /** Sends a block of frames of `stream`: soon, or now if much is waiting, so that a long message is written while it is made. */
  sendFrames(stream: Http2Stream, segment: Segment): void {
    const { sender } = this;
    sender.queueFrames(stream, segment);
    this.#schedule();
    if (this.#isFlushing) return;
    const dueBytes = segment.references === null ? EARLY_FLUSH_BYTES : EARLY_REFERENCES_BYTES;
    const isMuch = sender.queuedBytes + this.output.byteCount >= dueBytes;
    if (isMuch && sender.hasWork && sender.pendingBytes === 0) this.#write();
  }

  /** A block of a body whose stream is no more. */
  giveBack(segment: Segment): void {
    this.#environment.pool.give(segment.bytes);
  }

  /** Says that there is output, which is written at the end of the turn, or now if it is much already. */
  touch(): void {
    if (this.#isFlushing) return;
    if (!this.#isDirty) this.#schedule();
    else if (this.output.byteCount >= EARLY_FLUSH_BYTES && this.sender.pendingBytes === 0) this.#write();
  }

  /** Writes what was gathered. */
  flush(): void {
    this.#isDirty = false;
    if (!this.#isFlushing && this.#state !== State.CLOSED) this.#write();
  }

  /** Sends a header block of `stream`. */
  sendHeaders(stream: Http2Stream, block: Uint8Array, endStream: boolean): void {
    writeHeaders(this.output, stream.id, block, endStream, this.sender.maxFrameBytes);
    this.sender.hasSent = true;
    if (endStream) this.endLocal(stream);
    this.touch();
  }

  /** We have sent the last frame of `stream`. */
  endLocal(stream: Http2Stream): void {
    stream.isLocalEnded = true;
    if (stream.isRemoteEnded) this.finishStream(stream);
    else if (this.isServer) this.#lingering.push(stream);
  }

  /** Both sides have ended `stream`. */
  finishStream(stream: Http2Stream): void {
    this.guard.onAnswered();
    this.#remove(stream);
  }

  /** Ends `stream` with RST_STREAM; it hears of it by `onReset`. */
  resetStream(stream: Http2Stream, errorCode: number): void {
    if (stream.isClosed) return;
    this.sendReset(stream.id, errorCode);
    this.dropStream(stream, errorCode);
  }

  /** The peer has ended `stream` by RST_STREAM, or its connection has. */
  dropStream(stream: Http2Stream, errorCode: number): void {
    this.counters.streamsReset++;
    this.#remove(stream);
    stream.onReset(errorCode);
  }

  sendReset(streamId: number, errorCode: number): void {
    writeRstStream(this.output, streamId, errorCode);
    this.#recentResets[this.#nextRecentReset] = streamId;
    this.#nextRecentReset = (this.#nextRecentReset + 1) % REMEMBERED_RESETS;
    this.touch();
  }

  /** Whether we have reset this stream not long ago. */
  wasReset(streamId: number): boolean {
    return this.#recentResets.includes(streamId);
  }

  /** Grants `stream` the window that its consumer has used up, and more if it keeps sending. */
  grantWindow(stream: Http2Stream): void {
    if (!this.buffered.mayGrant(stream)) return;
    let increment = stream.consumedBytes;
    const limitBytes = stream.receiveLimitBytes;
    const keepsSending = stream.receivedBytes >= 2 * limitBytes && !this.buffered.isTight;
    if (keepsSending && limitBytes < this.limits.maxStreamWindowBytes) {
      stream.receiveLimitBytes = Math.min(2 * limitBytes, this.limits.maxStreamWindowBytes);
      increment += stream.receiveLimitBytes - limitBytes;
    }
    stream.consumedBytes = 0;
    stream.receiveWindowBytes += increment;
    writeWindowUpdate(this.output, stream.id, increment);
    this.touch();
  }

  /** Opens a client's next stream. False when the identifiers are used up. */
  openStream(stream: Http2Stream): boolean {
    if (this.#lastOwnStreamId + 2 > MAX_STREAM_ID) return false;
    this.#lastOwnStreamId += 2;
    stream.id = this.#lastOwnStreamId;
    this.counters.streamsOpened++;
    this.streams.add(stream);
    return true;
  }

  /** The highest stream that we have opened. */
  get lastOwnStreamId(): number {
    return this.#lastOwnStreamId;
  }

  /**
   * Ends gracefully: announces it, goes on taking streams for a moment since some may be on their way, then
   * refuses new ones and closes when the last has ended.
   */
  drain(debugText: string): void {
    if (this.#isDrainAnnounced || this.#state !== State.OPEN) return;
    this.#isDrainAnnounced = true;
    if (!this.isServer) {
      this.#refuseNew(debugText);
      return;
    }
    writeGoaway(this.output, MAX_STREAM_ID, ErrorCode.NO_ERROR, debugText);
    writePing(this.output, false, DRAIN_PING, 0);
    this.#timer = this.clock.setTimer(this.limits.drainNoticeMs, () => this.#refuseNew(debugText));
    this.touch();
  }

  /** Ends at once, for a reason of ours: open streams are lost. */
  close(reason: string): void {
    if (this.isClosed) return;
    writeGoaway(this.output, this.#inbound.lastPeerStreamId, ErrorCode.NO_ERROR, '');
    this.#beginClose(reason, ErrorCode.CANCEL);
  }

  // What the inbound side and the watchdog use.

  /** A connection error: says so and closes. Returns false, the verdict of a frame that ends reading. */
  fail(errorCode: number, reason: string): false {
    if (this.isClosed) return false;
    this.counters.connectionErrors++;
    writeGoaway(this.output, this.#inbound.lastPeerStreamId, errorCode, reason);
    this.#beginClose(reason, errorCode);
    return false;
  }

  /** The peer has answered a PING of ours. */
  onPingAnswer(bytes: Uint8Array, start: number): void {
    if (this.#state === State.OPEN && DRAIN_PING.equals(bytes.subarray(start, start + PING_BYTES))) {
      if (this.#isDrainAnnounced) this.#refuseNew('');
    }
  }

  sendKeepalivePing(): void {
    writePing(this.output, false, KEEPALIVE_PING, 0);
    this.touch();
  }

  /** Looks after the time limits. */
  sweep(nowMs: number, elapsedMs: number): void {
    if (this.isClosed) return;
    this.guard.onTimePassed(elapsedMs);
    this.#watchdog.check(this, this.#inbound, nowMs);
  }

  // What the duplex calls.

  onData(chunk: Uint8Array): void {
    if (this.isClosed) return;
    this.counters.bytesRead += chunk.length;
    this.#watchdog.hasRead = true;
    this.#inbound.read(chunk);
  }

  onDrain(): void {
    this.sender.pendingBytes = this.#duplex.pendingBytes;
    this.output.onDrain();
    this.#watchdog.writtenBytes++;
    this.flush();
  }

  onEnd(): void {
    if (!this.isClosed) this.#beginClose('the peer has closed the connection', ErrorCode.CANCEL);
  }

  onClose(error: Error | null): void {
    if (this.#state === State.CLOSED) return;
    this.#closeReason ||= error === null ? 'the connection was closed' : error.message;
    this.#state = State.CLOSED;
    this.counters.connectionsClosed++;
    this.#timer?.cancel();
    this.#environment.sweeper.delete(this);
    this.#dropStreams(ErrorCode.CANCEL);
    this.buffered.close();
    this.output.discard();
    this.handler.onClosed(this.#closeReason);
  }

  #schedule(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#environment.flusher.add(this);
  }

  #write(): void {
    const { sender, output } = this;
    if (sender.pendingBytes > 0) {
      this.#regulateReading();
      return;
    }
    this.#isFlushing = true;
    this.#endLingering();
    let writtenBytes = 0;
    do {
      sender.pump();
      writtenBytes += output.flush(this.#duplex);
      sender.pendingBytes = this.#duplex.pendingBytes;
    } while (sender.pendingBytes === 0 && sender.hasWork && writtenBytes < MAX_FLUSH_BYTES);
    this.#isFlushing = false;
    this.counters.bytesWritten += writtenBytes;
    this.#watchdog.writtenBytes += writtenBytes;
    if (sender.hasSent) {
      sender.hasSent = false;
      this.guard.onSent(writtenBytes);
    }
    if (output.byteCount > 0 || sender.hasWork) this.#schedule();
    this.#regulateReading();
    this.#maybeEnd();
  }

  /** Everything is written: ends a connection that waited for that. */
  #maybeEnd(): void {
    const isDrained = this.#state === State.DRAINING && this.streams.count === 0;
    if (isDrained) this.#beginClose('drained', ErrorCode.NO_ERROR);
    else if (this.#state >= State.CLOSING) this.#maybeFinishClose();
  }

  /** A peer that sends on without reading our answers is not read either, once they have piled up. */
  #regulateReading(): void {
    const shouldPause = this.sender.pendingBytes + this.output.byteCount >= 2 * this.limits.maxOutputBytes;
    if (shouldPause === this.#isPaused) return;
    this.#isPaused = shouldPause;
    if (shouldPause) this.#duplex.pause();
    else this.#duplex.resume();
  }

  /** A request whose answer is complete is not waited for any longer than this turn. */
  #endLingering(): void {
    if (this.#lingering.length === 0) return;
    const streams = this.#lingering;
    this.#lingering = [];
    for (const stream of streams) {
      if (stream.isClosed) continue;
      this.sendReset(stream.id, ErrorCode.NO_ERROR);
      this.finishStream(stream);
    }
  }

  #remove(stream: Http2Stream): void {
    stream.isClosed = true;
    this.streams.delete(stream.id);
    this.sender.forget(stream);
    stream.onClosed();
    // Not closed on the spot: the last answer may have room reserved that is still to be filled in.
    if (this.#state === State.DRAINING && this.streams.count === 0) this.#schedule();
  }

  #refuseNew(debugText: string): void {
    if (this.#state !== State.OPEN) return;
    this.#state = State.DRAINING;
    this.#timer?.cancel();
    writeGoaway(this.output, this.#inbound.lastPeerStreamId, ErrorCode.NO_ERROR, debugText);
    this.#schedule();
  }

  /** Stops reading, ends the streams, and lets go of the duplex once the output is out. */
  #beginClose(reason: string, errorCode: number): void {
    this.#state = State.CLOSING;
    this.#closeReason = reason;
    this.#timer?.cancel();
    this.#dropStreams(errorCode);
    // After an error the peer has this long to take the GOAWAY; after a drain, as long as it has for any
    // answer.
    const { lingerMs, stallTimeoutMs } = this.limits;
    const timeoutMs = errorCode === ErrorCode.NO_ERROR ? Math.max(lingerMs, stallTimeoutMs) : lingerMs;
    this.#timer = this.clock.setTimer(timeoutMs, () => this.#duplex.destroy());
    this.#isFlushing = false;
    this.#write();
  }

  /** Once the last output is out: says so, and waits a little for the peer to do the same. */
  #maybeFinishClose(): void {
    if (this.#hasEnded || this.sender.pendingBytes > 0) return;
    this.#hasEnded = true;
    this.#timer?.cancel();
    // Closing on unread input would make the peer lose what it has not read yet, the GOAWAY above all.
    this.#timer = this.clock.setTimer(this.limits.lingerMs, () => this.#duplex.destroy());
    this.#duplex.resume();
    this.#duplex.end();
  }

  #dropStreams(errorCode: number): void {
    for (const stream of this.streams.list()) if (!stream.isClosed) this.dropStream(stream, errorCode);
  }
}
