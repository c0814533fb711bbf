/**
 * What has been simulated, added up over all runs that were told to say so: `docs/simulation-record.json`, and the page that is made of it. One object, written by
 * the program alone.
 */
import type { SimulationResult } from './simulation.ts';

export interface SimulationRecord {
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
    violations: [],
  };
}

/** @param world as `--world` takes it. */
export function addResult(record: SimulationRecord, result: SimulationResult, world: string): void {
  record.seeds++;
  record.simulatedMs += Math.round(result.simulatedMs);
  record.answers += result.okCount;
  record.readsOfEverything += result.readCount;
  record.watchEvents += result.eventCount;
  record.messages += result.messageCount;
  record.entries += result.entryCount;
  record.leaders += result.leaderCount;
  record.databases += result.snapshotCount;
  for (const [kind, count] of Object.entries(result.faults)) {
    record.faults[kind] = (record.faults[kind] ?? 0) + count;
  }
  const { violation, seed } = result;
  if (violation === null) return;
  const { property, details } = violation;
  record.violations.push({ seed, property, details: details.split('\n')[0]!.slice(0, 300), world });
}

interface FoundSeed {
  readonly seed: number;
  readonly minutes: number;
  readonly found: string;
}

/** @param seeds those that have failed at some time, of `seeds.json`. */
export function recordPage(record: SimulationRecord, seeds: readonly FoundSeed[]): string {
  const faults = Object.entries(record.faults).sort(([, a], [, b]) => b - a);
  const total = faults.reduce((sum, [, count]) => sum + count, 0);
  const facts: readonly (readonly [string, string])[] = [
    ['simulated clusters', number(record.seeds)],
    ['simulated time', `${(record.simulatedMs / DAY_MS).toFixed(2)} days`],
    ['of processor time', `${(record.cpuMs / 60_000).toFixed(0)} minutes`],
    ['answers judged', number(record.answers)],
    ['reads of everything judged', number(record.readsOfEverything)],
    ['events of watches judged', number(record.watchEvents)],
    ['entries compared between members', number(record.entries)],
    ['messages between members', number(record.messages)],
    ['terms with a leader', number(record.leaders)],
    ['databases sent to followers', number(record.databases)],
    ['faults injected', number(total)],
    ['violations', number(record.violations.length)],
  ];
  return [
    '# What has been simulated',
    '',
    'Written by `npm run sim -- … --record`, which adds a run to `simulation-record.json` and makes this page of it; [simulation.md](simulation.md) says what is simulated.',
    'Runs of before the record was kept are told of there.',
    '',
    '| | |',
    '| --- | --- |',
    ...facts.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    '## Faults by kind',
    '',
    '| fault | times |',
    '| --- | --- |',
    ...faults.map(([kind, count]) => `| ${kind} | ${number(count)} |`),
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
