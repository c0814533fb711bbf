/** `--log-rotation-config-json`, read as Go's decoder reads it into the fields of lumberjack. */
import { JsonError, type JsonNode, parseWholeJson } from '@etcd/api/json';
import type { LogRotation } from '@etcd/host/logging';
import { ConfigError } from './config-error.ts';
import type { FlagSet } from './flag-set.ts';

const NOT_FILES: ReadonlySet<string> = new Set(['default', 'stderr', 'stdout']);

/** What Go names in its errors, and what each field has to be. */
const FIELDS = {
  maxsize: 'int',
  maxage: 'int',
  maxbackups: 'int',
  localtime: 'bool',
  compress: 'bool',
  filename: 'string',
} as const;
type Field = keyof typeof FIELDS;

/** Null: logs are not rotated. Throws {@link ConfigError}. */
export function logRotation(flags: FlagSet): LogRotation | null {
  if (!flags.bool('enable-log-rotation')) return null;
  const outputs = flags.strings('log-outputs');
  const files = outputs.filter((output) => !NOT_FILES.has(output));
  if (files.length > 1 || (files.length === 0 && outputs.length <= 1)) {
    refuse('--log-outputs requires a single file path when --log-rotate-config-json is defined');
  }
  return parseLogRotation(flags.string('log-rotation-config-json'));
}

function parseLogRotation(text: string): LogRotation {
  const values = readFields(parseWhole(text));
  const number = (field: Field): number => {
    const value = Number(values.get(field) ?? 0);
    return value >= 0 ? value : refuse(`invalid log rotation config: ${field} must not be negative`);
  };
  return {
    maxSizeMegabytes: number('maxsize'),
    maxAgeDays: number('maxage'),
    maxBackups: number('maxbackups'),
    isLocalTime: values.get('localtime') === 'true',
    isCompressed: values.get('compress') === 'true',
  };
}

function parseWhole(text: string): JsonNode {
  const malformed = (reason: string): never => refuse(`improperly formatted log rotation config: ${reason}`);
  try {
    const node = parseWholeJson(text);
    return node ?? malformed(UNEXPECTED_END);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return malformed(error.message === 'unexpected EOF' ? UNEXPECTED_END : error.message);
  }
}

const UNEXPECTED_END = 'unexpected end of JSON input';

/** The raw values of the fields that are there. A name may be written in any case, as Go's decoder has it. */
function readFields(node: JsonNode): ReadonlyMap<Field, string> {
  const values = new Map<Field, string>();
  if (node.kind === 'null') return values;
  if (node.kind !== 'object') mismatch(node, 'value', 'embed.logRotationConfig');
  for (const { name, value } of node.fields) {
    const field = (Object.keys(FIELDS) as Field[]).find((known) => known === name.toLowerCase());
    if (field === undefined || value.kind === 'null') continue;
    const type = FIELDS[field];
    if (!fits(value, type)) mismatch(value, `struct field logRotationConfig.Logger.${field}`, type);
    values.set(field, 'raw' in value ? value.raw : '');
  }
  return values;
}

function fits(value: JsonNode, type: (typeof FIELDS)[Field]): boolean {
  if (type === 'bool') return value.kind === 'true' || value.kind === 'false';
  if (type === 'string') return value.kind === 'string';
  return (
    value.kind === 'number' &&
    /^-?\d+$/.test(value.raw) &&
    BigInt.asIntN(64, BigInt(value.raw)) === BigInt(value.raw)
  );
}

function mismatch(value: JsonNode, where: string, type: string): never {
  const kind = value.kind === 'true' || value.kind === 'false' ? 'bool' : value.kind;
  const what = value.kind === 'number' ? `number ${value.raw}` : kind;
  return refuse(
    `invalid log rotation config: json: cannot unmarshal ${what} into Go ${where} of type ${type}`,
  );
}

function refuse(message: string): never {
  throw new ConfigError('invalid', message);
}
