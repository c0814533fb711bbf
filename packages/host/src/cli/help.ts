/** Help, made from the tree of commands. */
import { type Command, flagsOf, last, pathName } from './command.ts';
import type { FlagDefinition } from './flag-set.ts';

const TYPE_NAMES: Readonly<Record<string, string>> = { bool: '', int64: 'int' };
/** Defaults that need not be told. */
const ZEROS: ReadonlySet<string> = new Set(['', 'false', '0', '0s']);

/** What a command is for and how it is called. */
export function helpText(path: readonly Command[]): string {
  const command = last(path);
  const about = (command.description ?? command.summary).trim();
  return `${about}\n\n${usageText(path)}`;
}

/** How a command is called: behind an error, and as the second part of its help. */
export function usageText(path: readonly Command[]): string {
  const command = last(path);
  const name = pathName(path);
  const shown = flagsOf(path).filter(({ isHidden }) => isHidden !== true);
  const usage = command.usage === '' ? name : `${name} ${command.usage}`;
  const lines = ['Usage:'];
  if (command.run !== undefined) lines.push(`  ${usage}`);
  const below = (command.commands ?? []).filter(({ isHidden }) => isHidden !== true);
  if (below.length > 0) lines.push(`  ${name} [command]`, ...commandLists(below));
  if (command.examples !== undefined) lines.push('', 'Examples:', command.examples.trimEnd());
  // The root's are listed by a command of their own.
  const flags = path.length === 1 ? shown.filter((flag) => flag.name === 'help') : shown;
  if (flags.length > 0) lines.push('', 'Flags:', flagUsages(flags).trimEnd());
  if (below.length > 0)
    lines.push('', `Use "${name} [command] --help" for more information about a command.`);
  return `${lines.join('\n')}\n`;
}

function commandLists(commands: readonly Command[]): string[] {
  const width = Math.max(11, ...commands.map(({ name }) => name.length));
  const row = ({ name, summary }: Command): string => `  ${name.padEnd(width)} ${summary}`;
  const sorted = [...commands].sort((a, b) => (a.name < b.name ? -1 : 1));
  const groups = [...new Set(commands.map(({ group }) => group))];
  const lines: string[] = [];
  for (const group of groups) {
    lines.push('', group ?? (groups.length > 1 ? 'Additional Commands:' : 'Available Commands:'));
    lines.push(...sorted.filter((command) => command.group === group).map(row));
  }
  return lines;
}

/** One line for each flag, in order of their names. */
export function flagUsages(flags: readonly FlagDefinition[]): string {
  const sorted = [...flags].sort((a, b) => (a.name < b.name ? -1 : 1));
  const heads = sorted.map((flag) => {
    const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
    const type = TYPE_NAMES[flag.type] ?? flag.type;
    return `  ${short}--${flag.name}${type === '' ? '' : ` ${type}`}`;
  });
  const width = Math.max(...heads.map((head) => head.length));
  const rows = sorted.map((flag, i) => {
    const told = flag.default ?? '';
    const value =
      flag.type === 'string' ? JSON.stringify(told) : flag.type === 'strings' ? `[${told}]` : told;
    const ending = ZEROS.has(told) ? '' : ` (default ${value})`;
    return `${(heads[i] ?? '').padEnd(width)}   ${flag.usage}${ending}`;
  });
  return `${rows.join('\n')}\n`;
}
