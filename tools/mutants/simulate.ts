/** Whether simulated clusters whose members have a mutant show it. */
import { spawnSync } from 'node:child_process';
import type { Mutant } from './find-mutants.ts';
import { MUTANT_VARIABLE, plantedOf } from './plant.ts';

const PLANT = new URL('./plant.ts', import.meta.url).href;
const SIMULATED_MINUTES = 2;
const TIMEOUT_MS = 600_000;

/** @param seeds how many clusters; 0: none, and it is not found. */
export function findsBySimulation(mutant: Mutant, seeds: number, root: string): boolean {
  if (seeds === 0) return false;
  const args = [
    'packages/sim/src/main.ts',
    '--seed',
    '1',
    '--count',
    `${seeds}`,
    '--minutes',
    `${SIMULATED_MINUTES}`,
  ];
  const env = {
    ...process.env,
    NODE_OPTIONS: `--import=${PLANT}`,
    [MUTANT_VARIABLE]: JSON.stringify(plantedOf(mutant, root)),
  };
  return (
    spawnSync(process.execPath, args, { cwd: root, env, timeout: TIMEOUT_MS, stdio: 'ignore' }).status !== 0
  );
}
