/**
 * Chooses the worlds that are simulated next: those that have met new states are kept and changed a little, and now and then there is one that is new in
 * everything. A state is a pair of a fault and what it met, or of two faults that followed each other; blocks of the core's code that had never run count as well.
 */
import type { SeededRandom } from '@etcd/base';
import type { Limits } from './limits.ts';
import { drawLimits } from './limits.ts';
import type { SimulationOptions, SimulationResult } from './simulation.ts';
import { ORDINARY, type Traits } from './traits.ts';

/** What a world is made of, as it is kept. */
export interface KeptWorld {
  readonly seed: number;
  readonly minutes: number;
  readonly members?: number | undefined;
  readonly traits?: Partial<Traits> | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly faults?: readonly string[] | undefined;
}

export interface Kept {
  readonly world: KeptWorld;
  /** How many states it was the first to meet, and what the blocks that it was the first to run count for. */
  readonly gain: number;
}

/** So many are kept; those that brought least go first. */
const MAX_KEPT = 500;
const FRESH_SHARE = 0.25;
/** A block of the core that has never run is rarer than a pair of a fault and a phase. */
const BLOCK_WEIGHT = 3;
const MAX_FAULT_KINDS = 5;
const TRAITS = Object.keys(ORDINARY) as (keyof Traits)[];

export class Explorer {
  readonly #random: SeededRandom;
  readonly #minutes: number;
  readonly #states: Set<string>;
  readonly #faultKinds = new Set<string>();
  #kept: Kept[];

  /** @param known what an earlier exploration has kept. */
  constructor(
    random: SeededRandom,
    minutes: number,
    known: { readonly kept: readonly Kept[]; readonly states: readonly string[] },
  ) {
    this.#random = random;
    this.#minutes = minutes;
    this.#kept = [...known.kept];
    this.#states = new Set(known.states);
  }

  get kept(): readonly Kept[] {
    return this.#kept;
  }

  get states(): ReadonlySet<string> {
    return this.#states;
  }

  next(): KeptWorld {
    const random = this.#random;
    const fresh = { seed: random.uint32(), minutes: this.#minutes };
    if (this.#kept.length === 0 || random.chance(FRESH_SHARE)) return fresh;
    return this.#mutate(this.#pick());
  }

  /**
   * Returns how many states nobody had met before, and blocks.
   *
   * @param blockCount blocks of code that nobody had run before.
   */
  add(
    world: KeptWorld,
    { states, faults }: Pick<SimulationResult, 'states' | 'faults'>,
    blockCount = 0,
  ): number {
    for (const kind of Object.keys(faults)) this.#faultKinds.add(kind);
    const stateCount = states.filter((state) => !this.#states.has(state)).length;
    const gain = stateCount + BLOCK_WEIGHT * blockCount;
    for (const state of states) this.#states.add(state);
    if (gain === 0) return 0;
    this.#kept.push({ world, gain });
    if (this.#kept.length > MAX_KEPT) {
      const least = this.#kept.reduce((worst, kept) => (kept.gain < worst.gain ? kept : worst));
      this.#kept = this.#kept.filter((kept) => kept !== least);
    }
    return gain;
  }

  /** One that has met much more often than one that has not. */
  #pick(): KeptWorld {
    let draw = this.#random.below(this.#kept.reduce((sum, { gain }) => sum + gain, 0));
    for (const { world, gain } of this.#kept) {
      draw -= gain;
      if (draw < 0) return world;
    }
    return this.#kept[0]!.world;
  }

  #mutate(world: KeptWorld): KeptWorld {
    const random = this.#random;
    switch (random.below(5)) {
      case 0: {
        const trait = random.pick(TRAITS);
        return { ...world, traits: { ...world.traits, [trait]: world.traits?.[trait] !== true } };
      }
      case 1:
        return { ...world, limits: drawLimits(random) };
      case 2:
        return { ...world, faults: this.#drawFaults() };
      case 3:
        return { ...world, members: random.pick([1, 3, 5]) };
      default:
        return { ...world, seed: random.uint32() };
    }
  }

  #drawFaults(): readonly string[] | undefined {
    const known = [...this.#faultKinds].sort();
    if (known.length === 0 || this.#random.chance(0.2)) return undefined;
    return Array.from({ length: 1 + this.#random.below(MAX_FAULT_KINDS) }, () => this.#random.pick(known));
  }
}

export function optionsOf(world: KeptWorld): SimulationOptions {
  return { ...world };
}
