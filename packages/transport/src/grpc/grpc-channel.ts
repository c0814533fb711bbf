/**
 * A gRPC client on one connection. It multiplexes calls, keeps to the server's limit of concurrent streams by
 * letting calls wait, and tells its owner when the connection goes away; connecting again, and choosing
 * where, is the owner's business.
 *
 * The duplex may still be connecting: what is sent before it is ready goes out then.
 */
import type { Clock } from '@etcd/base';
import { assert, GrpcCode, InvariantError, RingBuffer } from '@etcd/base';
import type { Duplex } from '../duplex/duplex.ts';
import { Indexing } from '../hpack/hpack-encoder.ts';
import { BufferTotal } from '../http2/buffer-account.ts';
import type { ConnectionHandler } from '../http2/connection.ts';
import { Http2Connection, Http2Counters } from '../http2/connection.ts';
import { Flusher } from '../http2/flusher.ts';
import { CLIENT_LIMITS, type Http2Limits, limitsError } from '../http2/limits.ts';
import { OutputPool } from '../http2/output.ts';
import { ErrorCode, errorCodeName, MAX_WINDOW_BYTES } from '../http2/protocol.ts';
import type { PeerSettings } from '../http2/settings.ts';
import type { Http2Stream } from '../http2/stream.ts';
import { Sweeper } from '../http2/sweeper.ts';
import type { ClientContext, ClientReceiver } from './client-call.ts';
import { ClientCall } from './client-call.ts';
import { ACCEPTED_ENCODINGS } from './compression.ts';
import { Deadlines } from './deadlines.ts';
import { DEFAULT_MAX_RECEIVE_MESSAGE_BYTES } from './grpc-server.ts';
import type { Metadata } from './metadata.ts';
import { encodeMetadataValue, NO_METADATA } from './metadata.ts';
import { quote } from './status.ts';
import { formatTimeout, MAX_TIMEOUT_MS } from './timeout.ts';

export interface GrpcChannelOptions {
  readonly clock: Clock;
  /** `:authority` of the requests: host and port, as the server is known by. */
  readonly authority: string;
  /** Whether the duplex is encrypted; only decides `:scheme`. */
  readonly isSecure?: boolean;
  /** Metadata whose value is hardly ever that of the call before: it would only push the rest out of the header table. */
  readonly variedMetadata?: string;
  readonly userAgent?: string;
  /** What differs from {@link CLIENT_LIMITS}. */
  readonly limits?: Partial<Http2Limits>;
  readonly maxReceiveMessageBytes?: number;
  readonly maxSendMessageBytes?: number;
  /** The server has answered: the connection works. */
  readonly onReady?: () => void;
  /** The server takes no more calls here; those that are open go on. */
  readonly onDraining?: (reason: string) => void;
  /** The connection is gone. */
  readonly onClosed?: (reason: string) => void;
}

export interface CallOptions {
  readonly metadata?: Metadata;
  /** How long the call may take; forever unless told. */
  readonly timeoutMs?: number;
}

/** The answer of a unary call: `bytes[start, end)` is the message when `code` is 0. */
export type UnaryCallback = (
  code: number,
  message: string,
  bytes: Uint8Array,
  start: number,
  end: number,
  call: ClientCall,
) => void;

const DEFAULT_USER_AGENT = 'etcd-typescript/0.1.0';
/** Streams that may be opened before the server has said how many. */
const STREAMS_BEFORE_SETTINGS = 100;
/** Calls that may wait for a stream. */
const MAX_WAITING_CALLS = 100_000;
const NOTHING: Uint8Array = Buffer.allocUnsafeSlow(0);
const MAX_REMEMBERED_HEADS = 256;
const NO_CALL_OPTIONS: CallOptions = {};
/** What calls are told that a server which is going away has not seen. */
const DRAINING = 'the connection is draining';

/** A request's header block, good as long as the encoder's table stays as it is. */
interface RememberedHead {
  readonly version: number;
  readonly block: Uint8Array;
}

/** By path. */
type RememberedHeads = Map<string, RememberedHead>;

export class GrpcChannel implements ConnectionHandler, ClientContext {
  readonly connection: Http2Connection;
  readonly counters = new Http2Counters();
  readonly maxReceiveMessageBytes: number;
  readonly maxSendMessageBytes: number;

  readonly #options: GrpcChannelOptions;
  readonly #deadlines: Deadlines;
  readonly #flusher: Flusher;
  readonly #waiting = new RingBuffer<ClientCall>();
  /** Of callers that use the same metadata again, which is then the same object. */
  readonly #heads = new WeakMap<Metadata, RememberedHeads>();
  #maxStreams = STREAMS_BEFORE_SETTINGS;
  #isReady = false;
  /** What the server's GOAWAY said; empty before it. */
  #goawayReason = '';

