/** Flags of a command line: what there may be, how it is read, what was given. The words of errors are pflag's. */

import { formatGoDuration, parseGoDuration } from '../args/go-duration.ts';
import { parseGoBool, parseGoInteger } from '../args/go-number.ts';

export type FlagType = 'bool' | 'string' | 'int' | 'int64' | 'uint' | 'float64' | 'duration' | 'strings';

export interface FlagDefinition {
  readonly name: string;
  /** One letter. */
  readonly short?: string | undefined;
  readonly type: FlagType;
  /** As it would be written; what is zero for the type unless told. */
  readonly default?: string | undefined;
  readonly usage: string;
  /** Read, but not shown. */
  readonly isHidden?: boolean | undefined;
  /** The command can't do without it. */
  readonly isRequired?: boolean | undefined;
  /** Values that completion offers. */
  readonly values?: readonly string[] | undefined;
}

type Value = boolean | string | bigint | number | readonly string[];

export interface ParsedFlags {
  readonly values: FlagValues;
  /** What is no flag. */
  readonly args: readonly string[];
  /** How many of {@link args} stand before `--`; -1 without one. */
  readonly dashAt: number;
}

const ZERO: Readonly<Record<FlagType, string>> = {
  bool: 'false',
  string: '',
  int: '0',
  int64: '0',
  uint: '0',
  float64: '0',
  duration: '0s',
  strings: '',
};

/** What was given, and what stands where nothing was. */
export class FlagValues {
  readonly #definitions: ReadonlyMap<string, FlagDefinition>;
  readonly #values = new Map<string, Value>();
  readonly #given = new Set<string>();

