/**
 * Keeps leases from expiring all at once after a change of the leader, which refreshes all of them at the same moment:
 * of those that would expire in the same second, no more than a given number do; the rest is put off by whole
 * seconds. First all are counted, then planned, then each is told its delay, in any order.
 */

/** Leases that last longer are not spread: another leader will have come by then. */
const MAX_SECONDS = 86_400;

export class ExpirySpread {
  readonly #perSecond: number;
  readonly #counts = new Int32Array(MAX_SECONDS);
  /** By second: how many are put off into it from before. */
  readonly #carried = new Int32Array(MAX_SECONDS);
  readonly #told = new Int32Array(MAX_SECONDS);

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes in one that expires in `remainingMs`. */
  count(remainingMs: number): void {
    const second = Math.floor(remainingMs / 1000);
    if (second >= 0 && second < MAX_SECONDS) this.#counts[second]!++;
  }

  plan(): void {
    let carried = 0;
    for (let second = 0; second < MAX_SECONDS; second++) {
      this.#carried[second] = carried;
      carried = Math.max(0, carried + this.#counts[second]! - this.#perSecond);
    }
  }

  /** How long to put off one that was counted with `remainingMs`. */
  delayMs(remainingMs: number): number {
    const second = Math.floor(remainingMs / 1000);
    if (second < 0 || second >= MAX_SECONDS) return 0;
    const place = this.#carried[second]! + this.#told[second]!++;
    return Math.floor(place / this.#perSecond) * 1000;
  }
}
