/**
 * Writes into README.md what was tried to break the program, and what that found: `node tools/proof.ts`, from the records of the simulation, of real
 * processes under faults, of fuzzing, and of the bugs that were found.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const ROOT = new URL('..', import.meta.url).pathname;
export const README = `${ROOT}README.md`;
const BEGIN = '<!-- proof: begin (node tools/proof.ts) -->\n';
const END = '<!-- proof: end -->';
const DAY_MS = 86_400_000;
/** A row of the track record: what was wrong, who found it, what finds it now. */
const BUG = /^\| (?!what was wrong|-)(.+) \| (.+) \| (.+) \|$/gm;
/** What stands in the last column in backquotes, or as a seed. */
const NAMED = /`([^`]+)`/g;

type Counts = Readonly<Record<string, number>>;

export interface Bug {
  readonly wrong: string;
  readonly foundBy: string;
  readonly found: string;
}

function read<T>(path: string): T {
  return JSON.parse(readFileSync(`${ROOT}${path}`, 'utf8')) as T;
}

/** All bugs of docs/track-record.md. */
export function readBugs(): Bug[] {
  const page = readFileSync(`${ROOT}docs/track-record.md`, 'utf8');
  return [...page.matchAll(BUG)].map(([, wrong, foundBy, found]) => ({
    wrong: wrong!,
    foundBy: foundBy!,
    found: found!,
  }));
}

/** Names of tests, folders and planted bugs by which a bug is found now. */
export function namesOf({ found }: Bug): string[] {
  return [...found.matchAll(NAMED)].map(([, name]) => name!);
}

function sum(counts: readonly Counts[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const each of counts)
    for (const [name, count] of Object.entries(each)) all.set(name, (all.get(name) ?? 0) + count);
  return new Map([...all].sort(([, a], [, b]) => b - a));
}

function total(counts: Iterable<number>): string {
  let all = 0;
  for (const count of counts) all += count;
  return all.toLocaleString('en');
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${name} ${count.toLocaleString('en')}`).join(', ');
}

interface Simulated {
  readonly seeds: number;
  readonly simulatedMs: number;
  readonly answers: number;
  readonly watchEvents: number;
  readonly entries: number;
  readonly faults: Counts;
}

/** Those of the rows that the simulation's record makes; it is added to by itself. */
export function simulationRows(): string[] {
  const { short, long } = read<{ short: Simulated; long: Simulated }>('docs/simulation-record.json');
  const all = [short, long];
  const of = (field: Exclude<keyof Simulated, 'faults'>): number =>
    all.reduce((count, record) => count + record[field], 0);
  const faults = sum(all.map((record) => record.faults));
  const { seeds } = read<{ seeds: { seed: number; found: string }[] }>('packages/sim/src/seeds.json');
  const days = (of('simulatedMs') / DAY_MS).toFixed(2);
  return [
    `| simulated time ([record](docs/simulation-record.md)) | ${days} days in ${total([of('seeds')])} clusters |`,
    `| checked there | ${total([of('answers')])} answers, ${total([of('watchEvents')])} events, ${total([of('entries')])} entries |`,
    `| faults injected there | ${total(faults.values())}: ${listed(faults)} |`,
    `| seeds that failed once, and are tests since | ${seeds.map(({ seed, found }) => `${seed} (${found})`).join('; ')} |`,
  ];
}

interface Round {
  readonly seconds: number;
  readonly events: number;
  readonly entries: number;
  readonly operations: Counts;
  readonly faults: Counts;
}

function robustnessRows(): string[] {
  const rounds = read<{ rounds: Round[] }[]>('tests/robustness/results.json').flatMap((run) => run.rounds);
  const faults = sum(rounds.map((round) => round.faults));
  const answers = total(sum(rounds.map((round) => round.operations)).values());
  const minutes = Math.round(rounds.reduce((seconds, round) => seconds + round.seconds, 0) / 60);
  const events = total(rounds.map((round) => round.events));
  const entries = total(rounds.map((round) => round.entries));
  return [
    `| real processes, alone and with Go's ([record](docs/robustness.md)) | ${rounds.length} rounds, ${minutes} minutes |`,
    `| checked there | ${answers} answers, ${events} events, ${entries} entries |`,
    `| faults injected there | ${total(faults.values())}: ${listed(faults)} |`,
  ];
}

function fuzzingRow(): string {
  const runs = read<{ target: string; runs: number; seconds: number }[]>('tools/fuzz/results.json');
  const targets = new Set(runs.map(({ target }) => target)).size;
  const minutes = Math.round(runs.reduce((seconds, run) => seconds + run.seconds, 0) / 60);
  return `| fuzzing ([record](docs/fuzzing.md)) | ${total(runs.map((run) => run.runs))} inputs to ${targets} targets in ${minutes} minutes |`;
}

function bugsRow(): string {
  const bugs = readBugs();
  const kinds = ['simulation', 'reading', 'real processes', 'fuzzing', 'beside etcd'];
  const by = sum(
    bugs.map(({ foundBy }) => ({
      [kinds.find((kind) => foundBy.includes(kind)) ?? 'others, or not recorded']: 1,
    })),
  );
  return `| bugs of agreement, durability, answers or survival, found and mended ([each, with what finds it now](docs/track-record.md)) | ${bugs.length}: ${listed(by)} |`;
}

/** The rows that change when a record in this tree does, but for the simulation's. */
export function otherRows(): string[] {
  return [...robustnessRows(), fuzzingRow(), bugsRow()];
}

export function proof(): string {
  return ['| what | so far |', '| --- | --- |', ...simulationRows(), ...otherRows(), ''].join('\n');
}

export function withProof(readme: string): string {
  const begin = readme.indexOf(BEGIN) + BEGIN.length;
  return `${readme.slice(0, begin)}${proof()}${readme.slice(readme.indexOf(END))}`;
}

if (import.meta.main) writeFileSync(README, withProof(readFileSync(README, 'utf8')));
