/** Simulates worlds for a time, those first that promise to meet what none has met; what it keeps goes to a file, so that the next run goes on from there. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { SeededRandom } from '@etcd/base';
import { Explorer, type Kept, type KeptWorld } from './explorer.ts';
import type { SimulationOptions, SimulationResult } from './simulation.ts';

export interface ExploreOptions {
  readonly simulate: (options: SimulationOptions) => Promise<SimulationResult>;
  readonly seed: number;
  /** Elapsed, not simulated. */
  readonly minutes: number;
  /** Simulated, of each world. */
  readonly worldMinutes: number;
  /** null: nothing is kept. */
  readonly file: string | null;
  readonly nowMs: () => number;
  readonly onResult: (result: SimulationResult, world: KeptWorld, gain: number) => void;
}

/** Returns what it has met. */
export async function explore(options: ExploreOptions): Promise<Explorer> {
  const { simulate, seed, minutes, worldMinutes, file, nowMs, onResult } = options;
  const explorer = new Explorer(new SeededRandom(seed), worldMinutes, readKept(file));
  const untilMs = nowMs() + minutes * 60_000;
  do {
    const world = explorer.next();
    const result = await simulate({ ...world });
    onResult(result, world, explorer.add(world, result));
  } while (nowMs() < untilMs);
  const { kept, states } = explorer;
  if (file !== null)
    writeFileSync(file, `${JSON.stringify({ kept, states: [...states].sort() }, null, 1)}\n`);
  return explorer;
}

function readKept(file: string | null): {
  readonly kept: readonly Kept[];
  readonly states: readonly string[];
} {
  if (file === null || !existsSync(file)) return { kept: [], states: [] };
  return JSON.parse(readFileSync(file, 'utf8')) as { kept: Kept[]; states: string[] };
}
