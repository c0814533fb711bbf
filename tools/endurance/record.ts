/**
 * The page on which runs of the whole suite on a busy machine add up: a row for each run, and what all rows come to.
 */

export interface EnduranceRun {
  /** As in `2026-11-29`. */
  readonly date: string;
  /** The commit that was tested, abbreviated. */
  readonly commit: string;
  /** Test files. */
  readonly files: number;
  /** Loops that kept a processor busy meanwhile. */
  readonly busyLoops: number;
  readonly minutes: number;
  /** `file: name` of each test that failed; none where the run was green. */
  readonly failed: readonly string[];
}

const HEAD = `# The whole suite on a busy machine

\`npm run endurance\` runs all tests again and again beside loops that keep processors busy, and adds a row for each run. A test that fails
now and then is a bug, in the test or in the code.
`;
const COLUMNS =
  '| date | commit | files | busy loops | minutes | red |\n| --- | --- | --- | --- | --- | --- |\n';

/** The page with a run more. @param page what it has been so far; empty at first. */
export function addRun(page: string, run: EnduranceRun): string {
  const runs = [...readRuns(page), run];
  return `${HEAD}\n${describeTotal(runs)}\n\n${COLUMNS}${runs.map(describeRun).join('')}`;
}

function describeTotal(runs: readonly EnduranceRun[]): string {
  const green = runs.filter(({ failed }) => failed.length === 0).length;
  const minutes = runs.reduce((sum, run) => sum + run.minutes, 0);
  let lastGreen = 0;
  while (lastGreen < runs.length && runs.at(-1 - lastGreen)!.failed.length === 0) lastGreen++;
  const total = `${runs.length} runs in ${minutes} minutes: ${green} green, ${runs.length - green} red; the last ${lastGreen} in a row are green.`;
  const counts = new Map<string, number>();
  for (const name of runs.flatMap(({ failed }) => failed)) counts.set(name, (counts.get(name) ?? 0) + 1);
  if (counts.size === 0) return total;
  const names = [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `- ${count} × \`${name}\``);
  return `${total} What failed:\n\n${names.join('\n')}`;
}

function describeRun({ date, commit, files, busyLoops, minutes, failed }: EnduranceRun): string {
  const red = failed.map((name) => `\`${name}\``).join('<br>');
  return `| ${date} | ${commit} | ${files} | ${busyLoops} | ${minutes} | ${red} |\n`;
}

function readRuns(page: string): EnduranceRun[] {
  return [...page.matchAll(/^\| (\d{4}-\d\d-\d\d) \| (\S+) \| (\d+) \| (\d+) \| (\d+) \| (.*)\|$/gm)].map(
    ([, date, commit, files, busyLoops, minutes, red]) => ({
      date: date!,
      commit: commit!,
      files: Number(files),
      busyLoops: Number(busyLoops),
      minutes: Number(minutes),
      failed: [...red!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
    }),
  );
}

/** A name as it can stand in a cell. */
export function cellText(name: string): string {
  return name.replaceAll('`', "'").replaceAll('|', '¦').trim();
}
