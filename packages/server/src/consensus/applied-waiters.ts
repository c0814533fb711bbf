/** Whoever waits until this member has applied an entry. */
import type { LogIndex } from '@etcd/api';
import type { Clock } from '@etcd/base';

/** Called once: whether the entry was applied in time. */
export type AppliedCallback = (isApplied: boolean) => void;

interface Waiting {
  readonly index: LogIndex;
  readonly done: AppliedCallback;
}

export class AppliedWaiters {
  readonly #clock: Clock;
  #waiting: Waiting[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#waiting.length;
  }

  /** @param index one that is not applied yet. */
  add(index: LogIndex, timeoutMs: number, done: AppliedCallback): void {
    const waiting: Waiting = {
      index,
      done: (isApplied) => {
        timer.cancel();
        done(isApplied);
      },
    };
    const timer = this.#clock.setTimer(timeoutMs, () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      done(false);
    });
    this.#waiting.push(waiting);
  }

  onApplied(index: LogIndex): void {
    if (this.#waiting.length === 0) return;
    const ready = this.#waiting.filter((waiting) => waiting.index <= index);
    this.#waiting = this.#waiting.filter((waiting) => waiting.index > index);
    // Whoever is told may begin to wait for something else.
    for (const { done } of ready) done(true);
  }

  /** Nothing will be applied any more. */
  stop(): void {
    for (const { done } of this.#waiting.splice(0)) done(false);
  }
}
