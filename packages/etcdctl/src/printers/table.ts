/** The format `table`: boxes, heads in the middle, cells to the right. */

import { type Printer, unsupported } from './printer.ts';
import { hashRows, healthRows, memberRows, type Rows, statusRows } from './rows.ts';

const no = unsupported('table');

export const TABLE_PRINTER: Printer = {
  del: no,
  get: no,
  put: no,
  txn: no,
  watch: no,
  leaseGrant: no,
  leaseRevoke: no,
  leaseKeepAlive: no,
  leaseTimeToLive: no,
  leaseList: no,
  memberAdd: no,
  memberRemove: no,
  memberUpdate: no,
  memberPromote: no,
  memberList: ({ response }) => drawTable(memberRows(response)),
  endpointHealth: (list) => drawTable(healthRows(list)),
  endpointStatus: (list) => drawTable(statusRows(list)),
  endpointHash: (list) => drawTable(hashRows(list)),
  moveLeader: no,
  downgrade: no,
  alarm: no,
  roleAdd: no,
  roleGet: no,
  roleDelete: no,
  roleList: no,
  roleGrantPermission: no,
  roleRevokePermission: no,
  userAdd: no,
  userGet: no,
  userList: no,
  userChangePassword: no,
  userGrantRole: no,
  userRevokeRole: no,
  userDelete: no,
  authStatus: no,
};

export function drawTable({ head, rows }: Rows): string {
  const titles = head.map((title) => title.toUpperCase().replaceAll('_', ' '));
  const widths = titles.map((title, i) => Math.max(width(title), ...rows.map((row) => width(row[i] ?? ''))));
  const rule = (left: string, middle: string, right: string): string =>
    left + widths.map((columns) => '─'.repeat(columns + 2)).join(middle) + right;
  const line = (cells: readonly string[]): string => `│ ${cells.join(' │ ')} │`;
  const lines = [
    rule('┌', '┬', '┐'),
    line(titles.map((title, i) => centered(title, widths[i] ?? 0))),
    rule('├', '┼', '┤'),
    ...rows.map((row) => line(row.map((cell, i) => padding(cell, widths[i] ?? 0) + cell))),
    rule('└', '┴', '┘'),
  ];
  return `${lines.join('\n')}\n`;
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
