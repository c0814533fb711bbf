/** `npm run bench`: our etcd beside a real one, in one run on one machine. See README.md. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { CASES } from './cases/index.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { formatTable, makeReport, type Report, reportCase } from './report.ts';
import { type CaseResult, runCase } from './runner.ts';

async function main(options: Options): Promise<void> {
  if (options.isListing) {
    for (const one of CASES) process.stdout.write(`${one.name.padEnd(28)}${one.about}\n`);
    return;
  }
  const results: CaseResult[] = [];
  for (const one of options.cases) {
    process.stdout.write(`\n${one.name}: ${one.about}\n`);
    const result = await runCase(one, options);
    process.stdout.write(formatTable(reportCase(one, result)));
    results.push(result);
    // After every case, so that an interrupted run has something to show.
    if (options.jsonPath !== null) writeResults(options.jsonPath, results);
  }
  const { rows } = makeReport(CASES, results);
  process.stdout.write(`\nall goals:\n${formatTable(rows.filter((row) => row.isMet !== null))}`);
}

/** Figures in the file of cases that did not run now stay. */
function writeResults(path: string, results: readonly CaseResult[]): void {
  const byName = new Map<string, CaseResult>();
  if (existsSync(path)) {
    const before = JSON.parse(readFileSync(path, 'utf8')) as Report;
    for (const result of before.results) byName.set(result.name, result);
  }
  for (const result of results) byName.set(result.name, result);
  const inOrder = CASES.flatMap(({ name }) => byName.get(name) ?? []);
  writeFileSync(path, `${JSON.stringify(makeReport(CASES, inOrder), null, 2)}\n`);
}

// An interrupted run takes its servers with it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

let options: Options;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}
await main(options);
