/**
 * `npm run sim`: simulates clusters, each from its seed, and says what it found. Exits with 1 after a violation.
 *
 *   --seed N        the first seed (a seed is a number below 2^32)
 *   --count K       so many seeds, from the first on; 1 unless told
 *   --minutes M     simulated minutes of each; 5 unless told
 *   --members N     members of each cluster at first; drawn from the seed unless told
 *   --jobs J        so many processes; 1 unless told
 *   --plant B       puts a bug into all members: one of those in `plant.ts`
 *   --trace         prints everything that happens, with the members' logs
 */
import { type ChildProcess, fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { loadSimulation } from './load-simulation.ts';
import type { Plant } from './plant.ts';
import type { SimulationResult } from './simulation.ts';
import { SOURCE_PLANTS } from './source-plants.ts';
import { resultLine, Summary, violationReport } from './summary.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '5' },
    members: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    plant: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

/** What a simulation needs to know besides its seed, as it stands on the command line. */
function sharedOptions(): string[] {
  const options = ['--minutes', values.minutes];
  if (values.members !== undefined) options.push('--members', values.members);
  if (values.plant !== undefined) options.push('--plant', values.plant);
  return options;
}

const sourcePlant = Object.keys(SOURCE_PLANTS).find((name) => name === values.plant);
const { simulate, PLANTS, RARE_PLANTS } = await loadSimulation(sourcePlant);

/** Undefined for one that is in the sources already. */
function plantNamed(name: string): Plant | undefined {
  if (name === sourcePlant) return undefined;
  const all = { ...PLANTS, ...RARE_PLANTS };
  const plant = Object.entries(all).find(([known]) => known === name)?.[1];
  if (plant !== undefined) return plant;
  const names = [...Object.keys(all), ...Object.keys(SOURCE_PLANTS)];
  throw new Error(`no bug is named ${name}; there are ${names.join(', ')}`);
}

function simulateSeed(seed: number): Promise<SimulationResult> {
  return simulate({
    seed,
    minutes: Number(values.minutes),
    members: values.members === undefined ? undefined : Number(values.members),
    plant: values.plant === undefined ? undefined : plantNamed(values.plant),
    print: values.trace ? (text) => process.stdout.write(`${text}\n`) : undefined,
  });
}

const summary = new Summary();

function onResult(result: SimulationResult): void {
  summary.add(result);
  process.stdout.write(`${resultLine(result)}\n${violationReport(result, sharedOptions().join(' '))}`);
}

async function runHere(seeds: Iterable<number>): Promise<void> {
  for (const seed of seeds) onResult(await simulateSeed(seed));
}

/** Deals the seeds out to processes, a new one to whoever has finished. */
async function runInProcesses(seeds: Iterator<number>, jobs: number): Promise<void> {
  const deal = (child: ChildProcess): void => {
    const { value, done } = seeds.next();
    if (done === true) child.disconnect();
    else child.send(value);
  };
  const ends = Array.from({ length: jobs }, () => {
    const child = fork(import.meta.filename, sharedOptions());
    child.on('message', (result) => {
      onResult(result as SimulationResult);
      deal(child);
    });
    deal(child);
    return new Promise<void>((resolve, reject) => {
      child.on('exit', (code) =>
        code === 0 ? resolve() : reject(new Error(`a process ended with ${code}`)),
      );
    });
  });
  await Promise.all(ends);
}

/** A process that was given seeds by {@link runInProcesses}. */
function serveParent(): void {
  process.on('message', (seed: number) => {
    void simulateSeed(seed).then((result) => process.send!(result));
  });
}

function* seedsFrom(first: number, count: number): Generator<number> {
  for (let seed = first; seed < first + count; seed++) yield seed;
}

async function main(): Promise<void> {
  const count = Number(values.count);
  const jobs = Math.min(Number(values.jobs), count);
  const seeds = seedsFrom(Number(values.seed), count);
  const startMs = performance.now();
  if (jobs > 1) await runInProcesses(seeds, jobs);
  else await runHere(seeds);
  if (count > 1) process.stdout.write(`${summary.text(performance.now() - startMs)}\n`);
  process.exitCode = summary.violationCount > 0 ? 1 : 0;
}

if (process.send === undefined) await main();
else serveParent();
