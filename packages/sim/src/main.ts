/**
 * `npm run sim`: simulates clusters, each from its seed, and says what it found.
 *
 *   --seed N        the first seed (a seed is a number below 2^32)
 *   --count K       so many seeds, from the first on; 1 unless told
 *   --minutes M     simulated minutes of each; 5 unless told
 *   --members N     members of each cluster at first; drawn from the seed unless told
 *   --jobs J        so many processes; 1 unless told
 *   --plant B       puts a bug into all members: one of `PLANTS` in `plant.ts`
 *   --trace         prints everything that happens, with the members' logs
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { PLANTS, type Plant } from './plant.ts';
import { type SimulationResult, simulate } from './simulation.ts';

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
const first = Number(values.seed);
const count = Number(values.count);
const jobs = Math.min(Number(values.jobs), count);

function line(result: SimulationResult): string {
  const { seed, members, simulatedMs, traceHash, violation } = result;
  const { okCount, failedCount, faultCount, revision, entryCount, leaderCount, eventCount } = result;
  const facts = [
    `members=${members}`,
    `simulated=${(simulatedMs / 60_000).toFixed(1)}min`,
    `answers=${okCount}`,
    `errors=${failedCount}`,
    `faults=${faultCount}`,
    `revision=${revision}`,
    `entries=${entryCount}`,
    `leaders=${leaderCount}`,
    `events=${eventCount}`,
    `trace=${traceHash}`,
  ];
  const verdict = violation === null ? 'ok  ' : 'FAIL';
  return `${verdict} seed=${seed} ${facts.join(' ')}`;
}

function report({ seed, violation, tail }: SimulationResult): string {
  const { property, details, atMs } = violation!;
  return [
    ...tail,
    '',
    `seed ${seed} violates ${property} after ${(atMs / 1000).toFixed(3)} simulated seconds:`,
    details,
    `again: npm run sim -- --seed ${seed} --minutes ${values.minutes}${values.members === undefined ? '' : ` --members ${values.members}`} --trace`,
    '',
  ].join('\n');
}

function plantNamed(name: string): Plant {
  const plant = Object.entries(PLANTS).find(([known]) => known === name)?.[1];
  if (plant !== undefined) return plant;
  throw new Error(`no bug is named ${name}; there are ${Object.keys(PLANTS).join(', ')}`);
}

async function runHere(): Promise<number> {
  let failures = 0;
  for (let seed = first; seed < first + count; seed++) {
    const result = await simulate({
      seed,
      minutes: Number(values.minutes),
      members: values.members === undefined ? undefined : Number(values.members),
      plant: values.plant === undefined ? undefined : plantNamed(values.plant),
      print: values.trace ? (text) => process.stdout.write(`${text}\n`) : undefined,
    });
    process.stdout.write(`${line(result)}\n`);
    if (result.violation === null) continue;
    failures++;
    process.stdout.write(report(result));
  }
  return failures;
}

/** The seeds are dealt out in runs of equal length; each process prints its own lines. */
async function runInProcesses(): Promise<number> {
  const share = Math.ceil(count / jobs);
  const codes: Promise<number>[] = [];
  for (let from = 0; from < count; from += share) {
    const own = ['--seed', String(first + from), '--count', String(Math.min(share, count - from))];
    const rest = ['--minutes', values.minutes];
    if (values.members !== undefined) rest.push('--members', values.members);
    const child = spawn(process.execPath, [import.meta.filename, ...own, ...rest], { stdio: 'inherit' });
    codes.push(new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1))));
  }
  return (await Promise.all(codes)).filter((code) => code !== 0).length;
}

const failures = jobs > 1 ? await runInProcesses() : await runHere();
process.exitCode = failures > 0 ? 1 : 0;
