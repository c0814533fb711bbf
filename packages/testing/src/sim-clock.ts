/**
 * A {@link Clock} whose time moves only by {@link SimClock.advance} and its relatives. Deferred callbacks run before
 * time moves on, timers in order of their deadline, and among equals in the order in which they were set.
 */
import type { Clock, Timer } from '@etcd/base';
import { assert, Heap, RingBuffer } from '@etcd/base';

class PendingTimer implements Timer {
  readonly #timers: Heap<PendingTimer>;
  readonly deadlineMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  /** Below 0 where it is not in the heap. */
  heapIndex = -1;
  isCancelled = false;

  constructor(timers: Heap<PendingTimer>, deadlineMs: number, sequence: number, callback: () => void) {
    this.#timers = timers;
    this.deadlineMs = deadlineMs;
    this.sequence = sequence;
    this.callback = callback;
  }

  cancel(): void {
    this.isCancelled = true;
    if (this.heapIndex >= 0) this.#timers.removeAt(this.heapIndex);
  }
}

/** A turn that defers without end is a bug; this many callbacks without time moving is taken as one. */
const MAX_CALLBACKS_AT_ONE_INSTANT = 1_000_000;

export class SimClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  readonly #epochMs: number;
  readonly #deferred = new RingBuffer<() => void>(64);
  /** To run at this instant, after what the heap has for it. */
  readonly #due = new RingBuffer<PendingTimer>(64);
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
    const deadlineMs = this.#nowMs + Math.max(0, delayMs);
    const timer = new PendingTimer(this.#timers, deadlineMs, this.#sequence++, callback);
    // Whatever is due at this instant already was set before, so a queue is in order.
    if (deadlineMs === this.#nowMs) this.#due.push(timer);
    else this.#timers.push(timer);
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
    while (this.#runNext(untilMs));
    this.#nowMs = untilMs;
  }

  /** Moves time to the next timer and runs it; false when none is pending. */
  step(): boolean {
    this.settle();
    return this.#runNext(Number.POSITIVE_INFINITY);
  }

  /** Moves time timer by timer until `condition` holds; false when `limitMs` passed first. */
  advanceUntil(condition: () => boolean, limitMs: number): boolean {
    const untilMs = this.#nowMs + limitMs;
    this.settle();
    while (!condition()) {
      if (this.#runNext(untilMs)) continue;
      this.#nowMs = untilMs;
      return false;
    }
    return true;
  }

  /** Runs the next timer that is due by `untilMs`, and what it defers; false when there is none. */
  #runNext(untilMs: number): boolean {
    const timer = this.#takeNext(untilMs);
    if (timer === null) return false;
    if (timer.deadlineMs > this.#nowMs) this.#nowMs = timer.deadlineMs;
    timer.callback();
    this.settle();
    return true;
  }

  #takeNext(untilMs: number): PendingTimer | null {
    const first = this.#timers.peek();
    if (first === undefined || first.deadlineMs > this.#nowMs) {
      for (let due = this.#due.take(); due !== undefined; due = this.#due.take()) {
        if (!due.isCancelled) return due;
      }
    }
    return first !== undefined && first.deadlineMs <= untilMs ? this.#timers.pop()! : null;
  }
}
