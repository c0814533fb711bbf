/**
 * Makes a world that fails smaller: leaves out what it has (traits, faults, and those who work in it) as long as the same property is violated. What is
 * left is told one line for each event.
 */
import type { SimulationOptions, SimulationResult } from './simulation.ts';
import type { Traits } from './traits.ts';

type Simulate = (options: SimulationOptions) => Promise<SimulationResult>;

export interface Shrunk {
  readonly options: SimulationOptions;
  readonly result: SimulationResult;
  /** Worlds that were simulated. */
  readonly tries: number;
}

export interface ShrinkLimits {
  readonly maxTries: number;
  /** Hears of every world that is smaller and fails as well. */
  readonly onStep?: ((text: string) => void) | undefined;
}

/** Something that a world has, and might do without. */
type Part =
  | { readonly kind: 'trait'; readonly name: keyof Traits }
  | { readonly kind: 'fault'; readonly number: number }
  | { readonly kind: 'worker'; readonly name: string };

/** How much longer than the first a world may take to fail. */
const PATIENCE = 1.5;

/** @param failed what {@link Simulate} said of `options`: a violation. */
export async function shrink(
  simulate: Simulate,
  options: SimulationOptions,
  failed: SimulationResult,
  { maxTries, onStep = () => {} }: ShrinkLimits,
): Promise<Shrunk> {
  const { violation } = failed;
  if (violation === null) throw new Error('a world that does not fail cannot be made smaller');
  let best = { options, result: failed };
  let tries = 0;
  for (const kind of ['trait', 'worker', 'fault'] as const) {
    const base = best.options;
    const parts = partsOf(best.result, base).filter((part) => part.kind === kind);
    await minimize(parts, async (kept) => {
      if (tries >= maxTries) return false;
      tries++;
      const removed = parts.filter((part) => !kept.includes(part));
      const smaller = { ...without(base, removed), stopAtMs: violation.atMs * PATIENCE };
      const result = await simulate(smaller);
      if (result.violation?.property !== violation.property) return false;
      best = { options: smaller, result };
      onStep(`${kept.length} of ${parts.length} ${kind}s are enough`);
      return true;
    });
  }
  return { ...best, tries };
}

/** The smallest part of `items` that was found for which `fails` holds; `fails` is never asked for all of them. */
export async function minimize<T>(
  items: readonly T[],
  fails: (kept: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let kept = items;
  for (let size = kept.length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (await fails(rest)) kept = rest;
      else at += size;
    }
  }
  return kept;
}

function partsOf(result: SimulationResult, { withoutFaults = [], idle = [] }: SimulationOptions): Part[] {
  const traits = Object.entries(result.traits) as [keyof Traits, boolean][];
  const numbers = Array.from({ length: result.faultCount }, (_, number) => number);
  return [
    ...traits.flatMap(([name, holds]): Part[] => (holds ? [{ kind: 'trait', name }] : [])),
    ...result.workers.filter((name) => !idle.includes(name)).map((name): Part => ({ kind: 'worker', name })),
    ...numbers
      .filter((number) => !withoutFaults.includes(number))
      .map((number): Part => ({ kind: 'fault', number })),
  ];
}

function without(options: SimulationOptions, removed: readonly Part[]): SimulationOptions {
  const traits: Partial<Record<keyof Traits, boolean>> = { ...options.traits };
  const withoutFaults = [...(options.withoutFaults ?? [])];
  const idle = [...(options.idle ?? [])];
  for (const part of removed) {
    if (part.kind === 'trait') traits[part.name] = false;
    else if (part.kind === 'fault') withoutFaults.push(part.number);
    else idle.push(part.name);
  }
  return { ...options, traits, withoutFaults, idle };
}

/** A world as it stands on the command line; what only a process of its own has is left out. */
export function worldText({ print, onEvent, plant, ...options }: SimulationOptions): string {
  return JSON.stringify(options);
}
