/**
 * Scripted tests in the plain-text form known as "datadriven". A script is a sequence of steps, each a command line,
 * optional input, a line `----`, and the exact output that the command must have:
 *
 *     # A comment.
 *     add-nodes 3 voters=(1,2,3) index=10
 *     optional input, until the separator
 *     ----
 *     expected output, until an empty line or the end
 *
 * Output that has empty lines itself stands between doubled separators, `----` `----` before and after it. This
 * module parses and compares, and works on text alone: reading files and reporting is the test's.
 */

/** An argument of a command line: `key`, `key=value` or `key=(value, value)`. */
export interface ScriptArgument {
  readonly key: string;
  readonly values: readonly string[];
}

export interface ScriptStep {
  /** Of the command, counted from 1. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly ScriptArgument[];
  readonly input: string;
  /** With a newline at its end, unless empty. */
  readonly expected: string;
}

export interface ScriptResult {
  /** One text for each step whose output was not as expected. */
  readonly failures: readonly string[];
  /** The script with the actual output in place of the expected. */
  readonly rewritten: string;
}

/** A script that is not of the form. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
  readonly code = 'ERR_SCRIPT';
}

const SEPARATOR = '----';

/** Runs every step through `handle`, in order, and compares. */
export function runScript(text: string, handle: (step: ScriptStep) => string): ScriptResult {
  const failures: string[] = [];
  let rewritten = '';
  for (const { before, step } of parse(text)) {
    rewritten += before;
    if (step === null) continue;
    const output = handle(step);
    const actual = output === '' || output.endsWith('\n') ? output : `${output}\n`;
    if (actual !== step.expected) {
      failures.push(`line ${step.line}: ${step.command}\nexpected:\n${step.expected}actual:\n${actual}`);
    }
    rewritten += formatOutput(actual);
  }
  // The empty line behind the last step's output would end the file.
  return { failures, rewritten: rewritten.replace(/\n\n$/, '\n') };
}

export function parseScript(text: string): ScriptStep[] {
  const steps: ScriptStep[] = [];
  for (const { step } of parse(text)) if (step !== null) steps.push(step);
  return steps;
}

interface Part {
  /** The text before the expected output, copied as it is when a script is rewritten. */
  readonly before: string;
  /** null for what follows the last step. */
  readonly step: ScriptStep | null;
}

function* parse(text: string): Generator<Part> {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  let position = 0;
  while (position < lines.length) {
    const start = position;
    while (position < lines.length && isBlankOrComment(lines[position]!)) position++;
    if (position === lines.length) {
      yield { before: joinLines(lines.slice(start)), step: null };
      return;
    }
    const line = position + 1;
    let commandLine = lines[position++]!.trim();
    while (commandLine.endsWith('\\') && position < lines.length) {
      commandLine = `${commandLine.slice(0, -1)} ${lines[position++]!.trim()}`;
    }
    const { command, args } = parseCommand(commandLine, line);
    const inputStart = position;
    while (position < lines.length && lines[position] !== SEPARATOR) position++;
    if (position === lines.length) throw new ScriptError(`line ${line}: no ${SEPARATOR} after the command`);
    const input = lines.slice(inputStart, position++).join('\n');
    const before = joinLines(lines.slice(start, position));
    const output = readOutput(lines, position, line);
    position = output.end;
    yield { before, step: { line, command, args, input, expected: output.expected } };
  }
}

function readOutput(
  lines: readonly string[],
  start: number,
  line: number,
): { expected: string; end: number } {
  if (lines[start] === SEPARATOR) {
    let end = start + 1;
    while (end < lines.length && !(lines[end] === SEPARATOR && lines[end + 1] === SEPARATOR)) end++;
    if (end >= lines.length)
      throw new ScriptError(`line ${line}: output has no doubled ${SEPARATOR} at its end`);
    const isFollowedByBlank = lines[end + 2] === '';
    return { expected: joinLines(lines.slice(start + 1, end)), end: end + (isFollowedByBlank ? 3 : 2) };
  }
  let end = start;
  while (end < lines.length && lines[end]!.trim() !== '') end++;
  // The empty line that ends the output belongs to it.
  return { expected: joinLines(lines.slice(start, end)), end: Math.min(end + 1, lines.length) };
}

function formatOutput(output: string): string {
  if (!/^\s*$/m.test(output.slice(0, -1)) || output === '') return `${output}\n`;
  return `${SEPARATOR}\n${output}${SEPARATOR}\n${SEPARATOR}\n\n`;
}

function parseCommand(text: string, line: number): { command: string; args: ScriptArgument[] } {
  const command = /^[^\s=(),]+/.exec(text)?.[0];
  if (command === undefined) throw new ScriptError(`line ${line}: no command in '${text}'`);
  const args: ScriptArgument[] = [];
  const pattern = /\s+([^\s=(),]+)(?:=(?:\(([^()]*)\)|([^\s(),]*)))?/y;
  pattern.lastIndex = command.length;
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) {
      throw new ScriptError(`line ${line}: can't read the arguments from '${text.slice(at)}' on`);
    }
    args.push({ key: match[1]!, values: argumentValues(match[2], match[3]) });
  }
  return { command, args };
}

function argumentValues(list: string | undefined, single: string | undefined): string[] {
  if (list !== undefined)
    return list.trim() === '' ? [] : list.split(/[,\s]+/).filter((value) => value !== '');
  return single === undefined ? [] : [single];
}

function isBlankOrComment(line: string): boolean {
  const trimmed = line.trim();
  return trimmed === '' || trimmed.startsWith('#');
}

function joinLines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
