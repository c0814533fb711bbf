/** `node tools/mutants/record.ts` writes docs/mutants.md from the figures that were kept: the last of each room and seed. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const ROOT = new URL('../..', import.meta.url).pathname;
const RESULTS = `${ROOT}tools/mutants/results.json`;
export const PAGE = `${ROOT}docs/mutants.md`;

export interface Survivor {
  readonly file: string;
  readonly line: number;
  readonly from: string;
  readonly to: string;
}

export interface RoomResult {
  readonly room: string;
  /** Where a mutant could be. */
  readonly places: number;
  readonly tried: number;
  /** Of those that the tests did not find. */
  readonly simulated: number;
  readonly survivors: readonly Survivor[];
}

export interface RecordedRoom extends RoomResult {
  readonly date: string;
  readonly commit: string;
  readonly seed: number;
}

const HEAD = `# Mutants

Written by \`node tools/mutants/record.ts\` from \`tools/mutants/results.json\`.

\`npm run mutants\` changes the core in small ways, one at a time and in memory: conditions are turned round, limits and numbers moved by one, statements
left out, operands swapped. The unit tests of the room run against each, until one fails; with \`--simulate\`, clusters are simulated of members that have
those which the tests let pass. StrykerJS, the package that others use, has no runner for Node's own tests, nor for sources that are TypeScript when they run.

\`\`\`
npm run mutants -- --room wal,lease --count 40 --seed 1
npm run mutants -- --room watch --simulate 20 --keep
\`\`\`

A survivor is a question: many of them make the same program (a buffer that grows a byte sooner, a slice that ends one revision later, a cache that is asked twice),
others show what no test looks at. raft has mutants of another kind as well, written by hand, each found by its simulation (\`packages/raft/src/mutants.test.ts\`), and
the planted bugs of [corpus.md](corpus.md) are mutants of the whole member.

`;

export function readRooms(): RecordedRoom[] {
  return existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as RecordedRoom[]) : [];
}

export function addRoom(result: RoomResult, seed: number): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: ROOT,
    encoding: 'utf8',
  }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const others = readRooms().filter((known) => known.room !== result.room || known.seed !== seed);
  const rooms = [...others, { date, commit, seed, ...result }];
  writeFileSync(RESULTS, `${JSON.stringify(rooms, null, 2)}\n`);
}

export function pageOf(rooms: readonly RecordedRoom[]): string {
  const rows = rooms.map(({ room, date, commit, seed, places, tried, simulated, survivors }) => {
    const found = tried - survivors.length;
    const share = `${Math.round((100 * found) / tried)} %`;
    return `| ${[room, date, commit, seed, places, tried, found, simulated, share].join(' | ')} |\n`;
  });
  const tried = rooms.reduce((total, room) => total + room.tried, 0);
  const found = tried - rooms.reduce((total, { survivors }) => total + survivors.length, 0);
  const survivors = rooms.flatMap(({ survivors: of }) =>
    of.map(({ file, line, from, to }) => `| ${file}:${line} | ${cell(from)} | ${cell(to)} |\n`),
  );
  return [
    `${HEAD}## Figures\n\n${found} of ${tried} found.\n\n`,
    '| room | date | commit | seed | places | tried | found | of these by simulation | share |\n',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n',
    ...rows,
    '\n## Survivors\n\n| where, at its commit | from | to |\n| --- | --- | --- |\n',
    ...survivors,
  ].join('');
}

function cell(text: string): string {
  return `\`${text.replaceAll('|', '¦').replaceAll('`', "'")}\``;
}

if (import.meta.main) writeFileSync(PAGE, pageOf(readRooms()));