  constructor(duplex: Duplex, options: GrpcChannelOptions) {
    const { clock } = options;
    const limits = { ...CLIENT_LIMITS, ...options.limits };
    const error = limitsError(limits);
    assert(error === '', () => `grpc channel: ${error}`);
    this.#options = options;
    this.maxReceiveMessageBytes = options.maxReceiveMessageBytes ?? DEFAULT_MAX_RECEIVE_MESSAGE_BYTES;
    this.maxSendMessageBytes = options.maxSendMessageBytes ?? MAX_WINDOW_BYTES;
    this.#deadlines = new Deadlines(clock);
    this.#flusher = new Flusher(clock);
    const { prefaceTimeoutMs, headerTimeoutMs, stallTimeoutMs, keepaliveIntervalMs, keepaliveTimeoutMs } =
      limits;
    const limitsMs = [
      prefaceTimeoutMs,
      headerTimeoutMs,
      stallTimeoutMs,
      keepaliveIntervalMs,
      keepaliveTimeoutMs,
    ];
    const sweeper = new Sweeper(clock, limitsMs);
    const environment = {
      clock,
      flusher: this.#flusher,
      sweeper,
      pool: new OutputPool(sweeper),
      // A client has chosen its server.
      buffered: new BufferTotal(Number.POSITIVE_INFINITY),
      counters: this.counters,
    };
    this.connection = new Http2Connection(duplex, false, limits, environment, this);
    this.connection.start();
  }

  /** Whether a new call has a chance. */
  get isOpen(): boolean {
    return this.connection.isOpen && this.#goawayReason === '';
  }

  /** Why the connection is gone, or going. */
  get closeReason(): string {
    return this.#goawayReason || this.connection.closeReason;
  }

  /** Whether the server has answered. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Calls that are open or waiting. */
  get callCount(): number {
    return this.connection.streams.count + this.#waiting.count;
  }

  /** Begins a call of any kind. Messages are sent by {@link ClientCall.write}. */
  call(path: string, receiver: ClientReceiver, options: CallOptions = NO_CALL_OPTIONS): ClientCall {
    const { timeoutMs } = options;
    const hasDeadline = timeoutMs !== undefined && timeoutMs <= MAX_TIMEOUT_MS;
    const deadlineMs = hasDeadline ? this.#options.clock.now() + timeoutMs : Number.POSITIVE_INFINITY;
    const metadata = options.metadata ?? NO_METADATA;
    const call = new ClientCall(this.connection, this, path, metadata, deadlineMs, receiver);
    if (!this.isOpen) {
      call.isUnprocessed = true;
      this.#finishLater(call, GrpcCode.Unavailable, this.connection.isClosed ? this.closeReason : DRAINING);
    } else if (this.#waiting.count >= MAX_WAITING_CALLS) {
      this.#finishLater(call, GrpcCode.ResourceExhausted, 'transport: too many calls wait for a stream');
    } else {
      if (hasDeadline) this.#deadlines.add(call);
      this.#waiting.push(call);
      this.#openWaiting();
    }
    return call;
  }

  /** A call with one message each way. */
  unary(
    path: string,
    request: Uint8Array,
    done: UnaryCallback,
    options: CallOptions = NO_CALL_OPTIONS,
  ): ClientCall {
    const call = this.call(path, new UnaryReceiver(done), options);
    call.write(request, 0, request.length);
    call.halfClose();
    return call;
  }

  /** Sends what is waiting, instead of at the end of the turn. */
  flush(): void {
    this.#flusher.flush();
  }

  /** Takes no more calls, and closes when the open ones have ended. */
  drain(): void {
    this.connection.drain('');
  }

  /** Closes at once; open calls end with UNAVAILABLE. */
  close(reason = 'the channel was closed'): void {
    this.connection.close(reason);
  }

  // What the connection and the calls use

  sendRequestHead(call: ClientCall): void {
    const { connection } = this;
    const { encoder } = connection;
    let block = this.#headBlock(call);
    if (call.deadlineMs !== Number.POSITIVE_INFINITY) {
      // Different in every call, so kept out of both the table and the remembered block.
      encoder.begin();
      encoder.add('grpc-timeout', formatTimeout(call.deadlineMs - connection.clock.now()), Indexing.NONE);
      block = Buffer.concat([block, encoder.finish()]);
    }
    connection.sendHeaders(call, block, false);
  }

