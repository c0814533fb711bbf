/**
 * Keeps a fault that repeats from filling the disk: of the lines with one level and message, the first hundred of each
 * second are written and then every hundredth, which are etcd's numbers.
 */
import type { Clock } from '@etcd/base';

const WINDOW_MS = 1000;
const FIRST = 100;
const THEREAFTER = 100;
/** Messages are constants; more different ones than this in a second means that some are not. */
const MAX_MESSAGES = 4096;

export class Sampler {
  readonly #clock: Clock;
  readonly #counts = new Map<string, number>();
  #windowEndMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether this occurrence of `message` is written. */
  admits(message: string): boolean {
    const count = this.#countOf(message) + 1;
    this.#counts.set(message, count);
    return isWritten(count);
  }

  /** Whether an occurrence of `message` would not be written; then it has been counted. */
  passesOver(message: string): boolean {
    const count = this.#countOf(message) + 1;
    if (isWritten(count)) return false;
    this.#counts.set(message, count);
    return true;
  }

  #countOf(message: string): number {
    const nowMs = this.#clock.now();
    if (nowMs >= this.#windowEndMs || this.#counts.size >= MAX_MESSAGES) {
      this.#counts.clear();
      this.#windowEndMs = nowMs + WINDOW_MS;
    }
    return this.#counts.get(message) ?? 0;
  }
}

function isWritten(count: number): boolean {
  return count <= FIRST || (count - FIRST) % THEREAFTER === 0;
}
