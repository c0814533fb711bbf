/**
 * `npm run sim`: simulates clusters, each from its seed, and says what it found. Exits with 1 after a violation.
 *
 *   --seed N        the first seed (a seed is a number below 2^32)
 *   --count K       so many seeds, from the first on; 1 unless told
 *   --minutes M     simulated minutes of each; 5 unless told
 *   --members N     members of each cluster at first; drawn from the seed unless told
 *   --jobs J        so many processes; 1 unless told
 *   --plant B       puts a bug into all members: one of those in `plant.ts` or `source-plants.ts`
 *   --long          worlds in which hours pass: two and a half hours to a day of each unless told
 *   --world W       more of what a world is, as JSON: what a failing or shrunk world is told as
 *   --trace         prints everything that happens, with the members' logs
 *   --shrink        makes a world that fails as small as it can, and prints its events
 *   --explore M     for M minutes of elapsed time: worlds that meet new states are kept and changed
 *   --no-branches   what worlds run of the core's code does not count: an exploration is faster without, and blind for it
 *   --keep F        the file in which an exploration keeps them, for the next one to go on from
 *   --record        adds what was simulated to `docs/simulation-record.json`, and writes the page that is made of it
 *   --record-to F   adds it to the record in a file of its own instead
 *   --merge F       simulates nothing: adds such a file to the record, and writes its page
 */
import { type ChildProcess, fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Branches } from './branches.ts';
import { explore, readKept } from './explore.ts';
import { loadSimulation } from './load-simulation.ts';
import { pictureOf } from './picture.ts';
import type { Plant } from './plant.ts';
import { RecordFile } from './record-file.ts';
import { shrink, worldText } from './shrink.ts';
import type { SimulationOptions, SimulationResult } from './simulation.ts';
import { SOURCE_PLANTS } from './source-plants.ts';
import { resultLine, Summary, violationReport } from './summary.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    members: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    plant: { type: 'string' },
    world: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    explore: { type: 'string' },
    'no-branches': { type: 'boolean', default: false },
    keep: { type: 'string' },
    long: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    'record-to': { type: 'string' },
    merge: { type: 'string' },
  },
});

/** Of each world of an exploration: short ones meet more in the same time. */
const EXPLORED_MINUTES = 0.5;
const MAX_TRIES = 150;

/** What a simulation needs to know besides its seed, as it stands on the command line. */
function sharedOptions(): string[] {
  const named = (['minutes', 'members', 'plant', 'world'] as const).flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [`--${name}`, value];
  });
  return values.long ? [...named, '--long'] : named;
}

const countsBranches = values.explore !== undefined && !values['no-branches'];
const branches = countsBranches ? new Branches(readKept(values.keep ?? null).blocks) : null;
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

function optionsOf(seed: number): SimulationOptions {
  const told = values.world === undefined ? {} : (JSON.parse(values.world) as Partial<SimulationOptions>);
  return {
    seed,
    isLong: values.long ? true : undefined,
    ...told,
    ...(values.minutes === undefined ? {} : { minutes: Number(values.minutes) }),
    ...(values.members === undefined ? {} : { members: Number(values.members) }),
    plant: values.plant === undefined ? undefined : plantNamed(values.plant),
    print: values.trace ? say : undefined,
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const summary = new Summary();
const isRecorded = values.record || values['record-to'] !== undefined || values.merge !== undefined;
const record = isRecorded ? new RecordFile(values['record-to']) : null;

function onResult(result: SimulationResult, options: SimulationOptions): void {
  summary.add(result);
  record?.add(result, worldText(options));
  process.stdout.write(`${resultLine(result)}\n${violationReport(result, sharedOptions().join(' '))}`);
  const { violation, operations, seed } = result;
  if (violation === null) return;
  const path = join(tmpdir(), `sim-seed-${seed}.svg`);
  writeFileSync(path, pictureOf(operations, violation));
  say(`a picture of it: ${path}`);
}

async function runHere(seeds: Iterable<number>): Promise<void> {
  for (const seed of seeds) {
    const options = optionsOf(seed);
    const result = await simulate(options);
    onResult(result, options);
    if (values.shrink && result.violation !== null) await shrinkHere(options, result);
  }
}

async function shrinkHere(options: SimulationOptions, failed: SimulationResult): Promise<void> {
  const quiet = { ...options, print: undefined };
  const small = await shrink(simulate, quiet, failed, { maxTries: MAX_TRIES, onStep: say });
  const events: string[] = [];
  const { violation } = await simulate({ ...small.options, onEvent: (line) => events.push(line) });
  say(`the smallest of ${small.tries} worlds, event by event:`);
  for (const event of events) say(event);
  say(`${violation?.property}: ${violation?.details}`);
  const plant = values.plant === undefined ? '' : ` --plant ${values.plant}`;
  say(`again: npm run sim -- --seed ${options.seed}${plant} --world '${worldText(small.options)}'`);
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
    child.on('message', (message) => {
      const result = message as SimulationResult;
      onResult(result, optionsOf(result.seed));
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
    void simulate(optionsOf(seed)).then((result) => process.send!(result));
  });
}

function* seedsFrom(first: number, count: number): Generator<number> {
  for (let seed = first; seed < first + count; seed++) yield seed;
}

async function exploreHere(minutes: number): Promise<void> {
  const { states, kept } = await explore({
    simulate,
    seed: Number(values.seed),
    minutes,
    worldMinutes: values.minutes === undefined ? EXPLORED_MINUTES : Number(values.minutes),
    file: values.keep ?? null,
    nowMs: () => performance.now(),
    branches,
    onResult: (result, world, gain) => {
      onResult(result, world);
      if (gain > 0) say(`  ${gain} for what was new`);
      if (result.violation !== null) say(`as --world: ${worldText(world)}`);
    },
  });
  const code = branches === null ? '' : `; ${branches.covered} characters of the core have run`;
  say(`${states.size} states met; ${kept.length} worlds kept${code}`);
}

async function main(): Promise<void> {
  const count = Number(values.count);
  const jobs = Math.min(Number(values.jobs), count);
  const seeds = seedsFrom(Number(values.seed), count);
  const startMs = performance.now();
  if (values.merge !== undefined) return record!.merge(values.merge);
  if (values.explore !== undefined) await exploreHere(Number(values.explore));
  else if (jobs > 1) await runInProcesses(seeds, jobs);
  else await runHere(seeds);
  if (count > 1 || values.explore !== undefined) say(summary.text(performance.now() - startMs));
  process.exitCode = summary.violationCount > 0 ? 1 : 0;
}

if (process.send === undefined) await main();
else serveParent();
