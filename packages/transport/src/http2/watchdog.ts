/** The time limits of a connection, looked after once a second or so, and keepalive. */
import type { Http2Connection } from './connection.ts';
import type { Inbound } from './inbound.ts';
import { ErrorCode } from './protocol.ts';

/** "Since never": the condition does not hold. */
const NEVER = -1;

export class Watchdog {
  /** Set by the connection whenever something arrives. */
  hasRead = false;
  /** Grows with every byte that the duplex takes. */
  writtenBytes = 0;

  readonly #openedMs: number;
  #lastReadMs: number;
  #holdingSinceMs = NEVER;
  #stalledSinceMs = NEVER;
  #writtenAtCheckBytes = 0;
  #pingSentMs = NEVER;

  constructor(nowMs: number) {
    this.#openedMs = nowMs;
    this.#lastReadMs = nowMs;
  }

  check(connection: Http2Connection, inbound: Inbound, nowMs: number): void {
    if (this.hasRead) {
      this.hasRead = false;
      this.#lastReadMs = nowMs;
      this.#pingSentMs = NEVER;
    }
    this.#checkPreface(connection, inbound, nowMs);
    this.#checkHeaders(connection, inbound, nowMs);
    this.#checkStall(connection, nowMs);
    this.#checkKeepalive(connection, nowMs);
    if (!connection.isClosed) for (const stream of connection.streams.list()) stream.sweep(nowMs);
  }

  #checkPreface(connection: Http2Connection, inbound: Inbound, nowMs: number): void {
    const { prefaceTimeoutMs } = connection.limits;
    if (inbound.hasSettings || prefaceTimeoutMs === 0 || nowMs - this.#openedMs <= prefaceTimeoutMs) return;
    connection.fail(ErrorCode.PROTOCOL_ERROR, 'no preface in time');
  }

  #checkHeaders(connection: Http2Connection, inbound: Inbound, nowMs: number): void {
    const { headerTimeoutMs } = connection.limits;
    if (!inbound.isHolding || headerTimeoutMs === 0) this.#holdingSinceMs = NEVER;
    else if (this.#holdingSinceMs === NEVER) this.#holdingSinceMs = nowMs;
    else if (nowMs - this.#holdingSinceMs > headerTimeoutMs) {
      connection.fail(ErrorCode.ENHANCE_YOUR_CALM, 'a frame or header block was not finished in time');
    }
  }

  /** The socket is full, or the connection's window used up, and nothing moves. */
  #checkStall(connection: Http2Connection, nowMs: number): void {
    const { sender, limits } = connection;
    const isBlocked = sender.pendingBytes > 0 || (sender.queuedBytes > 0 && sender.windowBytes <= 0);
    const hasMoved = this.writtenBytes !== this.#writtenAtCheckBytes;
    this.#writtenAtCheckBytes = this.writtenBytes;
    if (!isBlocked || hasMoved || limits.stallTimeoutMs === 0) this.#stalledSinceMs = NEVER;
    else if (this.#stalledSinceMs === NEVER) this.#stalledSinceMs = nowMs;
    else if (nowMs - this.#stalledSinceMs > limits.stallTimeoutMs) {
      connection.fail(ErrorCode.ENHANCE_YOUR_CALM, 'answers were not taken in time');
    }
  }

  #checkKeepalive(connection: Http2Connection, nowMs: number): void {
    const { keepaliveIntervalMs, keepaliveTimeoutMs, keepaliveWithoutStream } = connection.limits;
    if (keepaliveIntervalMs === 0 || connection.isClosed) return;
    if (this.#pingSentMs !== NEVER) {
      if (nowMs - this.#pingSentMs >= keepaliveTimeoutMs) {
        connection.fail(ErrorCode.NO_ERROR, 'keepalive ping was not answered in time');
      }
    } else if (nowMs - this.#lastReadMs >= keepaliveIntervalMs) {
      if (!keepaliveWithoutStream && connection.streams.count === 0) return;
      this.#pingSentMs = nowMs;
      connection.sendKeepalivePing();
    }
  }
}
