/**
 * A configuration file, YAML or JSON: the flags' values under their config keys, some of them in sections. Its values
 * become the same texts that a command line would carry, so that one set of rules reads both. Durations are numbers of
 * nanoseconds, as etcd has them; the text form of the command line is understood too.
 */
import { ConfigError } from './config-error.ts';
import type { FlagSpec } from './flag-spec.ts';
import { FILE_SETTINGS, FLAG_TABLE } from './flag-table.ts';
import { LEGACY_FLAGS } from './legacy-flags.ts';

export interface ParsedDocument {
  /** Plain objects. */
  readonly value: unknown;
  /** By key, with dots between levels: the line on which it stands. */
  readonly lines: ReadonlyMap<string, number>;
}

/** Rejects with a message that says what is wrong and where, a line of it for each mistake. */
export type DocumentParser = (text: string) => Promise<ParsedDocument>;

export interface FileSettings {
  /** Texts by the name of the flag or old spelling. */
  readonly texts: ReadonlyMap<string, string>;
  /** Keys that nothing reads. */
  readonly unknownKeys: readonly string[];
  /** Where the flag or old spelling stands: `path:line`, or the path. */
  readonly placeOf: (name: string) => string;
  /** Values of the wrong type. */
  readonly problems: readonly ConfigError[];
}

/** Sections lie inside each other at most this deep (`discovery-config.client.secure.cert`). */
const MAX_DEPTH = 4;

export async function readConfigFile(
  path: string,
  text: string,
  parse: DocumentParser,
): Promise<FileSettings> {
  const document = await parseWith(parse, path, text);
  const texts = new Map<string, string>();
  const places = new Map<string, string>();
  const unknownKeys: string[] = [];
  const problems: ConfigError[] = [];
  const placeOf = (name: string): string => places.get(name) ?? path;
  const { value: top, lines } = document;
  const result = { texts, unknownKeys, placeOf, problems };
  if (top === null || top === undefined) return result;
  if (!isSection(top)) throw new ConfigError('invalid', `${path}: not a map of settings`);
  const visit = (section: Readonly<Record<string, unknown>>, prefix: string, depth: number): void => {
    for (const [name, value] of Object.entries(section)) {
      const key = prefix + name;
      const line = lines.get(key);
      const place = line === undefined ? path : `${path}:${line}`;
      const target = NAMES_BY_KEY.get(key);
      if (target !== undefined) {
        places.set(target.name, place);
        const flagText = flagTextOf(target, value);
        if (flagText === undefined) problems.push(wrongType(place, key, target));
        else if (flagText !== null) texts.set(target.name, flagText);
      } else if (isSection(value) && depth < MAX_DEPTH) {
        visit(value, `${key}.`, depth + 1);
      } else {
        unknownKeys.push(key);
      }
    }
  };
  visit(top, '', 1);
  return result;
}

async function parseWith(parse: DocumentParser, path: string, text: string): Promise<ParsedDocument> {
  try {
    return await parse(text);
  } catch (error) {
    const reasons = (error instanceof Error ? error.message : String(error)).split('\n');
    const [first, ...others] = reasons.map(
      (reason) => new ConfigError('invalid', `error converting YAML to JSON: ${path}: ${reason}`),
    );
    throw new ConfigError('invalid', first!.message, others);
  }
}

interface Target {
  readonly name: string;
  readonly spec: FlagSpec | null;
}

const NAMES_BY_KEY: ReadonlyMap<string, Target> = new Map<string, Target>([
  ...[...FLAG_TABLE.values(), ...FILE_SETTINGS.values()].flatMap((spec): [string, Target][] =>
    spec.configKey === null ? [] : [[spec.configKey, { name: spec.name, spec }]],
  ),
  ...[...LEGACY_FLAGS].map(([name, flag]): [string, Target] => [
    name,
    { name, spec: flag.means === 'flag' ? (FLAG_TABLE.get(flag.target) ?? null) : null },
  ]),
]);

/** null where the file leaves the flag as it is, undefined where the value has the wrong type. */
function flagTextOf({ spec }: Target, value: unknown): string | null | undefined {
  if (value === null || value === undefined) return null;
  switch (typeof value) {
    case 'boolean':
      return spec === null || spec.kind === 'bool' ? String(value) : undefined;
    case 'number':
    case 'bigint':
      if (spec === null) return String(value);
      if (spec.kind === 'duration') return `${integerText(value)}ns`;
      // `name: 1` and `auto-compaction-retention: 1` are what somebody means who leaves the quotes out.
      return spec.kind === 'bool' ? undefined : integerText(value);
    case 'string':
      return spec?.kind === 'bool' && value === '' ? null : value;
    default:
      return Array.isArray(value) && spec !== null && LIST_KINDS.has(spec.kind) ? value.join(',') : undefined;
  }
}

const LIST_KINDS: ReadonlySet<string> = new Set(['strings', 'string-set', 'urls', 'origins', 'some-of']);

/** Without an exponent, which Go's integers do not have. */
function integerText(value: number | bigint): string {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value).toString() : String(value);
}

function wrongType(place: string, key: string, { spec }: Target): ConfigError {
  const wanted = spec === null || spec.kind === 'bool' ? 'true or false' : `a value of type ${spec.kind}`;
  return new ConfigError('invalid', `${place}: ${key} must be ${wanted}`);
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