  onCallEnded(call: ClientCall): void {
    this.#deadlines.delete(call);
    // The stream is given up in the course of this; the next call takes its place afterwards.
    if (this.#waiting.count > 0) this.#options.clock.defer(() => this.#openWaiting());
  }

  newStream(): Http2Stream {
    throw new InvariantError('grpc channel: a server opened a stream');
  }

  onSettings(settings: PeerSettings): void {
    this.#maxStreams = settings.maxConcurrentStreams >= 0 ? settings.maxConcurrentStreams : MAX_WINDOW_BYTES;
    if (!this.#isReady) {
      this.#isReady = true;
      this.#options.onReady?.();
    }
    this.#openWaiting();
  }

  onGoaway(lastStreamId: number, errorCode: number, debugText: string): void {
    const isFirst = this.#goawayReason === '';
    const details = debugText === '' ? '' : `, debug data: ${quote(debugText)}`;
    this.#goawayReason = `closing transport due to goaway: code: ${errorCodeName(errorCode)}${details}`;
    if (isFirst) this.#options.onDraining?.(this.#goawayReason);
    for (const stream of this.connection.streams.list()) {
      if (stream.id > lastStreamId && stream instanceof ClientCall) {
        stream.isUnprocessed = true;
        stream.abandon(GrpcCode.Unavailable, DRAINING);
        this.connection.dropStream(stream, ErrorCode.REFUSED_STREAM);
      }
    }
    this.#failWaiting(DRAINING);
    this.connection.drain('');
  }

  onClosed(): void {
    this.#failWaiting(this.closeReason);
    this.#options.onClosed?.(this.closeReason);
  }

  #openWaiting(): void {
    while (this.#waiting.count > 0 && this.isOpen && this.connection.streams.count < this.#maxStreams) {
      const call = this.#waiting.take()!;
      if (!call.isAlive) continue;
      if (!this.connection.openStream(call)) {
        this.#waiting.push(call);
        this.onGoaway(this.connection.lastOwnStreamId, ErrorCode.NO_ERROR, 'stream identifiers are used up');
        return;
      }
      call.begin();
    }
  }

  #failWaiting(reason: string): void {
    for (let call = this.#waiting.take(); call !== undefined; call = this.#waiting.take()) {
      if (!call.isAlive) continue;
      call.isUnprocessed = true;
      call.finish(GrpcCode.Unavailable, reason);
    }
  }

  #finishLater(call: ClientCall, code: number, message: string): void {
    this.#options.clock.defer(() => call.finish(code, message));
  }

  #headBlock(call: ClientCall): Uint8Array {
    const { encoder } = this.connection;
    let heads = this.#heads.get(call.requestMetadata);
    const known = heads?.get(call.path);
    if (known !== undefined && known.version === encoder.version) return known.block;
    const versionBefore = encoder.version;
    encoder.begin();
    this.#addHead(call);
    const block = Buffer.from(encoder.finish());
    if (encoder.version !== versionBefore) return block;
    if (heads === undefined) {
      heads = new Map();
      this.#heads.set(call.requestMetadata, heads);
    } else if (heads.size >= MAX_REMEMBERED_HEADS) heads.clear();
    heads.set(call.path, { version: versionBefore, block });
    return block;
  }

  #addHead(call: ClientCall): void {
    const { encoder } = this.connection;
    const { authority, isSecure, userAgent } = this.#options;
    encoder.add(':method', 'POST', Indexing.NONE);
    encoder.add(':scheme', isSecure === true ? 'https' : 'http', Indexing.NONE);
    encoder.add(':path', call.path, Indexing.INCREMENTAL);
    encoder.add(':authority', authority, Indexing.INCREMENTAL);
    encoder.add('content-type', 'application/grpc', Indexing.INCREMENTAL);
    encoder.add('user-agent', userAgent ?? DEFAULT_USER_AGENT, Indexing.INCREMENTAL);
    encoder.add('te', 'trailers', Indexing.INCREMENTAL);
    encoder.add('grpc-accept-encoding', ACCEPTED_ENCODINGS, Indexing.INCREMENTAL);
    for (const [name, value] of call.requestMetadata) {
      const indexing = name === this.#options.variedMetadata ? Indexing.NONE : Indexing.INCREMENTAL;
      encoder.add(name, encodeMetadataValue(name, value), indexing);
    }
  }
}

class UnaryReceiver implements ClientReceiver {
  readonly #done: UnaryCallback;
  #bytes: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  #count = 0;

  constructor(done: UnaryCallback) {
    this.#done = done;
  }

  onMessage(_call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.#count++;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  onEnd(call: ClientCall, code: number, message: string): void {
    if (code === GrpcCode.OK && this.#count !== 1) {
      const problem =
        this.#count === 0
          ? 'received no response message from non-server-streaming RPC'
          : 'expected <EOF> for non server-streaming RPCs, but received another message';
      this.#done(GrpcCode.Internal, `cardinality violation: ${problem}`, NOTHING, 0, 0, call);
      return;
    }
    this.#done(code, message, this.#bytes, this.#start, this.#end, call);
  }
}
