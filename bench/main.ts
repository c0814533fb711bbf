/** `npm run bench`: our etcd beside a real one, in one run on one machine. See README.md. */
import { writeFileSync } from 'node:fs';
import { CASES } from './cases/index.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { formatTable, makeReport, reportCase } from './report.ts';
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
    const report = makeReport(CASES, results);
    // After every case, so that an interrupted run has something to show.
    if (options.jsonPath !== null) writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
  }
  const { rows } = makeReport(CASES, results);
  process.stdout.write(`\nall goals:\n${formatTable(rows.filter((row) => row.isMet !== null))}`);
}

let options: Options;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}
await main(options);
