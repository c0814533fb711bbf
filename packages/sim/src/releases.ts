/**
 * How far members raise the cluster: each keeps to some release, at first mostly to an early one, and may go on to the next at each of its starts, as when programs
 * are exchanged one by one. Databases follow from release to release, and back after a downgrade.
 */
import type { SeededRandom } from '@etcd/base';

const RELEASES = ['3.5', '3.6', '3.7'] as const;
const FIRST = [0, 0, 0, 1, 2] as const;
const RAISED_SHARE = 0.3;

export class Releases {
  readonly #random: SeededRandom;
  /** By number of the machine. */
  readonly #at = new Map<number, number>();

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** Of the next start of a machine. */
  flags(number: number): string[] {
    const former = this.#at.get(number);
    const isRaised = this.#random.chance(RAISED_SHARE);
    const at =
      former === undefined
        ? this.#random.pick(FIRST)
        : Math.min(former + (isRaised ? 1 : 0), RELEASES.length - 1);
    this.#at.set(number, at);
    return [`--max-cluster-version=${RELEASES[at]}`];
  }
}
