/**
 * Every bound of a connection, with its unit and its default. What a peer can make us hold or do is the sum
 * of these; none is infinite.
 */
import { DEFAULT_WINDOW_BYTES } from './protocol.ts';

export interface Http2Limits {
  /** Streams that the peer may have open at once; further ones are refused. */
  readonly maxConcurrentStreams: number;

  /**
   * Receive window of a new stream. At least 65,535, so that a peer that has not read our SETTINGS keeps
   * within it.
   */
  readonly streamWindowBytes: number;
  /** A stream that keeps sending gets a growing window, up to this. */
  readonly maxStreamWindowBytes: number;
  /**
   * Receive window of the connection. Returned as data arrives, so that a stalled stream does not stop the
   * others.
   */
  readonly connectionWindowBytes: number;
  /**
   * Bytes of unfinished messages, unfinished bodies and paused streams that a connection may make us hold.
   */
  readonly maxBufferedBytes: number;

  /** A header list larger than this (each field counted with 32 bytes on top) ends its stream. */
  readonly maxHeaderListBytes: number;
  /** A header block that is larger than this, still encoded, ends the connection. */
  readonly maxHeaderBlockBytes: number;
  /** CONTINUATION frames of one header block. */
  readonly maxContinuationFrames: number;

  /**
   * Output that is gathered or with the socket; beyond it bodies wait in their streams and reading pauses.
   */
  readonly maxOutputBytes: number;
  /** Body bytes waiting in all streams together; beyond it new requests are refused and answers fail. */
  readonly maxQueuedBytes: number;
  /** Body bytes waiting in one stream from which on its writer is asked to pause. */
  readonly streamHighWaterBytes: number;

  /** From accepting until the preface and the first SETTINGS have arrived. */
  readonly prefaceTimeoutMs: number;
  /** From the first frame of a header block to its last. */
  readonly headerTimeoutMs: number;
  /** From the first byte of a frame or message body to its last, while nothing of it arrives. */
  readonly bodyTimeoutMs: number;
  /** Output is waiting and the peer takes none of it. */
  readonly stallTimeoutMs: number;
  /** How long a connection that has said GOAWAY because of an error stays to be read to the end. */
  readonly lingerMs: number;
  /** How long a graceful drain waits between announcing it and refusing new streams. */
  readonly drainNoticeMs: number;

  /** Idle time after which the peer is asked for a sign of life; 0 for never. */
  readonly keepaliveIntervalMs: number;
  /** How long it has to answer. */
  readonly keepaliveTimeoutMs: number;
  /** Send keepalive pings also while no stream is open. A server always does. */
  readonly keepaliveWithoutStream: boolean;
  /**
   * The peer's PINGs may not follow faster than this, unless something was sent to it in between; 0 for no
   * limit.
   */
  readonly minPingIntervalMs: number;
  /** Whether {@link minPingIntervalMs} holds without open streams too; else two hours do. */
  readonly permitPingWithoutStream: boolean;

  /**
   * Frames that do no work (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown) that may come in a
   * burst.
   */
  readonly controlFrameBurst: number;
  /** How many of those are forgiven per second; work that is done forgives some as well. */
  readonly controlFramesPerSecond: number;
  /** Streams that the peer may open and have reset, by itself or by its errors, in a burst. */
  readonly resetBurst: number;
  /** How many of those are forgiven per second; every answered request forgives one as well. */
  readonly resetsPerSecond: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const SECOND_MS = 1000;
const HOUR_MS = 3_600 * SECOND_MS;

/** Without open streams a PING is honest no more often than this, as gRPC's servers see it. */
export const PING_INTERVAL_WITHOUT_STREAM_MS = 2 * HOUR_MS;
/** PINGs that came too fast before the connection is ended. */
export const MAX_PING_STRIKES = 2;

/** A server's defaults; those that etcd has a value for have that value. */
export const SERVER_LIMITS: Http2Limits = {
  maxConcurrentStreams: 10_000,
  streamWindowBytes: 256 * KiB,
  maxStreamWindowBytes: 4 * MiB,
  connectionWindowBytes: 4 * MiB,
  maxBufferedBytes: 64 * MiB,
  maxHeaderListBytes: 64 * KiB,
  maxHeaderBlockBytes: 64 * KiB,
  maxContinuationFrames: 64,
  maxOutputBytes: MiB,
  maxQueuedBytes: 64 * MiB,
  streamHighWaterBytes: 64 * KiB,
  prefaceTimeoutMs: 10 * SECOND_MS,
  headerTimeoutMs: 10 * SECOND_MS,
  bodyTimeoutMs: 60 * SECOND_MS,
  stallTimeoutMs: 120 * SECOND_MS,
  lingerMs: SECOND_MS,
  drainNoticeMs: 5 * SECOND_MS,
  keepaliveIntervalMs: 2 * HOUR_MS,
  keepaliveTimeoutMs: 20 * SECOND_MS,
  keepaliveWithoutStream: true,
  minPingIntervalMs: 5 * SECOND_MS,
  permitPingWithoutStream: true,
  controlFrameBurst: 10_000,
  controlFramesPerSecond: 1_000,
  resetBurst: 4_000,
  resetsPerSecond: 100,
};

/**
 * A client's defaults: larger windows, since it receives the large answers, and trust in the server that it
 * chose.
 */
export const CLIENT_LIMITS: Http2Limits = {
  ...SERVER_LIMITS,
  // A server opens no streams: push is off.
  maxConcurrentStreams: 0,
  streamWindowBytes: MiB,
  maxStreamWindowBytes: 16 * MiB,
  connectionWindowBytes: 16 * MiB,
  maxBufferedBytes: 4096 * MiB,
  maxQueuedBytes: 4096 * MiB,
  bodyTimeoutMs: 0,
  keepaliveIntervalMs: 0,
  keepaliveWithoutStream: false,
  minPingIntervalMs: 0,
};

/** Why `limits` can't be used, or the empty string. */
export function limitsError(limits: Http2Limits): string {
  for (const [name, value] of Object.entries(limits)) {
    if (typeof value === 'number' && !(value >= 0)) return `${name} is ${value}`;
  }
  if (limits.streamWindowBytes < DEFAULT_WINDOW_BYTES) return 'streamWindowBytes is below 65535';
  if (limits.connectionWindowBytes < DEFAULT_WINDOW_BYTES) return 'connectionWindowBytes is below 65535';
  return '';
}
