/** Tables in boxes, as etcd's tools print them: heads in the middle, cells to the right. */
import { NO_TERMINAL, type Terminal } from './terminal.ts';

export interface Rows {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** `terminal` shows the heads in bold. */
export function drawTable({ head, rows }: Rows, terminal: Terminal = NO_TERMINAL): string {
  const titles = head.map((title) => title.toUpperCase().replaceAll('_', ' '));
  const widths = titles.map((title, i) => Math.max(width(title), ...rows.map((row) => width(row[i] ?? ''))));
  const rule = (left: string, middle: string, right: string): string =>
    left + widths.map((columns) => '─'.repeat(columns + 2)).join(middle) + right;
  const line = (cells: readonly string[]): string => `│ ${cells.join(' │ ')} │`;
  const lines = [
    rule('┌', '┬', '┐'),
    line(titles.map((title, i) => terminal.paint('bold', centered(title, widths[i] ?? 0)))),
    rule('├', '┼', '┤'),
    ...rows.map((row) => line(row.map((cell, i) => padding(cell, widths[i] ?? 0) + cell))),
    rule('└', '┴', '┘'),
  ];
  return `${lines.join('\n')}\n`;
}

/** Rows whose cells stand between commas; one below the other on a terminal. */
export function drawCommaRows({ rows }: Rows, terminal: Terminal = NO_TERMINAL): string {
  if (!terminal.isTerminal) return rows.map((row) => `${row.join(', ')}\n`).join('');
  const last = (rows[0]?.length ?? 0) - 1;
  const widths = Array.from({ length: last }, (_, i) => Math.max(...rows.map((row) => width(row[i] ?? ''))));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === last ? cell : `${cell}, ${padding(cell, widths[i] ?? 0)}`)).join('');
  return rows.map((row) => `${line(row)}\n`).join('');
}

function centered(text: string, columns: number): string {
  const left = Math.floor((columns - width(text)) / 2);
  return ' '.repeat(left) + text + ' '.repeat(columns - width(text) - left);
}

function padding(text: string, columns: number): string {
  return ' '.repeat(columns - width(text));
}

/** Columns on a terminal, as far as names and addresses go: one for each character. */
function width(text: string): number {
  return [...text].length;
}
