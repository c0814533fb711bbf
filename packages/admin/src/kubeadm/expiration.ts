/** How long certificates are good for, as a table for people. */
import { PairFiles } from '../pki/pair-files.ts';
import { ETCD_AUTHORITY, LEAVES } from './certificates.ts';

const MIN_WIDTH = 10;
const GAP = 3;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export function expirationTable(directory: string, nowMs: number = Date.now()): string {
  const files = new PairFiles(directory);
  const leaves = [...LEAVES]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, baseName }) => {
      if (!files.hasCertificate(baseName)) return [`!MISSING! ${name}`, '', '', '', ''];
      const until = Date.parse(files.certificate(baseName).validTo);
      const isManaged = files.hasKey(ETCD_AUTHORITY.baseName);
      return [name, dateText(until), residual(until - nowMs), ETCD_AUTHORITY.name, isManaged ? 'no' : 'yes'];
    });
  const { name, baseName } = ETCD_AUTHORITY;
  const isThere = files.hasCertificate(baseName);
  const until = isThere ? Date.parse(files.certificate(baseName).validTo) : 0;
  const authority = isThere
    ? [name, dateText(until), residual(until - nowMs), files.hasKey(baseName) ? 'no' : 'yes']
    : [`!MISSING! ${name}`, '', '', ''];
  return [
    ...columns([
      ['CERTIFICATE', 'EXPIRES', 'RESIDUAL TIME', 'CERTIFICATE AUTHORITY', 'EXTERNALLY MANAGED'],
      ...leaves,
    ]),
    '',
    ...columns([['CERTIFICATE AUTHORITY', 'EXPIRES', 'RESIDUAL TIME', 'EXTERNALLY MANAGED'], authority]),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length + GAP), MIN_WIDTH));
  return rows.map((row) =>
    row.map((cell, i) => (i === row.length - 1 ? cell.padEnd(8) : cell.padEnd(widths[i]!))).join(''),
  );
}

function dateText(ms: number): string {
  const date = new Date(ms);
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = `${MONTHS[date.getUTCMonth()]} ${two(date.getUTCDate())}, ${date.getUTCFullYear()}`;
  return `${day} ${two(date.getUTCHours())}:${two(date.getUTCMinutes())} UTC`;
}

/** In the largest unit of which there is one. */
function residual(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  const days = Math.trunc(seconds / 86_400);
  if (days >= 365) return `${Math.trunc(days / 365)}y`;
  if (days >= 1) return `${days}d`;
  if (seconds >= 3600) return `${Math.trunc(seconds / 3600)}h`;
  return seconds >= 60 ? `${Math.trunc(seconds / 60)}m` : `${seconds}s`;
}
