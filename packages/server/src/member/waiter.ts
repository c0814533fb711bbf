/**
 * Requests that have been proposed and wait to be applied. Each is found again by the lower half of its id, which
 * travels through the log with it.
 */
import type { InternalError } from '@etcd/api';
import { assert } from '@etcd/base';

/**
 * Whoever waits for a request to be applied. Exactly one of the two methods is called, once; both run inside the raft
 * loop, so they only answer, and start nothing that changes state.
 */
export interface Waiter {
  /** The decoded request if the proposer has it at hand: spares the applier another decoding of the same bytes. */
  readonly request: object | null;
  /** What applying gave: of the type that belongs to the kind of request. */
  onApplied(result: object): void;
  /** The request was refused when it was applied, or will not be waited for any longer. */
  onFailed(error: InternalError): void;
}

interface Pending {
  readonly waiter: Waiter;
  readonly startMs: number;
}

export class PendingRequests {
  /** In order of their start: a Map keeps the order of insertion. */
  readonly #pending = new Map<number, Pending>();

  get count(): number {
    return this.#pending.size;
  }

  add(idSuffix: number, waiter: Waiter, nowMs: number): void {
    assert(!this.#pending.has(idSuffix), 'requests: an id was given twice');
    this.#pending.set(idSuffix, { waiter, startMs: nowMs });
  }

  /** Who waits for the request, without an end to the waiting; null when nobody does. */
  peek(idSuffix: number): Waiter | null {
    return this.#pending.get(idSuffix)?.waiter ?? null;
  }

  /** Who waits for the request; it waits no longer. */
  take(idSuffix: number): Waiter | null {
    const found = this.#pending.get(idSuffix);
    if (found === undefined) return null;
    this.#pending.delete(idSuffix);
    return found.waiter;
  }

  fail(idSuffix: number, error: InternalError): void {
    this.take(idSuffix)?.onFailed(error);
  }

  /** Ends the waiting of all that began before `beforeMs`; the error may depend on when. Returns how many. */
  expire(beforeMs: number, error: (startMs: number) => InternalError): number {
    let count = 0;
    for (const [idSuffix, { waiter, startMs }] of this.#pending) {
      if (startMs >= beforeMs) break;
      this.#pending.delete(idSuffix);
      waiter.onFailed(error(startMs));
      count++;
    }
    return count;
  }

  failAll(error: InternalError): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    for (const { waiter } of all) waiter.onFailed(error);
  }
}
