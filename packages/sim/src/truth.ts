/** What has happened, told to the model; and told again, as far as a copy of the cluster has it, when the cluster goes on from that. */
import type { Entry } from '@etcd/api/raftpb';
import type { Model } from './model.ts';

/** An entry, or the revision that a restore has bumped the store to. */
type Step = Entry | number;

export class Truth {
  readonly #model: Model;
  /** What was before the log of the cluster that there is now. */
  #inherited: readonly Step[] = [];
  #entries: Entry[] = [];
  /** What is told has been heard before. */
  isRetelling = false;

  constructor(model: Model) {
    this.#model = model;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    this.#model.apply(entry);
  }

  /** What was done behind entry `index` of the cluster that there was has never been; then the store jumps, unless `jumpTo` is null. */
  goBack(index: number, jumpTo: number | null): void {
    const left = this.#entries.filter((entry) => entry.index <= index);
    this.#inherited = [...this.#inherited, ...left, ...(jumpTo === null ? [] : [jumpTo])];
    this.#entries = [];
    this.#model.startOver();
    this.isRetelling = true;
    for (const step of this.#inherited) {
      if (typeof step === 'number') this.#model.jump(step);
      else this.#model.apply(step);
    }
    this.isRetelling = false;
  }
}
