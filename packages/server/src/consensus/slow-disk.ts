/**
 * Whether the disk of a leader slows down everybody, and who would do better. One slow save tells nothing: any disk stalls now and then.
 * Nor does it help to hand over to a member whose disk is no faster; that one has shown what it can do by acknowledging the same
 * entries before this member had them.
 */
import type { MemberId } from '@etcd/api';

/** So many saves in a row, each slow. */
const SLOW_SAVES = 3;

export class SlowDisk {
  readonly #slowMs: number;
  /** Of the last slow saves, without a fast one since: who was faster. */
  #faster: (readonly MemberId[])[] = [];

  /** @param slowMs a save that waits for so long for the disk is slow. */
  constructor(slowMs: number) {
    this.#slowMs = slowMs;
  }

  /**
   * A save has waited for the disk for so long; `faster` says who had acknowledged its entries by then. Returns those who should lead
   * instead: none as long as there is no reason.
   */
  onSaved(waitedMs: number, faster: () => readonly MemberId[]): readonly MemberId[] {
    if (waitedMs < this.#slowMs) {
      this.reset();
      return [];
    }
    this.#faster = [faster(), ...this.#faster].slice(0, SLOW_SAVES);
    if (this.#faster.length < SLOW_SAVES) return [];
    return this.#faster[0]!.filter((id) => this.#faster.every((ids) => ids.includes(id)));
  }

  reset(): void {
    this.#faster = [];
  }
}
