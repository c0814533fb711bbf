/**
 * Requests that have been proposed and wait to be applied. Each is looked for by the lower part of its id, which travels through the
 * log with it, and found only if the entry that came is, byte for byte, what was proposed: an id alone may be that of a request of another
 * member, or of a former run of this one. So what a waiter holds of its request is what the entry says, and what is
 * applied is always the entry.
 */
import type { InternalError } from '@etcd/api';
import { assert } from '@etcd/base';
import type { AnyKind, Kind, RequestOf, ResultOf } from './kinds.ts';

/** Somebody whose request is pending, whatever its kind. */
export interface PendingWaiter {
  readonly kind: AnyKind;
  /** The request was refused when it was applied, or will not be waited for any longer. */
  onFailed(error: InternalError): void;
}

/**
 * Whoever waits for a request of kind `K` to be applied. Exactly one of the two methods is called, once; both run inside the raft
 * loop, so they only answer, and start nothing that changes state.
 */
export interface Waiter<K extends AnyKind> extends PendingWaiter {
  readonly kind: K;
  /** What the proposed bytes decode to, if the proposer has it at hand: spares the applier another decoding of the same bytes. */
  readonly request: RequestOf<K> | null;
  readonly onApplied: (result: ResultOf<K>) => void;
}

/** Puts a request of this member's own into the log. The waiter is told the outcome, at once if it is refused. */
export type Propose = <K extends Kind>(kind: K, request: RequestOf<K>, waiter: Waiter<NoInfer<K>>) => void;

/** The waiter as one for requests of this kind, which it has to be: it proposed the very bytes that are applied. */
export function waiterOf<K extends AnyKind>(waiter: PendingWaiter | null, kind: K): Waiter<K> | null {
  if (waiter === null) return null;
  assert(isWaiterOf(waiter, kind), () => `requests: ${kind} was applied, ${waiter.kind} is waited for`);
  return waiter;
}

/** Nothing but {@link Waiter}s is ever pending, so the kind tells the type. */
function isWaiterOf<K extends AnyKind>(waiter: PendingWaiter, kind: K): waiter is Waiter<K> {
  return waiter.kind === kind;
}

/** Ids are counted modulo this; see `request-ids.ts`. */
const ID_LIMIT = 2 ** 48;
const INITIAL_SLOTS = 1024;
/** A window that was wider than this gives its memory back when nothing is pending. */
const MAX_KEPT_SLOTS = 64 * 1024;

/**
 * Ids only grow, and requests are applied nearly in the order of their ids, so what is pending lies in a window of ids:
 *
 *          first id                       first id + span
 *              v                               v
 *     [ .  .   x   x   -   x   -   x   x   x   .   . ]      -: has its answer, or an id that nobody waits for
 *
 * one array, used in a circle. Not a Map: one that lives long leaves behind, whenever it makes room, an old table
 * which keeps all that was pending then from being collected young.
 *
 * The window is as wide as ids are given out while the slowest request waits, which {@link expire} bounds.
 */
