/**
 * Decides, from how long recent syncs took, whether the next one should run inline or on the thread pool.
 *
 * Inline keeps the order of everything trivially and is the fastest way through a fast disk: a tenth of a millisecond
 * is less than what a trip through the thread pool adds when the processor is busy. But it stops the event loop: reads
 * and heartbeats wait for the disk. So: inline while the disk answers fast, asynchronous as soon as it does not.
 *
 * An asynchronous duration includes the time until the event loop got around to the callback, so it only bounds the
 * disk's share from above. To come back, the least of a window is taken.
 *
 * An inline duration includes the wait for a processor, which the event loop, having been busy, gets last where there are more threads
 * than processors; a thread of the pool, which does little, gets it at once. So if inline did not last, it is tried less and less often.
 */

/** A sync longer than this is too long for the event loop to wait for, as a habit. */
const SLOW_MS = 1;
/** One like this is enough to go asynchronous at once. */
const STALL_MS = 5;
/** Weight of the newest duration in the average: about the last 16 count. */
const WEIGHT = 1 / 16;
/** Asynchronous syncs whose least is looked at before the next try inline. */
const WINDOW_COUNT = 64;

/** Inline syncs after which trying them again is taken to have been right. */
const LASTING_COUNT = 256;
/** Windows until the next try, at most. */
const MAX_WINDOWS = 64;

export class SyncGauge {
  #averageMs = 0;
  #isInline = true;
  /** Inline syncs since the last try began. */
  #inlineCount = LASTING_COUNT;
  /** How long the last wait for the next try was, and what is left of this one, in windows. */
  #windows = 1;
  #windowsLeft = 1;
  #windowCount = 0;
  #windowLeastMs = Number.POSITIVE_INFINITY;

  /** Whether the next sync had better run inline. */
  get prefersInline(): boolean {
    return this.#isInline;
  }

  /** A sync that stopped the event loop took this long. */
  tookInline(durationMs: number): void {
    this.#inlineCount++;
    this.#averageMs += (durationMs - this.#averageMs) * WEIGHT;
    if (durationMs < STALL_MS && this.#averageMs < SLOW_MS) return;
    this.#windows = this.#inlineCount > LASTING_COUNT ? 1 : Math.min(MAX_WINDOWS, 2 * this.#windows);
    this.#windowsLeft = this.#windows;
    this.#isInline = false;
    this.#windowCount = 0;
    this.#windowLeastMs = Number.POSITIVE_INFINITY;
  }

  /** A sync on the thread pool took this long, until its callback ran. */
  tookAsync(durationMs: number): void {
    if (durationMs < this.#windowLeastMs) this.#windowLeastMs = durationMs;
    if (++this.#windowCount < WINDOW_COUNT) return;
    if (this.#windowsLeft > 1) this.#windowsLeft--;
    else if (this.#windowLeastMs < SLOW_MS) {
      this.#isInline = true;
      this.#inlineCount = 0;
      this.#averageMs = this.#windowLeastMs;
    }
    this.#windowCount = 0;
    this.#windowLeastMs = Number.POSITIVE_INFINITY;
  }
}
