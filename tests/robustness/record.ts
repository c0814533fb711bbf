/** The record of all rounds, as a file that adds up over releases. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { ROOT } from '../support/programs.ts';
import type { RoundResult } from './round.ts';

export const RESULTS_PATH = `${ROOT}tests/robustness/results.json`;

/** One call of `npm run robustness`. */
export interface RobustnessRun {
  readonly date: string;
  readonly commit: string;
  readonly processors: string;
  readonly rounds: readonly Omit<RoundResult, 'directories'>[];
}

export function readRuns(path: string): RobustnessRun[] {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as RobustnessRun[]) : [];
}

export function addRounds(path: string, results: readonly RoundResult[]): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' });
  const run: RobustnessRun = {
    date: new Date().toISOString().slice(0, 10),
    commit: commit.trim(),
    processors: `${cpus().length}`,
    rounds: results.map(({ directories: _, ...result }) => result),
  };
  writeFileSync(path, `${JSON.stringify([...readRuns(path), run], null, 2)}\n`);
}

/** Counts of many rounds together. */
export function totals(counts: readonly Readonly<Record<string, number>>[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const each of counts) {
    for (const [name, count] of Object.entries(each)) all.set(name, (all.get(name) ?? 0) + count);
  }
  return new Map([...all].sort(([, a], [, b]) => b - a));
}
