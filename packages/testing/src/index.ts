/**
 * The fake world for tests and simulation: a disk that loses what was not synced, a clock that moves only when
 * told. All of it is deterministic: what happens depends on the calls and on a seed alone.
 */
import { poisonMemory } from '@etcd/base';

export { damageLeaves } from './damage-leaves.ts';
export { type FuzzTarget, InputReader } from './fuzz-target.ts';
export { checkDatabasesLeft } from './left-databases.ts';
export { checkDisksLeft, checkFilesLeft, filesBelow, type LeftFiles } from './left-files.ts';
export type { ScriptArgument, ScriptResult, ScriptStep } from './script.ts';
export { parseScript, runScript, ScriptError } from './script.ts';
export { SimClock } from './sim-clock.ts';
export type { DiskOperation, SimDiskOptions } from './sim-disk.ts';
export { SimDisk, SimulatedCrash } from './sim-disk.ts';

// Whoever tests with this world wants to see it when memory is used again too early.
poisonMemory();

export { testWrongPrograms } from './wrong-programs.ts';
