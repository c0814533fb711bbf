/**
 * Time as a member sees it. Everything that waits does so through one injected {@link Clock}, so that a simulated
 * cluster runs on simulated time and a turn of its event loop is one deterministic step.
 */

/** A pending one-shot timer. */
export interface Timer {
  /** Forgets the callback. Harmless after it has run or been cancelled. */
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin, with a fraction where the source has one. */
  now(): number;
  /** Wall-clock time: Unix milliseconds. May jump; never used to measure a duration. */
  wallNow(): number;
  /** Runs `callback` once, at least `delayMs` from now. Does not keep the process alive by itself. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /**
   * Runs `callback` once, after the I/O callbacks of the current turn: where the work that they gathered is done
   * as one batch. Callbacks run in the order in which they were deferred.
   */
  defer(callback: () => void): void;
}
