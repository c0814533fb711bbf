/** `node tools/mutants/record.ts` writes docs/mutants.md from the figures that were kept: the last of each room, seed and kind. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type Equivalent, readEquivalents } from './equivalents.ts';
import { keyOf, type MutantName } from './find-mutants.ts';
import { ROOM_NAMES } from './rooms.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const RESULTS = `${ROOT}tools/mutants/results`;
export const PAGE = `${ROOT}docs/mutants.md`;

export interface Survivor extends MutantName {
  readonly line: number;
}

export interface RoomResult {
  /** Where a mutant could be. */
  readonly places: number;
  readonly tried: number;
  /** Found by simulation, of those that the tests did not find. */
  readonly simulated: number;
  /** Those that make the same program among them. */
  readonly survivors: readonly Survivor[];
}

export interface RecordedSample extends RoomResult {
  readonly date: string;
  readonly commit: string;
  readonly seed: number;
  /** Nobody had seen these mutants when the tests were written. */
  readonly isFresh: boolean;
}

const HEAD = `# Mutants

Written by \`node tools/mutants/record.ts\` from \`tools/mutants/results/\` and \`tools/mutants/equivalents/\`.

\`npm run mutants\` changes the core in small ways, one at a time and in memory: conditions are turned round, limits and numbers moved by one, statements
left out, operands swapped. Against each run those tests of the room that run through its place, until one fails, then those of the rooms that stand on it; what
does not end is found as well. With \`--simulate\`, clusters are simulated of members that have those which the tests let pass. StrykerJS, the package that others
use, has no runner for Node's own tests, nor for sources that are TypeScript when they run.

\`\`\`
npm run mutants -- --room wal,lease --count 40 --seed 1 --keep
npm run mutants -- --room wal --seed 1 --keep --again
npm run mutants -- --room watch --seed 7 --simulate 5 --keep --fresh
\`\`\`

A survivor is a test that is missing, or makes the same program: no answer, file, message, bound or error differs. Those of the second kind are listed, each with
its reason, and do not count. Samples are of two kinds: of those that were *worked on*, tests were written for what survived; a *fresh* one is of mutants that
nobody had seen when the tests were written, and says what share of all is found. Its figures stay as they were measured; where tests were written for what it
let pass, it is a sample that was worked on as well, with the same seed. raft has mutants of another kind as well, written by hand, each found by
its simulation (\`packages/raft/src/mutants.test.ts\`), and the planted bugs of [corpus.md](corpus.md) are mutants of the whole member.

In the samples of seed 5, what the tests let pass was simulated as well, two minutes each of three clusters (raft, mvcc, watch,
consensus) or of two; in all others only tests were run, so that their share of both is that of the tests.

`;

export function readSamples(room: string): RecordedSample[] {
  const path = `${RESULTS}/${room}.json`;
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as RecordedSample[]) : [];
}

/** What is known of a seed by now: once a fresh sample has been worked on, its own figures stay as they were. */
export function latestSample(samples: readonly RecordedSample[], seed: number): RecordedSample | undefined {
  const known = samples.filter((sample) => sample.seed === seed);
  return known.find(({ isFresh }) => !isFresh) ?? known[0];
}

export function addSample(room: string, result: RoomResult, seed: number, isFresh: boolean): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: ROOT,
    encoding: 'utf8',
  }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const others = readSamples(room).filter((known) => known.seed !== seed || known.isFresh !== isFresh);
  mkdirSync(RESULTS, { recursive: true });
  const samples = [...others, { date, commit, seed, isFresh, ...result }];
  writeFileSync(`${RESULTS}/${room}.json`, `${JSON.stringify(samples, null, 2)}\n`);
}

interface Counts {
  readonly tried: number;
  readonly found: number;
  /** Of those found, by simulation alone. */
  readonly simulated: number;
  readonly equivalent: number;
}

export function countsOf(
  { tried, simulated, survivors }: RoomResult,
  equivalents: ReadonlySet<string>,
): Counts {
  const equivalent = survivors.filter((survivor) => equivalents.has(keyOf(survivor))).length;
  return { tried, found: tried - survivors.length, simulated, equivalent };
}

