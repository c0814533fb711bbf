/** `node tools/fuzz/record.ts` writes docs/fuzzing.md from the figures of all runs that were kept. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { FuzzTarget } from '@etcd/testing';
import type { FuzzResult } from './fuzz.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const RESULTS = `${ROOT}tools/fuzz/results.json`;
export const PAGE = `${ROOT}docs/fuzzing.md`;

const ONE_IN_A_LIST = /\[\n\s+(".{0,90}")\n\s+\]/g;

export interface RecordedRun {
  readonly date: string;
  readonly commit: string;
  readonly target: string;
  readonly what: string;
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Of the processor; runs of before it was counted do not say. */
  readonly cpuSeconds?: number;
  readonly kept: number;
  readonly covered: number;
  /** First lines. */
  readonly findings: readonly string[];
}

const HEAD = `# Fuzzing

Written by \`node tools/fuzz/record.ts\` from \`tools/fuzz/results.json\`.

Whatever takes bytes from outside is fed with inputs that are changed at random and kept when they make code run that none before them did:
\`npm run fuzz\`. V8 says what ran (precise block coverage of its profiler), so that the code is the one that members run, unchanged. Jazzer.js, the fuzzer that
others use for this runtime, comes with a library that needs a newer C library than Debian 12 has, and does not start there.

\`\`\`
npm run fuzz                                     every target for a minute
npm run fuzz -- --target wal,bbolt --minutes 30 --seed 7
npm run fuzz -- --minutes 5 --keep               keeps what was learned, and the figures
\`\`\`

An input is taken badly if it ends in an error that is none of the target's own, if there is no end within ten seconds, if it makes the process hold
more than 16 MiB and a kilobyte for each of its bytes, or if what the target promises does not hold: a message that was decoded encodes and decodes to the same, a
connection that has ended leaves nothing behind, a log that was opened takes another entry. Such an input is made shorter, becomes one of the regressions in
\`tools/fuzz/corpus\`, and \`npm test\` runs these, and all that was kept, against every target. Formats under checksums are fed behind them as well: records of
the log and snapshots get right ones, and so do the meta pages of databases.

A target is a few lines beside the code that it feeds (\`testing/fuzz-targets.ts\`).

`;

export function readResults(): RecordedRun[] {
  return existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as RecordedRun[]) : [];
}

export function addResult({ name, what }: FuzzTarget, seed: number, result: FuzzResult): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: ROOT,
    encoding: 'utf8',
  }).trim();
  const { runs, seconds, cpuSeconds, covered, corpus, findings } = result;
  const run: RecordedRun = {
    date: new Date().toISOString().slice(0, 10),
    commit,
    target: name,
    what,
    seed,
    runs,
    seconds,
    cpuSeconds,
    kept: corpus.length,
    covered,
    findings: findings.map(({ kind, details }) => `${kind}: ${summaryOf(details)}`),
  };
  const text = JSON.stringify([...readResults(), run], null, 2);
  // A list of one stands in one line, as the formatter has it.
  writeFileSync(RESULTS, `${text.replace(ONE_IN_A_LIST, '[$1]')}\n`);
}

/** Of an error its message, without where it was thrown. */
function summaryOf(details: string): string {
  const lines = details.split('\n');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines[0]!;
}

export function pageOf(runs: readonly RecordedRun[]): string {
  const rows = [...Map.groupBy(runs, ({ target }) => target)].map(([target, of]) => {
    const last = of.at(-1)!;
    const seconds = of.reduce((total, run) => total + run.seconds, 0);
    const inputs = of.reduce((total, run) => total + run.runs, 0);
    const found = of.reduce((total, run) => total + run.findings.length, 0);
    const cpu = of.reduce((total, run) => total + (run.cpuSeconds ?? 0), 0);
    return `| \`${target}\` | ${last.what} | ${inputs} | ${seconds} | ${cpu} | ${last.kept} | ${last.covered} | ${found} |\n`;
  });
  const findings = runs.flatMap(({ target, commit, findings: of }) =>
    of.map((text) => `| \`${target}\` | ${commit} | ${text.replaceAll('|', '¦')} |\n`),
  );
  const seconds = runs.reduce((total, run) => total + run.seconds, 0);
  const inputs = runs.reduce((total, run) => total + run.runs, 0);
  const counted = runs.filter(({ cpuSeconds }) => cpuSeconds !== undefined);
  const cpuSeconds = counted.reduce((total, run) => total + (run.cpuSeconds ?? 0), 0);
  const countedSeconds = counted.reduce((total, run) => total + run.seconds, 0);
  return [
    `${HEAD}## Figures\n\n${inputs} inputs in ${Math.round(seconds / 60)} minutes, over all runs that were kept, on a machine that had much else to do: where the time of the\nprocessor was counted, it was ${Math.round(cpuSeconds / 60)} minutes of ${Math.round(countedSeconds / 60)}.\n\n`,
    '| target | fed | inputs | seconds | of the processor | kept | characters of source that ran | taken badly |\n',
    '| --- | --- | --- | --- | --- | --- | --- | --- |\n',
    ...rows,
    findings.length === 0
      ? ''
      : '\n| target | commit | what was found, and mended since |\n| --- | --- | --- |\n',
    ...findings,
  ].join('');
}

if (import.meta.main) writeFileSync(PAGE, pageOf(readResults()));
