/**
 * Durations as Go writes and reads them: `1h2m3.5s`, `300ms`, `-1.5h`. Inside the program a duration is a Number of
 * milliseconds; the text form exists on command lines, in log fields (`"took":"1.083885ms"`) and in error texts.
 */

/** Go counts durations in signed 64-bit nanoseconds. */
const MAX_NANOSECONDS = 2n ** 63n;

const NANOSECONDS_PER_UNIT: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

export type ParsedDuration =
  | { readonly durationMs: number; readonly error?: undefined }
  | { readonly durationMs?: undefined; readonly error: string };

/** Reads a Go duration. Range and grammar are Go's; a fraction finer than a nanosecond is dropped. */
export function parseGoDuration(text: string): ParsedDuration {
  const invalid: ParsedDuration = { error: `time: invalid duration ${quote(text)}` };
  const negative = text.startsWith('-');
  let rest = negative || text.startsWith('+') ? text.slice(1) : text;
  if (rest === '0') return { durationMs: 0 };
  if (rest === '') return invalid;
  let nanoseconds = 0n;
  while (rest !== '') {
    const number = /^(\d*)(?:\.(\d*))?/.exec(rest)!;
    const [matched, whole = '', fraction = ''] = number;
    if ((whole === '' && fraction === '') || isTooLong(whole)) return invalid;
    rest = rest.slice(matched.length);
    const unit = /^[^.\d]+/.exec(rest)?.[0];
    if (unit === undefined) return { error: `time: missing unit in duration ${quote(text)}` };
    const scale = NANOSECONDS_PER_UNIT[unit];
    if (scale === undefined) return { error: `time: unknown unit ${quote(unit)} in duration ${quote(text)}` };
    rest = rest.slice(unit.length);
    nanoseconds += scaled(whole, fraction, scale);
    if (nanoseconds > MAX_NANOSECONDS) return invalid;
  }
  if (!negative && nanoseconds === MAX_NANOSECONDS) return invalid;
  return { durationMs: (Number(nanoseconds) / 1e6) * (negative ? -1 : 1) };
}

/** More digits than any 64-bit number has: out of range whatever they are, and not worth an unbounded BigInt. */
function isTooLong(digits: string): boolean {
  return digits.length > 19 && digits.replace(/^0+/, '').length > 19;
}

function scaled(whole: string, fraction: string, scale: bigint): bigint {
  const digits = fraction.slice(0, 18);
  const tail = digits === '' ? 0n : (BigInt(digits) * scale) / 10n ** BigInt(digits.length);
  return BigInt(whole === '' ? '0' : whole) * scale + tail;
}

/** The text that Go's `Duration.String` gives: `1m0s`, `2h0m0s`, `100ms`, `1.5µs`, `0s`. */
export function formatGoDuration(durationMs: number): string {
  const nanoseconds = Math.round(Math.abs(durationMs) * 1e6);
  if (nanoseconds === 0) return '0s';
  const sign = durationMs < 0 ? '-' : '';
  if (nanoseconds < 1e3) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${sign}${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${sign}${nanoseconds / 1e6}ms`;
  const totalSeconds = Math.floor(nanoseconds / 1e9);
  const hours = Math.floor(totalSeconds / 3600);
  const minutes = Math.floor(totalSeconds / 60) % 60;
  const fraction = String(nanoseconds - totalSeconds * 1e9).padStart(9, '0');
  const seconds = `${totalSeconds % 60}.${fraction}`.replace(/\.?0+$/, '') || '0';
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  if (minutes > 0) return `${sign}${minutes}m${seconds}s`;
  return `${sign}${seconds}s`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
