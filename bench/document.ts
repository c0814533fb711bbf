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
absolute figures are lower than what the machine can do, and the ratios are what counts. \`memory-1m\`, \`range-10k\` and
\`range-stream-10k\` are of a later run than the rest, \`memory-1m\` of one round. [bench/README.md](../bench/README.md)
says what the columns mean and how it is measured.

## Goals

${formatTable(rows.filter((row) => row.isMet !== null))}
## Everything

${measured.map((one) => `- \`${one.name}\`: ${one.about}`).join('\n')}

${formatTable(rows)}`;
writeFileSync(new URL('../docs/benchmarks.md', import.meta.url), text);