export class PendingRequests {
  #waiters: (PendingWaiter | null)[] = new Array<PendingWaiter | null>(INITIAL_SLOTS).fill(null);
  /** What was proposed. */
  #proposals: (Uint8Array | null)[] = new Array<Uint8Array | null>(INITIAL_SLOTS).fill(null);
  #startsMs = new Float64Array(INITIAL_SLOTS);
  #firstId = 0;
  /** Slot of the first id. */
  #head = 0;
  /** Ids in the window. Invariant: the slots outside are null, the one of the first id is not. */
  #span = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /**
   * @param idSuffix greater than all before it.
   * @param proposal what is proposed: the data of the entry to be.
   */
  add<K extends AnyKind>(idSuffix: number, waiter: Waiter<K>, proposal: Uint8Array, nowMs: number): void {
    if (this.#count === 0) this.#restart(idSuffix);
    const offset = this.#offsetOf(idSuffix);
    // An id from before the window seems to be nearly a whole round of ids behind it.
    assert(offset >= this.#span && offset < ID_LIMIT / 2, 'requests: ids do not grow');
    if (offset >= this.#waiters.length) this.#grow(offset + 1);
    const slot = this.#slotAt(offset);
    this.#waiters[slot] = waiter;
    this.#proposals[slot] = proposal;
    this.#startsMs[slot] = nowMs;
    this.#span = offset + 1;
    this.#count++;
  }

  /** Who waits for the entry with this data, and waits no longer; null when nobody does. */
  take(idSuffix: number, data: Uint8Array): PendingWaiter | null {
    const offset = this.#offsetOf(idSuffix);
    if (offset >= this.#span) return null;
    const proposal = this.#proposals[this.#slotAt(offset)]!;
    // On the leader the entry holds the very bytes that were proposed; to others they come back as a copy.
    return proposal !== null && isSame(proposal, data) ? this.#takeAt(offset) : null;
  }

  has(idSuffix: number): boolean {
    const offset = this.#offsetOf(idSuffix);
    return offset < this.#span && this.#waiters[this.#slotAt(offset)] !== null;
  }

  /** The request was not proposed after all. */
  fail(idSuffix: number, error: InternalError): void {
    const offset = this.#offsetOf(idSuffix);
    if (offset < this.#span) this.#takeAt(offset)?.onFailed(error);
  }

  /** Ends the waiting of all that began before `beforeMs`; the error may depend on when. Returns how many. */
  expire(beforeMs: number, error: (startMs: number) => InternalError): number {
    let count = 0;
    while (this.#count > 0) {
      const startMs = this.#startsMs[this.#head]!;
      if (startMs >= beforeMs) break;
      this.#takeAt(0)!.onFailed(error(startMs));
      count++;
    }
    return count;
  }

  failAll(error: InternalError): void {
    this.expire(Number.POSITIVE_INFINITY, () => error);
  }

  #offsetOf(idSuffix: number): number {
    const offset = idSuffix - this.#firstId;
    return offset >= 0 ? offset : offset + ID_LIMIT;
  }

  #slotAt(offset: number): number {
    return (this.#head + offset) & (this.#waiters.length - 1);
  }

  #takeAt(offset: number): PendingWaiter | null {
    const slot = this.#slotAt(offset);
    const waiter = this.#waiters[slot]!;
    if (waiter === null) return null;
    this.#waiters[slot] = null;
    this.#proposals[slot] = null;
    this.#count--;
    if (offset === 0) this.#advance();
    return waiter;
  }

  /** Moves the window's beginning to the next that waits. */
  #advance(): void {
    const mask = this.#waiters.length - 1;
    while (this.#span > 0 && this.#waiters[this.#head] === null) {
      this.#head = (this.#head + 1) & mask;
      this.#firstId = (this.#firstId + 1) % ID_LIMIT;
      this.#span--;
    }
  }

  /** Nothing is pending: the window begins anew, in as little memory as at first. */
  #restart(idSuffix: number): void {
    this.#firstId = idSuffix;
    this.#span = 0;
    if (this.#waiters.length > MAX_KEPT_SLOTS) this.#resize(INITIAL_SLOTS);
  }

  #grow(needed: number): void {
    let length = this.#waiters.length;
    while (length < needed) length *= 2;
    this.#resize(length);
  }

  #resize(length: number): void {
    const waiters = new Array<PendingWaiter | null>(length).fill(null);
    const proposals = new Array<Uint8Array | null>(length).fill(null);
    const startsMs = new Float64Array(length);
    for (let offset = 0; offset < this.#span; offset++) {
      const slot = this.#slotAt(offset);
      waiters[offset] = this.#waiters[slot]!;
      proposals[offset] = this.#proposals[slot]!;
      startsMs[offset] = this.#startsMs[slot]!;
    }
    this.#waiters = waiters;
    this.#proposals = proposals;
    this.#startsMs = startsMs;
    this.#head = 0;
  }
}

function isSame(proposal: Uint8Array, data: Uint8Array): boolean {
  return proposal === data || (proposal.length === data.length && Buffer.compare(proposal, data) === 0);
}
