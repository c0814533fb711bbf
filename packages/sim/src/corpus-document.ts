/**
 * `node packages/sim/src/corpus-document.ts` runs every scenario of the corpus with its bug and without it, and writes `docs/corpus.md`; with names
 * of plants it runs those alone, and puts their rows among the others. With `--print` nothing is written.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { CORPUS, OWN_TESTS, type Scenario } from './corpus.ts';
import { loadSimulation } from './load-simulation.ts';
import type { Plant } from './plant.ts';
import { SOURCE_PLANTS } from './source-plants.ts';

const MAX_SEEDS = 60;
const HEAD = `# Bugs that must be found

Written by \`node packages/sim/src/corpus-document.ts\`, which puts each of these bugs into the members and simulates worlds until one shows it, then
simulates the same world without the bug. Those with numbers are of the kind of an issue of etcd's, from the table of its robustness tests; the others are
ours. [track-record.md](track-record.md) says what each was, and what else was found.

| bug | etcd's issue | name | found by | seeds tried | simulated minutes | with the bug | without it |
| --- | --- | --- | --- | --- | --- | --- | --- |
`;

/** What is found by a test alone is not simulated here: `npm test` runs it. */
function ownTests(): string {
  const rows = OWN_TESTS.map(({ plant, what, etcdIssues, test }) => {
    const issues = etcdIssues.map((issue) => `#${issue}`).join(', ') || 'ours';
    return `| ${what} | ${issues} | \`${plant}\` | [\`${test}\`](../packages/sim/src/${test}) |\n`;
  });
  return `
## With a test of their own

These need more luck than a few worlds have. Each has a test that brings about what it takes, and shows that it fails with the bug and passes without.

| bug | etcd's issue | name | test |
| --- | --- | --- | --- |
${rows.join('')}`;
}

async function run({ plant, what, etcdIssues, world, seed }: Scenario): Promise<string> {
  const isLine = Object.hasOwn(SOURCE_PLANTS, plant);
  const planted = await loadSimulation(isLine ? plant : undefined);
  const known: Readonly<Record<string, Plant>> = { ...planted.PLANTS, ...planted.RARE_PLANTS };
  let simulatedMs = 0;
  for (let at = seed; at < seed + MAX_SEEDS; at++) {
    const result = await planted.simulate({ ...world, seed: at, plant: isLine ? undefined : known[plant] });
    simulatedMs += result.simulatedMs;
    if (result.violation === null) continue;
    const right = await (await loadSimulation()).simulate({ ...world, seed: at });
    const { property, details } = result.violation;
    process.stderr.write(`${plant} seed ${at}: ${property}: ${details.slice(0, 200)}\n`);
    const issues = etcdIssues.map((issue) => `#${issue}`).join(', ') || 'ours';
    const minutes = (simulatedMs / 60_000).toFixed(1);
    const without = right.violation === null ? 'passes' : `FAILS: ${right.violation.property}`;
    const cells = [what, issues, `\`${plant}\``, `seed ${at}`, at - seed + 1, minutes, property, without];
    return `| ${cells.join(' | ')} |\n`;
  }
  return `| ${what} | ${etcdIssues.join()} | \`${plant}\` | NOT FOUND | ${MAX_SEEDS} | ${(simulatedMs / 60_000).toFixed(1)} | | |\n`;
}

const told = process.argv.slice(2);
const names = told.filter((name) => name !== '--print');
const page = new URL('../../../docs/corpus.md', import.meta.url);
const former = readFileSync(page, 'utf8').split(/(?<=\n)/);
const rows: string[] = [];
for (const scenario of CORPUS) {
  const isWanted = names.length === 0 || names.includes(scenario.plant);
  const row = isWanted
    ? await run(scenario)
    : former.find((line) => line.includes(` \`${scenario.plant}\` `));
  if (isWanted) process.stdout.write(row!);
  if (row !== undefined) rows.push(row);
}
if (names.length === told.length) writeFileSync(page, HEAD + rows.join('') + ownTests());
