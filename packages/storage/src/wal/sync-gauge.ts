/**
 * Decides, from how long recent syncs took, whether the next one should run inline or on the thread pool.
 *
 * Inline keeps the order of everything trivially and is the fastest way through a fast disk: a tenth of a millisecond
 * is less than what a trip through the thread pool adds when the processor is busy. But it stops the event loop: reads
 * and heartbeats wait for the disk. So: inline while the disk answers fast, asynchronous as soon as it does not.
 *
 * An asynchronous duration includes the time until the event loop got around to the callback, so it only bounds the
 * disk's share from above. To come back, the least of a window is taken.
 */

/** A sync longer than this is too long for the event loop to wait for, as a habit. */
const SLOW_MS = 1;
/** One like this is enough to go asynchronous at once. */
const STALL_MS = 5;
/** Weight of the newest duration in the average: about the last 16 count. */
const WEIGHT = 1 / 16;
/** Asynchronous syncs whose least is looked at before the next try inline. */
const WINDOW_COUNT = 64;

export class SyncGauge {
  #averageMs = 0;
  #isInline = true;
  #windowCount = 0;
  #windowLeastMs = Number.POSITIVE_INFINITY;

  /** Whether the next sync had better run inline. */
  get prefersInline(): boolean {
    return this.#isInline;
  }

  /** A sync that stopped the event loop took this long. */
  tookInline(durationMs: number): void {
    this.#averageMs += (durationMs - this.#averageMs) * WEIGHT;
    if (durationMs < STALL_MS && this.#averageMs < SLOW_MS) return;
    this.#isInline = false;
    this.#windowCount = 0;
    this.#windowLeastMs = Number.POSITIVE_INFINITY;
  }

  /** A sync on the thread pool took this long, until its callback ran. */
  tookAsync(durationMs: number): void {
    if (durationMs < this.#windowLeastMs) this.#windowLeastMs = durationMs;
    if (++this.#windowCount < WINDOW_COUNT) return;
    if (this.#windowLeastMs < SLOW_MS) {
      this.#isInline = true;
      this.#averageMs = this.#windowLeastMs;
    }
    this.#windowCount = 0;
    this.#windowLeastMs = Number.POSITIVE_INFINITY;
  }
}
