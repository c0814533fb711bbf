/**
 * What has been simulated, added up over all runs that were told to say so, by kind of world: `docs/simulation-record.json`, and the page that is made of
 * it. One object, written by the program alone.
 */
import type { SimulationResult } from './simulation.ts';

/** Of worlds of one kind. */
export interface Totals {
  seeds: number;
  simulatedMs: number;
  cpuMs: number;
  answers: number;
  readsOfEverything: number;
  watchEvents: number;
  messages: number;
  entries: number;
  leaders: number;
  databases: number;
  /** By kind. */
  faults: Record<string, number>;
}

/** Worlds in which everything happens within minutes, and those in which hours pass. */
export type WorldKind = 'short' | 'long';

export interface SimulationRecord extends Readonly<Record<WorldKind, Totals>> {
  violations: RecordedViolation[];
}

export interface RecordedViolation {
  readonly seed: number;
  readonly property: string;
  /** The first line of them. */
  readonly details: string;
  /** As `--world` takes it. */
  readonly world: string;
}

const DAY_MS = 86_400_000;

export function newRecord(): SimulationRecord {
  return { short: noTotals(), long: noTotals(), violations: [] };
}

function noTotals(): Totals {
  return {
    seeds: 0,
    simulatedMs: 0,
    cpuMs: 0,
    answers: 0,
    readsOfEverything: 0,
    watchEvents: 0,
    messages: 0,
    entries: 0,
    leaders: 0,
    databases: 0,
    faults: {},
  };
}

/**
 * @param world as `--world` takes it.
 * @param cpuMs processor time, as far as it is known.
 */
export function addResult(
  record: SimulationRecord,
  result: SimulationResult,
  world: string,
  cpuMs: number,
): void {
  addTotals(record[result.isLong ? 'long' : 'short'], {
    seeds: 1,
    simulatedMs: Math.round(result.simulatedMs),
    cpuMs: Math.round(cpuMs),
    answers: result.okCount,
    readsOfEverything: result.readCount,
    watchEvents: result.eventCount,
    messages: result.messageCount,
    entries: result.entryCount,
    leaders: result.leaderCount,
    databases: result.snapshotCount,
    faults: result.faults,
  });
  const { violation, seed } = result;
  if (violation === null) return;
  const { property, details } = violation;
  record.violations.push({ seed, property, details: details.split('\n')[0]!.slice(0, 300), world });
}

/** Adds what another record has. */
export function addRecord(record: SimulationRecord, other: SimulationRecord): void {
  addTotals(record.short, other.short);
  addTotals(record.long, other.long);
  record.violations.push(...other.violations);
}

function addTotals(totals: Totals, { faults, ...counts }: Readonly<Totals>): void {
  for (const [name, count] of Object.entries(counts)) totals[name as keyof typeof counts] += count;
  for (const [kind, count] of Object.entries(faults)) {
    totals.faults[kind] = (totals.faults[kind] ?? 0) + count;
  }
}

interface FoundSeed {
  readonly seed: number;
  readonly minutes: number;
  readonly found: string;
}

const FACTS: readonly (readonly [string, (totals: Totals) => string])[] = [
  ['simulated clusters', ({ seeds }) => number(seeds)],
  ['simulated time', ({ simulatedMs }) => `${(simulatedMs / DAY_MS).toFixed(2)} days`],
  ['of processor time', ({ cpuMs }) => `${(cpuMs / 60_000).toFixed(0)} minutes`],
  ['answers judged', ({ answers }) => number(answers)],
  ['reads of everything judged', ({ readsOfEverything }) => number(readsOfEverything)],
  ['events of watches judged', ({ watchEvents }) => number(watchEvents)],
  ['entries compared between members', ({ entries }) => number(entries)],
  ['messages between members', ({ messages }) => number(messages)],
  ['terms with a leader', ({ leaders }) => number(leaders)],
  ['databases sent to followers', ({ databases }) => number(databases)],
  ['faults injected', ({ faults }) => number(Object.values(faults).reduce((sum, count) => sum + count, 0))],
];

/** @param seeds those that have failed at some time, of `seeds.json`. */
export function recordPage(record: SimulationRecord, seeds: readonly FoundSeed[]): string {
  const all = noTotals();
  addTotals(all, record.short);
  addTotals(all, record.long);
  const columns = [record.short, record.long, all];
  const row = (name: string, cells: readonly string[]): string => `| ${name} | ${cells.join(' | ')} |`;
  const faults = Object.entries(all.faults).sort(([, a], [, b]) => b - a);
  return [
    '# What has been simulated',
    '',
    'Written by `npm run sim -- … --record`, which adds a run to `simulation-record.json` and makes this page of it; [simulation.md](simulation.md) says what is simulated.',
    'Runs of before the record was kept are told of there.',
    '',
    row('', ['short worlds', 'long worlds', 'together']),
    '| --- | --- | --- | --- |',
    ...FACTS.map(([name, textOf]) => row(name, columns.map(textOf))),
    row('violations', ['', '', number(record.violations.length)]),
    '',
    '## Faults by kind',
    '',
    row('fault', ['short worlds', 'long worlds', 'together']),
    '| --- | --- | --- | --- |',
    ...faults.map(([kind]) =>
      row(
        kind,
        columns.map((totals) => number(totals.faults[kind] ?? 0)),
      ),
    ),
    '',
    '## Found in recorded runs',
    '',
    ...(record.violations.length === 0
      ? ['Nothing.']
      : record.violations.map(
          ({ seed, property, details }) => `- seed ${seed}, ${property}: \`${details.replaceAll('`', "'")}\``,
        )),
    '',
    '## Found before, and run as tests since',
    '',
    '| seed | minutes | what it showed |',
    '| --- | --- | --- |',
    ...seeds.map(({ seed, minutes, found }) => `| ${seed} | ${minutes} | ${found} |`),
    '',
  ].join('\n');
}

function number(value: number): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ',');
}