export function shareOf({ tried, found, equivalent }: Omit<Counts, 'simulated'>): string {
  return tried === equivalent ? '' : `${Math.round((100 * found) / (tried - equivalent))} %`;
}

function shareOfTests(counts: Counts): string {
  return shareOf({ ...counts, found: counts.found - counts.simulated });
}

/** All that is on record about a room. */
export interface RoomRecord {
  readonly room: string;
  readonly samples: readonly RecordedSample[];
  readonly equivalents: readonly Equivalent[];
}

export function readRecord(): RoomRecord[] {
  return ROOM_NAMES.map((room) => ({
    room,
    samples: readSamples(room),
    equivalents: readEquivalents(room),
  }));
}

export function pageOf(record: readonly RoomRecord[]): string {
  const rows: string[] = [];
  const survivors: string[] = [];
  const totals = { true: [] as Counts[], false: [] as Counts[] };
  for (const { room, samples, equivalents } of record) {
    const keys = new Set(equivalents.map(keyOf));
    for (const sample of samples) {
      const counts = countsOf(sample, keys);
      const { date, commit, seed, isFresh, places, simulated } = sample;
      totals[`${isFresh}`].push(counts);
      const shares = [shareOfTests(counts), shareOf(counts)];
      const figures = [
        places,
        counts.tried,
        counts.equivalent,
        counts.found - simulated,
        simulated,
        ...shares,
      ];
      rows.push(rowOf([room, isFresh ? 'fresh' : 'worked on', date, commit, seed, ...figures]));
      if (latestSample(samples, seed) !== sample) continue;
      for (const survivor of sample.survivors) {
        const { file, line, from, to } = survivor;
        if (keys.has(keyOf(survivor))) continue;
        survivors.push(rowOf([`${file}:${line}`, cell(from), cell(to), isFresh ? 'fresh' : 'worked on']));
      }
    }
  }
  const same = record.flatMap(({ equivalents }) =>
    equivalents.map(({ file, text, from, to, reason }) =>
      rowOf([file, cell(text), cell(from), cell(to), reason.replaceAll('|', '¦')]),
    ),
  );
  return [
    `${HEAD}## Figures\n\n`,
    `${sentenceOf('Of the fresh samples', totals.true)}${sentenceOf('Of those that were worked on', totals.false)}\n`,
    tableHead(
      ...['room', 'sample', 'date', 'commit', 'seed', 'places', 'tried', 'of these the same program'],
      ...['found by tests', 'by simulation alone', 'share of the tests', 'of both'],
    ),
    ...rows,
    `\n## Survivors\n\n${tableHead('where, at its commit', 'from', 'to', 'sample')}`,
    ...survivors,
    `\n## The same program\n\n${tableHead('file', 'line', 'from', 'to', 'why')}`,
    ...same,
  ].join('');
}

function sentenceOf(begin: string, counts: readonly Counts[]): string {
  const total = (name: keyof Counts): number => counts.reduce((sum, { [name]: value }) => sum + value, 0);
  const sum: Counts = {
    tried: total('tried'),
    found: total('found'),
    simulated: total('simulated'),
    equivalent: total('equivalent'),
  };
  if (sum.tried === 0) return '';
  const byTests = sum.found - sum.simulated;
  const [ofTests, ofBoth] = [shareOfTests(sum), shareOf(sum)];
  return (
    `${begin}, ${sum.found} of ${sum.tried} mutants were found, ${byTests} by tests and ${sum.simulated} by simulation alone, ` +
    `and ${sum.equivalent} make the same program: ${ofTests} by tests, ${ofBoth} by both.\n`
  );
}

function rowOf(cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |\n`;
}

function tableHead(...names: readonly string[]): string {
  return rowOf(names) + rowOf(names.map(() => '---'));
}

function cell(text: string): string {
  return `\`${text.replaceAll('|', '¦').replaceAll('`', "'")}\``;
}

if (import.meta.main) writeFileSync(PAGE, pageOf(readRecord()));
