/** Simulates worlds for a time, those first that promise to meet what none has met; what it keeps goes to a file, so that the next run goes on from there. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { SeededRandom } from '@etcd/base';
import type { Branches, KnownBlocks } from './branches.ts';
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
  /** Counts blocks of the members' code; null: only states count. */
  readonly branches?: Branches | null | undefined;
  readonly onResult: (result: SimulationResult, world: KeptWorld, gain: number) => void;
}

/** Returns what it has met. */
export async function explore(options: ExploreOptions): Promise<Explorer> {
  const { simulate, seed, minutes, worldMinutes, file, nowMs, branches, onResult } = options;
  const explorer = new Explorer(new SeededRandom(seed), worldMinutes, readKept(file));
  const untilMs = nowMs() + minutes * 60_000;
  do {
    const world = explorer.next();
    const result = await simulate({ ...world });
    onResult(result, world, explorer.add(world, result, branches?.take()));
  } while (nowMs() < untilMs);
  const { kept, states } = explorer;
  if (file !== null)
    writeFileSync(
      file,
      `${JSON.stringify({ kept, states: [...states].sort(), blocks: branches ?? {} }, null, 1)}\n`,
    );
  return explorer;
}

export interface KeptExploration {
  readonly kept: readonly Kept[];
  readonly states: readonly string[];
  readonly blocks: KnownBlocks;
}

export function readKept(file: string | null): KeptExploration {
  const nothing = { kept: [], states: [], blocks: {} };
  if (file === null || !existsSync(file)) return nothing;
  return { ...nothing, ...(JSON.parse(readFileSync(file, 'utf8')) as Partial<KeptExploration>) };
}
