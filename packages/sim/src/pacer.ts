/** When somebody who works in a world does the next thing: a random time after the last one, as long as nobody has stopped him. */
import type { SeededRandom } from '@etcd/base';

export interface PacerOptions {
  /** Calls `then` after a pause, or after what the tempo of the world makes of it. */
  readonly wait: (pauseMs: number, then: () => void) => void;
  readonly random: SeededRandom;
  readonly maxPauseMs: number;
  /** Asks for {@link Pacer.next} when it is done, at once or later. */
  readonly step: () => void;
}

export class Pacer {
  readonly #options: PacerOptions;
  #isRunning = false;
  /** There is a timer for the next step: there is never more than one. */
  #isScheduled = false;

  constructor(options: PacerOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  start(): void {
    this.#isRunning = true;
    this.next();
  }

  /** No step is begun any more; what one has begun goes on. */
  stop(): void {
    this.#isRunning = false;
  }

  next(): void {
    if (!this.#isRunning || this.#isScheduled) return;
    const { wait, random, maxPauseMs, step } = this.#options;
    this.#isScheduled = true;
    wait(random.below(maxPauseMs), () => {
      this.#isScheduled = false;
      if (this.#isRunning) step();
    });
  }
}
