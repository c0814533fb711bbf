/** Figures of both programs side by side, with the goal and whether it is met; as text and as data. */
import { cpus } from 'node:os';
import type { BenchCase, Goal, Row, Sample } from './case.ts';
import type { CaseResult } from './runner.ts';

export interface RowReport {
  readonly case: string;
  readonly figure: string;
  readonly unit: string;
  /** Medians of the rounds. */
  readonly ours: number;
  readonly other: number | null;
  /** The largest difference between two rounds of ours, as a share of the median. */
  readonly spread: number;
  /** The machine's load average meanwhile, our programs included; null: not kept. */
  readonly load: number | null;
  readonly ratio: number | null;
  readonly goal: string;
  /** Null without a goal. */
  readonly isMet: boolean | null;
}

export interface Report {
  readonly machine: { readonly cpus: number; readonly model: string; readonly node: string };
  readonly rows: readonly RowReport[];
  readonly results: readonly CaseResult[];
}

export function makeReport(cases: readonly BenchCase[], results: readonly CaseResult[]): Report {
  return {
    machine: { cpus: cpus().length, model: cpus()[0]!.model, node: process.version },
    rows: results.flatMap((result) => reportCase(cases.find((one) => one.name === result.name)!, result)),
    results,
  };
}

export function reportCase(one: BenchCase, result: CaseResult): RowReport[] {
  // A row that the case has had only since this result was taken has nothing to show.
  const rows = one.rows.filter(({ figure }) => result.ours.every((sample) => sample[figure] !== undefined));
  return rows.map((row) => reportRow(one.name, row, result));
}

function reportRow(name: string, row: Row, result: CaseResult): RowReport {
  const figures = (samples: readonly Sample[]): number[] => samples.map((sample) => sample[row.figure]!);
  const ours = figures(result.ours);
  const middle = median(ours);
  const other = result.other.length === 0 ? null : median(figures(result.other));
  const ratio = other === null || other === 0 ? null : middle / other;
  return {
    case: name,
    figure: row.label,
    unit: row.unit,
    ours: middle,
    other,
    spread: middle === 0 ? 0 : (Math.max(...ours) - Math.min(...ours)) / middle,
    load: result.load ?? null,
    ratio,
    goal: row.goal === undefined ? '' : formatGoal(row.goal),
    isMet: row.goal === undefined ? null : isMet(row.goal, middle, ratio),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function isMet(goal: Goal, ours: number, ratio: number | null): boolean {
  if ('atMost' in goal) return ours <= goal.atMost;
  if ('atLeast' in goal) return ours >= goal.atLeast;
  if (ratio === null) return false;
  return 'ratioAtMost' in goal ? ratio <= goal.ratioAtMost : ratio >= goal.ratioAtLeast;
}

function formatGoal(goal: Goal): string {
  if ('atMost' in goal) return `≤ ${format(goal.atMost)}`;
  if ('atLeast' in goal) return `≥ ${format(goal.atLeast)}`;
  return 'ratioAtMost' in goal ? `≤ ${format(goal.ratioAtMost)}×` : `≥ ${format(goal.ratioAtLeast)}×`;
}

function format(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const HEADINGS = ['case', 'figure', 'ours', 'Go etcd', 'ratio', 'goal', 'met', 'spread', 'load'] as const;

/** A Markdown table that also reads well as plain text. */
export function formatTable(rows: readonly RowReport[]): string {
  return formatMarkdown(
    HEADINGS,
    rows.map((row) => [
      row.case,
      row.figure,
      formatFigure(row.ours, row.unit),
      row.other === null ? '–' : formatFigure(row.other, row.unit),
      row.ratio === null ? '–' : row.ratio.toFixed(2),
      row.goal,
      row.isMet === null ? '' : row.isMet ? 'yes' : 'no',
      `${(row.spread * 100).toFixed(0)} %`,
      row.load === null ? '' : row.load.toFixed(0),
    ]),
  );
}

export function formatFigure(value: number, unit: string): string {
  return `${format(value)} ${unit}`;
}

export function formatMarkdown(headings: readonly string[], cells: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...cells.map((line) => line[i]!.length)),
  );
  const formatLine = (line: readonly string[]): string =>
    `| ${line.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return `${[formatLine(headings), rule, ...cells.map(formatLine)].join('\n')}\n`;
}
