/**
 * One timer for all time limits that need no precision: every connection is looked at about once a second, or
 * more often where shorter limits are configured. Runs only while there are connections.
 */
import type { Clock, Timer } from '@etcd/base';

export interface Sweepable {
  /** Enforces what is due; `elapsedMs` since the sweep before. */
  sweep(nowMs: number, elapsedMs: number): void;
}

const MAX_INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 10;
/** The limit that is looked after is overrun by at most this part of itself. */
const PRECISION = 8;

export class Sweeper {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #members = new Set<Sweepable>();
  #timer: Timer | null = null;
  #lastMs = 0;

  /** @param limitsMs the limits that will be enforced; zeros mean none. */
  constructor(clock: Clock, limitsMs: readonly number[]) {
    this.#clock = clock;
    const shortest = Math.min(...limitsMs.filter((limit) => limit > 0), MAX_INTERVAL_MS * PRECISION);
    this.#intervalMs = Math.max(MIN_INTERVAL_MS, shortest / PRECISION);
  }

  add(member: Sweepable): void {
    this.#members.add(member);
    if (this.#timer === null) this.#start();
  }

  delete(member: Sweepable): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #start(): void {
    this.#lastMs = this.#clock.now();
    this.#arm();
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(this.#intervalMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = null;
    const nowMs = this.#clock.now();
    const elapsedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    // A member may leave while it is swept.
    for (const member of [...this.#members]) member.sweep(nowMs, elapsedMs);
    if (this.#members.size > 0 && this.#timer === null) this.#arm();
  }
}
