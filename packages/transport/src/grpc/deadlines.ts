/**
 * The deadlines of calls: set and lifted in constant time, since nearly all are lifted long before they are
 * due.
 *
 * A wheel of slots, each a linked list of the calls that are due in one tick; what lies beyond a revolution
 * waits in a list of its own, from which it is moved into the wheel once per revolution. One timer, for the
 * next slot that is taken. A call is told at most one tick late, never early.
 */
import type { Clock, Timer } from '@etcd/base';

/**
 * What can have a deadline. The fields belong to {@link Deadlines} while {@link Expiring.deadlineSlot} is not
 * NO_SLOT.
 */
export interface Expiring {
  /** On the clock of {@link Clock.now}. */
  deadlineMs: number;
  deadlineSlot: number;
  deadlineNext: Expiring | null;
  deadlinePrevious: Expiring | null;
  onDeadline(): void;
}

export const NO_SLOT = -1;

const TICK_MS = 8;
const SLOT_COUNT = 512;
const SLOT_MASK = SLOT_COUNT - 1;
/** The slot of what is due after the coming revolution. */
const FAR = SLOT_COUNT;

const NEVER = Number.POSITIVE_INFINITY;

export class Deadlines {
  readonly #clock: Clock;
  readonly #slots: (Expiring | null)[] = new Array(SLOT_COUNT + 1).fill(null);
  #count = 0;
  /** Every slot up to this tick has been emptied. */
  #tick = 0;
  #armedTick = NEVER;
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#count;
  }

  /** Has `item.onDeadline` called at `item.deadlineMs`. */
  add(item: Expiring): void {
    if (this.#count === 0) this.#tick = Math.floor(this.#clock.now() / TICK_MS);
    this.#count++;
    const tick = this.#place(item, this.#tick + 1);
    if (tick < this.#armedTick) this.#arm(tick);
  }

  /** Lifts the deadline; nothing when there is none. */
  delete(item: Expiring): void {
    if (item.deadlineSlot === NO_SLOT) return;
    this.#unlink(item);
    this.#count--;
  }

  /**
   * Links the item into the slot of its tick, no earlier than `firstTick`; returns the tick at which it
   * matters.
   */
  #place(item: Expiring, firstTick: number): number {
    const tick = Math.max(firstTick, Math.ceil(item.deadlineMs / TICK_MS));
    const slot = tick - this.#tick < SLOT_COUNT ? tick & SLOT_MASK : FAR;
    const next = this.#slots[slot]!;
    item.deadlineSlot = slot;
    item.deadlineNext = next;
    item.deadlinePrevious = null;
    if (next !== null) next.deadlinePrevious = item;
    this.#slots[slot] = item;
    // What is far is looked at when the revolution ends.
    return slot === FAR ? (this.#tick | SLOT_MASK) + 1 : tick;
  }

  #unlink(item: Expiring): void {
    const { deadlineNext: next, deadlinePrevious: previous } = item;
    if (previous === null) this.#slots[item.deadlineSlot] = next;
    else previous.deadlineNext = next;
    if (next !== null) next.deadlinePrevious = previous;
    item.deadlineSlot = NO_SLOT;
    item.deadlineNext = null;
    item.deadlinePrevious = null;
  }

  #arm(tick: number): void {
    this.#timer?.cancel();
    this.#armedTick = tick;
    const delayMs = Math.max(0, tick * TICK_MS - this.#clock.now());
    this.#timer = this.#clock.setTimer(delayMs, () => this.#run());
  }

  #run(): void {
    this.#timer = null;
    this.#armedTick = NEVER;
    const nowTick = Math.floor(this.#clock.now() / TICK_MS);
    while (this.#tick < nowTick && this.#count > 0) {
      this.#tick++;
      if ((this.#tick & SLOT_MASK) === 0) this.#moveFar();
      this.#expire(this.#tick & SLOT_MASK);
    }
    if (this.#count > 0 && this.#armedTick === NEVER) this.#arm(this.#nextTick());
  }

  #expire(slot: number): void {
    for (let item = this.#slots[slot]!; item !== null; item = this.#slots[slot]!) {
      this.#unlink(item);
      this.#count--;
      item.onDeadline();
    }
  }

  #moveFar(): void {
    let item: Expiring | null = this.#slots[FAR]!;
    while (item !== null) {
      const next: Expiring | null = item.deadlineNext;
      if (Math.ceil(item.deadlineMs / TICK_MS) - this.#tick < SLOT_COUNT) {
        this.#unlink(item);
        // The slot of the current tick is about to be emptied.
        this.#place(item, this.#tick);
      }
      item = next;
    }
  }

  #nextTick(): number {
    const revolutionEnd = (this.#tick | SLOT_MASK) + 1;
    for (let tick = this.#tick + 1; tick < this.#tick + SLOT_COUNT; tick++) {
      if (tick === revolutionEnd && this.#slots[FAR] !== null) return tick;
      if (this.#slots[tick & SLOT_MASK] !== null) return tick;
    }
    return revolutionEnd;
  }
}
