/** A command as a value, and how a command line finds it. */
import type { FlagDefinition, FlagValues } from './flag-set.ts';
import type { Io } from './io.ts';

/** One call of a command. */
export interface Invocation {
  readonly flags: FlagValues;
  readonly args: readonly string[];
  /** How many of {@link args} stand before `--`; -1 without one. */
  readonly dashAt: number;
  /** The command line as it was given, without the program. */
  readonly words: readonly string[];
  readonly io: Io;
  readonly root: Command;
}

export interface Command {
  readonly name: string;
  /** Behind the name, as `[options] <key>`. */
  readonly usage: string;
  readonly summary: string;
  /** Instead of the summary where there is more to say. */
  readonly description?: string | undefined;
  readonly examples?: string | undefined;
  /** Heading under which the root's help lists it. */
  readonly group?: string | undefined;
  readonly isHidden?: boolean | undefined;
  readonly flags?: readonly FlagDefinition[] | undefined;
  /** Flags of this command and of all below it. */
  readonly sharedFlags?: readonly FlagDefinition[] | undefined;
  readonly commands?: readonly Command[] | undefined;
  /** What is wrong with the arguments, as a usage error; null for nothing. */
  readonly argumentProblem?: ((args: readonly string[], path: string) => string | null) | undefined;
  /** Arguments that completion offers. */
  readonly argumentValues?: readonly string[] | undefined;
  readonly run?: ((invocation: Invocation) => void | Promise<void>) | undefined;
}

/** A command with those above it. */
export interface Found {
  /** From the root on; never empty. */
  readonly path: readonly Command[];
  /** The command line without the names of the path. */
  readonly rest: readonly string[];
}

const HELP_FLAG: FlagDefinition = { name: 'help', short: 'h', type: 'bool', usage: 'show this help' };

export function last(path: readonly Command[]): Command {
  const command = path.at(-1);
  if (command === undefined) throw new RangeError('a path of commands has a root');
  return command;
}

/** Everything that may be given to the last command of `path`. */
export function flagsOf(path: readonly Command[]): FlagDefinition[] {
  const command = last(path);
  return [
    ...(command.flags ?? []),
    ...path.flatMap(({ sharedFlags }) => sharedFlags ?? []),
    { ...HELP_FLAG, usage: `help for ${command.name}` },
  ];
}

/** `etcdctl lease grant`. */
export function pathName(path: readonly Command[]): string {
  return path.map(({ name }) => name).join(' ');
}

/**
 * The command that `words` name. Flags may stand before and between the names, those of a command before the command
 * itself too.
 */
export function findCommand(root: Command, words: readonly string[]): Found {
  const path = [root];
  const rest: string[] = [];
  const takesValue = valueTakers(root);
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const below = last(path).commands;
    if (word === '--' || below === undefined) {
      rest.push(...words.slice(at));
      break;
    }
    if (word.startsWith('-') && word !== '-') {
      rest.push(word);
      const next = words[at + 1];
      if (takesValue(word) && next !== undefined) {
        rest.push(next);
        at++;
      }
      continue;
    }
    const command = matching(below, word);
    if (command === null) {
      rest.push(...words.slice(at));
      break;
    }
    path.push(command);
  }
  return { path, rest };
}

/** By its whole name, or by a prefix that no other has. */
function matching(commands: readonly Command[], word: string): Command | null {
  const exact = commands.find(({ name }) => name === word);
  if (exact !== undefined) return exact;
  const candidates = commands.filter(({ name, isHidden }) => isHidden !== true && name.startsWith(word));
  return candidates.length === 1 && word !== '' ? (candidates[0] ?? null) : null;
}

/** Whether a word is a flag whose value is the next word, by all the flags of the tree. */
function valueTakers(root: Command): (word: string) => boolean {
  const names = new Set<string>();
  const collect = ({ flags, sharedFlags, commands }: Command): void => {
    for (const { name, short, type } of [...(flags ?? []), ...(sharedFlags ?? [])]) {
      if (type === 'bool') continue;
      names.add(`--${name}`);
      if (short !== undefined) names.add(`-${short}`);
    }
    for (const command of commands ?? []) collect(command);
  };
  collect(root);
  return (word) => names.has(word);
}