  constructor(definitions: readonly FlagDefinition[]) {
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]));
    for (const definition of definitions) {
      const read = readValue(definition, definition.default ?? ZERO[definition.type]);
      if (read.error === undefined) this.#values.set(definition.name, read.value);
    }
  }

  get definitions(): readonly FlagDefinition[] {
    return [...this.#definitions.values()];
  }

  /** Whether it was given, on the command line or by {@link set}. */
  isSet(name: string): boolean {
    return this.#given.has(name);
  }

  bool(name: string): boolean {
    return this.#values.get(name) === true;
  }

  text(name: string): string {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : '';
  }

  /** Beyond 2^53 the nearest number. */
  number(name: string): number {
    return Number(this.#values.get(name) ?? 0);
  }

  durationMs(name: string): number {
    const value = this.#values.get(name);
    return typeof value === 'number' ? value : 0;
  }

  list(name: string): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? value : [];
  }

  /** The value as it would be written. */
  written(name: string): string {
    const value = this.#values.get(name);
    if (Array.isArray(value)) return `[${value.join(',')}]`;
    if (this.#definitions.get(name)?.type === 'duration') return formatGoDuration(this.durationMs(name));
    return value === undefined ? '' : String(value);
  }

  /** Returns what is wrong with `text`, or the empty string. */
  set(name: string, text: string): string {
    const definition = this.#definitions.get(name);
    if (definition === undefined) return `no such flag -${name}`;
    const read = readValue(definition, text);
    if (read.error !== undefined) return read.error;
    const before = this.#values.get(name);
    const isMore = definition.type === 'strings' && this.#given.has(name) && Array.isArray(before);
    this.#values.set(name, isMore && Array.isArray(read.value) ? [...before, ...read.value] : read.value);
    this.#given.add(name);
    return '';
  }
}

/** Reads `words`; an error is its text. */
export function parseFlags(
  definitions: readonly FlagDefinition[],
  words: readonly string[],
): ParsedFlags | string {
  const values = new FlagValues(definitions);
  const byName = new Map(definitions.map((definition) => [definition.name, definition]));
  const byShort = new Map(definitions.map((definition) => [definition.short ?? '', definition]));
  const args: string[] = [];
  let dashAt = -1;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') {
      dashAt = args.length;
      args.push(...words.slice(at + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      args.push(word);
      continue;
    }
    const reader = word.startsWith('--') ? readLong : readShort;
    const result = reader(word, words[at + 1], byName, byShort, values);
    if (typeof result === 'string') return result;
    if (result) at++;
  }
  return { values, args, dashAt };
}

/** Whether the next word was used; text is an error. */
type Read = boolean | string;

function readLong(
  word: string,
  next: string | undefined,
  byName: ReadonlyMap<string, FlagDefinition>,
  _byShort: ReadonlyMap<string, FlagDefinition>,
  values: FlagValues,
): Read {
  const body = word.slice(2);
  if (body.startsWith('-') || body.startsWith('=')) return `bad flag syntax: ${word}`;
  const equals = body.indexOf('=');
  const name = equals < 0 ? body : body.slice(0, equals);
  const definition = byName.get(name);
  if (definition === undefined) return `unknown flag: --${name}`;
  if (equals >= 0) return assign(definition, body.slice(equals + 1), values, false);
  if (definition.type === 'bool') return assign(definition, 'true', values, false);
  if (next === undefined) return `flag needs an argument: --${name}`;
  return assign(definition, next, values, true);
}

function readShort(
  word: string,
  next: string | undefined,
  _byName: ReadonlyMap<string, FlagDefinition>,
  byShort: ReadonlyMap<string, FlagDefinition>,
  values: FlagValues,
): Read {
  const letters = word.slice(1);
  for (let at = 0; at < letters.length; at++) {
    const letter = letters.charAt(at);
    const definition = byShort.get(letter);
    if (definition === undefined) return `unknown shorthand flag: '${letter}' in -${letters.slice(at)}`;
    const rest = letters.slice(at + 1);
    if (rest.startsWith('=')) return assign(definition, rest.slice(1), values, false);
    if (definition.type === 'bool') {
      const error = assign(definition, 'true', values, false);
      if (typeof error === 'string') return error;
    } else if (rest !== '') {
      return assign(definition, rest, values, false);
    } else if (next === undefined) {
      return `flag needs an argument: '${letter}' in -${letters.slice(at)}`;
    } else {
      return assign(definition, next, values, true);
    }
  }
  return false;
}

function assign(definition: FlagDefinition, text: string, values: FlagValues, usesNext: boolean): Read {
  const problem = values.set(definition.name, text);
  if (problem === '') return usesNext;
  const spelling =
    definition.short === undefined ? `--${definition.name}` : `-${definition.short}, --${definition.name}`;
  return `invalid argument ${JSON.stringify(text)} for "${spelling}" flag: ${problem}`;
}

type ReadValue =
  | { readonly value: Value; readonly error?: undefined }
  | { readonly value?: undefined; readonly error: string };

function readValue({ type }: FlagDefinition, text: string): ReadValue {
  const quoted = JSON.stringify(text);
  switch (type) {
    case 'string':
      return { value: text };
    case 'strings':
      return { value: text === '' ? [] : splitList(text) };
    case 'bool': {
      const value = parseGoBool(text);
      return value === null ? { error: `strconv.ParseBool: parsing ${quoted}: invalid syntax` } : { value };
    }
    case 'float64': {
      const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null;
      return value === null ? { error: `strconv.ParseFloat: parsing ${quoted}: invalid syntax` } : { value };
    }
    case 'duration': {
      const { durationMs, error } = parseGoDuration(text);
      return durationMs === undefined ? { error: error ?? '' } : { value: durationMs };
    }
    default: {
      const { value, problem } = parseGoInteger(text, type);
      if (value !== undefined) return { value };
      const parser = type === 'uint' ? 'ParseUint' : 'ParseInt';
      const what = problem === 'range' ? 'value out of range' : 'invalid syntax';
      return { error: `strconv.${parser}: parsing ${quoted}: ${what}` };
    }
  }
}

/** Comma-separated values, of which one that contains a comma stands in double quotes. */
function splitList(text: string): string[] {
  const items: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/gy;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    items.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (pattern.lastIndex >= text.length && !match[0].endsWith(',')) break;
  }
  return items;
}
