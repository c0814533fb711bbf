/**
 * When the last batches of entries came to the log, were durable here, and were handed over to be applied: so that of a request that took
 * long it can be said where it was. Two numbers per batch; whoever looks something up pays for the search.
 */
import { assert } from '@etcd/base';

/** On the clock of `Clock.now`. */
export interface EntryMoments {
  /** The entry came to the log. */
  readonly savingMs: number;
  /** It was durable here. */
  readonly savedMs: number;
  /** It was known to be committed, and handed over to be applied. */
  readonly committedMs: number;
}

/** So many batches are remembered: some seconds under full load. */
const MAX_BATCHES = 4096;

export class EntryPhases {
  readonly #saved = new Moments(2);
  readonly #committed = new Moments(1);

  /** A batch that ends with `lastIndex` is durable. */
  saved(lastIndex: number, savingMs: number, savedMs: number): void {
    this.#saved.add(lastIndex, savingMs, savedMs);
  }

  /** What ends with `lastIndex` is handed over. */
  committed(lastIndex: number, nowMs: number): void {
    this.#committed.add(lastIndex, nowMs, 0);
  }

  /** Of the entry at `index`; null when it has not come so far, or is forgotten. */
  of(index: number): EntryMoments | null {
    const saved = this.#saved.find(index);
    const committed = this.#committed.find(index);
    if (saved === null || committed === null) return null;
    return { savingMs: saved[0]!, savedMs: saved[1]!, committedMs: committed[0]! };
  }
}

/** Moments by the last index of a batch, the latest {@link MAX_BATCHES} of them. */
class Moments {
  readonly #width: number;
  readonly #indices = new Float64Array(MAX_BATCHES);
  readonly #moments: Float64Array;
  #count = 0;

  constructor(width: number) {
    this.#width = width;
    this.#moments = new Float64Array(MAX_BATCHES * width);
  }

  add(lastIndex: number, first: number, second: number): void {
    const slot = this.#count++ % MAX_BATCHES;
    this.#indices[slot] = lastIndex;
    this.#moments[slot * this.#width] = first;
    if (this.#width > 1) this.#moments[slot * this.#width + 1] = second;
  }

  /** Of the batch that `index` was in: the first of the latest ones that reaches so far. A new leader may have replaced earlier ones. */
  find(index: number): Float64Array | null {
    let found = -1;
    const oldest = Math.max(0, this.#count - MAX_BATCHES);
    for (let at = this.#count - 1; at >= oldest; at--) {
      const slot = at % MAX_BATCHES;
      if (this.#indices[slot]! < index) return found < 0 ? null : this.#at(found);
      found = slot;
    }
    // What lies before may be forgotten: then nobody knows which batch it was.
    return oldest > 0 || found < 0 ? null : this.#at(found);
  }

  #at(slot: number): Float64Array {
    assert(slot >= 0 && slot < MAX_BATCHES, 'entry phases: no such slot');
    return this.#moments.subarray(slot * this.#width, (slot + 1) * this.#width);
  }
}
