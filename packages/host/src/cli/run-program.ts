/** Runs the command that a command line names, and says what is wrong with one that names none. */
import { type Command, type Found, findCommand, flagsOf, last, pathName } from './command.ts';
import { complete } from './complete.ts';
import { ExitError } from './exit-error.ts';
import { type FlagValues, parseFlags } from './flag-set.ts';
import { helpText, usageText } from './help.ts';
import type { Io } from './io.ts';

export interface ProgramOptions {
  /** Printed behind every help. */
  readonly helpEnding?: string | undefined;
  /** The line for whatever a command throws that is no ExitError. */
  readonly describe?: ((error: unknown) => string) | undefined;
}

/** Commands whose name differs by at most this many letters are suggested. */
const SUGGESTION_DISTANCE = 2;
const USAGE_ERROR = 1;

/** Resolves with the exit code. */
export async function runProgram(
  root: Command,
  words: readonly string[],
  io: Io,
  options: ProgramOptions = {},
): Promise<number> {
  if (words[0] === '__complete' || words[0] === '__completeNoDesc') {
    io.out(complete(root, words.slice(1), words[0] === '__complete'));
    return 0;
  }
  const asksHelp = words[0] === 'help';
  const found = findCommand(root, asksHelp ? words.slice(1) : words);
  if (asksHelp) return showHelpTopic(found, io, options);
  const command = last(found.path);
  if (command.run === undefined) {
    const unknown = found.rest.find((word) => !word.startsWith('-'));
    if (unknown !== undefined && found.path.length === 1) return refuseCommand(root, unknown, io);
  }
  const parsed = parseFlags(flagsOf(found.path), found.rest);
  if (typeof parsed === 'string') return refuseUsage(found.path, parsed, io);
  if (parsed.values.bool('help') || command.run === undefined) return showHelp(found.path, io, options);
  const problem =
    command.argumentProblem?.(parsed.args, pathName(found.path)) ?? missingFlags(parsed.values) ?? null;
  if (problem !== null) return refuseUsage(found.path, problem, io);
  const { values: flags, args, dashAt } = parsed;
  try {
    await command.run({ flags, args, dashAt, words, io, root });
    return 0;
  } catch (error) {
    const message = error instanceof ExitError ? error.message : (options.describe ?? String)(error);
    if (message !== '') io.error(`Error: ${message}`);
    return error instanceof ExitError ? error.exitCode : 1;
  }
}

/** In the words of cobra. */
function missingFlags(flags: FlagValues): string | null {
  const missing = flags.definitions.filter((flag) => flag.isRequired === true && !flags.isSet(flag.name));
  if (missing.length === 0) return null;
  const names = missing.map(({ name }) => JSON.stringify(name)).sort();
  return `required flag(s) ${names.join(', ')} not set`;
}

function showHelp(path: readonly Command[], io: Io, { helpEnding }: ProgramOptions): number {
  io.out(helpText(path));
  if (helpEnding !== undefined) io.line(helpEnding);
  return 0;
}

function showHelpTopic({ path, rest }: Found, io: Io, options: ProgramOptions): number {
  const topic = rest.filter((word) => !word.startsWith('-'));
  if (topic.length === 0) return showHelp(path, io, options);
  io.errorText(`Unknown help topic [${topic.map((word) => `\`${word}\``).join(' ')}]\n${usageText(path)}`);
  return 0;
}

function refuseUsage(path: readonly Command[], problem: string, io: Io): number {
  io.errorText(`Error: ${problem}\n${usageText(path)}\n`);
  return USAGE_ERROR;
}

function refuseCommand(root: Command, word: string, io: Io): number {
  const names = (root.commands ?? []).filter(({ isHidden }) => isHidden !== true).map(({ name }) => name);
  const near = names.filter((name) => distance(name, word) <= SUGGESTION_DISTANCE || name.startsWith(word));
  const suggestion =
    near.length === 0 ? '' : `\n\nDid you mean this?\n${near.map((name) => `\t${name}\n`).join('')}`;
  const problem = `unknown command ${JSON.stringify(word)} for ${JSON.stringify(root.name)}${suggestion}`;
  io.error(`Error: ${problem}\nRun '${root.name} --help' for usage.`);
  return USAGE_ERROR;
}

/** How many letters must be changed, added or removed to make one word of the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
