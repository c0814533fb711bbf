/**
 * Tells a busy peer from an abusive one. Frames that make us work without asking for anything (PING,
 * SETTINGS, resets of streams just opened) draw on two allowances, which time and useful work refill; a peer
 * that uses one up is asked to calm down and disconnected. Cheap by design: a subtraction per such frame,
 * nothing on the others.
 */
import type { Http2Limits } from './limits.ts';
import { MAX_PING_STRIKES, PING_INTERVAL_WITHOUT_STREAM_MS } from './limits.ts';

/**
 * Control frames that a write of headers or data forgives: the peer acknowledges and grants window for them.
 */
const FRAMES_PER_WRITE = 8;
/** And one more for each so many bytes. */
const BYTES_PER_FRAME = 2048;

const MS_PER_SECOND = 1000;

export class AbuseGuard {
  readonly #limits: Http2Limits;
  #controlFrames: number;
  #resets: number;
  #pingStrikes = 0;
  #lastPingMs = Number.NEGATIVE_INFINITY;
  /** Whether headers or data were sent since the last PING arrived. */
  #hasSentSincePing = false;

  constructor(limits: Http2Limits) {
    this.#limits = limits;
    this.#controlFrames = limits.controlFrameBurst;
    this.#resets = limits.resetBurst;
  }

  /** Counts control frames; false when the allowance is used up. */
  spendControlFrames(count: number): boolean {
    this.#controlFrames -= count;
    return this.#controlFrames >= 0;
  }

  /** Counts a stream that came to nothing through the peer; false when the allowance is used up. */
  spendReset(): boolean {
    this.#resets--;
    return this.#resets >= 0;
  }

  /** A request was answered. */
  onAnswered(): void {
    if (this.#resets < this.#limits.resetBurst) this.#resets++;
  }

  /** Headers or data were written. */
  onSent(byteCount: number): void {
    this.#hasSentSincePing = true;
    const forgiven = FRAMES_PER_WRITE + Math.floor(byteCount / BYTES_PER_FRAME);
    this.#controlFrames = Math.min(this.#limits.controlFrameBurst, this.#controlFrames + forgiven);
  }

  onTimePassed(elapsedMs: number): void {
    const { controlFrameBurst, controlFramesPerSecond, resetBurst, resetsPerSecond } = this.#limits;
    const seconds = elapsedMs / MS_PER_SECOND;
    this.#controlFrames = Math.min(controlFrameBurst, this.#controlFrames + seconds * controlFramesPerSecond);
    this.#resets = Math.min(resetBurst, this.#resets + seconds * resetsPerSecond);
  }

  /**
   * A PING arrived. False when the peer has sent too many too fast. The rules are those of grpc-go's server:
   * a PING is free after something was sent to the peer, otherwise it must keep its distance from the one
   * before.
   */
  onPing(nowMs: number, hasStreams: boolean): boolean {
    const sinceLastMs = nowMs - this.#lastPingMs;
    this.#lastPingMs = nowMs;
    if (this.#limits.minPingIntervalMs === 0) return true;
    if (this.#hasSentSincePing) {
      this.#hasSentSincePing = false;
      this.#pingStrikes = 0;
      return true;
    }
    const isLenient = hasStreams || this.#limits.permitPingWithoutStream;
    const minIntervalMs = isLenient ? this.#limits.minPingIntervalMs : PING_INTERVAL_WITHOUT_STREAM_MS;
    if (sinceLastMs < minIntervalMs) this.#pingStrikes++;
    return this.#pingStrikes <= MAX_PING_STRIKES;
  }
}
