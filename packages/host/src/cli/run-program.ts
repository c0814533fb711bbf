/** Runs the command that a command line names, and says what is wrong with one that names none. */
import { type Command, type Found, findCommand, flagsOf, last, pathName } from './command.ts';
import { complete } from './complete.ts';
import { ExitError } from './exit-error.ts';
import { type FlagValues, parseFlags } from './flag-set.ts';
import { helpText, usageText } from './help.ts';
import type { Io } from './io.ts';
import { nearWords, suggestion } from './near-words.ts';

export interface ProgramOptions {
  /** Printed behind every help. */
  readonly helpEnding?: string | undefined;
  /** The line for whatever a command throws that is no ExitError. */
  readonly describe?: ((error: unknown) => string) | undefined;
  /** What to try after an error, told on a terminal; null for nothing. */
  readonly hint?: ((message: string) => string | null) | undefined;
}

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
  if (parsed.values.bool('help')) return showHelp(found.path, io, options);
  if (command.run === undefined) {
    // Below the root etcd's tools print help and end well; what was meant is told beside it.
    const [unknown] = parsed.args;
    const near = unknown === undefined ? [] : nearWords(unknown, commandNames(command));
    io.errorText(suggestion(near).trimStart());
    return showHelp(found.path, io, options);
  }
  const problem =
    command.argumentProblem?.(parsed.args, pathName(found.path)) ?? missingFlags(parsed.values) ?? null;
  if (problem !== null) return refuseUsage(found.path, problem, io);
  const { values: flags, args, dashAt } = parsed;
  try {
    await command.run({ flags, args, dashAt, words, io, root });
    return 0;
  } catch (error) {
    const message = error instanceof ExitError ? error.message : (options.describe ?? String)(error);
    if (message !== '') io.error(`${errorHead(io)} ${message}`);
    const hint = io.errorTerminal.isTerminal ? (options.hint?.(message) ?? null) : null;
    if (hint !== null) io.error(io.errorTerminal.paint('dim', `hint: ${hint}`));
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
  const flag = /^unknown flag: --(.+)$/.exec(problem)?.[1];
  const flags = flagsOf(path).filter(({ isHidden }) => isHidden !== true);
  const near =
    flag === undefined
      ? []
      : nearWords(
          flag,
          flags.map(({ name }) => name),
        );
  const suggested = suggestion(near.map((name) => `--${name}`)).slice(1);
  io.errorText(`${errorHead(io)} ${problem}\n${usageText(path)}${suggested}\n`);
  return USAGE_ERROR;
}

function refuseCommand(root: Command, word: string, io: Io): number {
  const suggested = suggestion(nearWords(word, commandNames(root)));
  const problem = `unknown command ${JSON.stringify(word)} for ${JSON.stringify(root.name)}${suggested}`;
  io.error(`${errorHead(io)} ${problem}\nRun '${root.name} --help' for usage.`);
  return USAGE_ERROR;
}

function commandNames({ commands }: Command): string[] {
  return (commands ?? []).filter(({ isHidden }) => isHidden !== true).map(({ name }) => name);
}

function errorHead({ errorTerminal }: Io): string {
  return errorTerminal.paint('red', 'Error:');
}
