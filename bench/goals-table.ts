/** The table of all goals in the project's README: one row for a figure, beside each release that it was compared with. */
import type { Report, RowReport } from './report.ts';
import { formatFigure, formatMarkdown } from './report.ts';

export interface ReleaseReport {
  readonly release: string;
  readonly report: Report;
}

/** A goal is met if it is against every release. Figures of ours are those beside the newest. */
export function goalsTable(reports: readonly ReleaseReport[]): string {
  const byRelease = reports.map(({ report }) => new Map(report.rows.map((row) => [keyOf(row), row])));
  const keys = new Set(reports.flatMap(({ report }) => report.rows.filter(hasGoal).map(keyOf)));
  const headings = [
    'work',
    'figure',
    'ours',
    ...reports.map(({ release }) => `to ${release}`),
    'goal',
    'met',
  ];
  return formatMarkdown(
    headings,
    inOrder(reports, keys).map((key) => {
      const rows = byRelease.map((byKey) => byKey.get(key));
      const known = rows.filter((row) => row !== undefined);
      const newest = known.at(-1)!;
      return [
        `\`${newest.case}\``,
        newest.figure,
        formatFigure(newest.ours, newest.unit),
        ...rows.map((row) => (row === undefined || row.ratio === null ? '–' : `${row.ratio.toFixed(2)} ×`)),
        newest.goal,
        known.every(({ isMet }) => isMet === true) ? 'yes' : 'no',
      ];
    }),
  );
}

function hasGoal({ isMet }: RowReport): boolean {
  return isMet !== null;
}

function keyOf(row: RowReport): string {
  return `${row.case}\n${row.figure}`;
}

/** The order of the cases, whichever of the reports has them. */
function inOrder(reports: readonly ReleaseReport[], keys: ReadonlySet<string>): readonly string[] {
  const longest = reports.toSorted((a, b) => b.report.rows.length - a.report.rows.length);
  return [...new Set(longest.flatMap(({ report }) => report.rows.map(keyOf)))].filter((key) => keys.has(key));
}
