/** The operator over a {@link ModelCluster}: its calls fail or come late, what it sees may be old, and it ends between any two actions. */
import type { SeededRandom } from '@etcd/base';
import type { Action, Decision } from '../cluster/action.ts';
import { decide } from '../cluster/decide.ts';
import type { Observed } from '../cluster/observed.ts';
import { type ModelCluster, Refused, STEP_MS } from './model-cluster.ts';

export interface OperatorFaults {
  /** That a call fails without an effect. */
  readonly fails: number;
  /** That a call fails although it has its effect, at once or a few steps later. */
  readonly isLost: number;
  /** That the operator ends after an action, and another begins. */
  readonly ends: number;
  /** That what comes from the API server is some steps old. */
  readonly isStale: number;
}

export const NO_FAULTS: OperatorFaults = { fails: 0, isLost: 0, ends: 0, isStale: 0 };

/** Whoever can't say whether his last action took place acts only after this: no call is under way for longer. */
const UNSURE_STEPS = 8;
const MAX_LATE_STEPS = 6;

export class ModelOperator {
  faults: OperatorFaults;
  last: Decision | null = null;
  actions = 0;
  readonly #world: ModelCluster;
  readonly #random: SeededRandom;
  #past: Observed[] = [];
  #late: { readonly atMs: number; readonly action: Action }[] = [];
  #unsureUntilMs = 0;

  constructor(world: ModelCluster, random: SeededRandom, faults: OperatorFaults) {
    this.#world = world;
    this.#random = random;
    this.faults = faults;
  }

  step(): void {
    const world = this.#world;
    world.step();
    this.#past = [...this.#past.slice(1 - MAX_LATE_STEPS), world.observe()];
    this.#arrive();
    if (world.isGone || world.nowMs < this.#unsureUntilMs) return;
    this.last = decide(this.#look(), world.template);
    if (this.last.action === null) return;
    // What is about to be done rests on what is so now, not on what a cache says.
    this.last = decide(this.#past.at(-1)!, world.template);
    if (this.last.action === null) return;
    this.actions++;
    this.#send(this.last.action);
    if (this.#random.chance(this.faults.ends)) this.#unsureUntilMs = world.nowMs + UNSURE_STEPS * STEP_MS;
  }

  /** What the API server's cache says may be old; members are asked themselves. */
  #look(): Observed {
    const now = this.#past.at(-1)!;
    if (!this.#random.chance(this.faults.isStale)) return now;
    return { ...this.#random.pick(this.#past), nowMs: now.nowMs, etcd: now.etcd };
  }

  #send(action: Action): void {
    const { fails, isLost } = this.faults;
    if (this.#random.chance(fails)) return;
    if (!this.#random.chance(isLost)) return this.#perform(action);
    const { nowMs } = this.#world;
    this.#unsureUntilMs = nowMs + UNSURE_STEPS * STEP_MS;
    this.#late.push({ atMs: nowMs + this.#random.below(MAX_LATE_STEPS) * STEP_MS, action });
    this.#arrive();
  }

  #arrive(): void {
    const due = this.#late.filter(({ atMs }) => atMs <= this.#world.nowMs);
    this.#late = this.#late.filter(({ atMs }) => atMs > this.#world.nowMs);
    for (const { action } of due) this.#perform(action);
  }

  #perform(action: Action): void {
    try {
      this.#world.perform(action);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
}
