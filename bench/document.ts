/** Writes docs/benchmarks.md from results/latest.json: `node bench/document.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { CASES } from './cases/index.ts';
import { formatTable, type Report } from './report.ts';

const { machine, rows } = JSON.parse(
  readFileSync(new URL('results/latest.json', import.meta.url), 'utf8'),
) as Report;
const measured = CASES.filter((one) => rows.some((row) => row.case === one.name));
const text = `# Benchmarks

Written by \`node bench/document.ts\` from \`bench/results/latest.json\`, which comes from

    npm run bench -- --against <etcd 3.5> --json bench/results/latest.json

on a virtual machine with ${machine.cpus} CPUs (${machine.model}) and Node.js ${machine.node}, on which other work went on meanwhile: the
absolute figures are lower than what the machine can do, and the ratios are what counts. \`memory-1m\`, \`stall-5m\`,
\`range-10k\`, \`range-stream-10k\`, \`k8s-list-500\` and \`k8s-list-10000\` are of later runs than the rest, with a load
average of 9 to 12, \`put-100x10\`, \`txn-100x10\`, \`watch-200\` and \`put-1\` with one of 9 to 14; \`memory-1m\` and
\`stall-5m\` are of one round. [bench/README.md](../bench/README.md) says what the columns
mean and how it is measured.

With that load a process waits longer for a processor than for anything else. So what a case gains in CPU it does not
always gain in rate, and the longest stall of \`stall-5m\` contains the time that the prober and the server waited for
their turn: of the event loop's gaps above 25 ms, none had more than 25 ms of CPU in it.

## Goals

${formatTable(rows.filter((row) => row.isMet !== null))}
## Everything

${measured.map((one) => `- \`${one.name}\`: ${one.about}`).join('\n')}

${formatTable(rows)}`;
writeFileSync(new URL('../docs/benchmarks.md', import.meta.url), text);
