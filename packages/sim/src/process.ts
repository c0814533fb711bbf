/**
 * A simulated process: everything that a member does happens in here, on the process's own view of time. Work that holds up
 * the event loop, as a slow sync or a pause by the operating system, moves the process's time ahead of the world's; what is
 * meant for it then waits until the world has caught up. After its end nothing of it runs any more.
 */
import type { Clock, Timer } from '@etcd/base';
import type { SimClock } from '@etcd/testing';

/** Unix milliseconds of the beginning of every world. */
const EPOCH_MS = 1_700_000_000_000;

export interface SimProcessOptions {
  readonly clock: SimClock;
  /** What `now()` says at the beginning of the world: no two processes share an origin. */
  readonly originMs: number;
  /** For how long the process waits for a processor after what it has just done. */
  readonly waitMs: () => number;
  /** By how much the machine's wall clock is off at the moment. */
  readonly wallOffsetMs: () => number;
  /** How fast the machine's clocks go; 1 unless told. */
  readonly clockRate?: number | undefined;
  /** How long a turn of the event loop takes: what is deferred runs so much later. */
  readonly turnMs: number;
  /** Something was thrown out of the process. */
  readonly onError: (error: unknown) => void;
}

export class SimProcess implements Clock {
  readonly #options: SimProcessOptions;
  readonly #clock: SimClock;
  readonly clockRate: number;
  #isAlive = true;
  /** World time at which the process is done with what holds it up. */
  #busyUntilMs = 0;

  constructor(options: SimProcessOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.clockRate = options.clockRate ?? 1;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** The process's moment on the world's scale: the world's, or later. */
  get worldMs(): number {
    return Math.max(this.#clock.now(), this.#busyUntilMs);
  }

  /** How far the process is ahead of the world. */
  get aheadMs(): number {
    return this.worldMs - this.#clock.now();
  }

  now(): number {
    return this.#options.originMs + this.worldMs * this.clockRate;
  }

  wallNow(): number {
    return EPOCH_MS + Math.floor(this.worldMs * this.clockRate) + this.#options.wallOffsetMs();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = new ProcessTimer(this, callback);
    timer.start(this.#clock, this.aheadMs + Math.max(0, delayMs) / this.clockRate);
    return timer;
  }

  /** After everything that is due at this instant: what arrived together is worked off together. */
  defer(callback: () => void): void {
    this.#clock.setTimer(this.aheadMs + this.#options.turnMs, () => this.run(callback));
  }

  /** Runs `callback` in the process: now, when it is free, or not at all. */
  run(callback: () => void): void {
    if (!this.#isAlive) return;
    const waitMs = this.aheadMs;
    if (waitMs > 0) {
      this.#clock.setTimer(waitMs, () => this.run(callback));
      return;
    }
    try {
      callback();
    } catch (error) {
      this.#options.onError(error);
    }
    const starvedMs = this.#options.waitMs();
    if (starvedMs > 0) this.stall(starvedMs);
  }

  /** The event loop stands still for so long; a negative time takes back what was said before. */
  stall(durationMs: number): void {
    this.#busyUntilMs = this.worldMs + durationMs;
  }

  end(): void {
    this.#isAlive = false;
  }
}

/** What is cancelled does not run either when it is due already, but waits for its process. */
class ProcessTimer implements Timer {
  readonly #process: SimProcess;
  readonly #callback: () => void;
  #timer: Timer | null = null;
  #isCancelled = false;

  constructor(process: SimProcess, callback: () => void) {
    this.#process = process;
    this.#callback = callback;
  }

  start(clock: SimClock, delayMs: number): void {
    this.#timer = clock.setTimer(delayMs, () => this.#process.run(this.#run));
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#timer?.cancel();
  }

  readonly #run = (): void => {
    if (!this.#isCancelled) this.#callback();
  };
}
