/**
 * `npm run robustness`: rounds of real members under faults, until the time is up. Exits with 1 where something was found.
 *
 *   --minutes M     rounds are begun for so long; 10 unless told
 *   --seed N        of the first round; the others count on from it
 *   --members A,B   programs of the members (`ours`, `3.4` to `3.7`); every mix in turn unless told
 *   --faults A,B    only these kinds
 *   --with A,B      `tls`: TLS between members, and damaged bytes; `users`: authentication; every third round has the one, every fourth the other unless told
 *   --round S       seconds of faults in a round; 45 unless told
 *   --into FILE     a record of all rounds that were asked for is kept there; `tests/robustness/results.json` makes docs/robustness.md
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Kind } from '../support/cluster.ts';
import { needsNamespaces } from '../support/namespaces.ts';
import { PEERS_DIR } from '../support/programs.ts';
import { whyNoDiskFaults } from './failing-disk.ts';
import { FAULT_KINDS, type FaultKind } from './faults.ts';
import { whyNoPowerCuts } from './member-disks.ts';
import { addRounds } from './record.ts';
import { type RoundResult, runRound } from './round.ts';

const MIXES: readonly (readonly Kind[])[] = [
  ['ours', 'ours', 'ours'],
  ['3.5', 'ours', 'ours'],
  ['ours', '3.7', 'ours'],
  ['3.5', '3.5', 'ours'],
  ['ours', 'ours', 'ours', 'ours', 'ours'],
  ['3.7', '3.7', 'ours'],
  ['3.6', 'ours', 'ours'],
  ['3.4', 'ours', 'ours'],
];

/** One round in so many has it. */
const TLS_EVERY = 3;
const USERS_EVERY = 4;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    members: { type: 'string' },
    faults: { type: 'string' },
    with: { type: 'string' },
    round: { type: 'string', default: '45' },
    into: { type: 'string' },
  },
});

function numberOf(name: 'minutes' | 'seed' | 'round'): number {
  const value = Number(values[name]);
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0`);
  return value;
}

function faultsOf(text: string | undefined): FaultKind[] | undefined {
  return text?.split(',').map((word) => {
    const kind = FAULT_KINDS.find((known) => known === word);
    if (kind === undefined) throw new Error(`no fault is named ${word}; there are ${FAULT_KINDS.join(', ')}`);
    return kind;
  });
}

/** Says what will not be tried, and why, before anything else. */
function sayWhatIsMissing(): Kind[][] {
  const missing: string[] = [];
  const disks = whyNoDiskFaults();
  if (disks !== null) missing.push(`failing and slow disks: ${disks}`);
  const power = whyNoPowerCuts();
  if (power !== null) missing.push(`cuts of power: ${power}`);
  const { skip } = needsNamespaces();
  if (skip !== undefined) missing.push(`partitions: ${skip}`);
  const wanted = values.members === undefined ? MIXES : [values.members.split(',') as Kind[]];
  const mixes = wanted.filter((mix) => {
    const absent = mix.filter((kind) => kind !== 'ours' && !existsSync(`${PEERS_DIR}/${kind}/etcd`));
    if (absent.length > 0) missing.push(`members ${mix.join(' + ')}: no etcd ${absent[0]} in ${PEERS_DIR}`);
    return absent.length === 0;
  });
  for (const line of missing) process.stderr.write(`MISSING: ${line}\n`);
  return mixes.map((mix) => [...mix]);
}

function describe(result: RoundResult): string {
  const answers = Object.values(result.operations).reduce((total, count) => total + count, 0);
  const faults = Object.values(result.faults).reduce((total, count) => total + count, 0);
  const facts = `${result.seconds} s, ${faults} faults, ${answers} answers, ${result.events} events, revision ${result.revision}`;
  const lines = result.violations.map(({ property, details }) => `  ${property}: ${details}`);
  const verdict = lines.length === 0 ? 'ok  ' : 'FAIL';
  return [
    `${verdict} ${result.members}, seed ${result.seed}: ${facts}`,
    ...lines,
    ...result.directories,
  ].join('\n');
}

// What was mounted and what networks there are end with the process: also when somebody has enough of it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const extras = values.with === undefined ? null : new Set(values.with.split(','));
const mixes = sayWhatIsMissing();
const faults = faultsOf(values.faults);
const endMs = performance.now() + numberOf('minutes') * 60_000;
const results: RoundResult[] = [];
for (let i = 0; performance.now() < endMs; i++) {
  const seed = numberOf('seed') + i;
  const kinds = mixes[i % mixes.length]!;
  const hasProxies = extras?.has('tls') ?? seed % TLS_EVERY === 0;
  const hasUsers = extras?.has('users') ?? seed % USERS_EVERY === 0;
  const how = `${hasProxies ? ', TLS' : ''}${hasUsers ? ', users' : ''}`;
  process.stdout.write(`round of ${kinds.join(' + ')}${how}, seed ${seed}\n`);
  const result = await runRound({
    kinds,
    seed,
    faultsMs: numberOf('round') * 1000,
    faults,
    hasProxies,
    hasUsers,
    print: (line) => process.stdout.write(`  ${line}\n`),
  });
  process.stdout.write(`${describe(result)}\n`);
  results.push(result);
}
if (values.into !== undefined) addRounds(values.into, results);
process.exit(results.some(({ violations }) => violations.length > 0) ? 1 : 0);
