/**
 * Booleans and integers in the spellings that Go's `flag` and `strconv` packages accept, with the two words they have
 * for what is wrong: bad syntax, and a value out of range.
 */

export type NumberProblem = 'syntax' | 'range';

export type ParsedInteger =
  | { readonly value: bigint; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: NumberProblem };

/** Inclusive bounds of Go's integer types (`int` and `uint` are 64 bits wide wherever etcd runs). */
export const GO_INTEGER_RANGES = {
  int: { min: -(2n ** 63n), max: 2n ** 63n - 1n },
  int64: { min: -(2n ** 63n), max: 2n ** 63n - 1n },
  uint: { min: 0n, max: 2n ** 64n - 1n },
  uint32: { min: 0n, max: 2n ** 32n - 1n },
  uint64: { min: 0n, max: 2n ** 64n - 1n },
} as const;

export type GoIntegerType = keyof typeof GO_INTEGER_RANGES;

/** Longer than any spelling of a 64-bit integer that somebody would write; bounds the work on hostile input. */
const MAX_DIGITS = 256;

/** null when the text is none of Go's twelve spellings. */
export function parseGoBool(text: string): boolean | null {
  switch (text) {
    case '1':
    case 't':
    case 'T':
    case 'true':
    case 'TRUE':
    case 'True':
      return true;
    case '0':
    case 'f':
    case 'F':
    case 'false':
    case 'FALSE':
    case 'False':
      return false;
    default:
      return null;
  }
}

/** Decimal, or with the prefixes `0x`, `0o`, `0` and `0b`; single underscores between digits, and behind a prefix. */
export function parseGoInteger(text: string, type: GoIntegerType): ParsedInteger {
  const { min, max } = GO_INTEGER_RANGES[type];
  const signed = min < 0n;
  const negative = text.startsWith('-');
  if (!signed && /^[+-]/.test(text)) return { problem: 'syntax' };
  const digits = signed ? text.replace(/^[+-]/, '') : text;
  const magnitude = parseMagnitude(digits);
  if (magnitude === null) return { problem: digits.length > MAX_DIGITS ? 'range' : 'syntax' };
  const value = negative ? -magnitude : magnitude;
  return value < min || value > max ? { problem: 'range' } : { value };
}

function parseMagnitude(text: string): bigint | null {
  if (text.length > MAX_DIGITS) return null;
  if (/^(0|[1-9](?:_?\d)*)$/.test(text)) return BigInt(text.replaceAll('_', ''));
  const match = /^0(?:([xX])(?:_?[\da-fA-F])+|([bB])(?:_?[01])+|([oO])?(?:_?[0-7])+)$/.exec(text);
  if (match === null) return null;
  const prefix = (match[1] ?? match[2] ?? match[3] ?? '').toLowerCase();
  const digits = text.slice(prefix === '' ? 1 : 2).replaceAll('_', '');
  return BigInt(`0${prefix === '' ? 'o' : prefix}${digits}`);
}

/** A 64-bit integer as a Number. Beyond 2^53 - 1 it becomes that bound: where one is compared with a count, both mean "never". */
export function clampToSafeNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) return Number.MAX_SAFE_INTEGER;
  if (value < BigInt(Number.MIN_SAFE_INTEGER)) return Number.MIN_SAFE_INTEGER;
  return Number(value);
}
