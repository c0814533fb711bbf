/**
 * What may follow on a command line, for the shells' completion. The protocol is cobra's, so that scripts which were made for
 * Go's program work with this one: one candidate a line, a description behind a tab, then `:` and a number that says what the
 * shell may add of its own.
 */
import { type Command, findCommand, flagsOf, last } from './command.ts';
import type { FlagDefinition } from './flag-set.ts';

/** The shell may offer files. */
const DEFAULT_DIRECTIVE = 0;
/** The shell offers nothing of its own. */
const NO_FILES_DIRECTIVE = 4;

interface Candidate {
  readonly text: string;
  readonly about: string;
}

/** The last of `words` is what has been typed of the next one. */
export function complete(root: Command, words: readonly string[], withDescriptions: boolean): string {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { candidates, directive } = candidatesFor(root, before, typed);
  const lines = candidates
    .filter(({ text }) => text.startsWith(typed))
    .map(({ text, about }) => (withDescriptions && about !== '' ? `${text}\t${about}` : text));
  return `${[...lines, `:${directive}`].join('\n')}\n`;
}

function candidatesFor(
  root: Command,
  before: readonly string[],
  typed: string,
): { readonly candidates: readonly Candidate[]; readonly directive: number } {
  const { path, rest } = findCommand(root, before);
  const flags = flagsOf(path);
  const pending = before.includes('--') ? undefined : flagOf(flags, before.at(-1) ?? '');
  if (pending !== undefined && pending.type !== 'bool') {
    const values = (pending.values ?? []).map((text) => ({ text, about: '' }));
    return { candidates: values, directive: DEFAULT_DIRECTIVE };
  }
  if (typed.startsWith('-')) {
    const candidates = flags.flatMap(({ name, short, usage }) => [
      { text: `--${name}`, about: usage },
      ...(short === undefined ? [] : [{ text: `-${short}`, about: usage }]),
    ]);
    return { candidates, directive: NO_FILES_DIRECTIVE };
  }
  const command = last(path);
  const isNaming = command.commands !== undefined && !rest.some((word) => !word.startsWith('-'));
  if (isNaming) {
    const shown = (command.commands ?? []).filter(({ isHidden }) => isHidden !== true);
    const candidates = shown.map(({ name, summary }) => ({ text: name, about: summary }));
    return { candidates, directive: NO_FILES_DIRECTIVE };
  }
  const candidates = (command.argumentValues ?? []).map((text) => ({ text, about: '' }));
  return { candidates, directive: DEFAULT_DIRECTIVE };
}

function flagOf(flags: readonly FlagDefinition[], word: string): FlagDefinition | undefined {
  return flags.find(
    ({ name, short }) => word === `--${name}` || (short !== undefined && word === `-${short}`),
  );
}
