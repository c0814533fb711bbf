/**
 * A {@link Clock} whose time moves only by {@link SimClock.advance} and its relatives. Deferred callbacks run before
 * time moves on, timers in order of their deadline, and among equals in the order in which they were set.
 */
import type { Clock, Timer } from '@etcd/base';
import { assert, Heap, RingBuffer } from '@etcd/base';

interface PendingTimer extends Timer {
  readonly deadlineMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  heapIndex: number;
}

/** A turn that defers without end is a bug; this many callbacks without time moving is taken as one. */
const MAX_CALLBACKS_AT_ONE_INSTANT = 1_000_000;

export class SimClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  readonly #epochMs: number;
  readonly #deferred = new RingBuffer<() => void>(64);
  readonly #timers = new Heap<PendingTimer>({
    before: (a, b) =>
      a.deadlineMs < b.deadlineMs || (a.deadlineMs === b.deadlineMs && a.sequence < b.sequence),
    setIndex: (timer, index) => {
      timer.heapIndex = index;
    },
  });

  /** @param epochMs what {@link wallNow} says at time 0, Unix milliseconds. */
  constructor(epochMs = 1_700_000_000_000) {
    this.#epochMs = epochMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#epochMs + Math.floor(this.#nowMs);
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timers = this.#timers;
    const timer: PendingTimer = {
      deadlineMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      callback,
      heapIndex: -1,
      cancel(): void {
        if (this.heapIndex >= 0) timers.removeAt(this.heapIndex);
      },
    };
    timers.push(timer);
    return timer;
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  /** Runs everything deferred, and what that defers, without moving time. */
  settle(): void {
    for (let ran = 0; ; ran++) {
      const callback = this.#deferred.take();
      if (callback === undefined) return;
      assert(ran < MAX_CALLBACKS_AT_ONE_INSTANT, 'clock: callbacks defer each other without end');
      callback();
    }
  }

  /** Moves time by `durationMs`, running what falls due on the way. */
  advance(durationMs: number): void {
    const untilMs = this.#nowMs + durationMs;
    this.settle();
    for (;;) {
      const next = this.#timers.peek();
      if (next === undefined || next.deadlineMs > untilMs) break;
      this.#runNext();
    }
    this.#nowMs = untilMs;
  }

  /** Moves time to the next timer and runs it; false when none is pending. */
  step(): boolean {
    this.settle();
    if (this.#timers.count === 0) return false;
    this.#runNext();
    return true;
  }

  /** Moves time timer by timer until `condition` holds; false when `limitMs` passed first. */
  advanceUntil(condition: () => boolean, limitMs: number): boolean {
    const untilMs = this.#nowMs + limitMs;
    this.settle();
    while (!condition()) {
      const next = this.#timers.peek();
      if (next === undefined || next.deadlineMs > untilMs) {
        this.#nowMs = untilMs;
        return false;
      }
      this.#runNext();
    }
    return true;
  }

  #runNext(): void {
    const timer = this.#timers.pop()!;
    if (timer.deadlineMs > this.#nowMs) this.#nowMs = timer.deadlineMs;
    timer.callback();
    this.settle();
  }
}
